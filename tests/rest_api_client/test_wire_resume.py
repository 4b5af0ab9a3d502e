"""On the wire: downloads that break off, on every engine, in every way a connection can break."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from rest_api_client import RemoteProtocolError, ServerError, TransportError
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, under_way
from tests.wire import Connection, Received, Server, each

DATA = bytes(range(256)) * 8000
HALF = len(DATA) // 2
HELD = 2 * 256 * 1024
"""Bytes that an engine may hold back, which are lost with the line."""


def send_head(connection: Connection, status: int, **fields: str) -> None:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    connection.send(f"HTTP/1.1 {status} Fine\r\n{lines}\r\n".encode())


def start_of(request: Received) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    return int(found[1]) if found else 0


def whole(connection: Connection, request: Received, data: bytes = DATA, etag: str = '"v1"') -> None:
    """What was asked for, all of it."""
    start = start_of(request) if request.headers.get("if-range") == etag else 0
    if start:
        part = f"bytes {start}-{len(data) - 1}/{len(data)}"
        connection.answer(206, data[start:], etag=etag, content_range=part)
    else:
        connection.answer(200, data, etag=etag)


def half(connection: Connection, how: str) -> None:
    """The head and half of the body; then FIN, RST, or a last chunk that never comes."""
    if how == "chunked":
        send_head(connection, 200, transfer_encoding="chunked", etag='"v1"')
        connection.send(b"%x\r\n" % HALF + DATA[:HALF] + b"\r\n")
        return connection.finish()
    send_head(connection, 200, content_length=str(len(DATA)), etag='"v1"')
    connection.send(DATA[:HALF])
    return connection.reset() if how == "RST" else connection.finish()


every_break = pytest.mark.parametrize("how", ["FIN", "RST", "chunked"])


@every_cell
@every_break
@pytest.mark.parametrize("told", [True, False])
def test_a_download_goes_on(cell: Cell, how: str, told: bool, tmp_path: Path) -> None:
    """From where it broke off: no byte is missing, and each attempt is on record.

    Where progress is told no byte is asked for twice. A reset may overtake bytes that were sent before it: the client
    goes on from what it has.
    """

    def answer(connection: Connection, request: Received) -> None:
        half(connection, how) if len(server.requests) == 1 else whole(connection, request)

    seen: list[int] = []

    async def body() -> None:
        async with cell.client(base_url=server.url, retries=1) as client:
            progress = (lambda done, total: seen.append(done)) if told else None
            response = await client.download("/f", tmp_path / "f", on_progress=progress)
            assert [attempt.error is None for attempt in response.attempts] == [False, True]
            assert under_way(client) == 0

    with Server(each(answer)) as server:
        cell.run(body)
    assert (tmp_path / "f").read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]
    first, second = server.requests
    assert "range" not in first.headers
    if how != "RST":
        assert HALF - (0 if told else HELD) <= start_of(second) <= HALF
    if start_of(second):
        assert second.headers["if-range"] == '"v1"'
    assert seen == sorted(seen)


@every_cell
def test_after_a_break_nothing_is_held_back(cell: Cell, tmp_path: Path) -> None:
    """A line that breaks off again and again loses bytes once: from then on all that came counts."""
    few = 1000

    def answer(connection: Connection, request: Received) -> None:
        if len(server.requests) == 1:
            return half(connection, "FIN")
        if len(server.requests) == 3:
            return whole(connection, request)
        start = start_of(request)
        rest = {"content_length": str(len(DATA) - start), "content_range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
        send_head(connection, 206, etag='"v1"', **rest)
        connection.send(DATA[start : start + few])
        return connection.finish()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            await client.download("/f", tmp_path / "f")

    with Server(each(answer)) as server:
        cell.run(body)
    assert (tmp_path / "f").read_bytes() == DATA
    first, second, third = map(start_of, server.requests)
    assert (first, third) == (0, second + few)


@every_cell
def test_progress_is_told_as_it_comes(cell: Cell, tmp_path: Path) -> None:
    """A few bytes of many are told before the server sends more."""
    few, told = 1000, threading.Event()
    seen: list[int] = []

    def answer(connection: Connection, request: Received) -> None:
        send_head(connection, 200, content_length=str(len(DATA)))
        connection.send(DATA[:few])
        assert told.wait(HANGS)
        connection.send(DATA[few:])

    def progress(done: int, total: int | None) -> None:
        seen.append(done)
        told.set()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            await client.download("/f", tmp_path / "f", on_progress=progress)

    with Server(each(answer)) as server:
        cell.run(body)
    assert (seen[0], seen[-1]) == (few, len(DATA))


@every_cell
@every_break
def test_a_changed_file_comes_anew(cell: Cell, how: str, tmp_path: Path) -> None:
    """The ETag is another one by now: the file equals the new version, not half of each."""
    new = b"new" * 1000

    def answer(connection: Connection, request: Received) -> None:
        half(connection, how) if len(server.requests) == 1 else whole(connection, request, new, '"v2"')

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            response = await client.download("/f", tmp_path / "f")
            assert response.headers["etag"] == '"v2"'

    with Server(each(answer)) as server:
        cell.run(body)
    assert (tmp_path / "f").read_bytes() == new


@every_cell
@pytest.mark.parametrize(("path", "sent"), [("/whole", 2), ("/part", 3)])
def test_a_server_that_ignores_a_header_is_not_trusted(cell: Cell, path: str, sent: int, tmp_path: Path) -> None:
    """One answers 200 with everything, one a 206 of the new version to the old one's If-Range: no splice."""
    new = DATA[::-1]

    def answer(connection: Connection, request: Received) -> None:
        asked = start_of(request)
        if len(server.requests) == 1:
            half(connection, "FIN")
        elif asked and request.target == "/part":
            part = f"bytes {asked}-{len(new) - 1}/{len(new)}"
            connection.answer(206, new[asked:], etag='"v2"', content_range=part)
        else:
            connection.answer(200, new, etag='"v2"')

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            await client.download(path, tmp_path / "f")

    with Server(each(answer)) as server:
        cell.run(body)
    assert (tmp_path / "f").read_bytes() == new
    assert len(server.requests) == sent


@every_cell
def test_a_server_that_always_breaks_off_is_left(cell: Cell, tmp_path: Path) -> None:
    """The real error, after as many attempts as any call makes, and no file."""

    def answer(connection: Connection, request: Received) -> None:
        start = start_of(request)
        if not start:
            return half(connection, "FIN")
        send_head(
            connection, 206, etag='"v1"', content_length=str(len(DATA) - start),
            content_range=f"bytes {start}-{len(DATA) - 1}/{len(DATA)}",
        )  # fmt: skip
        return connection.finish()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(RemoteProtocolError) as caught:
                await client.download("/f", tmp_path / "f")
            assert [a.decision for a in caught.value.attempts] == ["retry", "retry", "attempts exhausted"]
            assert under_way(client) == 0

    with Server(each(answer)) as server:
        cell.run(body)
    assert len(server.requests) == 3
    assert list(tmp_path.iterdir()) == []


@every_cell
def test_a_server_that_goes_down_is_told_as_it_is(cell: Cell, tmp_path: Path) -> None:
    """503 after the break: that is the error, raised from the break."""

    def answer(connection: Connection, request: Received) -> None:
        half(connection, "FIN") if len(server.requests) == 1 else connection.answer(503, b"down")

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(ServerError) as caught:
                await client.download("/f", tmp_path / "f")
            assert isinstance(caught.value.__cause__, TransportError)
            assert [a.status_code for a in caught.value.attempts] == [200, 503, 503]

    with Server(each(answer)) as server:
        cell.run(body)
    assert list(tmp_path.iterdir()) == []
