"""Streamed answers: every way of reading, and the connection given back when the block ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rest_api_client.exceptions import ClosedError, DecodeError
from rest_api_client.http.headers import Headers
from rest_api_client.models import Attempt, Response
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.streamed import AsyncStreamedResponse, StreamedResponse
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request

TEXT = "data: grün\n\ndata: 2\n\n".encode()


class Body:
    """A body as engines give it: an async generator that must be ended."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closed = False
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for byte in self.data:
                yield bytes([byte])
        finally:
            self.ended = True

    async def aclose(self) -> None:
        self.closed = True


def answer(data: bytes = TEXT, **headers: str) -> tuple[Response, Body]:
    body = Body(data)
    return Response(
        200, headers=Headers(headers), stream=body, request=a_request(), reason="OK", http_version="HTTP/1.1"
    ), body


def streamed(data: bytes = TEXT) -> tuple[StreamedResponse, Body]:
    response, body = answer(data)
    return StreamedResponse(response, SyncRuntime(VirtualClock())), body


READERS: list[tuple[str, bytes, list[Any]]] = [
    ("iter_bytes", b"ab", [b"a", b"b"]),
    ("iter_text", "ü!".encode(), ["ü", "!"]),
    ("iter_lines", b"a\r\nb", ["a", "b"]),
    ("iter_ndjson", b'{"a": 1}\n\n2\n', [{"a": 1}, 2]),
]


@pytest.mark.parametrize(("name", "data", "items"), READERS)
def test_every_way_of_reading(name: str, data: bytes, items: list[Any]) -> None:
    """In threads, to the end; the connection is given back at the end of the body."""
    response, body = streamed(data)
    assert list(getattr(response, name)()) == items
    assert body.closed
    assert body.ended


@pytest.mark.parametrize(("name", "data", "items"), READERS)
@pytest.mark.parametrize("runtime_name", ["asyncio", "trio"])
def test_every_way_of_reading_in_a_loop(runtime_name: str, name: str, data: bytes, items: list[Any]) -> None:
    """The same under asyncio and trio."""
    world = World(runtime_name, VirtualClock())

    async def read() -> None:
        response, body = answer(data)
        assert [item async for item in getattr(AsyncStreamedResponse(response), f"a{name}")()] == items
        assert body.closed
        assert body.ended

    world.run(read)


def test_events_are_read() -> None:
    """Server-sent events, as they come."""
    response, body = streamed()
    assert [event.data for event in response.iter_events()] == ["grün", "2"]
    assert body.closed


@pytest.mark.parametrize("name", ["iter_bytes", "iter_text", "iter_lines", "iter_events"])
def test_leaving_half_way_gives_back(name: str) -> None:
    """Although the caller still holds the iterator; closing twice is harmless, going on is refused or ends."""
    response, body = streamed()
    items = getattr(response, name)()
    next(items)
    assert not body.closed
    response.close()
    response.close()
    assert body.closed
    assert body.ended
    assert list(items) == []


@pytest.mark.parametrize("runtime_name", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["aiter_bytes", "aiter_text", "aiter_lines", "aiter_events", "aiter_ndjson"])
def test_leaving_half_way_gives_back_in_a_loop(runtime_name: str, name: str) -> None:
    """No generator is left to the garbage collector, which trio would complain of."""
    world = World(runtime_name, VirtualClock())

    async def read() -> None:
        response, body = answer(b"1\n2\n" if name == "aiter_ndjson" else TEXT)
        stream = AsyncStreamedResponse(response)
        async for _ in getattr(stream, name)():
            break
        assert not body.closed
        await stream.aclose()
        await stream.aclose()
        assert body.closed
        assert body.ended

    world.run(read)


def test_a_stream_is_read_once() -> None:
    """A second reading says so, a buffered answer can be read again."""
    response, _ = streamed(b"x")
    assert b"".join(response.iter_bytes()) == b"x"
    with pytest.raises(ClosedError, match="read once"):
        list(response.iter_bytes())
    response, _ = streamed(b"ab")
    assert response.read().content == b"ab"
    assert [list(response.iter_bytes()), list(response.iter_text())] == [[b"ab"], ["ab"]]


def test_closing_unread_gives_back() -> None:
    """A body nobody wants is dropped."""
    response, body = streamed()
    response.close()
    assert body.closed
    with pytest.raises(ClosedError):
        list(response.iter_lines())


@pytest.mark.parametrize("runtime_name", ["asyncio", "trio"])
def test_reading_whole_in_a_loop(runtime_name: str) -> None:
    """`aread` gives the whole response."""
    world = World(runtime_name, VirtualClock())

    async def body() -> bytes:
        return (await AsyncStreamedResponse(answer(b"whole")[0]).aread()).content

    assert world.run(body) == b"whole"


def test_a_broken_line_is_named() -> None:
    """The error gives the line's number, and the connection is given back."""
    response, body = streamed(b"1\n{\n")
    with pytest.raises(DecodeError, match="2"):
        list(response.iter_ndjson())
    response.close()
    assert body.closed


def test_the_head_is_the_responses() -> None:
    """Status, headers and the rest are there before the body is."""
    response, _ = answer(content_type="text/plain")
    response.attempts = (Attempt(number=1, started=0.0, elapsed=0.0, url=""),)
    for stream in (StreamedResponse(response, SyncRuntime(VirtualClock())), AsyncStreamedResponse(response)):
        assert (stream.status_code, stream.reason, stream.ok, stream.http_version) == (200, "OK", True, "HTTP/1.1")
        assert (stream.headers, stream.url, stream.attempts) == (response.headers, response.url, response.attempts)
        assert repr(stream) == f"<{type(stream).__name__} {response!r}>"
