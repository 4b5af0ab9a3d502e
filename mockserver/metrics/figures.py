"""Figures of the traffic in each phase of a run.

    amplification    requests for each logical call that sent any in the phase; 1 is a client without retries
    wasted           requests that brought nothing: not answered well, or whose effect another attempt of the call,
                     or of its idempotency key, had already had
    recovery         seconds from the end of a phase to the first moment from which on 99 % of all requests (until the
                     end of the run) were answered well; None where that never came
    herd             arrivals in each tenth of a second after a phase

Logical calls are told apart as the rules do it: by `x-call-id`, else assumed. Answered well is any status below 400.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from mockserver.journal import Entry
from mockserver.rules.calls import calls
from mockserver.rules.repeats import IDEMPOTENT
from rest_api_client.lazy_dataclasses import dataclass

HERD_STEP = 0.1
"""Seconds that a bar of the herd histogram stands for."""

RECOVERED = 0.99


class Phase(NamedTuple):
    """A span of the run, in seconds on the clock of the journal: start <= t < end."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class PhaseFigures:
    """One phase.

    Attributes:
        name: of the phase.
        start: seconds.
        end: seconds.
        requests: that arrived in it.
        calls: logical calls that sent any of them.
        amplification: requests for each call; None without any.
        succeeded: requests answered below 400.
        refused: by the rate limit or a dead period.
        processed: requests the application acted on.
        wasted: requests that brought nothing.
        recovery: seconds after its end until things went well for good; None where they never did.
        herd: arrivals in each tenth of a second after its end, up to the end of the next phase.
    """

    name: str
    start: float
    end: float
    requests: int
    calls: int
    amplification: float | None
    succeeded: int
    refused: int
    processed: int
    wasted: int
    recovery: float | None
    herd: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """A run.

    Attributes:
        phases: in order.
        start: seconds: the beginning of the first phase.
        end: seconds: the end of the last.
        arrivals: requests in each tenth of a second from `start` on.
        useful: those of them that were not wasted.
    """

    phases: tuple[PhaseFigures, ...]
    start: float
    end: float
    arrivals: tuple[int, ...]
    useful: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """All of it as plain data, with a `version`."""
        return {"version": 1, "step": HERD_STEP, **asdict(self)}


def measure(entries: Iterable[Entry], phases: Sequence[Phase | tuple[str, float, float]] = ()) -> Metrics:
    """The figures of a run.

    Args:
        entries: a journal, or entries in order of arrival.
        phases: in order of time; they may leave gaps, and must not overlap. The whole run when there are none.

    Raises:
        ValueError: for phases that end before they start, or overlap.
    """
    seen = tuple(entries)
    spans = [Phase(*phase) for phase in phases] or [_whole(seen)]
    _check(spans)
    wasted = _wasted(seen)
    start, end = spans[0].start, spans[-1].end
    ends = [each.end for each in spans[1:]] + [max([end, *(each.arrived + HERD_STEP for each in seen)])]
    return Metrics(
        phases=tuple(_phase(seen, span, wasted, until) for span, until in zip(spans, ends, strict=True)),
        start=start,
        end=end,
        arrivals=histogram((each.arrived for each in seen), start, end),
        useful=histogram((each.arrived for each in seen if each.index not in wasted), start, end),
    )


def _whole(entries: Sequence[Entry]) -> Phase:
    start, end = (entries[0].arrived, entries[-1].arrived) if entries else (0.0, 0.0)
    return Phase("all", start, end + HERD_STEP)


def _check(spans: Sequence[Phase]) -> None:
    before = -math.inf
    for span in spans:
        if not (math.isfinite(span.start) and math.isfinite(span.end) and before <= span.start < span.end):
            raise ValueError(f"{span!r}: phases must be given in order of time, each with an end after its start")
        before = span.end


def histogram(times: Iterable[float], start: float, end: float) -> tuple[int, ...]:
    """How many of these times lie in each tenth of a second from `start` to `end`."""
    bars = [0] * max(0, math.ceil(round((end - start) / HERD_STEP, 6)))
    for moment in times:
        if start <= moment < end:
            bars[min(int((moment - start) / HERD_STEP), len(bars) - 1)] += 1
    return tuple(bars)


def recovery(entries: Sequence[Entry], end: float) -> float | None:
    """Seconds after `end` from which on 99 % of the requests, and the first of them, were answered well."""
    after = [entry for entry in entries if entry.arrived >= end]
    well, found = 0, None
    for number, entry in enumerate(reversed(after), 1):
        well += _well(entry)
        if _well(entry) and well >= RECOVERED * number:
            found = entry.arrived - end
    return found


def _phase(entries: Sequence[Entry], span: Phase, wasted: frozenset[int], until: float) -> PhaseFigures:
    inside = [entry for entry in entries if span.start <= entry.arrived < span.end]
    began = sum(any(span.start <= each.arrived < span.end for each in call.entries) for call in calls(entries))
    return PhaseFigures(
        name=span.name,
        start=span.start,
        end=span.end,
        requests=len(inside),
        calls=began,
        amplification=len(inside) / began if began else None,
        succeeded=sum(map(_well, inside)),
        refused=sum(not entry.accepted for entry in inside),
        processed=sum(entry.processed for entry in inside),
        wasted=sum(entry.index in wasted for entry in inside),
        recovery=recovery(entries, span.end),
        herd=histogram((entry.arrived for entry in entries), span.end, until),
    )


def _well(entry: Entry) -> bool:
    return entry.status is not None and entry.status < 400


def _wasted(entries: Sequence[Entry]) -> frozenset[int]:
    """Those not answered well, and those that repeat what another attempt of the call had done."""
    wasted = {entry.index for entry in entries if not _well(entry)}
    for call in calls(entries):
        done: set[tuple[str, str, str]] = set()
        for entry in call.entries:
            target = (entry.method, entry.path, entry.query)
            if target in done:
                wasted.add(entry.index)
            if entry.processed and entry.method not in IDEMPOTENT:
                done.add(target)
    return frozenset(wasted)
