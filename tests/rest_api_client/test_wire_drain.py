"""On the wire: what becomes of the connection under an answer that nobody wants, before the next request is sent."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from rest_api_client.attempts import DRAINED
from rest_api_client.outcome import Kind, Outcome, classify_http
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, stream, under_way
from tests.wire import Connection, Received, Server, each

BODIES = {"none": 0, "short": 900, "just": DRAINED}


def unwanted(request: Any, result: Any) -> Outcome:
    """202 is tried again: an answer whose body a streaming call leaves unread."""
    if getattr(result, "status_code", 0) == 202:
        return Outcome(Kind.FAILED, "not yet")
    return classify_http(request, result)


async def get_streamed(client: Any, path: str) -> bytes:
    """A streaming call, so that nothing above reads what is unwanted."""
    async with stream(client, "GET", path) as response:
        return await response.read()


def answering(status: int, send: Any, **fields: str) -> Any:
    """The first request gets this status and whatever `send` says, the others 200."""

    first = [send]

    def answer(connection: Connection, request: Received) -> None:
        if first:
            first.pop()(connection, status, fields)
        else:
            connection.answer(200, b"wanted")

    return each(answer)


def sized(size: int) -> Any:
    """A body of that size."""
    return lambda connection, status, fields: connection.answer(status, b"x" * size, **fields)


def head(connection: Connection, status: int, fields: dict[str, str]) -> None:
    """A head without a body."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    connection.send(f"HTTP/1.1 {status} Fine\r\n{lines}\r\n".encode())


def in_chunks(connection: Connection, status: int, fields: dict[str, str]) -> None:
    """A short body without a length."""
    head(connection, status, {"transfer_encoding": "chunked"} | fields)
    connection.send(b"5\r\nerror\r\n0\r\n\r\n")


SHORT = {name: sized(size) for name, size in BODIES.items()} | {"chunks": in_chunks}
short = pytest.mark.parametrize("send", SHORT.values(), ids=SHORT)


@every_cell
@short
def test_a_retry_uses_the_connection_again(cell: Cell, send: Any) -> None:
    """T8: what little is left of the failed answer is read, then the back-off begins; one connection serves both."""

    async def body() -> None:
        async with cell.client(base_url=server.url, classify=unwanted) as client:
            assert await get_streamed(client, "/") == b"wanted"
            assert under_way(client) == 0

    with Server(answering(202, send)) as server:
        cell.run(body)
    assert len(server.requests) == 2
    if cell.engine != "pyreqwest":  # it has a connection back a moment later, perhaps after the retry began
        assert server.accepted == 1


@every_cell
@short
def test_a_redirect_uses_the_connection_again(cell: Cell, send: Any) -> None:
    """T8: the same for the page behind a redirect."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            assert await get_streamed(client, "/") == b"wanted"

    with Server(answering(302, send, location="/there")) as server:
        cell.run(body)
    assert len(server.requests) == 2
    if cell.engine != "pyreqwest":
        assert server.accepted == 1


def too_long(connection: Connection, status: int, fields: dict[str, str]) -> None:
    """A byte more than is read off."""
    connection.answer(status, b"x" * (DRAINED + 1), **fields)


def long_chunks(connection: Connection, status: int, fields: dict[str, str]) -> None:
    """The same without saying so."""
    head(connection, status, {"transfer_encoding": "chunked"} | fields)
    connection.send(b"1001\r\n" + b"x" * 4097 + b"\r\n0\r\n\r\n")


def stalled(connection: Connection, status: int, fields: dict[str, str]) -> None:
    """A part of what was announced, and then silence."""
    head(connection, status, {"content_length": "9"} | fields)
    connection.send(b"half")
    connection.silence()


LONG = {"length": too_long, "chunks": long_chunks, "stalled": stalled}


@every_cell
@pytest.mark.parametrize("send", LONG.values(), ids=LONG)
def test_what_is_long_or_does_not_come_is_closed(cell: Cell, send: Any) -> None:
    """T8: a page that is too long, or one that never ends, costs its connection and no time; the retry goes out."""

    async def body() -> None:
        async with cell.client(base_url=server.url, classify=unwanted, max_connections=1) as client:
            began = cell.world.runtime.now()
            assert await get_streamed(client, "/") == b"wanted"
            assert cell.world.runtime.now() - began < HANGS
            assert under_way(client) == 0

    with Server(answering(202, send)) as server:
        cell.run(body)
    if cell.engine != "pyreqwest":  # which takes a connection back whose rest has come already
        assert server.accepted == 2


def dripping(done: threading.Event) -> Any:
    """A byte every few milliseconds, for ever."""

    def send(connection: Connection, status: int, fields: dict[str, str]) -> None:
        head(connection, status, {"content_length": "40000"} | fields)
        try:
            while not connection.stopped.wait(0.005):
                connection.send(b"x")
        finally:
            done.set()

    return send


@every_cell
def test_a_server_that_drips_holds_nobody(cell: Cell) -> None:
    """T8: every single byte is in time, and all of them together would take 200 seconds."""
    done = threading.Event()

    async def body() -> None:
        async with cell.client(base_url=server.url, classify=unwanted, max_connections=1) as client:
            began = cell.world.runtime.now()
            assert await get_streamed(client, "/") == b"wanted"
            assert cell.world.runtime.now() - began < HANGS

    with Server(answering(202, dripping(done))) as server:
        cell.run(body)
        assert done.wait(HANGS)
    assert server.accepted == 2


@every_cell
def test_an_authentication_round_trip_uses_the_connection_again(cell: Cell) -> None:
    """A 401 whose page is short: read off, and the second request goes out on its connection; so under a mount."""

    class Fresh(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            response = yield request
            if response.status_code == 401:
                request.headers["authorization"] = "fresh"
                yield request

    async def body() -> None:
        async with cell.client(base_url=server.url, auth=Fresh()) as client:
            assert (await client.get("/")).content == b"wanted"

    with Server(answering(401, sized(900))) as server:
        cell.run(body)
    assert [request.headers.get("authorization") for request in server.requests] == [None, "fresh"]
    if cell.engine != "pyreqwest":
        assert server.accepted == 1
