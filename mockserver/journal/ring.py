"""The journal: a ring of entries, and counters that count for ever.

An entry is made when the head of a request has been received, before anything is decided about it, and is filled in
as the answer goes out: the status before its first byte, so that a client which has read the answer finds it here. A
request still being served is there too, with `status` None.

The ring holds 10,000 unless told; the oldest fall out. The server's thread writes, any thread may read: what is read is
a copy of the ring, which goes on without it. Whoever waits for silence is woken by the writer; nobody polls.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import Unpack

import anyio.to_thread

from mockserver.journal.entry import Entry, Wanted
from mockserver.journal.scribe import Scribe
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass

# Beyond these, the numbering of calls per target (see Entry.call) forgets the longest unused and starts anew.
REMEMBERED_TARGETS = 10_000
REMEMBERED_CALLS = 1_000

_SHOWN = 5
"""Requests in flight that an error names."""


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
    """Every request, in order of arrival. Safe to read from any thread, while others write.

    Args:
        size: how many entries are kept.
        scribe: makes entries; says how callers and calls are told apart and whether bodies are kept.

    Raises:
        ValueError: for a size below 1.
    """

    def __init__(self, size: int = 10_000, scribe: Scribe | None = None) -> None:
        if size < 1:
            raise ValueError(f"the journal's size must be at least 1, not {size!r}")
        self.scribe = Scribe() if scribe is None else scribe
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._listeners = 0
        self._ring: deque[Entry] = deque(maxlen=size)
        self._opened = self._closed = self._accepted = self._processed = self._faults = 0
        self._statuses: Counter[int] = Counter()
        self._targets: OrderedDict[tuple[str, str, str], _Target] = OrderedDict()
        self._last = 0.0  # when something was last opened, on time.monotonic()

    # ------------------------------------------------------------------ writing

    def entry(self, seen: Seen, arrived: float) -> Entry:
        """An entry for a request whose head has been received; to be opened next."""
        return self.scribe.entry(seen, arrived)

    def open(self, entry: Entry) -> None:
        """Take in a request whose head has been received: number it, and count it."""
        with self._lock:
            entry.index = self._opened
            self._opened += 1
            entry.call = self._target(entry).number(entry.call_id if entry.attempt else None)
            self._ring.append(entry)
            self._last = time.monotonic()

    def body(self, entry: Entry, body: bytes) -> None:
        """Note what the body was. Called only where it has been read to its end."""
        self.scribe.body(entry, body)

    def answer(self, entry: Entry, status: int, now: float) -> None:
        """Note the status, before its first byte is sent."""
        with self._lock:
            entry.status, entry.answered = status, now
            self._statuses[status] += 1

    def ask_to_wait(self, entry: Entry, value: str, wall: float) -> None:
        """Note the Retry-After that was answered, in seconds or as a date; any other value is no instruction.

        Args:
            entry: has been answered.
            value: of the header field.
            wall: seconds since 1970 at the moment of the answer, on the clock by which the date was made.
        """
        if value.isascii() and value.isdigit() and len(value) < 10:
            entry.retry_after = int(value)
            wait: float | None = entry.retry_after
        else:
            wait = _until(value, wall)
        if wait is not None and entry.answered is not None:
            entry.not_before = entry.answered + max(0.0, wait)

    def close(self, entry: Entry, now: float) -> None:
        """Note that nothing more will be sent, and what came of it."""
        with self._lock:
            entry.finished = now
            self._closed += 1
            self._accepted += entry.accepted
            self._processed += entry.processed
            self._faults += entry.fault_id is not None
            if self._listeners and self._closed == self._opened:
                self._changed.notify_all()

    def clear(self) -> None:
        """Forget the entries. The counters, and the numbering of requests and calls, go on."""
        with self._lock:
            self._ring.clear()

    def _target(self, entry: Entry) -> _Target:
        key = (entry.method, entry.path, entry.query)
        target = self._targets.get(key)
        if target is not None:
            self._targets.move_to_end(key)
            return target
        target = self._targets[key] = _Target()
        if len(self._targets) > REMEMBERED_TARGETS:
            self._targets.popitem(last=False)
        return target

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: requests, in_flight, and of those finished accepted, processed and faults."""
        with self._lock:
            return {
                "requests": self._opened,
                "in_flight": self._opened - self._closed,
                "accepted": self._accepted,
                "processed": self._processed,
                "faults": self._faults,
            }

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

    def __iter__(self) -> Iterator[Entry]:
        """The entries held at this moment, oldest first."""
        return iter(self.entries)

    def __len__(self) -> int:
        """How many entries are held."""
        return len(self._ring)

    @property
    def mark(self) -> int:
        """The index that the next request will have: give it to `since` later."""
        return self.counts["requests"]

    def since(self, mark: int) -> tuple[Entry, ...]:
        """The entries still held of what arrived after `mark` was taken."""
        with self._lock:
            first = self._ring[0].index if self._ring else mark
            return tuple(itertools.islice(self._ring, max(0, mark - first), None))

    def find(self, *where: Callable[[Entry], bool], **wanted: Unpack[Wanted]) -> tuple[Entry, ...]:
        """The entries still held which have all these values, and of which each function is true.

            journal.find(method="POST", status=201)
            journal.find(lambda entry: entry.arrived > 3, path="/users")

        Raises:
            TypeError: for a name that entries do not have.
        """
        unknown = wanted.keys() - Wanted.__annotations__.keys()
        if unknown:
            raise TypeError(f"entries cannot be picked by {sorted(unknown)}: use {', '.join(Wanted.__annotations__)}")
        if not wanted and not where:
            return self.entries
        values = attrgetter(*wanted) if wanted else lambda _: ()
        expected: object = tuple(wanted.values()) if len(wanted) != 1 else next(iter(wanted.values()))
        return tuple(
            entry for entry in self.entries if values(entry) == expected and all(each(entry) for each in where)
        )

    def count(self, *where: Callable[[Entry], bool], **wanted: Unpack[Wanted]) -> int:
        """How many entries still held `find` would find. For totals since the start see `counts`."""
        return len(self.find(*where, **wanted))

    def arrivals(self, call_id: str) -> dict[int, float]:
        """When each attempt of one call arrived, by its number, or by its place in line where it brought none."""
        attempts = self.find(call_id=call_id)
        return {entry.attempt or place: entry.arrived for place, entry in enumerate(attempts, 1)}

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

    # ------------------------------------------------------------------ waiting

    def wait_until_quiet(self, timeout: float = 5.0, *, quiet: float = 0.0) -> None:
        """Return when nothing is in flight and nothing has arrived for `quiet` seconds. Blocks the thread.

        Call it before asking what happened: a client that lost patience knows so before the server does.

        Args:
            timeout: seconds that this may take.
            quiet: seconds without an arrival. 0 is enough where nobody sends any more.

        Raises:
            ValueError: for a time that is not above 0 (`timeout`) or below 0 (`quiet`).
            TimeoutError: it did not fall silent; says what is still in flight.
        """
        if not timeout > 0 or not quiet >= 0:
            raise ValueError(f"timeout must be above 0 and quiet not below 0 seconds, not {timeout!r} and {quiet!r}")
        end = time.monotonic() + timeout
        with self._changed:
            self._listeners += 1
            try:
                while (wait := self._noise(quiet)) > 0:
                    left = end - time.monotonic()
                    if left <= 0:
                        raise TimeoutError(self._still(timeout, quiet))
                    self._changed.wait(min(wait, left))
            finally:
                self._listeners -= 1

    async def until_quiet(self, timeout: float = 5.0, *, quiet: float = 0.0) -> None:
        """`wait_until_quiet` for asyncio and trio: a thread waits meanwhile, the loop goes on."""
        await anyio.to_thread.run_sync(lambda: self.wait_until_quiet(timeout, quiet=quiet), abandon_on_cancel=True)

    def _noise(self, quiet: float) -> float:
        """Seconds until it may be quiet; infinite until something in flight has ended."""
        if self._opened > self._closed:
            return threading.TIMEOUT_MAX
        return self._last + quiet - time.monotonic() if self._last else 0.0

    def _still(self, timeout: float, quiet: float) -> str:
        open_ = [f"{entry.method} {entry.target} (number {entry.index})" for entry in self._ring if not entry.finished]
        if self._opened == self._closed:
            return f"requests kept arriving: in {timeout:g} s there were never {quiet:g} s without one"
        more = f" and {len(open_) - _SHOWN} more" if len(open_) > _SHOWN else ""
        named = ", ".join(open_[:_SHOWN]) or "no longer in the ring"
        return f"still in flight after {timeout:g} s: {named}{more}. Close the client first, or give it a timeout"

    # ------------------------------------------------------------------ showing

    def to_json(self) -> dict[str, object]:
        """The whole journal as plain data: `version`, `counts`, `statuses`, `entries`."""
        return {
            "version": 1,
            "counts": self.counts,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "entries": [entry.to_json() for entry in self.entries],
        }


def _until(value: str, wall: float) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() - wall
    except (ValueError, OverflowError):
        return None


def busiest(times: Iterable[float], period: float) -> int:
    """The most of these times (rising) that lie in any window [t, t + period)."""
    window: deque[float] = deque()
    most = 0
    for moment in times:
        window.append(moment)
        while moment - window[0] >= period:
            window.popleft()
        most = max(most, len(window))
    return most
