"""Strategies: how long each waits, how chance is laid over it, and what none of them does."""

from __future__ import annotations

import pickle
import random
from statistics import mean
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Response
from rest_api_client.outcome import Kind, Outcome
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
from tests.rest_api_client.chain import a_request

KINDS: tuple[Any, ...] = (
    ExponentialBackoff,
    FibonacciBackoff,
    LinearBackoff,
    ConstantBackoff,
    DecorrelatedBackoff,
    SmoothBackoff,
)
CAPPED = tuple(kind for kind in KINDS if kind is not ConstantBackoff)
JITTERED = KINDS[:4]


class Dice(random.Random):
    """Always rolls the same."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


def asked(**fields: Any) -> RetryContext:
    """What a strategy is told after a third attempt, unless said otherwise."""
    defaults: dict[str, Any] = {
        "request": a_request(),
        "response": Response(503),
        "error": None,
        "outcome": Outcome(Kind.FAILED, "status 503"),
        "attempt": 3,
        "previous_delay": 1.0,
        "elapsed": 2.0,
        "history": (),
        "random": Dice(0.25),
    }
    return RetryContext(**defaults | fields)


def delay(strategy: RetryStrategy, **fields: Any) -> float:
    """What it decides to wait."""
    step = strategy.decide(asked(**fields))
    assert isinstance(step, Retry)
    return step.delay


@pytest.mark.parametrize("kind", CAPPED)
@given(
    attempt=st.one_of(st.integers(1, 40), st.integers(1, 10**9)),
    base=st.floats(1e-9, 1e9),
    cap=st.floats(1e-9, 1e9),
    chance=st.floats(0, 1, exclude_max=True),
    previous=st.floats(0, 1e6),
)
@example(attempt=10**9, base=0.5, cap=20.0, chance=0.5, previous=0.0)
def test_a_delay_is_never_above_its_cap(
    kind: Any, attempt: int, base: float, cap: float, chance: float, previous: float
) -> None:
    """No attempt number overflows, and no chance leads beyond what `get_delay` says or the cap."""
    strategy = kind(base=base, cap=cap)
    assert 0 < strategy.get_delay(attempt) <= cap
    assert 0 <= delay(strategy, attempt=attempt, random=Dice(chance), previous_delay=previous) <= cap


@given(attempt=st.integers(1, 10**9), factor=st.floats(1, 1e9))
@example(attempt=10**9, factor=2.0)
def test_no_factor_overflows(attempt: int, factor: float) -> None:
    """Beyond what a float can hold, the cap is the wait."""
    assert 0 < ExponentialBackoff(factor=factor).get_delay(attempt) <= 20


def test_delays_double_up_to_the_cap() -> None:
    """min(cap, base * factor ** (attempt - 1))."""
    assert [ExponentialBackoff().get_delay(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert [ExponentialBackoff(base=3, factor=1).get_delay(n) for n in (1, 10**6)] == [3, 3]
    assert [ExponentialBackoff(base=30).get_delay(n) for n in (1, 2)] == [20, 20]


def test_linear_delays_grow_evenly() -> None:
    """min(cap, base + step * (attempt - 1)); the step is the base unless given."""
    assert [LinearBackoff(base=2, cap=7).get_delay(n) for n in range(1, 6)] == [2, 4, 6, 7, 7]
    assert [LinearBackoff(base=2, step=0).get_delay(n) for n in range(1, 4)] == [2, 2, 2]


def test_fibonacci_delays_are_the_sum_of_the_two_before() -> None:
    """Base times 1, 1, 2, 3, 5, 8 ... up to the cap."""
    assert [FibonacciBackoff(base=1).get_delay(n) for n in range(1, 10)] == [1, 1, 2, 3, 5, 8, 13, 20, 20]
    assert FibonacciBackoff(base=30).get_delay(1) == 20


def test_constant_delays_do_not_grow() -> None:
    """The base, whatever the attempt."""
    assert [ConstantBackoff(base=7).get_delay(n) for n in (1, 2, 10**9)] == [7, 7, 7]


@pytest.mark.parametrize("kind", JITTERED)
def test_jitter_is_laid_over_the_longest_wait(kind: Any) -> None:
    """T7: full: from 0; equal: from its half; none: the wait itself."""
    longest = kind(base=2).get_delay(3)
    assert delay(kind(base=2)) == longest / 4
    assert delay(kind(base=2, jitter="equal")) == longest * 5 / 8
    assert delay(kind(base=2, jitter="none")) == longest


def test_decorrelated_delays_are_drawn_from_the_one_before() -> None:
    """Between base and three times the wait before, at most the cap; before the first one was, so to say, base."""
    strategy = DecorrelatedBackoff(base=1, cap=10)
    assert [delay(strategy, previous_delay=0, random=Dice(roll)) for roll in (0, 0.5)] == [1, 2]
    assert [delay(strategy, previous_delay=3, random=Dice(roll)) for roll in (0, 0.5)] == [1, 5]
    assert delay(strategy, previous_delay=9, random=Dice(0.9)) == 10
    assert [strategy.get_delay(n) for n in (1, 2, 3)] == [3, 9, 10]
    assert [DecorrelatedBackoff(base=2, cap=50).get_delay(n) for n in (1, 2, 3)] == [6, 18, 50]


def test_a_long_retry_after_does_not_swell_the_decorrelated_delays() -> None:
    """T5: the wait before counts as the cap at most, so that a minute waited for the server is not tripled."""
    assert delay(DecorrelatedBackoff(base=1, cap=10), previous_delay=60, random=Dice(0.2)) == pytest.approx(6.8)


def test_smooth_delays_double_and_have_no_gaps() -> None:
    """In the mean each wait is about twice the one before, and every tenth of the range is met about as often."""
    dice, strategy = random.Random(3), SmoothBackoff(base=1, cap=1000)
    waits = {n: [delay(strategy, attempt=n, random=dice) for _ in range(4000)] for n in (1, 3, 4, 5)}
    assert mean(waits[1]) == pytest.approx(0.87, rel=0.05)
    assert mean(waits[4]) == pytest.approx(2 * mean(waits[3]), rel=0.1)
    assert mean(waits[5]) == pytest.approx(2 * mean(waits[4]), rel=0.1)
    assert max(waits[3]) <= strategy.get_delay(3)
    most = max(waits[3])
    slices = [sum(part <= wait / most * 10 < part + 1 for wait in waits[3]) for part in range(9)]
    assert min(slices) > 100


def test_smooth_delays_lie_between_two_moments_of_the_curve() -> None:
    """f(t) = 2 ** t * tanh(sqrt(4 t)), times base / 1.4: f(1) is 1.928, f(2) 3.972, f(3) 7.984, f(4) 15.989."""
    strategy = SmoothBackoff(base=2.8, cap=1000)
    assert [strategy.get_delay(n) for n in (1, 2, 3, 4)] == pytest.approx([3.856, 7.944, 12.112, 24.034], abs=1e-3)
    assert delay(strategy, attempt=1, random=Dice(0)) == 0
    assert delay(strategy, attempt=4, random=Dice(0)) == pytest.approx(2 * (7.984 - 3.972), abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_is_a_value_without_a_memory(kind: Any) -> None:
    """Asked twice the same it answers the same, and it compares and travels."""
    strategy = kind(base=3)
    assert delay(strategy) == delay(strategy)
    assert pickle.loads(pickle.dumps(strategy)) == strategy == kind(base=3) != kind(base=4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {"base": 0}) for kind in KINDS),
        *((kind, {"base": -1.0}) for kind in KINDS),
        *((kind, {"cap": 0.0}) for kind in CAPPED),
        *((kind, {"cap": float("inf")}) for kind in CAPPED),
        *((kind, {"jitter": "some"}) for kind in JITTERED),
        *((kind, {"jitter": None}) for kind in JITTERED),
        (ExponentialBackoff, {"factor": 0.5}),
        (LinearBackoff, {"step": -1}),
    ],
)
def test_a_back_off_without_a_pause_is_refused(kind: Any, options: dict[str, Any]) -> None:
    """T7: a base of zero would be a storm."""
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}\({next(iter(options))}="):
        kind(**options)


def test_no_pause_is_called_what_it_is() -> None:
    """The message says why a base of nothing is refused."""
    with pytest.raises(
        ConfigurationError, match=r"base=0\): give seconds above 0; retries without a pause are a storm$"
    ):
        ConstantBackoff(base=0)


def test_a_factor_is_a_number_and_no_time() -> None:
    """The message says in what unit."""
    with pytest.raises(ConfigurationError, match=r"factor=0.5\): give a number, 1 or more$"):
        ExponentialBackoff(factor=0.5)


def test_a_subclass_may_narrow_what_a_shipped_strategy_retries() -> None:
    """`should_retry` is asked first, and no chance is laid over a refusal."""

    class Only503(ExponentialBackoff):
        def should_retry(self, response: Response | None, attempt: int) -> bool:
            return response is not None and response.status_code == 503

    assert Only503().decide(asked(response=Response(502))) == Stop()
    assert Only503().decide(asked()) == Retry(0.5)
