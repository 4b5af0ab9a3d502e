"""What an attempt's result means: the one place that reads status codes and exception classes.

Policies ask for an `Outcome` and never look at a status. One classifier per protocol: this is the one for HTTP; gRPC or
GraphQL bring theirs, and a user replaces it with `classify=`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from rest_api_client.exceptions import (
    BulkheadFull,
    CircuitOpenError,
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
from rest_api_client.models import Request, Response


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
    """

    kind: Kind
    reason: str
    retry_after: float | None = None
    processed: Processed = "unknown"


Classify: TypeAlias = Callable[[Request, Response | BaseException], Outcome]
"""(request, answer or error) -> outcome."""

_REFUSED_UNREAD = frozenset({425, 429})
"""425: RFC 8470 section 5.2; 429: the limiter stands before the application (RFC 6585 section 4)."""
_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})
IN_PROGRESS = "in progress"
"""409 to a request with an idempotency key: the first one of that key is still at work."""
_OK = Outcome(Kind.OK, "ok", processed="yes")


def classify_http(request: Request, result: Response | BaseException) -> Outcome:
    """The outcome of an HTTP attempt."""
    return _of_response(request, result) if isinstance(result, Response) else _of_error(request, result)


def _of_response(request: Request, response: Response) -> Outcome:
    status = response.status_code
    if status < 400:
        return _OK
    retry_after = response.retry_after
    processed: Processed = "no" if status in _REFUSED_UNREAD else "unknown"
    if status == 429:
        return Outcome(Kind.THROTTLED, "status 429", retry_after, processed)
    if status in _TRANSIENT:
        return Outcome(Kind.FAILED, f"status {status}", retry_after, processed)
    if status == 409 and request.idempotency_key is not None:
        return Outcome(Kind.THROTTLED, IN_PROGRESS, retry_after, processed)
    return Outcome(Kind.FAILED if status > 504 else Kind.REJECTED, f"status {status}", retry_after, processed)


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (CircuitOpenError, "circuit open"),
    (LoadShed, "shed"),
    (BulkheadFull, "bulkhead full"),
    (RateLimitExceeded, "rate limited"),
    (RefusedError, "refused"),
    (DeadlineExceeded, "deadline"),
    (ResponseTooLarge, "too large"),
    (DecodeError, "undecodable"),
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
    return Outcome(Kind.REJECTED, "error")


_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _words(error: TransportError) -> str:
    """ "connect error" from ConnectError, "tls error" from TLSError: few, fixed, fit for a label."""
    return _WORD_START.sub(" ", type(error).__name__).lower()
