"""The deadlines of the calls that run in one asyncio loop, on one timer.

A timer of its own for each call costs more than all else that a deadline does: it is made, sorted into the loop's heap,
and cancelled a moment later, since nearly all calls end in time. Here a call only stands in a dict while it runs, and
one timer is set for the earliest of them. It is left to run out when nobody needs it any more, unless the time is
virtual: there it would be a moment to jump to.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol

_EARLY = 1e-6
"""Seconds that a timer may come early: a loop's own resolution."""


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

    __slots__ = ("_next", "_patient", "_timer", "_wanted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, patient: bool) -> None:
        self.loop = loop
        self._patient = patient
        self._wanted: dict[Alarm, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = inf

    def add(self, alarm: Alarm, seconds: float) -> None:
        """Have it ring in so many seconds, unless it is dropped before."""
        self._wanted[alarm] = moment = self.loop.time() + seconds
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
        self._timer = self.loop.call_at(moment, self._ring)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._next = None, inf

    def _ring(self) -> None:
        self._timer, self._next = None, inf
        now = self.loop.time() + _EARLY
        due = [alarm for alarm, moment in self._wanted.items() if moment <= now]
        for alarm in due:
            del self._wanted[alarm]
            alarm.ring()
        if self._wanted:
            self._set(min(self._wanted.values()))
