"""TLS: served, and made to fail in each way that a client can tell apart."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from mockserver import MockServer
from rest_api_client import APIClient
from rest_api_client.exceptions import TLSError
from rest_api_client.script import Chunk, Close, End, Head, Reset, Script
from tests.mockserver.wire.conftest import Scripts, make_server
from tests.mockserver.wire.talking import Talk, connect, get, listen, whole
from tests.patience import HANGS

HEALTH = get(path="/health")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[MockServer]:
    tls = context_of(authority.issue_cert("localhost", "127.0.0.1"))
    with make_server(stubs=Scripts(), loop=request.param, tls=tls) as running:
        yield running
    assert not running.journal.counts["in_flight"]


def talk(
    server: MockServer,
    trust: ssl.SSLContext,
    request: bytes = HEALTH,
    until: Callable[[Talk], bool] | None = whole,
) -> Talk:
    with closing(connect(server.port, trust)) as sock:
        sock.sendall(request)
        return listen(sock, until)


def test_it_serves_tls(server: MockServer, trust: ssl.SSLContext) -> None:
    """The URL says so."""
    assert server.url == f"https://127.0.0.1:{server.port}"
    assert talk(server, trust).data.startswith(b"HTTP/1.1 200 OK")


def test_from_files(authority: trustme.CA, trust: ssl.SSLContext, tmp_path: Path) -> None:
    """One file with both, or two."""
    certificate = authority.issue_cert("localhost")
    both, key, chain = tmp_path / "both.pem", tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(both))
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    for tls in (both, str(both), (chain, key)):
        with make_server(tls=tls) as server:
            assert talk(server, trust).data.startswith(b"HTTP/1.1 200 OK")
    for wrong in (chain, tmp_path / "none.pem", (chain, both, key)):
        with pytest.raises(ValueError, match=r"tls=.*give"):
            MockServer(tls=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "error", "word"),
    [
        ("handshake_failure", ssl.SSLError, "HANDSHAKE_FAILURE"),
        ("internal_error", ssl.SSLError, "INTERNAL_ERROR"),
        ("plaintext", ssl.SSLError, "WRONG_VERSION|HTTP"),
        ("garbage", ssl.SSLError, "."),
        ("hello_close", ssl.SSLError, "EOF"),
        ("close", OSError, "EOF|reset"),
        ("hello_reset", ConnectionResetError, "reset"),
        ("reset", ConnectionResetError, "reset"),
        ("hello_silence", TimeoutError, "timed out"),
        ("silence", TimeoutError, "timed out"),
    ],
)
def test_a_handshake_fails_in_its_own_way(
    server: MockServer, trust: ssl.SSLContext, fault: str, error: type[Exception], word: str
) -> None:
    """Each for one connection; the next one stands."""
    server.gate.fail(fault, connections=1)  # type: ignore[arg-type]
    with pytest.raises(error, match=word):
        connect(server.port, trust, patience=0.08 if error is TimeoutError else HANGS)
    assert talk(server, trust).data


def test_certificates_that_must_not_be_believed(
    server: MockServer, authority: trustme.CA, trust: ssl.SSLContext
) -> None:
    """For another host, expired, signed by nobody known: the client refuses, and the gate hears it."""
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificates = {
        "match": authority.issue_cert("other.test"),
        "expired": authority.issue_cert("localhost", not_before=past, not_after=past + dt.timedelta(days=9)),
        "self-signed|local issuer": trustme.CA().issue_cert("localhost"),
    }
    for word, certificate in certificates.items():
        server.gate.present(context_of(certificate))
        with pytest.raises(ssl.SSLCertVerificationError, match=word):
            connect(server.port, trust)
        assert talk(server, trust).data
    # TLS 1.3: the alert comes when the server thinks the handshake done, so not every refusal is heard as one.
    assert all(isinstance(each, str) for each in server.gate.handshakes)


def test_our_client_refuses_them_too(server: MockServer, authority: trustme.CA, trust: ssl.SSLContext) -> None:
    """With a typed error, before anything of the request is sent."""
    requests = server.journal.counts["requests"]
    for fault in ("handshake_failure", "garbage", "plaintext", "hello_close"):
        server.gate.fail(fault, connections=1)
        with APIClient(base_url=server.url, verify=trust, max_retries=0) as client, pytest.raises(TLSError):
            client.get("/text")
    server.gate.present(context_of(authority.issue_cert("other.test")))
    with APIClient(base_url=server.url, verify=trust, max_retries=0) as client, pytest.raises(TLSError):
        client.get("/text")
    assert server.journal.counts["requests"] == requests


def test_faults_of_the_wire_within_tls(server: MockServer, trust: ssl.SSLContext) -> None:
    """The bytes are the same. A reset sends no close_notify, a close does."""
    stubs = server.stage.stubs
    assert isinstance(stubs, Scripts)
    stubs.by_path["/reset"] = Script(Head(200, (("content-length", "99"),)), Chunk(b"0123456789"), Reset())
    for request, end, body in (
        (get("reset_before"), "RST", b""),
        (get(path="/reset"), "RST", b"0123456789"),
        (get("truncate(after=4)"), "FIN", b"0123"),
        (get("extra_bytes"), "silence", b"0123456789HTTP/1.1 500 Surprise\r\ncontent-length: 0\r\n\r\n"),
        (get("stall_mid_body(after=4)"), "silence", b"0123"),
    ):

        def expected(met: Talk, end: str = end, body: bytes = body) -> bool:
            return (met.end, met.body) == (end, body)

        met = talk(server, trust, request, expected)
        assert (met.end, met.body) == (end, body)


def test_a_half_close_is_refused_within_tls(server: MockServer, trust: ssl.SSLContext) -> None:
    """The loops cannot do it: a 500 that says so."""
    met = talk(server, trust, get("half_close"))
    assert met.head.startswith(b"HTTP/1.1 500 ")
    assert b"half close" in met.body


def test_a_connection_given_back_goes_on_within_tls(server: MockServer, trust: ssl.SSLContext) -> None:
    """After an answer that was played past uvicorn."""
    with closing(connect(server.port, trust)) as sock:
        for fault, last in (
            ("extra_bytes", b"content-length: 0\r\n\r\n"),
            ("", b"0123456789"),
            ("length_and_chunked", b"\r\n0\r\n\r\n"),
        ):

            def expected(talk: Talk, last: bytes = last) -> bool:
                return talk.data.endswith(last)

            sock.sendall(get(fault))
            assert b"0123456789" in listen(sock, expected, quiet=0).data


def test_a_fault_of_tls_needs_tls() -> None:
    """A certificate too."""
    with pytest.raises(ValueError, match="tls="):
        MockServer().gate.present(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    """A key that is encrypted is refused when the server is made."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    issued = trustme.CA().issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(issued.cert_chain_pems[0].bytes() + key.private_bytes(*how))
    with pytest.raises(ValueError, match="not encrypted"):
        MockServer(tls=locked)


def test_a_big_answer_is_complete_before_its_reset(server: MockServer, trust: ssl.SSLContext) -> None:
    """TLS has buffers of its own between the script and the kernel."""
    stubs = server.stage.stubs
    assert isinstance(stubs, Scripts)
    big = bytes(1 << 20)
    stubs.by_path["/big"] = Script(Head(200, (("content-length", "9999999"),)), Chunk(big), Reset())
    met = talk(server, trust, get(path="/big"), None)
    assert (met.end, len(met.body)) == ("RST", len(big))
    stubs.by_path["/close"] = Script(Head(200, (("connection", "close"),)), Chunk(big), Close())
    assert len(talk(server, trust, get(path="/close"), None).body) == len(big)
    stubs.by_path["/end"] = Script(Head(200), Chunk(big), End())
    assert len(talk(server, trust, get(path="/end", connection="close"), None).body) == len(big)
