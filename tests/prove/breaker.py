"""What a closed circuit costs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from rest_api_client.context import Call, Context
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from tests.prove.figures import Figure, proof

ROUNDS = 20_000
Step = Callable[[Request, Context], Awaitable[Response]]


@proof
def a_closed_circuit_costs_little() -> list[Figure]:
    """A sync call that passes a closed circuit, over one that does not: CPU microseconds, the best of nine runs."""
    runtime = SyncRuntime()
    request = Request(method="GET", url=URL.parse("https://api.test/things"))
    context, response = Context(Call(runtime, Random(1))), Response(200)

    async def proceed(request: Request, context: Context) -> Response:
        return response

    bare = _best(proceed, request, context)
    figures = []
    for name, options in {
        "a ratio over 30 s": {},
        "failures in a row too": {"consecutive_failures": 5},
        "the last 100 calls": {"window_calls": 100},
        "slow calls too": {"slow_after": 1.0},
    }.items():
        policy = CircuitBreaker(**options).bind(runtime)

        async def through(request: Request, context: Context, policy: Any = policy) -> Response:
            return await policy(request, context, proceed)

        cost = _best(through, request, context) - bare
        figures.append(Figure(name, cost, "us", 3.0 if "slow_after" in options else 2.0))
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
