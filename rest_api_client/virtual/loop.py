"""An asyncio loop in virtual time.

The loop is the ordinary selector loop with a clock and a selector of our own. When it has nothing to do it asks the
selector to wait until its next timer; ours parks the thread on the virtual clock instead. As the loop refuses to watch
sockets, only two things can wake it earlier: a signal, and `call_soon_threadsafe`, which rouses it at the moment of the
call, not when the wake-up byte is read, so that time cannot jump in between.

`run_in_executor(None, ...)` and `asyncio.to_thread` start the job as a participant, which counts until its result was
handed to the loop. `anyio.to_thread` has threads of its own: while one of them works the loop counts as running, and
such a worker may not wait on the clock.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextvars import Context
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from rest_api_client.runtime import suspended_frames
from rest_api_client.virtual.places import listed

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from rest_api_client.virtual.clock import VirtualClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(clock: VirtualClock, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run `function` like `asyncio.run`, on a loop of `clock`."""

    async def main() -> T:
        return await function(*args)

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        return runner.run(main())


class VirtualSelector(selectors.DefaultSelector):
    """A selector that parks instead of waiting."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.sealed = False
        self.what: Callable[[], str] = lambda: "an asyncio loop"

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Refuse whatever is not the loop's own wake-up pipe."""
        if self.sealed:
            raise RuntimeError(
                "a loop of a VirtualClock was asked to watch a socket or pipe: virtual time would run ahead of it and "
                "every timeout be false; use a scripted or in-process transport, or the SYSTEM clock"
            )
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll; if nothing is ready, park until `timeout` virtual seconds passed or somebody rouses the loop."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if _anyio_workers():
            return super().select(None)  # not parked: time stands still until a worker has something to say
        deadline = inf if timeout is None else self.clock.monotonic() + timeout
        self.clock.take_turn(self.clock.park_run(deadline, self.what))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is a virtual clock's."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        selector = VirtualSelector(clock)
        super().__init__(selector)
        selector.what = self._describe
        selector.sealed = True
        # asyncio compares timers with its own resolution of 1 ns, which is lost in a float after half a year
        # of virtual time: such a timer would never be due.
        self._clock_resolution = 1e-6
        self._home = 0
        self._jobs: set[Future[Any]] = set()

    def time(self) -> float:
        """Return the virtual `monotonic()`."""
        return self._clock.monotonic()

    def run_forever(self) -> None:
        """Run; the calling thread is a participant meanwhile."""
        self._home = threading.get_ident()
        with self._clock.hosting():
            super().run_forever()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Hand over a callback and rouse the loop at this very moment."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self._clock.rouse(self._home)
        return handle

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a job in a thread of its own, a participant until its result was handed to the loop."""
        if executor is not None:
            raise RuntimeError(
                f"run_in_executor({executor!r}, ...) on a loop of a VirtualClock: the clock cannot see the threads of "
                "an executor; pass None, or use asyncio.to_thread"
            )
        job: Future[T] = Future()
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        future = asyncio.wrap_future(job, loop=self)
        self._clock.start(lambda: _work(job, lambda: func(*args)), name="job")
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait, in virtual time, for the jobs that still run."""
        while self._jobs:
            await asyncio.wait([asyncio.wrap_future(job) for job in self._jobs], timeout=timeout)

    def _describe(self) -> str:
        tasks = [(task.get_name(), suspended_frames(task.get_coro())) for task in asyncio.all_tasks(self)]
        return listed("an asyncio loop", tasks)


def _work(job: Future[T], function: Callable[[], T]) -> None:
    if not job.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # it belongs to whoever awaits the job
        job.set_exception(error)
    else:
        job.set_result(result)


def _anyio_workers() -> int:
    """Return how many threads of `anyio.to_thread` work for this loop."""
    if "anyio" not in sys.modules:
        return 0
    from anyio.to_thread import current_default_thread_limiter

    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is None:
        return current_default_thread_limiter().borrowed_tokens
    before, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
    try:
        return current_default_thread_limiter().borrowed_tokens
    finally:
        sniffio.thread_local.name = before
