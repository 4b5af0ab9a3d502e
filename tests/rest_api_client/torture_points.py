"""Points: a virtual clock whose loops, runs and threads count each step they make, so that any can be chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context as ContextVars
from typing import Any, TypeVarTuple

import trio

from rest_api_client.virtual.clock import VirtualClock
from rest_api_client.virtual.loop import VirtualLoop
from rest_api_client.virtual.threads import VirtualFlag

Ts = TypeVarTuple("Ts")


class Points:
    """Counts the points of a run while `counting`, and strikes at the ones that were chosen."""

    def __init__(self, at: Iterable[int] = ()) -> None:
        self._at = frozenset(at)
        self.count = 0
        self.counting = False
        self.struck = False
        self.strike: Callable[[], object] = lambda: None
        self.moments: set[float] = set()

    def pass_one(self, now: float) -> None:
        """Another point is reached."""
        if not self.counting:
            return
        self.count += 1
        self.moments.add(now)
        if self.count in self._at:
            self.struck |= self.strike() is not False


class PointedLoop(VirtualLoop):
    """Each callback is a point; generators that were left to the collector are remembered."""

    def __init__(self, clock: PointedClock) -> None:
        super().__init__(clock)
        self._points = clock.points

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: ContextVars | None = None
    ) -> asyncio.Handle:
        """Run a callback, after a point."""

        def pointed() -> None:
            self._points.pass_one(self.time())
            callback(*args)

        return super().call_soon(pointed, context=context)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        clock = self._clock
        assert isinstance(clock, PointedClock)
        clock.abandoned.append(agen.__qualname__)
        super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]  # of asyncio.BaseEventLoop


class PointedRun(trio.abc.Instrument):
    """Each step of a task is a point; tasks that were begun and have not ended are counted."""

    def __init__(self, clock: PointedClock) -> None:
        self._clock = clock
        self.alive = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self.alive += 1

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """One less."""
        self.alive -= 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A point."""
        self._clock.points.pass_one(self._clock.monotonic())


class PointedFlag(VirtualFlag):
    """Before and after each wait of a thread is a point."""

    def __init__(self, clock: PointedClock) -> None:
        super().__init__(clock)
        self._pointed = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, between two points."""
        self._pointed.point()
        try:
            return super().wait(timeout)
        finally:
            self._pointed.point()


class PointedClock(VirtualClock):
    """A virtual clock whose loops, runs and threads count their points."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self.points = points
        self.abandoned: list[str] = []

    def point(self) -> None:
        """A thread reached a point."""
        self.points.pass_one(self.monotonic())

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop that counts."""
        return PointedLoop(self)

    def flag(self) -> VirtualFlag:
        """A flag that counts."""
        return PointedFlag(self)

    def sleep(self, seconds: float) -> None:
        """Wait, between two points."""
        self.point()
        super().sleep(seconds)
        self.point()

    def start(self, function: Callable[[], object], *, name: str) -> None:
        """Run a thread, whose beginning is a point."""

        def pointed() -> None:
            self.point()
            function()

        super().start(pointed, name=name)

    def parked(self) -> list[str]:
        """Who waits now."""
        return [f"{w.who}: {w.what()}" for _, turn, w in self._queue if w.parked and w.turn == turn]
