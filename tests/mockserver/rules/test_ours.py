"""Our client on the stage, with faults that provoke each rule: it breaks none.

What the rules judge are times, so the calls run in virtual time: on a real socket a slow machine would be accused.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from mockserver import Errors, EvenLatency, MockServer, SlidingWindow
from mockserver.faults import FaultRule, Plan, fault
from mockserver.journal import Entry
from mockserver.rules import check, format_violations
from rest_api_client import APIClient, APIError, AsyncAPIClient, ExponentialBackoff, RetryConfig
from rest_api_client.virtual.clock import VirtualClock
from tests.patience import HANGS

QUICK = RetryConfig(max_attempts=5, strategy=ExponentialBackoff(base=0.03, cap=0.3))
LIMIT = SlidingWindow(20, 0.4)
LATENCY = EvenLatency(low=0.002, high=0.02)


def behaved(server: MockServer, other: Iterable[Entry] = ()) -> None:
    server.journal.wait_until_quiet(HANGS)
    violations = check(server.journal, limits=[LIMIT], other_origin=other)
    assert not violations, format_violations(violations)


def test_our_sync_client_behaves_where_all_goes_wrong() -> None:
    """Refusals, 503s, and answers lost after an order was made; 4 threads."""
    plan = Plan(rules=[FaultRule(fault("reset"), method="POST", every=3, effect="done")])
    server = MockServer(seed=3, limit=LIMIT, errors=Errors(probability=0.2), faults=plan, latency=LATENCY)
    clock = VirtualClock()
    settings: dict[str, Any] = {"base_url": "http://stage", "engine": server.transport(), "clock": clock}
    with APIClient(**settings, retry=QUICK, attempt_headers=True) as client:

        def work(first: int) -> None:
            for number in range(first, 41, 4):
                with suppress(APIError):  # some calls may fail: how it went about them is the question
                    if number % 4:
                        client.get(f"/users/{number}")
                    else:
                        client.post("/echo", json={"total": number}, idempotency_key=True)

        with clock:
            for thread in [clock.thread(work, first) for first in range(1, 5)]:
                thread.join()
    behaved(server)
    assert len(server.journal) > 40
    assert {500, 502, 503, 429} & server.journal.statuses.keys()


def test_our_async_client_behaves_in_an_outage() -> None:
    """Thirty calls at once, nothing answered: its budget keeps the load down, its jitter keeps calls apart."""
    server = MockServer(errors=Errors(probability=1.0), latency=LATENCY)
    clock = VirtualClock()

    async def main() -> None:
        settings: dict[str, Any] = {"base_url": "http://stage", "engine": server.transport(), "clock": clock}
        async with AsyncAPIClient(**settings, attempt_headers=True) as client:

            async def call(number: int) -> None:
                with pytest.raises(APIError):
                    await client.get(f"/users/{number}")

            await asyncio.gather(*(call(number) for number in range(1, 31)))

    clock.run_asyncio(main)
    behaved(server)
    assert len(server.journal) >= 30


def test_our_client_takes_no_credential_along() -> None:
    """A redirect to another origin goes without what belongs to the first."""
    with MockServer() as server, APIClient(base_url=server.url, headers={"Authorization": "Bearer t"}) as client:
        client.get("/users/1")
        client.get(f"{server.other_origin.url}/users/1")
        assert server.journal.entries[0].credential
        assert len(server.other_origin.journal) == 1
        behaved(server, server.other_origin.journal)
