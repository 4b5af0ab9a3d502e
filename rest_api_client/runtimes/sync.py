"""The runtime of sync clients: it waits by blocking the thread, and never suspends.

A blocked thread cannot be cancelled, so every wait here ends at once with `Aborted` when the thread's `current_abort`
fires or its `fail_after` deadline comes. Races and spawned tasks run in daemon threads with a copy of the context.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from rest_api_client.clock import SYSTEM, Clock, Flag, SystemClock
from rest_api_client.forks import in_child
from rest_api_client.runtime import (
    Abort,
    Aborted,
    Deadline,
    Event,
    current_abort,
    current_deadline,
    iterate_sync,
    run_sync,
)
from rest_api_client.runtimes.race import Race, conduct
from rest_api_client.runtimes.spawned import Spawned

T = TypeVar("T")

GRACE: Final = 1.0
"""How long `aclose` waits for spawned threads that do not obey their abort. They are daemons, and left behind then."""

PATIENCE: Final = 0.1
"""How long a race that is decided waits for losers that do not obey their abort, before it leaves them behind."""

STRAGGLERS: Final = 8
"""Losers left behind, in all races of a runtime together, at which a race begins its first attempt only."""


class SyncRuntime:
    """Waiting in threads, on the time of `clock`. One object serves any number of threads."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self.now = clock.monotonic
        self.time = clock.time
        self._real = isinstance(clock, SystemClock)
        self._spawned: dict[Spawned[Any], Flag] = {}
        self._closed = False
        self._forget_stragglers()
        in_child(self._forget_stragglers)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a call's coroutine in this thread, which counts as running on a virtual clock. See `run_sync`."""
        if self._real:
            return run_sync(coroutine)
        with self.clock.hold():
            return run_sync(coroutine)

    def iterate(self, source: AsyncIterator[T]) -> Generator[T, None, None]:
        """Iterate over a body in this thread. See `iterate_sync`."""
        return iterate_sync(source, run_sync if self._real else self.run)

    def deadline(self) -> float | None:
        """Return the earliest deadline round the caller, or None."""
        deadline = current_deadline.get()
        return None if deadline is None else deadline.at

    async def sleep(self, seconds: float) -> None:
        """Block so long."""
        if current_abort.get() is None and current_deadline.get() is None:
            self.clock.sleep(seconds)
        else:
            self._wait(_SyncEvent(self.clock.flag()), seconds)

    def event(self) -> Event:
        """Return an event for one thread to wait for."""
        return _SyncEvent(self.clock.flag())

    async def wait(self, event: Event, timeout: float | None = None) -> bool:
        """Block until `event` is set or `timeout` seconds passed; return whether it is set."""
        if not isinstance(event, _SyncEvent):
            raise TypeError(f"{event!r} belongs to another runtime: take events from runtime.event()")
        return self._wait(event, timeout)

    def _wait(self, event: _SyncEvent, timeout: float | None) -> bool:
        abort, deadline = current_abort.get(), current_deadline.get()
        left = None if deadline is None else deadline.at - self.now()
        cut = left is not None and (timeout is None or left <= timeout)
        limit = left if cut else timeout
        forget = None if abort is None else abort.register(event.flag.set)
        try:
            event.flag.wait(limit)
        finally:
            if forget is not None:
                forget()
        if abort is not None and abort.aborted:
            raise Aborted
        if cut and not event.is_set():
            raise Aborted(deadline)
        return event.is_set()

    def fail_after(self, deadline: float | None) -> AbstractContextManager[None]:
        """Publish a deadline for the block; TimeoutError if it has passed or a wait in the block reaches it."""
        return nullcontext() if deadline is None else _PublishedDeadline(deadline, self.now)

    async def race(
        self,
        starts: Sequence[Callable[[], Awaitable[T]]],
        delays: Sequence[float],
        good: Callable[[T], bool],
        discard: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        """Race attempts in threads; see `Runtime.race`.

        A loser whose code does not obey its abort (a middleware that blocks) is left behind after `PATIENCE` seconds:
        its thread is a daemon, and discards its result itself. While `STRAGGLERS` of them run, the first attempt is
        made alone, in the caller's thread, and its result counts, good or not: threads never pile up.
        """
        race = Race(len(starts), delays, good, self.now())
        if self.stragglers >= STRAGGLERS:
            return await starts[0]()
        running: dict[int, Abort] = {}

        def launch(number: int) -> None:
            running[number] = abort = Abort()
            self._launch(_Contender(self, race, starts[number], discard, lambda: running.pop(number, None)), abort)

        lost = True
        with self.clock.hold():
            try:
                await conduct(self, race, launch)
                lost = False
            finally:
                self._end(race, running)
                for loser in race.take_losers(all_lost=lost):
                    if discard is not None:
                        await discard(loser)
        return race.outcome()

    def _launch(self, contender: _Contender[Any], abort: Abort) -> None:
        context = copy_context()
        try:
            self.clock.start(lambda: context.run(contender.run, abort), name="race")
        except RuntimeError as error:  # the system has no thread left
            contender.race.fail(error)

    def _end(self, race: Race[Any], running: dict[int, Abort]) -> None:
        """Abort what still runs, never the winner: its body may still be on its way. Then wait, but not for ever."""
        for abort in list(running.values()):
            abort.abort()
        until = self.now() + PATIENCE
        bell = self.clock.flag()
        while race.listen(bell):
            if not bell.wait(until - self.now()):
                self.count_stragglers(race.abandon())
                return
            bell = self.clock.flag()

    def _forget_stragglers(self) -> None:
        self._lock, self.stragglers = threading.Lock(), 0

    def count_stragglers(self, change: int) -> None:
        """Some more losers were left behind, or one of them has ended."""
        with self._lock:
            self.stragglers += change

    def spawn(self, function: Callable[..., Awaitable[T]], *args: Any) -> Spawned[T]:
        """Start `function` in a daemon thread of its own; see `Runtime.spawn`."""
        if self._closed:
            raise RuntimeError("this runtime is closed: nothing can be spawned any more")
        name = getattr(function, "__qualname__", repr(function))
        task: Spawned[T] = Spawned(self, name)
        abort, context = Abort(), copy_context()
        task.stop = abort.abort
        self._spawned[task] = ended = self.clock.flag()

        def body() -> None:
            current_abort.set(abort)
            current_deadline.set(None)
            try:
                task.succeed(run_sync(_call(function, *args)))
            except Aborted:
                task.fail(None)
            except BaseException as error:  # it belongs to those who join
                task.fail(error)
            finally:
                self._spawned.pop(task, None)
                ended.set()

        try:
            self.clock.start(lambda: context.run(body), name=name)
        except RuntimeError:  # the system has no thread left
            del self._spawned[task]
            raise
        return task

    async def aclose(self) -> None:
        """Cancel what was spawned and wait for it, at most `GRACE` seconds."""
        self._closed = True
        running = list(self._spawned.items())
        for task, _ in running:
            task.cancel()
        until = self.now() + GRACE
        for _, ended in running:
            ended.wait(until - self.now())


class _Contender(Generic[T]):
    """One attempt of a race, in a thread of its own."""

    __slots__ = ("_discard", "_ended", "_runtime", "_start", "race")

    def __init__(
        self,
        runtime: SyncRuntime,
        race: Race[T],
        start: Callable[[], Awaitable[T]],
        discard: Callable[[T], Awaitable[object]] | None,
        ended: Callable[[], object],
    ) -> None:
        self._runtime = runtime
        self.race = race
        self._start = start
        self._discard = discard
        self._ended = ended

    def run(self, abort: Abort) -> None:
        """Make the attempt, and tell the race, or tidy up where the race has not waited for it."""
        current_abort.set(abort)
        race, result = self.race, None
        try:
            result = run_sync(_call(self._start))
        except Exception as error:
            in_time = self._over(race.fail, error)
        except BaseException as error:  # it belongs to the racing thread
            in_time = self._over(race.fail if abort.aborted else race.stop, error)
        else:
            in_time = self._over(race.succeed, result)
        if not in_time:
            self._runtime.count_stragglers(-1)
            if result is not None and self._discard is not None:
                run_sync(_call(self._discard, result))

    def _over(self, tell: Callable[[Any], bool], end: object) -> bool:
        self._ended()
        return tell(end)


async def _call(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await function(*args)


class _SyncEvent:
    """`flag` is what the thread waits for: set with the event, but also by an abort, which does not set the event."""

    __slots__ = ("_set", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self._set = False

    def set(self) -> bool:
        self._set = True
        self.flag.set()
        return True

    def is_set(self) -> bool:
        return self._set


class _PublishedDeadline(Deadline):
    """The block of `fail_after` in a thread, and the deadline that it publishes."""

    __slots__ = ("_now", "_token")

    def __init__(self, at: float, now: Callable[[], float]) -> None:
        self.at = at
        self._now = now

    def __enter__(self) -> None:
        if self.at <= self._now():
            raise TimeoutError("the deadline had already passed")
        outer = current_deadline.get()
        self._token = current_deadline.set(self if outer is None or self.at < outer.at else outer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current_deadline.reset(self._token)
        if error is not None and isinstance(error, Aborted) and error.deadline is self:
            raise TimeoutError("the deadline passed") from error
