"""Logical calls: which requests were attempts of the same one.

`x-call-id` says so, or the journal's `identify`. Where neither does, it is assumed: a request continues another of the
same caller, method, target and body when that one had failed and ended before, no longer than `window` seconds ago. A
request that was answered well is never continued: asking for the same thing twice is no retry. What comes on the same
connection goes on with what failed there; else the longest ended is continued, each by one request at most, and an
answered one only after a tenth of a second: so a hundred clients doing the same at once remain a hundred calls.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import field
from itertools import pairwise
from typing import TypeAlias

from mockserver.journal import Entry
from rest_api_client.lazy_dataclasses import dataclass

WINDOW = 60.0
"""Seconds after which an equal request is no longer taken for another attempt."""

SETTLED = 0.1
"""Seconds after an answer before which an equal request on another connection is taken for somebody else's."""

RETRYABLE = frozenset({408, 425, 429, 499, 500, 502, 503, 504})


_Alike: TypeAlias = tuple[str, str, str, str, str | None]


@dataclass(slots=True)
class Call:
    """The requests of one logical call, in order of arrival; `assumed` where nothing names it."""

    assumed: bool
    entries: list[Entry] = field(default_factory=list)

    @property
    def said(self) -> str:
        """What to call it in a message."""
        first = self.entries[0]
        if not self.assumed:
            return f"call {first.call_id}"
        return f"one call (assumed: the same {first.method} {first.target} of the same caller, after a failure)"

    def gaps(self) -> Iterator[tuple[Entry, Entry, float]]:
        """Each two attempts in a row on one target, the first of which failed, and the seconds waited between.

        A hedge, which does not wait for the end of the attempt before it, is no pair.
        """
        for before, after in pairwise(self.entries):
            same = (before.method, before.path, before.query) == (after.method, after.path, after.query)
            ended = before.finished if before.answered is None else before.answered
            if same and failed(before) and ended is not None and ended <= after.arrived:
                yield before, after, after.arrived - ended


def failed(entry: Entry) -> bool:
    """Whether its answer was one that a client may retry after: none at all, or a status that says so."""
    return entry.finished is not None and (entry.status is None or entry.status in RETRYABLE)


def calls(entries: Iterable[Entry], window: float = WINDOW) -> list[Call]:
    """The logical calls, in the order in which they began."""
    found: list[Call] = []
    named: dict[str, Call] = {}
    assumed = _Assumed(window)
    for entry in entries:
        call = assumed.continued(entry) if entry.call_id is None else named.get(entry.call_id)
        if call is None:
            call = Call(assumed=entry.call_id is None)
            found.append(call)
            if entry.call_id is not None:
                named[entry.call_id] = call
        call.entries.append(entry)
        if call.assumed:
            assumed.ended(entry, call)
    return found


class _Assumed:
    """The failed requests that nobody has continued yet, per caller and request, by when they may be."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._waiting: dict[_Alike, list[tuple[float, int, Call]]] = {}
        self._latest: dict[tuple[_Alike, int], tuple[int, Call]] = {}
        self._taken: set[int] = set()

    def continued(self, entry: Entry) -> Call | None:
        """The call that this request goes on with."""
        alike = _alike(entry)
        index, call = self._latest.get((alike, entry.connection), (-1, None))
        if call is None or index in self._taken or not self._follows(call.entries[-1], entry):
            index, call = self._oldest(self._waiting.get(alike, []), entry)
        self._taken.add(index)
        return call

    def _follows(self, before: Entry, entry: Entry) -> bool:
        ended = before.finished or 0.0
        return ended <= entry.arrived <= ended + self._window

    def _oldest(self, waiting: list[tuple[float, int, Call]], entry: Entry) -> tuple[int, Call | None]:
        while waiting and (waiting[0][1] in self._taken or waiting[0][0] < entry.arrived - self._window):
            heapq.heappop(waiting)
        if waiting and waiting[0][0] <= entry.arrived:
            return heapq.heappop(waiting)[1:]
        return -1, None

    def ended(self, entry: Entry, call: Call) -> None:
        """This request may be continued, if it failed."""
        # Cut after it was done: the status may be a good one, and the client has not seen it.
        lost = entry.fault_id is not None and entry.processed
        if entry.finished is None or not (failed(entry) or lost):
            return
        alike = _alike(entry)
        elsewhere = entry.finished + (0.0 if entry.status is None or lost or not entry.connection else SETTLED)
        heapq.heappush(self._waiting.setdefault(alike, []), (elsewhere, entry.index, call))
        if entry.connection:
            self._latest[alike, entry.connection] = (entry.index, call)


def _alike(entry: Entry) -> _Alike:
    return (entry.caller, entry.method, entry.path, entry.query, entry.body_digest or entry.idempotency_key)
