"""Proof that pacing costs next to nothing where the server says nothing of limits."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable

from rest_api_client.context import Call, Context
from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import read_fields
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.typing import Proceed
from tests.prove.figures import Figure, proof

CALLS = 20_000
ROUNDS = 15

_SILENT = [
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"160"),
    (b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Server", b"nginx"),
    (b"Connection", b"keep-alive"),
]
_SPEAKING = [
    *_SILENT,
    (b"X-RateLimit-Limit", b"5000"),
    (b"X-RateLimit-Remaining", b"4999"),
    (b"X-RateLimit-Reset", b"784115377"),
]


@proof
def pacing_is_cheap() -> list[Figure]:
    """The policy round a function that gives an answer, less that function, sync; the best of some rounds."""
    silent, speaking = _extra(_SILENT, CALLS), _extra(_SPEAKING, CALLS // 20)
    return [
        Figure("pacing, an answer that says nothing of limits", silent, "us", 2.5),
        Figure("pacing, an answer with X-RateLimit-*", speaking, "us"),
    ]


def _extra(fields: list[tuple[bytes, bytes]], calls: int) -> float:
    runtime = SyncRuntime()
    policy = ServerPacing().bind(runtime)
    request = Request(method="GET", url=URL.parse("https://api.test/things"))
    context = Context(Call(runtime, random.Random(1)))
    response = Response(200, headers=Headers.received(fields), request=request)

    async def bare(request: Request, context: Context) -> Response:
        return response

    def paced(request: Request, context: Context) -> Awaitable[Response]:
        return policy(request, context, bare)

    rounds = [(_each(paced, request, context, calls), _each(bare, request, context, calls)) for _ in range(ROUNDS)]
    return (min(paced for paced, _ in rounds) - min(bare for _, bare in rounds)) * 1e6


def _each(send: Proceed, request: Request, context: Context, calls: int) -> float:
    async def body() -> None:
        for _ in range(calls):
            await send(request, context)

    started = time.perf_counter()
    run_sync(body())
    return (time.perf_counter() - started) / calls


_HOSTILE: list[tuple[str, bytes]] = [
    ("ratelimit-policy", b'"a";q=1,'),
    ("ratelimit-policy", b"a;"),
    ("ratelimit", b"limit=1,"),
    ("ratelimit-limit", b"1;w=1,"),
    ("x-ratelimit-reset", b"1m"),
    ("x-ratelimit-remaining", b"9"),
    ("anthropic-ratelimit-tokens-reset", b"2025-"),
    ("x-shopify-shop-api-call-limit", b"1/"),
    ("retry-after-ms", b"9"),
]


@proof
def hostile_rate_limit_fields_cost_little() -> list[Figure]:
    """A megabyte in any of these fields is looked at no further than its beginning."""
    return [
        Figure(f"{name}: {unit.decode()} ...", _hostile(name, unit * (1_000_000 // len(unit))) * 1e3, "ms", 20.0)
        for name, unit in _HOSTILE
    ]


def _hostile(name: str, value: bytes) -> float:
    remaining = [(b"x-ratelimit-remaining", b"0"), (b"anthropic-ratelimit-tokens-remaining", b"0")]
    headers = Headers.received([*remaining, (name.encode(), value)])
    started = time.perf_counter()
    read_fields(headers, 429, 1.7e9)
    return time.perf_counter() - started
