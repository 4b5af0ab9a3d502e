"""Virtual time for threads, asyncio loops and trio runs together: nobody waits, everybody sees the right time.

Theory of operation. Whoever uses the clock is a participant: a thread, the loop running in it, or a trio run. The
clock counts how many of them are running. One that sleeps, or whose loop has nothing to do, parks with a deadline.
When nobody is running the clock jumps to the earliest deadline and wakes exactly ONE participant, in the order of
(deadline, turn); only when that one parks again does the next get its turn. Whatever wakes a parked participant early
(a flag set by a thread, `call_soon_threadsafe`, an event of a runtime) does not start it but gives it the deadline
"now" and the next turn. So a rehearsal of threads and loops is serial, and its order is the same in every run.

A thread counts from `with clock:`, `clock.hold()`, `clock.run()` or `clock.thread()`; one that simply calls
`sleep` counts for that call only, which is exact as long as it is alone. What the clock cannot see it cannot wait
for: a thread started behind its back, a real socket, another process. Loops of this clock refuse to watch sockets.

When all are parked without a deadline, and the thread that made the clock is one of them (or dead), nobody is left to
wake anybody: each of them gets `VirtualDeadlock`, which lists who waits for what.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf, isnan
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, TypeVarTuple

from rest_api_client.virtual.places import thread_frames, where
from rest_api_client.virtual.threads import VirtualFlag, VirtualThread

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DEADLOCK = """at {now:g} virtual seconds everybody waits, and nobody is left to wake anybody:
{who}
Wake them from a participant of this clock (clock.thread, clock.run_asyncio, clock.run_trio), or give the wait a
timeout; threads started in another way are not known to the clock."""


class VirtualDeadlock(RuntimeError):
    """All participants of a virtual clock wait without a deadline, and nobody is left who could wake one."""


class Waiter:
    """A parked participant: when it wants to go on, and how it is told that it may."""

    __slots__ = ("deadline", "gate", "parked", "report", "thread", "turn", "wake", "what", "who")

    def __init__(self, what: Callable[[], str], wake: Callable[[], None] | None) -> None:
        self.what = what
        self.thread = threading.get_ident()
        self.who = threading.current_thread().name
        self.gate = threading.Lock()
        self.gate.acquire()
        self.wake = wake
        self.parked = True
        self.deadline = inf
        self.turn = 0
        self.report: str | None = None


class VirtualClock:
    """A clock that jumps from deadline to deadline.

    Args:
        start: the wall time at `monotonic() == 0`; a datetime with a zone.

    `jumps` counts how often time moved. `with clock:` counts the calling thread as running for the block.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start={start!r} has no time zone: give e.g. datetime(2030, 1, 1, tzinfo=UTC)")
        self._start = start.timestamp()
        self._now = 0.0
        self._owner = threading.current_thread()
        self.lock = threading.RLock()
        self._turns = itertools.count(1)
        self._queue: list[tuple[float, int, Waiter]] = []
        self._busy = 0
        self._members: dict[int, int] = {}
        self._runs: dict[int, Waiter | None] = {}
        self._roused: set[int] = set()
        self.jumps = 0

    # ------------------------------------------------------------------ the clock

    def monotonic(self) -> float:
        """Return the virtual seconds since the clock was made."""
        return self._now

    def time(self) -> float:
        """Return the virtual wall time: the start date plus `monotonic()`."""
        return self._start + self._now

    def sleep(self, seconds: float) -> None:
        """Park the calling thread for so many virtual seconds."""
        if isnan(seconds):
            raise ValueError("seconds=nan: a sleep needs a length")
        if seconds > 0:
            with self.hold():
                self.pause(self._now + seconds, lambda: f"sleep({seconds:g})")

    def flag(self) -> VirtualFlag:
        """Return a flag to wait for in a thread."""
        return VirtualFlag(self)

    def start(self, function: Callable[[], object], *, name: str) -> None:
        """Run `function` in a daemon thread; it counts as running from now on and has its turn after the caller."""
        waiter = Waiter(lambda: "its first turn", None)

        def body() -> None:
            with self.lock:
                self._members[threading.get_ident()] = 1
            try:
                self.take_turn(waiter)
                function()
            finally:
                self._leave()

        threading.Thread(target=body, name=name, daemon=True).start()
        waiter.who = name
        with self.lock:
            self._enqueue(waiter, self._now)
            self._advance()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count the calling thread as running: time stands still unless this thread itself waits on the clock.

        Hold the clock while several participants are started, or they will not all start at the same moment.
        """
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._leave()
        return False

    def rouse(self, thread: int) -> None:
        """Give the loop that runs in `thread` the next turn, because something outside it gave it work."""
        with self.lock:
            waiter = self._runs.get(thread)
            if waiter is not None and waiter.parked:
                self.wake_early(waiter)
            elif thread != threading.get_ident():
                self._roused.add(thread)

    def require_loop(self) -> None:
        """Raise RuntimeError unless the loop of this thread keeps this clock's time."""
        if threading.get_ident() not in self._runs:
            raise RuntimeError(
                "this runtime has a VirtualClock, but the running event loop does not keep its time: start the loop "
                "with clock.run_asyncio(...), clock.run_trio(...) or anyio.run(..., **clock.backend_options(...))"
            )

    # ------------------------------------------------------------------ starting participants

    def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function` in this thread, which counts as running meanwhile."""
        with self.hold():
            return function(*args)

    def thread(self, function: Callable[[*Ts], T], *args: *Ts) -> VirtualThread[T]:
        """Call `function` in a new thread of this clock; `join()` returns what it returned or raises what it raised."""
        return VirtualThread(self, lambda: function(*args), getattr(function, "__name__", "thread"))

    def run_asyncio(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run `function` like `asyncio.run`, on a loop that keeps this clock's time."""
        from rest_api_client.virtual.loop import run

        with self.hold():
            return run(self, function, *args)

    def run_trio(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run `function` like `trio.run`, in this clock's time and in one reproducible order."""
        from rest_api_client.virtual.trio_run import run

        with self.hold():
            return run(self, function, *args)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return an asyncio loop that keeps this clock's time: a `loop_factory`."""
        from rest_api_client.virtual.loop import VirtualLoop

        return VirtualLoop(self)

    def backend_options(self, backend: str) -> dict[str, Any]:
        """Return the options for `anyio.run(..., backend=backend, backend_options=...)`, for one run."""
        if backend == "asyncio":
            return {"loop_factory": self.new_event_loop}
        if backend == "trio":
            from rest_api_client.virtual.trio_run import VirtualRun

            run = VirtualRun(self)
            return {"clock": run, "instruments": [run]}
        raise ValueError(f"backend={backend!r}: a virtual clock knows 'asyncio' and 'trio'")

    # ------------------------------------------------------------------ for participants (loops, runs, flags)

    def pause(self, deadline: float, what: Callable[[], str]) -> None:
        """Park the calling thread and block until its turn comes."""
        self.take_turn(self.park(deadline, what))

    def park(self, deadline: float, what: Callable[[], str]) -> Waiter:
        """Stop counting the calling participant as running; it must `take_turn` before it goes on."""
        waiter = Waiter(what, None)
        with self.lock:
            self._park(waiter, deadline)
        return waiter

    def _park(self, waiter: Waiter, deadline: float) -> None:
        self._enqueue(waiter, deadline)
        self._busy -= 1
        self._advance()

    def park_run(self, deadline: float, what: Callable[[], str], wake: Callable[[], None] | None = None) -> Waiter:
        """Park the loop that runs in this thread; if it was roused meanwhile it only waits for its turn."""
        thread = threading.get_ident()
        waiter = Waiter(what, wake)
        with self.lock:
            self._runs[thread] = waiter
            if thread in self._roused:
                self._roused.remove(thread)
                deadline = self._now
            self._park(waiter, deadline)
        return waiter

    def take_turn(self, waiter: Waiter) -> None:
        """Block until the clock lets `waiter` go on; raise VirtualDeadlock if it never can."""
        try:
            waiter.gate.acquire()
        except BaseException:  # Ctrl-C: this thread runs again, and must be counted
            with self.lock:
                if waiter.parked:
                    self._grant(waiter)
            raise
        if waiter.report is not None:
            raise VirtualDeadlock(waiter.report)

    def wake_early(self, waiter: Waiter) -> None:
        """Let `waiter` have the next turn instead of waiting for its deadline."""
        with self.lock:
            if waiter.parked and waiter.deadline > self._now:
                self._enqueue(waiter, self._now)
                self._advance()

    @contextmanager
    def hosting(self) -> Iterator[None]:
        """Make the calling thread the home of a loop of this clock."""
        thread = threading.get_ident()
        with self.hold():
            self._runs[thread] = None
            try:
                yield
            finally:
                self._runs.pop(thread, None)
                self._roused.discard(thread)

    # ------------------------------------------------------------------ inside (the lock is held)

    def _enter(self) -> None:
        thread = threading.get_ident()
        with self.lock:
            depth = self._members.get(thread, 0)
            if self._runs and not depth and _is_foreign_worker():
                raise RuntimeError(
                    "a worker thread of anyio.to_thread or trio.to_thread cannot wait on a VirtualClock, because its "
                    "loop counts as running until it ends; use asyncio.to_thread or clock.thread"
                )
            self._members[thread] = depth + 1
            self._busy += depth == 0

    def _leave(self) -> None:
        thread = threading.get_ident()
        with self.lock:
            depth = self._members.pop(thread) - 1
            if depth:
                self._members[thread] = depth
            else:
                self._busy -= 1
                self._advance()

    def _enqueue(self, waiter: Waiter, deadline: float) -> None:
        waiter.deadline, waiter.turn = deadline, next(self._turns)
        heapq.heappush(self._queue, (deadline, waiter.turn, waiter))

    def _advance(self) -> None:
        if self._busy:
            return
        waiter = self._first()
        if waiter is None:
            return
        if waiter.deadline == inf:
            self._report_deadlock()
            return
        if waiter.deadline > self._now:
            self._now = waiter.deadline
            self.jumps += 1
        self._grant(waiter)

    def _first(self) -> Waiter | None:
        while self._queue:
            _, turn, waiter = self._queue[0]
            if waiter.parked and waiter.turn == turn:
                return waiter
            heapq.heappop(self._queue)
        return None

    def _grant(self, waiter: Waiter) -> None:
        waiter.parked = False
        self._busy += 1
        waiter.gate.release()
        if waiter.wake is not None:
            waiter.wake()

    def _report_deadlock(self) -> None:
        if self._owner.is_alive() and self._owner.ident not in self._members:
            return  # the thread that made the clock runs outside it, and may wake somebody yet
        stuck = [w for _, turn, w in sorted(self._queue) if w.parked and w.turn == turn]
        lines = [f"  {waiter.who}: {self._describe(waiter)}" for waiter in stuck]
        report = _DEADLOCK.format(now=self._now, who="\n".join(lines))
        for waiter in stuck:
            waiter.report = report
            self._grant(waiter)

    def _describe(self, waiter: Waiter) -> str:
        if waiter is self._runs.get(waiter.thread):
            return waiter.what()  # a loop, which knows its tasks
        return f"{waiter.what()}\n      at {where(thread_frames(waiter.thread))}"

    def __repr__(self) -> str:
        return f"<VirtualClock at {self._now:g} s, {self._busy} running, {self.jumps} jumps>"


def _is_foreign_worker() -> bool:
    """Say whether this thread works for `to_thread` of anyio or trio: only there may it ask for a cancellation."""
    loaded: list[Any] = [sys.modules[name] for name in ("anyio.from_thread", "trio.from_thread") if name in sys.modules]
    for module in loaded:
        try:
            module.check_cancelled()
        except RuntimeError:
            continue
        except BaseException:  # it was cancelled, so it is one
            return True
        return True
    return False
