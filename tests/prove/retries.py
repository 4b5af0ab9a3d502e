"""What the retry policy costs a call that goes well, and what a crowd makes of a server's rate limit."""

from __future__ import annotations

from rest_api_client.policies.adaptive_retry import AdaptiveRetry
from rest_api_client.policies.budget import RetryQuota
from rest_api_client.policies.predictive_retry import PredictiveRetry
from rest_api_client.policies.retry import RetryConfig
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead
from tests.rest_api_client.policies.test_adaptive_retry import crowd, late


@proof
def a_call_that_goes_well_hardly_notices_retries() -> list[Figure]:
    """A call whose first attempt succeeds."""
    configs = (RetryConfig(), RetryConfig(budget=RetryQuota()), AdaptiveRetry(), PredictiveRetry())
    names = [f"{type(config).__name__}, {type(config.budget).__name__}" for config in configs]
    bounds = (1.5, None, None, None)
    return [
        Figure(name, overhead(config), "us", bound) for name, config, bound in zip(names, configs, bounds, strict=True)
    ]


@proof
def a_crowd_finds_the_rate_that_a_server_takes() -> list[Figure]:
    """Twelve callers as fast as they can, half a virtual minute after half a minute of learning: 429s a second."""
    figures = []
    for rate in (5.0, 30.0, 80.0):
        adaptive, plain = crowd(AdaptiveRetry(), rate), crowd(RetryConfig(), rate)
        unused = 1 - late(adaptive.served) / 30 / rate
        figures.append(Figure(f"{rate:g} a second, share left unused", unused, "of 1", 0.1))
        figures.append(Figure(f"{rate:g} a second, 429s with AdaptiveRetry", late(adaptive.throttled) / 30, "/s", 1))
        figures.append(Figure(f"{rate:g} a second, 429s with RetryConfig", late(plain.throttled) / 30, "/s"))
    return figures
