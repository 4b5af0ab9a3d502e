"""Proofs of virtual time: what a ten-minute back-off of a client costs in sync, asyncio and trio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pytest_plugin.guards import virtual_time
from rest_api_client import APIClient, AsyncAPIClient, RetryConfig, VirtualClock
from rest_api_client.engines.scripted import ScriptedTransport, respond
from tests.prove.figures import Figure, proof

BACK_OFF = 600
CALLS = 51


def _engine() -> ScriptedTransport:
    refused = respond(503, headers={"retry-after": str(BACK_OFF)})
    return ScriptedTransport([refused, respond(200)] * CALLS)


_RETRY = RetryConfig(max_attempts=2, max_retry_after=2 * BACK_OFF)


def _in_thread(clock: VirtualClock) -> list[float]:
    costs = []
    with APIClient(
        base_url="https://api.test", engine=_engine(), clock=clock, retry=_RETRY, deadline=None, random=1
    ) as client:
        for _ in range(CALLS):
            begun = time.process_time()
            assert client.get("/").status_code == 200
            costs.append(time.process_time() - begun)
    return costs


async def _in_loop(clock: VirtualClock) -> list[float]:
    costs = []
    async with AsyncAPIClient(
        base_url="https://api.test", engine=_engine(), clock=clock, retry=_RETRY, deadline=None, random=1
    ) as client:
        for _ in range(CALLS):
            begun = time.process_time()
            response = await client.get("/")
            costs.append(time.process_time() - begun)
            assert response.status_code == 200
    return costs


RUNS: dict[str, Callable[[VirtualClock], list[float]]] = {
    "sync": _in_thread,
    "asyncio": lambda clock: clock.run_asyncio(_in_loop, clock),
    "trio": lambda clock: clock.run_trio(_in_loop, clock),
}


@proof
def a_clients_back_off_of_ten_minutes_costs_under_a_millisecond() -> list[Figure]:
    """A call that is told to come back in 600 s, both attempts and the wait: CPU milliseconds, the median of 51."""
    return [Figure(f"{name}, a call with 600 s in it", _cost(run), "ms", 1) for name, run in RUNS.items()]


def _cost(run: Callable[[VirtualClock], list[float]]) -> float:
    with virtual_time() as clock:
        costs = run(clock)
    assert clock.monotonic() >= BACK_OFF * CALLS
    return statistics.median(costs) * 1000
