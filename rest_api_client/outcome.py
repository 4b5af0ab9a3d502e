"""What an attempt's result means: the one place that reads status codes and exception classes.

Policies ask for an `Outcome` and never look at a status. One classifier per protocol: this is the one for HTTP; gRPC or
GraphQL bring theirs, and a user replaces it with `classify=`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

from rest_api_client.exceptions import (
    BulkheadFull,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    LoadShed,
    Processed,
    RateLimitExceeded,
    RefusedError,
    ResponseTooLarge,
    StatusError,
    TransportError,
)
from rest_api_client.http.rate_limit_fields import read_fields
from rest_api_client.http.resets import server_now
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.reasons import (
    BULKHEAD_FULL,
    CIRCUIT_OPEN,
    ERROR,
    IN_PROGRESS,
    NO_TIME,
    OK,
    OVERSIZED,
    RATE_LIMITED,
    REFUSED,
    SECONDARY_LIMIT,
    SERVER_RATE_LIMIT,
    SHED,
    UNDECODABLE,
)


class Kind(StrEnum):
    """The four ends an attempt can have."""

    OK = "ok"
    FAILED = "failed"
    """The server or the way to it failed: worth another try, counted by the breaker."""
    THROTTLED = "throttled"
    """The server is fine and asks for fewer requests."""
    REJECTED = "rejected"
    """This request is refused and would be refused again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy needs to know of an attempt's end.

    Attributes:
        kind: ok, failed, throttled or rejected.
        reason: a fixed word or two, fit for a label: "ok", "status 503", "connect error".
        retry_after: seconds the server asks to wait, or None.
        processed: whether the server acted on the request: "yes", "no" or "unknown".
        final: whether the server said that another try is of no use. What it says of itself, `kind`, stands: a 503 is a
            failure, that the breaker counts and a fallback answers, and yet is not retried.
    """

    kind: Kind
    reason: str
    retry_after: float | None = None
    processed: Processed = "unknown"
    final: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise ConfigurationError(f"Outcome(kind={self.kind!r}): give Kind.OK, FAILED, THROTTLED or REJECTED")
        if self.retry_after is not None and not isinstance(self.retry_after, int | float):
            raise ConfigurationError(f"Outcome(retry_after={self.retry_after!r}): give seconds, or None")


Classify: TypeAlias = Callable[[Request, Response | BaseException], Outcome]
"""(request, answer or error) -> outcome."""

_REFUSED_UNREAD = frozenset({425, 429})
"""425: RFC 8470 section 5.2; 429: the limiter stands before the application (RFC 6585 section 4)."""
_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})
_SECONDARY_WAIT = 60.0
"""Seconds to wait where GitHub names none: "at least one minute", says its page on rate limits."""
_SHOULD_RETRY = ("x-should-retry", "stripe-should-retry")
_STRIPE_REASONS = frozenset(
    {"global-rate", "global-concurrency", "endpoint-rate", "endpoint-concurrency", "resource-specific"}
)
_OK = Outcome(Kind.OK, OK, processed="yes")


def classify_http(request: Request, result: Response | BaseException) -> Outcome:
    """The outcome of an HTTP attempt."""
    return _of_response(request, result) if isinstance(result, Response) else _of_error(request, result)


def _of_response(request: Request, response: Response) -> Outcome:
    if response.status_code < 400:
        return _OK
    outcome = _throttled(response) or _by_status(request, response)
    return _as_told(request, response, outcome)


def _by_status(request: Request, response: Response) -> Outcome:
    status, retry_after = response.status_code, response.retry_after
    processed: Processed = "no" if status in _REFUSED_UNREAD else "unknown"
    if status in _TRANSIENT:
        return Outcome(Kind.FAILED, f"status {status}", retry_after, processed)
    if status == 409 and request.idempotency_key is not None:
        return Outcome(Kind.THROTTLED, IN_PROGRESS, retry_after, processed)
    return Outcome(Kind.FAILED if status > 504 else Kind.REJECTED, f"status {status}", retry_after, processed)


def _throttled(response: Response) -> Outcome | None:
    """What a 429 means, and a 403 that is a rate limit: nothing left of a quota, or GitHub's secondary limit."""
    if response.status_code not in (403, 429):
        return None
    headers = response.headers
    told = read_fields(headers, response.status_code, server_now(headers.get("date"), response.received_at))
    secondary = response.buffered and SECONDARY_LIMIT.encode() in response.content[:_LONGEST_WORDS].lower()
    spent = [reading for reading in told.readings if reading.remaining == 0]
    limits_here = bool(told.readings) or "x-github-request-id" in headers
    if response.status_code == 403 and not (spent or secondary or (told.wait is not None and limits_here)):
        return None
    wait = told.wait
    if wait is None:
        wait = max((reading.reset for reading in spent if reading.reset), default=None)
    if wait is None and secondary:
        wait = _SECONDARY_WAIT
    return Outcome(Kind.THROTTLED, _limit_reason(response, secondary=secondary), wait, "no")


_LONGEST_WORDS = 2000
"""Bytes of a body in which the server's words are looked for."""


def _limit_reason(response: Response, *, secondary: bool) -> str:
    if secondary:
        return SECONDARY_LIMIT
    stripe = response.headers.get("stripe-rate-limited-reason")
    if stripe in _STRIPE_REASONS:
        return f"status 429, {stripe}"
    return SERVER_RATE_LIMIT if response.status_code == 403 else "status 429"


def _as_told(request: Request, response: Response, outcome: Outcome) -> Outcome:
    """The outcome, with what the server says itself of trying again.

    Only the origin that the request was for may say so: over TLS nobody between can, and what another origin says
    after a redirect is of its own affairs.
    """
    if response.request is not None and response.request.url.origin != request.url.origin:
        return outcome
    told = next((text for name in _SHOULD_RETRY if (text := response.headers.get(name)) in ("true", "false")), None)
    if told == "false":
        return replace(outcome, final=True)
    return replace(outcome, kind=Kind.FAILED) if told == "true" and outcome.kind is Kind.REJECTED else outcome


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (CircuitOpenError, CIRCUIT_OPEN),
    (LoadShed, SHED),
    (BulkheadFull, BULKHEAD_FULL),
    (RateLimitExceeded, RATE_LIMITED),
    (RefusedError, REFUSED),
    (DeadlineExceeded, NO_TIME),
    (ResponseTooLarge, OVERSIZED),
    (DecodeError, UNDECODABLE),
)


def _of_error(request: Request, error: BaseException) -> Outcome:
    if isinstance(error, StatusError) and error.response is not None:  # raised by a hook or middleware
        return _of_response(request, error.response)
    if isinstance(error, TransportError):
        return Outcome(Kind.FAILED, _words(error), processed=error.processed)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            processed: Processed = "no" if issubclass(kind, RefusedError) else "unknown"
            return Outcome(Kind.FAILED if kind is DeadlineExceeded else Kind.REJECTED, reason, processed=processed)
    return Outcome(Kind.REJECTED, ERROR)


_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _words(error: TransportError) -> str:
    """ "connect error" from ConnectError, "tls error" from TLSError: few, fixed, fit for a label."""
    return _WORD_START.sub(" ", type(error).__name__).lower()
