"""A timeline: what clients tried, what a server did, and what the clients decided, against one time.

    Timeline.of(events=events, entries=server.journal).text()

It is made of what both sides keep anyway: events of clients (`APIClient(events=[sink])`) or the attempts that a
response or an error carries, and the journal of a mock server. The two meet by `x-call-id` and `x-attempt`
(`attempt_headers=True`); requests that bring neither are listed by themselves. All moments are seconds of the clients'
clock, virtual or not, and shown from the first one on.

A timeline is plain data: it can be compared, and drawn as text or as a page. No secret is in it: URLs are masked where
it is made, and bodies and credentials never get here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from rest_api_client.events import AttemptEnded, CallEnded, CallStarted, Event, Queued, RateLimited, RetryDecided
from rest_api_client.http.redaction import redact_url
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.reasons import CANCELLED, OK, RETRY, RETURN
from rest_api_client.telemetry import describe

if TYPE_CHECKING:
    from mockserver.journal import Entry
    from rest_api_client.models import Attempt

Kind: TypeAlias = Literal["ok", "failed", "cancelled", "open"]
Explain: TypeAlias = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request, as the server has it.

    Attributes:
        label: its number, method and path.
        start: when its head had arrived.
        end: when all was sent; None while it is served.
        kind: how it was answered.
        text: what was done with it.
    """

    label: str
    start: float
    end: float | None
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt of a call.

    Attributes:
        number: from 1.
        start: when it began.
        end: when it was over; None where it still runs.
        kind: how it ended.
        reason: the same, in the words of the client.
        decided: what the client decided about it, and why.
        pause: seconds until the next attempt, where it was made.
        served: what the server has of it.
    """

    number: int
    start: float
    end: float | None
    kind: Kind
    reason: str
    decided: tuple[str, ...] = ()
    pause: float = 0.0
    served: tuple[Served, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call, with its attempts.

    Attributes:
        label: method and path.
        call_id: by which both sides know it; "" where they do not.
        start: when it began.
        end: when it was over; None where it still runs.
        kind: how it ended.
        outcome: the same, in words.
        tried: its attempts.
        told: what else the client told of it, with the moment.
    """

    label: str
    call_id: str
    start: float
    end: float | None
    kind: Kind
    outcome: str
    tried: tuple[Tried, ...] = ()
    told: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Calls, and requests that belong to none of them, in the order in which they began.

    Attributes:
        called: the calls.
        served: requests that no call is known of.
        title: what it shows.
        unit: what its seconds are: "seconds", or "virtual seconds".
    """

    called: tuple[Called, ...] = ()
    served: tuple[Served, ...] = ()
    title: str = ""
    unit: str = "seconds"

    @classmethod
    def of(
        cls,
        *,
        events: Iterable[Event] = (),
        attempts: Iterable[tuple[str, float, Sequence[Attempt]]] = (),
        entries: Iterable[Entry] = (),
        entries_began: float = 0.0,
        explain: Explain | None = None,
        title: str = "",
        unit: str = "seconds",
    ) -> Timeline:
        """A timeline of what was kept.

        Args:
            events: of clients.
            attempts: of calls that no events tell of: a label, when the call began, and its attempts.
            entries: of a mock server's journal.
            entries_began: when the server began, on the clients' clock.
            explain: says of a fault's id what it was (`Faults.explain`).
            title: what it shows.
            unit: "seconds", or "virtual seconds".
        """
        requests = [arrived(each, entries_began, explain) for each in entries]
        calls = [*calls_of(events), *(_call_of(*each) for each in attempts)]
        return cls.joined(calls, requests, title=title, unit=unit)

    @classmethod
    def joined(
        cls,
        calls: Iterable[Called],
        requests: Iterable[Arrived],
        *,
        title: str = "",
        unit: str = "seconds",
    ) -> Timeline:
        """A timeline of calls (`calls_of`), and of requests of one server or of several (`arrived`)."""
        by_attempt: dict[tuple[str | None, int | None], list[Served]] = {}
        for call_id, attempt, served in requests:
            by_attempt.setdefault((call_id, attempt), []).append(served)
        whole = [_with_served(call, by_attempt) for call in calls]
        loose = [each for rest in by_attempt.values() for each in rest]
        zero = min([each.start for each in whole] + [each.start for each in loose], default=0.0)
        return cls(
            called=tuple(sorted((_from(call, zero) for call in whole), key=lambda each: each.start)),
            served=tuple(sorted((_shift(each, zero) for each in loose), key=lambda each: each.start)),
            title=title,
            unit=unit,
        )

    @property
    def end(self) -> float:
        """The last moment that is known, in seconds from the first."""
        return max(_moments(self), default=0.0)

    def __bool__(self) -> bool:
        """Whether anything happened."""
        return bool(self.called or self.served)

    def text(self, width: int = 100) -> str:
        """For a terminal of so many columns."""
        from pytest_plugin.timeline_text import as_text

        return as_text(self, width)

    def html(self) -> str:
        """One whole page, with its picture in it, that loads nothing from anywhere."""
        from pytest_plugin.timeline_page import page, part

        return page([part(self)], title=self.title or "Timeline")


def _moments(timeline: Timeline) -> Iterator[float]:
    for call in timeline.called:
        yield call.start if call.end is None else call.end
        for tried in call.tried:
            yield (tried.start if tried.end is None else tried.end) + tried.pause
            yield from (each.start if each.end is None else each.end for each in tried.served)
    yield from (each.start if each.end is None else each.end for each in timeline.served)


# What the client keeps ---------------------------------------------------------------------------------------------


@dataclass
class _Open:
    """A call, as far as it is told."""

    label: str
    start: float
    ended: CallEnded | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)
    told: list[tuple[float, str]] = field(default_factory=list)


def calls_of(events: Iterable[Event]) -> Iterator[Called]:
    """The calls that events tell of."""
    calls: dict[str, _Open] = {}
    for event in events:
        call = calls.get(event.call_id)
        if call is None:
            call = calls[event.call_id] = _Open(f"{event.method} {redact_url(event.endpoint)}", event.at)
        match event:
            case CallStarted():
                call.start = event.at
            case CallEnded():
                call.ended = event
            case AttemptEnded():
                call.attempts[event.attempt.number] = event.attempt
            case RetryDecided() | RateLimited(refused=False) | Queued(refused=False):
                pass  # stands in the attempt
            case _ if said := describe(event):
                call.told.append((event.at, said))
    return (_closed(call_id, call) for call_id, call in calls.items())


def _closed(call_id: str, call: _Open) -> Called:
    ended = call.ended
    attempts = [call.attempts[number] for number in sorted(call.attempts)]
    return Called(
        label=call.label,
        call_id=call_id,
        start=call.start,
        end=None if ended is None else ended.at,
        kind="open" if ended is None else _kind(ended.reason, ended.error),
        outcome="not over" if ended is None else _outcome(ended),
        tried=tuple(_tried(each, call.start) for each in attempts),
        told=tuple(call.told),
    )


def _call_of(label: str, began: float, attempts: Sequence[Attempt]) -> Called:
    tried = tuple(_tried(each, began) for each in attempts)
    last = tried[-1] if tried else None
    return Called(
        label=label,
        call_id="",
        start=began,
        end=None if last is None else last.end,
        kind="open" if last is None else last.kind,
        outcome="no attempt" if last is None else last.reason,
        tried=tried,
    )


def _outcome(ended: CallEnded) -> str:
    how = ended.error or f"answered {ended.status_code}"
    why = "" if ended.reason == OK or ended.reason == f"status {ended.status_code}" else f" ({ended.reason})"
    return f"{how}{why}, {_count(ended.attempts, 'attempt')}, {ended.duration:.3f} s"


def _kind(reason: str, error: str | None) -> Kind:
    if reason == CANCELLED:
        return "cancelled"
    return "ok" if reason == OK and error is None else "failed"


def _tried(attempt: Attempt, began: float) -> Tried:
    start = began + attempt.started
    retried = attempt.decision == RETRY
    return Tried(
        number=attempt.number,
        start=start,
        end=start + attempt.elapsed,
        kind=_kind(attempt.reason, attempt.error),
        reason=attempt.reason,
        decided=tuple(_decisions(attempt)),
        pause=(attempt.delay or 0.0) if retried else 0.0,
    )


def _decisions(attempt: Attempt) -> Iterator[str]:
    for note in attempt.notes:
        yield f"{note.policy}: {note.reason}" + (f", held back {note.wait:.3f} s" if note.wait else "")
    if attempt.decision == RETRY:
        yield f"retry in {attempt.delay or 0.0:.3f} s, after {attempt.reason}"
    elif attempt.decision != RETURN:
        yield f"no retry: {attempt.decision}"


# What the server keeps ---------------------------------------------------------------------------------------------


Arrived: TypeAlias = "tuple[str | None, int | None, Served]"
"""A request, with the call and the attempt that it names."""


def arrived(entry: Entry, began: float = 0.0, explain: Explain | None = None) -> Arrived:
    """A request from the journal of a server that began at this moment of the clients' clock."""
    served = Served(
        label=f"#{entry.index} {entry.method} {redact_url(entry.target)}",
        start=began + entry.arrived,
        end=None if entry.finished is None else began + entry.finished,
        kind="open" if entry.finished is None else "ok" if entry.status and entry.status < 400 else "failed",
        text=", ".join(_deeds(entry, explain)),
    )
    return entry.call_id, entry.attempt, served


def _deeds(entry: Entry, explain: Explain | None) -> Iterator[str]:
    if entry.status is not None:
        yield f"answered {entry.status}"
    else:
        yield "in flight" if entry.finished is None else "cut off, nothing answered"
    if entry.fault_id is not None:
        told = explain(entry.fault_id) if explain is not None else None
        yield (told or f"fault {entry.fault_id}").partition(" struck ")[0]
    if not entry.accepted:
        yield "refused by the limit" if entry.status == 429 else "in a dead period"
    yield "processed" if entry.processed else "not processed"
    if entry.delay:
        yield f"{entry.delay:.3f} s late"
    if entry.not_before is not None and entry.answered is not None:
        yield f"asks to wait {entry.not_before - entry.answered:g} s"


# Both --------------------------------------------------------------------------------------------------------------


def _with_served(call: Called, requests: dict[tuple[str | None, int | None], list[Served]]) -> Called:
    if not call.call_id:
        return call
    tried = tuple(replace(each, served=tuple(requests.pop((call.call_id, each.number), ()))) for each in call.tried)
    return replace(call, tried=tried)


def _from(call: Called, zero: float) -> Called:
    tried = tuple(
        replace(
            each,
            start=each.start - zero,
            end=None if each.end is None else each.end - zero,
            served=tuple(_shift(served, zero) for served in each.served),
        )
        for each in call.tried
    )
    end = None if call.end is None else call.end - zero
    told = tuple((at - zero, text) for at, text in call.told)
    return replace(call, start=call.start - zero, end=end, tried=tried, told=told)


def _shift(served: Served, zero: float) -> Served:
    return replace(served, start=served.start - zero, end=None if served.end is None else served.end - zero)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
