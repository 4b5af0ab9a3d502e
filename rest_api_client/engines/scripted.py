"""ScriptedTransport: an engine without a socket, whose servers play scripts.

    engine = ScriptedTransport([Script(Reset()), respond(200, json={"id": 7})])
    client = APIClient(base_url="https://api.test", engine=engine)

Each request is answered by the next script. The server's side of it has its own time line, which starts when the
request has arrived: a delay that the client spends elsewhere has passed when it comes back, as on a wire. The client's
side waits only through the runtime, so that with a virtual clock a `Stall` against a read timeout of 5 s is a
`ReadTimeout` exactly five virtual seconds later, and no time at all on the wall.

Framing follows RFC 9112, section 6.3, so that a script fails here as it would on the wire: a body shorter than its
content-length is a `RemoteProtocolError`, bytes beyond it are not seen, a close is an end only where nothing else
frames the body (`connection: close`). A head without framing gets what the steps behind it need: content-length where
the body ends well, else chunked. HEAD, 204 and 304 have no body, whatever the script says.

What cannot be shown is refused: trailers behind a body that is not chunked.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from rest_api_client.engines.errors import aborted
from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
)
from rest_api_client.http.bodies import Body
from rest_api_client.http.headers import Headers, HeaderTypes
from rest_api_client.http.serializers import JSON_SERIALIZER
from rest_api_client.models import Request, Response
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
from rest_api_client.transport import Capability, Exchange
from rest_api_client.typing import UNSET, JSONValue

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime

Answer: TypeAlias = Callable[[Request, int], Script]
"""(request, how many requests came before it) -> what the server does."""

_SLICE = 0.05
"""Seconds of a throttled chunk that arrive at once: a slow body trickles, it does not pause and burst."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the scripted server saw it.

    Attributes:
        request: as the transport was given it.
        body: its bytes, read to the end; empty where the connection was refused.
        at: when its last byte arrived, in the clock's monotonic seconds.
        script: what it was answered with.
    """

    request: Request
    body: bytes
    at: float
    script: Script


def respond(
    status: int = 200,
    *,
    json: JSONValue = UNSET,
    content: bytes | str = b"",
    headers: HeaderTypes | None = None,
    delay: float = 0.0,
) -> Script:
    """The script of an ordinary answer, after `delay` seconds.

    Raises:
        ConfigurationError: both `json` and `content`, or a status that has not three digits.
    """
    fields = Headers(headers)
    body = content.encode() if isinstance(content, str) else content
    if json is not UNSET:
        if body:
            raise ConfigurationError("respond(json=..., content=...): a response has one body; give one of them")
        body = JSON_SERIALIZER.dumps(json)
        fields.setdefault("content-type", JSON_SERIALIZER.content_type)
    wait = (Delay(delay),) if delay else ()
    return Script(*wait, Head(status, tuple(fields.multi_items())), *((Chunk(body),) if body else ()), End())


class ScriptedTransport:
    """Answers requests with scripts, for sync and async clients alike.

    Args:
        scripts: one script for every request; or several, each for one request, in turn; or a callable
            `(request, index) -> Script`.
        runtime: what it waits on. A client gives its own (`bind`); without any, only scripts that need no waiting can
            be played.

    `requests` lists what was asked of it, oldest first. A client's threads may share it.

    Raises:
        ConfigurationError: something in `scripts` is no Script.
    """

    name = "scripted"
    capabilities = frozenset(
        {
            Capability.SYNC,
            Capability.ASYNCIO,
            Capability.TRIO,
            Capability.STREAM_RESPONSE,
            Capability.STREAM_REQUEST,
            Capability.PHASE_TIMEOUTS,
            Capability.HARD_DEADLINE,
            Capability.ABORT,
            Capability.PROVES_UNSENT,
            Capability.REASON_PHRASE,
            Capability.PEER,
            Capability.FORK,
            Capability.VIRTUAL_TIME,
        }
    )

    def __init__(self, scripts: Script | Iterable[Script] | Answer, *, runtime: Runtime | None = None) -> None:
        self._answer = _answers(scripts)
        self._runtime = runtime
        self._lock = threading.Lock()
        self._asked = 0
        self.requests: list[Arrival] = []

    def bind(self, runtime: Runtime) -> ScriptedTransport:
        """Wait on this runtime from now on.

        Raises:
            ConfigurationError: another client uses this transport and was not closed.
        """
        if self._runtime is not None and self._runtime is not runtime:
            raise ConfigurationError("this ScriptedTransport belongs to another client: make one per client")
        self._runtime = runtime
        return self

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Play the next script up to its head.

        Raises:
            ConfigurationError: no script is left, or the script cannot be played.
            TransportError: what the script makes of the request.
        """
        exchange.proof = True
        script = self._next(request)
        play = _Play(script, exchange, self._runtime)
        play.check()
        exchange.phase = "connect"
        if isinstance(script.ending, Refuse):
            self._note(request, b"", exchange, script)
            raise ConnectError(f"connection to {request.url.netloc} refused")
        exchange.peer = request.url.netloc
        exchange.phase = "write"
        exchange.bytes_sent = _head_size(request)
        body = await _upload(request.body, play)
        self._note(request, body, exchange, script)
        exchange.phase = "wait"
        play.begin()
        head = await play.head()
        exchange.phase = "read"
        exchange.http_version = "HTTP/1.1"
        headers = Headers.received([(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers])
        framing = _frame(request, head, headers, script)
        return Response(
            head.status,
            headers=headers,
            stream=ScriptedBody(play, framing),
            request=request,
            reason=head.reason or "",
            http_version=exchange.http_version,
        )

    async def aclose(self) -> None:
        """Let go of the client's runtime: another client may use this transport now."""
        self._runtime = None

    def _next(self, request: Request) -> Script:
        with self._lock:
            index, self._asked = self._asked, self._asked + 1
            script = self._answer(request, index)
        if not isinstance(script, Script):
            raise ConfigurationError(f"request {index + 1}: the callable gave {script!r}, which is no Script")
        return script

    def _note(self, request: Request, body: bytes, exchange: Exchange, script: Script) -> None:
        with self._lock:
            self.requests.append(Arrival(request, body, exchange.clock.monotonic(), script))

    def __repr__(self) -> str:
        return f"<ScriptedTransport, {self._asked} asked>"


def _answers(scripts: Script | Iterable[Script] | Answer) -> Answer:
    if isinstance(scripts, Script):
        return lambda request, index: scripts
    if callable(scripts):
        return scripts
    if not isinstance(scripts, Iterable):
        raise ConfigurationError(
            f"scripts={scripts!r}: give a Script, several, or a callable (request, index) -> Script"
        )
    listed = list(scripts)
    for place, script in enumerate(listed, 1):
        if not isinstance(script, Script):
            raise ConfigurationError(f"script {place} is {script!r}: give a Script, for example respond(200)")

    def answer(request: Request, index: int) -> Script:
        if index >= len(listed):
            raise ConfigurationError(
                f"{request.label} is request {index + 1}, and {len(listed)} scripts were given: "
                "add one, or give a callable"
            )
        return listed[index]

    return answer


def _head_size(request: Request) -> int:
    line = len(f"{request.method} {request.url.target} HTTP/1.1\r\n\r\n")
    return line + sum(len(name) + len(value) + 4 for name, value in request.headers.raw())


async def _upload(body: Body, play: _Play) -> bytes:
    pieces: list[bytes] = []

    def take(piece: bytes) -> None:
        play.check()
        pieces.append(piece)
        play.exchange.bytes_sent += len(piece)

    chunks = body.open()
    if isinstance(chunks, AsyncIterator):
        async for piece in chunks:
            take(piece)
    else:
        for piece in chunks:
            take(piece)
    play.check()
    return b"".join(pieces)


def _timeline(steps: Iterable[Step]) -> Iterator[tuple[float, Step]]:
    """When each step happens, in seconds after the request arrived."""
    now, rate = 0.0, inf
    for step in steps:
        if isinstance(step, Delay):
            now += step.seconds
        elif isinstance(step, Throttle):
            rate = step.bytes_per_second
        elif isinstance(step, Chunk) and rate < inf:
            size = max(1, int(rate * _SLICE))
            for start in range(0, len(step.data), size):
                piece = step.data[start : start + size]
                now += len(piece) / rate
                yield now, Chunk(piece)
        else:
            yield inf if isinstance(step, Stall) else now, step


class _Play:
    """One script being played to one client."""

    def __init__(self, script: Script, exchange: Exchange, runtime: Runtime | None) -> None:
        self.exchange = exchange
        self._steps = _timeline(script.steps)
        self._runtime = runtime
        self._began = 0.0
        self._abort: Any = None

    def check(self) -> None:
        """Raise if the client was told to stop, or its time is up."""
        if self.exchange.aborted:
            raise aborted(self.exchange)
        self.exchange.limit(None)

    def begin(self) -> None:
        """The request has arrived: the server's time line starts."""
        self._began = self.exchange.clock.monotonic()

    async def head(self) -> Head:
        """The final head; interim ones pass unseen, as in every engine."""
        while True:
            step = await self.step()
            if isinstance(step, Head) and step.status >= 200:
                return step
            if isinstance(step, Reset):
                raise ReadError("connection reset before the answer")
            if isinstance(step, Close):
                raise RemoteProtocolError("connection closed before the answer")
            if isinstance(step, Garbage):
                raise RemoteProtocolError(f"the answer is not HTTP: it starts with {step.data[:40]!r}")

    async def step(self) -> Step:
        """The next thing that happens, when it happens."""
        moment, step = next(self._steps, (0.0, None))
        if step is None:
            raise ClosedError("the body broke off: there is nothing more to read")
        await self._until(self._began + moment)
        return step

    async def _until(self, moment: float) -> None:
        self.check()
        exchange = self.exchange
        wait = moment - exchange.clock.monotonic()
        if wait <= 0:
            return
        read, left = exchange.timeouts.read or inf, exchange.remaining
        left = inf if left is None else left
        await self._pause(min(wait, read, left))
        if wait > left <= read:
            raise DeadlineExceeded(f"the deadline passed in phase {exchange.phase!r}")
        if wait > read:
            raise ReadTimeout(f"no byte of the answer for {read:g} s")

    async def _pause(self, seconds: float) -> None:
        if self._runtime is None:
            raise ConfigurationError("this script waits: give ScriptedTransport a runtime=, or use it in a client")
        if self._abort is None:
            self._abort = self._runtime.event()
            self.exchange.on_abort(self._abort.set)
        if await self._runtime.wait(self._abort, None if seconds == inf else seconds):
            raise aborted(self.exchange)


@dataclass(frozen=True, slots=True)
class _Framing:
    """How the end of a body is known: by its length, by the last chunk, or (neither) by the close."""

    length: int | None = None
    chunked: bool = False


def _frame(request: Request, head: Head, headers: Headers, script: Script) -> _Framing:
    if request.method == "HEAD" or head.status in {204, 304}:
        return _Framing(length=0)
    if "transfer-encoding" not in headers and "content-length" not in headers:
        _add_framing(headers, script)
    if "transfer-encoding" in headers:
        return _Framing(chunked=True)
    if any(isinstance(step, Trailers) for step in script.steps):
        raise ConfigurationError(
            "Trailers need a chunked body: drop content-length and connection: close from the Head"
        )
    lengths = set(headers.get_list("content-length"))
    if not lengths:
        return _Framing()
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise RemoteProtocolError(f"content-length {headers['content-length']!r} is no length")
    return _Framing(length=int(length))


def _add_framing(headers: Headers, script: Script) -> None:
    if headers.get("connection", "").lower() == "close":
        return
    if isinstance(script.ending, End) and not any(isinstance(step, Trailers) for step in script.steps):
        headers["content-length"] = str(sum(len(step.data) for step in script.steps if isinstance(step, Chunk)))
    else:
        headers["transfer-encoding"] = "chunked"


class ScriptedBody:
    """The body of a scripted answer, played as it is read."""

    def __init__(self, play: _Play, framing: _Framing) -> None:
        self._play = play
        self._framing = framing
        self._left = framing.length
        self._over = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk."""
        if self._closed and not self._over:
            raise ClosedError("the body was closed before it was read to its end")
        while not self._over and self._left != 0:
            data = self._meet(await self._play.step())
            if data:
                return data
        self._over = True
        self._play.exchange.phase = "done"
        raise StopAsyncIteration

    def _meet(self, step: Step) -> bytes:
        """The bytes a step brings; an ending either ends the body or breaks it."""
        if isinstance(step, Chunk):
            return self._take(step.data)
        if isinstance(step, Trailers):
            return b""
        if isinstance(step, Reset):
            raise ReadError("connection reset inside the body")
        if isinstance(step, Garbage):
            return self._garbage(step)
        if isinstance(step, Close) and self._framing.chunked:
            raise RemoteProtocolError("connection closed before the last chunk")
        if self._left:
            raise RemoteProtocolError(f"the body ended {self._left} bytes before its content-length")
        self._over = True
        return b""

    def _garbage(self, step: Garbage) -> bytes:
        """Where no chunks are framed, any byte is a byte of the body."""
        if self._framing.chunked:
            raise RemoteProtocolError(f"the body is not chunked: {step.data[:40]!r}")
        if self._left is not None and self._left > len(step.data):
            raise RemoteProtocolError(f"the body ended {self._left - len(step.data)} bytes before its content-length")
        self._over = True
        return self._take(step.data)

    def _take(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        return data

    async def aclose(self) -> None:
        """Drop the connection where the body was not read to its end."""
        self._closed = True
