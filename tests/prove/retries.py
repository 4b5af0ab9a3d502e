"""What the retry policy costs a call that goes well, and what a crowd makes of a server's rate limit."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from rest_api_client.context import Call, Context
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.policies.adaptive_retry import AdaptiveRetry
from rest_api_client.policies.budget import RetryQuota
from rest_api_client.policies.predictive_retry import PredictiveRetry
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from tests.prove.figures import Figure, proof
from tests.rest_api_client.policies.test_adaptive_retry import crowd, late

ROUNDS = 20_000
Step = Callable[[Request, Context], Awaitable[Response]]


@proof
def a_call_that_goes_well_hardly_notices_retries() -> list[Figure]:
    """A sync call whose first attempt succeeds, over one without the policy: CPU microseconds, best of nine runs."""
    runtime = SyncRuntime()
    request = Request(method="GET", url=URL.parse("https://api.test/things"))
    context, response = Context(Call(runtime, Random(1))), Response(200)

    async def proceed(request: Request, context: Context) -> Response:
        return response

    bare = _best(proceed, request, context)
    figures = []
    for config, bound in (
        (RetryConfig(), 1.5),
        (RetryConfig(budget=RetryQuota()), None),
        (AdaptiveRetry(), None),
        (PredictiveRetry(), None),
    ):
        policy = config.bind(runtime)

        async def through(request: Request, context: Context, policy: Any = policy) -> Response:
            return await policy(request, context, proceed)

        name = f"{type(config).__name__}, {type(config.budget).__name__}"
        figures.append(Figure(name, _best(through, request, context) - bare, "us", bound))
    return figures


def _best(step: Step, request: Request, context: Context) -> float:
    async def run() -> None:
        for _ in range(ROUNDS):
            await step(request, context)

    figures = []
    for _ in range(9):
        started = time.process_time()
        run_sync(run())
        figures.append((time.process_time() - started) / ROUNDS * 1e6)
    return min(figures)


@proof
def a_crowd_finds_the_rate_that_a_server_takes() -> list[Figure]:
    """Twelve callers as fast as they can, half a virtual minute after half a minute of learning: 429s a second."""
    figures = []
    for rate in (5.0, 30.0, 80.0):
        adaptive, plain = crowd(AdaptiveRetry(), rate), crowd(RetryConfig(), rate)
        unused = 1 - late(adaptive.served) / 30 / rate
        figures.append(Figure(f"{rate:g} a second, share left unused", unused, "of 1", 0.1))
        figures.append(Figure(f"{rate:g} a second, 429s with AdaptiveRetry", late(adaptive.throttled) / 30, "/s", 1))
        figures.append(Figure(f"{rate:g} a second, 429s with RetryConfig", late(plain.throttled) / 30, "/s"))
    return figures
