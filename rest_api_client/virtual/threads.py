"""What threads use in virtual time: a flag to wait for, and a thread that can be joined."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from rest_api_client.virtual.clock import VirtualClock, Waiter

T = TypeVar("T")


class VirtualFlag:
    """A flag for threads in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._set = False
        self._waiters: list[Waiter] = []

    def set(self) -> None:
        """Give every waiting thread the next turns, in the order in which they came."""
        with self._clock.lock:
            self._set = True
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                self._clock.wake_early(waiter)

    def is_set(self) -> bool:
        """Say whether it was set."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Park until it is set or `timeout` virtual seconds passed; return whether it is set."""
        clock = self._clock
        with clock.hold():
            with clock.lock:
                if self._set or (timeout is not None and timeout <= 0):
                    return self._set
                deadline = inf if timeout is None else clock.monotonic() + timeout
                waiter = clock.park(deadline, lambda: f"a flag, timeout={timeout}")
                self._waiters.append(waiter)
            try:
                clock.take_turn(waiter)
            finally:
                with clock.lock:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
            return self._set


class VirtualThread(Generic[T]):
    """A thread of a virtual clock, running from the moment it is made."""

    def __init__(self, clock: VirtualClock, function: Callable[[], T], name: str) -> None:
        self._function = function
        self._done = clock.flag()
        self._result: list[T] = []
        self._error: BaseException | None = None
        clock.start(self._run, name=name)

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # it belongs to whoever joins
            self._error = error
        finally:
            self._done.set()

    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return not self._done.is_set()

    def join(self, timeout: float | None = None) -> T:
        """Wait, in virtual time, and return the function's result or raise its error.

        Raises:
            TimeoutError: it still runs after `timeout` virtual seconds.
        """
        if not self._done.wait(timeout):
            raise TimeoutError(f"the thread still runs after {timeout} virtual seconds")
        if self._error is not None:
            raise self._error
        return self._result[0]
