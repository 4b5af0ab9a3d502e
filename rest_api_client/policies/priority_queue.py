"""Lines of waiting calls by importance: the most important first, and among equals first come, first served.

Whoever has no permit takes a place (`enter`) and waits for an event of its own. Whoever has a permit to give hands it
to the first in line (`grant`): exactly one is woken, and nothing is left for a passer-by to snatch. A waiter whose
event loop is gone cannot be woken; its event says so, and the permit goes to the next one.

A line may be bounded. Where it is full, a newcomer takes the place of the least important waiter, the newest of those,
if that one is less important than itself; else there is no place for it. Who loses a place is woken to be told.

Entering, leaving, granting and shedding take the same time however long the line is.

Lines live in one process. A limit's lines (`waiting_line`) are of another kind, since quota comes back by itself, with
time: there the first in line has to ask again and again. A permit comes back by somebody's hand, and goes to the next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from rest_api_client.forks import in_child
from rest_api_client.runtime import Event, Runtime

PRIORITIES: Final = range(5)
"""0 is shed first, 4 last."""


class Place:
    """A place in the line of `key`. Its owner waits for `event`; then it has a `token`, or was `shed`."""

    __slots__ = ("event", "key", "priority", "shed", "token")

    def __init__(self, key: str, priority: int, event: Event) -> None:
        self.key = key
        self.priority = priority
        self.event = event
        self.token = 0
        self.shed = False


class Line:
    """Those who wait for one key, by priority."""

    __slots__ = ("ranks",)

    def __init__(self) -> None:
        self.ranks: list[OrderedDict[Place, None]] = [OrderedDict() for _ in PRIORITIES]

    def __len__(self) -> int:
        return sum(map(len, self.ranks))

    def first(self) -> Place | None:
        """Take out the next to be served."""
        rank = next((rank for rank in reversed(self.ranks) if rank), None)
        return rank.popitem(last=False)[0] if rank is not None else None

    def least(self, below: int) -> Place | None:
        """Take out the newest of the least important, if that is less important than `below`."""
        rank = next((rank for rank in self.ranks[:below] if rank), None)
        return rank.popitem(last=True)[0] if rank is not None else None


class PriorityLines:
    """One line per key, for threads, tasks and loops alike. Travels empty: a copy or a pickle has no waiters.

    `busy` has the keys that somebody waits for; ask it what is in it, and leave it as it is.
    """

    def __init__(self) -> None:
        self.busy: dict[str, Line] = {}
        # Reentrant: the collector may end an abandoned call, which gives up its place, in the midst of these lines.
        self._lock = threading.RLock()
        in_child(self.forget)

    def enter(self, key: str, priority: int, room: int, runtime: Runtime) -> Place | None:
        """Take a place in a line of at most `room`; None where there is none."""
        place = Place(key, priority, runtime.event())
        with self._lock:
            line = self.busy.get(key) or Line()
            victim = None
            if len(line) >= room:
                victim = line.least(priority)
                if victim is None:
                    return None
                victim.shed = True
            line.ranks[priority][place] = None
            self.busy[key] = line
        if victim is not None:
            victim.event.set()
        return place

    def grant(self, key: str, token: int) -> bool:
        """Hand a permit to the first in line; False if nobody is there who can be woken."""
        while True:
            with self._lock:
                line = self.busy.get(key)
                place = None if line is None else line.first()
                if line is None or place is None:
                    return False
                place.token = token
                self._drop_empty(key, line)
            if place.event.set():
                return True
            place.token = 0  # its loop is gone: its permit goes to the next one

    def leave(self, place: Place) -> bool:
        """Give up a place; False if it was gone already: granted, shed, or lost in a fork."""
        with self._lock:
            line = self.busy.get(place.key)
            if line is None or place not in line.ranks[place.priority]:
                return False
            del line.ranks[place.priority][place]
            self._drop_empty(place.key, line)
        return True

    def _drop_empty(self, key: str, line: Line) -> None:
        if not any(line.ranks):
            self.busy.pop(key, None)

    def ahead(self, key: str, priority: int) -> int:
        """How many would be served before a newcomer of this priority."""
        with self._lock:
            return sum(self._counts(key, PRIORITIES[priority:]))

    def behind(self, key: str, priority: int) -> int:
        """How many would have to make room for a newcomer of this priority, were the line full."""
        with self._lock:
            return sum(self._counts(key, PRIORITIES[:priority]))

    def _counts(self, key: str, priorities: range) -> Iterator[int]:
        line = self.busy.get(key)
        return (len(line.ranks[priority]) for priority in priorities) if line is not None else iter(())

    def forget(self) -> None:
        """Start afresh, as all do in a forked child: those who waited are not here, and one may have held the lock."""
        self.busy, self._lock = {}, threading.RLock()

    def __reduce__(self) -> tuple[type[PriorityLines], tuple[()]]:
        return PriorityLines, ()
