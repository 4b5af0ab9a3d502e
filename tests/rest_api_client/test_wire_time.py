"""On the wire: every phase ends at its limit, and everything ends at the deadline. Exact figures: `make prove`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rest_api_client import (
    APIError,
    ConnectTimeout,
    DeadlineExceeded,
    PoolTimeout,
    ReadTimeout,
    RequestTimeout,
    ServerError,
    Timeouts,
    WriteTimeout,
)
from rest_api_client.transport import Capability
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, stream, under_way
from tests.wire import Connection, Received, Server, dead_addresses, each, ok

SHORT = 0.1


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block ends before that, or hangs."""
    started = time.monotonic()
    yield
    assert seconds * 0.99 < time.monotonic() - started < seconds + HANGS


def drip(connection: Connection, request: Received) -> None:
    """A head, then a byte every 20 ms: no read timeout ever meets it."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not connection.stopped.wait(0.02):
        connection.send(b"x")


def drip_of_a_head(connection: Connection, request: Received) -> None:
    """The same, before the head is whole."""
    connection.send(b"HTTP/1.1 200 OK\r\nx-long: ")
    while not connection.stopped.wait(0.02):
        connection.send(b"x")


def mute(connection: Connection, request: Received) -> None:
    """Nothing at all."""
    connection.silence()


def half(connection: Connection, request: Received) -> None:
    """A part of the body, then nothing."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    connection.silence()


@every_cell
@pytest.mark.parametrize("answer", [drip, drip_of_a_head, mute, half], ids=lambda answer: answer.__name__)
def test_the_deadline_ends_whatever_the_server_does(cell: Cell, answer: object) -> None:
    """T3: a read timeout is not a deadline; this one is, and there is no second attempt."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with within(0.15), pytest.raises(DeadlineExceeded) as caught:
                await client.get("/", deadline=0.15)
            assert len(caught.value.attempts) == 1

    with Server(each(answer)) as server:  # type: ignore[arg-type]
        cell.run(body)


@every_cell
def test_the_deadline_ends_a_stream(cell: Cell) -> None:
    """A streaming call has no deadline of its own, but keeps the one it is given, to the last byte."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with within(0.15), pytest.raises(DeadlineExceeded):
                async with stream(client, "GET", "/", deadline=0.15) as response:
                    await response.read()

    with Server(each(drip)) as server:
        cell.run(body)


@every_cell
def test_the_deadline_ends_an_upload(cell: Cell) -> None:
    """A server that reads nothing does not hold the call beyond its deadline."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with within(0.15), pytest.raises(DeadlineExceeded):
                await client.put("/", content=bytes(32 << 20), deadline=0.15)

    with Server(Connection.wait, receive_buffer=4096) as server:
        cell.run(body)


@every_cell
def test_the_deadline_counts_the_waits_between_attempts(cell: Cell) -> None:
    """A wait that does not fit is not begun: the real answer stands, at once."""

    async def body() -> None:
        async with cell.client(base_url=server.url, pacing=None) as client:
            with pytest.raises(ServerError) as caught:
                await client.get("/", deadline=HANGS)
            assert [attempt.decision for attempt in caught.value.attempts] == ["deadline"]

    with Server(each(lambda connection, request: connection.answer(503, retry_after="60"))) as server:
        cell.run(body)
    assert len(server.requests) == 1


@every_cell
def test_the_deadline_bounds_all_attempts_together(cell: Cell) -> None:
    """Each attempt's own limit would allow five of them; the deadline does not."""

    async def body() -> None:
        async with cell.client(base_url=server.url, retries=5, timeout=Timeouts(read=0.3)) as client:
            with within(1.0), pytest.raises(DeadlineExceeded) as caught:
                await client.get("/", deadline=1.0)
            assert {attempt.error for attempt in caught.value.attempts} <= {"ReadTimeout", "DeadlineExceeded"}
            assert len(caught.value.attempts) <= 4

    with Server(each(mute)) as server:
        cell.run(body)


# Dead addresses --------------------------------------------------------------------------------------------------


@every_cell
def test_a_name_with_four_dead_addresses_does_not_outlive_the_deadline(cell: Cell) -> None:
    """Each address may take its share of the time, not all of it; an engine without a resolver says so."""
    with dead_addresses(4) as (addresses, port):

        async def body() -> None:
            async with cell.client(resolver=lambda host, port: [(address, port) for address in addresses]) as client:
                with within(0.2), pytest.raises(DeadlineExceeded):
                    await client.get(f"http://dead.test:{port}/", deadline=0.2)

        if cell.can(Capability.RESOLVER):
            cell.run(body)
        else:
            assert cell.refuses(resolver=lambda host, port: [])


@every_cell
def test_a_dead_address_does_not_keep_a_living_one_from_being_tried(cell: Cell) -> None:
    """The last address gets its share, and answers."""
    if not cell.can(Capability.RESOLVER):
        assert cell.refuses(resolver=lambda host, port: [])
        return
    with dead_addresses(1) as ([dead], port), Server() as server:

        async def body() -> None:
            addresses = [(dead, port), ("127.0.0.1", server.port)]
            async with cell.client(resolver=lambda host, port: addresses, timeout=Timeouts(connect=0.6)) as client:
                assert (await client.get(server.at("half-dead.test"))).content == b"ok"

        cell.run(body)


@every_cell
def test_a_resolver_that_hangs_is_left_behind(cell: Cell) -> None:
    """A name service that does not answer cannot be interrupted, but it can be abandoned."""
    if not cell.can(Capability.RESOLVER):
        assert cell.refuses(resolver=lambda host, port: [])
        return
    with Server() as server:

        def hang(host: str, port: int) -> list[tuple[str, int]]:
            server.stopped.wait()
            return []

        async def body() -> None:
            async with cell.client(resolver=hang, timeout=Timeouts(connect=SHORT), retries=0) as client:
                with within(SHORT), pytest.raises(ConnectTimeout):
                    await client.get("http://slow.test/")

        cell.run(body)


# Limits of phases ------------------------------------------------------------------------------------------------


@every_cell
def test_connecting_ends_at_its_limit(cell: Cell) -> None:
    """No answer to the SYN is a ConnectTimeout, and proves that nothing was sent."""
    with dead_addresses(1) as ([address], port):

        async def body() -> None:
            async with cell.client(timeout=Timeouts(connect=SHORT), retries=0) as client:
                with within(SHORT), pytest.raises(ConnectTimeout) as caught:
                    await client.post(f"http://{address}:{port}/", json={})
            assert caught.value.processed == "no"

        cell.run(body)


@every_cell
@pytest.mark.parametrize("answer", [mute, half], ids=["before the head", "in the body"])
def test_reading_ends_at_its_limit(cell: Cell, answer: object) -> None:
    """Nothing for so long is a ReadTimeout, whether the head has come or not."""

    async def body() -> None:
        async with cell.client(base_url=server.url, timeout=Timeouts(read=SHORT), retries=0) as client:
            with within(SHORT), pytest.raises(ReadTimeout) as caught:
                await client.get("/")
            assert type(caught.value) is ReadTimeout
            assert under_way(client) == 0

    with Server(each(answer)) as server:  # type: ignore[arg-type]
        cell.run(body)


@every_cell
def test_writing_ends_at_its_limit(cell: Cell) -> None:
    """A server that takes no more bytes is a WriteTimeout, or, without phase limits, a timeout all the same."""
    kind = WriteTimeout if cell.can(Capability.PHASE_TIMEOUTS) else RequestTimeout

    async def body() -> None:
        limits = Timeouts(write=SHORT, read=0.1, connect=HANGS if kind is WriteTimeout else 0.5)
        async with cell.client(base_url=server.url, timeout=limits, retries=0) as client:
            with within(SHORT), pytest.raises(kind) as caught:
                await client.put("/", content=bytes(32 << 20))
            assert caught.value.processed == "unknown"

    with Server(Connection.wait, receive_buffer=4096) as server:
        cell.run(body)


@every_cell
def test_waiting_for_a_connection_ends_at_its_limit(cell: Cell) -> None:
    """T15: a call made while a stream holds the only connection ends as PoolTimeout, and says what to do."""

    async def body() -> None:
        limits = Timeouts(pool=SHORT)
        async with (
            cell.client(base_url=server.url, max_connections=1, timeout=limits, retries=0) as client,
            stream(client, "GET", "/"),
        ):
            with within(SHORT), pytest.raises(PoolTimeout, match="max_connections") as caught:
                await client.post("/", json={})
            assert caught.value.processed == "no"

    with Server(each(half)) as server:
        cell.run(body)
    assert [request.method for request in server.requests] == ["GET"]


@every_cell
def test_a_stream_ends_when_it_falls_silent(cell: Cell) -> None:
    """A stream may last as long as it likes, but each wait for its next bytes is limited."""

    async def body() -> None:
        got = b""
        async with (
            cell.client(base_url=server.url, timeout=Timeouts(read=0.3)) as client,
            stream(client, "GET", "/") as response,
        ):
            chunks = response.chunks()
            while len(got) < 4:
                got += await anext(chunks)
            with pytest.raises(ReadTimeout):
                await anext(chunks)
            assert under_way(client) == 0
        assert got == b"half"

    with Server(each(half)) as server:
        cell.run(body)
    assert len(server.requests) == 1


@every_cell
def test_a_stream_that_goes_on_is_not_ended(cell: Cell) -> None:
    """The read limit is between two bytes, not for the whole."""

    def answer(connection: Connection, request: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n")
        for _ in range(16):
            connection.stopped.wait(0.04)
            connection.send(b"x")

    async def body() -> None:
        async with (
            cell.client(base_url=server.url, timeout=Timeouts(read=0.6)) as client,
            stream(client, "GET", "/") as response,
        ):
            assert await response.read() == b"x" * 16

    with Server(each(answer)) as server:
        cell.run(body)


@every_cell
def test_a_client_lives_on_after_every_timeout(cell: Cell) -> None:
    """What was late is dropped with its connection; the next call is served."""

    def answer(connection: Connection, request: Received) -> None:
        {"/mute": mute, "/half": half, "/drip": drip}.get(request.target, ok)(connection, request)

    async def body() -> None:
        async with cell.client(
            base_url=server.url, max_connections=1, timeout=Timeouts(read=SHORT), retries=0
        ) as client:
            for path in ("/mute", "/half", "/drip"):
                with pytest.raises(APIError):
                    await client.get(path, deadline=0.15)
                assert (await client.get("/", timeout=HANGS)).content == b"ok"

    with Server(each(answer)) as server:
        cell.run(body)
