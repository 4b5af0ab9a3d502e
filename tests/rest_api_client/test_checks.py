"""What is refused as a number, and that every option refuses it alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import pytest

from rest_api_client import AIMD, AdaptiveConcurrency, AttemptTimes, Bucket, Bulkhead, Gradient2, Hedging, Vegas, Window
from rest_api_client.checks import check_above_zero, check_at_least, check_share, check_whole
from rest_api_client.config import APIConfig
from rest_api_client.connection import ConnectionOptions
from rest_api_client.decorators import deadline
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.body_limits import BodyLimits
from rest_api_client.policies.backoff import ExponentialBackoff, LinearBackoff
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.redirects import Redirects
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.policies.state import MemoryState
from rest_api_client.script import Delay, Throttle
from rest_api_client.transport import Timeouts

NO_NUMBERS = [math.nan, math.inf, -math.inf, True, False, "1", b"1", [1], 1j, -1, -0.5, 10**400]


def check(name: str, **value: Any) -> None:
    """One of the checks, by a short name."""
    {
        "whole": lambda: check_whole("Owner", 2, **value),
        "above 0": lambda: check_above_zero("Owner", **value),
        "at least": lambda: check_at_least("Owner", 2, unit="a number", **value),
        "share": lambda: check_share("Owner", zero=False, **value),
        "share or none": lambda: check_share("Owner", zero=True, **value),
    }[name]()


@pytest.mark.parametrize("kind", ["above 0", "at least", "share", "share or none"])
@pytest.mark.parametrize("value", [*NO_NUMBERS, None], ids=lambda value: repr(value)[:12])
def test_what_is_no_number_is_refused(kind: str, value: object) -> None:
    """NaN, the infinities, bools, texts, None, what is below 0 or beyond any float: the error shows what was given."""
    with pytest.raises(ConfigurationError) as caught:
        check(kind, option=value)
    assert str(caught.value).startswith(f"Owner(option={value!r}): give ")


@pytest.mark.parametrize("value", [*NO_NUMBERS, None, 1, 2.0], ids=repr)
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    """A float is none, even where it has no fraction."""
    with pytest.raises(ConfigurationError, match=r"^Owner\(option=.*: give a whole number, 2 or more$"):
        check("whole", option=value)


@pytest.mark.parametrize(
    ("kind", "taken", "refused", "give"),
    [
        ("whole", (2, 3, 10**308), (1, 0, 10**400), "a whole number, 2 or more"),
        ("above 0", (1, 0.001, 5e-324, 1.7e308), (0, 0.0, -0.0), "seconds above 0"),
        ("at least", (2, 2.0, 1e9), (1.999, 0), "a number, 2 or more"),
        ("share", (1, 0.5, 1e-9), (0, 0.0, 1.001), "a share above 0, at most 1"),
        ("share or none", (0, 0.0, 1, 0.5), (1.001, 2), "a share from 0 to 1"),
    ],
)
def test_the_border_belongs_where_it_is_said(kind: str, taken: Any, refused: Any, give: str) -> None:
    """What lies on the border passes or not as the message says."""
    for value in taken:
        check(kind, option=value)
    for value in refused:
        with pytest.raises(ConfigurationError) as caught:
            check(kind, option=value)
        assert str(caught.value) == f"Owner(option={value!r}): give {give}"


def test_none_passes_only_where_it_means_something() -> None:
    """`off` says what it means, and the message says it too."""
    check_whole("Owner", 1, off="no limit", option=None)
    check_above_zero("Owner", off="no limit", option=None)
    check_at_least("Owner", 0, off="no limit", option=None)
    with pytest.raises(ConfigurationError, match=r"give seconds, 0 or more, or None for no limit$"):
        check_at_least("Owner", 0, off="no limit", option=-1)


def test_the_message_names_the_option_that_is_wrong() -> None:
    """Of several options the wrong one; a keyword that stands alone has no owner; a hint comes last."""
    with pytest.raises(ConfigurationError, match=r"^Owner\(second=0\): give seconds above 0; or a storm comes$"):
        check_above_zero("Owner", hint="or a storm comes", first=1, second=0)
    with pytest.raises(ConfigurationError, match=r"^retries=-1: give a whole number, 0 or more$"):
        check_whole("", 0, retries=-1)


def numbers(kind: Callable[..., Any], *names: str, **others: Any) -> list[Any]:
    """Each named option of a kind, as a function that sets it."""
    return [
        pytest.param(lambda value, name=name: kind(**{**others, name: value}), id=f"{kind.__name__}-{name}")
        for name in names
    ]


OPTIONS = [
    *numbers(CircuitBreaker, "failure_ratio", "min_calls", "window", "window_calls", "open_for", "probes"),
    *numbers(CircuitBreaker, "consecutive_failures", "slow_after", "slow_ratio", "max_open_for"),
    *numbers(Bulkhead, "limit", "queue", "max_wait"),
    *numbers(AdaptiveConcurrency, "initial", "min_limit", "max_limit", "window", "max_window", "min_samples"),
    *numbers(AdaptiveConcurrency, "queue", "max_wait"),
    *numbers(Vegas, "quantile", "baseline", "memory", "probe", "headroom"),
    *numbers(Gradient2, "long_window", "tolerance", "headroom", "smoothing"),
    *numbers(AIMD, "keep", "tolerated"),
    *numbers(Hedging, "percentile", "delay", "min_samples", "max_hedges"),
    *numbers(AttemptTimes, "percentile", "min_samples"),
    *numbers(Window, "amount", period=1),
    *numbers(Window, "period", amount=1),
    *numbers(Bucket, "rate"),
    *numbers(Bucket, "burst", rate=1),
    *numbers(RateLimit, "calls", "max_wait", period=1),
    *numbers(RateLimit, "period", calls=1),
    *numbers(RateLimit, "rate"),
    *numbers(RateLimit, "burst", rate=1),
    *numbers(ServerPacing, "max_wait"),
    *numbers(ExponentialBackoff, "base", "factor", "cap"),
    *numbers(LinearBackoff, "base", "step", "cap"),
    *numbers(RetryConfig, "max_attempts", "max_retries", "max_retry_after"),
    *numbers(RetryBudget, "ratio", "min_per_second", "burst"),
    *numbers(ConnectionOptions, "max_connections", "max_connections_per_host", "keepalive_expiry"),
    *numbers(Timeouts, "connect", "read", "write", "pool"),
    *numbers(BodyLimits, *(field.name for field in fields(BodyLimits))),
    *numbers(Redirects, "max_redirects"),
    *numbers(Deadline, "seconds"),
    *numbers(deadline, "seconds"),
    *numbers(Delay, "seconds"),
    *numbers(Throttle, "bytes_per_second"),
    *numbers(APIConfig.build, "timeout", "deadline", "max_retries", "max_redirects", "max_connections"),
    *numbers(APIConfig.build, "keepalive_expiry"),
    *numbers(APIConfig.build, "rate_limit_calls", rate_limit_period=1),
    *numbers(APIConfig.build, "rate_limit_period", rate_limit_calls=1),
    pytest.param(
        lambda value: MemoryState(lambda: None, lambda: 0.0, max_keys=value),  # type: ignore[arg-type,return-value]
        id="MemoryState-max_keys",
    ),
]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", -1], ids=repr)
@pytest.mark.parametrize("make", OPTIONS)
def test_every_option_refuses_the_same(make: Callable[[Any], Any], value: object) -> None:
    """Wherever a number is an option, these are none, and the message shows them and what to give."""
    with pytest.raises(ConfigurationError, match=r"=(nan|-?inf|True|'1'|-1)\)?: give "):
        make(value)


KINDS = [
    CircuitBreaker, RetryBudget, ConnectionOptions, Timeouts, BodyLimits, Redirects, Bulkhead, AdaptiveConcurrency,
    Vegas, Gradient2, AIMD, Hedging, AttemptTimes,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_is_left_unchecked(kind: Any) -> None:
    """An option whose default is a number is in the list above: a new one has to be put there."""
    listed = {str(param.id) for param in OPTIONS}
    plain = [f for f in fields(kind) if f.default is not MISSING and type(f.default) in (int, float)]
    assert {f"{kind.__name__}-{f.name}" for f in plain} <= listed
