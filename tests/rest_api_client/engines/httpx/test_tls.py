"""TLS, client certificates and HTTP/2 under the httpx engines, with a certificate authority of our own."""

from __future__ import annotations

import importlib.util
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.tls import Trust
from rest_api_client.exceptions import (
    ConfigurationError,
    ConnectTimeout,
    DeadlineExceeded,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TLSError,
    TransportError,
)
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from tests.patience import HANGS
from tests.rest_api_client.engines.httpx.http2 import H2Peer, speak
from tests.rest_api_client.engines.raw import OK, Peer, RawServer
from tests.rest_api_client.engines.rigs import Rig, assert_clean, exchange, fetch, read, request


class Authority:
    """A CA, a server certificate for 127.0.0.1, and a client certificate."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        self.ca = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.ca)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)
        self.h2 = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self.h2)
        self.h2.set_alpn_protocols(["h2"])
        self.curious = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self.curious)
        ca.configure_trust(self.curious)
        self.curious.verify_mode = ssl.CERT_OPTIONAL
        self.strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self.strict)
        ca.configure_trust(self.strict)
        self.strict.verify_mode = ssl.CERT_REQUIRED
        client = ca.issue_cert("client@test")
        self.cert, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        client.cert_chain_pems[0].write_to_path(self.cert)
        client.private_key_pem.write_to_path(self.key)
        self.both = str(folder / "both.pem")
        client.private_key_and_cert_chain_pem.write_to_path(self.both)
        self.folder = folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_a_verified_connection_carries_and_is_reused(rig: Rig, authority: Authority) -> None:
    """With the CA given, https works, counts what it sends and keeps its connection."""

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            for _ in range(2):
                seen = exchange()
                assert await read(await engine.send(request(server.url, "POST", body=BytesBody(b"x" * 70_000)), seen))
                assert seen.bytes_sent >= 70_000
                assert seen.peer == f"127.0.0.1:{server.port}"
            assert server.accepted == 1

    with RawServer(tls=authority.server) as server:
        rig.run(body, server)


def test_an_unknown_authority_is_a_tls_error_that_says_what_to_do(rig: Rig, authority: Authority) -> None:
    """A certificate nobody vouches for, or for another name: TLSError, nothing sent; verify=False takes it."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            seen = exchange()
            with pytest.raises(TLSError, match=r"verify=") as caught:
                await engine.send(request(server.url), seen)
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            assert seen.unsent
        async with rig.engine(verify=authority.ca, resolver=lambda host, port: [("127.0.0.1", port)]) as engine:
            with pytest.raises(TLSError, match=r"other\.test"):
                await fetch(engine, f"https://other.test:{server.port}/")
        async with rig.engine(verify=False) as engine:
            assert (await fetch(engine, server.url))[1] == b"hello"

    with RawServer(tls=authority.server) as server:
        rig.run(body, server)


def test_a_handshake_that_goes_wrong_is_told_apart(rig: Rig, authority: Authority) -> None:
    """Plain http on the port, a hang-up, silence: two TLS errors with a reason, and a ConnectTimeout."""

    def plain(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.silent()

    def gone(peer: Peer) -> None:
        peer.sock.recv(10_000)

    def silent(peer: Peer) -> None:
        peer.wait_for_end()

    async def body(server: RawServer, kind: type[Exception], match: str) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            seen = exchange(connect=0.2 if kind is ConnectTimeout else HANGS)
            with pytest.raises(kind, match=match):
                await engine.send(request(f"https://127.0.0.1:{server.port}/"), seen)
            assert seen.unsent
            assert seen.phase == "tls"

    for handler, kind, match in [
        (plain, TLSError, "http"),
        (gone, TLSError, "hung up"),
        (silent, ConnectTimeout, r"0\.2 s"),
    ]:
        with RawServer(handler) as server:
            rig.run(body, server, kind, match)


def test_a_drip_over_tls_ends_at_the_deadline(rig: Rig, authority: Authority) -> None:
    """The deadline holds inside TLS too."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while peer.silent(0.02):
            peer.send(b"x")

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await read(await engine.send(request(server.url), exchange(deadline=0.3)))
            assert 0.29 < time.monotonic() - start < HANGS

    with RawServer(handler, tls=authority.server) as server:
        rig.run(body, server)


def test_the_client_certificate_is_shown_at_home_only(rig: Rig, authority: Authority) -> None:
    """Shown to origins that credentials belong to; to others never, not even over a connection made for home."""
    shown: list[bool] = []

    def handler(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        while peer.request()[0]:
            shown.append(peer.sock.getpeercert() not in (None, {}))
            peer.send(OK)

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, cert=(authority.cert, authority.key)) as engine:
            url = URL.parse(server.url)
            at_home = Request(method="GET", url=url, home=frozenset({url.origin}))
            for asked in (at_home, Request(method="GET", url=url), at_home):
                await read(await engine.send(asked, exchange()))

    with RawServer(handler, tls=authority.curious) as server:
        rig.run(body, server)
        assert server.accepted == 2
    assert shown == [True, False, True]


def test_a_server_that_demands_a_certificate_says_so_after_the_handshake(rig: Rig, authority: Authority) -> None:
    """In TLS 1.3 the refusal comes in place of the answer; it is told as a TLSError or a broken connection."""

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca) as engine:
            with pytest.raises(TransportError):
                await fetch(engine, server.url)
        async with rig.engine(verify=authority.ca, cert=authority.both) as engine:
            url = URL.parse(server.url)
            asked = Request(method="GET", url=url, home=frozenset({url.origin}))
            assert await read(await engine.send(asked, exchange())) == b"hello"

    with RawServer(tls=authority.strict) as server:
        rig.run(body, server)


# ---------------------------------------------------------------------- contexts


def trust(**options: Any) -> Trust:
    return Trust(ConnectionOptions(**options), {})


def test_no_context_is_made_before_the_first_https_connection(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that only speaks http never builds a TLS context."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a TLS context was made")

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            await fetch(engine, server.url)

    with RawServer() as server:
        monkeypatch.setattr(ssl.SSLContext, "__new__", never)
        rig.run(body, server)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"verify": "/no/such/ca.pem"}, "verify="),
        ({"verify": Path("/no/such/folder")}, "verify="),
        ({"cert": "/no/such/cert.pem"}, "cert="),
        ({"cert": (__file__, "/no/such/key.pem")}, "key.pem"),
        ({"cert": __file__, "verify": ssl.create_default_context()}, "exclude each other"),
    ],
)
def test_paths_are_checked_when_the_engine_is_made(options: dict[str, Any], match: str) -> None:
    """A file that is not there, or options that exclude each other, are refused at once."""
    with pytest.raises(ConfigurationError, match=match):
        trust(**options)


def test_files_that_are_no_certificates_are_refused_when_first_needed(authority: Authority) -> None:
    """What only loading can tell is a ConfigurationError with the reason."""
    with pytest.raises(ConfigurationError, match=r"verify="):
        trust(verify=__file__).context(at_home=True)
    with pytest.raises(ConfigurationError, match="cert="):
        trust(cert=(authority.cert, authority.ca)).context(at_home=True)


def test_every_kind_of_trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """True, a file, a folder, a context, the system's store with and without truststore, and none at all."""
    assert trust().context(at_home=True).verify_mode == ssl.CERT_REQUIRED
    assert trust(verify=authority.ca).context(at_home=True).get_ca_certs()
    assert trust(verify=str(authority.folder)).context(at_home=True).check_hostname
    own = ssl.create_default_context()
    assert trust(verify=own).context(at_home=False) is own
    assert not trust(verify=False).context(at_home=True).check_hostname
    assert type(trust(verify="system").context(at_home=True)).__module__.startswith("truststore")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert type(trust(verify="system").context(at_home=True)) is ssl.SSLContext
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigurationError, match="truststore"):
        trust(verify="system")


def test_the_environment_names_certificates_where_it_is_trusted(authority: Authority) -> None:
    """SSL_CERT_FILE, then SSL_CERT_DIR, replace certifi's CAs; with trust_env=False, or verify given, they do not."""
    options = ConnectionOptions()
    assert len(Trust(options, {"SSL_CERT_FILE": authority.ca}).context(at_home=True).get_ca_certs()) == 1
    assert Trust(options, {"SSL_CERT_DIR": str(authority.folder)}).context(at_home=True).check_hostname
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        Trust(options, {"SSL_CERT_FILE": "/no/such"})
    assert Trust(ConnectionOptions(trust_env=False), {"SSL_CERT_FILE": "/no/such"})
    assert Trust(ConnectionOptions(verify=False), {"SSL_CERT_FILE": "/no/such"})


# ---------------------------------------------------------------------- HTTP/2


def test_http2_is_spoken_where_both_ends_can(rig: Rig, authority: Authority) -> None:
    """ALPN decides; target, body and status travel, and the preface alone does not count as sent."""

    def play(peer: H2Peer, stream: int, path: str) -> None:
        peer.answer(stream, path.encode())

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            seen = exchange()
            response = await engine.send(request(server.url + "/a?b", "POST", body=BytesBody(b"abc")), seen)
            assert (response.http_version, response.reason) == ("HTTP/2", "")
            assert await read(response) == b"/a?b"
            assert seen.bytes_sent > 0
            assert (await fetch(engine, server.url + "/again"))[1] == b"/again"
            assert server.accepted == 1

    with RawServer(speak(play), tls=authority.h2) as server:
        rig.run(body, server)


def test_a_server_without_http2_is_spoken_to_in_http1(rig: Rig, authority: Authority) -> None:
    """Offered and not taken up: HTTP/1.1, also for many at once."""

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            response, _ = await fetch(engine, server.url)
            assert response.http_version == "HTTP/1.1"
            if rig.face == "async":
                async with anyio.create_task_group() as group:
                    for _ in range(5):
                        group.start_soon(fetch, engine, server.url)

    with RawServer(tls=authority.server) as server:
        rig.run(body, server)


def test_a_refused_stream_is_proved_unprocessed(rig: Rig, authority: Authority) -> None:
    """T17: REFUSED_STREAM, and GOAWAY that names no stream, prove it; another reset proves nothing."""

    def play(peer: H2Peer, stream: int, path: str) -> None:
        if path == "/goaway":
            peer.h2.close_connection(last_stream_id=0)
        else:
            peer.h2.reset_stream(stream, error_code=int(path[1:]))

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            for path, refused in [("/7", True), ("/2", False), ("/goaway", True)]:
                seen = exchange()
                with pytest.raises(RemoteProtocolError):
                    await engine.send(request(server.url + path), seen)
                assert seen.refused is refused
                assert seen.unsent is refused

    with RawServer(speak(play), tls=authority.h2) as server:
        rig.run(body, server)


def test_http2_obeys_deadline_timeouts_and_aborts(rig: Rig, authority: Authority) -> None:
    """Silence on a stream ends at the read timeout, at the deadline, or when aborted."""

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            with pytest.raises(ReadTimeout):
                await engine.send(request(server.url), exchange(read=0.1))
            with pytest.raises(DeadlineExceeded):
                await engine.send(request(server.url), exchange(deadline=0.1))
            seen = exchange()
            threading.Timer(0.1, seen.abort).start()
            with pytest.raises(ReadError, match="aborted"):
                await engine.send(request(server.url), seen)
            seen = exchange()
            seen.abort()
            with pytest.raises(ReadError, match="aborted"):
                await engine.send(request(server.url), seen)
            assert_clean(engine)

    with RawServer(speak(lambda peer, stream, path: None), tls=authority.h2) as server:
        rig.run(body, server)


@pytest.mark.parametrize("ending", ["abort", "deadline", "timeout", "cancel", "close"])
def test_one_stream_ends_and_the_others_go_on(rig: Rig, authority: Authority, ending: str) -> None:
    """Aborted, late or cancelled, one exchange leaves the shared connection to the others, which end well."""
    if rig.face == "sync":
        pytest.skip("threads do not share HTTP/2 connections")
    waiting: list[tuple[H2Peer, int]] = []

    def play(peer: H2Peer, stream: int, path: str) -> None:
        if path == "/last":
            for other, number in waiting:
                other.answer(number)
        if path == "/half":
            peer.answer(stream, b"half", end=False)
        elif path == "/wait":
            waiting.append((peer, stream))
        elif path != "/never":
            peer.answer(stream)

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            done: list[bytes] = []

            async def wait() -> None:
                done.append((await fetch(engine, server.url + "/wait"))[1])

            async def end() -> None:
                path = "/half" if ending == "close" else "/never"
                seen = exchange(
                    deadline=0.1 if ending == "deadline" else None, read=0.1 if ending == "timeout" else None
                )
                if ending == "abort":
                    threading.Timer(0.1, seen.abort).start()
                with anyio.move_on_after(0.1 if ending == "cancel" else HANGS):
                    try:
                        response = await engine.send(request(server.url + path), seen)
                        await anext(response.stream)
                        await response.stream.aclose()
                    except (ReadError, DeadlineExceeded, ReadTimeout):
                        assert ending not in {"cancel", "close"}

            await fetch(engine, server.url + "/first")
            async with anyio.create_task_group() as group:
                group.start_soon(end)  # the reader of the connection, since it asks first
                for _ in range(3):
                    group.start_soon(wait)
                with anyio.fail_after(HANGS):
                    while len(waiting) < 3:  # noqa: ASYNC110  a server's thread fills it
                        await anyio.sleep(0.01)
                await anyio.sleep(0.15)
                await fetch(engine, server.url + "/last")
            assert done == [b"hello"] * 3
            assert_clean(engine)
            assert len({id(peer) for peer, _ in waiting}) == 1

    with RawServer(speak(play), tls=authority.h2) as server:
        rig.run(body, server)


def test_those_who_come_together_share_one_connection(rig: Rig, authority: Authority) -> None:
    """Twenty exchanges at once, none made before: the first connects, the others follow on its connection."""
    if rig.face == "sync":
        pytest.skip("threads do not share HTTP/2 connections")

    async def body(server: RawServer) -> None:
        async with rig.engine(verify=authority.ca, http2=True) as engine:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(fetch, engine, server.url)
            assert server.accepted == 1

    with RawServer(speak(lambda peer, stream, path: peer.answer(stream)), tls=authority.h2) as server:
        rig.run(body, server)


def test_followers_are_let_go_when_the_first_one_fails(rig: Rig, authority: Authority) -> None:
    """The one that connects is turned away: the next one tries."""
    if rig.face == "sync":
        pytest.skip("threads do not share HTTP/2 connections")
    calls: list[Peer] = []

    def handler(peer: Peer) -> None:
        calls.append(peer)
        if len(calls) == 1:
            peer.sock.recv(10_000)
            return
        peer.start_tls(authority.h2)
        speak(lambda peer, stream, path: peer.answer(stream))(peer)

    async def body(server: RawServer) -> None:
        failed: list[Exception] = []
        async with rig.engine(verify=authority.ca, http2=True) as engine:

            async def call() -> None:
                try:
                    await fetch(engine, f"https://127.0.0.1:{server.port}/")
                except TLSError as error:
                    failed.append(error)

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(call)
            assert (len(failed), server.accepted) == (1, 2)

    with RawServer(handler) as server:
        rig.run(body, server)


def test_http2_needs_its_extra(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without h2 the option is refused, and the message names the extra."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"rest-api-client-kit\[http2\]"):
        rig.make(http2=True)
