"""The runtime: the only way to wait, and the runner that lets one async core serve a sync client.

Every policy is written once, as a plain `async def`, and waits for nothing but `proceed` and the methods of its
`Runtime`. `AsyncRuntime` (`runtimes.asynchronous`) really suspends, on asyncio and on trio. `SyncRuntime`
(`runtimes.sync`) blocks the thread inside those methods and never suspends, so that `run_sync` can drive the very same
coroutine: its first `send(None)` must already end it. Sync is chosen by the client class, never detected: a sync client
may be used inside a running loop.

Cancellation. An async runtime has that of its library. A thread cannot be interrupted, so what a sync runtime has
instead travels in context variables: `current_abort` (somebody else wants this piece of work to end: the loser of a
race, a spawned task that is cancelled) and the tightest deadline of `fail_after`. Sync waits end with `Aborted` when
either fires; a transport registers `exchange.abort` with `current_abort.get()` and clamps its timeouts to
`runtime.deadline()`. `Aborted` is a BaseException, like asyncio's and trio's cancellations, so that no policy takes it
for a failure that it may retry.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from inspect import isasyncgen
from types import FrameType
from typing import Any, Protocol, TypeVar

from rest_api_client.clock import Clock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SuspensionError(RuntimeError):
    """A coroutine of a sync client tried to wait for an event loop."""


class TaskCancelled(RuntimeError):
    """The task that was joined had been cancelled before it had a result."""


class Deadline:
    """A moment published by `fail_after`; `at` is in the clock's monotonic seconds."""

    __slots__ = ("at",)

    at: float


class Aborted(BaseException):
    """This work of a sync client is to end now: it lost a race, was cancelled, or reached a deadline.

    `deadline` is the one that was reached; its `fail_after` turns this into a TimeoutError. None otherwise.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        super().__init__("the deadline passed" if deadline else "the work was aborted")
        self.deadline = deadline


class Abort:
    """A wish, made by one thread, that the work of another one ends. Thread-safe; it happens once."""

    __slots__ = ("_callbacks", "_lock", "aborted")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self.aborted = False

    def register(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have `callback` called when the work is aborted, in the thread that aborts; at once if it already was.

        Returns:
            A function that takes the callback back; it may be called at any time.
        """
        with self._lock:
            if not self.aborted:
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        callback()
        return _nothing

    def abort(self) -> None:
        """Call what was registered. Later calls do nothing."""
        with self._lock:
            self.aborted = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _forget(self, callback: Callable[[], object]) -> None:
        with self._lock, suppress(ValueError):
            self._callbacks.remove(callback)


def _nothing() -> None:
    pass


current_abort: ContextVar[Abort | None] = ContextVar("current_abort", default=None)
"""In a sync client: the abort that the calling thread has to obey, or None."""

current_deadline: ContextVar[Deadline | None] = ContextVar("current_deadline", default=None)
"""In a sync client: the tightest deadline of the `fail_after` blocks round the caller, or None."""


class Event(Protocol):
    """Something one thread, loop or run waits for and any other may set. Once set it stays set."""

    def set(self) -> bool:
        """Wake the waiter. Callable from any thread, loop or trio run; never blocks.

        Returns:
            False if the waiter's loop is gone: wake the next waiter instead.
        """
        ...

    def is_set(self) -> bool:
        """Say whether it was set."""
        ...


class Task(Protocol[T_co]):
    """Work that outlives whoever asked for it."""

    async def join(self) -> T_co:
        """Wait for the result and return it, or raise the task's error. Any number may join, from any loop.

        Cancelling the joiner does not cancel the task.

        Raises:
            TaskCancelled: somebody cancelled the task.
        """
        ...

    def cancel(self) -> None:
        """Ask the task to end. Callable from any thread; never blocks."""
        ...


class Runtime(Protocol):
    """What a policy may wait for. Moments are those of `now()`, lengths are in seconds."""

    @property
    def clock(self) -> Clock:
        """The clock that everything here goes by."""
        ...

    def now(self) -> float:
        """Return the clock's monotonic seconds."""
        ...

    def time(self) -> float:
        """Return the wall clock as seconds since 1970, for HTTP dates."""
        ...

    def deadline(self) -> float | None:
        """Return the earliest moment set by the `fail_after` blocks round the caller, or None."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so long; at once if `seconds` is not positive."""
        ...

    def event(self) -> Event:
        """Return an event for the calling thread, or for the running loop, to wait for."""
        ...

    async def wait(self, event: Event, timeout: float | None = None) -> bool:
        """Wait until `event` is set or `timeout` seconds passed; return whether it is set.

        The event must come from `event()` in this thread or loop. If the wait is cancelled the event may have been set
        at the same moment: give back what it stood for.
        """
        ...

    def fail_after(self, deadline: float | None) -> AbstractContextManager[None]:
        """End the block with TimeoutError at the moment `deadline`; at once if that has passed. None is no limit.

        A sync runtime cannot interrupt code: it publishes the deadline, which waits and transports obey.
        """
        ...

    async def race(
        self,
        starts: Sequence[Callable[[], Awaitable[T]]],
        delays: Sequence[float],
        good: Callable[[T], bool],
        discard: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        """Return the first good result of several attempts, begun one after the other.

        Args:
            starts: the attempts. Each has a copy of the caller's context; in a sync client, a thread.
            delays: when each begins, in seconds after the first, never falling; earlier if all that were begun have
                failed or given a result that is not good.
            good: says whether a result ends the race.
            discard: awaited for every result that is not returned, e.g. to close it.

        Returns:
            The first good result; without one, the last result. The other attempts have ended by then, aborted if
            necessary.

        Raises:
            Exception: the last error, if no attempt gave a result. Never an ExceptionGroup.
        """
        ...

    def spawn(self, function: Callable[..., Awaitable[T]], *args: Any) -> Task[T]:
        """Start work that goes on when the caller is cancelled. It has no deadline, and `aclose` ends it."""
        ...

    async def aclose(self) -> None:
        """Cancel what was spawned and is still running, and wait for it. Nothing can be spawned afterwards."""
        ...


# ---------------------------------------------------------------------- the runner of sync clients


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result.

    Raises:
        SuspensionError: it tried to wait for an event loop. The message names the place.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    message = f"{describe_wait(suspended_frames(coroutine))} waits for an event loop: {_ADVICE}"
    try:
        coroutine.throw(Aborted())  # rather than close(), which leaves async generators half open
        coroutine.close()  # it waits again
    except Aborted:
        pass
    except Exception as error:
        raise SuspensionError(message) from error
    raise SuspensionError(message)


_ADVICE = "in a sync client a policy or middleware may only await `proceed` and the methods of its runtime"


def iterate_sync(
    source: AsyncIterator[T], run: Callable[[Coroutine[Any, Any, Any]], Any] = run_sync
) -> Generator[T, None, None]:
    """Iterate over an async iterator that never suspends; it is closed when the iteration ends or is given up."""
    # The step of an async generator is all that a runner needs of a coroutine; another iterator's may be any awaitable.
    step: Callable[[], Any] = source.__anext__ if isasyncgen(source) else lambda: _next(source)
    try:
        while True:
            try:
                item = run(step())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            run(close())


async def _next(source: AsyncIterator[T]) -> T:
    return await source.__anext__()


def suspended_frames(coroutine: object) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, from the outermost to the one that really waits."""
    inner: Any = coroutine
    while inner is not None:
        kind = next((kind for kind in ("cr", "ag", "gi") if getattr(inner, f"{kind}_frame", None)), None)
        if kind is None:  # the step of an async generator hides it, but refers to it
            inner = next((other for other in gc.get_referents(inner) if isasyncgen(other)), None)
        else:
            yield getattr(inner, f"{kind}_frame")
            inner = getattr(inner, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")


def describe_wait(frames: Iterable[FrameType]) -> str:
    """Name the function, file and line that wait: the innermost one that is not of an async library itself."""
    all_frames = list(frames)
    own = [frame for frame in all_frames if frame.f_globals.get("__name__", "").split(".")[0] not in _LIBRARIES]
    if not all_frames:
        return "a coroutine"
    frame = (own or all_frames)[-1]
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


_LIBRARIES = frozenset({"anyio", "asyncio", "trio"})
