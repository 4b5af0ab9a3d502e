"""On the wire, through the whole client: a thousand cancels lose no connection, no permit and no cancellation.

T1, T29: what poisons a pool are cancels within the first event-loop steps of connecting, so they come after 0 to 20
steps, or after 0 to 3 ms, always three requests at once on two connections; each round ends them in another way.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

from rest_api_client import Response
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_async_cell, under_way
from tests.wire import Server

AT_ONCE = 3
CANCELS = 1_000
Get = Callable[[], Awaitable[Response]]
Wait = Callable[[], Awaitable[None]]


def waits(chance: random.Random, rounds: int) -> list[Wait]:
    """How long each round lasts: for half of them some steps of the loop, for the others some time."""

    def steps(count: int) -> Wait:
        async def wait() -> None:
            for _ in range(count):
                if _in_trio():
                    await trio.lowlevel.checkpoint()
                else:
                    await asyncio.sleep(0)

        return wait

    def moment(seconds: float) -> Wait:
        async def wait() -> None:
            await anyio.sleep(seconds)

        return wait

    return [steps(chance.randint(0, 20)) if n % 2 else moment(chance.uniform(0, 0.003)) for n in range(rounds)]


def _in_trio() -> bool:
    return "trio" in sys.modules and trio.lowlevel.in_trio_run()


async def by_scope(get: Get, wait: Wait) -> list[object]:
    """Three requests in a scope of anyio or trio each, all cancelled after the wait; what they gave, or None."""
    given: list[object] = []

    async def one(scope: anyio.CancelScope) -> None:
        with scope:
            given.append(await get())

    scopes = [anyio.CancelScope() for _ in range(AT_ONCE)]
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(one, scope)
        await wait()
        for scope in scopes:
            scope.cancel()
    return given + [None] * sum(scope.cancelled_caught for scope in scopes)


async def by_task(get: Get, wait: Wait) -> list[object]:
    """Three asyncio tasks, cancelled natively."""
    tasks = [asyncio.ensure_future(get()) for _ in range(AT_ONCE)]
    await wait()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [None if isinstance(result, asyncio.CancelledError) else result for result in results]


async def by_wait_for(get: Get, wait: Wait) -> list[object]:
    """Three requests under `asyncio.wait_for`, which gives up as soon as the wait is over."""

    async def over(event: asyncio.Event) -> None:
        await wait()
        event.set()

    async def one() -> object:
        event = asyncio.Event()
        waiting = asyncio.ensure_future(over(event))
        request = asyncio.ensure_future(get())
        await asyncio.wait([waiting, request], return_when=asyncio.FIRST_COMPLETED)
        try:
            return await asyncio.wait_for(request, 0)
        except TimeoutError:
            return None
        finally:
            await waiting

    return list(await asyncio.gather(*(one() for _ in range(AT_ONCE))))


async def by_time(get: Get, wait: Wait) -> list[object]:
    """Three requests under `move_on_after`, with no time at all, or a little."""

    async def one(given: list[object]) -> None:
        with anyio.move_on_after(_brief.random() * 0.003):
            given.append(await get())
            return
        given.append(None)

    given: list[object] = []
    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(one, given)
    return given


_brief = random.Random(29)

WAYS: dict[str, list[Callable[[Get, Wait], Awaitable[list[object]]]]] = {
    "asyncio": [by_task, by_wait_for, by_scope, by_time],
    "trio": [by_scope, by_time],
}


@every_async_cell
def test_a_thousand_cancels_leave_nothing_behind(cell: Cell) -> None:
    """Each request is answered or cancelled, nothing else; the connections stay two, and the last request succeeds."""
    chance = random.Random(1)
    rounds = CANCELS // AT_ONCE + 1
    ways = WAYS[cell.runtime]
    given: list[object] = []

    async def body() -> None:
        async with cell.client(base_url=server.url, max_connections=2, retries=0) as client:
            for n, wait in enumerate(waits(chance, rounds)):
                given.extend(await ways[n // 2 % len(ways)](lambda: client.get("/"), wait))
            await nothing_under_way(client)
            for _ in range(3):
                assert (await client.get("/")).content == b"ok"
            await nothing_under_way(client)
            assert asyncio_tasks_left() == 0

    with Server() as server:
        cell.run(body)
    assert len(given) == rounds * AT_ONCE
    odd = [result for result in given if result is not None and not isinstance(result, Response)]
    assert odd == []
    assert given.count(None) > 50  # the cancels did meet requests under way; how many is the machine's affair


async def nothing_under_way(client: Any) -> None:
    """Wait until the engine's gate is empty: pyreqwest gives a permit back when the call has really ended."""
    with anyio.fail_after(HANGS):
        while under_way(client):  # noqa: ASYNC110  a gate has no event for its emptiness
            await anyio.sleep(0.001)


def asyncio_tasks_left() -> int:
    """How many tasks run beside this one."""
    return 0 if _in_trio() else len(asyncio.all_tasks()) - 1


@every_async_cell
def test_a_request_that_waits_for_a_connection_can_be_cancelled(cell: Cell) -> None:
    """It leaves the line at once, and whoever stands behind it is served."""

    async def body() -> None:
        async with cell.client(base_url=server.url, max_connections=1) as client, client.stream("GET", "/") as held:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.get, "/")
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            assert under_way(client) == 1
            async with anyio.create_task_group() as group:
                group.start_soon(client.get, "/")
                await anyio.wait_all_tasks_blocked()
                await held.aclose()
            assert under_way(client) == 0

    with Server() as server:
        cell.run(body)


@every_async_cell
@pytest.mark.parametrize("way", ["task", "scope"])
def test_a_cancel_is_never_swallowed(cell: Cell, way: str) -> None:
    """T26: whoever cancels a call that hangs gets it back cancelled, and the client lives on."""

    async def body() -> None:
        async with cell.client(base_url=server.url, max_connections=1) as client:
            for _ in range(5):
                if way == "task" and not _in_trio():
                    task = asyncio.ensure_future(client.get("/hang"))
                    await anyio.wait_all_tasks_blocked()
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    with anyio.move_on_after(0.01) as scope:
                        await client.get("/hang", deadline=HANGS)
                    assert scope.cancelled_caught

    with Server(lambda connection: connection.silence()) as server:
        cell.run(body)
