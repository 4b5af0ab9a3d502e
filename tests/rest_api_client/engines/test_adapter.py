"""Any httpx or httpx2 transport as an engine."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from rest_api_client.engines.adapter import AsyncHttpxAdapter, HttpxAdapter
from rest_api_client.exceptions import (
    CapabilityError,
    ClosedError,
    ConfigurationError,
    DeadlineExceeded,
    ReadError,
    ReadTimeout,
    TransportError,
)
from rest_api_client.http.bodies import Body, BytesBody, FactoryBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Capability, Exchange, Timeouts
from rest_api_client.virtual.clock import VirtualClock

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2])


def exchange(deadline: float | None = None, **limits: float | None) -> Exchange:
    return Exchange(VirtualClock(), Timeouts(**limits), deadline)


def get(method: str = "GET", url: str = "http://api.test/a/%7Eb?q=1", **fields: Any) -> Request:
    return Request(method=method, url=URL.parse(url), **fields)


async def read(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([piece async for piece in response.stream])


class Face:
    """One of the two adapters, driven alike."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async
        self.adapter: Any = AsyncHttpxAdapter if is_async else HttpxAdapter

    def run(self, work: Callable[[], Any]) -> Any:
        return asyncio.run(work()) if self.is_async else run_sync(work())

    def call(self, transport: Any, request: Request, exchange: Exchange) -> tuple[Response, bytes]:
        async def work() -> tuple[Response, bytes]:
            response = await self.adapter(transport).send(request, exchange)
            return response, await read(response)

        result: tuple[Response, bytes] = self.run(work)
        return result


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param == "async")


@LIBRARIES
def test_a_mock_transport_answers(face: Face, library: Any) -> None:
    """Request and answer go through whole: method, target, fields in order, status, body still encoded."""
    seen = []
    packed = gzip.compress(b"hello")

    def handler(request: Any) -> Any:
        seen.append((request.method, request.url.raw_path, request.headers.raw, request.read()))
        return library.Response(
            418, headers=[("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("content-encoding", "gzip")], content=packed
        )

    call = exchange()
    asked = get("PURGE", headers=Headers({"X-A": "1"}), body=BytesBody(b"abc"))
    response, body = face.call(library.MockTransport(handler), asked, call)
    assert seen == [
        ("PURGE", b"/a/%7Eb?q=1", [(b"Host", b"api.test"), (b"X-A", b"1"), (b"Content-Length", b"3")], b"abc")
    ]
    assert response.status_code == 418
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.request is asked
    assert body == packed
    assert (call.phase, call.bytes_sent, call.unsent) == ("done", 3, False)


def sync_pieces() -> Iterator[bytes]:
    yield b"ab"
    yield b"c"


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"c"


@pytest.mark.parametrize(
    ("body", "framing"),
    [
        (OneShotBody([b"ab", b"c"]), {"transfer-encoding": "chunked"}),
        (FactoryBody(sync_pieces, length=3), {"content-length": "3"}),
        (BytesBody(b"abc"), {"content-length": "3"}),
    ],
)
@LIBRARIES
def test_uploads_are_streamed_and_framed(face: Face, library: Any, body: Body, framing: dict[str, str]) -> None:
    """A body without a known length is sent chunked, the others with their length, and its bytes are counted."""
    if isinstance(body, OneShotBody):
        body = OneShotBody([b"ab", b"c"])
    seen: list[Any] = []

    async def ahandler(request: Any) -> Any:
        seen.extend([dict(request.headers), await request.aread()])
        return library.Response(200)

    def handler(request: Any) -> Any:
        seen.extend([dict(request.headers), request.read()])
        return library.Response(200)

    call = exchange()
    face.call(library.MockTransport(ahandler if face.is_async else handler), get("POST", body=body), call)
    assert seen == [{"host": "api.test"} | framing, b"abc"]
    assert call.bytes_sent == 3


def test_async_iterators_are_for_async_clients() -> None:
    """An async body is streamed by the async adapter and refused by the sync one, before anything is sent."""

    async def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=await request.aread())

    asked = get("POST", body=FactoryBody(async_pieces, length=3))
    assert Face(is_async=True).call(httpx.MockTransport(handler), asked, exchange())[1] == b"abc"
    with pytest.raises(ConfigurationError, match="AsyncAPIClient"):
        run_sync(HttpxAdapter(httpx.MockTransport(lambda request: httpx.Response(500))).send(asked, exchange()))


def test_timeouts_are_handed_on(face: Face) -> None:
    """The phases' limits travel in the request's extensions, cut to the time left."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    face.call(httpx.MockTransport(handler), get(), exchange(deadline=7, connect=5, read=30, write=None, pool=1))
    assert seen == [{"connect": 5, "read": 7, "write": 7, "pool": 1}]


class Failing:
    """A transport of both faces that does what it is told."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.closed = 0


class FailingSync(Failing, httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.act()  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed += 1


class FailingAsync(Failing, httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.act()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed += 1


def failing(face: Face, act: Callable[[], Any]) -> Any:
    return (FailingAsync if face.is_async else FailingSync)(act)


@pytest.mark.parametrize(
    ("error", "kind"), [(httpx.ReadTimeout("x"), ReadTimeout), (ZeroDivisionError("x"), TransportError)]
)
def test_errors_are_told_in_our_words(face: Face, error: Exception, kind: type[Exception]) -> None:
    """Known errors keep their meaning, foreign ones become TransportError; the cause is kept, nothing is proved."""

    def act() -> None:
        raise error

    call = exchange()
    with pytest.raises(kind) as caught:
        face.call(failing(face, act), get(), call)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    assert not call.unsent


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that acts between its chunks."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        self.act()
        yield b"b"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in iter(self):
            yield chunk

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def collect(face: Face, stream: Chunks, call: Exchange) -> list[Any]:
    """The chunks and the error they end with, then what reading on gives, and close twice."""

    async def work() -> list[Any]:
        response = await face.adapter(failing(face, lambda: httpx.Response(200, stream=stream))).send(get(), call)
        met: list[Any] = []
        for _ in range(4):
            try:
                met.append(await anext(response.stream))
            except (StopAsyncIteration, Exception) as error:
                met.append(type(error))
                break
        await response.stream.aclose()
        await response.stream.aclose()
        with pytest.raises(ClosedError):
            await anext(response.stream)
        return met

    result: list[Any] = face.run(work)
    return result


def test_a_whole_body_closes_its_stream(face: Face) -> None:
    """The end of the body gives the connection back, once."""
    stream, call = Chunks(lambda: None), exchange()
    assert collect(face, stream, call) == [b"a", b"b", StopAsyncIteration]
    assert (stream.closed, call.phase) == (1, "done")


def test_a_body_that_breaks_off(face: Face) -> None:
    """An error inside the body is told in our words, and closing gives the stream back."""

    def act() -> None:
        raise httpx.ReadError("reset")

    stream = Chunks(act)
    assert collect(face, stream, exchange()) == [b"a", ReadError]
    assert stream.closed == 1


def test_the_deadline_is_checked_between_chunks(face: Face) -> None:
    """A body that goes on beyond the deadline ends at its next chunk."""
    call = exchange(deadline=5)
    assert collect(face, Chunks(lambda: call.clock.sleep(6)), call) == [b"a", DeadlineExceeded]


def test_abort_is_obeyed_between_chunks(face: Face) -> None:
    """An aborted exchange ends at its next chunk, and is never begun if it was aborted before."""
    call = exchange()
    assert collect(face, Chunks(call.abort), call) == [b"a", ReadError]
    with pytest.raises(ReadError, match="aborted"):
        face.call(failing(face, lambda: None), get(), call)


def test_no_time_left_sends_nothing(face: Face) -> None:
    """A passed deadline is found before the transport is asked."""
    with pytest.raises(DeadlineExceeded):
        face.call(failing(face, lambda: pytest.fail("was asked")), get(), exchange(deadline=0))


def test_an_upload_ends_with_its_exchange(face: Face) -> None:
    """A body whose exchange was aborted gives no further chunk."""
    call = exchange()

    def pieces() -> Iterator[bytes]:
        yield b"a"
        call.abort()
        yield b"b"

    async def ahandler(request: httpx.Request) -> httpx.Response:
        await request.aread()
        pytest.fail("was read whole")

    def handler(request: httpx.Request) -> httpx.Response:
        request.read()
        pytest.fail("was read whole")

    with pytest.raises(ReadError, match="aborted"):
        face.call(
            httpx.MockTransport(ahandler if face.is_async else handler), get("POST", body=OneShotBody(pieces())), call
        )
    assert call.bytes_sent == 1


def test_closing_closes_the_transport(face: Face) -> None:
    """The client's close reaches the transport."""
    transport = failing(face, lambda: None)

    async def work() -> None:
        await face.adapter(transport).aclose()

    face.run(work)
    assert transport.closed == 1


def test_each_face_refuses_the_other() -> None:
    """A transport of the other kind is refused with the client that takes it; anything else as no transport."""
    with pytest.raises(ConfigurationError, match="async clients only: use AsyncAPIClient"):
        HttpxAdapter(FailingAsync(lambda: None))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="sync clients only: use APIClient"):
        AsyncHttpxAdapter(FailingSync(lambda: None))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is no transport"):
        HttpxAdapter("httpx")  # type: ignore[arg-type]


def test_it_says_what_it_cannot_do(face: Face) -> None:
    """Neither deadline, abort nor proof are promised, and the name says best effort."""
    adapter = face.adapter(failing(face, lambda: None))
    assert adapter.name == f"{'FailingAsync' if face.is_async else 'FailingSync'} (deadline best effort)"
    assert (Capability.SYNC in adapter.capabilities) is not face.is_async
    assert not adapter.capabilities & {Capability.HARD_DEADLINE, Capability.ABORT, Capability.PROVES_UNSENT}
    assert repr(adapter).startswith(f"{type(adapter).__name__}(")


def test_a_target_that_would_be_changed_is_refused(face: Face) -> None:
    """What httpx would encode once more is not sent at all."""
    asked = Request(method="GET", url=URL("http", "api.test", 80, "/a b"))
    with pytest.raises(CapabilityError, match="in place of"):
        face.call(failing(face, lambda: pytest.fail("was asked")), asked, exchange())
