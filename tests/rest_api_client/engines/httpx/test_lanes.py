"""The small print of the httpx engines: passages, lanes, the stock, and what is left when something odd happens."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from rest_api_client.engines.httpx import lanes
from rest_api_client.engines.httpx.waits import ThreadWaits
from rest_api_client.engines.passage import Passage
from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    ReadError,
    RemoteProtocolError,
    TLSError,
)
from rest_api_client.http.urls import URL, Origin
from rest_api_client.runtime import Abort, Aborted, current_abort, run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from tests.rest_api_client.engines.httpx.http2 import H2Peer, speak
from tests.rest_api_client.engines.httpx.test_tls import Authority, authority
from tests.rest_api_client.engines.raw import OK, Peer, RawServer
from tests.rest_api_client.engines.rigs import Rig, assert_clean, exchange, fetch, read, request

__all__ = ["authority"]


def test_a_line_that_was_aborted_wakes_whoever_begins_to_wait() -> None:
    """No abort is missed between the look and the wait; a shared connection's own way to end goes first."""
    seen = exchange()
    passage = Passage(seen, SyncRuntime())
    calls: list[str] = []
    seen.abort()
    passage.hold(lambda: calls.append("wake"))
    passage.cancel_by(lambda: calls.append("cancel"))
    passage.hold(None)
    passage.cancel_by(None)
    assert calls == ["wake", "cancel", "cancel"]


def test_the_tightest_deadline_counts() -> None:
    """A sync `fail_after` round the call bounds the exchange as its own deadline does."""
    runtime = SyncRuntime()

    async def body() -> None:
        with runtime.fail_after(runtime.now() + 5):
            assert Passage(exchange(deadline=9), runtime).deadline == runtime.deadline()

    run_sync(body())


def test_a_sync_exchange_obeys_the_abort_of_its_thread() -> None:
    """The loser of a race, whose thread is told to end, ends on the wire at once; the winner's abort is forgotten."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.silent()

    async def body(server: RawServer) -> None:
        async with Rig("httpx", "sync").engine() as engine:
            abort = Abort()
            token = current_abort.set(abort)
            try:
                threading.Timer(0.05, abort.abort).start()
                with pytest.raises(Aborted):
                    await engine.send(request(server.url), exchange())
            finally:
                current_abort.reset(token)

    with RawServer(handler) as server:
        run_sync(body(server))


def test_a_target_that_the_library_would_rewrite_is_sent_as_it_is(rig: Rig) -> None:
    """Dot segments that came out of an encoded URL stay where they are."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            asked = request(server.url).replace(url=URL("http", "127.0.0.1", server.port, "/a/../b"))
            assert await read(await engine.send(asked, exchange())) == b"hello"

    with RawServer() as server:
        rig.run(body, server)
        assert server.heads[0].startswith(b"GET /a/../b HTTP/1.1")


def test_names_are_looked_up_by_the_system(rig: Rig) -> None:
    """localhost is found without a resolver of one's own."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            assert (await fetch(engine, f"http://localhost:{server.port}/"))[1] == b"hello"

    with RawServer() as server:
        rig.run(body, server)


def test_no_time_limit_means_none(rig: Rig) -> None:
    """With every timeout None and no deadline, everything still works."""

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=None) as engine:
            seen = exchange(connect=None, read=None, write=None, pool=None)
            assert await read(await engine.send(request(server.url), seen)) == b"hello"

    with RawServer() as server:
        rig.run(body, server)


def test_what_only_loading_can_tell_gives_the_permit_back(rig: Rig) -> None:
    """A CA file that is none: ConfigurationError at the first https request, and nothing is held."""

    async def body() -> None:
        async with rig.engine(verify=__file__) as engine:
            with pytest.raises(ConfigurationError, match="cannot be loaded"):
                await fetch(engine, "https://127.0.0.1:1/")
            assert_clean(engine)

    rig.run(body)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_who_waited_while_the_engine_was_closed_is_told(library: str) -> None:
    """Let in after the close, a waiter gets ClosedError, and gives its permit back."""
    rig = Rig("httpx", library)

    async def body(server: RawServer) -> None:
        engine = rig.make(max_connections=1)
        held = await engine.send(request(server.url), exchange())

        async def wait() -> None:
            with pytest.raises(ClosedError):
                await engine.send(request(server.url), exchange())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(0.02)
            await engine.aclose()
            await held.stream.aclose()
        assert_clean(engine)

    with RawServer() as server:
        rig.run(body, server)


def test_a_patched_librarys_odd_body_is_closed_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder's body with iterators of its own is closed half-read like any other."""
    package: Any = httpx if rig.flavour == "httpx" else httpx2
    closed: list[bool] = []

    class Chunks:
        def __init__(self) -> None:
            self._left = [b"a", b"b", b"c"]

        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> bytes:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop(0)

    class Odd(package.SyncByteStream, package.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b", b"c"])

        def __aiter__(self) -> AsyncIterator[bytes]:
            return Chunks()

        def close(self) -> None:
            closed.append(True)

        async def aclose(self) -> None:
            closed.append(True)

    async def handle_async(self: object, request: object) -> Any:
        return package.Response(200, stream=Odd())

    monkeypatch.setattr(
        package.HTTPTransport, "handle_request", lambda self, request: package.Response(200, stream=Odd())
    )
    monkeypatch.setattr(package.AsyncHTTPTransport, "handle_async_request", handle_async)

    async def body() -> None:
        async with rig.engine() as engine:
            response = await engine.send(request("http://a.test/"), exchange())
            assert await anext(response.stream) == b"a"
            await response.stream.aclose()
            assert closed == [True]

    rig.run(body)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("flavour", ["httpx", "httpx2"])
def test_an_async_bodys_own_error_comes_out_as_it_is(flavour: str, library: str) -> None:
    """What an async iterator raises is the caller's own; one without aclose needs none."""

    class Failing:
        length = None
        replayable = False

        def open(self) -> AsyncIterator[bytes]:
            return self

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            raise LookupError("mine")

    rig = Rig(flavour, library)

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            with pytest.raises(LookupError, match="mine"):
                await engine.send(request(server.url, "POST", body=Failing()), exchange())
            assert_clean(engine)

    with RawServer() as server:
        rig.run(body, server)


def test_a_torn_tls_session_is_a_read_error(rig: Rig, authority: Authority) -> None:
    """Bytes on a TLS connection that are no TLS: ReadError, with OpenSSL's word for it."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(OK[:-5])
        with open(os.dup(peer.sock.fileno()), "wb", buffering=0) as raw:
            raw.write(b"this is no TLS record at all, is it?")
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            with pytest.raises(ReadError, match="TLS session"):
                await fetch(engine, server.url)

    with RawServer(handler, tls=authority.server) as server:
        rig.run(body, server)


def test_a_reset_in_the_handshake_is_a_connect_error(rig: Rig) -> None:
    """RST in place of the server's hello."""

    def handler(peer: Peer) -> None:
        peer.sock.recv(10_000)
        peer.reset()

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=False) as engine:
            with pytest.raises(ConnectError, match="handshake"):
                await fetch(engine, f"https://127.0.0.1:{server.port}/")

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_handshake_without_common_ground_says_so(rig: Rig) -> None:
    """Neither certificate nor version is at fault: OpenSSL's reason is in the message."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate to show

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=False) as engine:
            with pytest.raises(TLSError, match=r"handshake with 127\.0\.0\.1 failed"):
                await fetch(engine, server.url)

    with RawServer(tls=context) as server:
        rig.run(body, server)


def test_a_refused_certificate_is_told_when_the_answer_is_awaited(rig: Rig, authority: Authority) -> None:
    """In TLS 1.3 the server's verdict comes after the handshake: still a TLSError, and it names the certificate."""

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            with pytest.raises(TLSError, match="client certificate"):
                await fetch(engine, server.url)

    with RawServer(tls=authority.strict) as server:
        rig.run(body, server)


def test_after_a_fork_everything_is_new(rig: Rig) -> None:
    """What the child does: idle and busy connections are let go, permits are new, later exchanges go well."""

    def handler(peer: Peer) -> None:
        while b"/held" not in (head := peer.head()) and head:
            peer.send(OK)
        peer.send(OK[:-5])
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=2) as engine:
            await fetch(engine, server.url)
            held = await engine.send(request(server.url + "/held"), exchange())
            await fetch(engine, server.url)
            assert (len(engine._stock), engine.gate.inside) == (1, 1)
            engine.after_fork()
            assert (len(engine._stock), engine.gate.inside) == (0, 0)
            with pytest.raises((ReadError, RemoteProtocolError)):
                await read(held)
            assert (await fetch(engine, server.url))[1] == b"hello"
            assert engine.gate.inside == 0

    with RawServer(handler) as server:
        rig.run(body, server)


def test_a_full_http2_connection_gets_a_second_one(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """More exchanges than streams on one connection: another is made, and both are kept."""
    monkeypatch.setattr(lanes, "MAX_STREAMS", 2)
    held: list[tuple[H2Peer, int]] = []

    def play(peer: H2Peer, stream: int, path: str) -> None:
        held.append((peer, stream))
        if len(held) == 3:
            for other, number in held:
                other.answer(number)

    async def body(server: RawServer) -> None:
        async with Rig("httpx", "asyncio").engine(verify=authority.ca, http2=True) as engine:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(fetch, engine, server.url)
            assert (server.accepted, len(engine._stock)) == (2, 2)

    with RawServer(speak(play), tls=authority.h2) as server:
        asyncio.run(body(server))


class Home:
    """A loop as the stock sees it."""

    closed = False

    def is_closed(self) -> bool:
        return self.closed


def shelved(home: Home, engine: Any, host: str = "a.test") -> lanes.Lane:
    """A lane of that loop that never connected."""
    key = lanes.LaneKey(Origin("http", host, 80), None, False)
    lane: lanes.Lane = engine.library.lane(key, home, ThreadWaits(), engine._options, None, None)
    return lane


def test_a_lane_whose_loop_was_collected_is_dropped() -> None:
    """Whether it lay in the stock or comes back to it."""
    engine, home = Rig("httpx", "asyncio").make(), Home()
    lane = shelved(home, engine)
    engine._stock.give_back(lane, 0.0)
    assert len(engine._stock) == 1
    del home
    assert len(engine._stock) == 0
    engine._stock.give_back(lane, 0.0)
    assert len(engine._stock) == 0
    assert engine._stock.release(lane, keep=True)


def test_the_stock_is_swept_when_it_is_used() -> None:
    """Lanes of any origin go when their time is up, lanes of a closed loop at once."""
    engine, home, other = Rig("httpx", "asyncio").make(keepalive_expiry=15), Home(), Home()
    old, young = shelved(home, engine), shelved(home, engine, "b.test")
    engine._stock.give_back(old, 0.0)
    engine._stock.give_back(young, 10.0)
    assert engine._stock.take(home, old.key, 15.0) is None
    assert len(engine._stock) == 1
    engine._stock.give_back(shelved(other, engine), 16.0)
    other.closed = True
    assert engine._stock.take(home, young.key, 17.0) is young
    assert len(engine._stock) == 0
    young.shut_down()
    young.abandon()


@pytest.mark.parametrize("polite", [True, False])
def test_a_session_that_ends_is_no_answer(rig: Rig, authority: Authority, polite: bool) -> None:
    """The end of TLS in place of an answer, said or not: RemoteProtocolError, as for a FIN."""

    def handler(peer: Peer) -> None:
        peer.head()
        assert isinstance(peer.sock, ssl.SSLSocket)
        if polite:
            peer.sock.unwrap()

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            with pytest.raises(RemoteProtocolError):
                await fetch(engine, server.url)

    with RawServer(handler, tls=authority.server) as server:
        rig.run(body, server)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_body_may_be_closed_while_it_is_read(library: str) -> None:
    """One task reads, another one closes: the reader is told, and everything is given back once."""
    rig = Rig("httpx", library)

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(OK[:-5])
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            response = await engine.send(request(server.url), exchange())

            async def reading() -> None:
                with pytest.raises(ReadError, match="aborted"):
                    await anext(response.stream)

            async with anyio.create_task_group() as group:
                group.start_soon(reading)
                await anyio.sleep(0.02)
                await response.stream.aclose()
            assert_clean(engine)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_the_last_address_may_be_the_silent_one(rig: Rig) -> None:
    """The reason told is a refusal, if there was one, else the silence."""

    class Impatient(ThreadWaits):
        async def writable(self, sock: object, seconds: float | None) -> bool:
            return False

    async def body() -> None:
        async with Rig(rig.flavour, "sync").engine() as engine:
            engine._waits = Impatient()
            with pytest.raises(ConnectTimeout, match="no answer"):
                await fetch(engine, "http://127.0.0.1:1/")

    with RawServer():
        run_sync(body())
