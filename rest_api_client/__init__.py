"""A REST client for the day of the outage, sync and async.

from rest_api_client import APIClient

with APIClient(base_url="https://api.example.com", max_retries=5) as client:
    print(client.get("/users").data)
"""

from __future__ import annotations

from .async_client import AsyncAPIClient
from .auth import ApiKeyAuth, Auth, BasicAuth, BearerAuth, DigestAuth
from .circuit_breaker import CircuitBreaker
from .client import APIClient
from .clock import SYSTEM, Clock
from .config import APIConfig
from .connection import ConnectionOptions
from .cookies import CookieJar
from .deadline import Deadline
from .decoding import BodyLimits
from .decorators import circuit_breaker, deadline, log_request, rate_limit, retry
from .events import Event
from .exceptions import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CapabilityError,
    CircuitOpenError,
    ClientError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    DecodeError,
    HookError,
    NameResolutionError,
    NotFoundError,
    PermissionDeniedError,
    PoolTimeout,
    ProxyError,
    RateLimitError,
    RateLimitExceeded,
    ReadError,
    ReadTimeout,
    RedirectError,
    RefusedError,
    RemoteProtocolError,
    RequestTimeout,
    ResponseTooLarge,
    ServerError,
    StatusError,
    TLSError,
    TooManyRedirects,
    TransportError,
    ValidationError,
    WriteError,
    WriteTimeout,
)
from .headers import Headers
from .models import Attempt, Problem, Request, Response
from .options import RequestOptions
from .outcome import Kind, Outcome
from .pipeline import Middleware, Pipeline, Policy, Stage
from .plugins import register
from .rate_limiter import RateLimit
from .redirects import Redirects
from .retry import ExponentialBackoff, LinearBackoff, Retry, RetryConfig, RetryContext, RetryStrategy, Stop
from .server_pacing import ServerPacing
from .streamed import AsyncStreamedResponse, StreamedResponse
from .streaming import ServerSentEvent
from .telemetry import MetricsCollector
from .transport import Capability, Exchange, Timeouts, Transport
from .virtual_clock import VirtualClock

__all__ = [
    "SYSTEM",
    "APIClient",
    "APIConfig",
    "APIError",
    "ApiKeyAuth",
    "AsyncAPIClient",
    "AsyncStreamedResponse",
    "Attempt",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BasicAuth",
    "BearerAuth",
    "BodyLimits",
    "Capability",
    "CapabilityError",
    "CircuitBreaker",
    "CircuitOpenError",
    "ClientError",
    "Clock",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionOptions",
    "CookieJar",
    "Deadline",
    "DeadlineExceeded",
    "DecodeError",
    "DigestAuth",
    "Event",
    "Exchange",
    "ExponentialBackoff",
    "Headers",
    "HookError",
    "Kind",
    "LinearBackoff",
    "MetricsCollector",
    "Middleware",
    "NameResolutionError",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "Pipeline",
    "Policy",
    "PoolTimeout",
    "Problem",
    "ProxyError",
    "RateLimit",
    "RateLimitError",
    "RateLimitExceeded",
    "ReadError",
    "ReadTimeout",
    "RedirectError",
    "Redirects",
    "RefusedError",
    "RemoteProtocolError",
    "Request",
    "RequestOptions",
    "RequestTimeout",
    "Response",
    "ResponseTooLarge",
    "Retry",
    "RetryConfig",
    "RetryContext",
    "RetryStrategy",
    "ServerError",
    "ServerPacing",
    "ServerSentEvent",
    "Stage",
    "StatusError",
    "Stop",
    "StreamedResponse",
    "TLSError",
    "Timeouts",
    "TooManyRedirects",
    "Transport",
    "TransportError",
    "ValidationError",
    "VirtualClock",
    "WriteError",
    "WriteTimeout",
    "circuit_breaker",
    "deadline",
    "log_request",
    "rate_limit",
    "register",
    "retry",
]
