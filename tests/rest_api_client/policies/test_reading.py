"""Reading the answer: whole or an error, bounded, and the connection given back however it ends."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import (
    APIError,
    DecodeError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    ResponseTooLarge,
)
from rest_api_client.http.bodies import finish
from rest_api_client.http.body_limits import BodyLimits
from rest_api_client.http.headers import Headers
from rest_api_client.models import Response
from rest_api_client.pipeline import Pipeline
from rest_api_client.policies.reading import ERROR_BODY, Decode, Read, read
from rest_api_client.script import Chunk, Close, Delay, End, Head, Reset, Script, Stall
from rest_api_client.transport import Timeouts
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request

GZIPPED = gzip.compress(b"hello " * 1000)
GZIP = {"content-encoding": "gzip"}


class Watched:
    """A transport whose bodies say whether they were closed."""

    def __init__(self, script: Script, runtime: Any) -> None:
        self._inner = ScriptedTransport(script, runtime=runtime)
        self.name, self.capabilities = self._inner.name, self._inner.capabilities
        self.streams: list[WatchedStream] = []

    async def send(self, request: Any, exchange: Any) -> Response:
        response = await self._inner.send(request, exchange)
        self.streams.append(WatchedStream(response.stream))
        response.stream = self.streams[-1]
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class WatchedStream:
    """A body as an async generator, as engines write them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.closed = 0
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        finally:
            self.ended = True

    async def aclose(self) -> None:
        self.closed += 1
        await self._inner.aclose()


async def call(
    world: World[Any], script: Script, limits: BodyLimits | None = None, **options: Any
) -> tuple[Any, Watched]:
    """One call through Read and Decode: the response or the error, and the transport."""
    transport = Watched(script, world.runtime)
    chain = Pipeline([Read(), Decode(limits=limits or BodyLimits())], transport, world.runtime)
    context = Context(Call(world.runtime, random.Random(1), options=CallOptions(**options)))
    try:
        return await chain(a_request(), context), transport
    except APIError as error:
        return error, transport


def gave_back(transport: Watched) -> bool:
    return all(stream.closed and stream.ended for stream in transport.streams)


@pytest.mark.parametrize(
    ("script", "content", "raw"),
    [
        (respond(200, content=b"hello"), b"hello", 5),
        (respond(200, content=GZIPPED, headers=GZIP), b"hello " * 1000, len(GZIPPED)),
        (respond(204), b"", 0),
        (respond(200, headers=GZIP), b"", 0),
        (respond(503, content=GZIPPED, headers=GZIP), b"hello " * 1000, len(GZIPPED)),
        (respond(200, content=b"hello", headers={"content-encoding": "x-unknown"}), b"hello", 5),
    ],
)
def test_a_body_is_read_whole(world: World[VirtualClock], script: Script, content: bytes, raw: int) -> None:
    """Decoded, with the size it had on the wire; the connection is given back."""
    response, transport = world.run(call, world, script)
    assert (response.content, response.raw_size, response.stream) == (content, raw, None)
    assert gave_back(transport)


BOMB = gzip.compress(b"\x00" * 20_000_000)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(Head(200, (("content-length", "9"),)), Chunk(b"half"), Reset()), ReadError),
        (Script(Head(200, (("content-length", "9"),)), Chunk(b"half"), Close()), RemoteProtocolError),
        (Script(Head(200), Chunk(b"half"), Stall()), ReadTimeout),
        (respond(200, content=b"no gzip", headers=GZIP), DecodeError),
        (respond(200, content=gzip.compress(b"hello")[:-9], headers=GZIP), DecodeError),
        (respond(200, content=BOMB, headers=GZIP), ResponseTooLarge),
        (respond(200, content=b"x" * 1001), ResponseTooLarge),
        (respond(200, content=b"x", headers={"content-encoding": ", ".join(["gzip"] * 6)}), ResponseTooLarge),
        (respond(503, content=b"no gzip", headers=GZIP), DecodeError),
    ],
)
def test_a_body_that_breaks_is_an_error(world: World[VirtualClock], script: Script, kind: type[APIError]) -> None:
    """With request and response in it, and the connection dropped."""
    error, transport = world.run(call, world, script, BodyLimits(max_decoded_bytes=1000))
    assert type(error) is kind
    assert error.request is not None
    assert error.response is not None
    assert error.response.status_code in {200, 503}
    assert all(stream.closed for stream in transport.streams)


def test_a_streaming_call_leaves_the_body_unread(world: World[VirtualClock]) -> None:
    """It is decoded while it is read; a limit on size is for buffered bodies."""

    async def body() -> None:
        response, transport = await call(
            world, respond(200, content=GZIPPED, headers=GZIP), BodyLimits(max_decoded_bytes=10), stream=True
        )
        assert not response.buffered
        assert transport.streams[0].closed == 0
        await read(response)
        assert response.content == b"hello " * 1000
        assert gave_back(transport)

    world.run(body)


def test_a_stream_goes_on_where_it_was_left(world: World[VirtualClock]) -> None:
    """Read in two turns, it gives each byte once."""

    async def body() -> None:
        script = Script(Head(200), Chunk(b"one"), Chunk(b"two"), Chunk(b"three"), End())
        response, transport = await call(world, script, stream=True)
        assert await anext(aiter(response.stream)) == b"one"
        assert [piece async for piece in response.stream] == [b"two", b"three"]
        await response.stream.aclose()
        assert gave_back(transport)

    world.run(body)


def test_a_streaming_bomb_is_stopped_by_its_ratio(world: World[VirtualClock]) -> None:
    """What no limit on size stops, the ratio does."""

    async def body() -> None:
        response, transport = await call(world, respond(200, content=BOMB, headers=GZIP), stream=True)
        with pytest.raises(ResponseTooLarge) as failed:
            await read(response)
        assert failed.value.response is response
        assert gave_back(transport)

    world.run(body)


@pytest.mark.parametrize("headers", [{}, GZIP])
def test_the_error_body_of_a_streaming_call_is_bounded(world: World[VirtualClock], headers: dict[str, str]) -> None:
    """At most ERROR_BODY bytes of it are read into the exception; the rest is dropped with the connection."""
    content = b"x" * (ERROR_BODY + 100_000)
    sent = gzip.compress(content) if headers else content
    chunks = [Chunk(sent[start : start + 70_000]) for start in range(0, len(sent), 70_000)]
    script = Script(Head(500, tuple(headers.items())), *chunks, Delay(1), End())

    async def body() -> None:
        response, transport = await call(world, script, BodyLimits(max_ratio=None), stream=True)
        assert response.content == content[:ERROR_BODY]
        assert gave_back(transport)

    world.run(body)


def test_giving_up_in_the_middle_gives_back(world: World[VirtualClock]) -> None:
    """Closing a stream half-read ends every generator below it now."""

    async def body() -> None:
        script = Script(Head(200), Chunk(b"a"), Chunk(b"b"), End())
        response, transport = await call(world, script, stream=True)
        stream = response.stream
        async for piece in stream:
            assert piece == b"a"
            break
        await stream.aclose()
        await stream.aclose()
        assert gave_back(transport)

    world.run(body)


def test_a_cut_in_the_middle_gives_back(world: World[VirtualClock]) -> None:
    """Cancelling a buffered call while its body comes closes what it held."""
    transports: list[Watched] = []

    async def body() -> None:
        transport = Watched(Script(Head(200), Chunk(b"a"), Stall()), world.runtime)
        transports.append(transport)
        chain = Pipeline([Read(), Decode()], transport, world.runtime)
        options = CallOptions(timeouts=Timeouts(read=None))
        with world.runtime.fail_after(world.runtime.now() + 3):
            await chain(a_request(), Context(Call(world.runtime, random.Random(1), options=options)))

    with pytest.raises(TimeoutError):
        world.run(body)
    assert gave_back(transports[0])


def test_a_body_that_nobody_began_to_read_is_closed(world: World[VirtualClock]) -> None:
    """Its connection is given back all the same."""

    async def body() -> Watched:
        response, transport = await call(world, respond(200, content=GZIPPED, headers=GZIP), stream=True)
        await response.stream.aclose()
        return transport

    transport = world.run(body)
    assert [stream.closed for stream in transport.streams] == [1]


def test_an_answer_without_a_stream_stays_as_it_is(world: World[VirtualClock]) -> None:
    """A policy may answer from memory: nothing is decoded or read again."""
    response = Response(200, headers=Headers(GZIP), content=b"plain")

    async def answer(*args: Any) -> Response:
        return response

    async def body() -> None:
        context = Context(Call(world.runtime, random.Random(1)))
        assert await Decode()(a_request(), context, answer) is response
        assert await Read()(a_request(), context, answer) is response
        await finish(object())

    world.run(body)
    assert response.content == b"plain"


@pytest.mark.parametrize(
    ("limits", "message"),
    [(BodyLimits(max_headers=3), "4 header fields"), (BodyLimits(max_header_bytes=20), "max_header_bytes=")],
)
def test_a_flood_of_header_fields_is_refused(world: World[VirtualClock], limits: BodyLimits, message: str) -> None:
    """In number or in bytes: the message says what to raise, and the connection is given back."""
    script = respond(200, content=b"x", headers={"x-a": "1" * 9, "x-b": "2", "x-c": "3"})
    error, transport = world.run(call, world, script, limits)
    assert type(error) is ResponseTooLarge
    assert message in str(error)
    assert error.response is not None
    assert all(stream.closed for stream in transport.streams)
    response, _ = world.run(call, world, script, BodyLimits(max_headers=None, max_header_bytes=None))
    assert response.content == b"x"
