"""The client's own rate limit in the chain: turns, refusals, what is given back."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.engines.scripted import respond
from rest_api_client.events import RateLimited
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded, ServerError
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Refuse, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.together import together

AnyWorld = World[Any]
NO_JITTER = ExponentialBackoff(jitter="none")


def _all_at_once(world: AnyWorld, chain: Chain, count: int, **options: Any) -> list[Any]:
    async def one(number: int) -> Any:
        return await chain.send(a_request(url=f"https://api.test/{number}"), **options)

    async def body() -> list[Any]:
        return await together(world.runtime, *((one, number) for number in range(count)))

    return world.run(body)


def test_calls_beyond_the_limit_wait_for_the_next_period(world: AnyWorld) -> None:
    """Of seven at once, three go out, then three, then one, in the order in which they came."""
    chain = Chain(world.runtime, [RateLimit(calls=3, period=10)], respond(200))
    _all_at_once(world, chain, 7)
    assert chain.arrivals == [0, 0, 0, 10, 10, 10, 20]
    assert [arrival.request.url.target for arrival in chain.server.requests] == [f"/{number}" for number in range(7)]
    assert [event.waited for event in chain.events if isinstance(event, RateLimited)] == [10, 10, 10, 20]


def test_a_bucket_lets_a_burst_pass_and_then_its_rate(world: AnyWorld) -> None:
    """`RateLimit(rate=2, burst=3)`: three at once, then one every half second."""
    chain = Chain(world.runtime, [RateLimit(rate=2, burst=3)], respond(200))
    _all_at_once(world, chain, 6)
    assert chain.arrivals == pytest.approx([0, 0, 0, 0.5, 1, 1.5])


def test_a_bucket_saves_up_a_seconds_worth_unless_told_otherwise(world: AnyWorld) -> None:
    """With rate=1.5 the burst is 2."""
    chain = Chain(world.runtime, [RateLimit(rate=1.5)], respond(200))
    _all_at_once(world, chain, 3)
    assert chain.arrivals == pytest.approx([0, 0, 1 / 1.5])


def test_a_token_is_back_one_period_after_the_answer(world: AnyWorld) -> None:
    """A request that took 4 s may have arrived at their end, so the next one leaves 10 s after that."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10)], respond(200, delay=4))
    _all_at_once(world, chain, 2)
    assert chain.arrivals == [0, 14]


def test_retries_pass_the_limiter_too(world: AnyWorld) -> None:
    """T12: the second attempt waits for its token like any request."""
    chain = Chain(
        world.runtime, [RateLimit(calls=1, period=10), RetryConfig(strategy=NO_JITTER)], [respond(503), respond(200)]
    )
    world.run(chain.send)
    assert chain.arrivals == [0, 10]


def test_origins_and_hosts_and_functions_have_limits_of_their_own(world: AnyWorld) -> None:
    """`key` says what shares a limit."""

    def arrivals(key: Any) -> list[float]:
        chain = Chain(world.runtime, [RateLimit(calls=1, period=10, key=key)], respond(200))

        async def body() -> None:
            for url in ("https://a.test/1", "http://a.test/2", "https://b.test/1"):
                await chain.send(a_request(url=url))

        began = world.clock.monotonic()
        world.run(body)
        return [moment - began for moment in chain.arrivals]

    assert arrivals("client") == [0, 10, 20]
    assert arrivals("origin") == [0, 0, 0]
    assert arrivals("host") == [0, 10, 10]
    assert arrivals(lambda request: request.url.path) == [0, 0, 10]


def test_max_wait_refuses_at_once_and_says_when(world: AnyWorld) -> None:
    """The wait would be 10 s and 5 are allowed: the error comes now, with `retry_after`, and nothing is sent."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10, max_wait=5)], respond(200))
    results = _all_at_once(world, chain, 3)
    assert [type(result).__name__ for result in results] == ["Response", "RateLimitExceeded", "RateLimitExceeded"]
    assert results[1].retry_after == 10
    assert "max_wait 5 s" in str(results[1])
    assert world.clock.monotonic() == 0
    assert chain.arrivals == [0]
    assert [event.refused for event in chain.events if isinstance(event, RateLimited)] == [True, True]


def test_those_in_line_are_refused_when_their_own_turn_would_be_too_late(world: AnyWorld) -> None:
    """With one call per 10 s and 15 s of patience the third and fourth are refused at once, the second is served."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10, max_wait=15)], respond(200))
    results = _all_at_once(world, chain, 4)
    assert [type(result).__name__ for result in results] == ["Response"] * 2 + ["RateLimitExceeded"] * 2
    assert [result.retry_after for result in results[2:]] == [20, 20]


def test_a_wait_that_turns_out_too_long_in_line_ends_in_a_refusal(world: AnyWorld) -> None:
    """Where an open answer keeps the head waiting longer than could be foreseen, those behind give up in time."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10, max_wait=25)], respond(200, delay=20))
    results = _all_at_once(world, chain, 3)
    assert [type(result).__name__ for result in results] == ["Response", "RateLimitExceeded", "RateLimitExceeded"]
    assert chain.arrivals == [0]


def test_one_behind_a_head_that_waits_longer_than_foreseen_gives_up_in_time(world: AnyWorld) -> None:
    """The third may wait until 25 s, which looked enough; but the first is still open, and the second is head."""

    class Until:
        stage = Stage.DEADLINE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            context.call.deadline = 25.0 if request.url.target == "/2" else None
            return await proceed(request, context)

    chain = Chain(world.runtime, [Until(), RateLimit(calls=1, period=10)], respond(200, delay=20))
    results = _all_at_once(world, chain, 3)
    assert [type(result).__name__ for result in results] == ["Response", "Response", "RateLimitExceeded"]
    assert chain.arrivals == [0, 30]
    assert [event.waited for event in chain.events if isinstance(event, RateLimited)] == [25, 30]


def test_a_wait_that_does_not_fit_into_the_deadline_is_refused_at_once(world: AnyWorld) -> None:
    """Waiting counts against the deadline; 10 s do not fit into 10."""
    chain = Chain(world.runtime, [Deadline(seconds=10), RateLimit(calls=1, period=10)], respond(200))
    results = _all_at_once(world, chain, 2)
    assert isinstance(results[1], RateLimitExceeded)
    assert "deadline 10 s" in str(results[1])
    assert world.clock.monotonic() == 0


def test_a_refusal_between_two_attempts_does_not_hide_the_answer_before_it(world: AnyWorld) -> None:
    """T26: the limiter refuses the retry of a 503; the 503 is the refusal's cause."""
    policies = [RetryConfig(strategy=NO_JITTER), RateLimit(calls=1, period=10, max_wait=1)]
    chain = Chain(world.runtime, policies, respond(503))
    with pytest.raises(RateLimitExceeded) as caught:
        world.run(chain.send)
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.status_code == 503
    assert chain.decisions == ["retry", "not retryable"]


def test_a_cancelled_waiter_takes_no_token_and_wakes_the_next(world: AnyWorld) -> None:
    """T12: the second of three is cancelled while it heads the line; the third goes when the second would have."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10)], respond(200))

    async def body() -> None:
        tasks = []
        for number in range(3):
            tasks.append(world.runtime.spawn(chain.send, a_request(url=f"https://api.test/{number}")))
            await world.runtime.sleep(1)
        tasks[1].cancel()
        await tasks[2].join()

    world.run(body)
    assert chain.arrivals == [0, 10]
    assert chain.server.requests[1].request.url.target == "/2"


def test_a_token_of_a_request_that_never_left_is_given_back(world: AnyWorld) -> None:
    """T12: cancelled between its token and the engine, it gives the token back; the head of the line has it at once."""
    begun: list[str] = []

    class Hold:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            begun.append(request.url.target)
            if request.url.target == "/slow":
                await context.runtime.sleep(1000)
            return await proceed(request, context)

    chain = Chain(world.runtime, [RateLimit(calls=1, period=100), Hold()], respond(200))

    async def body() -> None:
        slow = world.runtime.spawn(chain.send, a_request(url="https://api.test/slow"))
        await world.runtime.sleep(1)
        quick = world.runtime.spawn(chain.send, a_request(url="https://api.test/quick"))
        await world.runtime.sleep(1)
        slow.cancel()
        await quick.join()

    world.run(body)
    assert begun == ["/slow", "/quick"]
    assert chain.arrivals == [2]


def test_a_request_that_was_cancelled_on_the_wire_keeps_its_token_for_a_period(world: AnyWorld) -> None:
    """It may have arrived, so it counts."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10)], [Script(Stall()), respond(200)])

    async def body() -> None:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(3)
        first.cancel()
        await world.runtime.sleep(0)
        await chain.send()

    world.run(body)
    assert chain.arrivals == [0, 13]


def test_a_request_whose_connection_was_refused_costs_nothing(world: AnyWorld) -> None:
    """The engine proves it unsent: the retry has its token at once."""
    policies = [RateLimit(calls=1, period=100), RetryConfig(strategy=NO_JITTER)]
    chain = Chain(world.runtime, policies, [Script(Refuse()), respond(200)])
    world.run(chain.send)
    assert chain.arrivals == [0, 0.5]


def test_a_broken_answer_costs_its_token(world: AnyWorld) -> None:
    """A reset after the request was sent proves nothing, so the token stays away."""
    policies = [RateLimit(calls=1, period=100), RetryConfig(strategy=NO_JITTER)]
    chain = Chain(world.runtime, policies, [Script(Reset()), respond(200)])
    world.run(chain.send)
    assert chain.arrivals == [0, 100]


@given(
    calls=st.integers(1, 5),
    period=st.floats(0.5, 10),
    delays=st.lists(st.floats(0, 5), min_size=1, max_size=12),
    starts=st.lists(st.floats(0, 3), min_size=1, max_size=12),
)
@settings(max_examples=40, deadline=None)
def test_the_bound_holds_in_the_chain_with_any_latencies(
    calls: int, period: float, delays: list[float], starts: list[float]
) -> None:
    """Requests of many tasks, begun and answered at random moments: no window of `period` sees more than `calls`."""
    world = World("asyncio", VirtualClock())
    chain = Chain(
        world.runtime,
        [RateLimit(calls=calls, period=period)],
        lambda request, index: respond(200, delay=delays[index % len(delays)]),
    )

    async def one(start: float) -> None:
        await world.runtime.sleep(start)
        await chain.send()

    async def body() -> None:
        await together(world.runtime, *((one, start) for start in starts))

    world.run(body)
    assert len(chain.arrivals) == len(starts)
    for first, last in zip(chain.arrivals, chain.arrivals[calls:], strict=False):
        assert last - first >= period - 1e-9


def test_two_clients_share_a_limit_only_through_its_state(world: AnyWorld) -> None:
    """Each pipeline binds a count of its own; one that was given is kept."""
    bound = RateLimit(calls=1, period=10).bind(world.runtime)
    one = Chain(world.runtime, [bound], respond(200))
    other = Chain(world.runtime, [replace(bound)], respond(200))
    third = Chain(world.runtime, [RateLimit(calls=1, period=10)], respond(200))

    async def body() -> None:
        await third.send()
        await one.send()
        await other.send()

    world.run(body)
    assert (third.arrivals, one.arrivals, other.arrivals) == ([0], [0], [10])


def test_an_unbound_limit_is_a_value() -> None:
    """It compares, pickles and shows only what was chosen."""
    limit = RateLimit(calls=1, period=2)
    assert pickle.loads(pickle.dumps(limit)) == limit
    assert limit != RateLimit(calls=1, period=3)
    assert "state" not in repr(limit)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"calls": 1},
        {"period": 1.0},
        {"burst": 1},
        {"calls": 1, "period": 1.0, "rate": 1.0},
        {"calls": 1, "period": 1.0, "burst": 1},
        {"rate": 1.0, "period": 1.0},
        {"calls": 0, "period": 1.0},
        {"calls": 1.5, "period": 1.0},
        {"calls": 1, "period": 0},
        {"rate": float("inf")},
        {"rate": 1.0, "burst": 0},
        {"rate": 1.0, "max_wait": -1},
        {"rate": 1.0, "max_wait": float("nan")},
        {"rate": 1.0, "key": "road"},
    ],
)
def test_an_impossible_limit_is_refused(options: dict[str, Any]) -> None:
    """The message shows what was given and what to give."""
    with pytest.raises(ConfigurationError, match=r"RateLimit\(.*give"):
        RateLimit(**options)
