"""Retries, under their published name: strategies and the policy live in `policies.retry`, the budget in `policies.budget`."""

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
