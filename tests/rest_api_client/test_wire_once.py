"""On the wire: what may be sent twice is, and what may not never is."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from rest_api_client import (
    ConfigurationError,
    ConnectError,
    ReadError,
    ReadTimeout,
    RedirectError,
    RemoteProtocolError,
    ServerError,
    Timeouts,
    TransportError,
)
from rest_api_client.events import RetryDecided
from rest_api_client.transport import Capability
from tests.patience import HANGS, wait_until
from tests.rest_api_client.cells import Cell, every_cell, quick
from tests.wire import Connection, Handler, Received, Server, each, ok

silence_fin_rst = pytest.mark.parametrize(
    ("end", "kind"),
    [(Connection.silence, ReadTimeout), (Connection.finish, RemoteProtocolError), (Connection.reset, ReadError)],
    ids=["silence", "FIN", "RST"],
)


def patience(end: Callable[[Connection], None]) -> Timeouts:
    """Short where nothing comes; and then a slow machine may need some attempts more."""
    return Timeouts(read=0.15 if end is Connection.silence else HANGS)


def failing(times: int, end: Callable[[Connection], None]) -> Handler:
    """The first requests are read whole and end badly; those after them are answered."""
    left = [end] * times

    def answer(connection: Connection, request: Received) -> None:
        (left.pop() if left else lambda connection: connection.answer(200, b"ok"))(connection)

    return each(answer)


@every_cell
@silence_fin_rst
def test_a_post_read_whole_is_received_once(
    cell: Cell, end: Callable[[Connection], None], kind: type[TransportError]
) -> None:
    """T6: the server may have acted on it, so the error stands, says so, and names what happened."""

    async def body() -> None:
        async with cell.client(base_url=server.url, timeout=patience(end)) as client:
            with pytest.raises(kind) as caught:
                await client.post("/orders", json={"n": 1})
        assert type(caught.value) is kind
        assert caught.value.processed == "unknown"
        assert [attempt.decision for attempt in caught.value.attempts] == ["not safe to resend"]

    with Server(failing(1, end)) as server:
        cell.run(body)
        wait_until(lambda: server.requests)
    assert [(request.method, request.body) for request in server.requests] == [("POST", b'{"n":1}')]
    assert all(connection.stray == b"" for connection in server.connections)


@every_cell
@silence_fin_rst
def test_a_post_with_an_idempotency_key_is_repeated_with_that_key(
    cell: Cell, end: Callable[[Connection], None], kind: type[TransportError]
) -> None:
    """T21: one key for all attempts of a call, another for the next call."""

    async def body() -> None:
        async with cell.client(base_url=server.url, timeout=patience(end), retry=quick(20)) as client:
            for n in (1, 2):
                response = await client.post("/orders", json={"n": n}, idempotency_key=True)
                *failed, answered = [attempt.error for attempt in response.attempts]
                assert answered is None
                assert set(failed) <= {kind.__name__}
                assert failed or n == 2

    with Server(failing(1, end)) as server:
        cell.run(body)
    keys = {(request.body, request.headers["idempotency-key"]) for request in server.requests}
    assert len(server.requests) >= 3
    assert {body for body, _ in keys} == {b'{"n":1}', b'{"n":2}'}
    assert len({key for _, key in keys}) == len(keys) == 2


@every_cell
@silence_fin_rst
def test_a_get_is_repeated(cell: Cell, end: Callable[[Connection], None], kind: type[TransportError]) -> None:
    """An idempotent request is sent until it is answered."""

    async def body() -> None:
        async with cell.client(base_url=server.url, timeout=patience(end), retry=quick(20)) as client:
            response = await client.get("/")
        assert response.content == b"ok"
        *failed, answered = [attempt.error for attempt in response.attempts]
        assert answered is None
        assert set(failed) == {kind.__name__}
        assert len(failed) >= 2

    with Server(failing(2, end)) as server:
        cell.run(body)
    assert len(server.requests) >= 3


@every_cell
def test_a_post_that_was_refused_is_sent_once_somebody_listens(cell: Cell) -> None:
    """No connection, no request: that is proved on every engine, and so the POST is tried again."""

    def listen(event: object) -> None:
        if isinstance(event, RetryDecided) and event.decision == "retry":
            server.listen()

    async def body() -> None:
        async with cell.client(base_url=server.url, events=[listen]) as client:
            response = await client.post("/orders", json={"n": 1})
        assert [attempt.error for attempt in response.attempts] == ["ConnectError", None]

    with Server(listening=False) as server:
        cell.run(body)
    assert [request.body for request in server.requests] == [b'{"n":1}']


@every_cell
def test_a_post_that_is_always_refused_says_that_it_was_not_processed(cell: Cell) -> None:
    """All attempts are used up, and the last error says what is proved."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(ConnectError) as caught:
                await client.post("/orders", json={"n": 1})
        assert caught.value.processed == "no"
        assert len(caught.value.attempts) == 3

    with Server(listening=False) as server:
        cell.run(body)


# A connection that was kept alive and then is not (T18) ----------------------------------------------------------


def stale(end: Callable[[Connection], None], died: threading.Event) -> Handler:
    """One connection that is used a second time ends when that request's first byte arrives; all others live."""

    def handle(connection: Connection) -> None:
        if connection.read() is None:
            return None
        connection.answer(200, b"first")
        if connection.first_byte() and not died.is_set():
            died.set()
            return end(connection)
        return each(ok)(connection)

    return handle


def read_and_finish(connection: Connection) -> None:
    """Take the request and close in order."""
    connection.read()
    connection.finish()


stale_ends = pytest.mark.parametrize("end", [read_and_finish, Connection.reset], ids=["FIN", "RST"])
TRIES = 50
"""Not every engine has a connection back at the very moment the body ends: the second request is soon on a kept one."""


@every_cell
@stale_ends
def test_a_get_survives_a_stale_connection(cell: Cell, end: Callable[[Connection], None]) -> None:
    """T18: the kept connection dies under the request; the retry takes a new one."""
    died = threading.Event()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            for _ in range(TRIES):
                response = await client.get("/")
                assert response.content in {b"first", b"ok"}
                if died.is_set():
                    assert len(response.attempts) == 2
                    return
        pytest.fail("no connection was used a second time")

    with Server(stale(end, died)) as server:
        cell.run(body)


@every_cell
@stale_ends
def test_a_post_on_a_stale_connection_is_not_sent_twice(cell: Cell, end: Callable[[Connection], None]) -> None:
    """T18: its bytes left, so nobody can know: the error stands."""
    died = threading.Event()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(TransportError) as caught:  # noqa: PT012  which of them is the second on a connection
                for n in range(TRIES):
                    await client.post("/orders", json={"n": n})
        assert caught.value.processed == "unknown"
        assert len(caught.value.attempts) == 1

    with Server(stale(end, died)) as server:
        cell.run(body)
    bodies = [request.body for request in server.requests]
    assert len(bodies) == len(set(bodies))


@every_cell
def test_a_post_does_not_go_out_on_a_connection_that_was_closed_meanwhile(cell: Cell) -> None:
    """A FIN that came while the connection lay idle is seen before a byte is sent on it.

    pyreqwest sees it a moment later: there such a POST may end as an error of unknown fate, and still is not repeated.
    """

    def handle(connection: Connection) -> None:
        if connection.read() is not None:
            connection.answer(200, b"bye")
            connection.finish()

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            for n in range(5):
                with nullcontext() if cell.can(Capability.PROVES_UNSENT) else suppress(TransportError):
                    assert (await client.post("/orders", json={"n": n})).content == b"bye"
                assert server.connections[-1].finished.wait(HANGS)

    with Server(handle) as server:
        cell.run(body)
    bodies = [request.body for request in server.requests]
    if cell.can(Capability.PROVES_UNSENT):
        assert bodies == [b'{"n":%d}' % n for n in range(5)]
    assert len(bodies) == len(set(bodies))


# Bodies (T2) -----------------------------------------------------------------------------------------------------

PARTS = [b"one ", b"two " * 20_000, b"three"]
WHOLE = b"".join(PARTS)


def unavailable(times: int) -> Handler:
    """503 so many times, then 200."""
    left = [503] * times

    def answer(connection: Connection, request: Received) -> None:
        connection.answer(left.pop() if left else 200)

    return each(answer)


def a_file_in_its_middle() -> io.BytesIO:
    """A file that does not stand at its beginning."""
    file = io.BytesIO(b"skipped" + WHOLE)
    file.seek(7)
    return file


async def an_async_source() -> AsyncIterator[bytes]:
    """The parts, for a loop."""
    for part in PARTS:
        yield part


def a_source() -> Iterator[bytes]:
    """The parts, once."""
    yield from PARTS


REPLAYABLE: dict[str, Callable[[], Any]] = {
    "bytes": lambda: WHOLE,
    "file": a_file_in_its_middle,
    "factory": lambda: a_source,
    "list": lambda: PARTS,
}


@every_cell
@pytest.mark.parametrize("content", REPLAYABLE.values(), ids=REPLAYABLE)
def test_a_body_that_can_be_made_again_is_the_same_each_time(cell: Cell, content: Callable[[], Any]) -> None:
    """T2: files are rewound to where they stood, factories asked again; the server sees identical bytes."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            assert (await client.put("/file", content=content())).status_code == 200

    with Server(unavailable(2)) as server:
        cell.run(body)
    assert [request.body == WHOLE for request in server.requests] == [True] * 3


@every_cell
def test_a_path_is_opened_anew_for_each_attempt(cell: Cell, tmp_path: Path) -> None:
    """T2: the same for a file by its path."""
    path = tmp_path / "body"
    path.write_bytes(WHOLE)

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            await client.put("/file", content=path)

    with Server(unavailable(2)) as server:
        cell.run(body)
    assert [request.body == WHOLE for request in server.requests] == [True] * 3


@every_cell
def test_a_generator_is_sent_once_and_the_real_answer_stands(cell: Cell) -> None:
    """T2: a body that is used up is never sent again, not even empty; the 503 is what the caller gets."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(ServerError) as caught:
                await client.put("/file", content=a_source())
        assert [attempt.decision for attempt in caught.value.attempts] == ["not safe to resend"]

    with Server(unavailable(2)) as server:
        cell.run(body)
    assert [request.body == WHOLE for request in server.requests] == [True]


@every_cell
def test_an_async_generator_is_sent_once_or_refused(cell: Cell) -> None:
    """T2: the same for a loop's bodies; a thread cannot read them and says so before anything is sent."""

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(ConfigurationError if cell.face == "sync" else ServerError):
                await client.put("/file", content=an_async_source())

    with Server(unavailable(2)) as server:
        cell.run(body)
    assert [request.body == WHOLE for request in server.requests] == [True] * (cell.face == "async")


@every_cell
def test_a_generator_does_not_follow_a_redirect_that_wants_it_again(cell: Cell) -> None:
    """T2: 307 asks for the body again, and there is none."""

    def answer(connection: Connection, request: Received) -> None:
        connection.answer(307, location="/there")

    async def body() -> None:
        async with cell.client(base_url=server.url) as client:
            with pytest.raises(RedirectError):
                await client.post("/here", content=a_source())

    with Server(each(answer)) as server:
        cell.run(body)
    assert [request.target for request in server.requests] == ["/here"]
