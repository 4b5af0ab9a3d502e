"""How often the statistical rules of good behaviour accuse the innocent, and what journal and rules cost."""

from __future__ import annotations

import random
import timeit
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

from mockserver.journal import Journal
from mockserver.rules.gaps import coincide, shrinks
from mockserver.seen import Seen
from rest_api_client.retry import (
    ConstantBackoff,
    DecorrelatedBackoff,
    ExponentialBackoff,
    FibonacciBackoff,
    LinearBackoff,
    Retry,
    RetryContext,
    RetryStrategy,
    SmoothBackoff,
)
from tests.prove.figures import Figure, proof

SEEDS, CALLS, WAITS = 10_000, 20, 5

STRATEGIES: Mapping[str, RetryStrategy] = MappingProxyType(
    {
        "exponential, full jitter": ExponentialBackoff(),
        "exponential, equal jitter": ExponentialBackoff(jitter="equal"),
        "exponential from 20 ms": ExponentialBackoff(base=0.02, cap=0.2),
        "Fibonacci": FibonacciBackoff(),
        "linear": LinearBackoff(),
        "constant": ConstantBackoff(),
        "constant, equal jitter": ConstantBackoff(jitter="equal"),
        "decorrelated": DecorrelatedBackoff(),
        "smooth": SmoothBackoff(),
    }
)


def drawn(strategy: RetryStrategy, seed: int, calls: int = CALLS) -> list[list[float]]:
    """The waits of some calls, each a few milliseconds longer than drawn, as on a real machine."""
    chance = random.Random(seed)
    return [_call(strategy, chance) for _ in range(calls)]


def _call(strategy: RetryStrategy, chance: random.Random) -> list[float]:
    waits: list[float] = []
    before = 0.0
    for attempt in range(1, WAITS + 1):
        known = SimpleNamespace(attempt=attempt, previous_delay=before, random=chance, response=None)
        step = strategy.decide(cast("RetryContext", known))
        assert isinstance(step, Retry)
        before = step.delay
        waits.append(before + chance.expovariate(500))
    return waits


@proof
def innocent_clients_are_not_accused() -> list[Figure]:
    """Twenty calls of six attempts, 10,000 seeds: the share of runs in which a rule about waits raises an alarm."""
    figures = []
    for name, strategy in STRATEGIES.items():
        falls = same = 0
        for seed in range(SEEDS):
            waits = drawn(strategy, seed)
            falls += any(shrinks(waits, k) for k in range(WAITS - 1))
            same += coincide(waits)
        figures.append(Figure(f"{name}: waits said to shrink", 100 * falls / SEEDS, "%", 0.1))
        figures.append(Figure(f"{name}: waits said to be the same", 100 * same / SEEDS, "%", 0.1))
    return figures


@proof
def the_journal_hardly_costs_a_request() -> list[Figure]:
    """All five calls that the stage makes for one request: entry, open, body, answer, close."""
    fields = (("host", "127.0.0.1:8000"), ("accept", "*/*"), ("user-agent", "rest-api-client/0.1"))
    named = (("authorization", "Bearer abc"), ("x-call-id", "a"), ("x-attempt", "1"), ("idempotency-key", "k"))
    plain = Seen(method="GET", path="/users/7", fields=fields, connection=3)
    signed = Seen(method="POST", path="/orders", fields=fields + named, connection=3)
    return [
        Figure("a plain GET", _cost(plain, b""), "us", 12),
        Figure("a POST with a credential and 1 KB", _cost(signed, b"x" * 1024), "us", 20),
    ]


def _cost(seen: Seen, body: bytes) -> float:
    journal = Journal()

    def one() -> Any:
        entry = journal.entry(seen, 1.0)
        journal.open(entry)
        journal.body(entry, body)
        journal.answer(entry, 200, 1.1)
        journal.close(entry, 1.2)

    return min(timeit.repeat(one, number=5000, repeat=7)) / 5000 * 1e6
