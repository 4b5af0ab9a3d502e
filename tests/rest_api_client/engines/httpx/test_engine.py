"""The httpx and httpx2 engines on real sockets: what they send, what they give back, and how they fail."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    NameResolutionError,
    PoolTimeout,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    WriteTimeout,
)
from rest_api_client.http.bodies import BytesBody, FactoryBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from rest_api_client.transport import Capability
from tests.patience import HANGS
from tests.rest_api_client.engines.raw import OK, Peer, RawServer, Silent, dead_port
from tests.rest_api_client.engines.rigs import Rig, assert_clean, exchange, fetch, read, request


def test_an_answer_comes_with_all_its_parts(rig: Rig) -> None:
    """Status, reason, fields as spelled, version and body come back; the exchange knows how far it got."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 203 Almost Fine\r\nX-One: a\r\nx-one: b\r\nContent-Length: 5\r\n\r\nhello")

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            seen = exchange()
            response = await engine.send(request(server.url + "/a?b=c"), seen)
            assert (response.status_code, response.reason, response.http_version) == (203, "Almost Fine", "HTTP/1.1")
            assert response.headers.multi_items()[:2] == [("X-One", "a"), ("x-one", "b")]
            assert await read(response) == b"hello"
            assert (seen.phase, seen.proof, seen.http_version) == ("done", True, "HTTP/1.1")
            assert seen.peer == f"127.0.0.1:{server.port}"
            assert seen.bytes_sent == len(server.heads[0]) + 4

    with RawServer(handler) as server:
        rig.run(body, server)


def test_target_and_fields_are_sent_exactly_as_given(rig: Rig) -> None:
    """Nothing is added but Host, nothing is rewritten, nothing is decoded."""

    async def body(server: RawServer) -> None:
        url = URL("http", "127.0.0.1", server.port, "/a/%2e%2e/%7Eb;c?x=%2F&y=a+b%20c'&&")
        async with rig.engine() as engine:
            asked = Request(method="GeT", url=url, headers=Headers([("X-B", "1"), ("x-a", "\xe9"), ("X-B", "2")]))
            await read(await engine.send(asked, exchange()))

    with RawServer() as server:
        rig.run(body, server)
        assert server.heads[0].split(b"\r\n") == [
            b"GeT /a/%2e%2e/%7Eb;c?x=%2F&y=a+b%20c'&& HTTP/1.1",
            b"Host: 127.0.0.1:%d" % server.port,
            b"X-B: 1",
            b"x-a: \xe9",
            b"X-B: 2",
        ]


def test_bodies_are_framed_by_their_length(rig: Rig) -> None:
    """A known length goes as Content-Length, an unknown one chunked, an empty POST says 0, a GET says nothing."""
    got: list[tuple[bytes, bytes]] = []

    def handler(peer: Peer) -> None:
        while True:
            head, sent = peer.request()
            if not head:
                return
            got.append((head.lower(), sent))
            peer.send(OK)

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            for method, content in [
                ("POST", BytesBody(b"abc")),
                ("POST", FactoryBody(lambda: [b"ab", bytearray(b"c"), b"", memoryview(b"d")])),
                ("POST", BytesBody(b"")),
                ("GET", BytesBody(b"")),
                ("PUT", OneShotBody(iter([b"xyz"]), 3)),
            ]:
                await fetch(engine, server.url, method, body=content)

    with RawServer(handler) as server:
        rig.run(body, server)
    assert [sent for _, sent in got] == [b"abc", b"abcd", b"", b"", b"xyz"]
    assert [b"content-length: 3" in head for head, _ in got] == [True, False, False, False, True]
    assert b"transfer-encoding: chunked" in got[1][0]
    assert b"content-length: 0" in got[2][0]
    assert b"content-length" not in got[3][0]


def test_async_bodies_are_for_async_clients(rig: Rig) -> None:
    """An async iterator is sent by an async client; a sync one refuses it before anything is sent."""
    closed = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            asked = request(server.url, "POST", body=FactoryBody(chunks))
            if rig.face == "async":
                await read(await engine.send(asked, exchange()))
                assert closed == [True]
            else:
                with pytest.raises(ConfigurationError, match="async iterator"):
                    await engine.send(asked, exchange())
                assert server.heads == []

    with RawServer() as server:
        rig.run(body, server)


def test_connections_are_kept_and_reused(rig: Rig) -> None:
    """One after the other, exchanges share one connection; an answer that was not read whole costs it."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            for _ in range(3):
                await fetch(engine, server.url)
            assert server.accepted == 1
            response = await engine.send(request(server.url), exchange())
            await response.stream.aclose()
            await response.stream.aclose()
            assert_clean(engine)
            assert len(engine._stock) == 0
            await fetch(engine, server.url)
            assert server.accepted == 2

    with RawServer() as server:
        rig.run(body, server)


def test_a_body_is_closed_in_the_midst_of_it(rig: Rig) -> None:
    """Closing a half-read body gives the permit back, and what is read after that is nothing."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            for _ in range(3):
                response = await engine.send(request(server.url), exchange())
                stream = response.stream
                assert await anext(stream)
                await stream.aclose()
                assert [chunk async for chunk in stream] == []
                assert_clean(engine)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(rig: Rig) -> None:
    """An idle connection whose server hung up is replaced without the caller seeing it."""
    gone = threading.Event()

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        peer.close()
        gone.set()

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            await fetch(engine, server.url)
            gone.wait(HANGS)
            await fetch(engine, server.url)
            assert server.accepted == 2

    with RawServer(handler) as server:
        rig.run(body, server)


def test_idle_connections_expire(rig: Rig) -> None:
    """With keepalive_expiry=0 no connection serves twice, and none stays open."""

    async def body(server: RawServer) -> None:
        async with rig.engine(keepalive_expiry=0) as engine:
            await fetch(engine, server.url)
            assert len(engine._stock) == 0
            await fetch(engine, server.url)
            assert server.accepted == 2

    with RawServer() as server:
        rig.run(body, server)


def test_idle_connections_of_other_origins_make_room(rig: Rig) -> None:
    """The limit counts idle connections too: a new origin's connection pushes out the oldest idle one."""

    async def body(first: RawServer, second: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            for _ in range(2):
                for server in (first, second):
                    await fetch(engine, server.url)
                    assert len(engine._stock) == 1
            assert (first.accepted, second.accepted) == (2, 2)

    with RawServer() as first, RawServer() as second:
        rig.run(body, first, second)


# ---------------------------------------------------------------------- failures


def test_a_refused_connection_is_a_connect_error_and_proved_unsent(rig: Rig) -> None:
    """Nobody listens: ConnectError, and the exchange proves that nothing was sent."""

    async def body() -> None:
        async with rig.engine() as engine:
            seen = exchange()
            with pytest.raises(ConnectError, match="refused"):
                await engine.send(request(f"http://127.0.0.1:{dead_port()}"), seen)
            assert seen.unsent

    rig.run(body)


def test_a_name_without_address_is_a_resolution_error(rig: Rig) -> None:
    """What the resolver says, or fails to say, is a NameResolutionError with its cause."""

    def broken(host: str, port: int) -> list[tuple[str, int]]:
        raise OSError("the resolver is ill")

    async def body(resolver: Any, match: str) -> None:
        async with rig.engine(resolver=resolver) as engine:
            with pytest.raises(NameResolutionError, match=match):
                await engine.send(request("http://nowhere.test/"), exchange())

    rig.run(body, broken, "is ill")
    rig.run(body, lambda host, port: [], "no address")
    rig.run(body, lambda host, port: [("nowhere.test", 80)], "nowhere.test")


def test_addresses_are_tried_in_order(rig: Rig) -> None:
    """A name whose first address refuses is reached by its second."""

    async def body(server: RawServer) -> None:
        addresses = [("127.0.0.1", dead_port()), ("127.0.0.1", server.port)]
        async with rig.engine(resolver=lambda host, port: addresses) as engine:
            assert (await fetch(engine, "http://api.test/"))[1] == b"hello"

    with RawServer() as server:
        rig.run(body, server)
        assert b"Host: api.test" in server.heads[0]


def test_four_dead_addresses_do_not_outlive_the_deadline(rig: Rig) -> None:
    """The addresses of a name share the time: with a deadline it is the deadline that ends the call."""

    async def body(silent: Silent) -> None:
        async with rig.engine(resolver=lambda host, port: silent.addresses) as engine:
            seen = exchange(deadline=0.3)
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await engine.send(request("http://api.test/"), seen)
            assert 0.29 < time.monotonic() - start < HANGS
            assert seen.unsent
            with pytest.raises(ConnectTimeout, match=r"0\.2 s"):
                await engine.send(request("http://api.test/"), exchange(connect=0.2))

    with Silent(4) as silent:
        rig.run(body, silent)


def test_an_address_takes_only_its_share_of_the_time(rig: Rig) -> None:
    """Behind two addresses that never answer, the third one is still reached within the connect limit."""

    async def body(silent: Silent, server: RawServer) -> None:
        addresses = [*silent.addresses, ("127.0.0.1", server.port)]
        async with rig.engine(resolver=lambda host, port: addresses) as engine:
            response = await engine.send(request("http://api.test/"), exchange(connect=1.0))
            assert await read(response) == b"hello"

    with Silent(2) as silent, RawServer() as server:
        rig.run(body, silent, server)


def test_a_resolver_that_hangs_is_abandoned(rig: Rig) -> None:
    """Resolving counts as connecting, and is left behind when the time is up."""
    release = threading.Event()

    def hang(host: str, port: int) -> list[tuple[str, int]]:
        release.wait(HANGS)
        return []

    async def body() -> None:
        async with rig.engine(resolver=hang) as engine:
            with pytest.raises(ConnectTimeout):
                await engine.send(request("http://api.test/"), exchange(connect=0.1))
            with pytest.raises(DeadlineExceeded):
                await engine.send(request("http://api.test/"), exchange(deadline=0.1))
            assert not release.is_set()

    try:
        rig.run(body)
    finally:
        release.set()


def test_silence_is_a_read_timeout_and_the_request_counts_as_sent(rig: Rig) -> None:
    """A server that read the request and says nothing: ReadTimeout, nothing proved."""
    arrived = threading.Event()

    def handler(peer: Peer) -> None:
        peer.request()
        arrived.set()
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            seen = exchange(read=0.1)
            with pytest.raises(ReadTimeout, match=r"0\.1 s"):
                await engine.send(request(server.url, "POST", body=BytesBody(b"abc")), seen)
            assert not seen.unsent
            assert seen.phase == "wait"

    with RawServer(handler) as server:
        rig.run(body, server)
        assert arrived.wait(HANGS)
        assert len(server.heads) == 1


def test_a_server_that_takes_nothing_is_a_write_timeout(rig: Rig) -> None:
    """An upload that nobody reads ends with WriteTimeout when the kernel's buffers are full."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.wait_for_end()

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            seen = exchange(write=0.1)
            with pytest.raises(WriteTimeout, match=r"0\.1 s"):
                await engine.send(request(server.url, "POST", body=BytesBody(b"x" * 50_000_000)), seen)
            assert 0 < seen.bytes_sent < 50_000_000

    with RawServer(handler) as server:
        rig.run(body, server)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", RemoteProtocolError),
        (b"HTTP/1.1 200", RemoteProtocolError),
        (b"\x00\x01 garbage\r\n\r\n", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n", RemoteProtocolError),
    ],
)
def test_what_is_not_http_is_a_protocol_error(rig: Rig, answer: bytes, kind: type[Exception]) -> None:
    """A FIN before the answer, half a head or garbage: RemoteProtocolError."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(answer)

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            seen = exchange()
            with pytest.raises(kind):
                await engine.send(request(server.url), seen)
            assert not seen.unsent

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_reset_before_the_answer_is_a_read_error(rig: Rig) -> None:
    """RST in place of an answer: ReadError, caused by the system's error."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.reset()

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            with pytest.raises(ReadError) as caught:
                await engine.send(request(server.url), exchange())
            assert isinstance(caught.value.__cause__, OSError)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_reset_that_the_write_heard_of_is_a_read_error_too(rig: Rig) -> None:
    """RST in the midst of an upload: the write meets it and the read finds a plain end, but a reset it was."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.reset()

    def chunks() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            with pytest.raises(ReadError, match="before an answer came") as caught:
                await engine.send(request(server.url, "POST", body=FactoryBody(chunks)), exchange())
            assert isinstance(caught.value.__cause__, ConnectionError)
            assert_clean(engine)

    with RawServer(handler) as server:
        rig.run(body, server)


@pytest.mark.parametrize(
    ("ending", "kind"), [("close", RemoteProtocolError), ("reset", ReadError), ("hang", ReadTimeout)]
)
def test_a_body_that_breaks_off_is_an_error_of_ours(rig: Rig, ending: str, kind: type[Exception]) -> None:
    """A body cut short by FIN, RST or silence fails as such, and gives its permit back."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        peer.read(1) if ending != "hang" else peer.silent()
        peer.reset() if ending == "reset" else peer.close()

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            response = await engine.send(request(server.url), exchange(read=0.5 if ending == "hang" else HANGS))
            stream = response.stream
            assert await anext(stream) == b"hello"
            if ending != "hang":
                next(iter(engine._busy)).backend.wire._sock.send(b"!")  # the server's cue
            with pytest.raises(kind):
                await anext(stream)
            assert_clean(engine)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_drip_ends_at_the_deadline(rig: Rig) -> None:
    """A body that drips faster than the read timeout ends at the deadline all the same, as DeadlineExceeded."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while peer.silent(0.02):
            peer.send(b"x")

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await read(await engine.send(request(server.url), exchange(deadline=0.3)))
            assert 0.29 < time.monotonic() - start < HANGS

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_head_that_drips_ends_at_the_deadline_too(rig: Rig) -> None:
    """Each byte of the head restarts the read timeout, none the deadline."""

    def handler(peer: Peer) -> None:
        peer.head()
        while peer.silent(0.02):
            peer.send(b"H")

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="wait"):
                await engine.send(request(server.url), exchange(deadline=0.2))
            assert 0.19 < time.monotonic() - start < HANGS

    with RawServer(handler) as server:
        rig.run(body, server)


def test_an_early_answer_to_a_broken_upload_is_read(rig: Rig, tmp_path: Path) -> None:
    """A server that answers 413 and closes in the midst of the upload is heard; the connection is not used again."""
    answered = threading.Event()
    path = str(tmp_path / "s")  # over TCP a reset would throw the answer away

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\n\r\n")
        peer.close()
        answered.set()

    def chunks() -> Iterator[bytes]:
        yield b"x"
        answered.wait(HANGS)
        yield b"y"
        yield b"z"

    async def body(server: RawServer) -> None:
        async with rig.engine(uds=path) as engine:
            response = await engine.send(request("http://api.test/", "POST", body=FactoryBody(chunks)), exchange())
            assert response.status_code == 413
            assert await read(response) == b""
            assert len(engine._stock) == 0

    with RawServer(handler, path=path) as server:
        rig.run(body, server)


def test_the_users_own_error_in_a_body_comes_out_as_it_is(rig: Rig) -> None:
    """What the body's iterator raises is the caller's business, not a network failure; the connection is dropped."""
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"a"
            raise LookupError("mine")
        finally:
            closed.append(True)

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            with pytest.raises(LookupError, match="mine"):
                await engine.send(request(server.url, "POST", body=FactoryBody(chunks)), exchange())
            assert closed == [True]
            assert_clean(engine)

    with RawServer() as server:
        rig.run(body, server)


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"body": FactoryBody(lambda: ["text"])}, "encode"),  # type: ignore[list-item]
        ({"body": BytesBody(b"abc"), "headers": Headers({"Content-Length": "5"})}, "leave it out"),
        ({"body": OneShotBody(iter([b"abc", b"def"]), 3)}, "Too much data"),
        ({"body": OneShotBody(iter([b"abc"]), 5)}, "Too little data"),
    ],
)
def test_a_body_that_cannot_be_sent_is_a_configuration_error(rig: Rig, parts: dict[str, Any], match: str) -> None:
    """Text in place of bytes, or a length that is not the body's."""
    if isinstance(parts["body"], OneShotBody):
        length = parts["body"].length
        parts = {"body": OneShotBody(iter([b"abc", b"def"][: 2 if length == 3 else 1]), length)}

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            with pytest.raises(ConfigurationError, match=match):
                await engine.send(request(server.url, "POST", **parts), exchange())
            assert_clean(engine)

    with RawServer() as server:
        rig.run(body, server)


def test_framing_that_the_caller_gave_is_left_alone(rig: Rig) -> None:
    """A Content-Length that is right, and Transfer-Encoding, are sent as they are, and not twice."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            given = Headers({"content-length": "3", "host": "other.test"})
            await fetch(engine, server.url, "POST", body=BytesBody(b"abc"), headers=given)
            chunked = Headers({"transfer-encoding": "chunked"})
            await fetch(engine, server.url, "POST", body=BytesBody(b"abc"), headers=chunked)

    with RawServer() as server:
        rig.run(body, server)
        assert sorted(server.heads[0].split(b"\r\n")[1:]) == [b"content-length: 3", b"host: other.test"]
        assert server.heads[1].lower().count(b"content-length") == 0


# ---------------------------------------------------------------------- limits, aborts, closing


def test_a_closed_engine_refuses(rig: Rig) -> None:
    """After aclose nothing is sent."""

    async def body() -> None:
        engine = rig.make()
        await engine.aclose()
        await engine.aclose()
        with pytest.raises(ClosedError, match="new client"):
            await engine.send(request("http://127.0.0.1/"), exchange())

    rig.run(body)


def test_closing_ends_what_is_on_the_wire(rig: Rig) -> None:
    """aclose wakes a body that is being read, in whatever way it waits."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        peer.silent()

    async def body(server: RawServer) -> None:
        engine = rig.make()
        response = await engine.send(request(server.url), exchange())
        assert await anext(response.stream) == b"hello"
        await engine.aclose()
        with pytest.raises(RemoteProtocolError):
            await anext(response.stream)
        assert_clean(engine)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_full_engine_makes_the_next_one_wait_no_longer_than_it_may(rig: Rig) -> None:
    """With the only connection in use: PoolTimeout after `pool` seconds, DeadlineExceeded at the deadline."""

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            held = await engine.send(request(server.url), exchange())
            seen = exchange(pool=0.05)
            with pytest.raises(PoolTimeout, match="raise max_connections"):
                await engine.send(request(server.url), seen)
            assert seen.unsent
            with pytest.raises(DeadlineExceeded):
                await engine.send(request(server.url), exchange(deadline=0.05))
            assert await read(held) == b"hello"
            await fetch(engine, server.url)

    with RawServer() as server:
        rig.run(body, server)


@pytest.mark.parametrize("stage", ["queued", "resolve", "connect", "wait", "read", "before"])
def test_an_abort_ends_the_exchange_at_once(rig: Rig, stage: str) -> None:
    """Aborted from another thread in whatever phase, the exchange ends as a ReadError, whatever its own limits are."""
    release = threading.Event()

    def handler(peer: Peer) -> None:
        peer.head()
        if stage in {"read", "queued"}:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        peer.silent()

    def resolver(host: str, port: int) -> list[tuple[str, int]]:
        if stage == "resolve":
            release.wait(HANGS)
        return silent.addresses if stage == "connect" else [("127.0.0.1", server.port)]

    async def body() -> None:
        async with rig.engine(resolver=resolver, max_connections=1) as engine:
            if stage == "queued":
                held = await engine.send(request("http://api.test/"), exchange())
            seen = exchange()
            if stage == "before":
                seen.abort()
            else:
                threading.Timer(0.1, seen.abort).start()
            with pytest.raises(ReadError, match="aborted"):
                await read(await engine.send(request("http://api.test/"), seen))
            if stage == "queued":
                await held.stream.aclose()
            assert_clean(engine)

    with RawServer(handler) as server, Silent() as silent:
        try:
            rig.run(body)
        finally:
            release.set()


def test_a_late_abort_hurts_nobody(rig: Rig) -> None:
    """Aborting an exchange that is over leaves its connection to the next one."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            first = exchange()
            await read(await engine.send(request(server.url), first))
            response = await engine.send(request(server.url), exchange())
            first.abort()
            assert await read(response) == b"hello"
            assert server.accepted == 1

    with RawServer() as server:
        rig.run(body, server)


def test_unix_sockets(rig: Rig, tmp_path: Path) -> None:
    """uds connects to a socket file, whatever the URL's host; one that is not there is a ConnectError."""

    async def body(server: RawServer) -> None:
        async with rig.engine(uds=str(tmp_path / "s")) as engine:
            assert (await fetch(engine, "http://api.test/x"))[1] == b"hello"
        async with rig.engine(uds=str(tmp_path / "nothing")) as engine:
            with pytest.raises(ConnectError, match="No such file"):
                await fetch(engine, "http://api.test/x")

    with RawServer(path=str(tmp_path / "s")) as server:
        rig.run(body, server)


def test_capabilities_say_which_face(rig: Rig) -> None:
    """Each face says what it serves; virtual time is what a real socket cannot do."""
    capabilities = rig.make().capabilities
    assert (Capability.SYNC in capabilities) == (rig.face == "sync")
    assert (Capability.TRIO in capabilities) == (rig.face == "async")
    assert Capability.VIRTUAL_TIME not in capabilities
    assert Capability.PROVES_UNSENT in capabilities
