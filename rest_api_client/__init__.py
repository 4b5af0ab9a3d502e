"""A REST client for the day of the outage, sync and async.

from rest_api_client import APIClient

with APIClient(base_url="https://api.example.com", max_retries=5) as client:
    print(client.get("/users").data)

A name is imported when it is first asked for: who needs little, as a command line or the mock server, waits for little.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rest_api_client.async_client import AsyncAPIClient
    from rest_api_client.auth.digest import DigestAuth
    from rest_api_client.auth.schemes import ApiKeyAuth, Auth, BasicAuth, BearerAuth
    from rest_api_client.client import APIClient
    from rest_api_client.clock import SYSTEM, Clock
    from rest_api_client.config import APIConfig, ClientOptions
    from rest_api_client.connection import ConnectionOptions
    from rest_api_client.context import Context
    from rest_api_client.decorators import (
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
    from rest_api_client.http.problems import Problem
    from rest_api_client.http.rate_limit_fields import Advice, Reading
    from rest_api_client.http.streaming import ServerSentEvent
    from rest_api_client.idempotency import IdempotencyKey
    from rest_api_client.limiter import AsyncLimiter, Limiter, Permit
    from rest_api_client.middleware import Middleware
    from rest_api_client.models import Attempt, Note, Request, Response
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

__version__: str

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

_PLACES = {
    "AsyncAPIClient": "async_client",
    "ApiKeyAuth": "auth.schemes",
    "Auth": "auth.schemes",
    "BasicAuth": "auth.schemes",
    "BearerAuth": "auth.schemes",
    "DigestAuth": "auth.digest",
    "APIClient": "client",
    "Clock": "clock",
    "SYSTEM": "clock",
    "APIConfig": "config",
    "ClientOptions": "config",
    "ConnectionOptions": "connection",
    "Context": "context",
    "adaptive_concurrency": "decorators",
    "bulkhead": "decorators",
    "circuit_breaker": "decorators",
    "coalesce": "decorators",
    "deadline": "decorators",
    "fallback": "decorators",
    "hedge": "decorators",
    "log_request": "decorators",
    "rate_limit": "decorators",
    "Event": "events",
    "APIError": "exceptions",
    "AuthenticationError": "exceptions",
    "BadRequestError": "exceptions",
    "BulkheadFull": "exceptions",
    "CapabilityError": "exceptions",
    "CircuitOpenError": "exceptions",
    "ClientError": "exceptions",
    "ClosedError": "exceptions",
    "ConfigurationError": "exceptions",
    "ConflictError": "exceptions",
    "ConnectError": "exceptions",
    "ConnectTimeout": "exceptions",
    "DeadlineExceeded": "exceptions",
    "DecodeError": "exceptions",
    "HookError": "exceptions",
    "LoadShed": "exceptions",
    "NameResolutionError": "exceptions",
    "NotFoundError": "exceptions",
    "PermissionDeniedError": "exceptions",
    "PoolTimeout": "exceptions",
    "ProxyError": "exceptions",
    "RateLimitError": "exceptions",
    "RateLimitExceeded": "exceptions",
    "ReadError": "exceptions",
    "ReadTimeout": "exceptions",
    "RedirectError": "exceptions",
    "RefusedError": "exceptions",
    "RemoteProtocolError": "exceptions",
    "RequestTimeout": "exceptions",
    "ResponseTooLarge": "exceptions",
    "ServerError": "exceptions",
    "StatusError": "exceptions",
    "TLSError": "exceptions",
    "TooManyRedirects": "exceptions",
    "TransportError": "exceptions",
    "ValidationError": "exceptions",
    "WriteError": "exceptions",
    "WriteTimeout": "exceptions",
    "Explanation": "explain",
    "Forecast": "forecast",
    "Guard": "guard",
    "BodyLimits": "http.body_limits",
    "CookieJar": "http.cookies",
    "Headers": "http.headers",
    "Problem": "http.problems",
    "Advice": "http.rate_limit_fields",
    "Reading": "http.rate_limit_fields",
    "ServerSentEvent": "http.streaming",
    "IdempotencyKey": "idempotency",
    "AsyncLimiter": "limiter",
    "Limiter": "limiter",
    "Permit": "limiter",
    "Middleware": "middleware",
    "Attempt": "models",
    "Note": "models",
    "Request": "models",
    "Response": "models",
    "RequestOptions": "options",
    "Kind": "outcome",
    "Outcome": "outcome",
    "Pipeline": "pipeline",
    "Policy": "pipeline",
    "Stage": "pipeline",
    "register": "plugins",
    "AdaptiveRetry": "policies.adaptive_retry",
    "AttemptTimes": "policies.attempt_times",
    "ConstantBackoff": "policies.backoff",
    "DecorrelatedBackoff": "policies.backoff",
    "ExponentialBackoff": "policies.backoff",
    "FibonacciBackoff": "policies.backoff",
    "LinearBackoff": "policies.backoff",
    "Retry": "policies.backoff",
    "RetryContext": "policies.backoff",
    "RetryStrategy": "policies.backoff",
    "SmoothBackoff": "policies.backoff",
    "Stop": "policies.backoff",
    "RetryBudget": "policies.budget",
    "RetryQuota": "policies.budget",
    "RetryThrottle": "policies.budget",
    "Bulkhead": "policies.bulkhead",
    "CircuitBreaker": "policies.circuit_breaker",
    "Coalesce": "policies.coalesce",
    "AdaptiveConcurrency": "policies.concurrency",
    "Deadline": "policies.deadline",
    "DeadlineHeader": "policies.deadline",
    "Bucket": "policies.dimensions",
    "Window": "policies.dimensions",
    "Fallback": "policies.fallback",
    "Hedging": "policies.hedging",
    "AIMD": "policies.limiters",
    "Gradient2": "policies.limiters",
    "Vegas": "policies.limiters",
    "PredictiveRetry": "policies.predictive_retry",
    "RateLimit": "policies.rate_limiter",
    "Redirects": "policies.redirects",
    "RetryConfig": "policies.retry",
    "ServerPacing": "policies.server_pacing",
    "SuspensionError": "runtime",
    "AsyncStreamedResponse": "streamed",
    "StreamedResponse": "streamed",
    "MetricsCollector": "telemetry",
    "Capability": "transport",
    "Exchange": "transport",
    "Timeouts": "transport",
    "Transport": "transport",
    "Proceed": "typing",
    "VirtualClock": "virtual.clock",
}


class _Package(ModuleType):
    """The published module `rest_api_client.retry` must not hide the decorator, whichever is imported first."""

    @property
    def retry(self) -> Any:
        """The decorator."""
        return import_module("rest_api_client.decorators").retry

    @retry.setter
    def retry(self, module: ModuleType) -> None: ...


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("rest-api-client-kit")
    elif name in _PLACES:
        value = getattr(import_module(f"rest_api_client.{_PLACES[name]}"), name)
    else:
        raise AttributeError(f"module 'rest_api_client' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
