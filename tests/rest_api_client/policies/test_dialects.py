"""Real sets of header fields, each through a whole exchange: when does the next request go out?

Every row names where its fields are from. The clock starts at the moment of the answer's `Date`, or, for a row with
`skew`, so many seconds off it, as a client's clock may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rest_api_client.engines.scripted import respond
from rest_api_client.http.dates import format_http_date, parse_http_date
from rest_api_client.outcome import Kind, classify_http
from rest_api_client.policies.server_limits import LATEST, SPREAD
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(text: str) -> float:
    moment = parse_http_date(text)
    assert moment is not None
    return moment


@dataclass(frozen=True)
class Row:
    """An answer, and in how many seconds the next request goes out; a pause is lengthened by a tenth at most."""

    source: str
    wait: float
    fields: dict[str, str]
    status: int = 200
    date: str | None = "Mon, 13 Jun 2022 11:48:53 GMT"
    body: bytes = b"{}"
    kind: Kind = Kind.OK
    skews: tuple[float, ...] = (0.0, -3600.0, 5400.0)
    pause: bool = field(default=False)


GITHUB_DOCS = "docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"
DRAFT = "draft-ietf-httpapi-ratelimit-headers-10"
SECONDARY_BODY = (
    b'{"documentation_url": "https://docs.github.com/en/rest/overview/resources-in-the-rest-api#secondary-rate-limits",'
    b' "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}'
)

ROWS = {
    "GitHub, quota left": Row(
        GITHUB_DOCS,
        0,
        {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4999",
            "X-RateLimit-Reset": "1655124533",
            "X-RateLimit-Used": "1",
            "X-RateLimit-Resource": "core",
        },
    ),
    "GitHub, primary limit": Row(
        GITHUB_DOCS,
        31,
        {
            "X-RateLimit-Limit": "60",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1655120964",
            "X-RateLimit-Used": "60",
            "X-RateLimit-Resource": "core",
            "X-GitHub-Request-Id": "C5F4:3C1A:1:2:62A72325",
        },
        status=403,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "GitHub, secondary limit, no time": Row(
        "github.com/KnpLabs/php-github-api/pull/1072 (a dump of a real answer)",
        60,
        {
            "Server": "GitHub.com",
            "X-RateLimit-Limit": "30",
            "X-RateLimit-Remaining": "14",
            "X-RateLimit-Reset": "1655120964",
            "X-RateLimit-Used": "16",
            "X-RateLimit-Resource": "search",
        },
        status=403,
        body=SECONDARY_BODY,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "GitHub, secondary limit, with a time": Row(
        GITHUB_DOCS,
        30,
        {"X-GitHub-Request-Id": "C5F4:3C1A:1:2:62A72325", "Retry-After": "30"},
        status=403,
        body=SECONDARY_BODY,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "GitHub, not allowed": Row(
        GITHUB_DOCS,
        0,
        {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": "1655124533"},
        status=403,
        body=b'{"message": "Resource not accessible by integration"}',
        kind=Kind.REJECTED,
    ),
    "X, quota left": Row(
        "docs.x.com/fundamentals/rate-limits",
        0,
        {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "847", "x-rate-limit-reset": "1705420800"},
        date="Tue, 16 Jan 2024 15:50:00 GMT",
    ),
    "X, nothing left": Row(
        "docs.x.com/fundamentals/rate-limits",
        50,
        {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "1705420800"},
        status=429,
        date="Tue, 16 Jan 2024 15:59:10 GMT",
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "OpenAI, quota left": Row(
        "github.com/open-webui/open-webui/issues/3743 (a real answer)",
        0,
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": "29996",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "8ms",
        },
    ),
    "OpenAI, no tokens left": Row(
        "platform.openai.com/docs/guides/rate-limits (its forms of durations)",
        45.56,
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "0m45.56s",
        },
    ),
    "OpenAI, no requests left": Row(
        "platform.openai.com/docs/guides/rate-limits",
        8.64,
        {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "8.64s",
        },
    ),
    "Anthropic, quota left": Row(
        "docs.anthropic.com/en/api/rate-limits (its fields), delimiter.app/docs/providers/anthropic (values)",
        0,
        {
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3201",
            "anthropic-ratelimit-requests-reset": "2025-01-15T14:24:00Z",
            "anthropic-ratelimit-tokens-limit": "400000",
            "anthropic-ratelimit-tokens-remaining": "312000",
            "anthropic-ratelimit-tokens-reset": "2025-01-15T14:23:15Z",
        },
        date="Wed, 15 Jan 2025 14:23:00 GMT",
    ),
    "Anthropic, no input tokens left": Row(
        "docs.anthropic.com/en/api/rate-limits",
        15,
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2025-01-15T14:24:00Z",
            "anthropic-ratelimit-input-tokens-limit": "30000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2025-01-15T14:23:15Z",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "7900",
            "anthropic-ratelimit-output-tokens-reset": "2025-01-15T14:23:59Z",
        },
        date="Wed, 15 Jan 2025 14:23:00 GMT",
    ),
    "Anthropic, refused": Row(
        "docs.anthropic.com/en/api/rate-limits",
        10,
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2025-01-15T14:24:00Z",
            "retry-after": "10",
        },
        status=429,
        date="Wed, 15 Jan 2025 14:23:00 GMT",
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "Azure OpenAI, refused, in seconds": Row(
        "github.com/openai/openai-python/issues/937 (a real answer)",
        55,
        {
            "x-rate-limit-reset-tokens": "55",
            "x-ratelimit-remaining-tokens": "0",
            "policy-id": "DeploymentRatelimit-Token",
            "x-ms-region": "West US",
        },
        status=429,
        date=None,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "Azure OpenAI, refused, in milliseconds": Row(
        "learn.microsoft.com/azure/ai-services/openai/concepts/provisioned-throughput",
        1.5,
        {"retry-after-ms": "1500", "retry-after": "2"},
        status=429,
        date=None,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "Azure, refused, in its own milliseconds": Row(
        "azure-core's retry policy reads x-ms-retry-after-ms",
        0.5,
        {"x-ms-retry-after-ms": "500"},
        status=503,
        date=None,
        kind=Kind.FAILED,
        pause=True,
    ),
    "Azure OpenAI, figures without a meaning": Row(
        "github.com/openai/openai-dotnet/issues/838 (a real answer)",
        0,
        {
            "x-ratelimit-limit-tokens": "-1",
            "x-ratelimit-remaining-tokens": "-1",
            "x-ratelimit-reset-tokens": "0",
        },
        status=429,
        kind=Kind.THROTTLED,
    ),
    "Stripe, refused": Row(
        "docs.stripe.com/rate-limits",
        0,
        {"Stripe-Rate-Limited-Reason": "endpoint-concurrency", "Stripe-Should-Retry": "true"},
        status=429,
        kind=Kind.THROTTLED,
    ),
    "Stripe, refused for good": Row(
        "docs.stripe.com/error-low-level (Stripe-Should-Retry)",
        0,
        {"Stripe-Should-Retry": "false"},
        status=429,
        kind=Kind.THROTTLED,
    ),
    "Shopify, room left": Row(
        "shopify.dev/docs/api/admin-rest/usage/rate-limits", 0, {"X-Shopify-Shop-Api-Call-Limit": "32/40"}
    ),
    "Shopify, bucket full": Row(
        "shopify.dev/docs/api/admin-rest/usage/rate-limits", 0.5, {"X-Shopify-Shop-Api-Call-Limit": "40/40"}
    ),
    "Shopify, refused": Row(
        "github.com/MONEI/Shopify-api-node/issues/135 (a dump of a real answer)",
        2,
        {"retry-after": "2.0", "x-shopid": "19567057"},
        status=429,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "Twitch, points left": Row(
        "dev.twitch.tv/docs/api/guide#twitch-rate-limits",
        0,
        {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "799", "Ratelimit-Reset": "1655120934"},
    ),
    "Twitch, no points left": Row(
        "dev.twitch.tv/docs/api/guide#twitch-rate-limits",
        47,
        {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "1655120980"},
        status=429,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "Prisjakt, nothing left": Row(
        "developer.prisjakt.nu/docs/sections/rate-limit",
        600,
        {"X-Rate-Limit-Limit": "10000", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "600000"},
        status=429,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "lemlist, nothing left": Row(
        "developer.lemlist.com/api-reference/getting-started/rate-limits",
        2,
        {
            "Retry-After": "2",
            "X-RateLimit-Limit": "20",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)",
        },
        date="Tue, 16 Feb 2021 08:02:40 GMT",
    ),
    "draft, quota left": Row(
        DRAFT,
        0,
        {"RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400', "RateLimit": '"burst";r=50;t=30'},
        date=None,
    ),
    "draft, a state without a policy": Row(DRAFT, 0, {"RateLimit": '"default";r=50;t=30'}, date=None),
    "draft, nothing left": Row(DRAFT, 10, {"RateLimit": '"problemPolicy";r=0;t=10'}, date=None),
    "draft, a partition": Row(
        DRAFT,
        0,
        {"RateLimit-Policy": '"peruser";q=100;w=60;pk=:cHsdsRa894==:', "RateLimit": '"peruser";r=9;t=30'},
        date=None,
    ),
    "draft, bytes": Row(
        DRAFT,
        5,
        {"RateLimit-Policy": '"peruser";q=65535;qu="content-bytes";w=10', "RateLimit": '"peruser";r=0;t=5'},
        date=None,
    ),
    "draft, Retry-After wins": Row(
        DRAFT,
        20,
        {"RateLimit": '"default";r=0;t=15', "Retry-After": "20"},
        status=429,
        date=None,
        kind=Kind.THROTTLED,
        pause=True,
    ),
    "draft 07": Row(
        "draft-ietf-httpapi-ratelimit-headers-07", 30, {"RateLimit": "limit=100, remaining=0, reset=30"}, date=None
    ),
    "draft 06": Row(
        "draft-ietf-httpapi-ratelimit-headers-06",
        50,
        {"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "50"},
        date=None,
    ),
    "draft 06, several windows": Row(
        "draft-ietf-httpapi-ratelimit-headers-06",
        36,
        {
            "RateLimit-Limit": "5000, 1000;window=3600, 5000;window=86400",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": "36",
        },
        date=None,
    ),
    "a date in Retry-After": Row(
        "RFC 9110, section 10.2.3",
        7,
        {"Retry-After": "Mon, 13 Jun 2022 11:49:00 GMT"},
        status=503,
        kind=Kind.FAILED,
        pause=True,
    ),
    "a date that has passed": Row(
        "RFC 9110, section 10.2.3",
        0,
        {"Retry-After": "Mon, 13 Jun 2022 11:48:00 GMT"},
        status=503,
        kind=Kind.FAILED,
    ),
    "an answer from a cache": Row(
        DRAFT, 0, {"RateLimit": '"default";r=0;t=30', "Age": "20", "X-RateLimit-Remaining": "0"}, date=None
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_next_request_goes_out_when_the_server_can_take_it(runtime_name: str, row: Row) -> None:
    """T5: never before that, and only a little later; whatever our own clock says, however far it is off."""
    for skew in row.skews:
        waited = _exchange(runtime_name, row, skew)
        later = row.wait * SPREAD if row.pause else min(row.wait * SPREAD, LATEST)
        assert row.wait <= waited + 1e-9, (row.source, skew)
        assert waited <= row.wait + later + 0.02, (row.source, skew)


def _exchange(runtime_name: str, row: Row, skew: float) -> float:
    """When the second of two requests arrives."""
    start = _at(row.date or "Mon, 13 Jun 2022 11:48:53 GMT") + skew
    world = World(runtime_name, VirtualClock(EPOCH + timedelta(seconds=start)))
    fields = row.fields | ({"Date": row.date} if row.date else {})
    first = respond(row.status, content=row.body, headers=fields)
    policy = ServerPacing(max_wait=None)
    chain = Chain(world.runtime, [policy], lambda request, index: respond() if index else first)

    async def body() -> None:
        answer = await chain.send()
        assert classify_http(a_request(), answer).kind == row.kind, row.source
        await chain.send()

    world.run(body)
    return chain.arrivals[1]


def test_the_table_has_every_service() -> None:
    """Those that are asked for most."""
    services = {name.partition(",")[0].partition(" ")[0] for name in ROWS}
    assert {"GitHub", "X", "OpenAI", "Anthropic", "Azure", "Stripe", "Shopify", "Twitch", "draft"} <= services


@pytest.mark.parametrize("form", [format_http_date, lambda moment: f"{moment:.0f}"], ids=["date", "epoch"])
def test_a_wild_moment_is_no_pause(form: Callable[[float], str]) -> None:
    """T5: a moment beyond a week, from a clock set wrong or a mistake, means: back off as usual."""
    moment = _at("Mon, 13 Jun 2022 11:48:53 GMT") + 8 * 86_400
    fields = {"Retry-After": form(moment), "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": form(moment)}
    assert _exchange("sync", Row("", 0, fields, status=429, kind=Kind.THROTTLED), 0) == 0
