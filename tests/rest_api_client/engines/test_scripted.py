"""ScriptedTransport: a script fails in virtual time as it would on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
)
from rest_api_client.http.bodies import BytesBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import run_sync as run
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import (
    Chunk,
    Close,
    Delay,
    End,
    Garbage,
    Head,
    Refuse,
    Reset,
    Script,
    Stall,
    Step,
    Throttle,
    Trailers,
)
from rest_api_client.transport import Exchange, Timeouts
from rest_api_client.virtual.clock import VirtualClock


class Played:
    """What one request of a sync client met, on a virtual clock."""

    def __init__(
        self, *steps: Step, timeouts: Timeouts | None = None, deadline: float | None = None, **asked: Any
    ) -> None:
        self.clock = VirtualClock()
        self.exchange = Exchange(self.clock, timeouts or Timeouts(), deadline)
        self.transport = ScriptedTransport(Script(*steps), runtime=SyncRuntime(self.clock))
        self.request = get(**asked)

    def head(self) -> Response:
        return run(self.transport.send(self.request, self.exchange))

    def body(self) -> bytes:
        return run(read(self.head()))

    @property
    def now(self) -> float:
        return self.clock.monotonic()


def get(method: str = "GET", **fields: Any) -> Request:
    return Request(method=method, url=URL.parse("http://api.test/x"), **fields)


async def read(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([piece async for piece in response.stream])


def test_an_ordinary_answer() -> None:
    """A status, fields, a reason and the body come as scripted, with the length the body needs."""
    played = Played(Head(201, {"X-Id": "7"}, "Made"), Chunk(b"hel"), Chunk(b"lo"), End())
    response = played.head()
    assert (response.status_code, response.reason, response.http_version) == (201, "Made", "HTTP/1.1")
    assert response.headers.multi_items() == [("X-Id", "7"), ("content-length", "5")]
    assert run(read(response)) == b"hello"
    assert played.exchange.phase == "done"
    assert played.now == 0


def test_respond_writes_json() -> None:
    """The shorthand makes JSON with its content type, text, and a delay."""
    assert respond(200, json=None, delay=2).steps == (
        Delay(2),
        Head(200, {"content-type": "application/json"}),
        Chunk(b"null"),
        End(),
    )
    assert respond(204).steps == (Head(204), End())
    assert respond(content="é", headers={"x": "1"}).steps[1] == Chunk("é".encode())
    assert respond(json={}, headers={"Content-Type": "application/x+json"}).steps[0] == Head(
        200, {"Content-Type": "application/x+json"}
    )
    with pytest.raises(ConfigurationError, match="one body"):
        respond(json=1, content=b"1")


def test_the_request_is_kept_for_assertions() -> None:
    """What was sent, its body and the moment of its arrival can be asserted on."""
    clock = VirtualClock()
    transport = ScriptedTransport([respond(delay=3), respond(500)], runtime=SyncRuntime(clock))
    first = get("POST", body=BytesBody(b"abc"), headers=Headers({"x-a": "1"}))
    exchange = Exchange(clock, Timeouts())
    run(transport.send(first, exchange))
    run(transport.send(get("PUT", body=OneShotBody([b"d", b"ef"])), Exchange(clock, Timeouts())))
    assert [(a.request.method, a.body, a.at) for a in transport.requests] == [("POST", b"abc", 0), ("PUT", b"def", 3)]
    assert transport.requests[0].request is first
    assert exchange.bytes_sent == len(b"POST /x HTTP/1.1\r\nx-a: 1\r\n\r\nabc")
    assert exchange.proof
    assert not exchange.unsent
    assert exchange.peer == "api.test"


def test_a_used_up_list_says_so() -> None:
    """One request more than scripts is an error that says what to do, and no retry."""
    transport = ScriptedTransport([respond()])
    clock = VirtualClock()
    run(transport.send(get(), Exchange(clock, Timeouts())))
    with pytest.raises(ConfigurationError, match="request 2, and 1 scripts were given"):
        run(transport.send(get(), Exchange(clock, Timeouts())))


def test_a_callable_answers_by_request_and_index() -> None:
    """A callable sees the request and how many came before it."""
    transport = ScriptedTransport(lambda request, index: respond(200 + index, content=request.method))
    clock = VirtualClock()
    answers = [run(transport.send(get(method), Exchange(clock, Timeouts()))) for method in ("GET", "PUT")]
    assert [(a.status_code, run(read(a))) for a in answers] == [(200, b"GET"), (201, b"PUT")]


@pytest.mark.parametrize("wrong", [7, [respond(), 200]])
def test_what_is_no_script_is_refused(wrong: Any) -> None:
    """A wrong entry is found when the transport is made."""
    with pytest.raises(ConfigurationError, match="give a Script"):
        ScriptedTransport(wrong)


def test_a_callable_that_gives_no_script_is_refused() -> None:
    """A callable's slip names the request it was made for."""
    transport = ScriptedTransport(lambda request, index: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="request 1: the callable gave None"):
        run(transport.send(get(), Exchange(VirtualClock(), Timeouts())))


def test_refused_is_proved_unsent() -> None:
    """A refused connection is a ConnectError, and the exchange proves that nothing was sent."""
    played = Played(Refuse(), method="POST", body=BytesBody(b"abc"))
    with pytest.raises(ConnectError):
        played.head()
    assert played.exchange.unsent
    assert played.transport.requests[0].body == b""


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((Reset(),), ReadError),
        ((Close(),), RemoteProtocolError),
        ((Garbage(b"\x00\x01"),), RemoteProtocolError),
        ((Throttle(5), Head(103), Reset()), ReadError),
    ],
)
def test_a_connection_that_ends_before_the_head(steps: tuple[Step, ...], error: type[Exception]) -> None:
    """Reset, closed or garbage instead of a head: the request was sent, and the phase says where it broke."""
    played = Played(*steps)
    with pytest.raises(error):
        played.head()
    assert played.exchange.phase == "wait"
    assert played.exchange.bytes_sent > 0


LENGTH = {"content-length": "10"}
CHUNKED = {"transfer-encoding": "chunked"}
CLOSE = {"Connection": "close"}


@pytest.mark.parametrize(
    ("steps", "body"),
    [
        ((Head(200, LENGTH), Chunk(b"0123456789ab"), Reset()), b"0123456789"),
        ((Head(200, LENGTH), Chunk(b"01234"), Chunk(b"56789"), Stall()), b"0123456789"),
        ((Head(200, LENGTH), Chunk(b"01234"), Garbage(b"56789x")), b"0123456789"),
        ((Head(200, LENGTH | CHUNKED), Chunk(b"01234"), End()), b"01234"),
        ((Head(200, CHUNKED), Chunk(b""), Chunk(b"01234"), Trailers((("x", "1"),)), End()), b"01234"),
        ((Head(200), Chunk(b"01234"), Trailers((("x", "1"),)), End()), b"01234"),
        ((Head(200, CLOSE), Chunk(b"01234"), Close()), b"01234"),
        ((Head(200, CLOSE), Chunk(b"01234"), End()), b"01234"),
        ((Head(200, CLOSE), Chunk(b"01234"), Garbage(b"\xff")), b"01234\xff"),
        ((Head(204), Chunk(b"01234"), Reset()), b""),
        ((Head(304, LENGTH), End()), b""),
        ((Head(103), Delay(1), Head(200), Chunk(b"01234"), End()), b"01234"),
    ],
)
def test_whole_bodies(steps: tuple[Step, ...], body: bytes) -> None:
    """What frames the body decides where it ends; what comes behind its end is not seen."""
    played = Played(*steps)
    assert played.body() == body
    assert played.exchange.phase == "done"


def test_head_has_no_body() -> None:
    """The answer to HEAD is complete with its head, whatever length it names."""
    assert Played(Head(200, LENGTH), Chunk(b"x"), End(), method="HEAD").body() == b""


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((Head(200, LENGTH), Chunk(b"01234"), End()), RemoteProtocolError),
        ((Head(200, LENGTH), Chunk(b"01234"), Close()), RemoteProtocolError),
        ((Head(200, LENGTH), Chunk(b"01234"), Reset()), ReadError),
        ((Head(200, LENGTH), Chunk(b"01234"), Garbage(b"5")), RemoteProtocolError),
        ((Head(200, LENGTH), Chunk(b"01234"), Stall()), ReadTimeout),
        ((Head(200, CHUNKED), Chunk(b"01234"), Close()), RemoteProtocolError),
        ((Head(200, CHUNKED), Chunk(b"01234"), Garbage(b"zz")), RemoteProtocolError),
        ((Head(200), Chunk(b"01234"), Close()), RemoteProtocolError),
        ((Head(200), Chunk(b"01234"), Reset()), ReadError),
        ((Head(200, CLOSE), Chunk(b"01234"), Reset()), ReadError),
    ],
)
def test_broken_bodies(steps: tuple[Step, ...], error: type[Exception]) -> None:
    """A body that breaks off gives its bytes, then the error of the wire, and nothing afterwards."""
    response = Played(*steps).head()
    assert response.stream is not None
    pieces = aiter(response.stream)
    assert run(anext(pieces)) == b"01234"
    with pytest.raises(error):
        run(anext(pieces))
    with pytest.raises(ClosedError):
        run(anext(pieces))


@pytest.mark.parametrize("length", ["ten", "-1", "²"])
def test_a_length_that_is_none(length: str) -> None:
    """A content-length that is no number is not HTTP."""
    with pytest.raises(RemoteProtocolError, match="no length"):
        Played(Head(200, (("content-length", length),)), End()).head()


def test_two_lengths() -> None:
    """Two different lengths are not HTTP, two equal ones are."""
    with pytest.raises(RemoteProtocolError):
        Played(Head(200, (("content-length", "1"), ("content-length", "2"))), Chunk(b"ab"), End()).head()
    assert Played(Head(200, (("content-length", "1"), ("content-length", "1"))), Chunk(b"ab"), End()).body() == b"a"


@pytest.mark.parametrize("framing", [LENGTH, CLOSE])
def test_trailers_need_chunks(framing: dict[str, str]) -> None:
    """Trailers behind a body that is not chunked cannot be shown, and are refused."""
    with pytest.raises(ConfigurationError, match="Trailers"):
        Played(Head(200, framing), Trailers((("x", "1"),)), End()).head()


@pytest.mark.parametrize("silence", [Stall(), Delay(5.5)])
def test_silence_before_the_head(silence: Step) -> None:
    """Silence longer than the read timeout ends at exactly that moment."""
    rest = () if isinstance(silence, Stall) else (Head(200), End())
    played = Played(silence, *rest, timeouts=Timeouts(read=5))
    with pytest.raises(ReadTimeout, match="5 s"):
        played.head()
    assert played.now == 5
    assert played.exchange.bytes_sent > 0


def test_the_read_timeout_counts_from_the_last_byte() -> None:
    """Many short pauses are no silence; one long one inside the body is."""
    drip = [step for _ in range(4) for step in (Delay(4), Chunk(b"."))]
    played = Played(Head(200), *drip, Stall(), timeouts=Timeouts(read=5))
    with pytest.raises(ReadTimeout):
        played.body()
    assert played.now == 21


def test_the_deadline_cuts_a_drip() -> None:
    """However regularly bytes come, the deadline is the end, to the second."""
    drip = [step for _ in range(9) for step in (Delay(2), Chunk(b"."))]
    played = Played(Head(200), *drip, End(), timeouts=Timeouts(read=5), deadline=7)
    with pytest.raises(DeadlineExceeded):
        played.body()
    assert played.now == 7


def test_a_passed_deadline_sends_nothing() -> None:
    """A request whose time is up already never leaves."""
    played = Played(Head(200), End(), deadline=0)
    with pytest.raises(DeadlineExceeded):
        played.head()
    assert played.exchange.unsent
    assert played.transport.requests == []


def test_a_slow_reader_meets_what_came_meanwhile() -> None:
    """The server's time line goes on while the client does something else."""
    played = Played(Head(200), Delay(3), Chunk(b"x"), Delay(3), End())
    response = played.head()
    played.clock.sleep(100)
    assert run(read(response)) == b"x"
    assert played.now == 100


def test_throttled_bytes_trickle() -> None:
    """A throttled body takes its size over its rate, and does not look silent meanwhile."""
    played = Played(
        Head(200), Chunk(b"fast"), Throttle(100), Chunk(b""), Chunk(b"x" * 1000), End(), timeouts=Timeouts(read=1)
    )
    assert played.body() == b"fast" + b"x" * 1000
    assert played.now == pytest.approx(10)


def test_an_aborted_exchange_ends_where_it_waits() -> None:
    """Aborting from elsewhere ends the wait at once, with an error of our tree."""
    played = Played(Head(200), Stall(), timeouts=Timeouts.all(None))
    response = played.head()
    played.clock.start(lambda: (played.clock.sleep(2), played.exchange.abort()), name="aborter")
    with pytest.raises(ReadError, match="aborted in phase 'read'"):
        run(read(response))
    assert played.now == 2


def test_aborted_before_it_was_sent() -> None:
    """An exchange that was aborted before sends nothing."""
    played = Played(Head(200), End())
    played.exchange.abort()
    with pytest.raises(ReadError, match="aborted"):
        played.head()
    assert played.transport.requests == []


def test_a_closed_body_is_not_read_on() -> None:
    """After aclose nothing more comes, unless the body was complete."""
    response = Played(Head(200), Chunk(b"x"), End()).head()
    assert response.stream is not None
    run(response.stream.aclose())
    with pytest.raises(ClosedError):
        run(read(response))


def test_waiting_needs_a_runtime() -> None:
    """Without a runtime a script that needs no waiting plays; one that waits says what is missing."""
    transport = ScriptedTransport([respond(200), respond(200, delay=1)])
    exchange = Exchange(VirtualClock(), Timeouts())
    assert run(transport.send(get(), exchange)).status_code == 200
    with pytest.raises(ConfigurationError, match="runtime"):
        run(transport.send(get(), exchange))


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_async_clients_wait_in_virtual_time(library: str) -> None:
    """The same scripts serve asyncio and trio, uploads that are generators included."""
    clock = VirtualClock()
    transport = ScriptedTransport([respond(delay=3), Script(Stall())], runtime=AsyncRuntime(clock))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async def main() -> None:
        exchange = Exchange(clock, Timeouts(), None)
        response = await transport.send(get("PUT", body=OneShotBody(pieces())), exchange)
        assert (response.status_code, clock.monotonic()) == (200, 3)
        assert await read(response) == b""
        with pytest.raises(ReadTimeout):
            await transport.send(get(), Exchange(clock, Timeouts(read=5)))

    (clock.run_asyncio if library == "asyncio" else clock.run_trio)(main)
    assert clock.monotonic() == 8
    assert transport.requests[0].body == b"abc"


def test_one_client_at_a_time() -> None:
    """Two clients cannot share it, one after the other can."""
    clock = VirtualClock()
    one, other = SyncRuntime(clock), SyncRuntime(clock)
    transport = ScriptedTransport([respond()])
    assert transport.bind(one) is transport
    transport.bind(one)
    with pytest.raises(ConfigurationError, match="another client"):
        transport.bind(other)
    run(transport.aclose())
    transport.bind(other)


def test_repr_counts() -> None:
    """The repr tells how many requests were answered."""
    assert repr(ScriptedTransport(respond())) == "<ScriptedTransport, 0 asked>"
