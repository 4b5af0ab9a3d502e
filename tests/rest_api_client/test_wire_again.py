"""On the wire: bodies that are sent again behind redirects and authentication, and answers that break in their body."""

from __future__ import annotations

import gzip
import io
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from rest_api_client import DecodeError, RemoteProtocolError, TransportError
from rest_api_client.exceptions import ClosedError
from tests.rest_api_client.cells import Cell, every_cell, under_way
from tests.rest_api_client.engines.httpx.http2 import H2Peer, speak
from tests.rest_api_client.engines.raw import RawServer
from tests.wire import Connection, Handler, Received, Server, each

DATA = b"some bytes " * 20_000


class Fresh(httpx.Auth):
    """Has a 401 sent again with a new token."""

    def auth_flow(self, request: httpx.Request) -> Any:
        response = yield request
        if response.status_code == 401:
            request.headers["authorization"] = "fresh"
            yield request


def a_file() -> io.BytesIO:
    """A file that does not stand at its beginning."""
    file = io.BytesIO(b"skipped" + DATA)
    file.seek(7)
    return file


def once(status: int, **fields: str) -> Handler:
    """This answer to the first request, 200 to the others."""
    first = [status]

    def answer(connection: Connection, request: Received) -> None:
        if first:
            connection.answer(first.pop(), b"short", **fields)
        else:
            connection.answer(200, b"ok")

    return each(answer)


@every_cell
@pytest.mark.parametrize(
    ("status", "fields"), [(307, {"location": "/there"}), (308, {"location": "/there"}), (401, {})]
)
@pytest.mark.parametrize("kind", ["bytes", "file", "path", "factory"])
def test_a_body_is_the_same_behind_a_redirect_and_a_round_trip(
    cell: Cell, status: int, fields: dict[str, str], kind: str, tmp_path: Path
) -> None:
    """T2: a file is rewound to where it stood, a path opened anew, a callable asked again."""
    (tmp_path / "body").write_bytes(DATA)
    bodies: dict[str, Callable[[], Any]] = {
        "bytes": lambda: DATA,
        "file": a_file,
        "path": lambda: tmp_path / "body",
        "factory": lambda: lambda: iter([DATA[:7], DATA[7:]]),
    }

    async def body() -> None:
        async with cell.client(base_url=server.url, auth=Fresh()) as client:
            await client.post("/here", content=bodies[kind](), idempotency_key="k")

    with Server(once(status, **fields)) as server:
        cell.run(body)
    assert [request.body == DATA for request in server.requests] == [True, True]
    assert [request.headers["idempotency-key"] for request in server.requests] == ["k", "k"]


@every_cell
def test_a_generator_is_not_sent_again_by_authentication(cell: Cell) -> None:
    """T2: the 401 stands in the error, and the server had the body once."""

    async def body() -> None:
        async with cell.client(base_url=server.url, auth=Fresh()) as client:
            with pytest.raises(ClosedError) as caught:
                await client.post("/here", content=iter([DATA]))
            assert caught.value.response is not None
            assert caught.value.response.status_code == 401
            assert under_way(client) == 0

    with Server(once(401)) as server:
        cell.run(body)
    assert [request.body == DATA for request in server.requests] == [True]


@every_cell
@pytest.mark.parametrize("status", [425, 429])
def test_a_post_that_was_refused_unread_is_sent_again(cell: Cell, status: int) -> None:
    """T6: the server says itself that it did not act (RFC 8470, section 5.2; RFC 6585, section 4)."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            response = await client.post("/orders", json={"n": 1})
            assert [attempt.status_code for attempt in response.attempts] == [status, 200]

    with Server(once(status)) as server:
        cell.run(body)
    assert [request.body for request in server.requests] == [b'{"n":1}'] * 2


@every_cell
@pytest.mark.parametrize(("key", "statuses"), [(True, [409, 200]), (False, [409])])
def test_a_key_still_in_progress_is_asked_again(cell: Cell, key: bool, statuses: list[int]) -> None:
    """T21: 409 with a key, then the answer; without a key the 409 stands."""

    async def body() -> None:
        async with cell.client(base_url=server.url, raise_for_status=False) as client:
            response = await client.post("/orders", json={}, idempotency_key=key)
            assert [attempt.status_code for attempt in response.attempts] == statuses

    with Server(once(409)) as server:
        cell.run(body)
    assert len({request.headers.get("idempotency-key") for request in server.requests}) == 1


def broken(how: str) -> Callable[[Connection], None]:
    """A 200 whose body does not come whole."""

    def send(connection: Connection) -> None:
        if how == "chunk":
            connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n400\r\nhalf")
        else:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\nhalf")
        connection.reset() if how == "RST" else connection.finish()

    return send


def breaking(how: str) -> Handler:
    """The first answer breaks in its body."""
    first = [broken(how)]

    def answer(connection: Connection, request: Received) -> None:
        first.pop()(connection) if first else connection.answer(200, b"whole")

    return each(answer)


every_break = pytest.mark.parametrize("how", ["FIN", "RST", "chunk"])


@every_cell
@every_break
def test_a_get_whose_answer_breaks_is_made_again(cell: Cell, how: str) -> None:
    """The body is read inside the attempt: what breaks in it is an attempt that failed."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            response = await client.get("/")
            assert response.content == b"whole"
            assert [attempt.error is None for attempt in response.attempts] == [False, True]

    with Server(breaking(how)) as server:
        cell.run(body)


@every_cell
@every_break
def test_a_post_whose_answer_breaks_is_not(cell: Cell, how: str) -> None:
    """T6: the server answered, so it acted; with a key it is asked again what the answer was."""

    async def post(key: bool) -> None:
        async with cell.client(base_url=server.url) as client:
            if key:
                assert (await client.post("/", json={}, idempotency_key=True)).content == b"whole"
            else:
                with pytest.raises(TransportError):
                    await client.post("/", json={})

    for key in (False, True):
        with Server(breaking(how)) as server:
            cell.run(post, key)
        assert len(server.requests) == 1 + key


@every_cell
def test_a_body_that_cannot_be_decoded_is_not_fetched_again(cell: Cell) -> None:
    """It came whole, and another copy would be no better; one that ends early is a broken body."""
    packed = gzip.compress(DATA)
    spoilt = packed[:50] + bytes(20) + packed[70:]

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(DecodeError) as caught:
                await client.get("/")
            assert [attempt.decision for attempt in caught.value.attempts] == ["not retryable"]

    with Server(each(lambda connection, request: connection.answer(200, spoilt, content_encoding="gzip"))) as server:
        cell.run(body)
    assert len(server.requests) == 1


@every_cell
def test_the_error_of_a_body_that_always_breaks_is_its_own(cell: Cell) -> None:
    """After all attempts: what the last one met."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(RemoteProtocolError) as caught:
                await client.get("/")
            assert len(caught.value.attempts) == 3

    with Server(each(lambda connection, request: broken("FIN")(connection))) as server:
        cell.run(body)


# HTTP/2 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def http2(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """The context of a server that speaks HTTP/2, and the path of its CA."""
    ca, path = trustme.CA(), tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context, str(path)


def refuse_stream(peer: H2Peer, stream: int) -> None:
    """REFUSED_STREAM: RFC 9113, section 8.7."""
    peer.h2.reset_stream(stream, error_code=7)


def go_away(peer: H2Peer, stream: int) -> None:
    """GOAWAY that names no stream."""
    peer.h2.close_connection(last_stream_id=0)


def break_stream(peer: H2Peer, stream: int) -> None:
    """INTERNAL_ERROR: nobody knows what was done."""
    peer.h2.reset_stream(stream, error_code=2)


@every_cell
@pytest.mark.parametrize(("end", "safe"), [(refuse_stream, True), (go_away, True), (break_stream, False)])
def test_a_post_on_http2_is_sent_again_only_where_it_was_refused(
    cell: Cell, end: Callable[[H2Peer, int], None], safe: bool, http2: tuple[ssl.SSLContext, str]
) -> None:
    """T17: the protocol says that it was not acted on, or it says nothing of the kind. A GET is sent again anyway.

    On pyreqwest the refused POST is sent again by reqwest itself, below us.
    """
    context, ca = http2
    left: list[object] = []

    def play(peer: H2Peer, stream: int, path: str) -> None:
        if left:
            left.pop()
            end(peer, stream)
        else:
            peer.answer(stream)

    async def get() -> None:
        async with cell.client(base_url=server.url, verify=ca, http2=True) as client:
            left.append(1)
            assert (await client.get("/")).content == b"hello"

    async def post() -> None:
        async with cell.client(base_url=server.url, verify=ca, http2=True) as client:
            left.append(1)
            if safe:
                assert (await client.post("/")).content == b"hello"
                return
            with pytest.raises(TransportError) as caught:
                await client.post("/")
            assert caught.value.processed == "unknown"
            assert [attempt.decision for attempt in caught.value.attempts] == ["not safe to resend"]

    with RawServer(speak(play), tls=context) as server:
        cell.run(get)
        cell.run(post)


@pytest.fixture(autouse=True)
def _no_certificates_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
