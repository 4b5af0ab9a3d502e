"""What a policy costs a request that it lets pass: one way to measure it, for all proofs."""

from __future__ import annotations

import random
import time
from collections.abc import Coroutine
from typing import Any

from rest_api_client.context import Call, Context
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Exchange

ROUNDS, CALLS = 60, 500
"""Rounds, and calls in each: the quickest round is what the code costs, the others are the machine's other work."""


def overhead(policy: Any, fields: list[tuple[bytes, bytes]] | None = None) -> float:
    """CPU microseconds of a pass through a policy, sync, beyond what it hands on to.

    Args:
        policy: as a client would be given it.
        fields: header fields of the answer.
    """
    runtime = SyncRuntime()
    ready = policy.bind(runtime)
    request = Request(method="GET", url=URL.parse("https://api.test/things"))
    response = Response(200, headers=Headers.received(fields or []), content=b"", request=request)
    call = Call(runtime, random.Random(1))
    call.deadline = runtime.now() + 600
    context = Context(call)
    context.exchange = Exchange(runtime.clock, call.options.timeouts, call.deadline)

    async def proceed(request: Request, context: Context) -> Response:
        return response

    async def bare() -> None:
        for _ in range(CALLS):
            await proceed(request, context)

    async def through() -> None:
        for _ in range(CALLS):
            await ready(request, context, proceed)

    rounds = [(_timed(through()), _timed(bare())) for _ in range(ROUNDS)]
    return (min(one for one, _ in rounds) - min(other for _, other in rounds)) / CALLS * 1e6


def _timed(work: Coroutine[Any, Any, None]) -> float:
    began = time.process_time()
    run_sync(work)
    return time.process_time() - began
