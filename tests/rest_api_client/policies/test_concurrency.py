"""Adaptive concurrency: what an attempt's end teaches, and that the learned limit follows a server's capacity."""

from __future__ import annotations

from statistics import mean
from typing import Any

import pytest

from rest_api_client.context import Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import ConcurrencyChanged
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.concurrency import AdaptiveConcurrency, LearningPermits
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.limiters import AIMD, Correlation, Gradient2, Vegas, Window
from rest_api_client.policies.permits import ENTER, Leave, PermitCommand, Permits
from rest_api_client.policies.state import Decision, MemoryState
from rest_api_client.runtime import TaskCancelled
from rest_api_client.script import Refuse, Reset, Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.policies.overload import SERVICE, Overload
from tests.rest_api_client.together import together

AnyWorld = World[Any]
CAPACITY = 25


def _fixed(limit: int, **options: Any) -> Overload:
    permits = Permits(limit)
    return Overload(permits, lambda: permits.limit, **options).run()


def _learned(policy: AdaptiveConcurrency, **options: Any) -> Overload:
    permits = LearningPermits(policy)
    return Overload(permits, lambda: permits.limit, **options).run()


@pytest.mark.parametrize("initial", [5, 100])
def test_the_limit_comes_near_the_capacity_from_below_and_from_above(initial: int) -> None:
    """At three times the load, it settles between half and twice of what the server works on at once."""
    policy = AdaptiveConcurrency(initial=initial)
    run = _learned(policy, capacity=lambda now: CAPACITY, load=3, seconds=140)
    assert CAPACITY / 2 < mean(run.limits[-60:]) < CAPACITY * 2
    best = _fixed(CAPACITY, capacity=lambda now: CAPACITY, load=3, seconds=40)
    assert run.goodput(after=80) > 0.9 * best.goodput(after=10)


def test_without_a_limit_nothing_good_comes_of_the_same_load() -> None:
    """The server's own line grows until every answer comes too late."""
    run = _fixed(10**6, capacity=lambda now: CAPACITY, load=3, seconds=40)
    assert run.goodput(after=20) < 0.1 * CAPACITY / SERVICE


def test_the_limit_follows_when_the_capacity_is_halved() -> None:
    """Within a minute and a half of the loss the limit fits the smaller server."""
    policy = AdaptiveConcurrency(initial=40)
    run = _learned(policy, capacity=lambda now: 40 if now < 60 else 20, load=3, seconds=200)
    assert 10 < mean(run.limits[-60:]) < 40
    assert run.goodput(after=150) > 0.9 * 20 / SERVICE


def test_gradient2_rises_to_the_capacity_and_not_far_beyond() -> None:
    """From below it stops soon after latency has begun to grow."""
    policy = AdaptiveConcurrency(initial=5, algorithm=Gradient2())
    run = _learned(policy, capacity=lambda now: CAPACITY, load=3, seconds=120)
    assert CAPACITY < mean(run.limits[-60:]) < CAPACITY * 2.5
    assert run.goodput(after=60) > 0.9 * CAPACITY / SERVICE


def _window(latency: float | None, *, inside: int = 20, dropped: int = 0, count: int = 50) -> Window:
    window = Window(0.0)
    for _ in range(count if latency is not None else 0):
        window.add(latency, False, inside)
    for _ in range(dropped):
        window.add(None, True, inside)
    window.until = 1.0
    return window


def test_vegas_falls_when_a_quarter_is_dropped_or_nothing_is_answered() -> None:
    """Whatever the latency says."""
    assert Vegas().fresh().next(20, _window(0.1, dropped=20), False) == 19
    assert Vegas().fresh().next(20, _window(None, dropped=50), False) == 19
    assert Vegas().fresh().next(20, _window(0.1, dropped=5), False) == 21


def test_vegas_keeps_the_limit_near_what_is_used() -> None:
    """Five times the calls under way, no more."""
    assert Vegas().fresh().next(20, _window(0.1, inside=3), False) == 19


def test_vegas_holds_while_a_small_queue_shows() -> None:
    """Between three and six calls queue at the server: neither up nor down; beyond, down."""
    rule = Vegas().fresh()
    steps = [rule.next(20, _window(latency), False) - 20 for latency in [0.1] * 30 + [0.15] * 4 + [1.0] * 4]
    assert steps[0] == 1
    assert 0 in steps
    assert steps[-1] == -1


def test_vegas_goes_back_when_half_of_the_limit_was_too_little() -> None:
    """A probe that halves the throughput is undone; one that does not stays."""
    for answers, kept in ((25, False), (50, True)):
        rule = Vegas(probe=1).fresh()
        assert rule.next(20, _window(0.1), True) == 10
        assert rule.next(10, _window(0.1, count=answers), True) == (10 if kept else 20)


def test_gradient2_halves_its_aim_without_an_answer_and_rests_without_use() -> None:
    """No answer is the worst gradient; a limit of which less than half is used stays as it is."""
    assert Gradient2().fresh().next(20, _window(None, dropped=50), True) == pytest.approx(20 + (14 - 20) * 0.2)
    assert Gradient2().fresh().next(20, _window(0.1, inside=9), False) == 20


def test_gradient2_forgets_bad_times_sooner_when_they_are_over() -> None:
    """After a slow hour and a quick minute, a slow answer counts as slow again."""
    rule = Gradient2(long_window=600).fresh()
    for latency in [1.0] * 50 + [0.1] * 60:
        rule.next(20, _window(latency), True)
    assert rule.next(20, _window(1.0), True) < 20


def test_aimd_adds_one_and_takes_a_tenth() -> None:
    """It rises only while the limit is in use, and falls when calls were dropped."""
    rule = AIMD().fresh()
    assert rule.next(20, _window(0.1), True) == 21
    assert rule.next(20, _window(0.1, inside=9), True) == 20
    assert rule.next(20, _window(0.1, dropped=1), True) == 18


def test_figures_that_hardly_vary_do_not_correlate() -> None:
    """A variation below 1 % is noise."""
    correlation = Correlation(50)
    assert {correlation.add(20, 5 + number)[0] for number in range(12)} == {0.0}


def _at_once(world: AnyWorld, chain: Chain, count: int) -> list[Any]:
    async def body() -> list[Any]:
        return await together(world.runtime, *((chain.send, a_request()) for _ in range(count)))

    return world.run(body)


def test_the_limit_changes_by_an_event(world: AnyWorld) -> None:
    """Four answers of 1 s make a window; the fifth call finds one more permit."""
    policy = AdaptiveConcurrency(initial=2, min_samples=4)
    chain = Chain(world.runtime, [policy], respond(200, delay=1))
    _at_once(world, chain, 7)
    changes = [(event.before, event.after) for event in chain.events if isinstance(event, ConcurrencyChanged)]
    assert changes == [(2, 3)]
    assert chain.arrivals == [0, 0, 1, 1, 2, 2, 2] or chain.arrivals[:4] == [0, 0, 1, 1]


class Spy:
    """A state that keeps what it is told when a call ends."""

    def __init__(self, world: AnyWorld, initial: int = 20) -> None:
        options = AdaptiveConcurrency(initial=initial)
        self.inner = MemoryState(lambda: LearningPermits(options), world.runtime.now)
        self.leaves: list[tuple[float | None, bool]] = []

    async def apply(self, key: str, command: PermitCommand) -> Decision:
        if isinstance(command, Leave):
            self.leaves.append((command.latency, command.dropped))
        return await self.inner.apply(key, command)


@pytest.mark.parametrize(
    ("script", "taught"),
    [
        (respond(200, delay=1), (1, False)),
        (respond(404, delay=1), (1, False)),
        (respond(503, delay=1), (None, True)),
        (respond(429, delay=1), (None, True)),
        (Script(Reset()), (None, True)),
        (respond(200, delay=9), (5, True)),
        (Script(Refuse()), (None, False)),
    ],
)
def test_what_an_attempts_end_teaches(world: AnyWorld, script: Script, taught: tuple[float | None, bool]) -> None:
    """Answers are samples; failures, throttling and a passed deadline are drops; what was never sent is nothing."""
    spy = Spy(world)
    chain = Chain(world.runtime, [Deadline(seconds=5), AdaptiveConcurrency(state=spy)], script)
    _at_once(world, chain, 1)
    assert spy.leaves == [taught]


def test_a_call_given_up_early_teaches_nothing(world: AnyWorld) -> None:
    """T25: how long somebody was willing to wait is no latency."""
    spy = Spy(world)
    chain = Chain(world.runtime, [AdaptiveConcurrency(state=spy)], respond(200, delay=9))

    async def body() -> None:
        task = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        task.cancel()
        with pytest.raises(TaskCancelled):
            await task.join()

    world.run(body)
    assert spy.leaves == [(None, False)]


def test_a_stream_teaches_its_head_and_holds_its_permit(world: AnyWorld) -> None:
    """T15: the permit is back when the body is closed; the latency is that of the head."""
    spy = Spy(world, initial=1)
    chain = Chain(world.runtime, [AdaptiveConcurrency(state=spy, queue=0)], respond(200, content=b"x", delay=1))

    async def body() -> str:
        response = await chain.send(stream=True)
        forecast = await chain.pipeline.policies[0].forecast(a_request(), _context(chain))  # type: ignore[attr-defined]
        await world.runtime.sleep(5)
        assert spy.leaves == []
        assert response.stream is not None
        await response.stream.aclose()
        return str(forecast.verdict)

    assert world.run(body) == "refuse"
    assert spy.leaves == [(1, False)]


def _context(chain: Chain) -> Context:
    assert chain.call is not None
    return Context(chain.call)


def test_under_three_times_the_load_the_important_get_through(world: AnyWorld) -> None:
    """Of a crowd three times too large, priority 4 succeeds, and what is shed is of priority 0 and 1."""
    policy = Bulkhead(limit=4, queue=8, max_wait=2)
    chain = Chain(world.runtime, [policy], respond(200, delay=0.1))
    ends: list[tuple[int, bool]] = []

    async def one(number: int) -> None:
        await world.runtime.sleep(number / 120)
        try:
            await chain.send(a_request(), priority=number % 5)
            ends.append((number % 5, True))
        except Exception:
            ends.append((number % 5, False))

    async def body() -> None:
        await together(world.runtime, *((one, number) for number in range(150)))

    world.run(body)
    share = [mean(good for priority, good in ends if priority == wanted) for wanted in range(5)]
    assert share[4] >= 0.95
    assert share[0] < 0.3
    assert share[0] <= share[2] <= share[4]


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptiveConcurrency(initial=300),
        lambda: AdaptiveConcurrency(max_window=0.5),
        lambda: AdaptiveConcurrency(algorithm=Vegas),  # type: ignore[arg-type]
        lambda: Vegas(headroom=0.5),
        lambda: AIMD(keep=1),
        lambda: Gradient2(smoothing=2),
    ],
)
def test_options_that_cannot_work_are_refused(make: Any) -> None:
    """With the name and the value."""
    with pytest.raises(ConfigurationError, match=r"\("):
        make()


def test_it_keeps_a_state_it_was_given(world: AnyWorld) -> None:
    """`bind` gives a policy without a state one of its own, and leaves another as it is."""
    bound = AdaptiveConcurrency().bind(world.runtime)
    assert bound.bind(world.runtime) is bound


def test_a_window_of_drops_alone_lowers_the_limit_and_a_stale_permit_frees_nothing() -> None:
    """A server that answers nobody is asked less; a permit that is not out cannot come back."""
    permits = LearningPermits(AdaptiveConcurrency(min_samples=4))
    for now in (0.0, 0.5, 1.0, 1.5):
        token = permits.apply(ENTER, now).token
        change = permits.apply(Leave(token, dropped=True), now).change
        assert permits.apply(Leave(token, dropped=True), now).change is None
    assert change == ("20", "19")
