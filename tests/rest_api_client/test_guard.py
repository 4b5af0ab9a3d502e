"""Policies round any function, without a client."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from rest_api_client.decorators import deadline
from rest_api_client.events import Event, RetryDecided
from rest_api_client.exceptions import CircuitOpenError, ConfigurationError, DeadlineExceeded, RateLimitExceeded
from rest_api_client.guard import Guard
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World

EVEN = ExponentialBackoff(base=1, factor=1, jitter="none")


def call(world: World[VirtualClock], guard: Guard, plays: Any) -> Any:
    """Call `plays()` through the guard, as a sync function or as an async one."""
    if world.name == "sync":
        with world.clock.hold():
            return guard.call(plays)

    async def asynchronous() -> Any:
        return plays()

    return world.run(lambda: guard.call(asynchronous))


class Plays:
    """A function that raises or returns what it was given, one after the other."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)

    def __call__(self) -> object:
        """Play the next one."""
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_several_policies_stand_round_one_function(world: World[VirtualClock]) -> None:
    """Retry and breaker work together as in a client: the breaker sees each attempt and ends the retries."""
    breaker = CircuitBreaker(min_calls=2, failure_ratio=1)
    guard = Guard(breaker, RetryConfig(max_attempts=5, strategy=EVEN), on=OSError, clock=world.clock)
    with pytest.raises(CircuitOpenError) as caught:
        call(world, guard, Plays(OSError("one"), OSError("two"), "never"))
    assert isinstance(caught.value.__cause__, OSError)
    assert world.clock.monotonic() == 2


def test_what_the_function_returns_and_raises_is_its_own(world: World[VirtualClock]) -> None:
    """A result comes back as it is; an error that is no failure is not retried."""
    guard = Guard(RetryConfig(strategy=EVEN), on=OSError, clock=world.clock)
    assert call(world, guard, Plays({"a": 1})) == {"a": 1}
    with pytest.raises(KeyError):
        call(world, guard, Plays(KeyError("x"), "never"))


def test_arguments_reach_the_function() -> None:
    """Positional and keyword arguments, by `call` and by the decorator."""
    guard = Guard(RetryConfig())

    def join(*args: object, **kwargs: object) -> str:
        return f"{args} {kwargs}"

    assert guard.call(join, 1, two=2) == "(1,) {'two': 2}"
    assert guard(join)(1, two=2) == "(1,) {'two': 2}"
    assert guard(join).__name__ == "join"


def test_state_is_the_guards_or_each_functions() -> None:
    """A limit keyed by "client" counts the calls of all functions, one keyed by "route" those of each."""
    clock = VirtualClock()

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    with clock.hold():
        whole = Guard(RateLimit(calls=1, period=1, max_wait=0), clock=clock)
        whole.call(one)
        with pytest.raises(RateLimitExceeded):
            whole.call(two)
        each = Guard(RateLimit(calls=1, period=1, max_wait=0, key="route"), clock=clock)
        assert each.call(one) + each.call(two) == 3


def test_sync_and_async_functions_share_the_state(world: World[VirtualClock]) -> None:
    """What a thread used up is gone for a loop."""
    guard = Guard(RateLimit(calls=1, period=1, max_wait=0), clock=world.clock)
    with world.clock.hold():
        guard.call(threading.get_ident)
    with pytest.raises(RateLimitExceeded):
        call(world, guard, Plays("never"))


def test_events_tell_what_happened(world: World[VirtualClock]) -> None:
    """Sinks hear of each decision."""
    heard: list[Event] = []
    strategy = ExponentialBackoff(base=1)
    guard = Guard(
        RetryConfig(strategy=strategy), on=OSError, events=[heard.append], clock=world.clock, random=random.Random(1)
    )
    assert call(world, guard, Plays(OSError(), "fine")) == "fine"
    assert [event.decision for event in heard if isinstance(event, RetryDecided)] == ["retry"]


def test_a_deadline_in_the_chain_bounds_retries_and_inner_deadlines(world: World[VirtualClock]) -> None:
    """No wait is begun that would outlast it, and what is called inside knows of it."""
    guard = Guard(
        Deadline(seconds=2.5), RetryConfig(max_attempts=9, strategy=EVEN, budget=None), on=OSError, clock=world.clock
    )
    with pytest.raises(OSError, match="three"):
        call(world, guard, Plays(OSError("one"), OSError("two"), OSError("three"), "never"))

    @deadline(100, clock=world.clock)
    def inner() -> str:
        world.clock.sleep(0)
        return "in time"

    if world.name == "sync":
        assert call(world, guard, inner) == "in time"


def test_a_late_function_is_not_begun(world: World[VirtualClock]) -> None:
    """A deadline round the guard that has passed ends it before the function is called."""
    guard = Guard(Deadline(seconds=1), clock=world.clock)
    play = Plays(OSError("never"))

    @deadline(1, clock=world.clock)
    def outer() -> None:
        world.clock.sleep(2)
        guard.call(play)

    with world.clock.hold(), pytest.raises(DeadlineExceeded):
        outer()
    assert len(play.results) == 1


def test_what_cannot_be_guarded_is_refused() -> None:
    """No function, a generator function, no policy: a clear error, and nothing is called."""
    guard = Guard(RetryConfig())

    def generate() -> Any:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        guard(generate)
    with pytest.raises(ConfigurationError, match="no function"):
        guard.call(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no policy"):
        Guard(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="two policies at stage RETRY"):
        Guard(RetryConfig(), RetryConfig(max_attempts=2))


def test_it_shows_its_policies() -> None:
    """The repr lists them."""
    assert repr(Guard(RetryConfig(max_attempts=2))).startswith("Guard(RetryConfig(max_attempts=2")
