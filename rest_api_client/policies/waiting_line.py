"""Lines of waiting calls: first come, first served, across threads, tasks and event loops.

Whoever wants something that may be short enters the line of its key. Only the head of a line asks for it, and sleeps
when it is not there yet; all others wait for an event of their own, which costs nothing and wakes nobody else. Leaving
makes the next one head. So nobody overtakes, nobody polls, and a large request that came first is not passed over.

A waiter may be cancelled at any time: its `leave`, in a `finally`, takes it out, and if it had just become head it
hands that on. A waiter whose event loop is gone cannot be woken; its event says so, and it is dropped for the next one.
Entering and leaving cost the same whoever leaves and however long the line is.

A line also knows how much those in it want together (`before`), so that a newcomer can be told what it stands behind.

Python's collector may end an abandoned call at any moment, and that call leaves its line then: in the same thread, even
between two lines of code that hold the lock. So the lock is reentrant, and what is read here may be gone a line later.

Lines live in one process. Quota can be shared between processes; a place in a line cannot.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from rest_api_client.forks import in_child
from rest_api_client.runtime import Event, Runtime

_OVERSLEPT = 1.0
"""Seconds by which the head of a line may be late before a newcomer looks whether its event loop is gone."""


class Place:
    """A place in the line of `key`. `event` is what its owner waits for."""

    __slots__ = ("due", "event", "key", "nudged", "wanted")

    def __init__(self, key: str, event: Event, wanted: tuple[int, ...]) -> None:
        self.key = key
        self.event = event
        self.wanted = wanted
        self.nudged = False
        self.due: float | None = None


class Line:
    """The places of one key in their order, and what their owners want together."""

    __slots__ = ("places", "wanted")

    def __init__(self) -> None:
        self.places: OrderedDict[Place, None] = OrderedDict()
        self.wanted: list[int] = []

    @property
    def head(self) -> Place | None:
        """The first place."""
        for place in self.places:
            return place
        return None  # pragma: no cover  where the collector came between, and nobody is left

    def add(self, place: Place) -> None:
        """Put a place at the end."""
        self.places[place] = None
        self._count(place.wanted, 1)

    def remove(self, place: Place) -> None:
        """Take a place out, wherever it is."""
        del self.places[place]
        self._count(place.wanted, -1)

    def _count(self, wanted: Iterable[int], sign: int) -> None:
        for index, amount in enumerate(wanted):
            if index == len(self.wanted):
                self.wanted.append(0)
            self.wanted[index] += sign * amount


class WaitingLines:
    """One line per key, for threads, tasks and loops alike. Travels empty: a copy or a pickle has no waiters.

    `busy` has the keys that somebody waits for; ask it what is in it, and leave it as it is. Whoever finds a line empty
    came before all who enter it later.
    """

    def __init__(self) -> None:
        self.busy: dict[str, Line] = {}
        self._lock = threading.RLock()
        in_child(self.forget)

    def enter(self, key: str, runtime: Runtime, wanted: tuple[int, ...] = ()) -> tuple[Place, int]:
        """Take the last place of a line, and say how many stand before it. With none before it, it is the head."""
        place = Place(key, runtime.event(), wanted)
        with self._lock:
            line = self.busy.get(key) or Line()
            line.add(place)
            self.busy[key] = line
            head, ahead = line.head, len(line.places) - 1
        if head is not None and head.due is not None and head.due < runtime.now():
            self.nudge(key)
        return place, ahead

    def before(self, key: str) -> tuple[int, tuple[int, ...]]:
        """How many a newcomer would stand behind, and what they want together."""
        with self._lock:
            line = self.busy.get(key)
            return (0, ()) if line is None else (len(line.places), tuple(line.wanted))

    async def turn(self, place: Place, runtime: Runtime, timeout: float | None) -> bool:
        """Wait to become the head; False if `timeout` seconds passed first."""
        return await runtime.wait(place.event, timeout)

    async def rest(self, place: Place, runtime: Runtime, seconds: float) -> None:
        """As the head: wait so long, or less if something was given back (`nudge`) since the last rest."""
        event = runtime.event()
        with self._lock:
            place.event = event
            nudged, place.nudged = place.nudged, False
            place.due = runtime.now() + seconds + _OVERSLEPT
        if not nudged:
            await runtime.wait(event, seconds)

    def nudge(self, key: str) -> None:
        """Something was given back: have the head of a line ask again."""
        with self._lock:
            head = self._head(key)
            if head is None:
                return
            head.nudged, event = True, head.event
        if not event.set():  # its loop is gone: the next one is the head
            self.leave(head)

    def leave(self, place: Place) -> None:
        """Give up a place, served or not. If it was the head's, the next one that can be woken becomes head."""
        if self._remove(place):
            self._wake_head(place.key)

    def _remove(self, place: Place) -> bool:
        """Take a place out; whether it was the head's and leaves others behind."""
        with self._lock:
            line = self.busy.get(place.key)
            if line is None or place not in line.places:  # its loop was taken for gone, or the process forked
                return False
            was_head = line.head is place
            line.remove(place)
            if not line.places:
                self.busy.pop(place.key, None)
        return was_head and bool(line.places)

    def _wake_head(self, key: str) -> None:
        while True:
            with self._lock:
                head = self._head(key)
            if head is None or head.event.set():
                return
            self._remove(head)

    def _head(self, key: str) -> Place | None:
        line = self.busy.get(key)
        return None if line is None else line.head

    def forget(self) -> None:
        """Start afresh, as all do in a forked child: those who waited are not here, and one may have held the lock."""
        self.busy, self._lock = {}, threading.RLock()

    def __reduce__(self) -> tuple[type[WaitingLines], tuple[()]]:
        return WaitingLines, ()


def lines_of(state: Any) -> WaitingLines:
    """The lines that come with a state of this process; new ones for a store elsewhere, which has none."""
    lines = getattr(state, "lines", None)
    return lines if isinstance(lines, WaitingLines) else WaitingLines()
