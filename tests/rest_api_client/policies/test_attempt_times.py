"""An attempt that cannot finish is not started."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rest_api_client.context import Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import NotStarted
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded, ServerError
from rest_api_client.forecast import Forecast
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.latency import Quantile, latencies
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.typing import Proceed
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

Virtual = World[VirtualClock]
ROUTE = "GET https://api.test:443/things"


class Learned:
    """A chain whose route was asked so often, at so many seconds an answer, and then has other servers."""

    def __init__(self, world: Virtual, *policies: Policy, samples: int = 20, seconds: float = 0.2) -> None:
        self.samples = samples
        self.script = respond(200, delay=seconds)
        self.chain = Chain(world.runtime, [AttemptTimes(), *policies], lambda request, index: self.script)
        self.runtime = world.runtime

    async def learn(self) -> None:
        """Have it learn."""
        for _ in range(self.samples):
            await self.chain.send(deadline=60)
        self.chain.server.requests.clear()

    async def send(self, deadline: float | None) -> Response:
        """Learn, and send one more."""
        await self.learn()
        return await self.chain.send(deadline=deadline)


def test_an_attempt_that_cannot_finish_is_not_started(world: Virtual) -> None:
    """With less time left than the route's median the call ends at once, and nothing is sent."""
    learned = Learned(world, Deadline())

    async def body() -> float:
        await learned.learn()
        before = world.runtime.now()
        with pytest.raises(DeadlineExceeded, match=r"would be exceeded after 1 attempt \(would not finish\)"):
            await learned.chain.send(deadline=0.1)
        return world.runtime.now() - before

    assert world.run(body) == 0.0
    assert learned.chain.arrivals == []
    assert learned.chain.call is not None
    [attempt] = learned.chain.call.attempts
    assert [(note.policy, note.reason) for note in attempt.notes] == [("AttemptTimes", "would not finish")]
    [told] = [event for event in learned.chain.events if isinstance(event, NotStarted)]
    assert (told.reason, told.left) == ("would not finish", pytest.approx(0.1))
    assert told.takes == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize("deadline", [0.25, 60.0, None])
def test_an_attempt_with_time_enough_is_made(world: Virtual, deadline: float | None) -> None:
    """More time than the median, or no limit: the request is sent."""
    assert world.run(Learned(world, Deadline()).send, deadline).status_code == 200


def test_a_route_that_is_not_known_is_tried(world: Virtual) -> None:
    """With 19 samples nothing is refused: the attempt is made, and cut off by the deadline itself."""
    learned = Learned(world, Deadline(), samples=19)
    with pytest.raises(DeadlineExceeded):
        world.run(learned.send, 0.1)
    assert len(learned.chain.arrivals) == 1


def test_it_is_chained_from_the_last_real_error(world: Virtual) -> None:
    """T26: a second attempt that has no time left does not hide the 503 of the first."""
    retry = RetryConfig(max_retries=2, budget=None, strategy=ExponentialBackoff(base=0.1, jitter="none"))
    learned = Learned(world, Deadline(), retry)

    async def body() -> None:
        await learned.learn()
        learned.script = respond(503, delay=0.05)
        await learned.chain.send(deadline=0.3)

    with pytest.raises(DeadlineExceeded) as caught:
        world.run(body)
    assert isinstance(caught.value.__cause__, ServerError)
    assert len(learned.chain.arrivals) == 1


def test_a_slow_spell_is_forgotten(world: Virtual) -> None:
    """A route that is refused is tried again once its window has passed."""
    learned = Learned(world, Deadline())

    async def body() -> Response:
        await learned.learn()
        learned.script = respond(200)
        await world.runtime.sleep(60)
        return await learned.chain.send(deadline=0.1)

    assert world.run(body).status_code == 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failures_are_no_samples(world: Virtual, status: int) -> None:
    """A server that fails at once is not thought quick."""
    times = latencies(world.runtime.now)
    chain = Chain(world.runtime, [AttemptTimes(times=times)], [respond(status, delay=0.5)])
    world.run(chain.send)
    assert world.run(times.apply, ROUTE, Quantile(0.5)).value is None


def test_waits_of_our_own_are_no_latency(world: Virtual) -> None:
    """What a limiter below noted as its own wait is taken off."""

    class Holds:
        stage = Stage.RATE_LIMIT

        async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
            await context.sleep(3.0)
            context.note("Holds", "rate limit", 3.0)
            return await proceed(request, context)

    times = latencies(world.runtime.now)
    world.run(Chain(world.runtime, [AttemptTimes(times=times), Holds()], [respond(200, delay=0.5)]).send)
    assert world.run(times.apply, ROUTE, Quantile(0.5)).value == pytest.approx(0.5, rel=0.03)


def test_at_most_a_hundred_samples_a_second_are_taken(world: Virtual) -> None:
    """A thousand answers in a second leave a hundred samples or fewer."""
    times = latencies(world.runtime.now)
    chain = Chain(world.runtime, [AttemptTimes(times=times)], lambda request, index: respond(200, delay=0.001))

    async def body() -> None:
        for _ in range(1_000):
            await chain.send()
        assert (await times.apply(ROUTE, Quantile(0.5, 80))).value is not None
        assert (await times.apply(ROUTE, Quantile(0.5, 101))).value is None

    world.run(body)


def test_shared_latencies_are_asked_though_nothing_was_learned_here(world: Virtual) -> None:
    """What one client has learned, another of the same clock goes by."""
    times = latencies(world.runtime.now)
    one = Chain(world.runtime, [AttemptTimes(times=times)], lambda request, index: respond(200, delay=0.2))
    other = Chain(world.runtime, [AttemptTimes(times=times), Deadline()], [])

    async def body() -> None:
        for _ in range(20):
            await one.send()
        await other.send(deadline=0.1)

    with pytest.raises(DeadlineExceeded):
        world.run(body)
    assert other.arrivals == []


async def _forecast(learned: Learned, deadline: float | None) -> Forecast:
    await learned.learn()
    assert learned.chain.call is not None
    learned.chain.call.deadline = None if deadline is None else learned.runtime.now() + deadline
    [told] = await learned.chain.pipeline.forecast(a_request(), Context(learned.chain.call))
    return told


@pytest.mark.parametrize(
    ("samples", "deadline", "verdict", "takes"),
    [(5, 0.1, "pass", None), (20, None, "pass", 0.2), (20, 0.3, "pass", 0.2), (20, 0.1, "refuse", 0.2)],
)
def test_it_says_how_long_an_attempt_takes(
    world: Virtual, samples: int, deadline: float | None, verdict: str, takes: float | None
) -> None:
    """The forecast gives the median, and whether there is time for it."""
    told = world.run(_forecast, Learned(world, samples=samples), deadline)
    assert told.verdict == verdict
    assert told.takes == (None if takes is None else pytest.approx(takes, rel=0.03))
    assert told.reason == ("would not finish" if verdict == "refuse" else "ok")
    assert told.text


@pytest.mark.parametrize(("options", "said"), [({"percentile": 50}, "percentile=50"), ({"min_samples": 0}, "=0")])
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    """The message names the option and its value."""
    with pytest.raises(ConfigurationError, match=said):
        AttemptTimes(**options)


def test_it_is_a_value() -> None:
    """Options compare and travel."""
    policy = AttemptTimes(percentile=0.4)
    assert pickle.loads(pickle.dumps(policy)) == policy != AttemptTimes()
