"""A REST client for the day of the outage, sync and async.

from rest_api_client import APIClient

with APIClient(base_url="https://api.example.com", max_retries=5) as client:
    print(client.get("/users").data)
"""

from __future__ import annotations

from importlib.metadata import version

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.auth.schemes import ApiKeyAuth, Auth, BasicAuth, BearerAuth, DigestAuth
from rest_api_client.client import APIClient
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.config import APIConfig, ClientOptions
from rest_api_client.connection import ConnectionOptions
from rest_api_client.context import Context
from rest_api_client.events import Event
from rest_api_client.exceptions import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BulkheadFull,
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
    LoadShed,
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
from rest_api_client.explain import Explanation
from rest_api_client.forecast import Forecast
from rest_api_client.guard import Guard
from rest_api_client.http.body_limits import BodyLimits
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import Advice, Reading
from rest_api_client.http.streaming import ServerSentEvent
from rest_api_client.idempotency import IdempotencyKey
from rest_api_client.limiter import AsyncLimiter, Limiter, Permit
from rest_api_client.middleware import Middleware
from rest_api_client.models import Attempt, Note, Problem, Request, Response
from rest_api_client.options import RequestOptions
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.pipeline import Pipeline, Policy, Stage
from rest_api_client.plugins import register
from rest_api_client.policies.adaptive_retry import AdaptiveRetry
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.backoff import (
    ConstantBackoff,
    DecorrelatedBackoff,
    ExponentialBackoff,
    FibonacciBackoff,
    LinearBackoff,
    Retry,
    RetryContext,
    RetryStrategy,
    SmoothBackoff,
    Stop,
)
from rest_api_client.policies.budget import RetryBudget, RetryQuota, RetryThrottle
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.concurrency import AdaptiveConcurrency
from rest_api_client.policies.deadline import Deadline, DeadlineHeader
from rest_api_client.policies.dimensions import Bucket, Window
from rest_api_client.policies.fallback import Fallback
from rest_api_client.policies.hedging import Hedging
from rest_api_client.policies.limiters import AIMD, Gradient2, Vegas
from rest_api_client.policies.predictive_retry import PredictiveRetry
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.redirects import Redirects
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.runtime import SuspensionError
from rest_api_client.streamed import AsyncStreamedResponse, StreamedResponse
from rest_api_client.telemetry import MetricsCollector
from rest_api_client.transport import Capability, Exchange, Timeouts, Transport
from rest_api_client.typing import Proceed
from rest_api_client.virtual.clock import VirtualClock

# Behind the others: the published modules `retry` and `rate_limiter` must not hide the decorators of such names.
from rest_api_client import retry as _retry  # noqa: F401  # isort: skip
from rest_api_client.decorators import (  # isort: skip
    adaptive_concurrency,
    bulkhead,
    circuit_breaker,
    coalesce,
    deadline,
    fallback,
    hedge,
    log_request,
    rate_limit,
    retry,
)

__version__ = version("rest-api-client-kit")

__all__ = [
    "AIMD",
    "SYSTEM",
    "APIClient",
    "APIConfig",
    "APIError",
    "AdaptiveConcurrency",
    "AdaptiveRetry",
    "Advice",
    "ApiKeyAuth",
    "AsyncAPIClient",
    "AsyncLimiter",
    "AsyncStreamedResponse",
    "Attempt",
    "AttemptTimes",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BasicAuth",
    "BearerAuth",
    "BodyLimits",
    "Bucket",
    "Bulkhead",
    "BulkheadFull",
    "Capability",
    "CapabilityError",
    "CircuitBreaker",
    "CircuitOpenError",
    "ClientError",
    "ClientOptions",
    "Clock",
    "ClosedError",
    "Coalesce",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionOptions",
    "ConstantBackoff",
    "Context",
    "CookieJar",
    "Deadline",
    "DeadlineExceeded",
    "DeadlineHeader",
    "DecodeError",
    "DecorrelatedBackoff",
    "DigestAuth",
    "Event",
    "Exchange",
    "Explanation",
    "ExponentialBackoff",
    "Fallback",
    "FibonacciBackoff",
    "Forecast",
    "Gradient2",
    "Guard",
    "Headers",
    "Hedging",
    "HookError",
    "IdempotencyKey",
    "Kind",
    "Limiter",
    "LinearBackoff",
    "LoadShed",
    "MetricsCollector",
    "Middleware",
    "NameResolutionError",
    "NotFoundError",
    "Note",
    "Outcome",
    "PermissionDeniedError",
    "Permit",
    "Pipeline",
    "Policy",
    "PoolTimeout",
    "PredictiveRetry",
    "Problem",
    "Proceed",
    "ProxyError",
    "RateLimit",
    "RateLimitError",
    "RateLimitExceeded",
    "ReadError",
    "ReadTimeout",
    "Reading",
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
    "RetryBudget",
    "RetryConfig",
    "RetryContext",
    "RetryQuota",
    "RetryStrategy",
    "RetryThrottle",
    "ServerError",
    "ServerPacing",
    "ServerSentEvent",
    "SmoothBackoff",
    "Stage",
    "StatusError",
    "Stop",
    "StreamedResponse",
    "SuspensionError",
    "TLSError",
    "Timeouts",
    "TooManyRedirects",
    "Transport",
    "TransportError",
    "ValidationError",
    "Vegas",
    "VirtualClock",
    "Window",
    "WriteError",
    "WriteTimeout",
    "__version__",
    "adaptive_concurrency",
    "bulkhead",
    "circuit_breaker",
    "coalesce",
    "deadline",
    "fallback",
    "hedge",
    "log_request",
    "rate_limit",
    "register",
    "retry",
]
