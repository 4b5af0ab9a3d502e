"""The gate: first come, first served, and no permit lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.engines.gate import Gate, Permit
from rest_api_client.engines.passage import Passage
from rest_api_client.exceptions import PoolTimeout
from rest_api_client.http.urls import Origin
from rest_api_client.runtime import Event, run_sync
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from tests.rest_api_client.engines.rigs import exchange

A, B, C = (Origin("http", f"{name}.test", 80) for name in "abc")


def passage(runtime: Any, **timeouts: Any) -> Passage:
    return Passage(exchange(**timeouts), runtime)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_it_lets_in_in_the_order_of_arrival(library: str) -> None:
    """Ten wait, each goes in when the one before it has left."""

    async def body() -> None:
        runtime, gate, order = AsyncRuntime(), Gate(total=1), []
        first = await gate.enter(A, passage(runtime))

        async def enter(number: int) -> None:
            permit = await gate.enter(A, passage(runtime))
            order.append(number)
            permit.give_back()
            permit.give_back()

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(enter, number)
                while gate.waiting <= number:
                    await anyio.lowlevel.checkpoint()
            first.give_back()
        assert order == list(range(10))
        assert (gate.inside, gate.waiting) == (0, 0)

    anyio.run(body, backend=library)


def test_who_waits_for_its_own_origin_stands_in_nobody_elses_way() -> None:
    """With A at its limit, B passes those who wait for A."""

    async def body() -> None:
        runtime, gate = AsyncRuntime(), Gate(total=3, per_origin=1)
        first = await gate.enter(A, passage(runtime))
        async with anyio.create_task_group() as group:
            group.start_soon(gate.enter, A, passage(runtime))
            await anyio.sleep(0.01)
            assert gate.waiting == 1
            other = await gate.enter(B, passage(runtime, pool=0.1))
            other.give_back()
            assert gate.waiting == 1
            first.give_back()
        assert (gate.inside, gate.waiting) == (1, 0)

    asyncio.run(body())


def test_an_origin_is_at_its_limit_again_when_one_of_two_has_left() -> None:
    """What is counted for an origin is counted until the last of its permits is back."""

    async def body() -> None:
        runtime, gate = AsyncRuntime(), Gate(total=5, per_origin=2)
        first, second = [await gate.enter(A, passage(runtime)) for _ in range(2)]
        first.give_back()
        third = await gate.enter(A, passage(runtime))
        with pytest.raises(PoolTimeout):
            await gate.enter(A, passage(runtime, pool=0.01))
        second.give_back()
        third.give_back()
        assert (gate.inside, gate.waiting) == (0, 0)

    asyncio.run(body())


def test_a_waiter_whose_loop_is_gone_is_skipped() -> None:
    """Its permit goes to the next one in line, and its late end gives nothing back twice."""
    gate = Gate(total=1)
    held = run_sync(gate.enter(A, passage(SyncRuntime())))
    loop = asyncio.new_event_loop()
    dead = loop.create_task(gate.enter(A, passage(AsyncRuntime(), pool=None)))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert gate.waiting == 1
    held.give_back()
    assert (gate.inside, gate.waiting) == (0, 0)
    dead.get_coro().close()  # type: ignore[union-attr]  what the collector would do
    dead._log_destroy_pending = False  # type: ignore[attr-defined]
    assert gate.inside == 0


def test_one_who_gives_up_as_it_is_let_in_passes_the_permit_on() -> None:
    """Cancelled in the very step in which it was admitted, the waiter keeps nothing."""

    async def body() -> None:
        runtime, gate = AsyncRuntime(), Gate(total=1)
        held = await gate.enter(A, passage(runtime))
        waiter = asyncio.ensure_future(gate.enter(A, passage(runtime)))
        await asyncio.sleep(0.01)
        held.give_back()
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled()
        assert gate.inside == 0

    asyncio.run(body())


def test_what_comes_back_while_somebody_gets_in_line_is_theirs() -> None:
    """The collector ends an abandoned call at any moment, also in this one: nobody waits for a permit that is there."""

    class Collecting(SyncRuntime):
        def event(self) -> Event:
            held.give_back()
            return super().event()

    gate = Gate(total=1)
    held = run_sync(gate.enter(A, passage(SyncRuntime())))
    permit = run_sync(gate.enter(A, passage(Collecting(), pool=0.01)))
    assert (gate.inside, gate.waiting) == (1, 0)
    permit.give_back()
    assert gate.inside == 0


@dataclass
class Model:
    """The gate's rule, by brute force, for numbered callers."""

    total: int | None
    each: int | None
    inside: dict[int, Origin] = field(default_factory=dict)
    queue: dict[int, Origin] = field(default_factory=dict)

    def enter(self, number: int, origin: Origin) -> None:
        self.queue[number] = origin
        self.settle()

    def settle(self) -> None:
        """Let in whoever fits, in the order in which they came."""
        for number, origin in list(self.queue.items()):
            if (self.total is None or len(self.inside) < self.total) and (
                self.each is None or list(self.inside.values()).count(origin) < self.each
            ):
                self.inside[number] = self.queue.pop(number)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.none(), st.integers(1, 3)),
    st.one_of(st.none(), st.integers(1, 2)),
    st.lists(
        st.tuples(st.sampled_from(["enter", "enter", "leave", "quit"]), st.sampled_from([A, B, C]), st.integers(0, 3)),
        max_size=30,
    ),
)
def test_who_came_first_of_those_that_fit_is_let_in(
    total: int | None, each: int | None, steps: list[tuple[str, Origin, int]]
) -> None:
    """Whatever happens in whatever order: the limits hold, nobody that fits waits, and nobody overtakes."""

    async def body() -> None:
        runtime, gate, model = AsyncRuntime(), Gate(total=total, per_origin=each), Model(total, each)
        tasks: dict[int, asyncio.Task[Permit]] = {}
        for number, (what, origin, which) in enumerate(steps):
            if what == "enter":
                tasks[number] = asyncio.ensure_future(gate.enter(origin, passage(runtime)))
                model.enter(number, origin)
            elif what == "leave" and model.inside:
                chosen = list(model.inside)[which % len(model.inside)]
                del model.inside[chosen]
                tasks.pop(chosen).result().give_back()
            elif what == "quit" and model.queue:
                chosen = list(model.queue)[which % len(model.queue)]
                del model.queue[chosen]
                tasks[chosen].cancel()
                await asyncio.wait([tasks.pop(chosen)])
            model.settle()
            for _ in range(4):
                await asyncio.sleep(0)
            assert {number for number, task in tasks.items() if task.done()} == set(model.inside)
            assert (gate.inside, gate.waiting) == (len(model.inside), len(model.queue))
        for number, task in tasks.items():
            if number in model.inside:
                task.result().give_back()
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values())

    asyncio.run(body())


def test_a_thread_waits_no_longer_than_it_may() -> None:
    """PoolTimeout after `pool` seconds, and the line is empty again."""
    gate = Gate(total=1)
    held = run_sync(gate.enter(A, passage(SyncRuntime())))
    with pytest.raises(PoolTimeout):
        run_sync(gate.enter(A, passage(SyncRuntime(), pool=0.02)))
    assert gate.waiting == 0
    held.give_back()
    assert gate.inside == 0
