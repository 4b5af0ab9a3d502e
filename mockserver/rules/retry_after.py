"""No request before its Retry-After has elapsed (RFC 9110, section 10.2.3).

Judged on the server's clock alone: who was answered `Retry-After: 2` at 10.0 s must not arrive before 12.0 s with the
same call, nor with another request of the same caller for the same target.

Who could not know is not judged: a request that came over another connection within `grace` seconds of the answer was
sent before the answer was read. For the same call that is so only with hedging, and `hedge_grace` is much shorter. On
the same connection, and in process, whoever sends has read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mockserver.journal import Entry
from mockserver.rules.violation import Violation, wait_asked
from rest_api_client.lazy_dataclasses import dataclass

_STANDING = 32
"""Unexpired Retry-Afters that are remembered of one caller and target: a hammering client collects thousands."""


@dataclass(frozen=True, kw_only=True)
class RetryAfterKept:
    """Nobody comes back sooner than asked.

    Attributes:
        tolerance: seconds by which a request may be early: clocks have a resolution, timers too.
        grace: seconds after an answer in which another request of the same caller may still be on its way.
        hedge_grace: the same, for another attempt of the same call.
        longest: a longer Retry-After is not believed by a careful client, and not judged; None for no such bound.
    """

    tolerance: float = 0.02
    grace: float = 0.1
    hedge_grace: float = 0.005
    longest: float | None = None

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation for each request that came too early."""
        asked: dict[tuple[str, ...], list[Entry]] = {}
        for entry in sorted(entries, key=_moment):
            told = next(self._broken(entry, asked), None)
            if told is not None:
                yield _early(told, entry)
            if entry.not_before is not None and self._believable(entry):
                for key in _keys(entry):
                    standing = asked.setdefault(key, [])
                    standing.append(entry)
                    if len(standing) > _STANDING:  # the first have been heard by all, the last reach furthest
                        del standing[_STANDING // 2]

    def _believable(self, entry: Entry) -> bool:
        return self.longest is None or wait_asked(entry) <= self.longest

    def _broken(self, entry: Entry, asked: dict[tuple[str, ...], list[Entry]]) -> Iterator[Entry]:
        """What was asked of this request's call or caller, and not kept by it."""
        for key in _keys(entry):
            standing = asked.get(key, [])
            standing[:] = [each for each in standing if (each.not_before or 0.0) > entry.arrived + self.tolerance]
            yield from (each for each in reversed(standing) if self._knew(each, entry))

    def _knew(self, told: Entry, entry: Entry) -> bool:
        since = entry.arrived - (told.answered or 0.0)
        if since < 0:
            return False
        if told.connection and told.connection == entry.connection:
            return True
        if told.call_id is not None and told.call_id == entry.call_id:
            return not entry.connection or since >= self.hedge_grace
        return since >= self.grace


def _moment(entry: Entry) -> float:
    return entry.arrived


def _keys(entry: Entry) -> Iterator[tuple[str, ...]]:
    target = (entry.method, entry.path, entry.query)
    if entry.call_id is not None:
        yield ("call", entry.call_id, *target)
    yield ("caller", entry.caller, *target)


def _early(told: Entry, entry: Entry) -> Violation:
    assert told.not_before is not None
    return Violation(
        rule="retry_after",
        text=f"#{told.index} was answered {told.status} with Retry-After {wait_asked(told):.3f} s; "
        f"#{entry.index} came {told.not_before - entry.arrived:.3f} s too early.",
        mend="read Retry-After (seconds, or an HTTP date) on every answer, and send nothing to that target before",
        entries=(told, entry),
    )
