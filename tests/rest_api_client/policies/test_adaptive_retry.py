"""Adaptive retry: nothing is held back until the server throttles; then all keep to a rate that is learned."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import pytest

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import RateCut, RateLimited
from rest_api_client.exceptions import CircuitOpenError, ConfigurationError, RateLimitExceeded, ReadError, ServerError
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.adaptive_retry import AdaptiveRetry, RateState
from rest_api_client.policies.backoff import ConstantBackoff
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.quotas import Peek
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Reset, Script
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.together import together

AnyWorld = World[Any]
ORIGIN = "https://api.test:443"
PAUSE = ConstantBackoff(base=0.1, jitter="none")


class Limiting:
    """A server that takes `rate` requests a second, as many at once, and answers 429 to all others."""

    def __init__(self, clock: VirtualClock, rate: float) -> None:
        self.clock, self.rate = clock, rate
        self.tokens, self.at = rate, 0.0
        self.served: list[float] = []
        self.throttled: list[float] = []

    def __call__(self, request: Request, index: int) -> Script:
        now = self.clock.monotonic()
        self.tokens, self.at = min(self.rate, self.tokens + (now - self.at) * self.rate), now
        fits = self.tokens >= 1
        self.tokens -= fits
        (self.served if fits else self.throttled).append(now)
        return respond(200 if fits else 429, delay=0.05)


def crowd(policy: RetryConfig, rate: float, workers: int = 12, seconds: float = 60.0) -> Limiting:
    """So many workers call as fast as they can, for so long."""
    world: AnyWorld = World("asyncio", VirtualClock())
    server = Limiting(world.clock, rate)
    chain = Chain(world.runtime, [policy], server)

    async def work(_: int) -> None:
        while world.runtime.now() < seconds:
            await chain.send()

    world.run(lambda: together(world.runtime, *((work, n) for n in range(workers))))
    return server


def late(moments: list[float]) -> int:
    """How many of them lie in the second half minute."""
    return sum(30 <= moment < 60 for moment in moments)


@pytest.mark.parametrize("rate", [5.0, 30.0, 80.0])
def test_a_crowd_finds_the_rate_that_the_server_takes(rate: float) -> None:
    """Of what the server takes nearly all is used, with few 429s."""
    adaptive = crowd(AdaptiveRetry(budget=None), rate)
    assert late(adaptive.served) >= 0.9 * 30 * rate
    assert late(adaptive.throttled) <= 30


def test_the_same_crowd_with_plain_retries_is_throttled_for_ever() -> None:
    """Or the crowd would prove nothing."""
    assert late(crowd(RetryConfig(budget=None), 30.0).throttled) > 600


def test_nothing_is_held_back_until_the_server_throttles(world: AnyWorld) -> None:
    """However many calls there are."""
    chain = Chain(world.runtime, [AdaptiveRetry()], respond(200))

    async def body() -> None:
        for _ in range(100):
            await chain.send()

    world.run(body)
    assert chain.arrivals == [0] * 100
    assert not [event for event in chain.events if isinstance(event, RateLimited | RateCut)]


def throttled_once(world: AnyWorld, *more: Any, answers: Any = None, **options: Any) -> Chain:
    """A chain whose first answer is a 429: one answer in half a second is 2 a second, cut to 1.4."""
    policy = AdaptiveRetry(**{"strategy": PAUSE, "max_attempts": 1} | options)
    first = respond(429)
    return Chain(world.runtime, [policy, *more], lambda request, index: (answers or respond(200)) if index else first)


def test_the_first_throttling_puts_the_rate_in_force(world: AnyWorld) -> None:
    """All later attempts, of whatever call, stand in line for it; record and events say so."""
    chain = throttled_once(world)

    async def body() -> None:
        await chain.send()
        assert chain.call is not None
        assert [(note.policy, note.reason) for note in chain.call.attempts[0].notes] == [("AdaptiveRetry", "rate cut")]
        await together(world.runtime, *((send, n) for n in range(2)))

    async def send(_: int) -> None:
        await chain.send()

    world.run(body)
    assert [(event.key, event.rate) for event in chain.events if isinstance(event, RateCut)] == [(ORIGIN, 1.4)]
    assert chain.arrivals[1] == pytest.approx(1 / 1.4)
    assert chain.arrivals[1] < chain.arrivals[2] <= 2 / 1.4 + 1e-6
    assert {event.reason for event in chain.events if isinstance(event, RateLimited)} == {"client rate"}


def test_a_retry_stands_in_line_like_any_other_attempt(world: AnyWorld) -> None:
    """After the back-off it waits for its turn."""
    chain = throttled_once(world, max_attempts=2)
    assert world.run(chain.send).status_code == 200
    assert chain.arrivals == [0, pytest.approx(1 / 1.4)]
    assert chain.decisions == ["retry", "return"]


@pytest.mark.parametrize("options", [{"max_wait": 0.2}, {}])
def test_who_cannot_have_its_turn_in_time_is_refused_at_once(world: AnyWorld, options: dict[str, float]) -> None:
    """T12, T26: by `max_wait` or the deadline; the error says when, and is chained from the answer before."""
    chain = throttled_once(world, Deadline(seconds=0.5), max_attempts=2, **options)
    with pytest.raises(RateLimitExceeded) as caught:
        world.run(chain.send)
    assert caught.value.retry_after == pytest.approx(1 / 1.4 - 0.1)
    assert caught.value.__cause__ is not None
    assert world.clock.monotonic() == pytest.approx(0.1)
    assert chain.decisions == ["retry"]


def test_a_cancelled_waiter_takes_nothing_with_it(world: AnyWorld) -> None:
    """T12: the one behind it has the turn at the moment it would have had."""
    chain = throttled_once(world)

    async def body() -> None:
        await chain.send()
        tasks = [world.runtime.spawn(chain.send)]
        await world.runtime.sleep(0.1)
        tasks.append(world.runtime.spawn(chain.send))
        await world.runtime.sleep(0.1)
        tasks[0].cancel()
        await tasks[1].join()

    world.run(body)
    assert chain.arrivals == [0, pytest.approx(1 / 1.4)]


class Refusing:
    """Refuses every attempt but the first, as an open circuit does."""

    stage = Stage.CIRCUIT_BREAKER

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        self.asked += 1
        if self.asked == 2:
            raise CircuitOpenError("open")
        response: Response = await proceed(request, context)
        return response


def test_an_attempt_that_was_refused_gives_its_turn_back(world: AnyWorld) -> None:
    """The next one goes at once."""
    chain = throttled_once(world, Refusing())

    async def body() -> None:
        await chain.send()
        with pytest.raises(CircuitOpenError):
            await chain.send()
        await chain.send()

    world.run(body)
    assert chain.arrivals == [0, pytest.approx(1 / 1.4)]


@pytest.mark.parametrize(
    ("answer", "cuts"),
    [
        (respond(429), 1),
        (respond(503, headers={"retry-after": "1"}), 1),
        (respond(503), 0),
        (respond(409), 0),
        (Script(Reset()), 0),
    ],
)
def test_what_counts_as_throttling(world: AnyWorld, answer: Script, cuts: int) -> None:
    """A 429, and a 503 that says when to come back; neither a failure nor a key that is in progress."""
    chain = Chain(world.runtime, [AdaptiveRetry(max_attempts=1)], answer)

    async def body() -> None:
        with suppress(ReadError):
            await chain.send(a_request("POST", headers={"idempotency-key": "k"}))

    world.run(body)
    assert len([event for event in chain.events if isinstance(event, RateCut)]) == cuts


def test_an_error_that_holds_an_answer_counts_as_that_answer(world: AnyWorld) -> None:
    """A hook that raises for a 503 does not hide the throttling."""

    class Raising:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
            response: Response = (await proceed(request, context)).raise_for_status()
            return response

    answer = respond(503, headers={"retry-after": "1"})
    chain = Chain(world.runtime, [AdaptiveRetry(max_attempts=1), Raising()], answer)
    with pytest.raises(ServerError):
        world.run(chain.send)
    assert len([event for event in chain.events if isinstance(event, RateCut)]) == 1


def test_an_answer_that_cannot_be_judged_is_closed(world: AnyWorld) -> None:
    """The user's own classifier fails: its error is raised, and nothing is left open."""
    closed = []

    class Body:
        async def aclose(self) -> None:
            closed.append(True)

    async def proceed(request: Request, context: Context) -> Response:
        return Response(200, stream=Body())  # type: ignore[arg-type]

    def classify(request: Request, result: object) -> Any:
        raise ZeroDivisionError

    policy = AdaptiveRetry(budget=None).bind(world.runtime)

    async def body() -> None:
        call = Call(world.runtime, Chain(world.runtime, [], respond(200)).random, classify=classify)
        with pytest.raises(ZeroDivisionError):
            await policy(a_request(), Context(call), proceed)

    world.run(body)
    assert closed == [True]


@pytest.mark.parametrize(
    ("deadline", "max_wait", "verdict", "reason"),
    [(None, None, "wait", "client rate"), (0.5, None, "refuse", "client rate"), (None, 0.2, "refuse", "client rate")],
)
def test_a_forecast_says_how_long_the_line_is(
    world: AnyWorld, deadline: float | None, max_wait: float | None, verdict: str, reason: str
) -> None:
    """With the words of the events, and nothing taken; before any throttling there is nothing to say."""
    chain = throttled_once(world, max_wait=max_wait)

    async def body() -> list[Any]:
        context = Context(Call(world.runtime, chain.random))
        context.call.deadline = deadline
        told = await chain.pipeline.forecast(a_request(), context)
        await chain.send()
        return told + await chain.pipeline.forecast(a_request(), context)

    before, after = world.run(body)
    assert (before.policy, before.verdict, before.reason) == ("AdaptiveRetry", "pass", "attempts exhausted")
    assert (after.verdict, after.reason, after.wait) == (verdict, reason, pytest.approx(1 / 1.4))


def test_a_forecast_takes_no_turn(world: AnyWorld) -> None:
    """Once a turn is free, asking about it as often as one likes leaves it free."""
    chain = throttled_once(world)

    async def body() -> list[Any]:
        context = Context(Call(world.runtime, chain.random))
        await chain.send()
        await world.runtime.sleep(1)
        return [told for _ in range(3) for told in await chain.pipeline.forecast(a_request(), context)]

    assert [told.verdict for told in world.run(body)] == ["pass"] * 3


def test_rates_can_be_shared_and_the_line_with_them(world: AnyWorld) -> None:
    """`rates=`: what one client meets, the other keeps to."""
    rates = RateState(world.runtime)
    one, other = (Chain(world.runtime, [AdaptiveRetry(rates=rates, max_attempts=1)], respond(429)) for _ in range(2))

    async def body() -> float:
        await one.send()
        await other.send()
        return (await rates.apply(ORIGIN, Peek())).wait

    assert world.run(body) > 0
    assert other.arrivals == [pytest.approx(1 / 1.4)]
    bound = AdaptiveRetry(rates=rates).bind(world.runtime)
    assert isinstance(bound, AdaptiveRetry)
    assert bound.tokens is not None
    assert (bound.rates, bound.tokens.lines) == (rates, rates.lines)


def test_a_config_is_a_value() -> None:
    """It compares, pickles, and refuses impossible options under its own name."""
    config = AdaptiveRetry(max_retries=4, max_wait=3)
    assert pickle.loads(pickle.dumps(config)) == config != AdaptiveRetry(max_retries=4)
    with pytest.raises(ConfigurationError, match=r"AdaptiveRetry\(max_wait=-1\)"):
        AdaptiveRetry(max_wait=-1)
    with pytest.raises(ConfigurationError, match=r"AdaptiveRetry\(max_attempts=0\)"):
        AdaptiveRetry(max_attempts=0)
