"""Proofs of the bulkhead and of adaptive concurrency: what a pass costs, and what a learned limit is worth."""

from __future__ import annotations

import time
from statistics import mean

from rest_api_client.clock import SYSTEM
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.concurrency import AdaptiveConcurrency, LearningPermits
from rest_api_client.policies.limiters import AIMD, Gradient2, Vegas
from rest_api_client.policies.permits import Permits
from rest_api_client.policies.priority_queue import PriorityLines
from rest_api_client.runtimes.sync import SyncRuntime
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead
from tests.rest_api_client.policies.overload import Overload


@proof
def a_pass_through_the_bulkhead_costs_little() -> list[Figure]:
    """A pass with permits left."""
    policies = ((Bulkhead(key="client"), 1.8), (Bulkhead(), 1.8), (AdaptiveConcurrency(), 6))
    return [
        Figure(f"{type(policy).__name__} by {policy.key}", overhead(policy), "us", bound) for policy, bound in policies
    ]


@proof
def a_long_line_is_as_quick_as_a_short_one() -> list[Figure]:
    """Entering, being granted and leaving with 10,000 in line, over the same with 10: the best of nine."""
    short, long = (min(_line(length) for _ in range(9)) for length in (10, 10_000))
    return [Figure("10,000 waiters over 10", long / short, "times", 1.5)]


def _line(length: int) -> float:
    lines, runtime = PriorityLines(), SyncRuntime(SYSTEM)
    for number in range(length):
        lines.enter("k", number % 5, length + 2, runtime)
    began = time.perf_counter()
    for number in range(2_000):
        place = lines.enter("k", number % 5, length + 2, runtime)
        lines.enter("k", number % 5, length + 2, runtime)
        lines.grant("k", 1)
        assert place is not None
        if not lines.leave(place):
            lines.grant("k", 1)
    return time.perf_counter() - began


@proof
def a_learned_limit_is_nearly_as_good_as_the_best() -> list[Figure]:
    """Three times the load of a server with 10, 25 or 60 workers: the goodput lost against the best fixed limit."""
    figures = []
    for capacity in (10, 25, 60):
        best = max(_fixed(limit, capacity) for limit in (capacity // 2, capacity, 2 * capacity))
        figures.append(Figure(f"{capacity} workers, no limit", _lost(_fixed(10**6, capacity), best), "% lost"))
        for initial in (5, 100):
            run = _learned(AdaptiveConcurrency(initial=initial, algorithm=Vegas()), capacity)
            name = f"{capacity} workers, Vegas from {initial}"
            figures.append(Figure(name, _lost(run.goodput(after=100), best), "% lost", 10))
            figures.append(Figure(f"{name}, limit over workers", mean(run.limits[-60:]) / capacity, "times", 2.5))
        for algorithm in (Gradient2(), AIMD()):
            run = _learned(AdaptiveConcurrency(initial=5, algorithm=algorithm), capacity)
            name = f"{capacity} workers, {type(algorithm).__name__} from 5"
            figures.append(Figure(name, _lost(run.goodput(after=100), best), "% lost"))
            figures.append(Figure(f"{name}, limit over workers", mean(run.limits[-60:]) / capacity, "times"))
    return figures


def _lost(goodput: float, best: float) -> float:
    return 100 * max(0.0, 1 - goodput / best)


def _fixed(limit: int, capacity: int) -> float:
    permits = Permits(limit)
    return Overload(permits, lambda: permits.limit, lambda now: capacity, load=3, seconds=60).run().goodput(after=20)


def _learned(policy: AdaptiveConcurrency, capacity: int) -> Overload:
    permits = LearningPermits(policy)
    return Overload(permits, lambda: permits.limit, lambda now: capacity, load=3, seconds=200).run()
