"""On the wire: whatever bytes a server sends end in a Response or in an exception of our own tree.

And in nothing worse: no hang, no foreign exception, no bytes of one answer in the next, no connection or permit lost.
"""

from __future__ import annotations

import gzip
import ssl
import threading
import zlib
from collections.abc import Callable
from typing import Any, Literal

import brotli  # type: ignore[import-untyped]
import pytest
import trustme
import zstandard

from rest_api_client import APIError, BodyLimits, ReadError, RemoteProtocolError, ResponseTooLarge, Timeouts
from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell, stream, under_way
from tests.wire import Connection, Received, Server, each

TEXT = "Grüße, 世界. ".encode() * 5_000


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODED: dict[str, tuple[str, bytes]] = {
    "identity": ("identity", TEXT),
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "gzip in two members": ("gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:])),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", _raw_deflate(TEXT)),
    "br": ("br", brotli.compress(TEXT)),
    "zstd": ("zstd", zstandard.compress(TEXT)),
    "gzip over br": ("br, gzip", gzip.compress(brotli.compress(TEXT))),
}


def chunked(data: bytes, size: int) -> bytes:
    """A body in chunks."""
    pieces = [data[n : n + size] for n in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def few_connections(cell: Cell, server: Server) -> bool:
    """Whether connections were used again: pyreqwest takes one back a moment after the body's end, the others at it."""
    return server.accepted == 1 if cell.engine != "pyreqwest" else server.accepted < len(server.requests)


@every_cell
def test_every_encoding_is_decoded_alike(cell: Cell) -> None:
    """We decode for all engines: by length, in chunks, and streamed; the fields still say what came."""

    def answer(connection: Connection, request: Received) -> None:
        encoding, data = ENCODED[request.headers["x-case"]]
        if request.target == "/chunked":
            connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: ")
            connection.send(encoding.encode() + b"\r\n\r\n" + chunked(data, 777))
        else:
            connection.answer(200, data, content_encoding=encoding)

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            for name, (encoding, _) in ENCODED.items():
                for path in ("/sized", "/chunked"):
                    response = await client.get(path, headers={"x-case": name})
                    assert response.content == TEXT, name
                    assert response.headers["content-encoding"] == encoding
                    async with stream(client, "GET", path, headers={"x-case": name}) as streamed:
                        assert await streamed.read() == TEXT, name

    with Server(each(answer)) as server:
        cell.run(body)
    assert few_connections(cell, server)


@every_cell
def test_a_small_body_is_refused_where_the_limit_is_smaller(cell: Cell) -> None:
    """One that comes with its head is measured like any other."""

    async def body() -> None:
        async with cell.client(base_url=server.url, limits=BodyLimits(max_decoded_bytes=10)) as client:
            with pytest.raises(ResponseTooLarge, match="10") as caught:
                await client.get("/")
            assert caught.value.response.status_code == 200
            assert (await client.get("/fine")).content == b"ten bytes."

    with Server(each(lambda c, r: c.answer(200, b"ten bytes." if r.target == "/fine" else b"eleven byte"))) as server:
        cell.run(body)


@every_cell
@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_refused_with_little_of_it_decoded(cell: Cell, name: str) -> None:
    """T23: 32 MiB of zeros in a few KB; buffered or streamed, no more than the limit is ever given out."""
    zeros = bytes(32 << 20)
    make: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": lambda data: brotli.compress(data, quality=1),
        "zstd": zstandard.compress,
    }
    bomb = _bombs.setdefault(name, make[name](zeros))
    limits = BodyLimits(max_decoded_bytes=1 << 20, ratio_after=1 << 20)

    async def body() -> None:
        async with cell.client(base_url=server.url, limits=limits, max_connections=1) as client:
            with pytest.raises(ResponseTooLarge) as caught:
                await client.get("/")
            assert len(caught.value.attempts) == 1
            got = 0
            with pytest.raises(ResponseTooLarge, match="bomb"):  # noqa: PT012  which of its lines raises is the point
                async with stream(client, "GET", "/") as response:
                    async for chunk in response.chunks():
                        got += len(chunk)
            assert got <= max(1 << 20, 200 * len(bomb))
            assert (await client.get("/fine")).content == b"fine"

    with Server(
        each(lambda c, r: c.answer(200, b"fine") if r.target == "/fine" else c.answer(200, bomb, content_encoding=name))
    ) as server:
        cell.run(body)


_bombs: dict[str, bytes] = {}


# Hostile answers -------------------------------------------------------------------------------------------------

Outcome = Literal["answer", "error", "either"]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
PLAIN = OK + b"content-length: 4\r\n\r\nbody"
MANY = b"".join(b"x-%d: v\r\n" % n for n in range(2_000))

HOSTILE: dict[str, tuple[Outcome, bytes]] = {
    # Nothing much
    "nothing": ("error", b""),
    "line ends": ("error", b"\r\n\r\n"),
    "half a status line": ("error", b"HTTP/1.1 2"),
    "half a head": ("error", OK + b"content-length: 4\r\n"),
    "no HTTP": ("error", b"SSH-2.0-OpenSSH_9.7\r\n"),
    "TLS alert": ("error", b"\x15\x03\x01\x00\x02\x02\x0a"),
    "HTTP/0.9": ("error", b"<html>hello</html>\r\n\r\n"),
    "HTTP/2 preface": ("error", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    "NULs": ("error", bytes(500)),
    # Status lines
    "no reason": ("answer", b"HTTP/1.1 200\r\ncontent-length: 4\r\n\r\nbody"),
    "empty reason": ("answer", b"HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\nbody"),
    "latin reason": ("either", b"HTTP/1.1 200 Sch\xf6n\r\ncontent-length: 4\r\n\r\nbody"),
    "status 99": ("error", b"HTTP/1.1 99 Low\r\n\r\n"),
    "status 000": ("error", b"HTTP/1.1 000 Zero\r\n\r\n"),
    "status 999": ("either", b"HTTP/1.1 999 High\r\ncontent-length: 0\r\n\r\n"),
    "status 2000": ("error", b"HTTP/1.1 2000 Long\r\n\r\n"),
    "status abc": ("error", b"HTTP/1.1 abc What\r\n\r\n"),
    "HTTP/3.7": ("either", b"HTTP/3.7 200 OK\r\ncontent-length: 4\r\n\r\nbody"),
    "line feeds": ("either", PLAIN.replace(b"\r\n", b"\n")),
    # Informational
    "100 first": ("answer", b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN),
    "103 first": ("answer", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + PLAIN),
    "100 many times": ("either", b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + PLAIN),
    "100 and no more": ("error", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "101 unasked": ("either", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw"),
    # Length
    "HTTP/1.0 to the end": ("answer", b"HTTP/1.0 200 OK\r\n\r\nbody"),
    "to the end": ("answer", OK + b"\r\nbody"),
    "length 0": ("answer", OK + b"content-length: 0\r\n\r\n"),
    "too short": ("either", OK + b"content-length: 4\r\n\r\nbody and more"),
    "too long": ("error", OK + b"content-length: 400\r\n\r\nbody"),
    "negative": ("error", OK + b"content-length: -4\r\n\r\nbody"),
    "signed": ("error", OK + b"content-length: +4\r\n\r\nbody"),
    "no number": ("error", OK + b"content-length: four\r\n\r\nbody"),
    "beyond 64 bits": ("error", OK + b"content-length: 99999999999999999999999\r\n\r\nbody"),
    "twice the same": ("either", OK + b"content-length: 4\r\ncontent-length: 4\r\n\r\nbody"),
    "twice, unequal": ("error", OK + b"content-length: 4\r\ncontent-length: 2\r\n\r\nbody"),
    "204 with a body": ("either", b"HTTP/1.1 204 No\r\ncontent-length: 4\r\n\r\nbody"),
    "304 with a body": ("either", b"HTTP/1.1 304 No\r\ncontent-length: 4\r\n\r\nbody"),
    # Chunks
    "chunks": ("answer", CHUNKED + b"\r\n4\r\nbody\r\n0\r\n\r\n"),
    "no chunks": ("answer", CHUNKED + b"\r\n0\r\n\r\n"),
    "trailers": ("answer", CHUNKED + b"\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n"),
    "many trailers": ("either", CHUNKED + b"\r\n4\r\nbody\r\n0\r\n" + MANY + b"\r\n"),
    "chunk of no size": ("error", CHUNKED + b"\r\nzz\r\nbody\r\n0\r\n\r\n"),
    "negative chunk": ("error", CHUNKED + b"\r\n-4\r\nbody\r\n0\r\n\r\n"),
    "huge chunk": ("error", CHUNKED + b"\r\nffffffffffffffffff\r\nbody\r\n0\r\n\r\n"),
    "cut chunk": ("error", CHUNKED + b"\r\n400\r\nbody"),
    "no last chunk": ("error", CHUNKED + b"\r\n4\r\nbody\r\n"),
    "chunk without end": ("error", CHUNKED + b"\r\n4\r\nbodyXX0\r\n\r\n"),
    "endless extension": ("either", CHUNKED + b"\r\n4;" + b"x" * 100_000 + b"\r\nbody\r\n0\r\n\r\n"),
    "chunks and length": ("either", CHUNKED + b"content-length: 9\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
    "unknown transfer": ("either", OK + b"transfer-encoding: cow\r\n\r\nbody"),
    # Fields
    "no colon": ("error", OK + b"nonsense\r\ncontent-length: 4\r\n\r\nbody"),
    "space before colon": ("either", OK + b"content-length : 4\r\n\r\nbody"),
    "no name": ("error", OK + b": value\r\ncontent-length: 4\r\n\r\nbody"),
    "folded": ("either", OK + b"x-a: one\r\n two\r\ncontent-length: 4\r\n\r\nbody"),
    "NUL in a value": ("error", OK + b"x-a: one\x00two\r\ncontent-length: 4\r\n\r\nbody"),
    "latin value": ("either", OK + b"x-a: Sch\xf6n\r\ncontent-length: 4\r\n\r\nbody"),
    "100 fields": ("answer", OK + b"".join(b"x-%d: v\r\n" % n for n in range(99)) + b"content-length: 4\r\n\r\nbody"),
    "101 fields": ("error", OK + b"".join(b"x-%d: v\r\n" % n for n in range(100)) + b"content-length: 4\r\n\r\nbody"),
    "2000 fields": ("error", OK + MANY + b"content-length: 4\r\n\r\nbody"),
    "60 KB in a field": ("answer", OK + b"x-a: " + b"v" * 60_000 + b"\r\ncontent-length: 4\r\n\r\nbody"),
    "70 KB in a field": ("error", OK + b"x-a: " + b"v" * 70_000 + b"\r\ncontent-length: 4\r\n\r\nbody"),
    "a megabyte of field": ("error", OK + b"x-a: " + b"v" * (1 << 20) + b"\r\ncontent-length: 4\r\n\r\nbody"),
    "many cookies": ("answer", OK + b"set-cookie: a=b\r\n" * 90 + b"content-length: 4\r\n\r\nbody"),
    # Encodings
    "no gzip": ("error", OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nbody"),
    "half a gzip": ("error", OK + b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + gzip.compress(TEXT)[:20]),
    "gzip of nothing": ("answer", OK + b"content-encoding: gzip\r\ncontent-length: 0\r\n\r\n"),
    "6 encodings": ("error", OK + b"content-encoding: " + b"gzip, " * 5 + b"gzip\r\ncontent-length: 4\r\n\r\nbody"),
    "unknown encoding": ("answer", OK + b"content-encoding: cow\r\ncontent-length: 4\r\n\r\nbody"),
}  # fmt: skip

_SPLIT = 3_000
"""Bytes sent one by one; what follows comes whole."""


def whole(connection: Connection, data: bytes) -> None:
    """All at once."""
    connection.send(data)


def byte_by_byte(connection: Connection, data: bytes) -> None:
    """Every byte in a segment of its own."""
    connection.send_slowly(data[:_SPLIT])
    connection.send(data[_SPLIT:])


@every_cell
@pytest.mark.parametrize("send", [whole, byte_by_byte])
def test_any_bytes_end_in_an_answer_or_in_an_error_of_ours(
    cell: Cell, send: Callable[[Connection, bytes], None]
) -> None:
    """Some sixty hostile answers, each followed by a normal call over the same, only connection slot."""

    def answer(connection: Connection, request: Received) -> None:
        if "x-case" not in request.headers:
            return connection.answer(200, b"fine")
        send(connection, HOSTILE[request.headers["x-case"]][1])
        return connection.finish()

    found: dict[str, str] = {}

    async def body() -> None:
        async with cell.client(
            base_url=server.url, max_connections=1, retries=0, timeout=Timeouts(read=HANGS), raise_for_status=False
        ) as client:
            for name in HOSTILE:
                try:
                    response = await client.get("/", headers={"x-case": name})
                except APIError as error:
                    found[name] = "error" if error.request is not None else "error without its request"
                else:
                    found[name] = "answer"
                    assert response.content in {b"body", b"", b"raw"}, name
                assert under_way(client) == 0, name
                assert server.connections[-1].finished.wait(HANGS), name
                assert (await client.get("/", max_retries=2)).content == b"fine", name

    with Server(each(answer)) as server:
        cell.run(body)
    wrong = {name: found[name] for name, (expected, _) in HOSTILE.items() if expected not in {"either", found[name]}}
    assert wrong == {}


EXTRA = OK + b"content-length: 6\r\n\r\npoison"


@every_cell
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("when", ["at once", "in one segment", "while idle"])
def test_bytes_behind_an_answer_never_become_the_next_one(
    cell: Cell, when: str, tls: bool, certified: tuple[ssl.SSLContext, str]
) -> None:
    """A server that says more than it was asked cannot choose what the next caller reads."""
    asked, said = threading.Event(), threading.Event()
    context, ca = certified

    def answer(connection: Connection, request: Received) -> None:
        if request.target != "/more":
            return connection.answer(200, b"fine")
        if when == "at once":
            connection.send(PLAIN + EXTRA)
        elif when == "in one segment":
            connection.send_together(PLAIN, EXTRA)
        else:
            connection.send(PLAIN)
            asked.wait(HANGS)
            connection.send(EXTRA)
            if cell.engine == "pyreqwest":  # it looks when its own thread is woken, the others when they send
                assert connection.read() is None
        return said.set()

    async def body() -> None:
        async with cell.client(base_url=server.at("localhost"), max_connections=1, verify=ca) as client:
            for _ in range(3):
                assert (await client.get("/more")).content == b"body"
                asked.set()
                assert said.wait(HANGS)
                assert (await client.get("/")).content == b"fine"
                asked.clear()
                said.clear()

    with Server(each(answer), tls=context if tls else None) as server:
        cell.run(body)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's context for localhost, and the path of its CA."""
    ca, path = trustme.CA(), tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return context, str(path)


@pytest.fixture(autouse=True)
def _no_certificates_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


# Bodies that are not there, or not wanted ------------------------------------------------------------------------


@every_cell
def test_an_answer_without_a_body_leaves_the_connection_whole(cell: Cell) -> None:
    """HEAD with a length, 204, 304 and empty bodies: nothing is waited for, and the next call uses the connection."""

    def answer(connection: Connection, request: Received) -> None:
        if request.method == "HEAD":
            connection.send(OK + b"content-length: 1000\r\ncontent-encoding: gzip\r\n\r\n")
        elif request.target in {"/204", "/304"}:
            connection.send(b"HTTP/1.1 %s None\r\ncontent-encoding: br\r\n\r\n" % request.target[1:].encode())
        else:
            connection.answer(200, b"", content_encoding="zstd")

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            assert (await client.head("/")).headers["content-length"] == "1000"
            for path in ("/204", "/304", "/200"):
                response = await client.get(path)
                assert response.content == b""
            assert (await client.head("/")).data is None

    with Server(each(answer)) as server:
        cell.run(body)
    assert few_connections(cell, server)


@every_cell
def test_a_stream_that_is_left_early_is_dropped(cell: Cell) -> None:
    """The connection closes at once, as the server sees, and its permit is free for the next call."""
    gone = threading.Event()

    def answer(connection: Connection, request: Received) -> None:
        if request.target == "/":
            return connection.answer(200, b"fine")
        connection.send(OK + b"content-length: 1000000\r\n\r\nsome")
        connection.silence()
        return gone.set()

    async def body() -> None:
        async with cell.client(base_url=server.url, max_connections=1) as client:
            async with stream(client, "GET", "/long") as response:
                assert await anext(response.chunks()) == b"some"
            assert under_way(client) == 0
            assert (await client.get("/")).content == b"fine"
            assert gone.wait(HANGS)

    with Server(each(answer)) as server:
        cell.run(body)
    assert server.accepted == 2


@every_cell
def test_a_stream_that_breaks_off_says_so(cell: Cell) -> None:
    """What was read was read; then comes an error, not a short body."""

    def answer(connection: Connection, request: Received) -> None:
        connection.send(OK + b"content-length: 1000000\r\n\r\nsome")
        (connection.reset if request.target == "/reset" else connection.finish)()

    async def read(client: Any, path: str, kind: type[APIError]) -> None:
        with pytest.raises(kind):  # a reset may overtake the bytes before it
            async with stream(client, "GET", path) as response:
                await response.read()
        assert under_way(client) == 0

    async def body() -> None:
        async with cell.client(base_url=server.url, retries=0) as client:
            await read(client, "/finish", RemoteProtocolError)
            await read(client, "/reset", ReadError)

    with Server(each(answer)) as server:
        cell.run(body)


@every_cell
def test_a_body_that_breaks_off_is_an_attempt_that_failed(cell: Cell) -> None:
    """A buffered call reads inside the attempt, so that a GET whose body breaks off is made again."""

    def answer(connection: Connection, request: Received) -> None:
        if connection.number > 1:
            return connection.answer(200, b"whole")
        connection.send(OK + b"content-length: 5\r\n\r\nwho")
        return connection.finish()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            response = await client.get("/")
            assert response.content == b"whole"
            assert [attempt.error for attempt in response.attempts] == ["RemoteProtocolError"] * 2 + [None]

    with Server(each(answer)) as server:
        cell.run(body)


@every_cell
def test_limits_of_the_head_can_be_raised(cell: Cell) -> None:
    """Who expects large heads says so; what the engine itself cannot take stays an error of ours."""
    limits = BodyLimits(max_headers=None, max_header_bytes=None)

    async def body() -> None:
        async with cell.client(base_url=server.url, retries=0) as client:
            with pytest.raises(ResponseTooLarge, match=r"70000 bytes, more than 65536.*max_header_bytes") as caught:
                await client.get("/")
            assert caught.value.response is not None
        async with cell.client(base_url=server.url, limits=limits) as client:
            assert len((await client.get("/")).headers["x-a"]) == 70_000 - 18

    head = b"x-a: " + b"v" * (70_000 - 18) + b"\r\n"
    with Server(each(lambda connection, request: connection.send(OK + head + b"content-length: 0\r\n\r\n"))) as server:
        cell.run(body)
