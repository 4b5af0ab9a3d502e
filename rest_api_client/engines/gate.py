"""The gate: how many exchanges may be on the wire at once, in all and per origin.

First come, first served, for threads, loops and trio runs alike: each waits for an event of its own runtime, and a
permit is handed over, never thrown back for whoever is quickest. The rule that keeps it fair: after every change, no
waiter that could go in is left waiting. So a newcomer that finds room takes nobody's place: those who still wait, wait
for their own origin.

A permit belongs to one exchange until its body has ended. A waiter that gives up in the moment it is let in passes its
permit on; one whose loop is gone is skipped.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import field

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
    _queue: deque[_Waiter] = field(default_factory=deque)
    # Reentrant: the collector may end an abandoned call, which gives its permit back, in the midst of these lines.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def of(cls, options: ConnectionOptions) -> Gate:
        """The gate these options ask for."""
        return cls(total=options.max_connections, per_origin=options.max_connections_per_host)

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._queue)

    def admit(self, origin: Origin) -> Permit | None:
        """A permit where there is room, else None. The time is not looked at: whoever sends next does that."""
        with self._lock:
            return Permit(self, origin) if self._let_in(origin) else None

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
            if self._let_in(origin):
                return None
            waiter = _Waiter(origin, passage.runtime.event())
            self._queue.append(waiter)
            return waiter

    def _let_in(self, origin: Origin) -> bool:
        """Count one in, if there is room."""
        if self.total is not None and self.inside >= self.total:
            return False
        if self.per_origin is not None:
            if self._each[origin] >= self.per_origin:
                return False
            self._each[origin] += 1
        self.inside += 1
        return True

    def _give_up(self, waiter: _Waiter) -> None:
        with self._lock:
            if not waiter.admitted:
                self._queue.remove(waiter)
            if not waiter.admitted or waiter.lost:
                return
        self.leave(waiter.origin)

    def leave(self, origin: Origin) -> None:
        """Give one permit back, and let in who may go now."""
        while True:
            with self._lock:
                self.inside -= 1
                if self.per_origin is not None:
                    self._each[origin] -= 1
                    if not self._each[origin]:
                        del self._each[origin]
                waiter = self._next() if self._queue else None
            if waiter is None or waiter.event.set():
                return
            waiter.lost = True  # its loop is gone: its permit goes on to the next
            origin = waiter.origin

    def _next(self) -> _Waiter | None:
        # One permit came back, so at most one waiter can go in.
        for waiter in list(self._queue):
            if self._let_in(waiter.origin):
                self._queue.remove(waiter)
                waiter.admitted = True
                return waiter
        return None
