"""Proof that many threads may share a client: 32 of them, 500 calls each, on each engine."""

from __future__ import annotations

import time

from tests.prove.figures import Figure, proof
from tests.rest_api_client.cells import ENGINES
from tests.rest_api_client.test_wire_share import THREADS, share

CALLS = 500


@proof
def threads_share_a_client() -> list[Figure]:
    """None fails, none gets another's answer, and nothing is left in use: or this raises."""
    return [Figure(f"{engine}, {THREADS * CALLS} calls", _seconds(engine), "s") for engine in ENGINES]


def _seconds(engine: str) -> float:
    began = time.perf_counter()
    share(engine, CALLS)
    return time.perf_counter() - began
