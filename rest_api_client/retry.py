"""Retries, under their published name; they live in `policies.retry` and `policies.budget`."""

from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.retry import (
    DECISIONS,
    ExponentialBackoff,
    LinearBackoff,
    Retry,
    RetryConfig,
    RetryContext,
    RetryStrategy,
    Stop,
)

__all__ = [
    "DECISIONS",
    "ExponentialBackoff",
    "LinearBackoff",
    "Retry",
    "RetryBudget",
    "RetryConfig",
    "RetryContext",
    "RetryStrategy",
    "Stop",
]
