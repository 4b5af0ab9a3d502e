"""The client's own rate limit in the chain: turns, refusals, what is given back."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import AttemptEnded, RateLimited
from rest_api_client.exceptions import ConfigurationError, HookError, RateLimitExceeded, ServerError
from rest_api_client.forecast import Forecast
from rest_api_client.models import Note, Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.dimensions import Bucket, Window
from rest_api_client.policies.quota_state import QuotaState
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Refuse, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.policies.traces import Trace
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
        {"limits": {"tokens": 5}},
        {"limits": {1: Window(amount=1, period=1)}},
        {"limits": [1]},
        {"calls": 1, "period": 1.0, "limits": {"requests": Window(amount=1, period=1)}},
        {"rate": 1.0, "cost": {"tokens": 1}},
        {"rate": 1.0, "cost": -1},
        {"rate": 1.0, "true_cost": 3},
        {"limits": {"tokens": Window(amount=1, period=1)}, "burst": 3},
    ],
)
def test_an_impossible_limit_is_refused(options: dict[str, Any]) -> None:
    """The message shows what was given and what to give."""
    with pytest.raises(ConfigurationError, match=r"(RateLimit\(|cost ).*give"):
        RateLimit(**options)


def test_requests_may_be_limited_by_name_if_by_nothing_else() -> None:
    """`limits=` alone may name them; the dict is copied, so that its owner may go on with it."""
    limits: dict[str, Any] = {"requests": Window(amount=1, period=1)}
    limit = RateLimit(limits=limits)
    limits.clear()
    assert list(limit.dimensions()) == ["requests"]
    for options in ({"rate": 1.0}, {"calls": 1, "period": 1.0}):
        with pytest.raises(ConfigurationError, match="requests are limited twice"):
            RateLimit(limits={"requests": Window(amount=1, period=1)}, **options)


@pytest.mark.parametrize("kind", [RateLimit, Bucket])
def test_a_rate_is_a_number_and_no_time(kind: Any) -> None:
    """The message says in what unit."""
    with pytest.raises(ConfigurationError, match=r"\(rate=0\): give a number"):
        kind(rate=0)


def test_a_limit_on_what_nothing_costs_is_refused(world: AnyWorld) -> None:
    """It would never hold anything back."""
    with pytest.raises(ConfigurationError, match=r"give cost= or true_cost=, or no request ever costs tokens"):
        Chain(world.runtime, [_llm(cost=None)], respond(200))


# ---------------------------------------------------------------------- several dimensions, costs, corrections


def _tokens(request: Request) -> dict[str, int]:
    return {"tokens": int(request.url.path[1:])}


def _used(request: Request, response: Response) -> dict[str, int] | None:
    said = response.headers.get("x-used")
    return None if said is None else {"tokens": int(said)}


def _llm(**options: Any) -> RateLimit:
    chosen = {"calls": 3, "period": 60, "limits": {"tokens": Window(amount=1000, period=60)}, "cost": _tokens}
    return RateLimit(**{**chosen, **options})


async def _ask(chain: Chain, *costs: int) -> list[float]:
    """Requests of these costs, one after the other; when each arrived."""
    before = len(chain.arrivals)
    for cost in costs:
        await chain.send(a_request(url=f"https://api.test/{cost}"))
    return chain.arrivals[before:]


def test_each_dimension_holds_back_what_the_others_would_let_pass(world: AnyWorld) -> None:
    """Three requests a minute and 1000 tokens a minute: whichever is used up first."""
    chain = Chain(world.runtime, [_llm()], respond(200))
    assert world.run(_ask, chain, 600, 600, 1, 1, 1) == [0, 60, 60, 60, 120]
    reasons = [event.reason for event in chain.events if isinstance(event, RateLimited)]
    assert reasons == ["rate limit: tokens", "rate limit"]


def test_a_large_request_is_not_overtaken_by_small_ones(world: AnyWorld) -> None:
    """T12: the second wants all tokens and waits for them; the small ones behind it would fit, and wait too."""
    chain = Chain(world.runtime, [_llm(calls=100)], respond(200))

    async def one(cost: int) -> Any:
        return await chain.send(a_request(url=f"https://api.test/{cost}"))

    async def body() -> None:
        await together(world.runtime, (one, 10), (one, 1000), (one, 20), (one, 30))

    world.run(body)
    assert [arrival.request.url.target for arrival in chain.server.requests] == ["/10", "/1000", "/20", "/30"]
    assert chain.arrivals == [0, 60, 120, 120]


def test_a_request_that_costs_nothing_stands_in_no_line(world: AnyWorld) -> None:
    """What it takes can be missing to nobody."""
    limit = RateLimit(calls=1, period=60, cost=lambda request: {"requests": int(request.url.path[1:])})
    chain = Chain(world.runtime, [limit], respond(200))

    async def body() -> list[Forecast]:
        await _ask(chain, 1)
        waiting = world.runtime.spawn(_ask, chain, 1)
        await world.runtime.sleep(5)
        foreseen = [
            (
                await chain.pipeline.forecast(
                    a_request(url=f"https://api.test/{cost}"), Context(Call(world.runtime, chain.random))
                )
            )[0]
            for cost in (0, 1)
        ]
        await _ask(chain, 0, 0)
        await waiting.join()
        return foreseen

    foreseen = world.run(body)
    assert [(one.verdict, one.facts["ahead"]) for one in foreseen] == [("pass", 0), ("wait", 1)]
    assert chain.arrivals == [0, 5, 5, 60]


def test_a_request_that_finds_room_asks_no_question(world: AnyWorld) -> None:
    """The short way: only the first of a key, and whoever has to wait, give the state a command."""
    asked: list[tuple[str, str]] = []

    class Asked(QuotaState):
        async def apply(self, key: str, command: Any) -> Any:
            asked.append((key, type(command).__name__))
            return await super().apply(key, command)

    limit = RateLimit(calls=3, period=10, key="host")
    chain = Chain(world.runtime, [replace(limit, state=Asked(limit.fresh, world.runtime.now))], respond(200))
    world.run(_ask, chain, 1, 1, 1)
    assert asked == [("api.test", "Take")]
    world.run(_ask, chain, 1)
    assert {command for _, command in asked[1:]} == {"Take"}
    assert chain.arrivals == [0, 0, 0, 10]


def test_the_true_cost_gives_back_what_was_taken_too_much(world: AnyWorld) -> None:
    """It took 900 and used 100, so 900 more go at once; an answer that does not say counts as expected."""
    scripts = [respond(200, headers=[("x-used", "100")]), respond(200), respond(200)]
    chain = Chain(world.runtime, [_llm(true_cost=_used)], scripts)
    assert world.run(_ask, chain, 900, 900, 1) == [0, 0, 60]


def test_the_true_cost_charges_what_was_taken_too_little(world: AnyWorld) -> None:
    """It took 1 and used 5000 of 1000 a minute: a window is clear after a minute, a bucket when the debt is paid."""
    arrivals = []
    for tokens in (Window(amount=1000, period=60), Bucket(rate=100, burst=1000)):
        scripts = [respond(200, headers=[("x-used", "5000")]), respond(200)]
        chain = Chain(world.runtime, [_llm(limits={"tokens": tokens}, true_cost=_used)], scripts)
        began = world.clock.monotonic()
        arrivals.append([moment - began for moment in world.run(_ask, chain, 1, 100)])
    assert arrivals == [[0, 60], [0, pytest.approx(41)]]


def test_tokens_given_back_by_an_answer_wake_the_head_of_the_line(world: AnyWorld) -> None:
    """The second could not know that the first, under way for 4 s, would use so little."""
    scripts = [respond(200, headers=[("x-used", "1")], delay=4), respond(200)]
    chain = Chain(world.runtime, [_llm(true_cost=_used)], scripts)

    async def body() -> None:
        await together(world.runtime, (lambda cost: _ask(chain, cost), 1000), (lambda cost: _ask(chain, cost), 999))

    world.run(body)
    assert chain.arrivals == [0, 4]


def test_a_cost_beyond_the_limit_is_refused_at_once(world: AnyWorld) -> None:
    """Waiting would not help, so there is no `retry_after`; the message says what it costs and what there is."""
    chain = Chain(world.runtime, [_llm()], respond(200))
    with pytest.raises(
        RateLimitExceeded, match=r"costs 1 requests, 1001 tokens, .* than 3 requests, 1000 tokens"
    ) as caught:
        world.run(_ask, chain, 1001)
    assert caught.value.retry_after is None
    assert str(caught.value).startswith("GET https://api.test/1001: ")
    assert chain.arrivals == []
    assert chain.call is not None
    assert chain.call.attempts[0].notes == (Note("RateLimit", "cost too large", 0.0),)


@pytest.mark.parametrize("said", [None, -1, 1.0, {"coins": 1}, {"tokens": True}])
def test_a_cost_function_that_gives_no_amount_is_named(world: AnyWorld, said: Any) -> None:
    """Nothing is sent and nothing taken."""
    chain = Chain(world.runtime, [_llm(cost=lambda request: said)], respond(200))
    with pytest.raises(HookError, match=r"api.test/1: RateLimit\(cost=...\) gave cost .*give whole numbers"):
        world.run(_ask, chain, 1)
    assert chain.arrivals == []


def test_an_answer_whose_cost_cannot_be_told_is_closed(world: AnyWorld) -> None:
    """T8: the error is the function's, and the connection behind the answer is given back before it is raised."""
    closed: list[float] = []

    class Body:
        def __aiter__(self) -> Any:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            closed.append(world.runtime.now())

    class Streaming:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await proceed(request, context)
            return Response(200, stream=Body())

    limit = _llm(true_cost=lambda request, response: {"tokens": -1})
    chain = Chain(world.runtime, [limit, Streaming()], respond(200))
    with pytest.raises(HookError):
        world.run(_ask, chain, 1)
    assert closed == [0]


def test_a_true_cost_may_name_only_what_it_knows(world: AnyWorld) -> None:
    """Two requests and 400 tokens were taken of 3 and 1000: 100 tokens were used, and the requests as taken."""
    limit = _llm(true_cost=_used, cost=lambda request: {"requests": 2, **_tokens(request)})
    chain = Chain(world.runtime, [limit], respond(200, headers=[("x-used", "100")]))
    assert world.run(_ask, chain, 400, 400) == [0, 60]


def test_a_true_cost_function_that_fails_leaves_what_was_expected(world: AnyWorld) -> None:
    """Its error is the call's; the answer is closed, and the token lands as it was taken."""
    chain = Chain(world.runtime, [_llm(true_cost=lambda request, response: {"tokens": -1})], respond(200))
    with pytest.raises(HookError, match=r"RateLimit\(true_cost=...\) gave"):
        world.run(_ask, chain, 1000)
    with pytest.raises(HookError):
        world.run(_ask, chain, 1)
    assert chain.arrivals == [0, 60]


def test_a_cost_may_be_fixed(world: AnyWorld) -> None:
    """A number where there is one dimension, by name where there are more; what is left out is 1 of requests."""
    one = Chain(world.runtime, [RateLimit(limits={"units": Bucket(rate=1, burst=10)}, cost=5)], respond(200))
    more = Chain(world.runtime, [_llm(cost={"tokens": 500})], respond(200))
    assert world.run(_ask, one, 1, 1, 1) == [0, 0, 5]
    assert world.run(_ask, more, 1, 1, 1) == [5, 5, 65]


class Distant:
    """A store elsewhere: a `State` that is no `QuotaState`."""

    def __init__(self, state: Any) -> None:
        self.state = state

    async def apply(self, key: str, command: Any) -> Any:
        return await self.state.apply(key, command)


def test_a_store_elsewhere_decides_the_same(world: AnyWorld) -> None:
    """The policy needs nothing of a state but `apply`; its line is its own."""
    limit = _llm(true_cost=_used)
    chain = Chain(world.runtime, [replace(limit, state=Distant(limit.bind(world.runtime).state))], respond(200))
    assert world.run(_ask, chain, 600, 400, 1) == [0, 0, 60]


def test_what_was_taken_before_a_fork_means_nothing_after_it(world: AnyWorld) -> None:
    """T14: the state was forgotten while a request was under way, and its end is not counted in the fresh one."""
    limit = RateLimit(calls=1, period=10).bind(world.runtime)
    state = limit.state
    assert isinstance(state, QuotaState)

    class Forks:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            response = await proceed(request, context)
            state.forget()
            return response

    chain = Chain(world.runtime, [limit, Forks()], respond(200))
    assert world.run(_ask, chain, 1, 1) == [0, 0]


def test_a_wait_and_a_refusal_are_noted_on_the_attempt(world: AnyWorld) -> None:
    """By the same words as in the event; a request that passes leaves no note."""
    chain = Chain(world.runtime, [RateLimit(calls=1, period=10, max_wait=15)], respond(200))

    async def body() -> list[Any]:
        responses = [await chain.send(), await chain.send()]
        await together(world.runtime, (lambda _: chain.send(), 0), (lambda _: chain.send(), 0))
        return responses

    world.run(body)
    ends = [event.attempt.notes for event in chain.events if isinstance(event, AttemptEnded)]
    assert sorted(ends, key=len) == [
        (),
        (Note("RateLimit", "rate limit", 10.0),),
        (Note("RateLimit", "rate limit", 0.0),),
        (Note("RateLimit", "rate limit", 10.0),),
    ]


def test_a_forecast_says_what_would_happen_and_changes_nothing(world: AnyWorld) -> None:
    """Room, a wait, a place in line, a wait too long, a cost too large."""
    limit = _llm(max_wait=90).bind(world.runtime)
    chain = Chain(world.runtime, [limit], respond(200))

    async def forecast(cost: int) -> Forecast:
        return await limit.forecast(
            a_request(url=f"https://api.test/{cost}"), Context(Call(world.runtime, chain.random))
        )

    async def body() -> list[Forecast]:
        seen = [await forecast(1000)]
        await _ask(chain, 700)
        seen += [await forecast(300), await forecast(301), await forecast(1001)]
        waiting = world.runtime.spawn(_ask, chain, 800)
        await world.runtime.sleep(1)
        seen += [await forecast(0), await forecast(1000)]
        await waiting.join()
        return seen

    seen = world.run(body)
    assert [(one.verdict, one.reason, one.wait) for one in seen] == [
        ("pass", "ok", 0),
        ("pass", "ok", 0),
        ("wait", "rate limit: tokens", 60),
        ("refuse", "cost too large", 0),
        ("wait", "queued", 0),
        ("refuse", "rate limit: tokens", 119),
    ]
    assert {one.policy for one in seen} == {"RateLimit"}
    assert [one.facts for one in seen] == [
        {"key": "client", "cost": {"requests": 1, "tokens": tokens}, "ahead": ahead}
        for tokens, ahead in [(1000, 0), (300, 0), (301, 0), (1001, 0), (0, 1), (1000, 1)]
    ]
    assert [one.text for one in seen] == [
        "the limit of 'client' has room",
        "the limit of 'client' has room",
        "the limit of 'client' has room in 60 s (rate limit: tokens)",
        "it costs more than the limit of 'client' ever lets through",
        "the limit of 'client' has room in 0 s, behind 1 other (queued)",
        "the limit of 'client' has room in 119 s, behind 1 other (rate limit: tokens)",
    ]


def test_a_forecast_looks_at_the_deadline_and_at_a_patience_of_nothing(world: AnyWorld) -> None:
    """A wait that does not fit is foreseen as the refusal that it would be."""
    limit = RateLimit(calls=1, period=10, max_wait=0).bind(world.runtime)
    chain = Chain(world.runtime, [limit], respond(200))

    async def body() -> list[str]:
        await chain.send()
        seen = [await limit.forecast(a_request(), Context(Call(world.runtime, chain.random)))]
        call = Call(world.runtime, chain.random)
        call.deadline = 10.0
        seen.append(await replace(limit, max_wait=None).forecast(a_request(), Context(call)))
        call.deadline = 10.1
        seen.append(await replace(limit, max_wait=None).forecast(a_request(), Context(call)))
        return [one.verdict for one in seen]

    assert world.run(body) == ["refuse", "refuse", "wait"]


@pytest.mark.parametrize(("max_wait", "fate"), [(9.9, "refuse"), (10, "wait"), (10.1, "wait"), (1, "refuse")])
def test_a_patience_that_is_just_enough_is_enough(world: AnyWorld, max_wait: float, fate: str) -> None:
    """A wait of 10 s fits into 10; forecast and request agree. What has a key of its own is foreseen by it."""
    limit = RateLimit(calls=1, period=10, max_wait=max_wait, key="host").bind(world.runtime)
    chain = Chain(world.runtime, [limit], respond(200))

    async def body() -> tuple[Forecast, float | None]:
        await chain.send()
        forecast = await limit.forecast(a_request(), Context(Call(world.runtime, chain.random)))
        try:
            await chain.send()
        except RateLimitExceeded as error:
            return forecast, error.retry_after
        return forecast, None

    forecast, retry_after = world.run(body)
    assert (forecast.verdict, forecast.wait, forecast.facts["key"]) == (fate, 10, "api.test")
    assert retry_after == (None if fate == "wait" else 10)


def test_a_patience_of_a_second_waits_for_less(world: AnyWorld) -> None:
    """Only a patience of nothing refuses whatever is not there at once."""
    limit = RateLimit(rate=2, burst=1, max_wait=1).bind(world.runtime)
    chain = Chain(world.runtime, [limit], respond(200))

    async def body() -> str:
        await chain.send()
        forecast = await limit.forecast(a_request(), Context(Call(world.runtime, chain.random)))
        await chain.send()
        return forecast.verdict

    assert world.run(body) == "wait"
    assert chain.arrivals == [0, 0.5]


def test_a_refusal_shows_what_is_left_of_the_deadline(world: AnyWorld) -> None:
    """At 7.5 s of 8 half a second is left, and 2.5 s would be needed; at 9 s of 8 nothing is."""

    class Pause:
        stage = Stage.CIRCUIT_BREAKER

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await context.runtime.sleep(float(request.url.path[1:]))
            return await proceed(request, context)

    class Until:
        stage = Stage.DEADLINE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            context.call.deadline = 8.0
            return await proceed(request, context)

    chain = Chain(world.runtime, [Until(), Pause(), RateLimit(calls=1, period=10)], respond(200))

    async def body() -> list[str]:
        await _ask(chain, 0)
        errors = []
        for pause in ("7.5", "1.5"):
            with pytest.raises(RateLimitExceeded) as caught:
                await chain.send(a_request(url=f"https://api.test/{pause}"))
            errors.append(str(caught.value).partition(": ")[2])
        return errors

    assert world.run(body) == [
        "rate limit of 'client' asks to wait 2.5 s, too long for deadline 0.5 s",
        "rate limit of 'client' asks to wait 1 s, too long for deadline 0 s",
    ]


@pytest.mark.parametrize("seed", range(70))
def test_random_traces_keep_bound_and_order_and_lose_nothing(world: AnyWorld, seed: int) -> None:
    """T12: costs, refunds, debts, cancels, failures: `traces` says what is looked at. `make prove` plays 10,000."""
    trace = Trace(seed)
    world.run(trace.run, world.runtime)
    trace.check()


def test_a_cost_function_that_raises_is_named_before_anything_is_sent(world: AnyWorld) -> None:
    """The error says which function it was; no token is taken."""

    def broken(request: Any) -> int:
        raise KeyError("prompt")

    chain = Chain(world.runtime, [RateLimit(calls=1, period=60, cost=broken)], respond(200))
    with pytest.raises(HookError, match=r"RateLimit\(cost=...\) raised KeyError: 'prompt'"):
        world.run(chain.send)
    assert chain.arrivals == []


def test_a_true_cost_function_that_raises_does_not_lose_the_answer(
    world: AnyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken stands, and the error is reported as Python does with those nobody can catch."""
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    def broken(request: Any, response: Any) -> int:
        return int(response.headers["x-nowhere"])

    chain = Chain(world.runtime, [RateLimit(calls=1, period=60, true_cost=broken)], [respond(200)] * 2)

    async def body() -> list[int]:
        return [(await chain.send()).status_code for _ in range(2)]

    assert world.run(body) == [200, 200]
    assert chain.arrivals == [0, 60]
    assert [type(one.exc_value) for one in reported] == [KeyError, KeyError]
