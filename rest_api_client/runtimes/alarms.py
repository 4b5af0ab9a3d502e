"""The deadlines of calls, and the limits of waits, in one asyncio loop, on one timer.

A timer of its own for each costs more than all else that it does: it is made, sorted into the loop's heap, and
cancelled a moment later, since nearly all end in time. Here who may be late only stands in a dict meanwhile, and one
timer is set for the earliest of them. It is left to run out when nobody needs it any more, unless the time is virtual:
there it would be a moment to jump to.

When it rings, all are looked through. So that thousands who are late one after the other do not each cost a look at
thousands, real alarms come in batches then: a microsecond late for each one that waits.

Nothing here keeps the loop alive, neither directly nor through its timer: a loop that is closed and forgotten takes
along what belongs to it.
"""

from __future__ import annotations

import asyncio
import weakref
from math import inf
from typing import Protocol

_EARLY = 1e-6
"""Seconds that a timer may come early: a loop's own resolution."""
_BATCH = 1e-6
"""Seconds that a real alarm may come late for each that waits: to look at one of them takes a tenth of that."""


class Alarm(Protocol):
    """Who wants to be told."""

    def ring(self) -> None:
        """The moment has come."""
        ...


class Alarms:
    """Who is to be told when, in one loop; used by its thread alone.

    Args:
        loop: whose time it is.
        patient: whether the timer is left to run out when nobody needs it.
    """

    __slots__ = ("_loop", "_next", "_patient", "_timer", "_wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, patient: bool) -> None:
        self._loop = weakref.ref(loop)
        self._patient = patient
        self._wanted: dict[Alarm, float] = {}
        self._timer: weakref.ref[asyncio.TimerHandle] | None = None
        self._next = inf

    def belong_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Say whether they are this loop's."""
        return self._loop() is loop

    @property
    def over(self) -> bool:
        """Whether their loop is closed or gone."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    def add(self, alarm: Alarm, seconds: float) -> None:
        """Have it ring in so many seconds, unless it is dropped before."""
        self._wanted[alarm] = moment = asyncio.get_running_loop().time() + seconds
        if moment < self._next:
            self._set(moment)

    def drop(self, alarm: Alarm) -> None:
        """It need not ring any more, or has."""
        self._wanted.pop(alarm, None)
        if not (self._wanted or self._patient):
            self._stop()

    def _set(self, moment: float) -> None:
        self._stop()
        self._next = moment
        self._timer = weakref.ref(asyncio.get_running_loop().call_at(moment, self._ring))

    def _stop(self) -> None:
        timer = None if self._timer is None else self._timer()
        if timer is not None:
            timer.cancel()
        self._timer, self._next = None, inf

    def _ring(self) -> None:
        self._timer, self._next = None, inf
        now = asyncio.get_running_loop().time() + _EARLY
        due = [alarm for alarm, moment in self._wanted.items() if moment <= now]
        for alarm in due:
            del self._wanted[alarm]
            alarm.ring()
        if self._wanted:
            earliest = min(self._wanted.values())
            self._set(max(earliest, now + _BATCH * len(self._wanted)) if self._patient else earliest)
