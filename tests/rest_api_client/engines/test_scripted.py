"""ScriptedTransport: a script fails in virtual time as it would on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rest_api_client.engines.played import Play
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    WriteTimeout,
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
    Raw,
    Refuse,
    Reset,
    Script,
    Stale,
    Stall,
    Step,
    Throttle,
    Trailers,
    Upload,
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
    with pytest.raises(RemoteProtocolError, match="no length"):
        Played(Head(200, (("content-length", length),)), End(), method="HEAD").head()


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


def test_a_throttled_head_drips() -> None:
    """A throttle before the head slows the head too, and does not look silent; garbage as well."""
    head = Head(200, {"x-long": "y" * 60, "content-length": "1"})
    played = Played(Throttle(10), head, Chunk(b"x"), End(), timeouts=Timeouts(read=1))
    assert played.body() == b"x"
    assert played.now == pytest.approx(len("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-long: \r\n\r\n") / 10 + 6.1)
    garbled = Played(Head(200, CLOSE), Throttle(10), Garbage(b"0123456789"), timeouts=Timeouts(read=1))
    assert garbled.body() == b"0123456789"
    assert garbled.now == pytest.approx(1)
    nothing = Played(Throttle(10), Raw(b""), Garbage(b""))
    with pytest.raises(RemoteProtocolError):
        nothing.head()


OK = Raw(b"HTTP/1.1 200 Fine\r\nX-Id: 7\r\ncontent-length: 5\r\n\r\n")


@pytest.mark.parametrize(
    ("steps", "body"),
    [
        ((OK, Raw(b"01234"), End()), b"01234"),
        ((OK, Chunk(b"012"), Raw(b"34 and more"), Close()), b"01234"),
        ((OK, Chunk(b"012"), Garbage(b"345")), b"01234"),
        ((Raw(b"HTTP/1.1 103\r\n\r\nHTTP/1.1 200 OK\n\n01"), Chunk(b"234"), Close(half=True)), b"01234"),
        ((Head(200), Chunk(b"01234"), Raw(b"HTTP/1.1 500 More\r\n\r\n"), End()), b"01234"),
        ((Head(200, LENGTH), Raw(b"01234"), Chunk(b"56789"), End()), b"0123456789"),
        ((Head(200, CHUNKED), Chunk(b"012"), Raw(b"2\r\n34\r\n"), End()), b"01234"),
        ((Head(200, CLOSE), Chunk(b"012"), Raw(b"34"), End()), b"01234"),
        ((Head(204), Raw(b"x"), End()), b""),
        ((Head(200), Raw(b""), Chunk(b"01234"), Trailers((("x", "1"),)), End()), b"01234"),
    ],
)
def test_raw_bytes_are_read_as_a_client_reads_them(steps: tuple[Step, ...], body: bytes) -> None:
    """A whole message of raw bytes, a part of it, or bytes behind it."""
    played = Played(*steps)
    response = played.head()
    assert played.exchange.phase == "read"
    assert run(read(response)) == body
    assert played.exchange.phase == "done"
    assert run(read(response)) == b""


def test_a_raw_head_is_taken_as_it_is() -> None:
    """Status, reason, version and the spelling of its fields."""
    response = Played(Raw(b"HTTP/1.0 299 Odd\r\nX-Id: 7\r\n\r\n"), Close()).head()
    assert (response.status_code, response.reason, response.http_version) == (299, "Odd", "HTTP/1.0")
    assert response.headers.multi_items() == [("X-Id", "7")]


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((Raw(b"HTP/1.1 20O OK\r\n\r\n"), Close()), RemoteProtocolError),
        ((Raw(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), End()), RemoteProtocolError),
        ((Raw(b"HTTP/1.1 200 OK\r\ncontent-"), Close()), RemoteProtocolError),
        ((Raw(b"HTTP/1.1 200 OK\r\ncontent-"), Reset()), ReadError),
        ((Raw(b"HTTP/1.1 200 OK\r\ncontent-"), Stall()), ReadTimeout),
        ((Raw(b"HTTP/1.1 200 OK\r\ncontent-"), End()), ReadTimeout),
        ((Raw(b""), Close()), RemoteProtocolError),
        ((Throttle(9e9), Raw(b"x" * 200_000), Stall()), RemoteProtocolError),
        ((Head(200, {"x": "y" * 200_000}), End()), RemoteProtocolError),
        ((Head(200, {"no token": "y"}), End()), RemoteProtocolError),
        ((Head(200, {"x": "\x00"}), End()), RemoteProtocolError),
    ],
)
def test_raw_heads_that_are_none(steps: tuple[Step, ...], error: type[Exception]) -> None:
    """What no client can read ends as on the wire; so does a head no server may send."""
    played = Played(*steps)
    with pytest.raises(error):
        played.head()
    assert played.exchange.phase == "wait"


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ((OK, Chunk(b"012"), End()), ReadTimeout),
        ((OK, Chunk(b"012"), Close()), RemoteProtocolError),
        ((OK, Chunk(b"012"), Reset()), ReadError),
        ((Head(200, CHUNKED), Chunk(b"012"), Raw(b"zz\r\n"), End()), RemoteProtocolError),
        ((Head(200, LENGTH), Chunk(b"01"), Raw(b"2"), End()), RemoteProtocolError),
    ],
)
def test_raw_bodies_that_break(steps: tuple[Step, ...], error: type[Exception]) -> None:
    """What came before the break is there."""
    response = Played(*steps).head()
    assert response.stream is not None
    pieces = aiter(response.stream)
    got: list[bytes] = []

    async def read_on() -> None:
        async for piece in pieces:
            got.append(piece)  # noqa: PERF401  what came before the break counts

    with pytest.raises(error):
        run(read_on())
    assert b"".join(got) == b"012"
    run(response.stream.aclose())
    with pytest.raises(ClosedError):
        run(anext(pieces))


def test_a_status_without_a_name_has_an_empty_reason() -> None:
    """On the wire too."""
    response = Played(Head(799), Raw(b""), Chunk(b"x"), End()).head()
    assert (response.status_code, response.reason) == (799, "")


def test_whoever_plays_is_told_when_the_answer_begins() -> None:
    """Once, with its first byte: not while nothing comes."""
    clock = VirtualClock()
    began: list[float] = []
    play = Play(Exchange(clock, Timeouts()), SyncRuntime(clock), on_answer=lambda: began.append(clock.monotonic()))
    play.connect(get(), None)
    run(play.upload(BytesBody(b""), None, None))
    answer = run(play.answer(Script(Delay(2), Head(103), Delay(2), Head(200), Chunk(b"x"), End()), get()))
    assert run(read(answer)) == b"x"
    assert began == [2]


def test_a_stale_connection_needs_a_connection() -> None:
    """Here is none: refused, with what can show it."""
    with pytest.raises(ConfigurationError, match="MockServer"):
        Played(Head(200), Stale()).head()


BIG = BytesBody(bytes(3 << 20))


def test_a_slow_upload_takes_its_time() -> None:
    """The answer comes when the last byte was read; what the buffers hold is sent at once."""
    played = Played(Upload(1 << 20), Head(200), End(), method="PUT", body=BIG, timeouts=Timeouts(write=1))
    assert played.head().status_code == 200
    assert played.now == 3
    (arrival,) = played.transport.requests
    assert (len(arrival.body), arrival.at) == (3 << 20, 2)


def test_an_upload_too_slow_is_a_write_timeout() -> None:
    """When no byte is taken for as long as that: nobody reads at all, or too slowly."""
    for rate in (0, 1000):
        played = Played(Upload(rate), Stall(), method="PUT", body=BIG, timeouts=Timeouts(write=5))
        with pytest.raises(WriteTimeout, match="5 s"):
            played.head()
        assert played.now == 5
        assert played.exchange.bytes_sent < 2 << 20


def test_a_small_upload_that_nobody_reads_is_answered() -> None:
    """The buffers between take it; the answer comes at once, or never."""
    small = BytesBody(b"x" * 1000)
    assert Played(Upload(0), Head(413), Close(), method="PUT", body=small).head().status_code == 413
    silent = Played(Upload(0), Stall(), method="PUT", body=small)
    with pytest.raises(ReadTimeout):
        silent.head()


def test_an_answer_to_a_blocked_upload_is_refused() -> None:
    """What a client meets first depends on its machine."""
    with pytest.raises(ConfigurationError, match="smaller body"):
        Played(Upload(0), Head(413), Close(), method="PUT", body=BIG).head()


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
