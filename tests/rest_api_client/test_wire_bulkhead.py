"""On the wire: a bulkhead above the connections. Who waits, waits in the bulkhead's line, where it can be seen."""

from __future__ import annotations

from typing import Any

import pytest

from rest_api_client import BulkheadFull, Timeouts
from rest_api_client.clock import SYSTEM
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import Permits
from rest_api_client.runtime import Task
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, stream, under_way
from tests.wire import Connection, Received, Server, each, ok

HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
NO_TIME = Timeouts(pool=HANGS)
"""Whoever has to wait for a connection fails."""


def stops_short(connection: Connection, request: Received) -> None:
    """A stream that never ends, and anything else at once."""
    if request.target == "/stream":
        connection.send(HALF)
        connection.silence()
    else:
        connection.answer(200, b"ok")


@every_cell
def test_streams_hold_permits_and_the_surplus_is_refused_before_the_connections(cell: Cell) -> None:
    """T15: two open streams have both permits; the third call hears so at once, and goes when one stream is closed."""

    async def body() -> None:
        bulkhead = Bulkhead(limit=2, queue=0)
        options: dict[str, Any] = {"bulkhead": bulkhead, "max_connections": 2, "timeout": NO_TIME, "retries": 0}
        async with cell.client(base_url=server.url, **options) as client:
            async with stream(client, "GET", "/stream"):
                async with stream(client, "GET", "/stream"):
                    with pytest.raises(BulkheadFull, match="all permits"):
                        await client.get("/")
                assert (await client.get("/")).content == b"ok"
            assert under_way(client) == 0

    with Server(each(stops_short)) as server:
        cell.run(body)
    assert [request.target for request in server.requests] == ["/stream", "/stream", "/"]


@every_cell
def test_whoever_gets_a_permit_finds_a_connection_free(cell: Cell) -> None:
    """T15: as many permits as connections: those who waited for a stream's end wait for nothing after it."""
    state = PermitState(lambda: Permits(1), SYSTEM.monotonic)
    runtime = cell.world.runtime

    async def waiting(client: Any, count: int) -> list[Task[Any]]:
        tasks = list[Task[Any]]()
        for number in range(count):
            tasks.append(runtime.spawn(client.get, f"/{number}"))
            while state.lines.ahead(server.url, 0) <= number:
                await runtime.sleep(0.001)
        return tasks

    async def body() -> None:
        bulkhead = Bulkhead(limit=1, state=state)
        options: dict[str, Any] = {"bulkhead": bulkhead, "max_connections": 1, "timeout": NO_TIME, "retries": 0}
        async with cell.client(base_url=server.url, **options) as client:
            for read in (False, True):
                async with stream(client, "GET", "/whole" if read else "/stream") as response:
                    tasks = await waiting(client, 3)
                    if read:
                        assert await response.read() == b"ok"
                for task in tasks:
                    assert (await task.join()).status_code == 200
            assert not state.lines.busy
        await runtime.aclose()

    with Server(each(stops_short)) as server:
        cell.run(body)
    assert [request.target for request in server.requests] == ["/stream", "/0", "/1", "/2", "/whole", "/0", "/1", "/2"]


@every_cell
def test_a_smaller_bulkhead_leaves_connections_for_others(cell: Cell) -> None:
    """One origin's streams have all its permits; another origin of the same client has connections left."""

    async def body() -> None:
        options: dict[str, Any] = {"bulkhead": Bulkhead(limit=1, queue=0), "max_connections": 2, "retries": 0}
        async with (
            cell.client(base_url=busy.url, timeout=NO_TIME, **options) as client,
            stream(client, "GET", "/stream"),
        ):
            with pytest.raises(BulkheadFull):
                await client.get("/")
            assert (await client.get(f"{other.url}/")).content == b"ok"

    with Server(each(stops_short)) as busy, Server(each(ok)) as other:
        cell.run(body)
