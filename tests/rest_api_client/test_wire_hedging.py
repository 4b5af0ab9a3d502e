"""On the wire: what becomes of the copy that lost, on every engine."""

from __future__ import annotations

import threading

import pytest

from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.hedging import Hedging
from rest_api_client.transport import Capability
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, stream, under_way
from tests.wire import Connection, Received, Server, each


class Stalls:
    """A server that stops short in its answer to the first copy, then answers the second; it sees who goes away."""

    def __init__(self, head: bytes = b"") -> None:
        self.head = head
        self.arrived = threading.Event()
        self.left = threading.Event()

    def __call__(self, connection: Connection, request: Received) -> None:
        if request.target == "/quick" or request.headers["x-attempt"] != "1":
            assert self.arrived.wait(HANGS)  # the first copy may be the slower one on its way
            connection.answer(200, b"good")
            return
        self.arrived.set()
        if self.head:
            connection.send(self.head)
        connection.silence()
        self.left.set()


def is_refused(cell: Cell) -> bool:
    """Whether the engine cannot abort; then hedging is refused when the client is made."""
    return not cell.can(Capability.ABORT) and cell.refuses(policies=[Hedging(delay=0.02)])


HALF = b"HTTP/1.1 200 Fine\r\ncontent-length: 4\r\n\r\nsl"


@every_cell
@pytest.mark.parametrize("head", [b"", HALF], ids=["no head", "half a body"])
def test_the_connection_of_the_loser_is_closed(cell: Cell, head: bytes) -> None:
    """T25: the server sees it go, nothing stays held, and the next call does not get what the loser left behind."""
    if is_refused(cell):
        return
    stalls = Stalls(head)

    async def body() -> None:
        breaker = CircuitBreaker(min_calls=1, failure_ratio=0.01)
        options = {"policies": [Hedging(delay=0.02)], "circuit_breaker": breaker, "attempt_headers": True}
        async with cell.client(base_url=server.url, retries=0, **options) as client:
            response = await client.get("/slow")
            assert response.text == "good"
            assert [attempt.error for attempt in response.attempts] == ["Cancelled", None]
            assert stalls.left.wait(HANGS)
            assert under_way(client) == 0
            assert (await client.get("/quick")).text == "good"  # no breaker counts the loser

    with Server(each(stalls)) as server:
        cell.run(body)
        targets = [request.target for request in server.requests]
        assert targets[:3] == ["/slow", "/slow", "/quick"]
        assert len(targets) <= 4  # where the machine is slow there is a hedge of the quick one


@every_cell
def test_a_streamed_winner_can_be_read_after_the_race(cell: Cell) -> None:
    """The copy that won keeps its connection until its body has ended."""
    if is_refused(cell):
        return
    stalls = Stalls()

    async def body() -> None:
        async with cell.client(
            base_url=server.url, retries=0, policies=[Hedging(delay=0.02)], attempt_headers=True
        ) as client:
            async with stream(client, "GET", "/slow") as response:
                assert await response.read() == b"good"
            assert under_way(client) == 0

    with Server(each(stalls)) as server:
        cell.run(body)
        assert stalls.left.wait(HANGS)


@every_cell
def test_one_connection_and_a_hedge_do_not_block_each_other(cell: Cell) -> None:
    """T15: where the first copy holds the only connection the hedge waits in line, and leaves it with the call."""
    if is_refused(cell):
        return
    go = threading.Event()

    def slowly(connection: Connection, request: Received) -> None:
        go.wait(HANGS)
        connection.answer(200, b"first")

    async def body() -> None:
        options = {"policies": [Hedging(delay=0.02)], "max_connections": 1}
        async with cell.client(base_url=server.url, retries=0, events=[told], **options) as client:
            for _ in range(3):
                go.clear()
                assert (await client.get("/")).text == "first"
            assert under_way(client) == 0

    def told(event: object) -> None:
        if type(event).__name__ == "HedgeDecided":
            go.set()

    with Server(each(slowly)) as server:
        cell.run(body)


@every_cell
def test_who_insists_may_hedge_where_nothing_can_be_aborted(cell: Cell) -> None:
    """The quicker copy is returned on every engine, though a loser may run on until its deadline."""

    async def body() -> None:
        insists = Hedging(delay=0.02, hedge_unabortable=True)
        async with cell.client(
            base_url=server.url, retries=0, policies=[insists], deadline=3.0, attempt_headers=True
        ) as client:
            assert (await client.get("/slow")).text == "good"

    with Server(each(Stalls())) as server:
        cell.run(body)
