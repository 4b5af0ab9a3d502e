"""The journal: what really arrived, when, and what came of it.

An entry is made when the head of a request has been received, before anything is decided about it, and is filled in
as the answer goes out: the status before its first byte, so that a client which has read the answer finds it here. A
request still being served is there too, with `status` None.

Entries are a ring (10,000 by default; the oldest fall out); the counters count for ever. The server's thread writes,
any thread may read.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TypedDict, Unpack

COUNTED = ("requests", "in_flight", "accepted", "processed", "faults")

# Beyond these, the numbering of calls per target (see Entry.call) forgets the longest unused and starts anew.
REMEMBERED_TARGETS = 10_000
REMEMBERED_CALLS = 1_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, as the server saw it.

    Attributes:
        index: counts requests from 0.
        arrived: seconds from the server's start until the head of the request was received (monotonic).
        answered: the same, just before the first byte of the answer goes out. A client that obeys `retry_after` does
            not arrive again before `answered + retry_after`.
        finished: the same, when all has been sent; None while it is being served.
        method: as sent.
        path: without the query, percent-decoded.
        query: as sent, without the question mark.
        call_id: the header `x-call-id`, which names one logical call over all its attempts.
        attempt: the header `x-attempt`, counted from 1.
        idempotency_key: the header `idempotency-key`.
        call: how many other calls this target (method, path and query) had seen before this one.
        accepted: let through by the rate limit. False when refused, and in a dead period, which lies before it.
        processed: it reached the application, which did what it was asked (answered below 400).
        delay: seconds of injected latency.
        fault_id: the name of the fault injected, also sent as `x-fault-id`.
        status: None while none was answered, and for ever where the connection was cut; 499 where the client went away
            before its body was complete (nginx's number for it, sent to nobody).
        retry_after: the header as answered, where it was in seconds.
        bytes_in: received, of the body.
        bytes_out: sent, of the body.
    """

    index: int
    arrived: float
    method: str
    path: str
    query: str = ""
    call_id: str | None = None
    attempt: int | None = None
    idempotency_key: str | None = None
    call: int = 0
    accepted: bool = True
    processed: bool = False
    delay: float = 0.0
    fault_id: str | None = None
    status: int | None = None
    retry_after: int | None = None
    answered: float | None = None
    finished: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def place(self) -> tuple[str, str, str, int, int]:
        """What chance is asked about: the same request of the same call in every run."""
        return (self.method, self.path, self.query, self.call, self.attempt or 1)

    def to_json(self) -> dict[str, object]:
        """All fields, as JSON has them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Wanted(TypedDict, total=False):
    """What entries can be picked by; each given must be equal."""

    method: str
    path: str
    query: str
    call_id: str | None
    attempt: int | None
    idempotency_key: str | None
    accepted: bool
    processed: bool
    fault_id: str | None
    status: int | None


@dataclass(slots=True)
class _Target:
    """How many calls a target has seen, and which number each of the latest named ones got."""

    seen: int = 0
    named: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def number(self, name: str | None) -> int:
        if name is not None and name in self.named:
            return self.named[name]
        number, self.seen = self.seen, self.seen + 1
        if name is not None:
            self.named[name] = number
            if len(self.named) > REMEMBERED_CALLS:
                self.named.popitem(last=False)
        return number


class Journal:
    """Every request, in order of arrival. Safe to read from any thread."""

    def __init__(self, size: int = 10_000) -> None:
        if size < 1:
            raise ValueError(f"the journal's size must be at least 1, not {size!r}")
        self._lock = threading.Lock()
        self._ring: deque[Entry] = deque(maxlen=size)
        self._index = itertools.count()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._targets: OrderedDict[tuple[str, str, str], _Target] = OrderedDict()

    def open(self, entry: Entry) -> None:
        """Take in a request whose head has been received: number it, and count it."""
        with self._lock:
            entry.index = next(self._index)
            entry.call = self._target(entry).number(entry.call_id if entry.attempt else None)
            self._counts["requests"] += 1
            self._counts["in_flight"] += 1
            self._ring.append(entry)

    def answer(self, entry: Entry, status: int, now: float) -> None:
        """Note the status, before its first byte is sent."""
        with self._lock:
            entry.status, entry.answered = status, now
            self._statuses[status] += 1

    def close(self, entry: Entry, now: float) -> None:
        """Note that nothing more will be sent, and what came of it."""
        with self._lock:
            entry.finished = now
            self._counts["in_flight"] -= 1
            self._counts["accepted"] += entry.accepted
            self._counts["processed"] += entry.processed
            self._counts["faults"] += entry.fault_id is not None

    def _target(self, entry: Entry) -> _Target:
        key = (entry.method, entry.path, entry.query)
        target = self._targets.setdefault(key, _Target())
        self._targets.move_to_end(key)
        if len(self._targets) > REMEMBERED_TARGETS:
            self._targets.popitem(last=False)
        return target

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: requests, in_flight, and of those finished accepted, processed and faults."""
        with self._lock:
            return {name: self._counts[name] for name in COUNTED}

    @property
    def statuses(self) -> dict[int, int]:
        """How often each status was answered, since the start."""
        with self._lock:
            return dict(sorted(self._statuses.items()))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that the ring still holds, oldest first."""
        with self._lock:
            return tuple(self._ring)

    def find(self, **wanted: Unpack[Wanted]) -> tuple[Entry, ...]:
        """The entries still held which have all these values: `find(method="POST", status=201)`."""
        unknown = wanted.keys() - Wanted.__annotations__.keys()
        if unknown:
            raise TypeError(f"entries cannot be picked by {sorted(unknown)}: use {', '.join(Wanted.__annotations__)}")
        return tuple(
            entry for entry in self.entries if all(getattr(entry, name) == value for name, value in wanted.items())
        )

    def count(self, **wanted: Unpack[Wanted]) -> int:
        """How many entries still held have all these values. For totals since the start see `counts`."""
        return len(self.find(**wanted))

    def requests_in_any_window(self, period: float, *, accepted_only: bool = True) -> int:
        """The most requests that arrived in any window [t, t + period) seconds, among the entries still held.

        Args:
            period: seconds, above 0.
            accepted_only: leave out what the rate limit refused and what fell into a dead period.
        """
        if not period > 0:
            raise ValueError(f"period must be above 0 seconds, not {period!r}")
        return busiest(
            (entry.arrived for entry in self.entries if entry.accepted or not accepted_only),
            period,
        )

    def to_json(self) -> dict[str, object]:
        """The whole journal as plain data: `version`, `counts`, `statuses`, `entries`."""
        return {
            "version": 1,
            "counts": self.counts,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "entries": [entry.to_json() for entry in self.entries],
        }


def busiest(times: Iterable[float], period: float) -> int:
    """The most of these times (rising) that lie in any window [t, t + period)."""
    window: deque[float] = deque()
    most = 0
    for time in times:
        window.append(time)
        while time - window[0] >= period:
            window.popleft()
        most = max(most, len(window))
    return most
