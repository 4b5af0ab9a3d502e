"""Retries, under their published name; they live in `policies.retry`, `policies.backoff` and `policies.budget`."""

from rest_api_client.policies.backoff import (
    ExponentialBackoff,
    LinearBackoff,
    Retry,
    RetryContext,
    RetryStrategy,
    Stop,
)
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.retry import DECISIONS, RetryConfig

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
