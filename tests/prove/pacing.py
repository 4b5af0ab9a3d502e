"""Proof that pacing costs next to nothing where the server says nothing of limits."""

from __future__ import annotations

import time

from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import read_fields
from rest_api_client.policies.server_pacing import ServerPacing
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead

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
    """A pass while nothing holds anybody back."""
    return [
        Figure("pacing, an answer that says nothing of limits", overhead(ServerPacing(), _SILENT), "us", 2.5),
        Figure("pacing, an answer with X-RateLimit-*", overhead(ServerPacing(), _SPEAKING), "us"),
    ]


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
