"""What each end of an attempt means, as one table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rest_api_client.exceptions import (
    APIError,
    CircuitOpenError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    NameResolutionError,
    PoolTimeout,
    RateLimitExceeded,
    ReadError,
    ReadTimeout,
    RefusedError,
    RemoteProtocolError,
    RequestTimeout,
    ResponseTooLarge,
    StatusError,
    TLSError,
    TransportError,
)
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome, classify_http

REQUEST = Request(method="GET", url=URL.parse("https://api.test/"))


@pytest.mark.parametrize(
    ("status", "kind", "processed"),
    [
        (200, "ok", "yes"), (204, "ok", "yes"), (304, "ok", "yes"), (302, "ok", "yes"), (399, "ok", "yes"),
        (400, "rejected", "unknown"), (401, "rejected", "unknown"), (404, "rejected", "unknown"),
        (408, "failed", "unknown"), (425, "failed", "no"), (429, "throttled", "no"), (451, "rejected", "unknown"),
        (500, "failed", "unknown"), (501, "rejected", "unknown"), (502, "failed", "unknown"), (503, "failed",
         "unknown"),
        (504, "failed", "unknown"), (520, "failed", "unknown"), (599, "failed", "unknown"), (999, "failed", "unknown"),
    ],
)  # fmt: skip
def test_each_status_has_its_meaning(status: int, kind: str, processed: str) -> None:
    """Kind, whether the server acted, and a reason of two words."""
    reason = "ok" if kind == "ok" else f"status {status}"
    assert classify_http(REQUEST, Response(status)) == Outcome(Kind(kind), reason, None, processed)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [404, 429, 503])
def test_retry_after_is_read_whatever_the_status(status: int) -> None:
    """The server's wish comes along with every failure, not with a success."""
    headers = Headers({"retry-after": "7"})
    assert classify_http(REQUEST, Response(status, headers=headers)).retry_after == 7.0
    assert classify_http(REQUEST, Response(200, headers=headers)).retry_after is None


class _Unread:
    """A body that nobody has read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("nobody reads it")

    async def aclose(self) -> None:
        """Nothing to close."""


class GreenPipeError(TransportError):
    """A user's own."""


@pytest.mark.parametrize(
    ("error", "kind", "reason", "processed"),
    [
        (ConnectError(), "failed", "connect error", "unknown"),
        (TLSError(), "failed", "tls error", "unknown"),
        (NameResolutionError(), "failed", "name resolution error", "unknown"),
        (ReadError(), "failed", "read error", "unknown"),
        (ReadTimeout(), "failed", "read timeout", "unknown"),
        (RequestTimeout(), "failed", "request timeout", "unknown"),
        (PoolTimeout(), "failed", "pool timeout", "no"),
        (RemoteProtocolError(), "failed", "remote protocol error", "unknown"),
        (GreenPipeError(), "failed", "green pipe error", "unknown"),
        (DeadlineExceeded(), "failed", "deadline", "unknown"),
        (CircuitOpenError(), "rejected", "circuit open", "no"),
        (RateLimitExceeded(), "rejected", "rate limited", "no"),
        (RefusedError(), "rejected", "refused", "no"),
        (ResponseTooLarge(), "rejected", "too large", "unknown"),
        (DecodeError(), "rejected", "undecodable", "unknown"),
        (ConfigurationError(), "rejected", "error", "unknown"),
        (APIError(), "rejected", "error", "unknown"),
        (StatusError(), "rejected", "error", "unknown"),
        (ValueError(), "rejected", "error", "unknown"),
        (TimeoutError(), "rejected", "error", "unknown"),
        (KeyboardInterrupt(), "rejected", "error", "unknown"),
    ],
)
def test_each_error_has_its_meaning(error: BaseException, kind: str, reason: str, processed: str) -> None:
    """The network's failures are worth another try; what this client refused was not sent; the rest is final."""
    assert classify_http(REQUEST, error) == Outcome(Kind(kind), reason, None, processed)  # type: ignore[arg-type]


def test_what_the_engine_proves_counts() -> None:
    """A transport error that is proved unsent says so."""
    error = ReadError()
    error.processed = "no"
    assert classify_http(REQUEST, error).processed == "no"


def test_a_status_raised_as_an_error_means_what_the_status_means() -> None:
    """A hook that raises for a 503 does not hide it from the breaker."""
    response = Response(503, headers=Headers({"retry-after": "3"}))
    assert classify_http(REQUEST, response.error()) == classify_http(REQUEST, response)


def _answer(status: int, fields: dict[str, str], body: bytes = b"", **more: Any) -> Response:
    return Response(status, headers=Headers(fields), content=body, **more)


SECONDARY_BODY = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'


@pytest.mark.parametrize(
    ("response", "reason", "retry_after"),
    [
        (_answer(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "31"}), "server rate limit", 31.0),
        (_answer(403, {"x-ratelimit-remaining": "0"}), "server rate limit", None),
        (_answer(403, {"x-github-request-id": "1", "retry-after": "9"}), "server rate limit", 9.0),
        (_answer(403, {"x-ratelimit-remaining": "5", "retry-after": "9"}), "server rate limit", 9.0),
        (_answer(403, {}, SECONDARY_BODY), "secondary rate limit", 60.0),
        (_answer(403, {"retry-after": "9"}, SECONDARY_BODY), "secondary rate limit", 9.0),
        (_answer(429, {}, SECONDARY_BODY), "secondary rate limit", 60.0),
        (_answer(429, {"retry-after-ms": "1500"}), "status 429", 1.5),
        (
            _answer(429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "31", "retry-after": "7"}),
            "status 429",
            7.0,
        ),
        (
            _answer(
                429,
                {
                    "x-ratelimit-remaining-requests": "1",
                    "x-ratelimit-reset-requests": "6m0s",
                    "x-ratelimit-remaining-tokens": "0",
                    "x-ratelimit-reset-tokens": "12ms",
                },
            ),
            "status 429",
            0.012,
        ),
        (_answer(429, {"stripe-rate-limited-reason": "global-rate"}), "status 429, global-rate", None),
        (_answer(429, {"stripe-rate-limited-reason": "a label of its own"}), "status 429", None),
        (Response(429, stream=_Unread()), "status 429", None),
    ],
)
def test_a_rate_limit_is_throttling(response: Response, reason: str, retry_after: float | None) -> None:
    """Also as a 403, as GitHub has it; nothing was done, and where it says when to come back, that is known."""
    assert classify_http(REQUEST, response) == Outcome(Kind.THROTTLED, reason, retry_after, "no")


@pytest.mark.parametrize(
    "response",
    [
        _answer(403, {}),
        _answer(403, {"retry-after": "9"}),
        _answer(403, {"x-ratelimit-remaining": "5"}, b'{"message": "Resource not accessible"}'),
        _answer(403, {"x-ratelimit-remaining": "0", "age": "7"}),
    ],
)
def test_any_other_403_is_a_refusal(response: Response) -> None:
    """T20: a quota with something left, or one that a cache remembers, has nothing to do with it."""
    assert classify_http(REQUEST, response).kind is Kind.REJECTED


@pytest.mark.parametrize("name", ["x-should-retry", "stripe-should-retry"])
def test_the_server_may_say_whether_to_try_again(name: str) -> None:
    """T28: "false" is final, "true" makes a refusal worth another try; only the origin that was asked is believed."""
    yes, no, odd = {name: "true"}, {name: "false"}, {name: "maybe"}
    assert classify_http(REQUEST, _answer(503, no)) == Outcome(Kind.FAILED, "status 503", final=True)
    assert classify_http(REQUEST, _answer(429, no)) == Outcome(Kind.THROTTLED, "status 429", None, "no", final=True)
    assert not classify_http(REQUEST, _answer(503, {})).final
    assert classify_http(REQUEST, _answer(409, yes)) == Outcome(Kind.FAILED, "status 409")
    assert classify_http(REQUEST, _answer(429, yes)).kind is Kind.THROTTLED
    assert classify_http(REQUEST, _answer(503, odd)) == Outcome(Kind.FAILED, "status 503")
    assert classify_http(REQUEST, _answer(200, no)).kind is Kind.OK
    here, elsewhere = REQUEST, Request(method="GET", url=URL.parse("https://other.test/"))
    assert classify_http(REQUEST, _answer(503, no, request=here)).final
    assert not classify_http(REQUEST, _answer(503, no, request=elsewhere)).final
