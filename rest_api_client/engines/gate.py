"""The gate: how many exchanges may be on the wire at once, in all and per origin.

First come, first served, for threads, loops and trio runs alike: each waits for an event of its own runtime, and a
permit is handed over, never thrown back for whoever is quickest. The rule that keeps it fair: after every change, no
waiter that could go in is left waiting. So a newcomer that finds room takes nobody's place: those who still wait, wait
for their own origin. There is a line for each origin, so that letting the next one in looks at as many waiters as there
are origins waited for, however long the lines are.

A permit belongs to one exchange until its body has ended. A waiter that gives up in the moment it is let in passes its
permit on; one whose loop is gone is skipped.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import field
from itertools import count

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.passage import Passage
from rest_api_client.exceptions import PoolTimeout
from rest_api_client.http.urls import Origin
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.runtime import Event


@dataclass(eq=False, slots=True)
class _Waiter:
    origin: Origin
    event: Event
    number: int
    admitted: bool = False
    lost: bool = False


@dataclass(eq=False, slots=True)
class Permit:
    """The right to one connection; `give_back` ends it, once, from any thread."""

    gate: Gate
    origin: Origin
    _gone: bool = False

    def give_back(self) -> None:
        """Let the next one in. Idempotent."""
        if not self._gone:
            self._gone = True
            self.gate.leave(self.origin)


@dataclass(eq=False)
class Gate:
    """Counts permits.

    Attributes:
        total: permits at once, or None for no limit.
        per_origin: permits at once for one origin, or None.
        inside: how many are out, in all.
    """

    total: int | None = None
    per_origin: int | None = None
    inside: int = 0
    _each: Counter[Origin] = field(default_factory=Counter)
    _lines: dict[Origin, OrderedDict[_Waiter, None]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)
    # Reentrant: the collector may end an abandoned call, which gives its permit back, in the midst of these lines.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def of(cls, options: ConnectionOptions) -> Gate:
        """The gate these options ask for."""
        return cls(total=options.max_connections, per_origin=options.max_connections_per_host)

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        with self._lock:
            return sum(map(len, self._lines.values()))

    def admit(self, origin: Origin) -> Permit | None:
        """A permit where there is room, else None. The time is not looked at: whoever sends next does that."""
        with self._lock:
            if not self._fits(origin):
                return None
            self._count(origin, 1)
        return Permit(self, origin)

    async def enter(self, origin: Origin, passage: Passage) -> Permit:
        """Wait for a permit.

        Raises:
            PoolTimeout: none came free within `Timeouts.pool`.
            DeadlineExceeded: nor before the deadline.
            ReadError: the exchange was aborted.
        """
        waiter = self._knock(origin, passage)
        if waiter is not None:
            await self._wait(waiter, passage)
        return Permit(self, origin)

    async def _wait(self, waiter: _Waiter, passage: Passage) -> None:
        patience = passage.patience(passage.exchange.timeouts.pool, PoolTimeout)
        try:
            passage.hold(waiter.event.set)
            while not waiter.admitted:
                await passage.runtime.wait(waiter.event, patience.left())
            passage.hold(None)
        except BaseException:
            self._give_up(waiter)
            raise

    def _knock(self, origin: Origin, passage: Passage) -> _Waiter | None:
        """Go in, or get in line."""
        with self._lock:
            waiter = _Waiter(origin, passage.runtime.event(), next(self._numbers))
            line = self._lines.get(origin) or OrderedDict()
            line[waiter] = None
            self._lines[origin] = line
            # Looked at from the line, so that what the collector gives back meanwhile finds it there.
            if self._fits(origin) and self._take_out(waiter):
                self._count(origin, 1)
                return None
            return waiter

    def _fits(self, origin: Origin) -> bool:
        if self.total is not None and self.inside >= self.total:
            return False
        return self.per_origin is None or self._each[origin] < self.per_origin

    def _count(self, origin: Origin, change: int) -> None:
        self.inside += change
        if self.per_origin is not None:
            self._each[origin] += change
            if not self._each[origin]:
                del self._each[origin]

    def _give_up(self, waiter: _Waiter) -> None:
        with self._lock:
            self._take_out(waiter)
            if not waiter.admitted or waiter.lost:
                return
        self.leave(waiter.origin)

    def leave(self, origin: Origin) -> None:
        """Give one permit back, and let in who may go now."""
        while True:
            with self._lock:
                self._count(origin, -1)
                waiter = self._next() if self._lines else None
            if waiter is None or waiter.event.set():
                return
            waiter.lost = True  # its loop is gone: its permit goes on to the next
            origin = waiter.origin

    def _next(self) -> _Waiter | None:
        """Let in whoever came first of those that fit. One permit came back, so it is one at most."""
        while (waiter := self._first()) is not None:
            if self._take_out(waiter):  # pragma: no branch  unless the collector came between, and it was let in
                self._count(waiter.origin, 1)
                waiter.admitted = True
                return waiter
        return None

    def _first(self) -> _Waiter | None:
        heads = [next(iter(line), None) for origin, line in list(self._lines.items()) if self._fits(origin)]
        return min((waiter for waiter in heads if waiter is not None), key=_number, default=None)

    def _take_out(self, waiter: _Waiter) -> bool:
        """Whether it still stood in its line, where it does not any more."""
        line = self._lines.get(waiter.origin)
        if line is None or line.pop(waiter, waiter) is waiter:
            return False
        if not line:
            self._lines.pop(waiter.origin, None)
        return True


def _number(waiter: _Waiter) -> int:
    return waiter.number
