"""The verdict: checks over the server's journal and the clients' records, in plain code, with the figures.

Each check is a function of a `Case`; what speaks against it is listed entry by entry. Requests are matched by call id
and attempt number, so that no check compares two clocks:

- Retry-After is judged on the server's clock alone: for each call, the next attempt must arrive no sooner than
  `retry_after` seconds after the answer that named it began to go out.
- A client *has learned the limit* when the first answer that passed the limiter (all of those carry the RateLimit
  fields) has been through all of its policies: one moment on its own clock. What it began before may still be refused;
  a 429 for anything begun later is a failure. Each client learns anew.
- The most requests in any window is counted over the arrivals of what was begun after that moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise

from mockserver.demo.records import UNSENT, Attempt, Record
from mockserver.demo.stage import Seen
from mockserver.journal import Entry, busiest
from rest_api_client.lazy_dataclasses import dataclass

Name = tuple[str | None, int | None]
"""Call id and attempt number: one request."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim, what it rests on, and what speaks against it."""

    name: str
    figures: str
    against: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.against


class Side:
    """One client's record beside what the server saw of it."""

    def __init__(self, record: Record, seen: Seen) -> None:
        self.record = record
        self.seen = seen
        self.attempts: dict[Name, Attempt] = {(each.call, each.number): each for each in record.attempts}
        calls = {each.call for each in record.attempts} | {each.call for each in record.results}
        self.entries = [entry for entry in seen.entries if entry.call_id in calls]

    @cached_property
    def learned(self) -> float:
        """When the client had learned the limit, on its own clock; infinite when no answer told it."""
        told = (self.attempts.get(name(entry)) for entry in self.entries if passed_limiter(entry))
        return min((attempt.ended for attempt in told if attempt is not None), default=float("inf"))

    @cached_property
    def informed(self) -> list[Entry]:
        """The requests begun after the client had learned the limit, in order of arrival."""
        return [entry for entry in self.entries if self._begun(entry) >= self.learned]

    def _begun(self, entry: Entry) -> float:
        attempt = self.attempts.get(name(entry))
        return attempt.begun if attempt is not None else float("-inf")

    @property
    def busiest(self) -> int:
        """The most arrivals in any of the limit's windows, once the limit was learned."""
        return busiest((entry.arrived for entry in self.informed), self.seen.window)


@dataclass(frozen=True, kw_only=True)
class Case:
    """All there is to judge: what the server saw, what the clients noted, and how long the whole took."""

    seen: Seen
    records: tuple[Record, ...]
    seconds: float
    most_seconds: float

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """Per client."""
        return tuple(Side(record, self.seen) for record in self.records)


def check_all(case: Case) -> list[Check]:
    """All checks, in the order in which they are shown."""
    checks = (
        nothing_lost,
        nothing_twice,
        same_story,
        retry_after_kept,
        limit_kept,
        windows_kept,
        stage_was_set,
        in_time,
    )
    return [check(case) for check in checks]


def nothing_lost(case: Case) -> Check:
    """Everything asked for has come, and is what was asked for; each order is at the server."""
    against: list[str] = []
    for side in case.sides:
        record = side.record
        missing = Counter(record.work) - Counter(result.work for result in record.results)
        against += [f"{record.client}: {work} has no result" for work in missing.elements()]
        against += [f"{record.client}: {each.work}: {each.error}" for each in record.results if each.error]
        done = {entry.call_id for entry in side.entries if entry.processed}
        against += [
            f"{record.client}: {each.work}: the server never did it"
            for each in record.results
            if not each.error and each.call not in done
        ]
    wanted = sum(len(record.work) for record in case.records)
    good = sum(not each.error for record in case.records for each in record.results)
    return Check(name="nothing lost", figures=f"{good} good answers to {wanted} calls", against=tuple(against))


def nothing_twice(case: Case) -> Check:
    """The server did nothing twice for one call or one idempotency key, and got no request twice."""
    entries = case.seen.entries
    done = [entry for entry in entries if entry.processed]
    posts = [entry for entry in done if entry.method == "POST"]
    against = [
        *_repeated("done", done, lambda entry: entry.call_id),
        *_repeated("done, by its idempotency key,", done, lambda entry: entry.idempotency_key),
        *_repeated("received", entries, lambda entry: name(entry) if entry.call_id else None),
        *(f"{say(entry)}: done without an idempotency key" for entry in posts if entry.idempotency_key is None),
        *_repeated_work(case.records),
    ]
    figures = f"{len(done)} requests done, {len(posts)} of them POST, each once"
    return Check(name="nothing sent twice", figures=figures, against=tuple(against))


def _repeated(what: str, entries: Iterable[Entry], key: Callable[[Entry], Name | str | None]) -> Iterator[str]:
    groups: dict[Name | str | None, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    for each, group in groups.items():
        if each is not None and len(group) > 1:
            yield f"{what} {len(group)} times: {'; '.join(map(say, group))}"


def _repeated_work(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        for work, times in (Counter(each.work for each in record.results) - Counter(record.work)).items():
            yield f"{record.client}: {work}: {times} result(s) too many"


def same_story(case: Case) -> Check:
    """Every request in the journal is an attempt some client noted, and the other way round, with the same status."""
    noted = {key: each for side in case.sides for key, each in side.attempts.items()}
    arrived = {name(entry): entry for entry in case.seen.entries}
    against = [f"{say(entry)}: no client sent it" for key, entry in arrived.items() if key not in noted]
    for key, attempt in noted.items():
        against += _differences(attempt, arrived.get(key))
    figures = f"{len(case.seen.entries)} requests arrived, {sum(_sent(each) for each in noted.values())} were sent"
    return Check(name="both sides tell the same story", figures=figures, against=tuple(against))


def _differences(attempt: Attempt, entry: Entry | None) -> Iterator[str]:
    said = f"attempt {attempt.number} of call {attempt.call[:8]} ({attempt.reason})"
    if entry is None:
        if _sent(attempt):
            yield f"{said}: it never arrived"
    elif entry.status != attempt.status:
        yield f"{said}: the server answered {entry.status}, the client read {attempt.status}"


def _sent(attempt: Attempt) -> bool:
    return attempt.reason not in UNSENT


def retry_after_kept(case: Case) -> Check:
    """No call came back before the Retry-After of its last answer had passed."""
    margins = [(margin, say(entry)) for side in case.sides for margin, entry in _margins(side.entries)]
    early = tuple(f"{said}: {-margin:.3f} s too early" for margin, said in margins if margin < 0)
    least = f", the soonest came {min(margins)[0]:.3f} s after" if margins else ""
    figures = f"{len(margins)} came back after one{least}"
    return Check(name="no request before its Retry-After had passed", figures=figures, against=early)


def _margins(entries: Iterable[Entry]) -> Iterator[tuple[float, Entry]]:
    """Of each attempt after an answer with Retry-After: by how many seconds it came later than asked."""
    calls: dict[str | None, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.attempt or 0):
        calls.setdefault(entry.call_id, []).append(entry)
    for attempts in calls.values():
        for before, after in pairwise(attempts):
            if before.retry_after is not None and before.answered is not None:
                yield after.arrived - (before.answered + before.retry_after), after


def limit_kept(case: Case) -> Check:
    """A client is refused only for what it began before it had learned the limit."""
    late = {side.record.client: [each for each in side.informed if each.status == 429] for side in case.sides}
    against = [f"{client}: {say(each)}: 429 although the limit was known" for client in late for each in late[client]]
    early = (
        f"{side.record.client} {sum(each.status == 429 for each in side.entries) - len(late[side.record.client])}"
        for side in case.sides
    )
    figures = f"{', '.join(early)} before, {len(against)} after"
    unlearned = [
        f"{side.record.client}: no answer told the limit" for side in case.sides if side.learned == float("inf")
    ]
    return Check(
        name="429s only before the client had learned the limit", figures=figures, against=(*unlearned, *against)
    )


def windows_kept(case: Case) -> Check:
    """Once the limit is learned, never more requests arrive in any window than it allows."""
    seen = case.seen
    most = {side.record.client: side.busiest for side in case.sides}
    against = tuple(
        f"{client}: {count} requests in {seen.window:g} s, {seen.quota} are allowed"
        for client, count in most.items()
        if count > seen.quota
    )
    counts = ", ".join(f"{client} {count}" for client, count in most.items())
    figures = f"the most in any {seen.window:g} s: {counts}"
    return Check(name=f"at most {seen.quota} requests in any window after that", figures=figures, against=against)


def stage_was_set(case: Case) -> Check:
    """There was something to get through: 429s at all, and for each client 503s, latency and a dead period."""
    faults = {side.record.client: _faults(side.entries) for side in case.sides}
    against = [
        f"{client}: no {fault}" for client, counts in faults.items() for fault, count in counts.items() if not count
    ]
    refused = sum(entry.status == 429 for entry in case.seen.entries)
    if not refused:
        against.append("no request was answered 429")
    total = sum((Counter(counts) for counts in faults.values()), Counter({"429": refused}))
    figures = ", ".join(f"{count} x {fault}" for fault, count in total.items())
    return Check(name="the server made it hard", figures=figures, against=tuple(against))


def _faults(entries: Iterable[Entry]) -> dict[str, int]:
    listed = list(entries)
    return {
        "503": sum(entry.status == 503 and entry.accepted for entry in listed),
        "dead": sum(dead(entry) for entry in listed),
        "latency": sum(entry.delay > 0 for entry in listed),
    }


def in_time(case: Case) -> Check:
    """The whole run stays within its time."""
    figures = f"{case.seconds:.1f} s"
    slow = () if case.seconds < case.most_seconds else (f"{figures}, at most {case.most_seconds:g} s are allowed",)
    return Check(name=f"done in under {case.most_seconds:g} seconds", figures=figures, against=slow)


def name(entry: Entry) -> Name:
    """Which request of which call it is."""
    return (entry.call_id, entry.attempt)


def dead(entry: Entry) -> bool:
    """Whether it met a dead period."""
    return not entry.accepted and entry.status != 429


def passed_limiter(entry: Entry) -> bool:
    """Whether its answer told the limit: all but those of a dead period, which lies before the limiter."""
    return entry.status is not None and not dead(entry)


def say(entry: Entry) -> str:
    """One journal entry in a line."""
    call = f"call {(entry.call_id or '?')[:8]} attempt {entry.attempt}"
    return f"#{entry.index} at {entry.arrived:.3f} s {entry.method} {entry.path} {entry.status} ({call})"
