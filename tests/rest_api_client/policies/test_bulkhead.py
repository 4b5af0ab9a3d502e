"""The bulkhead in the chain: permits, the line, shedding, what holds a permit and what gives it back."""

from __future__ import annotations

import gc
import pickle
from random import Random
from typing import Any

import pytest

from rest_api_client.attempts import close
from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import Queued
from rest_api_client.exceptions import BulkheadFull, ConfigurationError, LoadShed
from rest_api_client.models import Response
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import ENTER, PEEK, Enter, Leave, PermitCommand, Permits
from rest_api_client.policies.priority_queue import PriorityLines
from rest_api_client.policies.state import Decision
from rest_api_client.runtime import run_sync
from rest_api_client.script import Refuse, Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.collecting import CollectingKey, Never, abandon, uncollected
from tests.rest_api_client.policies.machines.bulkhead import Cancelled, Stepped
from tests.rest_api_client.together import together

AnyWorld = World[Any]


def _all_at_once(world: AnyWorld, chain: Chain, priorities: list[int], **options: Any) -> list[Any]:
    async def one(number: int) -> Any:
        return await chain.send(a_request(url=f"https://api.test/{number}"), priority=priorities[number], **options)

    async def body() -> list[Any]:
        return await together(world.runtime, *((one, number) for number in range(len(priorities))))

    return world.run(body)


def _served(chain: Chain) -> list[int]:
    return [int(arrival.request.url.target[1:]) for arrival in chain.server.requests]


def test_calls_beyond_the_limit_wait_and_are_served_in_turn(world: AnyWorld) -> None:
    """T12: with two permits and answers of 1 s, five calls go out two at a time, first come, first served."""
    chain = Chain(world.runtime, [Bulkhead(limit=2)], respond(200, delay=1))
    _all_at_once(world, chain, [2] * 5)
    assert chain.arrivals == [0, 0, 1, 1, 2]
    assert _served(chain) == [0, 1, 2, 3, 4]
    waits = [(event.waited, event.reason) for event in chain.events if isinstance(event, Queued)]
    assert waits == [(1, "queued"), (1, "queued"), (2, "queued")]


def test_the_more_important_go_first(world: AnyWorld) -> None:
    """Among those who wait the highest priority is served first, and the oldest of equals."""
    chain = Chain(world.runtime, [Bulkhead(limit=1)], respond(200, delay=1))
    _all_at_once(world, chain, [2, 0, 2, 4, 2, 4])
    assert _served(chain) == [0, 3, 5, 2, 4, 1]


def test_a_full_line_sheds_the_least_important_newest_first(world: AnyWorld) -> None:
    """One is under way and three wait; each of two more important calls takes a place, an equal one is refused."""
    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=3)], respond(200, delay=1))
    results = _all_at_once(world, chain, [2, 0, 0, 1, 1, 3, 1])
    names = [type(result).__name__ for result in results]
    assert names == ["Response", "LoadShed", "LoadShed", "Response", "Response", "Response", "BulkheadFull"]
    assert _served(chain) == [0, 5, 3, 4]
    assert isinstance(results[1], LoadShed)
    refusals = [event.reason for event in chain.events if isinstance(event, Queued) and event.refused]
    assert sorted(refusals) == ["bulkhead full", "shed", "shed"]


def test_without_a_queue_the_surplus_is_refused_at_once(world: AnyWorld) -> None:
    """`queue=0`, and likewise `max_wait=0`: nothing waits, nothing is sent, and the record says why."""
    for policy in (Bulkhead(limit=1, queue=0), Bulkhead(limit=1, max_wait=0)):
        chain = Chain(world.runtime, [policy], respond(200, delay=1))
        results = _all_at_once(world, chain, [2, 2])
        assert isinstance(results[1], BulkheadFull)
        assert len(chain.arrivals) == 1


def test_a_wait_ends_after_max_wait_or_half_of_what_the_deadline_leaves(world: AnyWorld) -> None:
    """The other half of the deadline is for the answer."""
    bounded: list[Policy] = [Bulkhead(limit=1, max_wait=3)]
    halved: list[Policy] = [Deadline(seconds=6), Bulkhead(limit=1, max_wait=None)]
    for policies in (bounded, halved):
        chain = Chain(world.runtime, policies, respond(200, delay=5.5))
        began = world.clock.monotonic()
        results = _all_at_once(world, chain, [2, 2])
        assert "within 3 s" in str(results[1])
        refused = next(event for event in chain.events if isinstance(event, Queued))
        assert (refused.at - began, refused.waited, refused.refused) == (3, 3, True)


def test_the_record_of_an_attempt_says_how_long_it_stood_in_line(world: AnyWorld) -> None:
    """The wait is a note on the attempt."""
    chain = Chain(world.runtime, [Bulkhead(limit=1)], respond(200, delay=1))
    _all_at_once(world, chain, [2, 2])
    assert chain.call is not None
    assert [(note.policy, note.reason, note.wait) for note in chain.call.attempts[0].notes] == [
        ("Bulkhead", "queued", 1)
    ]


def test_a_cancelled_waiter_leaves_no_trace(world: AnyWorld) -> None:
    """T12: the second of three is cancelled in line; the third has its turn, then nobody waits."""
    policy = Bulkhead(limit=1).bind(world.runtime)
    chain = Chain(world.runtime, [policy], respond(200, delay=5))

    async def body() -> None:
        tasks = []
        for number in range(3):
            tasks.append(world.runtime.spawn(chain.send, a_request(url=f"https://api.test/{number}")))
            await world.runtime.sleep(1)
        tasks[1].cancel()
        await tasks[2].join()
        await chain.send()

    world.run(body)
    assert chain.arrivals == [0, 5, 10]
    assert policy.door is not None
    assert not policy.door.lines.busy


def test_a_failed_attempt_gives_its_permit_back(world: AnyWorld) -> None:
    """Errors free it as answers do."""
    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=0)], [Script(Refuse()), respond(200)])

    async def body() -> None:
        with pytest.raises(Exception, match="refused"):
            await chain.send()
        await chain.send()

    world.run(body)
    assert len(chain.arrivals) == 2


def test_a_stream_holds_its_permit_until_it_is_read_or_closed(world: AnyWorld) -> None:
    """T15: while a streamed body is open the next call has no permit; its end or its close gives it back, once."""
    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=0)], respond(200, content=b"body"))

    async def body() -> None:
        for read in (True, False):
            response = await chain.send(stream=True)
            with pytest.raises(BulkheadFull):
                await chain.send()
            if read:
                assert response.stream is not None
                assert [piece async for piece in response.stream] == [b"body"]
            else:
                await close(response)
            await chain.send()
            if response.stream is not None:
                await response.stream.aclose()

    world.run(body)
    assert len(chain.arrivals) == 4


def test_each_origin_has_permits_of_its_own(world: AnyWorld) -> None:
    """A slow server takes none of another one's."""
    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=0)], respond(200, delay=1))

    async def one(host: str) -> Any:
        return await chain.send(a_request(url=f"https://{host}.test/"))

    async def body() -> list[Any]:
        return await together(world.runtime, (one, "a"), (one, "b"))

    assert [result.status_code for result in world.run(body)] == [200, 200]


def test_policies_that_share_a_state_share_the_line(world: AnyWorld) -> None:
    """A permit given back by one client wakes the other client's waiter."""
    shared = PermitState(lambda: Permits(1), world.runtime.now)
    chains = [Chain(world.runtime, [Bulkhead(limit=1, state=shared)], respond(200, delay=2)) for _ in range(2)]

    async def body() -> None:
        await together(world.runtime, (Chain.send, chains[0]), (Chain.send, chains[1]))

    world.run(body)
    assert [chain.arrivals for chain in chains] == [[0], [2]]


class Distant:
    """A store elsewhere: a `State` that is no `PermitState`."""

    def __init__(self) -> None:
        self.permits = Permits(1)

    async def apply(self, key: str, command: PermitCommand) -> Decision:
        return self.permits.apply(command, 0.0)


def test_a_store_elsewhere_decides_the_same(world: AnyWorld) -> None:
    """The policy needs nothing of a state but `apply`; its line is its own."""
    store = Distant()
    chain = Chain(world.runtime, [Bulkhead(limit=1, state=store)], respond(200, delay=1))
    _all_at_once(world, chain, [2, 2, 4])
    assert (chain.arrivals, _served(chain)) == ([0, 1, 2], [0, 2, 1])
    assert store.permits.inside == 0


def test_it_foretells_what_it_would_do(world: AnyWorld) -> None:
    """Free: pass. Full: wait. Full with a full line: refuse, unless somebody less important stands there."""
    policy = Bulkhead(limit=1, queue=1).bind(world.runtime)
    chain = Chain(world.runtime, [policy], respond(200, delay=5))
    said = list[str]()

    async def verdict(priority: int) -> tuple[str, str]:
        call = Call(world.runtime, chain.random, options=CallOptions(priority=priority))
        forecast = await policy.forecast(a_request(), Context(call))
        assert forecast.facts["limit"] == 1
        said.append(forecast.text)
        return forecast.verdict, forecast.reason

    async def body() -> list[tuple[str, str]]:
        seen = [await verdict(2)]
        tasks = []
        for _ in range(2):
            tasks.append(world.runtime.spawn(chain.send))
            await world.runtime.sleep(1)
            seen.append(await verdict(2))
        seen.append(await verdict(3))
        for task in tasks:
            await task.join()
        return seen

    expected = [("pass", "ok"), ("wait", "queued"), ("refuse", "bulkhead full"), ("wait", "queued")]
    assert world.run(body) == expected
    out = "all 1 permits of 'https://api.test:443' are out, and the call "
    assert said == [
        "a permit of 'https://api.test:443' is free",
        f"{out}would wait",
        f"{out}may not wait",
        f"{out}would wait",
    ]


class _Gone:
    """The event of a waiter whose loop is closed, or of a live one."""

    def __init__(self, live: bool) -> None:
        self.live = live

    def event(self) -> _Gone:
        return self

    def set(self) -> bool:
        return self.live

    def is_set(self) -> bool:
        return False


def test_a_waiter_whose_loop_is_gone_is_skipped() -> None:
    """T13: the permit goes to the next one that can be woken; where nobody can, nobody has it."""
    lines = PriorityLines()
    places = [lines.enter("k", 2, 9, _Gone(live)) for live in (False, True, False)]  # type: ignore[arg-type]
    assert lines.grant("k", 7)
    assert [place.token for place in places if place] == [0, 7, 0]
    assert not lines.grant("k", 8)
    assert not lines.busy


def test_a_permit_that_nobody_can_be_given_is_free_again(real_world: AnyWorld) -> None:
    """T13: those in line are gone with their loop; the permit they were to have serves the next call."""
    policy = Bulkhead(limit=1).bind(real_world.runtime)
    door = policy.door
    assert door is not None

    async def body() -> int:
        token = (await door.state.apply("k", ENTER)).token
        door.lines.enter("k", 2, 9, _Gone(live=False))  # type: ignore[arg-type]
        await door.leave("k", Leave(token))
        return (await door.state.apply("k", Enter())).token

    assert real_world.run(body)


def test_an_abandoned_call_gives_its_permit_back_when_it_is_collected(world: AnyWorld) -> None:
    """A coroutine that nobody awaits any more is ended by the collector, whatever is being done at that moment."""
    policy = Bulkhead(limit=1, queue=0).bind(world.runtime)

    async def proceed(request: Any, context: Context) -> Response:
        await Never()
        return Response(200)

    call = policy(a_request(), Context(Call(world.runtime, Chain(world.runtime, [], respond()).random)), proceed)
    call.send(None)
    del call
    gc.collect()
    chain = Chain(world.runtime, [policy], respond(200))
    assert world.run(chain.send).status_code == 200


def test_a_waiter_cancelled_in_the_moment_it_is_let_in_passes_its_permit_on() -> None:
    """T12: it has the permit, and does not run any more; the next call has it instead."""
    policy = Bulkhead(limit=1, queue=1, key="client").bind(Stepped())  # type: ignore[arg-type]
    door = policy.door
    assert door is not None

    async def proceed(request: Any, context: Context) -> Response:
        await Never()
        return Response(200)

    calls = [policy(a_request(), Context(Call(Stepped(), Random(0))), proceed) for _ in range(2)]  # type: ignore[arg-type]
    for call in calls:
        call.send(None)
    for call, others in zip(calls, (1, 0), strict=True):
        with pytest.raises(Cancelled):
            call.throw(Cancelled())
        assert run_sync(door.state.apply("client", PEEK)).verdict == ("wait" if others else "allow")


async def _stand_for_ever(lines: PriorityLines) -> None:
    place = lines.enter("k", 2, 9, _Gone(live=True))  # type: ignore[arg-type]
    assert place is not None
    try:
        await Never()
    finally:
        lines.leave(place)


@pytest.mark.parametrize("others", [0, 1])
def test_an_abandoned_waiter_may_leave_while_a_permit_is_given_to_it(others: int) -> None:
    """The collector ends it in the midst of that: the permit goes to the next one, or is not given to anybody."""
    lines = PriorityLines()

    def grant() -> bool:
        abandon(_stand_for_ever(lines))
        for _ in range(others):
            lines.enter("k", 2, 9, _Gone(live=True))  # type: ignore[arg-type]
        return lines.grant(CollectingKey("k", 1), 7)

    assert uncollected(grant) == bool(others)
    assert not lines.busy


@pytest.mark.parametrize("lookup", [1, 2])
def test_an_abandoned_waiter_may_leave_while_another_enters(lookup: int) -> None:
    """The newcomer has its place, whatever became of the line in the meantime."""
    lines = PriorityLines()

    def enter() -> bool:
        abandon(_stand_for_ever(lines))
        return lines.enter(CollectingKey("k", lookup), 2, 9, _Gone(live=True)) is not None  # type: ignore[arg-type]

    assert uncollected(enter)
    assert lines.ahead("k", 0) == 1
    assert lines.grant("k", 7)
    assert not lines.busy


def test_a_forked_child_starts_with_an_empty_line(real_world: AnyWorld) -> None:
    """T14: those who waited are not in the child; one that leaves later leaves nothing."""
    lines = PriorityLines()
    place = lines.enter("k", 2, 9, real_world.runtime) if real_world.name == "sync" else None
    lines.forget()
    assert not lines.busy
    assert place is None or not lines.leave(place)


def test_whoever_takes_its_place_in_the_moment_a_permit_comes_back_is_let_in() -> None:
    """T12: it found no permit, and stands in line just before the only one is free: it is not left standing there."""
    coming: list[Any] = []

    class Crossed(PermitState):
        def leave(self, key: str, token: int) -> bool:
            while coming:
                coming.pop().send(None)
            return super().leave(key, token)

    policy = Bulkhead(limit=1, state=Crossed(lambda: Permits(1), lambda: 0.0))

    async def proceed(request: Any, context: Context) -> Response:
        return Response(200)

    first, second = (policy(a_request(), Context(Call(Stepped(), Random(0))), proceed) for _ in range(2))  # type: ignore[arg-type]
    coming.append(second)
    assert run_sync(first).status_code == 200
    with pytest.raises(StopIteration) as ended:
        second.send(None)
    assert ended.value.value.status_code == 200


def test_a_permit_given_before_a_fork_means_nothing_after_it(world: AnyWorld) -> None:
    """T14: the state was forgotten while a call was under way; its end frees nothing in the fresh one."""
    state = PermitState(lambda: Permits(1), world.runtime.now)
    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=0, state=state)], respond(200, content=b"body"))

    async def body() -> None:
        before = await chain.send(stream=True)
        state.forget()
        after = await chain.send(stream=True)
        await close(before)
        with pytest.raises(BulkheadFull):
            await chain.send()
        await close(after)

    world.run(body)
    assert len(chain.arrivals) == 2


def test_a_call_whose_key_was_forgotten_ends_as_any_other(world: AnyWorld) -> None:
    """T14: its permit is not missed, and the next call has one."""
    state = PermitState(lambda: Permits(1), world.runtime.now)

    class Forks:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Response:
            response: Response = await proceed(request, context)
            state.forget()
            return response

    chain = Chain(world.runtime, [Bulkhead(limit=1, queue=0, state=state), Forks()], respond(200))

    async def body() -> None:
        for _ in range(2):
            await chain.send()

    world.run(body)
    assert len(chain.arrivals) == 2


def test_options_are_values_and_travel() -> None:
    """An unbound bulkhead compares, pickles, and refuses what makes no sense."""
    assert pickle.loads(pickle.dumps(Bulkhead(limit=3))) == Bulkhead(limit=3)
    assert isinstance(pickle.loads(pickle.dumps(PriorityLines())), PriorityLines)
    for options in ({"limit": 0}, {"queue": -1}, {"max_wait": -1}, {"key": "colour"}):
        with pytest.raises(ConfigurationError, match="Bulkhead"):
            Bulkhead(**options)
