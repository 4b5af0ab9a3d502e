"""Figures of one rehearsal."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

from tests.outage.crowd import Done, Log

ENOUGH = 0.99
"""The share of calls that must succeed for a crowd to count as well again ..."""
STEADY = 5.0
"""... in any so many seconds."""
STEP = 0.1
"""Seconds from one such span to the next that is looked at."""


@dataclass(frozen=True)
class Figures:
    """What a table shows.

    Attributes:
        calls: logical calls started while watched.
        load: requests that arrived per logical call started, while watched.
        repeats: the same, counting only requests beyond the first of each call.
        wasted: requests while watched that brought nothing to anybody: refused, failed, limited, or given up.
        lost: the share of all logical calls that did not end well.
        recovery: seconds after the outage from which on, in any 5 s, 99 % of the calls that end succeed; None: not in
            this run.
        early: of the calls started within 10 s after the outage, the share that succeeded.
        p50: seconds until a logical call ended, well or not: half of them took no longer.
        p99: the same for 99 in 100.
        p999: the same for 999 in 1000.
        fairness: Jain's index of successful calls per client: 1 where all had the same, 1/n where one had all.
    """

    calls: int
    load: float
    repeats: float
    wasted: int
    lost: float
    recovery: float | None
    early: float | None
    p50: float
    p99: float
    p999: float
    fairness: float


def measure(log: Log) -> Figures:
    """The figures of a rehearsal."""
    start, end = log.scenario.watched
    arrivals = [arrival for arrival in log.arrivals if start <= arrival.at < end]
    calls = sum(start <= done.started < end for done in log.calls)
    outage = log.scenario.plan.outage is not None
    took = sorted(done.ended - done.started for done in log.calls)
    lost = sum(not done.ok for done in log.calls)
    return Figures(
        calls=calls,
        load=len(arrivals) / calls,
        repeats=(len(arrivals) - len({arrival.call for arrival in arrivals})) / calls,
        wasted=sum(not arrival.useful for arrival in arrivals),
        lost=lost / len(log.calls),
        recovery=recovery(log.calls, end, log.scenario.calls_until) if outage else None,
        early=_share([done for done in log.calls if end <= done.started < end + 10]) if outage else None,
        p50=_quantile(took, 0.5),
        p99=_quantile(took, 0.99),
        p999=_quantile(took, 0.999),
        fairness=jain([count for _, count in sorted(_successes(log).items())]),
    )


def recovery(calls: list[Done], end: float, until: float) -> float | None:
    """Seconds after `end` from which on, in any 5 s up to `until`, at least 99 % of the calls that ended succeeded."""
    by_end = sorted(calls, key=lambda done: done.ended)
    ended = [done.ended for done in by_end]
    good = [0, *accumulate(done.ok for done in by_end)]
    steps = math.floor((until - STEADY - end) / STEP + 1e-9) + 1
    well = 0
    for step in range(steps):
        moment = end + step * STEP
        first, last = bisect_left(ended, moment), bisect_left(ended, moment + STEADY)
        if first == last or good[last] - good[first] < ENOUGH * (last - first):
            well = step + 1
    return None if well == steps else well * STEP


def jain(shares: list[int]) -> float:
    """Jain's fairness index (Jain, Chiu, Hawe, DEC-TR-301, 1984)."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def per_second(moments: list[float], until: float) -> list[int]:
    """How many fall into each second."""
    counted = Counter(int(moment) for moment in moments)
    return [counted[second] for second in range(int(until))]


def _successes(log: Log) -> Counter[int]:
    counted = Counter(dict.fromkeys(range(log.scenario.clients), 0))
    counted.update(done.client for done in log.calls if done.ok)
    return counted


def _share(calls: list[Done]) -> float:
    return sum(done.ok for done in calls) / len(calls) if calls else 0.0


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
