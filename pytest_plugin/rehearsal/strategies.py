"""What Hypothesis makes outages of: single steps, phases, limits, latencies, cancellations, jumps of the clock.

A strategy shrinks towards what is first in it and towards less, so everything here stands in the order in which people
understand it: nothing wrong < an error status < lateness < a connection that breaks, early numbers before late ones,
round seconds before odd ones. What is left at the end is a schedule of a few steps that reads like a sentence.

Some draws are bold on purpose. Uniform choices hardly ever make eight failures in a row or three Retry-Afters of two
minutes, and many a bug needs just that; so a list of steps may also be one step repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pytest_plugin.rehearsal.extra  # noqa: F401  first
from mockserver.faults import ConstantLatency, EvenLatency, FaultRule, Phase, Slowness, fault
from pytest_plugin.rehearsal.schedule import Cancel, ClockJump, FaultSchedule, Step

STATUSES = (503, 500, 502, 504, 429)
WAITS = (None, 1, 2, 5, 10, 30, 60, 120)
"""Seconds of Retry-After."""
SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0)
BROKEN = (
    "reset_before", "refuse", "early_close", "truncate", "reset_mid_body", "close_in_head", "reset_in_head",
    "stall_before_head", "stall_after_head", "stall_mid_body", "truncate_chunked", "malformed_chunk", "garbage",
    "bad_status_line", "header_without_colon", "two_content_lengths", "corrupt_gzip", "drip(bytes_per_second=5.0)",
)  # fmt: skip
"""What becomes of connections and answers, simplest first."""
_BEFORE = ("reset_before", "early_close", "stall_before_head", "garbage", "error(500)", "error(502)", "error(504)")
"""Faults whose service may have acted all the same: what the client sees is no proof."""


def ok() -> SearchStrategy[Step]:
    """Nothing goes wrong."""
    return st.just(Step())


def statuses(among: Sequence[int] = STATUSES, waits: Sequence[int | None] = WAITS) -> SearchStrategy[Step]:
    """An error status, with or without Retry-After (429 and 503 have one, others do not)."""
    plain = [Step(f"error({status})") for status in among]
    telling = [status for status in among if status in (429, 503)]
    seconds = [wait for wait in waits if wait is not None]
    asking = [Step(f"error({status}, retry_after={wait})") for wait in seconds for status in telling]
    return st.one_of(st.sampled_from(plain), st.sampled_from(asking)) if asking else st.sampled_from(plain)


def late(seconds: Sequence[float] = SECONDS) -> SearchStrategy[Step]:
    """The answer comes, and late."""
    return st.sampled_from([Step(late=wait) for wait in seconds])


def broken(among: Sequence[str] = BROKEN) -> SearchStrategy[Step]:
    """The connection or the answer breaks, before the service acted or after."""
    after = [each for each in _BEFORE if each in among or each.startswith("error")]
    before = st.sampled_from([Step(each) for each in among])
    return st.one_of(before, st.sampled_from([Step(each, effect="done") for each in after]))


def fault_steps() -> SearchStrategy[Step]:
    """What one request meets: nothing, an error status, lateness, or a connection that breaks."""
    return st.one_of(ok(), statuses(), late(), broken())


def scripts(most: int = 8, step: SearchStrategy[Step] | None = None) -> SearchStrategy[tuple[Step, ...]]:
    """What the first requests meet, one after the other."""
    each = fault_steps() if step is None else step
    repeated = st.builds(lambda one, times: (one,) * times, each, st.integers(1, most))
    return st.one_of(st.lists(each, max_size=most).map(tuple), repeated)


def phases(most: int = 2, horizon: float = 60.0) -> SearchStrategy[tuple[Phase, ...]]:
    """Up to so many spans of time in which the server is dead, failing or slow; all over by `horizon` seconds."""
    edges = [each for each in (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0) if each < horizon]
    lengths = [each for each in (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0) if each <= horizon]
    one = st.builds(_phase, st.sampled_from(edges), st.sampled_from(lengths or [horizon]), st.sampled_from(_KINDS))
    return st.lists(one, max_size=most).map(lambda found: tuple(_within(found, horizon)))


_KINDS: tuple[tuple[str, tuple[FaultRule, ...], Slowness | None], ...] = (
    ("dead", (FaultRule(fault("error(503)")),), None),
    ("asking", (FaultRule(fault("error(503, retry_after=10)")),), None),
    ("slow", (), ConstantLatency(2.0)),
    ("too slow", (), ConstantLatency(40.0)),
    ("failing", (FaultRule(fault("error(503)"), probability=0.5),), None),
    ("refused", (FaultRule(fault("refuse")),), None),
    ("reset", (FaultRule(fault("reset_before")),), None),
    ("silent", (FaultRule(fault("stall_before_head")),), None),
)


def _phase(start: float, duration: float, kind: tuple[str, tuple[FaultRule, ...], Slowness | None]) -> Phase:
    name, rules, latency = kind
    return Phase(start=start, duration=duration, rules=rules, latency=latency, name=name)


def _within(found: list[Phase], horizon: float) -> list[Phase]:
    return [each for each in found if each.end <= horizon] or found[:0]


def limiter_settings() -> SearchStrategy[str | None]:
    """The server's limit: none, so many in a window, or a bucket."""
    windows = st.builds("window({}, {})".format, st.integers(1, 10), st.sampled_from((1.0, 5.0, 10.0, 60.0)))
    buckets = st.builds("bucket({}, {})".format, st.sampled_from((1.0, 5.0, 0.5)), st.integers(1, 10))
    return st.one_of(st.none(), windows, buckets)


def latencies() -> SearchStrategy[Slowness | None]:
    """How slow every answer is: not at all, the same for each, or between two figures."""
    same = st.sampled_from((0.1, 0.5, 1.0, 5.0)).map(ConstantLatency)
    return st.one_of(st.none(), same, st.builds(_even, st.sampled_from((0.0, 0.1)), st.sampled_from((0.5, 2.0, 10.0))))


def _even(low: float, high: float) -> EvenLatency:
    return EvenLatency(low=low, high=high)


def cancellations(most: int = 2, calls: int = 8) -> SearchStrategy[tuple[Cancel, ...]]:
    """Callers that give up, up to so many, among the first `calls` calls."""
    after = st.sampled_from((0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0))
    one = st.builds(lambda call, after: Cancel(call=call, after=after), st.integers(1, calls), after)
    return st.lists(one, max_size=most, unique_by=lambda each: each.call).map(tuple)


def clock_jumps(most: int = 1) -> SearchStrategy[tuple[ClockJump, ...]]:
    """The wall clock is set, up to so many times."""
    at = st.sampled_from((0.0, 1.0, 5.0, 10.0))
    one = st.builds(lambda at, by: ClockJump(at=at, seconds=by), at, st.sampled_from((60.0, -60.0, 3600.0, -3600.0)))
    return st.lists(one, max_size=most).map(tuple)


def fault_schedules(
    *,
    steps: int = 8,
    phases: int = 1,
    horizon: float = 60.0,
    limits: bool = True,
    slow: bool = True,
    cancels: int = 1,
    jumps: int = 1,
    seeds: int = 1000,
) -> SearchStrategy[FaultSchedule]:
    """Whole schedules.

    Args:
        steps: at most so many requests meet a step.
        phases: at most so many phases.
        horizon: seconds by which they are over.
        limits: whether the server may have a rate limit.
        slow: whether all answers may be slow.
        cancels: at most so many callers give up.
        jumps: the wall clock is set at most so often.
        seeds: the seeds that chance may have, from 0 to this.
    """
    parts: dict[str, SearchStrategy[Any]] = {"steps": scripts(steps)}
    if phases:
        parts["phases"] = _sometimes(_phases(phases, horizon))
    if limits:
        parts["limit"] = limiter_settings()
    if slow:
        parts["latency"] = latencies()
    if cancels:
        parts["cancels"] = cancellations(cancels)
    if jumps:
        parts["jumps"] = clock_jumps(jumps)
    return st.builds(FaultSchedule, **parts, seed=st.integers(0, seeds))


_phases = phases


def _sometimes(several: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(st.just(()), several)
