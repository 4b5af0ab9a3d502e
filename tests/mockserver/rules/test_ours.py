"""Our client on a real socket, with faults that provoke each rule: it breaks none."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from mockserver import Errors, MockServer, SlidingWindow
from mockserver.faults import FaultRule, Plan, fault
from mockserver.rules import check, format_violations
from rest_api_client import APIClient, APIError, AsyncAPIClient, ExponentialBackoff, RetryConfig

QUICK = RetryConfig(max_attempts=5, strategy=ExponentialBackoff(base=0.03, cap=0.3))
LIMIT = SlidingWindow(20, 0.4)


def behaved(server: MockServer) -> None:
    server.journal.wait_until_quiet()
    violations = check(server.journal, limits=[LIMIT], other_origin=server.other_origin.journal)
    assert not violations, format_violations(violations)


def test_our_sync_client_behaves_where_all_goes_wrong() -> None:
    """Refusals, 503s, and answers lost after an order was made; 4 threads."""
    plan = Plan(rules=[FaultRule(fault("reset"), method="POST", every=3, effect="done")])
    with MockServer(seed=3, limit=LIMIT, errors=Errors(probability=0.2), faults=plan) as server:
        with APIClient(base_url=server.url, retry=QUICK, attempt_headers=True) as client:

            def work(number: int) -> None:
                with suppress(APIError):  # some calls may fail: how it went about them is the question
                    if number % 4:
                        client.get(f"/users/{number}")
                    else:
                        client.post("/echo", json={"total": number}, idempotency_key=True)

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(1, 41)))
        behaved(server)
        assert {500, 502, 503, 429} & server.journal.statuses.keys()


def test_our_async_client_behaves_in_an_outage() -> None:
    """Thirty calls at once, nothing answered: its budget keeps the load down, its jitter keeps calls apart."""

    async def main(url: str) -> None:
        async with AsyncAPIClient(base_url=url, attempt_headers=True) as client:

            async def call(number: int) -> None:
                with pytest.raises(APIError):
                    await client.get(f"/users/{number}")

            await asyncio.gather(*(call(number) for number in range(1, 31)))

    with MockServer(errors=Errors(probability=1.0)) as server:
        asyncio.run(main(server.url))
        behaved(server)


def test_our_client_takes_no_credential_along() -> None:
    """A redirect to another origin goes without what belongs to the first."""
    with MockServer() as server, APIClient(base_url=server.url, headers={"Authorization": "Bearer t"}) as client:
        client.get("/users/1")
        client.get(f"{server.other_origin.url}/users/1")
        assert server.journal.entries[0].credential
        assert len(server.other_origin.journal) == 1
        behaved(server)
