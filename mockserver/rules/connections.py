"""Connections are given back: nothing is left in flight, and a connection that is free is used again.

A request that is still in flight at the end was neither read to its end nor closed by the client.

A new connection is needless when the same caller had one lying idle: its last answer complete and good, more than
`settled` seconds ago and less than the `kept` seconds for which clients keep connections, and never used again after.
That is a warning only: a test may well make a new client for each call.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from mockserver.journal import Entry
from mockserver.rules.calls import failed
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NothingLeftInFlight:
    """Every request has ended. Check when the client is done: `journal.wait_until_quiet()` first."""

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation, with all of them."""
        left = tuple(entry for entry in entries if entry.finished is None)
        if left:
            yield Violation(
                rule="in_flight",
                text=f"{len(left)} of {len(entries)} requests are still being answered.",
                mend="read each answer to its end or close it, give every request a timeout, close the client",
                entries=left,
            )


@dataclass(frozen=True, kw_only=True)
class ConnectionsReused:
    """A warning where connections are opened although others lie idle.

    Attributes:
        most: needless connections per request.
        least: fewer needless ones are never mentioned.
        settled: seconds after its answer until a connection counts as idle.
        kept: seconds for which a client may be expected to keep one.
    """

    most: float = 0.5
    least: int = 20
    settled: float = 0.1
    kept: float = 5.0

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One warning per caller."""
        callers: dict[str, dict[int, list[Entry]]] = {}
        for entry in entries:
            if entry.connection:
                callers.setdefault(entry.caller, {}).setdefault(entry.connection, []).append(entry)
        for caller, connections in callers.items():
            needless = self._needless(connections)
            requests = sum(map(len, connections.values()))
            if len(needless) >= self.least and len(needless) > self.most * requests:
                yield Violation(
                    rule="connections",
                    text=f"{caller!r} opened {len(connections)} connections for {requests} requests, "
                    f"{len(needless)} of them while another lay idle.",
                    mend="keep one client for many calls, and read or close every answer",
                    entries=tuple(needless),
                    warning=True,
                )

    def _needless(self, connections: dict[int, list[Entry]]) -> list[Entry]:
        idle: list[float] = []  # when those ended that are never used again, not yet held against anybody
        opened = sorted((used[0].arrived, number) for number, used in connections.items())
        ended = sorted(
            (used[-1].finished or 0.0) for used in connections.values() if used[-1].finished and not failed(used[-1])
        )
        needless: list[Entry] = []
        place = 0
        for arrived, number in opened:
            while place < len(ended) and ended[place] < arrived - self.settled:
                heapq.heappush(idle, ended[place])
                place += 1
            while idle and idle[0] < arrived - self.kept:
                heapq.heappop(idle)
            if idle:
                heapq.heappop(idle)
                needless.append(connections[number][0])
        return needless
