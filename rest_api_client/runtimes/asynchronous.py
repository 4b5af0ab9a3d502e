"""The runtime of async clients, on asyncio and on trio.

Sleeping, cancellation and task groups are anyio's; in asyncio, deadlines and waits with a limit ring by the loop's one
timer (see `alarms`). What anyio cannot do, because its primitives belong to one loop, is
here: an event that may be set from any thread, loop or trio run, and a task that outlives its caller. Both rest on
`_Home`, the little that must be said once for asyncio and once for trio: how to reach a loop from outside, how to
wait in it, how to start a task in it. trio is imported only while it runs.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import Any, Protocol, TypeVar

import anyio

from rest_api_client.clock import SYSTEM, Clock, SystemClock
from rest_api_client.runtime import Event, TaskCancelled
from rest_api_client.runtimes.alarms import Alarms
from rest_api_client.runtimes.race import Race, conduct
from rest_api_client.runtimes.spawned import Spawned

T = TypeVar("T")

# Not `runtime.current_deadline`: a sync client used inside this loop would obey that, and its `Aborted` find no owner.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class AsyncRuntime:
    """Waiting in an event loop, on the time of `clock`. One object serves any number of loops, one after the other or
    at once.

    A virtual clock needs a loop that keeps its time; every wait on another one raises RuntimeError.
    """

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self.now = clock.monotonic
        self.time = clock.time
        self._spawned: dict[Spawned[Any], _Home] = {}
        self._alarms: dict[int, Alarms] = {}
        self._closed = False

    def deadline(self) -> float | None:
        """Return the earliest deadline round the caller, or None."""
        return _deadline.get()

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        self.clock.require_loop()
        await anyio.sleep(max(0.0, seconds))

    def event(self) -> Event:
        """Return an event for tasks of the running loop to wait for."""
        self.clock.require_loop()
        return _AsyncEvent(_home(self))

    async def wait(self, event: Event, timeout: float | None = None) -> bool:
        """Wait until `event` is set or `timeout` seconds passed; return whether it is set."""
        if not isinstance(event, _AsyncEvent):
            raise TypeError(f"{event!r} belongs to another runtime: take events from runtime.event()")
        if event.is_set() or (timeout is not None and timeout <= 0):
            return event.is_set()
        await event.wait(timeout)
        return event.is_set()

    async def within(self, future: asyncio.Future[bool], seconds: float | None) -> bool:
        """Await a future of the running asyncio loop, and give its result; after so many seconds its result is False.

        A cancel scope for each such wait would cost ten times as much as its alarm.
        """
        if seconds is None:
            return await future
        alarms, alarm = self.alarms(future.get_loop()), _FutureAlarm(future)
        alarms.add(alarm, seconds)
        try:
            return await future
        finally:
            alarms.drop(alarm)

    def fail_after(self, deadline: float | None) -> AbstractContextManager[None]:
        """Cancel the block at the moment `deadline` and raise TimeoutError."""
        if deadline is None:
            return nullcontext()
        return _TrioDeadline(self, deadline) if in_trio() else _AsyncioDeadline(self, deadline)

    def alarms(self, loop: asyncio.AbstractEventLoop) -> Alarms:
        """The alarms of a loop, which is the running one."""
        alarms = self._alarms.get(id(loop))
        if alarms is None or not alarms.belong_to(loop):
            for number, other in list(self._alarms.items()):
                if other.over:
                    self._alarms.pop(number, None)
            alarms = self._alarms[id(loop)] = Alarms(loop, patient=isinstance(self.clock, SystemClock))
        return alarms

    async def race(
        self,
        starts: Sequence[Callable[[], Awaitable[T]]],
        delays: Sequence[float],
        good: Callable[[T], bool],
        discard: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        """Race attempts in tasks; see `Runtime.race`."""
        self.clock.require_loop()
        race = Race(len(starts), delays, good, self.now())
        lost = True
        try:
            async with anyio.create_task_group() as group:
                await conduct(self, race, lambda number: group.start_soon(_attempt, race, starts[number]))
                group.cancel_scope.cancel()
            lost = False
        finally:
            losers = race.take_losers(all_lost=lost)
            if discard is not None and losers:
                with anyio.CancelScope(shield=True):
                    for loser in losers:
                        await discard(loser)
        return race.outcome()

    def spawn(self, function: Callable[..., Awaitable[T]], *args: Any) -> Spawned[T]:
        """Start `function` in a task of its own; see `Runtime.spawn`."""
        self.clock.require_loop()
        if self._closed:
            raise RuntimeError("this runtime is closed: nothing can be spawned any more")
        home = _home(self)
        name = getattr(function, "__qualname__", repr(function))
        task: Spawned[T] = Spawned(self, name)

        async def body() -> None:
            _deadline.set(None)
            try:
                task.succeed(await function(*args))
            except anyio.get_cancelled_exc_class():
                task.fail(None)
                raise
            except BaseException as error:  # it belongs to those who join; at the top of a trio run it would end that
                task.fail(error)

        def ended() -> None:
            self._spawned.pop(task, None)
            task.fail(None)  # if it was cancelled before it began, or ended by more than an Exception

        task.stop = home.start(body, ended, name)
        self._spawned[task] = home
        return task

    async def aclose(self) -> None:
        """Cancel what was spawned, and wait for what runs in this loop."""
        self._closed = True
        running = list(self._spawned.items())
        for task, _ in running:
            task.cancel()
        for task, home in running:
            if home.is_here():
                with suppress(TaskCancelled, Exception):
                    await task.join()


async def _attempt(race: Race[T], start: Callable[[], Awaitable[T]]) -> None:
    try:
        result = await start()
    except anyio.get_cancelled_exc_class() as error:
        race.fail(error)
        raise
    except Exception as error:  # it belongs to the racing task
        race.fail(error)
    except BaseException as error:  # as above: raised there, without an ExceptionGroup round it
        race.stop(error)
    else:
        race.succeed(result)


class _Deadline:
    """The block of `fail_after` in a loop: its moment, for all that is asked inside."""

    __slots__ = ("_at", "_runtime", "_token")

    def __init__(self, runtime: AsyncRuntime, at: float) -> None:
        self._runtime = runtime
        self._at = at

    def _publish(self) -> float:
        """Make it known, and give the seconds left."""
        runtime = self._runtime
        runtime.clock.require_loop()
        left = self._at - runtime.now()
        if left <= 0:
            raise TimeoutError("the deadline had already passed")
        outer = _deadline.get()
        self._token = _deadline.set(self._at if outer is None or self._at < outer else outer)
        return left


class _TrioDeadline(_Deadline):
    __slots__ = ("_scope",)

    def __enter__(self) -> None:
        self._scope = anyio.fail_after(self._publish())
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        _deadline.reset(self._token)
        return self._scope.__exit__(kind, error, trace)


class _AsyncioDeadline(_Deadline):
    """What `asyncio.timeout` does, without a timer of its own (see `alarms`): every call passes one."""

    __slots__ = ("_alarms", "_before", "_rang", "_task")

    def __enter__(self) -> None:
        left = self._publish()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._before, self._rang = task, task.cancelling(), False
        self._alarms = self._runtime.alarms(task.get_loop())
        self._alarms.add(self, left)

    def ring(self) -> None:
        self._rang = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _deadline.reset(self._token)
        self._alarms.drop(self)
        # Somebody else may have cancelled the task, too: that wish goes on.
        if self._rang and self._task.uncancel() <= self._before and isinstance(error, asyncio.CancelledError):
            raise TimeoutError("the deadline passed") from error


# ---------------------------------------------------------------------- what asyncio and trio do differently


class _Inner(Protocol):
    """A loop's own event. It need not remember that it was set: `_AsyncEvent` does, and is asked first."""

    def set(self) -> object: ...

    async def wait(self, timeout: float | None) -> None: ...


class _Home(Protocol):
    """One event loop or trio run."""

    def is_here(self) -> bool:
        """Say whether the caller runs in it."""
        ...

    def call(self, function: Callable[[], object]) -> bool:
        """Have `function` called in it, from anywhere; False if it is gone."""
        ...

    def new_event(self) -> _Inner:
        """Return an event of its own."""
        ...

    def start(
        self, body: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None], name: str
    ) -> Callable[[], object]:
        """Start a task that belongs to nobody; return how to cancel it from anywhere."""
        ...


class _AsyncEvent:
    __slots__ = ("_home", "_inner", "_set")

    def __init__(self, home: _Home) -> None:
        self._home = home
        self._inner = home.new_event()
        self._set = False

    def set(self) -> bool:
        self._set = True
        if self._home.is_here():
            self._inner.set()
            return True
        return self._home.call(self._inner.set)

    def is_set(self) -> bool:
        return self._set

    async def wait(self, timeout: float | None) -> None:
        if not self._home.is_here():
            raise RuntimeError("this event belongs to another event loop: wait for it where runtime.event() was called")
        await self._inner.wait(timeout)


def in_trio() -> bool:
    """Say whether the caller runs in trio."""
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


def _home(runtime: AsyncRuntime) -> _Home:
    return _TrioHome(runtime.clock) if in_trio() else _AsyncioHome(runtime)


class _AsyncioHome:
    # The loop keeps only weak references to its tasks, so ours are kept here while they run.
    _tasks: set[asyncio.Task[None]] = set()  # noqa: RUF012 - deliberately one set

    __slots__ = ("_loop", "_runtime")

    def __init__(self, runtime: AsyncRuntime) -> None:
        self._loop = asyncio.get_running_loop()
        self._runtime = runtime

    def is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def call(self, function: Callable[[], object]) -> bool:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def new_event(self) -> _Inner:
        return _AsyncioEvent(self._loop, self._runtime)

    def start(
        self, body: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None], name: str
    ) -> Callable[[], object]:
        task = self._loop.create_task(body(), name=name)

        def forget(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            ended()

        self._tasks.add(task)
        task.add_done_callback(forget)
        return lambda: self.call(task.cancel)


class _AsyncioEvent:
    __slots__ = ("_loop", "_runtime", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, runtime: AsyncRuntime) -> None:
        self._loop = loop
        self._runtime = runtime
        self._waiting: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        for future in self._waiting:
            settle(future, True)

    async def wait(self, timeout: float | None) -> None:
        future = self._loop.create_future()
        self._waiting.append(future)
        try:
            await self._runtime.within(future, timeout)
        finally:
            self._waiting.remove(future)


def settle(future: asyncio.Future[bool], result: bool) -> None:
    """Give a future its result, unless it has one or nobody waits for it any more."""
    if not future.done():
        future.set_result(result)


class _FutureAlarm:
    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[bool]) -> None:
        self._future = future

    def ring(self) -> None:
        settle(self._future, False)


class _TrioHome:
    __slots__ = ("_clock", "_thread", "_token")

    def __init__(self, clock: Clock) -> None:
        import trio

        self._clock = clock
        self._thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()

    def is_here(self) -> bool:
        import trio

        return trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token

    def call(self, function: Callable[[], object]) -> bool:
        import trio

        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return False
        self._clock.rouse(self._thread)
        return True

    def new_event(self) -> _Inner:
        return _TrioEvent()

    def start(
        self, body: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None], name: str
    ) -> Callable[[], object]:
        import trio

        scope = trio.CancelScope()

        async def main() -> None:
            with scope:
                try:
                    await body()
                finally:
                    ended()

        trio.lowlevel.spawn_system_task(main, name=name, context=copy_context())
        return lambda: self.call(scope.cancel)


class _TrioEvent:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        import trio

        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None) -> None:
        with anyio.move_on_after(timeout):
            await self._event.wait()
