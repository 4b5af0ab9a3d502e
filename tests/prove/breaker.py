"""What a closed circuit costs."""

from __future__ import annotations

from typing import Any

from rest_api_client.policies.circuit_breaker import CircuitBreaker
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead


@proof
def a_closed_circuit_costs_little() -> list[Figure]:
    """A call that passes a closed circuit."""
    kinds: dict[str, dict[str, Any]] = {
        "a ratio over 30 s": {},
        "failures in a row too": {"consecutive_failures": 5},
        "the last 100 calls": {"window_calls": 100},
        "slow calls too": {"slow_after": 1.0},
    }
    return [
        Figure(name, overhead(CircuitBreaker(**options)), "us", 3.0 if "slow_after" in options else 2.0)
        for name, options in kinds.items()
    ]
