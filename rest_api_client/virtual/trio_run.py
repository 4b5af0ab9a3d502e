"""A trio run in virtual time, through trio's public `Clock` and `Instrument`.

Before trio waits for I/O it calls `before_io_wait`: there the run parks on the virtual clock, until the deadline that
trio has just asked its clock about. The clock wakes it through `TrioToken.run_sync_soon`; `after_io_wait` waits for
the run's turn. A run that is woken by a foreign `run_sync_soon` joins the queue then; events of `AsyncRuntime` also
rouse it at the moment of the call.

trio runs the tasks that become ready together in a random order. `FixedOrder` replaces that, for as long as a
virtual run lasts, through the switch that pytest-trio uses as well. It is private: a test fails when trio drops it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Awaitable, Callable, MutableSequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import trio
import trio._core._run as trio_run

from rest_api_client.virtual.places import listed

if TYPE_CHECKING:
    from rest_api_client.virtual.clock import VirtualClock, Waiter

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LONG = 86_400.0


def run(clock: VirtualClock, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run `function` like `trio.run`, in the time of `clock`."""
    seat = VirtualRun(clock)
    try:
        return trio.run(function, *args, clock=seat, instruments=[seat])
    except trio.TrioInternalError:
        if seat.error is not None:
            raise seat.error from None
        raise


class FixedOrder(random.Random):
    """trio's source of chance, made to run a batch of tasks in the order in which they were spawned."""

    _lock = threading.Lock()
    _users = 0
    _before: tuple[bool, Any] = (False, None)

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Turn a batch sorted by age round: trio takes tasks from its end."""
        x.reverse()

    @classmethod
    def acquire(cls) -> None:
        """Fix the order for one more run."""
        with cls._lock:
            if cls._users == 0:
                cls._before = _set_scheduling((True, cls()))
            cls._users += 1

    @classmethod
    def release(cls) -> None:
        """Restore trio's own order after the last run."""
        with cls._lock:
            cls._users -= 1
            if cls._users == 0:
                _set_scheduling(cls._before)


def _set_scheduling(new: tuple[bool, Any]) -> tuple[bool, Any]:
    """Set trio's private pair (sort each batch of tasks?, chance) and return what it was."""
    module: Any = trio_run
    old = module._ALLOW_DETERMINISTIC_SCHEDULING, module._r  # noqa: SLF001 - no public way; a test guards the names
    module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = new  # noqa: SLF001 - as above
    return old


class VirtualRun(trio.abc.Clock, trio.abc.Instrument):
    """The seat of one trio run at a virtual clock: both its clock and its instrument. It may serve several
    runs, one after the other.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._hosting: AbstractContextManager[None] = nullcontext()
        self._token: trio.lowlevel.TrioToken
        self._deadline = inf
        self._waiter: Waiter | None = None
        self._tasks: set[trio.lowlevel.Task] = set()
        self.error: RuntimeError | None = None

    # ------------------------------------------------------------------ the clock

    def start_clock(self) -> None:
        """Do nothing: the time began with the virtual clock."""

    def current_time(self) -> float:
        """Return the virtual `monotonic()`."""
        return self._clock.monotonic()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Remember the moment for which trio is about to wait."""
        self._deadline = deadline
        return 0 if deadline <= self._clock.monotonic() else _LONG

    # ------------------------------------------------------------------ the instrument

    def before_run(self) -> None:
        """Become a participant."""
        FixedOrder.acquire()
        self._hosting = self._clock.hosting()
        self._hosting.__enter__()
        self._token = trio.lowlevel.current_trio_token()

    def after_run(self) -> None:
        """Stop being one."""
        self._hosting.__exit__(None, None, None)
        FixedOrder.release()

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Remember the task for a report of who waits for what."""
        self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget the task."""
        self._tasks.discard(task)

    def before_io_wait(self, timeout: float) -> None:
        """Park until the next deadline."""
        self._waiter = None
        statistics = trio.lowlevel.current_statistics()
        if timeout <= 0 or statistics.run_sync_soon_queue_size:
            return
        if trio.to_thread.current_default_thread_limiter().borrowed_tokens:
            return  # not parked: time stands still until a worker has something to say
        if _watches_sockets(statistics.io_statistics):
            self._crash(
                RuntimeError(
                    "a trio run of a VirtualClock waits for a socket or pipe: virtual time would run ahead of it and "
                    "every timeout be false; use a scripted or in-process transport, or the SYSTEM clock"
                )
            )
        else:
            self._waiter = self._clock.park_run(self._deadline, self._describe, self._nudge)

    def after_io_wait(self, timeout: float) -> None:
        """Wait for this run's turn."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        self._clock.wake_early(waiter)
        try:
            self._clock.take_turn(waiter)
        except RuntimeError as error:
            self._crash(error)

    # ------------------------------------------------------------------ inside

    def _nudge(self) -> None:
        self._token.run_sync_soon(_nothing)

    def _crash(self, error: RuntimeError) -> None:
        self.error = error
        self._token.run_sync_soon(_raise, error)

    def _describe(self) -> str:
        own = [task for task in self._tasks if not task.name.startswith("<")]  # trio's own are <init> and the like
        return listed("a trio run", [(task.name, (frame for frame, _ in task.iter_await_frames())) for task in own])


def _nothing() -> None:
    pass


def _raise(error: RuntimeError) -> None:
    raise error


def _watches_sockets(io: Any) -> bool:
    """Say whether a task waits for more than the one wake-up socket of the run itself."""
    watches: bool = io.tasks_waiting_read > 1 or io.tasks_waiting_write > 0
    return watches
