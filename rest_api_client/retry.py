"""Retries, under their published name; they live in `policies.retry`, `policies.backoff` and `policies.budget`."""

from rest_api_client.policies.adaptive_retry import AdaptiveRetry
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
from rest_api_client.policies.budget import Budget, RetryBudget, RetryQuota, RetryThrottle
from rest_api_client.policies.predictive_retry import PredictiveRetry
from rest_api_client.policies.retry import DECISIONS, RetryConfig

__all__ = [
    "DECISIONS",
    "AdaptiveRetry",
    "Budget",
    "ConstantBackoff",
    "DecorrelatedBackoff",
    "ExponentialBackoff",
    "FibonacciBackoff",
    "LinearBackoff",
    "PredictiveRetry",
    "Retry",
    "RetryBudget",
    "RetryConfig",
    "RetryContext",
    "RetryQuota",
    "RetryStrategy",
    "RetryThrottle",
    "SmoothBackoff",
    "Stop",
]
