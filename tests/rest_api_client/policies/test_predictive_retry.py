"""Predictive retry: what will lose is neither made nor waited for, and the record says why."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import pytest

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import RetryDecided, RetryProbed
from rest_api_client.exceptions import APIError, CircuitOpenError, ConfigurationError
from rest_api_client.forecast import Forecast
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import ConstantBackoff
from rest_api_client.policies.budget import RetryBudget, RetryQuota
from rest_api_client.policies.circuit import ISOLATE
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.latency import latencies
from rest_api_client.policies.predictive_retry import PredictiveRetry
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.state import MemoryState
from rest_api_client.script import Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

AnyWorld = World[Any]
PAUSE = ConstantBackoff(base=0.1, jitter="none")


class Known:
    """A chain whose server can be changed between calls."""

    def __init__(self, world: AnyWorld, *more: Any, **options: Any) -> None:
        self.scripts = [respond(200)]
        self.sent = 0
        policy = PredictiveRetry(**{"strategy": PAUSE, "budget": None} | options).bind(world.runtime)
        self.chain = Chain(world.runtime, [policy, *more], self._answer)

    def _answer(self, request: Request, index: int) -> Script:
        self.sent += 1
        return self.scripts[min(self.sent, len(self.scripts)) - 1]

    async def calls(self, number: int, *scripts: Script, **options: Any) -> list[str]:
        """So many calls that are each answered by these scripts, the last one again and again; the last decisions."""
        self.scripts = list(scripts)
        for _ in range(number):
            self.sent = 0
            with suppress(APIError):
                await self.chain.send(**options)
        return self.chain.decisions


def decisions(world: AnyWorld, known: Known, *steps: tuple[Any, ...], **options: Any) -> list[str]:
    """What was decided in the last of some series of calls."""

    async def body() -> list[str]:
        for number, *scripts in steps[:-1]:
            await known.calls(number, *scripts)
        number, *scripts = steps[-1]
        return await known.calls(number, *scripts, **options)

    return world.run(body)


# ---------------------------------------------------------------------- latency


@pytest.mark.parametrize(("deadline", "decision"), [(0.55, "would not finish"), (0.7, "retry"), (None, "retry")])
def test_a_retry_that_cannot_finish_is_not_waited_for(world: AnyWorld, deadline: float | None, decision: str) -> None:
    """With 0.5 s an answer in the median and 0.1 s to wait, 0.55 s are not enough; the 503 stands at once."""
    known = Known(world, Deadline(seconds=None))
    slow = respond(200, delay=0.5)
    told = decisions(world, known, (20, slow), (1, respond(503), slow), deadline=deadline)
    assert told[0] == decision
    assert known.sent == (1 if decision == "would not finish" else 2)
    events = [event for event in known.chain.events if isinstance(event, RetryDecided)]
    assert [(event.decision, event.reason) for event in events] == [(decision, "status 503")]


def test_the_own_waits_of_an_attempt_are_not_its_latency(world: AnyWorld) -> None:
    """What the client's own limit held back is not counted, nor what failed, nor what was refused."""
    known = Known(world, Deadline(seconds=None), RateLimit(calls=1, period=5))
    told = decisions(world, known, (20, respond(200)), (1, respond(404)), (1, respond(503), respond(200)), deadline=20)
    assert told == ["retry", "return"]


def test_a_route_that_is_not_known_is_given_the_benefit_of_the_doubt(world: AnyWorld) -> None:
    """19 answers are too few to judge by."""
    known = Known(world, Deadline(seconds=None))
    slow = respond(200, delay=0.5)
    assert decisions(world, known, (19, slow), (1, respond(503), slow), deadline=0.5)[0] == "retry"


# ---------------------------------------------------------------------- what other policies say


def test_a_retry_that_the_breaker_will_refuse_is_not_waited_for(world: AnyWorld) -> None:
    """The 503 that opened the circuit stands, instead of a refusal after the back-off."""
    known = Known(world, CircuitBreaker(min_calls=1, open_for=5))
    assert decisions(world, known, (1, respond(503))) == ["circuit open"]
    assert world.clock.monotonic() == 0


def test_a_retry_after_the_circuits_rest_is_made(world: AnyWorld) -> None:
    """It will be the probe."""
    known = Known(world, CircuitBreaker(min_calls=1, open_for=5), strategy=ConstantBackoff(base=6, jitter="none"))
    assert decisions(world, known, (1, respond(503), respond(200))) == ["retry", "return"]


def test_a_circuit_that_was_isolated_meanwhile_ends_the_call(world: AnyWorld) -> None:
    """Nobody knows for how long, but it will not be over by itself."""
    breaker = CircuitBreaker()
    state = breaker.memory(world.runtime.now)
    known = Known(world, CircuitBreaker(state=state), Isolating(state))
    assert decisions(world, known, (1, respond(503))) == ["circuit isolated"]


class Isolating:
    """Isolates the circuit while the attempt runs."""

    stage = Stage.ATTEMPT_MIDDLEWARE

    def __init__(self, state: Any) -> None:
        self.state = state

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        response: Response = await proceed(request, context)
        await self.state.apply(str(request.url.origin), ISOLATE)
        return response


class Foretelling:
    """Says what it is told to."""

    stage = Stage.ATTEMPT_MIDDLEWARE

    def __init__(self, **forecast: Any) -> None:
        self.told = Forecast(policy="Foretelling", **forecast)

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        response: Response = await proceed(request, context)
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        return self.told


@pytest.mark.parametrize(
    ("forecast", "decision"),
    [
        ({"verdict": "wait", "reason": "rate limit", "wait": 9.0}, "retry"),
        ({"verdict": "wait", "reason": "rate limit", "wait": 10.0 + 1e-6}, "rate limit"),
        ({"verdict": "refuse", "reason": "rate limit", "wait": 0.2}, "rate limit"),
        ({"verdict": "refuse", "reason": "rate limit", "wait": 0.05}, "retry"),
        ({"verdict": "refuse", "reason": "bulkhead full"}, "retry"),
        ({"verdict": "refuse", "reason": "circuit half-open"}, "retry"),
        ({"verdict": "refuse", "reason": "would not finish"}, "would not finish"),
        ({"reason": "probe"}, "retry"),
    ],
)
def test_what_other_policies_foretell_counts_for_the_moment_after_the_wait(
    world: AnyWorld, forecast: dict[str, Any], decision: str
) -> None:
    """A wait beyond the deadline and a refusal that outlasts the back-off end the call; what may be over does not."""
    known = Known(world, Deadline(seconds=10), Foretelling(**forecast))
    assert decisions(world, known, (1, respond(503), respond(200)))[0] == decision


# ---------------------------------------------------------------------- odds and budget


def test_retries_that_do_not_help_are_given_up(world: AnyWorld) -> None:
    """After ten that failed, only one in ten is made; its record says "probe"."""
    known = Known(world, max_attempts=2)

    async def body() -> tuple[list[str], list[int], bool]:
        await known.calls(10, respond(503))
        sent = []
        for _ in range(20):
            last = await known.calls(1, respond(503))
            sent.append(known.sent)
            call = known.chain.call
            assert call is not None
            probed = any(note.reason == "probe" for note in call.attempts[0].notes)
            assert probed == (known.sent == 2)
        assert [event.reason for event in known.chain.events if isinstance(event, RetryProbed)] == ["probe"] * 2
        return last, sent, probed

    _, sent, _ = world.run(body)
    assert sent == ([1] * 9 + [2]) * 2


def test_better_times_are_noticed(world: AnyWorld) -> None:
    """The probes succeed, and when a tenth of the retries have, all are made again."""
    known = Known(world, max_attempts=2, probe=0.5)
    helped = respond(503), respond(200)
    told = decisions(world, known, (10, respond(503)), (6, *helped), (1, *helped))
    assert told == ["retry", "return"]


def test_odds_are_forgotten(world: AnyWorld) -> None:
    """After a minute the route is given the benefit of the doubt again."""
    known = Known(world, max_attempts=2)

    async def body() -> list[str]:
        await known.calls(10, respond(503))
        assert await known.calls(1, respond(503)) == ["unlikely to succeed"]
        await world.runtime.sleep(61)
        return await known.calls(1, respond(503), respond(200))

    assert world.run(body) == ["retry", "return"]


def test_a_retry_that_this_client_refused_tells_nothing_of_the_odds(world: AnyWorld) -> None:
    """The breaker's refusals are not the server's failures."""
    known = Known(world, Refusing(), max_attempts=2)

    async def body() -> float | None:
        for _ in range(12):
            with pytest.raises(CircuitOpenError):
                await known.chain.send()
        forecast: Forecast = (await known.chain.pipeline.forecast(a_request(), a_context(world, known)))[0]
        chance: float | None = forecast.facts["chance"]
        return chance

    known.scripts = [respond(503)]
    assert world.run(body) is None


def a_context(world: AnyWorld, known: Known) -> Context:
    """Of a call that has not begun."""
    return Context(Call(world.runtime, known.chain.random))


class Refusing:
    """Refuses each second attempt."""

    stage = Stage.CIRCUIT_BREAKER
    asked = 0

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        self.asked += 1
        if self.asked % 2 == 0:
            raise CircuitOpenError("open")
        response: Response = await proceed(request, context)
        return response


def test_the_last_quarter_of_the_budget_is_kept_for_likely_retries(world: AnyWorld) -> None:
    """A route where one retry in three helps is served while there is plenty, and not when little is left."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=20)
    known = Known(world, max_attempts=2, budget=budget)
    good, bad = (respond(503), respond(200)), (respond(503),)
    steps = [(1, *good), (2, *bad)] * 5
    assert decisions(world, known, *steps, (1, *good)) == ["retry", "return"]  # 4 of 20 are left
    assert decisions(world, known, (1, *good)) == ["budget low"]


def test_a_likely_retry_may_use_the_budget_up(world: AnyWorld) -> None:
    """Then the budget itself says no."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=20)
    known = Known(world, max_attempts=2, budget=budget)
    good = respond(503), respond(200)
    assert decisions(world, known, (20, *good)) == ["retry", "return"]
    assert decisions(world, known, (1, *good)) == ["budget"]


def test_it_goes_with_a_budget_that_hears_of_ends(world: AnyWorld) -> None:
    """Success brings back what a retry cost."""
    quota = RetryQuota(capacity=14)
    known = Known(world, budget=quota)
    assert decisions(world, known, (30, respond(503), respond(200))) == ["retry", "return"]


# ---------------------------------------------------------------------- what would happen; options


def test_a_forecast_tells_latency_and_odds(world: AnyWorld) -> None:
    """Under the words of the decisions, and nothing is counted."""
    known = Known(world, max_attempts=2)

    async def body() -> list[Forecast]:
        told = []
        for number, script in [(1, respond(200, delay=0.5)), (19, respond(200, delay=0.5)), (10, respond(503))]:
            await known.calls(number, script)
            told += await known.chain.pipeline.forecast(a_request(), a_context(world, known))
        return told

    first, second, third = world.run(body)
    assert (first.policy, first.reason, first.takes, first.facts["chance"]) == ("PredictiveRetry", "ok", None, None)
    assert (second.reason, second.takes) == ("ok", pytest.approx(0.5, rel=0.02))
    assert (third.verdict, third.reason, third.facts["chance"]) == ("pass", "unlikely to succeed", 0)


def test_what_is_learned_can_be_shared(world: AnyWorld) -> None:
    """`times=`, with `Hedging` and `AttemptTimes`, `odds=` with others of its kind."""
    times = latencies(world.runtime.now)
    bound = PredictiveRetry(times=times).bind(world.runtime)
    assert isinstance(bound, PredictiveRetry)
    assert bound.times is times
    assert isinstance(bound.odds, MemoryState)
    again = PredictiveRetry(odds=bound.odds).bind(world.runtime)
    assert isinstance(again, PredictiveRetry)
    assert again.odds is bound.odds
    assert again.times is not times


def test_a_config_is_a_value() -> None:
    """It compares, pickles, and is none of its parents."""
    config = PredictiveRetry(max_retries=4, min_success=0.3)
    assert pickle.loads(pickle.dumps(config)) == config != PredictiveRetry(max_retries=4)
    assert config != RetryConfig(max_retries=4)


@pytest.mark.parametrize("options", [{"min_success": 1.1}, {"probe": 0}, {"min_samples": 1}, {"max_attempts": 0}])
def test_an_impossible_option_is_refused(options: dict[str, Any]) -> None:
    """The message names the option."""
    with pytest.raises(ConfigurationError, match=rf"PredictiveRetry\({next(iter(options))}="):
        PredictiveRetry(**options)
