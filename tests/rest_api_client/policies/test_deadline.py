"""The total deadline: everything ends in time, and the error tells what was going on."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rest_api_client.clock import SYSTEM
from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded, ReadError, ReadTimeout, ServerError
from rest_api_client.forecast import Forecast
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.deadline import (
    AmbientDeadline,
    Deadline,
    DeadlineHeader,
    ambient_deadline,
    ambient_moment,
    earlier,
)
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Chunk, Head, Reset, Script, Stall, Throttle
from rest_api_client.transport import Timeouts
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

AnyWorld = World[Any]
RETRY = RetryConfig(strategy=ExponentialBackoff(jitter="none"))
DRIP = Script(Head(200), Throttle(1), Chunk(b"x" * 1000), Stall())


def exceeded(world: AnyWorld, chain: Chain, **options: Any) -> DeadlineExceeded:
    """Send, and give the deadline's error."""

    async def body() -> DeadlineExceeded:
        with pytest.raises(DeadlineExceeded) as caught:
            await chain.send(**options)
        return caught.value

    return world.run(body)


def test_a_silent_server_is_left_at_the_deadline(world: AnyWorld) -> None:
    """Although the read timeout is 30 s."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], Script(Stall()))
    error = exceeded(world, chain)
    assert world.clock.monotonic() == 5
    assert str(error) == "GET https://api.test/things: the deadline of 5 s was exceeded after 1 attempt (deadline)"
    assert len(error.attempts) == 1


def test_a_drip_is_cut_at_the_deadline(world: AnyWorld) -> None:
    """T3: a byte a second never meets a read timeout."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], DRIP)
    exceeded(world, chain)
    assert world.clock.monotonic() == 5


def test_it_covers_waits_and_retries_and_shows_what_is_behind_them(world: AnyWorld) -> None:
    """T26: after a 503 and a broken answer the third attempt hangs: the error is chained from the broken answer."""
    chain = Chain(world.runtime, [Deadline(seconds=5), RETRY], [respond(503), Script(Reset()), Script(Stall())])
    error = exceeded(world, chain)
    assert world.clock.monotonic() == 5
    assert "after 3 attempts (status 503, read error, deadline)" in str(error)
    assert isinstance(error.__cause__, ReadError)


def test_a_503_behind_the_deadline_is_its_cause(world: AnyWorld) -> None:
    """T26: an answer becomes the error it stands for; the whole chain survives pickling."""
    chain = Chain(world.runtime, [Deadline(seconds=5), RETRY], [respond(503), Script(Stall())])
    error = pickle.loads(pickle.dumps(exceeded(world, chain)))
    assert isinstance(error.__cause__, ServerError)
    assert error.__cause__.status_code == 503


def test_a_long_story_is_cut(world: AnyWorld) -> None:
    """Of many attempts the message shows the last four."""
    scripts = [*[respond(503)] * 6, Script(Stall())]
    policies: list[Policy] = [
        Deadline(seconds=50),
        RetryConfig(max_attempts=9, budget=None, strategy=ExponentialBackoff(jitter="none")),
    ]
    error = exceeded(world, Chain(world.runtime, policies, scripts))
    assert "after 7 attempts (..., status 503, status 503, status 503, deadline)" in str(error)


def test_time_used_up_before_the_chain_began_sends_nothing(world: AnyWorld) -> None:
    """An ambient deadline that has passed ends the call at once."""
    chain = Chain(world.runtime, [Deadline()], respond(200))

    async def body() -> DeadlineExceeded:
        await world.runtime.sleep(3)
        token = ambient_deadline.set(AmbientDeadline(world.clock, 2.0))
        try:
            with pytest.raises(DeadlineExceeded) as caught:
                await chain.send()
        finally:
            ambient_deadline.reset(token)
        return caught.value

    assert "before anything was sent" in str(world.run(body))
    assert chain.arrivals == []


def test_the_earlier_of_ambient_and_own_deadline_counts(world: AnyWorld) -> None:
    """In both orders."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], Script(Stall()))

    async def body() -> list[float]:
        ends = []
        for moment in (3.0, 100.0):
            ambient_deadline.set(AmbientDeadline(world.clock, moment))
            with pytest.raises(DeadlineExceeded):
                await chain.send()
            ends.append(world.runtime.now())
        ambient_deadline.set(None)
        return ends

    assert world.run(body) == [3, 8]


def test_an_ambient_deadline_of_another_clock_is_converted() -> None:
    """By the time left on it."""
    theirs, ours = VirtualClock(), VirtualClock()
    theirs.sleep(100)
    token = ambient_deadline.set(AmbientDeadline(theirs, 107))
    try:
        assert ambient_moment(theirs) == 107
        assert ambient_moment(ours) == 7
        assert ambient_moment(SYSTEM) is not None
    finally:
        ambient_deadline.reset(token)
    assert ambient_moment(ours) is None
    assert (earlier(None, None), earlier(1, None), earlier(None, 2), earlier(3, 2)) == (None, 1, 2, 2)


@pytest.mark.parametrize(("policy", "asked", "end"), [(60.0, 2.0, 2), (2.0, 7.0, 7), (None, 4.0, 4)])
def test_a_call_may_have_a_deadline_of_its_own(world: AnyWorld, policy: float | None, asked: float, end: float) -> None:
    """Shorter or longer than the client's."""
    chain = Chain(world.runtime, [Deadline(seconds=policy)], Script(Stall()))
    exceeded(world, chain, deadline=asked)
    assert world.clock.monotonic() == end


def test_a_call_may_switch_it_off(world: AnyWorld) -> None:
    """`deadline=None`: then the phases' own timeouts remain."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], Script(Stall()))

    async def body() -> None:
        with pytest.raises(ReadTimeout):
            await chain.send(deadline=None)

    world.run(body)
    assert world.clock.monotonic() == 30


def test_a_stream_has_only_the_deadline_it_was_given(world: AnyWorld) -> None:
    """The client's default does not apply to it, its own does."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], respond(200, delay=8))

    async def body() -> int:
        return (await chain.send(stream=True)).status_code

    assert world.run(body) == 200
    assert world.clock.monotonic() == 8
    error = exceeded(world, chain, stream=True, deadline=3)
    assert "3 s" in str(error)


@pytest.mark.parametrize("own", [TimeoutError("mine"), ReadTimeout("a phase")])
def test_timeouts_that_are_not_this_deadline_pass_as_they_are(world: AnyWorld, own: TimeoutError) -> None:
    """A user's TimeoutError, or a phase's, is not turned into DeadlineExceeded."""

    class Raises:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            raise own

    chain = Chain(world.runtime, [Deadline(seconds=5), Raises()], respond(200))

    async def body() -> BaseException:
        with pytest.raises(TimeoutError) as caught:
            await chain.send()
        return caught.value

    assert world.run(body) is own


def test_a_wait_that_does_not_fit_is_chained_too(world: AnyWorld) -> None:
    """`context.sleep` ends at once, and the error tells the call's story."""

    class Naps:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await context.sleep(10)

    error = exceeded(world, Chain(world.runtime, [Deadline(seconds=5), Naps()], respond(200)))
    assert world.clock.monotonic() == 0
    assert "does not fit" in str(error.__cause__)


def test_without_any_deadline_the_chain_runs_as_it_is(world: AnyWorld) -> None:
    """`Deadline(seconds=None)` only obeys calls and surroundings."""
    chain = Chain(world.runtime, [Deadline(seconds=None)], respond(200, delay=25))
    assert world.run(chain.send).status_code == 200


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5"])
def test_an_impossible_deadline_is_refused(world: AnyWorld, seconds: Any) -> None:
    """In the policy and for a call."""
    with pytest.raises(ConfigurationError, match=r"Deadline\(seconds="):
        Deadline(seconds=seconds)
    chain = Chain(world.runtime, [Deadline()], respond(200))

    async def body() -> None:
        with pytest.raises(ConfigurationError, match="deadline="):
            await chain.send(a_request(), deadline=seconds)

    world.run(body)


def test_a_phase_timeout_under_a_deadline_is_still_a_timeout(world: AnyWorld) -> None:
    """Whoever is first is named."""
    chain = Chain(world.runtime, [Deadline(seconds=5)], Script(Stall()))

    async def body() -> None:
        with pytest.raises(ReadTimeout):
            await chain.send(timeouts=Timeouts(read=1))

    world.run(body)
    assert world.clock.monotonic() == 1


async def _forecast(chain: Chain, deadline: float | None, after: float) -> Forecast:
    call = Call(chain.runtime, chain.random, options=CallOptions(deadline=deadline))
    await chain.runtime.sleep(after)
    told, *_ = await chain.pipeline.forecast(a_request(), Context(call))
    return told


@pytest.mark.parametrize(
    ("deadline", "after", "verdict", "left"), [(None, 0, "pass", None), (5, 2, "pass", 3), (5, 5, "refuse", None)]
)
def test_it_says_how_much_time_is_left(
    world: AnyWorld, deadline: float | None, after: float, verdict: str, left: float | None
) -> None:
    """The forecast of a call that began some seconds ago."""
    told = world.run(_forecast, Chain(world.runtime, [Deadline()], []), deadline, after)
    assert (told.verdict, told.facts.get("left")) == (verdict, left)
    assert told.reason == ("deadline" if verdict == "refuse" else "ok")
    assert told.text


# ---------------------------------------------------------------------- the header


def sent(chain: Chain, name: str = "x-time-left") -> list[str | None]:
    """What the server was told, request by request."""
    return [arrival.request.headers.get(name) for arrival in chain.server.requests]


HOME = a_request().url.origin


@pytest.mark.parametrize(
    ("unit", "deadline", "told"),
    [
        ("seconds", 5, "5.000"),
        ("seconds", 0.0129, "0.012"),
        ("milliseconds", 1.2509, "1250"),
        ("grpc", 1.2509, "1250m"),
        ("grpc", 200_000.5, "200000S"),
        ("seconds", None, None),
    ],
)
def test_the_server_is_told_the_time_left(world: AnyWorld, unit: Any, deadline: float | None, told: str | None) -> None:
    """In the unit it reads, rounded down; nothing where there is no deadline."""
    policies: list[Policy] = [Deadline(), DeadlineHeader(name="x-time-left", unit=unit)]
    chain = Chain(world.runtime, policies, [respond(200)])
    world.run(lambda: chain.send(a_request(home=frozenset({HOME})), deadline=deadline))
    assert sent(chain) == [told]


def test_each_attempt_is_told_what_is_left_then(world: AnyWorld) -> None:
    """After an attempt of one second and a wait of half a second there is that much less."""
    policies: list[Policy] = [Deadline(seconds=5), RETRY, DeadlineHeader(name="x-time-left")]
    chain = Chain(world.runtime, policies, [respond(503, delay=1), respond(200)])
    world.run(chain.send, a_request(home=frozenset({HOME})))
    assert sent(chain) == ["5.000", "3.500"]


def test_a_foreign_origin_is_told_nothing(world: AnyWorld) -> None:
    """What is not the client's own server does not learn how patient it is."""
    chain = Chain(world.runtime, [Deadline(seconds=5), DeadlineHeader(name="x-time-left")], [respond(200)])
    world.run(chain.send, a_request(url="https://other.test/", home=frozenset({HOME})))
    assert sent(chain) == [None]


@pytest.mark.parametrize("options", [{"name": "x-time-left", "unit": "hours"}, {"name": "no name"}])
def test_a_bad_header_is_refused(options: Any) -> None:
    """When it is made, not when it is sent."""
    with pytest.raises(ConfigurationError):
        DeadlineHeader(**options)
