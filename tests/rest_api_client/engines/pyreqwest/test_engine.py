"""The pyreqwest engine on real sockets: what it promises, what it proves, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
import trustme
from pyreqwest import exceptions as theirs

from rest_api_client.clock import SYSTEM
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.pyreqwest import AsyncPyreqwestEngine, SyncPyreqwestEngine, calls, uploads
from rest_api_client.engines.pyreqwest.calls import BULK
from rest_api_client.engines.pyreqwest.clients import MAX_CLIENTS, idle_limit
from rest_api_client.engines.pyreqwest.engine import _THREADS as THREADS
from rest_api_client.engines.pyreqwest.errors import told
from rest_api_client.exceptions import (
    APIError,
    CapabilityError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    DecodeError,
    NameResolutionError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TLSError,
    TransportError,
    WriteError,
)
from rest_api_client.http.bodies import Body, BytesBody, FactoryBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Capability, Exchange, Timeouts
from rest_api_client.virtual.clock import VirtualClock
from tests.patience import HANGS
from tests.rest_api_client.engines.peers import Peer, Server, always

PLAIN = ConnectionOptions(trust_env=False)


def asked(url: str, method: str = "GET", **fields: Any) -> Request:
    return Request(method=method, url=URL.parse(url), **fields)


def exchange(deadline: float | None = 10, **limits: float | None) -> Exchange:
    return Exchange(SYSTEM, Timeouts(**limits), None if deadline is None else SYSTEM.monotonic() + deadline)


async def read(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([piece async for piece in response.stream])


class Face:
    """One of the two engines, driven alike."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def engine(self, options: ConnectionOptions = PLAIN) -> Any:
        return AsyncPyreqwestEngine(options) if self.is_async else SyncPyreqwestEngine(options)

    def run(self, work: Callable[[Any], Any], options: ConnectionOptions = PLAIN) -> Any:
        """Run `work(engine)`, and close the engine."""

        async def whole() -> Any:
            engine = self.engine(options)
            try:
                return await work(engine)
            finally:
                await engine.aclose()

        return asyncio.run(whole()) if self.is_async else run_sync(whole())

    def call(
        self, request: Request, call: Exchange | None = None, options: ConnectionOptions = PLAIN
    ) -> tuple[Response, bytes]:
        async def work(engine: Any) -> tuple[Response, bytes]:
            response = await engine.send(request, call or exchange())
            return response, await read(response)

        result: tuple[Response, bytes] = self.run(work, options)
        return result


@pytest.fixture(autouse=True)
def _no_certificates_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    return Face(request.param == "async")


# ---------------------------------------------------------------------- the ordinary way


def test_request_and_answer_go_through_whole(face: Face) -> None:
    """Target, fields and body arrive; status, repeated fields and the body, still encoded, come back."""

    def play(peer: Peer) -> None:
        data = peer.request()
        peer.answer(data, b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Encoding: gzip\r\n")

    with Server(play) as server:
        call = exchange()
        request = asked(f"{server.url}/a/%7Eb?q=%20", "PURGE", headers=Headers({"X-A": "1"}), body=BytesBody(b"abc"))
        response, body = face.call(request, call)
    assert body.startswith(b"PURGE /a/%7Eb?q=%20 HTTP/1.1\r\n")
    assert b"\r\nX-A: 1\r\n" in body
    assert body.endswith(b"\r\n\r\nabc")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (response.status_code, response.http_version, call.phase) == (200, "HTTP/1.1", "done")
    assert (call.http_version, call.bytes_sent, call.unsent) == ("HTTP/1.1", 3, False)


def test_an_empty_post_names_its_length(face: Face) -> None:
    """A POST without a body says so, a GET says nothing."""
    with Server(always) as server:
        assert b"content-length: 0" in face.call(asked(server.url, "POST"))[1].lower()
        assert b"content-length" not in face.call(asked(server.url))[1].lower()


def pieces() -> Iterator[bytes]:
    yield b"ab"
    yield b"c"


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"c"


@pytest.mark.parametrize(("length", "framing"), [(None, b"transfer-encoding: chunked"), (3, b"content-length: 3")])
def test_uploads_are_streamed(face: Face, length: int | None, framing: bytes) -> None:
    """An iterator is sent chunked, or with its length where that is known; its bytes are counted."""
    with Server(always) as server:
        call = exchange()
        _, body = face.call(asked(server.url, "POST", body=FactoryBody(pieces, length)), call)
    assert framing in body.lower()
    assert call.bytes_sent == 3


@pytest.mark.parametrize("length", [None, 3])
def test_async_uploads_are_for_async_clients(length: int | None) -> None:
    """An async iterator is streamed by the async engine and refused by the sync one, whose permit comes back."""
    with Server(always) as server:
        request = asked(server.url, "POST", body=FactoryBody(async_pieces, length))
        call = exchange()
        assert b"abc" in Face(is_async=True).call(request, call)[1].replace(b"2\r\nab\r\n1\r\nc", b"abc")
        assert call.bytes_sent == 3
        one = ConnectionOptions(trust_env=False, max_connections=1)
        engine = SyncPyreqwestEngine(one)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="AsyncAPIClient"):
                run_sync(engine.send(request, exchange(pool=0.1)))
    run_sync(engine.aclose())


@pytest.mark.parametrize("make", [pieces, async_pieces])
def test_a_body_longer_than_its_length_is_not_sent_whole(make: Callable[[], Any]) -> None:
    """A server must not take the first part of too long a body for all of it."""
    with Server(always) as server, pytest.raises(ConfigurationError, match="longer than its length of 2"):
        Face(is_async=True).call(asked(server.url, "POST", body=FactoryBody(make, 2)))


def test_a_body_shorter_than_its_length_fails(face: Face) -> None:
    """A body that ends early is the caller's mistake, and says so."""
    with Server(always) as server, pytest.raises(ConfigurationError, match="early end"):
        face.call(asked(server.url, "POST", body=FactoryBody(pieces, 5)))


def test_an_error_of_the_users_body_stays_itself(face: Face) -> None:
    """What a generator raises reaches the caller as it is."""

    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError("mine")

    with Server(always) as server, pytest.raises(ZeroDivisionError, match="mine"):
        face.call(asked(server.url, "POST", body=FactoryBody(broken)))


def test_connections_are_kept(face: Face) -> None:
    """Exchanges one after the other use one connection."""

    async def work(engine: Any) -> None:
        for _ in range(3):
            await read(await engine.send(asked(server.url), exchange()))

    with Server(always) as server:
        face.run(work)
        assert server.connections == 1
        face.run(work, ConnectionOptions(trust_env=False, keepalive_expiry=0))
        assert server.connections == 4


def test_three_loops_share_an_engine() -> None:
    """One async engine serves loops one after the other, and their permits."""
    engine = AsyncPyreqwestEngine(ConnectionOptions(trust_env=False, max_connections=1))

    async def one() -> bytes:
        return await read(await engine.send(asked(server.url), exchange()))

    with Server(always) as server:
        assert len([asyncio.run(one()) for _ in range(3)]) == 3
        asyncio.run(engine.aclose())


# ---------------------------------------------------------------------- what goes wrong


def silence(peer: Peer) -> None:
    peer.request()
    peer.wait()


def fin(peer: Peer) -> None:
    peer.request()


def rst(peer: Peer) -> None:
    peer.request()
    peer.reset()


def says(data: bytes, then: Callable[[Peer], object] = lambda peer: None) -> Callable[[Peer], None]:
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(data)
        then(peer)

    return play


BLOCK = bytes(65536)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (silence, ReadTimeout),
        (fin, RemoteProtocolError),
        (rst, ReadError),
        (says(b"\x00\x01 nonsense\r\n\r\n"), RemoteProtocolError),
    ],
)
def test_a_post_that_was_read_is_sent_once(face: Face, play: Callable[[Peer], None], error: type[APIError]) -> None:
    """A POST that the server read is never sent again by the engine, and never proved unsent."""
    with Server(play) as server:
        call = exchange(read=0.3 if error is ReadTimeout else HANGS)
        with pytest.raises(error) as caught:
            face.call(asked(server.url, "POST", body=BytesBody(b"abc")), call)
        assert type(caught.value) is error
        assert server.connections == 1
    assert not call.unsent
    assert call.phase == "wait"


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (says(HEAD + b"abc"), RemoteProtocolError),
        (says(HEAD + b"abc", lambda peer: peer.over.wait(0.05) or peer.reset()), ReadError),
        (says(HEAD + b"abc", lambda peer: peer.wait()), ReadTimeout),
        (says(CHUNKED + b"zz\r\n"), RemoteProtocolError),
        (says(CHUNKED + b"5\r\nab"), RemoteProtocolError),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_bodies_that_break_off(face: Face, play: Callable[[Peer], None], error: type[APIError], whole: bool) -> None:
    """A body that is not whole is never taken for whole, and its end is told as what it was."""
    call = exchange(read=0.3 if error is ReadTimeout else HANGS)
    call.whole = whole
    with Server(play) as server, pytest.raises(error) as caught:
        face.call(asked(server.url), call)
    assert type(caught.value) is error


@pytest.mark.parametrize("size", [0, 10, 65_536, 200_000])
def test_a_body_wanted_whole_comes_whole(face: Face, size: int) -> None:
    """What was fetched with the head and what comes later are one body."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    call = exchange()
    call.whole = True
    with Server(says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + body)) as server:
        response, got = face.call(asked(server.url), call)
    assert response.status_code == 200
    assert got == body


def test_a_body_in_bulk_comes_in_large_pieces(face: Face) -> None:
    """Who does not wait for its pieces gets few of them, and every byte."""
    body = bytes(range(256)) * 4096
    call = exchange()
    call.bulk = True

    async def work(engine: Any) -> list[bytes]:
        response = await engine.send(asked(server.url), call)
        return [piece async for piece in response.stream]

    with Server(says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)) as server:
        pieces = face.run(work)
    assert b"".join(pieces) == body
    assert [len(piece) for piece in pieces] == [BULK] * (len(body) // BULK)


def test_a_refused_connection_is_proved_unsent(face: Face) -> None:
    """No connection, nothing sent: the exchange proves it, whatever body was ready."""
    with Server(always) as server:
        url = server.url
    call = exchange()
    with pytest.raises(ConnectError, match="refused"):
        face.call(asked(url, "POST", body=BytesBody(b"abc")), call)
    assert call.unsent


def test_an_unknown_name_is_proved_unsent(face: Face) -> None:
    """A name without an address is a NameResolutionError; the URL with its secrets is not in the text."""
    call = exchange()
    with pytest.raises(NameResolutionError) as caught:
        face.call(asked("http://nowhere.invalid/?token=secret"), call)
    assert "secret" not in str(caught.value)
    assert call.unsent


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """A listener whose queue is full: no further connection comes about."""
    import socket

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_no_connection_in_time(face: Face) -> None:
    """The connect limit is told as such, and proves the request unsent."""
    call = exchange(connect=0.2)
    with deaf() as url, pytest.raises(ConnectTimeout, match=r"0\.2 s"):
        face.call(asked(url), call)
    assert call.unsent


@pytest.mark.parametrize("where", ["connect", "head", "body", "upload"])
def test_the_deadline_cuts_every_phase(face: Face, where: str) -> None:
    """Connecting, waiting, a dripping body and a source that hangs all end at the deadline."""

    def drip(peer: Peer) -> None:
        while not peer.over.wait(0.02):
            peer.send(b"x")

    over = threading.Event()

    def hanging() -> Iterator[bytes]:
        yield b"a"
        over.wait(HANGS)
        yield b"b"

    long = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    plays = {"body": says(long, drip)}
    body: Body = OneShotBody(hanging()) if where == "upload" else BytesBody(b"")
    begun = SYSTEM.monotonic()
    with Server(plays.get(where, silence)) as server, deaf() as nowhere, pytest.raises(DeadlineExceeded):
        face.call(asked(nowhere if where == "connect" else server.url, "PUT", body=body), exchange(0.4))
    over.set()
    assert 0.35 < SYSTEM.monotonic() - begun < HANGS


def test_no_time_left_sends_nothing(face: Face) -> None:
    """A passed deadline, or an exchange aborted before, is found before anything is sent."""
    with Server(always) as server:
        with pytest.raises(DeadlineExceeded):
            face.call(asked(server.url), exchange(0))
        call = exchange()
        call.abort()
        with pytest.raises(ReadError, match="aborted"):
            face.call(asked(server.url), call)
        assert server.connections == 0


def test_abort_is_obeyed_at_the_next_chunk(face: Face) -> None:
    """An exchange aborted inside its body ends at the next chunk; its error says so."""

    async def work(engine: Any) -> None:
        call = exchange(read=2)
        response = await engine.send(asked(server.url), call)
        await anext(response.stream)
        call.abort()
        with pytest.raises(ReadError, match="aborted"):
            await anext(response.stream)
        assert repr(engine).endswith("0 under way>")

    with Server(says(HEAD + b"abc", lambda peer: peer.wait())) as server:
        face.run(work)


def test_abort_while_it_waits_is_told_by_its_name(face: Face) -> None:
    """What an aborted exchange dies of afterwards is told as the abort."""
    call = exchange(read=HANGS)

    def play(peer: Peer) -> None:
        peer.request()
        call.abort()

    with Server(play) as server, pytest.raises(ReadError, match="aborted"):
        face.call(asked(server.url), call)


def test_an_answer_that_comes_too_late_is_dropped(face: Face) -> None:
    """An exchange aborted while it waited does not give an answer any more, and its permit comes back."""
    call = exchange()

    def play(peer: Peer) -> None:
        peer.request()
        call.abort()
        peer.answer()

    async def work(engine: Any) -> None:
        with pytest.raises(ReadError, match="aborted"):
            await engine.send(asked(server.url), call)
        assert repr(engine).endswith("0 under way>")

    with Server(play) as server:
        face.run(work)


def test_a_field_beyond_ascii_cannot_be_given(face: Face) -> None:
    """A field that pyreqwest cannot read is an error, never a field left out."""

    def play(peer: Peer) -> None:
        peer.request()
        peer.answer(b"", b"X-Name: \xe9\r\n")

    with Server(play) as server, pytest.raises(DecodeError, match="engine='httpx'"):
        face.call(asked(server.url))


def test_permits_bound_what_is_under_way(face: Face) -> None:
    """A connection is taken until its body has ended or was closed; the next one waits, at most its pool timeout."""

    async def work(engine: Any) -> None:
        first = await engine.send(asked(server.url), exchange())
        with pytest.raises(PoolTimeout):
            await engine.send(asked(server.url), exchange(pool=0.05))
        await first.stream.aclose()
        await first.stream.aclose()
        with pytest.raises(ClosedError):
            await anext(first.stream)
        assert await read(await engine.send(asked(server.url), exchange(pool=HANGS)))

    with Server(always) as server:
        face.run(work, ConnectionOptions(trust_env=False, max_connections=1))


def test_a_closed_engine_sends_nothing(face: Face) -> None:
    """After aclose the engine refuses, and closing again does nothing."""

    async def work(engine: Any) -> None:
        await engine.aclose()
        with pytest.raises(ClosedError):
            await engine.send(asked("http://127.0.0.1:1/"), exchange())

    face.run(work)


def test_closing_ends_what_is_under_way() -> None:
    """Calls that wait for their head end with ClosedError when the engine is closed."""

    async def main() -> None:
        engine = AsyncPyreqwestEngine(PLAIN)
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()

        def play(peer: Peer) -> None:
            peer.request()
            loop.call_soon_threadsafe(arrived.set)
            peer.wait()

        with Server(play) as server:
            waiting = asyncio.create_task(engine.send(asked(server.url), exchange()))
            await arrived.wait()
            await engine.aclose()
            with pytest.raises(ClosedError):
                await waiting

    asyncio.run(main())


# ---------------------------------------------------------------------- cancellation


@pytest.mark.parametrize("permits", [2, 3])
@pytest.mark.parametrize("with_anyio", [False, True])
def test_a_thousand_cancels_leave_the_pool_whole(permits: int, with_anyio: bool) -> None:
    """However early or late calls are cancelled, no permit is lost, no cancel is swallowed, no scope leaks."""
    chance = random.Random(7)

    async def once(engine: AsyncPyreqwestEngine, url: str) -> None:
        async with contextlib.AsyncExitStack():
            await read(await engine.send(asked(url), exchange(pool=HANGS)))

    async def native(engine: AsyncPyreqwestEngine, url: str) -> None:
        task = asyncio.create_task(once(engine, url))
        await pause()
        cancelled = task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled() or not cancelled

    async def scoped(engine: AsyncPyreqwestEngine, url: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(once, engine, url)
            await pause()
            group.cancel_scope.cancel()

    async def pause() -> None:
        if chance.random() < 0.5:
            for _ in range(chance.randrange(21)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(chance.random() * 0.003)

    async def main() -> None:
        engine = AsyncPyreqwestEngine(ConnectionOptions(trust_env=False, max_connections=permits))
        for _ in range(250):
            await (scoped if with_anyio else native)(engine, server.url)
        for _ in range(permits + 1):
            await once(engine, server.url)
        await engine.aclose()
        assert repr(engine).endswith("0 under way>")

    with Server(always) as server:
        asyncio.run(main())
    gc.collect()


def test_the_permit_comes_back_when_the_call_has_really_ended() -> None:
    """A call cancelled before its head still holds its permit, since Rust goes on; its answer is then closed unread."""

    async def main() -> None:
        engine = AsyncPyreqwestEngine(ConnectionOptions(trust_env=False, max_connections=1))
        arrived, go = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def play(peer: Peer) -> None:
            while peer.request():
                loop.call_soon_threadsafe(arrived.set)
                go.wait(HANGS)
                peer.answer()

        with Server(play) as server:
            task = asyncio.create_task(engine.send(asked(server.url), exchange()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(PoolTimeout):
                await engine.send(asked(server.url), exchange(pool=0.05))
            go.set()
            assert await read(await engine.send(asked(server.url), exchange(pool=HANGS))) == b"ok"
            await engine.aclose()

    asyncio.run(main())


def test_closing_after_a_cancel_leaves_no_error_that_nobody_asked_for() -> None:
    """What became of a cancelled call is nobody's any more, and asyncio has nothing to print about it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        printed: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: printed.append(context))
        engine = AsyncPyreqwestEngine(ConnectionOptions(trust_env=False))
        arrived, go = asyncio.Event(), threading.Event()

        def play(peer: Peer) -> None:
            peer.request()
            loop.call_soon_threadsafe(arrived.set)
            go.wait(HANGS)

        with Server(play) as server:
            task = asyncio.create_task(engine.send(asked(server.url), exchange()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await engine.aclose()
            go.set()
        del task
        gc.collect()
        await asyncio.sleep(0)
        assert not printed

    asyncio.run(main())


def test_a_loop_that_ends_takes_its_calls_along() -> None:
    """asyncio cancels every task when the main one is over, ours among them: the call is cancelled, nothing is held."""
    engine = AsyncPyreqwestEngine(PLAIN)
    ends: list[BaseException] = []

    async def call(url: str) -> None:
        try:
            await engine.send(asked(url), exchange())
        except BaseException as error:
            ends.append(error)
            raise

    async def main(url: str, arrived: threading.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(call(url))
        await asyncio.to_thread(arrived.wait, HANGS)
        for inner in asyncio.all_tasks() - {task, asyncio.current_task()}:
            inner.cancel()
        return task

    arrived = threading.Event()

    def play(peer: Peer) -> None:
        peer.request()
        arrived.set()
        peer.wait()

    with Server(play) as server:
        task = asyncio.run(main(server.url, arrived))
    assert task.cancelled()
    assert [type(end) for end in ends] == [asyncio.CancelledError]
    assert engine.gate.inside == 0


def test_a_cancelled_upload_stops() -> None:
    """When its call is cancelled an upload gives no further chunk, so that the call ends."""

    async def main() -> None:
        engine = AsyncPyreqwestEngine(ConnectionOptions(trust_env=False, max_connections=1))
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def endless() -> Iterator[bytes]:
            while True:
                loop.call_soon_threadsafe(begun.set)
                yield b"x" * 1000

        async def async_endless() -> AsyncIterator[bytes]:
            while True:
                begun.set()
                yield b"x" * 1000
                await asyncio.sleep(0)

        with Server(lambda peer: peer.request()) as server:
            for make in (endless, async_endless):
                begun.clear()
                task = asyncio.create_task(
                    engine.send(asked(server.url, "POST", body=OneShotBody(make())), exchange(20))
                )
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            with Server(always) as other:
                assert await read(await engine.send(asked(other.url), exchange(pool=HANGS)))
            await engine.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("with_anyio", [False, True])
def test_a_cancel_inside_the_body_is_heard(with_anyio: bool) -> None:
    """Cancelled while it waits for a chunk, a call ends at once, in the words of whoever cancelled."""

    async def main() -> None:
        engine = AsyncPyreqwestEngine(PLAIN)
        response = await engine.send(asked(server.url), exchange())
        assert response.stream is not None
        pieces = aiter(response.stream)
        assert await anext(pieces) == b"abc"
        if with_anyio:
            with anyio.move_on_after(0.05) as scope:
                await anext(pieces)
            assert scope.cancelled_caught
        else:
            task = asyncio.create_task(anext(pieces))  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert repr(engine).endswith("0 under way>")
        await engine.aclose()

    with Server(says(HEAD + b"abc", lambda peer: peer.wait())) as server:
        asyncio.run(main())


def test_a_native_cancel_that_races_with_the_chunk_is_not_lost() -> None:
    """A cancel that pyreqwest swallows is raised all the same."""

    async def swallowing() -> bytes:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return b"chunk"

    async def main() -> None:
        task = asyncio.create_task(calls.heed(swallowing))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


# ---------------------------------------------------------------------- TLS and proxies


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.contextmanager
def secure(authority: trustme.CA) -> Iterator[Server]:
    """An https server that answers with the names in the client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    def play(peer: Peer) -> None:
        while peer.request():
            shown = peer.sock.getpeercert()  # type: ignore[attr-defined]
            peer.answer(repr(shown.get("subjectAltName") if shown else None).encode())

    with Server(play, context) as server:
        yield server


def test_trust(face: Face, authority: trustme.CA, tmp_path: Path) -> None:
    """An unknown CA is a TLSError and proves the request unsent; a bundle or verify=False lets it through."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with secure(authority) as server:
        call = exchange()
        with pytest.raises(TLSError, match="certificate"):
            face.call(asked(server.url), call)
        assert call.unsent
        with pytest.raises(TLSError, match="certificate"):
            face.call(asked(server.url), options=ConnectionOptions(trust_env=False, verify="system"))
        for verify in (bundle, str(bundle), False):
            assert face.call(asked(server.url), options=ConnectionOptions(trust_env=False, verify=verify))[1] == b"None"


def test_the_client_certificate_is_shown_at_home_only(face: Face, authority: trustme.CA, tmp_path: Path) -> None:
    """Only an origin that credentials belong to sees the client certificate, on the same engine."""
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    own = authority.issue_cert("me@x.test")
    own.cert_chain_pems[0].write_to_path(str(files[0]))
    own.private_key_pem.write_to_path(str(files[1]))

    async def work(engine: Any) -> list[bytes]:
        at_home = asked(server.url).replace(home=frozenset({asked(server.url).url.origin}))
        return [await read(await engine.send(request, exchange())) for request in (at_home, asked(server.url))]

    with secure(authority) as server:
        options = ConnectionOptions(trust_env=False, verify=False, cert=(files[0], files[1]))
        shown = face.run(work, options)
    assert b"me@x.test" in shown[0]
    assert shown[1] == b"None"


@pytest.mark.parametrize("name", ["verify", "cert"])
def test_files_that_are_no_certificates(face: Face, tmp_path: Path, name: str) -> None:
    """A file without certificates is refused when the engine is made."""
    file = tmp_path / "nonsense.pem"
    file.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        face.engine(ConnectionOptions(trust_env=False, **{name: file}))  # type: ignore[arg-type]


def test_certificates_of_the_environment(face: Face, authority: trustme.CA, tmp_path: Path, monkeypatch: Any) -> None:
    """SSL_CERT_FILE counts; where it must not count the engine refuses, since pyreqwest would obey it."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("NO_PROXY", "*")
    with secure(authority) as server:
        assert face.call(asked(server.url), options=ConnectionOptions())[1] == b"None"
        with pytest.raises(CapabilityError, match="SSL_CERT_FILE"):
            face.call(asked(server.url), options=PLAIN)


def test_proxies(face: Face) -> None:
    """A proxy given is used with its credentials; one that refuses the tunnel is a ProxyError."""

    def proxy(peer: Peer) -> None:
        while data := peer.request():
            if data.startswith(b"CONNECT"):
                peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.answer(data)

    with Server(proxy) as server:
        given = ConnectionOptions(trust_env=False, proxy=server.url.replace("//", "//me:secret@"))
        _, body = face.call(asked("http://api.test/x"), options=given)
        assert body.startswith(b"GET http://api.test/x HTTP/1.1")
        assert b"proxy-authorization: basic bwu6c2vjcmv0" in body.lower()
        call = exchange()
        with pytest.raises(ProxyError):
            face.call(asked("https://api.test/x"), call, ConnectionOptions(trust_env=False, proxy=server.url))
        assert call.unsent


def test_proxies_of_the_environment(face: Face, monkeypatch: Any) -> None:
    """HTTP_PROXY counts with trust_env, not without; a SOCKS proxy from there is refused when it would be used."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(always) as proxy, Server(always) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert face.call(asked(server.url), options=ConnectionOptions())[1].startswith(b"GET http://")
        assert face.call(asked(server.url))[1].startswith(b"GET / ")
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        with pytest.raises(CapabilityError, match="SOCKS"):
            face.call(asked(server.url), options=ConnectionOptions())


def test_a_proxy_at_an_ipv6_address(face: Face) -> None:
    """The brackets of an IPv6 proxy survive."""
    call = exchange()
    with pytest.raises(ConnectError):
        face.call(asked("http://api.test/"), call, ConnectionOptions(trust_env=False, proxy="http://[::1]:1"))


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    "options",
    [
        {"uds": "/tmp/x"},
        {"resolver": lambda host, port: [(host, port)]},
        {"verify": ssl.create_default_context()},
        {"verify": "/tmp"},
        {"cert": ("c.pem", "k.pem", "password")},
        {"proxy": "socks5://127.0.0.1:1"},
        {"proxy": {"https://": None, "all://": "SOCKS5h://127.0.0.1:1"}},
    ],
)
def test_options_it_cannot_honour(face: Face, options: dict[str, Any]) -> None:
    """What pyreqwest cannot do is refused when the engine is made, and the message says what can."""
    with pytest.raises(CapabilityError, match="pyreqwest"):
        face.engine(ConnectionOptions(trust_env=False, **options))


def test_virtual_time_is_refused() -> None:
    """Real sockets and a virtual clock do not go together."""
    with pytest.raises(CapabilityError, match="ScriptedTransport"):
        SyncPyreqwestEngine(PLAIN, clock=VirtualClock())


def test_trio_is_refused() -> None:
    """On trio the engine says at once which one to take."""
    engine = AsyncPyreqwestEngine(PLAIN)

    async def main() -> None:
        with pytest.raises(CapabilityError, match="engine='httpx'"):
            await engine.send(asked("http://127.0.0.1:1/"), exchange())

    trio.run(main)


@pytest.mark.parametrize("target", ["/a/%2e%2e/b", "/a/./b", "/a?it's"])
def test_targets_it_would_rewrite(face: Face, target: str) -> None:
    """A target that pyreqwest would change is not sent at all."""
    request = Request(method="GET", url=URL("http", "127.0.0.1", 1, target))
    with pytest.raises(CapabilityError, match="in place of"):
        face.call(request)


def test_values_it_would_encode_otherwise(face: Face) -> None:
    """A field beyond ASCII would be sent as UTF-8, so it is refused."""
    with pytest.raises(CapabilityError, match="beyond ASCII"):
        face.call(asked("http://127.0.0.1:1/", headers=Headers({"X-Name": "é"})))


def test_capabilities(face: Face) -> None:
    """It promises the deadline, and neither phase timeouts nor abort nor trio nor fork."""
    can = face.engine().capabilities
    assert Capability.HARD_DEADLINE in can
    assert (Capability.SYNC in can) is not face.is_async
    assert not can & {Capability.TRIO, Capability.PHASE_TIMEOUTS, Capability.ABORT, Capability.FORK, Capability.UDS}


def test_a_forked_child_is_refused(face: Face, monkeypatch: Any) -> None:
    """In a child of the process that used pyreqwest nothing is sent, and closing does not hang."""

    async def work(engine: Any) -> None:
        await read(await engine.send(asked(server.url), exchange()))
        monkeypatch.setattr(THREADS, "lost", False)
        THREADS._forked()
        with pytest.raises(ConfigurationError, match="fork"):
            await engine.send(asked(server.url), exchange())
        await engine.aclose()
        monkeypatch.undo()
        for client in engine._clients.take():
            await client.close() if face.is_async else client.close()

    with Server(always) as server:
        face.run(work)


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, with a server in it."""
    head = """
        import os, sys, threading
        from rest_api_client.engines.pyreqwest import SyncPyreqwestEngine
        from rest_api_client.exceptions import ConfigurationError
        from rest_api_client.runtime import run_sync
        from rest_api_client.http.bodies import OneShotBody
        from rest_api_client.transport import Timeouts
        from rest_api_client.http.urls import URL
        from tests.rest_api_client.engines.peers import Server, always
        from tests.rest_api_client.engines.pyreqwest.test_engine import asked, exchange, read, PLAIN
        engine = SyncPyreqwestEngine(PLAIN)
    """
    script = textwrap.dedent(head) + textwrap.dedent(text)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20 * HANGS, check=False
    )


def test_a_real_fork() -> None:
    """A really forked child gets its error at once instead of waiting for ever."""
    done = run_script("""
        with Server(always) as server:
            run_sync(read(run_sync(engine.send(asked(server.url), exchange()))))
            child = os.fork()
            if child == 0:
                try:
                    run_sync(engine.send(asked(server.url), exchange()))
                except ConfigurationError:
                    os._exit(7)
                os._exit(1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert done.stdout.strip() == "7", done.stderr


def test_an_upload_under_way_at_exit_does_not_abort_the_process() -> None:
    """A program that ends in the midst of an endless upload ends well."""
    done = run_script("""
        begun = threading.Event()
        def endless():
            while True:
                begun.set()
                yield b"x" * 1000
        server = Server(lambda peer: peer.request()).__enter__()
        send = lambda: run_sync(engine.send(asked(server.url, "POST", body=OneShotBody(endless())), exchange()))
        threading.Thread(target=send, daemon=True).start()
        begun.wait()
    """)
    assert done.returncode == 0, done.stderr


def test_stopping_all_uploads_ends_their_calls() -> None:
    """What the exit of the process does: calls with an upload under way end as aborted."""
    engine = SyncPyreqwestEngine(PLAIN)
    begun = threading.Event()
    met: list[BaseException] = []

    def endless() -> Iterator[bytes]:
        while True:
            begun.set()
            yield b"x" * 1000

    def send() -> None:
        try:
            run_sync(engine.send(asked(server.url, "POST", body=OneShotBody(endless())), exchange()))
        except ReadError as error:
            met.append(error)

    with Server(lambda peer: peer.request()) as server:
        thread = threading.Thread(target=send)
        thread.start()
        begun.wait(HANGS)
        uploads.stop_all()
        thread.join()
    assert "aborted" in str(met[0])
    run_sync(engine.aclose())


# ---------------------------------------------------------------------- clients


@pytest.mark.parametrize(
    ("body", "limits", "limit"),
    [
        (BytesBody(b""), Timeouts(read=3), 3),
        (BytesBody(b"x" * 65537), Timeouts(connect=1, read=3, write=5), 9),
        (FactoryBody(pieces), Timeouts(connect=1, read=3, write=5), 9),
        (FactoryBody(pieces), Timeouts(connect=1, read=3, write=None), None),
        (BytesBody(b""), Timeouts(read=None), None),
    ],
)
def test_the_read_limit_leaves_room_for_an_upload(body: Body, limits: Timeouts, limit: float | None) -> None:
    """pyreqwest counts silence from the start of the request: an upload gets the time of its phases on top."""
    assert idle_limit(asked("http://api.test/", body=body), limits) == limit


def test_few_clients_are_kept(face: Face) -> None:
    """However many timeouts are asked for, old combinations are let go, and calls on them still end well."""

    async def work(engine: Any) -> bytes:
        first = await engine.send(asked(server.url), exchange(None, connect=None, read=None))
        for number in range(MAX_CLIENTS + 1):
            await read(await engine.send(asked(server.url), exchange(read=20 + number)))
        assert len(engine._clients._clients) == MAX_CLIENTS
        return await read(first)

    with Server(always) as server:
        assert face.run(work).startswith(b"GET / ")


# ---------------------------------------------------------------------- errors and uploads by themselves


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (theirs.BuilderError("no", {"causes": None}), ConfigurationError),
        (theirs.DecodeError("odd", {"causes": [{"message": "new words"}]}), RemoteProtocolError),
        (theirs.NetworkError("odd", {"causes": [{"message": "new words"}]}), ReadError),
        (theirs.WriteError("odd", {"causes": [{"message": "Broken pipe (os error 32)"}]}), WriteError),
        (theirs.RequestPanicError("odd", {"causes": None}), TransportError),
    ],
)
def test_what_no_sentence_tells(error: theirs.PyreqwestError, kind: type[APIError]) -> None:
    """Causes that nobody knows still give the nearest error, and prove nothing."""
    call = exchange()
    found = told(error, call, late=False)
    assert type(found) is kind
    assert not call.unsent


def test_an_upload_hands_on_what_its_source_gives() -> None:
    """The chunks come in order, then the end; the source is read once it is wanted, in another thread."""
    threads = []

    def chunks() -> Iterator[bytes]:
        threads.append(threading.get_ident())
        yield b"a"
        yield b"b"

    call = exchange()
    upload = uploads.Source(chunks(), 2, call, SYSTEM).upload()
    assert threads == []
    assert list(upload) == [b"a", b"b"]
    assert threads != [threading.get_ident()]
    assert call.bytes_sent == 2


@pytest.mark.parametrize("length", [None, 3])
def test_an_upload_of_nothing_is_an_end(length: int | None) -> None:
    """A source that gives no chunk ends the upload, whatever was announced."""
    assert list(uploads.Source(iter(()), length, exchange(), SYSTEM).upload()) == []


def test_an_upload_fails_as_its_source_does() -> None:
    """What the source raises comes behind its chunks."""

    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError("mine")

    upload = uploads.Source(chunks(), None, exchange(), SYSTEM).upload()
    assert next(upload) == b"a"
    with pytest.raises(ZeroDivisionError, match="mine"):
        next(upload)


def test_an_upload_is_read_a_little_ahead_and_no_further() -> None:
    """A source that is quicker than the engine waits for it: never is more held than the limit and one chunk."""
    given, ahead = 0, list[int]()

    def chunks() -> Iterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += len(BLOCK)
            yield BLOCK

    for chunk in uploads.Source(chunks(), None, exchange(), SYSTEM).upload():
        ahead.append(given)
        given -= len(chunk)
    assert len(ahead) == 100
    assert max(ahead) <= uploads.AHEAD + len(BLOCK)


def test_a_source_that_waits_is_ended_by_stop() -> None:
    """An engine that takes nothing more holds up no thread once the upload is stopped."""
    threads = list[threading.Thread]()

    def chunks() -> Iterator[bytes]:
        threads.append(threading.current_thread())
        while True:
            yield BLOCK

    source = uploads.Source(chunks(), None, exchange(), SYSTEM)
    upload = source.upload()
    assert next(upload) == BLOCK
    source.stop()
    with pytest.raises(uploads.UploadStopped):
        next(upload)
    threads[0].join(HANGS)
    assert not threads[0].is_alive()


@pytest.mark.parametrize("deadline", [0.05, None])
def test_an_upload_waits_for_its_source_until_the_deadline(deadline: float | None) -> None:
    """A source that hangs ends the upload at the deadline, or when it is stopped, by an error and not by an end."""
    over = threading.Event()

    def chunks() -> Iterator[bytes]:
        over.wait(HANGS)
        yield b"a"

    source = uploads.Source(chunks(), None, exchange(deadline), SYSTEM)
    if deadline is None:
        source.stop()
    with pytest.raises(uploads.UploadStopped):
        next(source.upload())
    source.stop()
    over.set()


def test_exit_waits_for_engines_to_let_go_but_not_for_ever() -> None:
    """The exit goes on as soon as no engine holds an upload, or after a second."""
    uploads._forget()
    clock = VirtualClock()
    held = uploads.Source(iter([b"a"]), None, exchange(), SYSTEM).upload()
    uploads.stop_all(clock)
    assert clock.monotonic() == pytest.approx(uploads.AT_EXIT, abs=0.01)
    with pytest.raises(uploads.UploadStopped):
        next(held)
    del held
    uploads.stop_all(clock)
    assert clock.monotonic() == pytest.approx(uploads.AT_EXIT, abs=0.01)


@pytest.mark.parametrize(("inside", "seconds"), [({}, 0.002), ({1: None}, 0.1)])
def test_exit_waits_for_strangers_to_leave_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, inside: dict[int, None], seconds: float
) -> None:
    """A thread that Python did not start is waited for while it is in Python, if need be for a tenth of a second."""
    uploads._forget()
    monkeypatch.setattr(sys, "_current_frames", lambda: inside)
    clock = VirtualClock()
    uploads.leave(clock)
    assert clock.monotonic() == pytest.approx(seconds, abs=0.003)


def test_a_forked_child_has_no_uploads() -> None:
    """What the parent was sending is not waited for when the child exits."""
    upload = uploads.Source(iter([b"a"]), None, exchange(), SYSTEM).upload()
    uploads._forget()
    uploads.stop_all()
    assert next(upload) == b"a"
