"""The gate: first come, first served, and no permit lost."""

from __future__ import annotations

import asyncio
from collections import deque
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
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from tests.rest_api_client.engines.rigs import exchange

A, B = Origin("http", "a.test", 80), Origin("http", "b.test", 80)


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


class Model:
    """The gate's rule, by brute force."""

    def __init__(self, total: int | None, each: int | None) -> None:
        self.total, self.each = total, each
        self.inside: list[Origin] = []
        self.queue: deque[Origin] = deque()

    def fits(self, origin: Origin) -> bool:
        return (self.total is None or len(self.inside) < self.total) and (
            self.each is None or self.inside.count(origin) < self.each
        )


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.none(), st.integers(1, 3)),
    st.one_of(st.none(), st.integers(1, 2)),
    st.lists(st.tuples(st.sampled_from(["enter", "leave", "quit"]), st.sampled_from([A, B])), max_size=25),
)
def test_the_limits_hold_and_nobody_waits_in_vain(
    total: int | None, each: int | None, steps: list[tuple[str, Origin]]
) -> None:
    """Whatever happens in whatever order, the limits hold, and no waiter that fits is left outside."""

    async def body() -> None:
        runtime, gate = AsyncRuntime(), Gate(total=total, per_origin=each)
        tasks: list[tuple[Origin, asyncio.Task[Permit]]] = []
        for what, origin in steps:
            mine = [entry for entry in tasks if entry[0] == origin]
            if what == "enter":
                tasks.append((origin, asyncio.ensure_future(gate.enter(origin, passage(runtime)))))
            elif mine:
                done = [entry for entry in mine if entry[1].done()]
                open_ = [entry for entry in mine if not entry[1].done()]
                if what == "leave" and done:
                    done[0][1].result().give_back()
                    tasks.remove(done[0])
                elif what == "quit" and open_:
                    open_[0][1].cancel()
                    await asyncio.wait([open_[0][1]])
                    tasks.remove(open_[0])
            for _ in range(4):
                await asyncio.sleep(0)
            model = Model(total, each)
            model.inside = [origin for origin, task in tasks if task.done()]
            assert gate.inside == len(model.inside)
            assert total is None or gate.inside <= total
            assert each is None or all(model.inside.count(origin) <= each for origin in (A, B))
            assert not any(model.fits(origin) for origin, task in tasks if not task.done())
        for _, task in tasks:
            task.cancel()
            if task.done():
                task.result().give_back()
        if tasks:
            await asyncio.wait([task for _, task in tasks])

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
