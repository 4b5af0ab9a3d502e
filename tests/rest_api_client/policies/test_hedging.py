"""Hedging: when a second copy is sent, which one counts, and what becomes of the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rest_api_client.context import Context
from rest_api_client.engines.scripted import Answer, ScriptedTransport, respond
from rest_api_client.events import HedgeDecided, HedgeEnded
from rest_api_client.exceptions import (
    APIError,
    CapabilityError,
    ConfigurationError,
    DeadlineExceeded,
    HookError,
    RateLimitExceeded,
    ReadError,
)
from rest_api_client.forecast import Forecast
from rest_api_client.http.bodies import BytesBody, raw_body
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.hedging import Hedging
from rest_api_client.policies.latency import Quantile, Sample, latencies
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Chunk, Delay, Head, Refuse, Reset, Script, Stall
from rest_api_client.transport import Capability
from rest_api_client.typing import Proceed
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

Virtual = World[VirtualClock]
FAST, SLOW = respond(200, content="fast", delay=0.1), respond(200, content="slow", delay=10.0)


def hedged(world: Virtual, scripts: Any, *policies: Policy, **options: Any) -> Chain:
    """A chain that hedges after a second, unless told otherwise."""
    chosen: dict[str, Any] = {"delay": 1.0} | options
    return Chain(world.runtime, [Hedging(**chosen), *policies], scripts)


def notes(chain: Chain) -> list[list[str]]:
    """What hedging noted about each attempt of the latest call."""
    assert chain.call is not None
    return [[note.reason for note in attempt.notes if note.policy == "Hedging"] for attempt in chain.call.attempts]


def decisions(chain: Chain) -> list[str]:
    """What was told of hedges that were due."""
    return [event.decision for event in chain.events if isinstance(event, HedgeDecided)]


def test_a_quick_answer_is_not_hedged(world: Virtual) -> None:
    """An answer that comes before the delay is alone."""
    chain = hedged(world, [FAST])
    assert world.run(chain.send).text == "fast"
    assert chain.arrivals == [0.0]
    assert notes(chain) == [[]]
    assert decisions(chain) == []


def test_a_slow_request_is_sent_again_and_the_quicker_answer_counts(world: Virtual) -> None:
    """The second copy is sent after the delay; its answer is returned when it comes, and the first copy is over."""
    chain = hedged(world, [SLOW, FAST])
    response = world.run(chain.send)
    assert response.text == "fast"
    assert chain.arrivals == [0.0, 1.0]
    assert world.clock.monotonic() == pytest.approx(1.1)
    assert notes(chain) == [["overtaken"], ["hedge", "hedge won"]]
    assert chain.call is not None
    assert [attempt.reason for attempt in chain.call.attempts] == ["cancelled", "ok"]
    assert [(event.copies, event.winner) for event in chain.events if isinstance(event, HedgeEnded)] == [(2, 2)]


def test_the_first_copy_may_still_win(world: Virtual) -> None:
    """The hedge that lost is cancelled and says so."""
    chain = hedged(world, [respond(200, content="first", delay=1.05), SLOW])
    assert world.run(chain.send).text == "first"
    assert notes(chain) == [[], ["hedge", "hedge lost"]]
    assert chain.call is not None
    assert chain.call.attempts[1].error == "Cancelled"


def test_the_winner_is_the_first_good_answer(world: Virtual) -> None:
    """T25: a failure of the hedge, however quick, does not end the call while the first copy runs."""
    chain = hedged(world, [respond(200, content="good", delay=5.0), respond(503)])
    assert world.run(chain.send).text == "good"
    assert world.clock.monotonic() == 5.0


def test_a_rejection_is_an_answer(world: Virtual) -> None:
    """404 is what the server says; nothing better is waited for."""
    chain = hedged(world, [SLOW, respond(404, delay=0.1)])
    assert world.run(chain.send).status_code == 404


def test_a_first_copy_that_fails_early_is_for_retry_to_judge(world: Virtual) -> None:
    """A failure before the delay ends the call at once: a hedge is no retry without a wait."""
    chain = hedged(world, [respond(503, delay=0.2), FAST])
    assert world.run(chain.send).status_code == 503
    assert chain.arrivals == [0.0]
    assert world.clock.monotonic() == 0.2


def test_where_all_fail_the_last_failure_stands(world: Virtual) -> None:
    """An answer or an error; retry sees it as any other."""
    chain = hedged(world, [respond(503, delay=1.5), respond(500, delay=1.5)])
    assert world.run(chain.send).status_code == 500
    assert [(event.copies, event.winner) for event in chain.events if isinstance(event, HedgeEnded)] == [(2, None)]
    assert notes(chain) == [[], ["hedge"]]
    chain = hedged(world, [respond(503, delay=1.5), Script(Delay(1.5), Reset())])
    with pytest.raises(ReadError):
        world.run(chain.send)


def test_retry_is_above_hedging(world: Virtual) -> None:
    """Each of its attempts may be hedged, and its decision is written to the copy that counted."""
    retry = RetryConfig(max_retries=1, budget=None)
    chain = hedged(world, [respond(503, delay=1.5), respond(503, delay=1.5), FAST], retry)
    assert world.run(chain.send).text == "fast"
    assert chain.decisions == ["return", "retry", "return"]


def test_the_body_is_read_inside_each_copy(world: Virtual) -> None:
    """A copy whose body stalls is as slow as one whose head does."""
    stalls = Script(Head(200, (("content-length", "4"),)), Chunk(b"ab"), Stall())
    chain = hedged(world, [stalls, FAST])
    assert world.run(chain.send).text == "fast"


def test_of_a_stream_the_first_head_wins_and_the_loser_is_closed(world: Virtual) -> None:
    """A streamed body is still readable after the race, however long it takes."""
    slow_body = Script(Head(200), Chunk(b"a"), Delay(5), Chunk(b"b"), *FAST.steps[-1:])
    chain = hedged(world, [SLOW, slow_body])

    async def body() -> bytes:
        response = await chain.send(stream=True)
        assert response.stream is not None
        return b"".join([piece async for piece in response.stream])

    assert world.run(body) == b"ab"


def test_several_hedges_are_one_delay_apart(world: Virtual) -> None:
    """Each copy has as long as the first."""
    chain = hedged(world, [SLOW, SLOW, FAST], max_hedges=2)
    assert world.run(chain.send).text == "fast"
    assert chain.arrivals == [0.0, 1.0, 2.0]
    assert notes(chain) == [["overtaken"], ["hedge", "hedge lost"], ["hedge", "hedge won"]]


# ---------------------------------------------------------------------- what is not hedged


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_is_not_safe_is_sent_once(world: Virtual, method: str) -> None:
    """Methods that write are not hedged, with an idempotency key or without."""
    chain = hedged(world, [SLOW, FAST])
    request = a_request(method, headers={"idempotency-key": "k"})
    assert world.run(chain.send, request).text == "slow"


def test_a_method_is_hedged_where_that_is_asked(world: Virtual) -> None:
    """`methods` is the user's word that two copies do what one does."""
    chain = hedged(world, [SLOW, FAST], methods=["POST"])
    assert world.run(chain.send, a_request("POST", body=BytesBody(b"{}"))).text == "fast"


def test_a_body_that_can_be_read_once_is_sent_once(world: Virtual) -> None:
    """A generator cannot feed two copies."""
    chain = hedged(world, [SLOW, FAST])
    request = a_request(body=raw_body(piece for piece in [b"a"]))
    assert world.run(chain.send, request).text == "slow"


def test_a_hedge_that_would_come_too_late_is_not_sent(world: Virtual) -> None:
    """With less time left than the delay the request goes alone."""
    chain = hedged(world, [SLOW, FAST], Deadline(seconds=0.9))
    with pytest.raises(DeadlineExceeded):
        world.run(chain.send)
    assert chain.arrivals == [0.0]


def test_a_deadline_ends_all_copies(world: Virtual) -> None:
    """Nothing goes on behind a deadline, and nothing is learned from what it cut off."""
    times = latencies(world.runtime.now)
    chain = hedged(world, [SLOW, SLOW], Deadline(seconds=5.0), times=times)
    with pytest.raises(DeadlineExceeded):
        world.run(chain.send)
    assert world.clock.monotonic() == 5.0
    assert world.run(times.apply, "GET https://api.test:443/things", Quantile(0.5)).value is None


class Says:
    """A policy of the attempt level that would do something with the next request, and passes all."""

    stage = Stage.RATE_LIMIT

    def __init__(self, **forecast: Any) -> None:
        self.next = Forecast(policy="Says", **forecast)

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        return await proceed(request, context)

    async def forecast(self, request: Request, context: Context) -> Forecast:
        return self.next


@pytest.mark.parametrize(
    "says",
    [
        {"verdict": "refuse", "reason": "circuit open"},
        {"verdict": "wait", "reason": "rate limit", "wait": 0.1},
        {"verdict": "pass", "reason": "probe"},
    ],
)
def test_a_policy_that_would_hold_it_back_suppresses_a_hedge(world: Virtual, says: dict[str, Any]) -> None:
    """An open circuit, an empty limiter, a probe under way: no moment for a second copy."""
    chain = hedged(world, [SLOW, FAST], Says(**says))
    assert world.run(chain.send).text == "slow"
    assert notes(chain) == [[says["reason"]]]
    assert decisions(chain) == [says["reason"]]


def test_a_policy_that_would_pass_it_does_not(world: Virtual) -> None:
    """What lets the next request pass lets a hedge pass."""
    chain = hedged(world, [SLOW, FAST], Says(verdict="pass"))
    assert world.run(chain.send).text == "fast"


def test_a_half_open_circuit_is_not_hedged(world: Virtual) -> None:
    """The probe is one request, however slow: the breaker's forecast keeps the second back."""
    breaker = CircuitBreaker(min_calls=1, open_for=5.0, probes=2)
    chain = hedged(world, [respond(503), SLOW, FAST], breaker)

    async def body() -> str:
        assert (await chain.send()).status_code == 503
        await world.runtime.sleep(5.0)
        return (await chain.send()).text

    assert world.run(body) == "slow"
    assert len(chain.arrivals) == 2


def test_an_empty_limiter_is_not_queued_for(world: Virtual) -> None:
    """A hedge that would wait for the limiter is not sent: it would take the next call's place."""
    chain = hedged(world, [SLOW, FAST], RateLimit(calls=1, period=60.0))
    assert world.run(chain.send).text == "slow"
    assert len(chain.arrivals) == 1


def test_push_back_stops_further_hedges(world: Virtual) -> None:
    """Once a copy was told to come less often, no other is sent."""
    chain = hedged(world, [SLOW, respond(429, delay=0.1), FAST], max_hedges=2)
    assert world.run(chain.send).text == "slow"
    assert decisions(chain) == ["hedge", "throttled"]


# ---------------------------------------------------------------------- the budget


def test_hedges_are_paid_for(world: Virtual) -> None:
    """T19: with a burst of one and a twentieth per call, the second hedge must wait for twenty calls."""
    chain = hedged(world, lambda request, index: SLOW, budget=RetryBudget(ratio=0.05, min_per_second=0, burst=1))

    async def body() -> None:
        for _ in range(21):
            await chain.send()

    world.run(body)
    assert decisions(chain) == ["hedge"] + ["budget"] * 19 + ["hedge"]


def test_each_origin_has_a_budget(world: Virtual) -> None:
    """What one server was given does not starve another."""
    chain = hedged(world, lambda request, index: SLOW, budget=RetryBudget(ratio=0.0, min_per_second=0, burst=1))

    async def body() -> None:
        for host in ("one", "two", "one"):
            await chain.send(a_request(url=f"https://{host}.test/things"))

    world.run(body)
    assert decisions(chain) == ["hedge", "hedge", "budget"]


def test_a_budget_is_shared_with_retries(world: Virtual) -> None:
    """A given state is only drawn on: the retry policy pays in, and what it spent is missing here."""
    shared = RetryBudget(ratio=0.0, min_per_second=0.0, burst=1.0).memory(world.runtime.now)
    chain = hedged(world, [respond(503), FAST, SLOW], RetryConfig(max_retries=1, state=shared), state=shared)

    async def body() -> None:
        await chain.send()
        assert (await chain.send()).text == "slow"

    world.run(body)
    assert decisions(chain) == ["budget"]


def test_a_hedge_that_is_vetoed_costs_nothing(world: Virtual) -> None:
    """T19: the budget is asked last."""
    veto = Says(verdict="refuse", reason="circuit open")
    budget = RetryBudget(ratio=0.0, min_per_second=0, burst=1)
    chain = hedged(world, lambda request, index: SLOW, veto, budget=budget)

    async def body() -> None:
        await chain.send()
        veto.next = Forecast(policy="Says")
        await chain.send()

    world.run(body)
    assert decisions(chain) == ["circuit open", "hedge"]


# ---------------------------------------------------------------------- the learned delay


def paced(seconds: Callable[[int], float]) -> Answer:
    """Servers whose nth answer takes so long."""
    return lambda request, index: respond(200, content=str(index), delay=seconds(index))


def test_the_delay_is_learned(world: Virtual) -> None:
    """Without a first delay nothing is hedged until enough answers came; then the percentile counts."""
    chain = hedged(world, paced(lambda index: 0.2 if index != 20 else 10.0), delay=None, min_samples=20)

    async def body() -> float:
        for _ in range(20):
            await chain.send()
        began = world.runtime.now()
        assert (await chain.send()).text == "21"
        return world.runtime.now() - began

    assert world.run(body) == pytest.approx(0.4, rel=0.03)


def test_no_delay_is_known_with_too_few_samples(world: Virtual) -> None:
    """The nineteenth answer is waited for, however slow."""
    chain = hedged(world, paced(lambda index: 0.2 if index != 19 else 10.0), delay=None, min_samples=20)

    async def body() -> str:
        for _ in range(19):
            await chain.send()
        return (await chain.send()).text

    assert world.run(body) == "19"


def test_routes_are_learned_apart(world: Virtual) -> None:
    """What one route takes says nothing about another."""
    times = latencies(world.runtime.now)
    chain = hedged(world, lambda request, index: respond(200, delay=0.2), delay=None, times=times)

    async def body() -> None:
        await chain.send(a_request(url="https://api.test/things/7", template="/things/{id}"))
        await chain.send(a_request(url="https://api.test/things/8", template="/things/{id}"))
        assert (await times.apply("GET https://api.test:443/things/{id}", Quantile(0.5, 2))).value is not None
        assert (await times.apply("GET https://api.test:443/things/7", Quantile(0.5))).value is None

    world.run(body)


def test_a_delay_is_never_below_a_millisecond(world: Virtual) -> None:
    """However quick a route is, a hedge is a millisecond away at least."""
    times = latencies(world.runtime.now)

    async def body() -> None:
        for _ in range(20):
            await times.apply("GET https://api.test:443/things", Sample(0.0001))
        await chain.send()

    chain = hedged(world, [SLOW, FAST], times=times)
    world.run(body)
    assert chain.arrivals == [0.0, 0.001]


async def _longest(chain: Chain, times: Any) -> float | None:
    await chain.send()
    longest: float | None = (await times.apply("GET https://api.test:443/things", Quantile(1.0))).value
    return longest


@pytest.mark.parametrize(
    ("scripts", "learned"),
    [
        ([FAST], 0.1),
        ([SLOW, FAST], 1.1),
        ([respond(200, delay=1.5), SLOW], 1.5),
        ([respond(404, delay=0.3)], 0.3),
        ([respond(503, delay=0.3)], None),
        ([respond(429, delay=0.3)], None),
    ],
    ids=["an answer", "cut off by a hedge", "despite a hedge", "rejected", "failed", "throttled"],
)
def test_what_is_a_sample(world: Virtual, scripts: list[Script], learned: float | None) -> None:
    """T25: the first copy's time, one sample a call, at least as long as it took where it was cut off."""
    times = latencies(world.runtime.now)
    chain = hedged(world, scripts, times=times)
    assert world.run(_longest, chain, times) == (None if learned is None else pytest.approx(learned, rel=0.03))


def test_a_refusal_is_no_sample(world: Virtual) -> None:
    """What never reached the server tells nothing of it."""
    times = latencies(world.runtime.now)

    class Refuses(Says):
        async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
            raise RateLimitExceeded("no", request=request)

    chain = hedged(world, [], Refuses(), times=times)
    with pytest.raises(RateLimitExceeded):
        world.run(chain.send)
    assert world.run(times.apply, "GET https://api.test:443/things", Quantile(0.5)).value is None


def test_waits_of_our_own_are_no_latency(world: Virtual) -> None:
    """Seconds that a policy held an attempt back, and noted, are taken off."""
    times = latencies(world.runtime.now)

    class Holds(Says):
        async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
            await context.sleep(0.5)
            context.note("Holds", "rate limit", 0.5)
            return await proceed(request, context)

    for scripts, delay in (([FAST], None), ([FAST], 1.0)):
        chain = hedged(world, scripts, Holds(), times=times, delay=delay)
        assert world.run(_longest, chain, times) == pytest.approx(0.1, rel=0.03)


# ---------------------------------------------------------------------- engines, hooks, options


class Unabortable(ScriptedTransport):
    """An engine that cannot abort."""

    name = "stubborn"
    capabilities = ScriptedTransport.capabilities - {Capability.ABORT}


def test_an_engine_that_cannot_abort_is_refused(world: Virtual) -> None:
    """T25: nothing is sent, and the error says what to do; whoever insists may hedge."""
    for insists in (False, True):
        chain = hedged(world, [SLOW, FAST], hedge_unabortable=insists)
        chain.pipeline.transport = Unabortable([])
        if insists:
            assert world.run(chain.send).text == "fast"
        else:
            with pytest.raises(CapabilityError, match=r"'stubborn' cannot.*hedge_unabortable=True"):
                world.run(chain.send)
            assert chain.arrivals == []


def test_a_policy_that_raises_ends_the_race(world: Virtual) -> None:
    """A mistake in a user's policy is raised as it is, and nothing better waited for."""

    class Breaks(Says):
        async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
            raise HookError("broken", request=request)

    with pytest.raises(HookError, match="broken"):
        world.run(hedged(world, [], Breaks()).send)


def test_an_error_of_the_first_copy_is_raised_as_it_is(world: Virtual) -> None:
    """No group, no wrapping."""
    with pytest.raises(APIError, match="refused") as caught:
        world.run(hedged(world, [Script(Refuse())]).send)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"percentile": 0}, "percentile=0"),
        ({"percentile": 95}, "percentile=95"),
        ({"delay": 0}, "delay=0"),
        ({"min_samples": 0}, "min_samples=0"),
        ({"max_hedges": 0}, "max_hedges=0"),
        ({"max_hedges": 6}, "max_hedges=6"),
        ({"hedge_unabortable": "yes"}, "hedge_unabortable='yes'"),
        ({"methods": "GET"}, "methods='GET'"),
        ({"methods": {1}}, r"methods=\{1\}"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    """The message names the option and its value."""
    with pytest.raises(ConfigurationError, match=said):
        Hedging(**options)


async def _forecast(chain: Chain, request: Request) -> Forecast:
    await chain.send(request)
    assert chain.call is not None
    told = await chain.pipeline.forecast(request, Context(chain.call))
    return next(forecast for forecast in told if forecast.policy == "Hedging")


@pytest.mark.parametrize(
    ("options", "method", "policies", "reason"),
    [
        ({}, "GET", [], "ok"),
        ({}, "POST", [], "not safe to hedge"),
        ({"delay": None}, "GET", [], "latency not known yet"),
        ({"delay": 7.0}, "GET", [Deadline(seconds=5)], "deadline"),
    ],
)
def test_it_says_what_it_would_do(
    world: Virtual, options: dict[str, Any], method: str, policies: list[Policy], reason: str
) -> None:
    """The forecast names the delay, or why no hedge would be sent."""
    chain = hedged(world, [FAST], *policies, **options)
    told = world.run(_forecast, chain, a_request(method))
    assert (told.verdict, told.reason) == ("pass", reason)
    assert told.text
    assert told.facts.get("delay") == (
        None if reason in {"not safe to hedge", "latency not known yet"} else options.get("delay", 1.0)
    )


def test_it_is_a_value(world: Virtual) -> None:
    """Options compare; what is bound has a memory of its own, and one that was given stays."""
    assert Hedging(delay=1.0) == Hedging(delay=1.0) != Hedging(delay=2.0)
    times = latencies(world.runtime.now)
    assert Hedging(times=times).bind(world.runtime).times is times
    assert Hedging().bind(world.runtime).times is not Hedging().bind(world.runtime).times


def test_a_blocking_middleware_does_not_hold_a_decided_call_up() -> None:
    """T25: in a sync client a loser that blocks in the user's own code is left behind after a tenth of a second."""
    world = World("sync", VirtualClock())
    runtime = world.runtime = SyncRuntime(world.clock)
    sent: list[int] = []

    class Blocks(Says):
        async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
            sent.append(1)
            if len(sent) == 1:
                world.clock.sleep(100)
            return await proceed(request, context)

    chain = hedged(world, [FAST, FAST], Blocks())

    async def body() -> float:
        assert (await chain.send()).text == "fast"
        took = world.runtime.now()
        world.clock.sleep(200)
        return took

    assert world.run(body) == pytest.approx(1.2)
    assert runtime.stragglers == 0


@pytest.mark.parametrize("threads", [0, 1])
def test_without_a_thread_for_the_first_copy_it_is_sent_in_the_callers_own(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Whether the hedge found no thread either, or found one and was declined."""
    world = World("sync", VirtualClock())
    chain = hedged(world, [FAST], Says(verdict="refuse", reason="circuit open"))
    start, asked = world.clock.start, list[str]()

    def exhausted(function: Callable[[], object], name: str) -> None:
        asked.append(name)
        if threads == 0 or len(asked) == 1:
            raise RuntimeError("can't start new thread")
        start(function, name=name)

    monkeypatch.setattr(world.clock, "start", exhausted)
    assert world.run(chain.send).text == "fast"
    assert (len(asked), len(chain.arrivals)) == (2, 1)


def test_any_other_error_of_a_race_is_not_taken_for_that(world: Virtual, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a copy was sent, nothing is sent again."""
    chain = hedged(world, [SLOW])
    race = type(world.runtime).race

    async def broken(*args: Any, **options: Any) -> Any:
        await race(*args, **options)
        raise RuntimeError("something else")

    monkeypatch.setattr(type(world.runtime), "race", broken)
    with pytest.raises(RuntimeError, match="something else"):
        world.run(chain.send)


def test_a_hedge_that_was_decided_too_late_is_not_sent() -> None:
    """In a sync client the answer may come while a hedge is being decided: then there is no second copy."""
    world = World("sync", VirtualClock())

    class Ponders(Says):
        async def forecast(self, request: Request, context: Context) -> Forecast:
            world.clock.sleep(0.05)
            return self.next

    chain = hedged(world, [respond(200, content="first", delay=1.02)], Ponders())
    assert world.run(chain.send).text == "first"
    assert len(chain.arrivals) == 1
    assert notes(chain) == [[]]
