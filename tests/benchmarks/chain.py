"""What the chain costs: each policy, and all of them over a transport that does nothing; and who listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from rest_api_client import APIClient, AsyncAPIClient, MetricsCollector
from rest_api_client.context import Call, Context
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Pipeline
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.concurrency import AdaptiveConcurrency
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.runtime import run_sync
from rest_api_client.telemetry import Telemetry
from rest_api_client.transport import Capability, Exchange
from tests.benchmarks.clients.ours import BARE, FULL
from tests.benchmarks.figures import Claim, Result, Series, Terms, bench
from tests.prove.overhead import overhead

CALLS = 1000
UNIT = "us of CPU"
HOW = """
A GET is handed to the chain of a client, whose transport answers at once without doing anything; what a request costs
is taken from that: the same transport without a chain. To build the request from its URL is not counted. "All" is every
default and a rate limit. A round is a thousand calls.
"""


class Nothing:
    """A transport that does nothing."""

    name = "nothing"
    capabilities = frozenset({Capability.SYNC, Capability.ASYNCIO, Capability.ABORT})

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """An empty 200."""
        return Response(200, headers=Headers.received([]), content=b"", request=request)

    async def aclose(self) -> None:
        """Nothing."""


def ignore(event: object) -> None:
    """Somebody who listens and does nothing."""


NO_TELEMETRY = "all, without even telemetry"
CHAINS: dict[str, dict[str, Any]] = {
    "all": FULL,
    NO_TELEMETRY: FULL,
    "all, with somebody who listens to everything": {**FULL, "events": [ignore]},
    "all, with metrics": {**FULL, "events": [MetricsCollector()]},
    "none that can be turned off": BARE,
}


@bench
def chain(terms: Terms) -> Result:
    """The chain in both faces, in turns."""
    rounds = int(terms.pick(41, 7))
    clients = {
        (name, face): kind(base_url="https://api.test", engine=Nothing(), **options)
        for name, options in CHAINS.items()
        for face, kind in (("sync", APIClient), ("async", AsyncAPIClient))
    }
    for face in ("sync", "async"):
        _without_telemetry(clients[NO_TELEMETRY, face]._core)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in clients}
    for _ in range(rounds):
        for (name, face), client in clients.items():
            found[name, face].append(_round(client._core, face))
    series = {(name, face): Series(f"{name}, {face}", UNIT, tuple(each)) for (name, face), each in found.items()}
    claims = tuple(claim for face in ("sync", "async") for claim in _claims(series, face))
    return Result("The chain over a transport that does nothing", HOW, tuple(series.values()), claims)


def _without_telemetry(core: Any) -> None:
    policies = [policy for policy in core.pipeline.policies if not isinstance(policy, Telemetry)]
    core.pipeline = Pipeline(policies, core.transport, core.runtime)


def _claims(series: dict[tuple[str, str], Series], face: str) -> tuple[Claim, ...]:
    whole, without = series["all", face], series[NO_TELEMETRY, face]
    more = median(one - other for one, other in zip(whole.values, without.values, strict=True))
    return (
        Claim(f"the chain, {face}", whole.median, UNIT, at_most=7.0),
        Claim(f"telemetry to which nobody listens, {face}, within a round", more, UNIT, at_most=0.5),
    )


def _round(core: Any, face: str) -> float:
    """Microseconds a call, beyond the transport's own."""
    request = Request(method="GET", url=URL.parse("https://api.test/things"))
    transport = core.transport

    def call() -> Call:
        return Call(core.runtime, core.random, options=core._defaults, classify=core.config.classify)

    async def through() -> Response:
        response: Response = await core.pipeline(request, Context(call()))
        return response

    async def bare() -> Response:
        exchange = Exchange(core.runtime.clock, core._defaults.timeouts)
        response: Response = await transport.send(request, exchange)
        return response

    run = run_sync if face == "sync" else asyncio.run
    spent: float = run(_spent(through)) - run(_spent(bare))
    return spent / CALLS * 1e6


async def _spent(work: Callable[[], Awaitable[Response]]) -> float:
    for _ in range(CALLS // 10):
        await work()
    began = time.process_time()
    for _ in range(CALLS):
        await work()
    return time.process_time() - began


POLICIES: dict[str, Any] = {
    "retry": RetryConfig(),
    "circuit breaker": CircuitBreaker(),
    "server pacing": ServerPacing(),
    "attempt times": AttemptTimes(),
    "rate limit, calls in any period": RateLimit(calls=1_000_000, period=0.01),
    "rate limit, a bucket that refills": RateLimit(rate=1e9, burst=1_000_000),
    "bulkhead": Bulkhead(limit=10),
    "adaptive concurrency": AdaptiveConcurrency(),
    "coalescing": Coalesce(),
}


@bench
def policies(terms: Terms) -> Result:
    """Each alone."""
    rounds = int(terms.pick(5, 1))
    series = tuple(
        Series(name, UNIT, tuple(overhead(policy) for _ in range(rounds))) for name, policy in POLICIES.items()
    )
    acquire = [
        Claim(each.what, each.median, UNIT, at_most=2.0) for each in series if each.what.startswith("rate limit")
    ]
    breaker = Claim("circuit breaker", series[1].median, UNIT, at_most=2.0)
    text = "A request that a policy lets pass, beyond what it hands on to: the least of many rounds, several times."
    return Result("Each policy alone", text, series, (*acquire, breaker))
