"""Scripts played to one client without a socket: what it would have met on the wire, in the time of its clock.

The server's side has its own time line, which starts when the request has arrived: a delay that the client spends
elsewhere has passed when it comes back, as on a wire. The client's side waits only through the runtime, so that with a
virtual clock a `Stall` against a read timeout of 5 s is a `ReadTimeout` exactly five virtual seconds later, and no time
at all on the wall.

Framing follows RFC 9112, section 6.3, so that a script fails here as it would on the wire: a body shorter than its
content-length is a `RemoteProtocolError`, bytes beyond it are not seen, a close is an end only where nothing else
frames the body (`connection: close`). A script with bytes of its own making (`Raw`, or a head that is not HTTP) is
written out and read by h11, as httpx reads it; see `parsed`.

An upload that is read slowly fills the buffers between both ends first: 1 MiB here, on a real machine anything from 64
KiB to some MiB. What cannot be shown is refused: `Stale`, for there is no connection to be stale; trailers behind a
body that is not chunked; and an answer or an end that meets a client still blocked in an upload which nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import TYPE_CHECKING, Any

from rest_api_client.engines.errors import aborted
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
from rest_api_client.http.bodies import Body
from rest_api_client.http.framing import Encoder, bodiless, framing_fields, timeline
from rest_api_client.http.headers import Headers
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.script import (
    Chunk,
    Close,
    Garbage,
    Head,
    Raw,
    Refuse,
    Reset,
    Script,
    Stale,
    Stall,
    Step,
    Trailers,
    Upload,
)
from rest_api_client.transport import ByteStream, Exchange

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime

BUFFER = 1 << 20
"""Bytes of an upload that the buffers between both ends take in though nobody reads them."""

_GULP = 1 << 16
_LARGEST_HEAD = 1 << 16
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def check_playable(script: Script) -> None:
    """Raises ConfigurationError for a script that has no meaning without a connection."""
    if isinstance(script.ending, Stale):
        raise ConfigurationError("Stale needs a connection that is used again: play it on a socket (MockServer)")


class Play:
    """One request being answered.

    Args:
        exchange: how long the client waits for what.
        runtime: what it waits on; None for scripts that need no waiting.
        on_answer: called as the first byte of the answer leaves.
    """

    def __init__(
        self, exchange: Exchange, runtime: Runtime | None, on_answer: Callable[[], object] | None = None
    ) -> None:
        self.exchange = exchange
        self._runtime = runtime
        self._on_answer = on_answer
        self._began = 0.0
        self._abort: Any = None
        self._steps: Any = iter(())
        self.encoder: Encoder

    def connect(self, request: Request, script: Script | None) -> None:
        """Reach the server.

        Raises:
            ConnectError: the script refuses the connection.
        """
        self.check()
        self.exchange.phase = "connect"
        if script is not None and isinstance(script.ending, Refuse):
            raise ConnectError(f"connection to {request.url.netloc} refused")
        self.exchange.peer = request.url.netloc
        self.exchange.phase = "write"
        self.exchange.bytes_sent = _head_size(request)

    async def upload(self, body: Body, rate: float | None, script: Script | None) -> bytes:
        """Send the request's body to a server that reads it no faster than `rate`.

        Args:
            body: of the request.
            rate: bytes per second; None takes it at once, 0 not at all.
            script: the answer; needed for a rate of 0.
        """
        began = self.exchange.clock.monotonic()
        pieces: list[bytes] = []
        size = 0

        async def take(piece: bytes) -> None:
            nonlocal size
            self.check()
            pieces.append(piece)
            for gulp in _gulps(piece, rate):
                size += gulp
                if rate is not None and size > BUFFER:
                    _check_blocked(rate, script)
                    await self._until(began + ((size - BUFFER) / rate if rate else inf), writing=True)
                self.exchange.bytes_sent += gulp

        # Not one generator over both kinds: left in the middle, it would be trio's to close.
        chunks = body.open()
        if isinstance(chunks, AsyncIterator):
            async for piece in chunks:
                await take(piece)
        else:
            for piece in chunks:
                await take(piece)
        self.check()
        self._began = max(self.exchange.clock.monotonic(), began + (size / rate if rate else 0.0))
        return b"".join(pieces)

    async def answer(self, script: Script, request: Request) -> Response:
        """Play the script up to its head."""
        self.exchange.phase = "wait"
        self.encoder = Encoder(script, request.method)
        self._steps = timeline(script, self.encoder.encode)
        if _needs_parser(script):
            # Imported here: h11 costs every client's start some milliseconds, and few scripts have need of it.
            from rest_api_client.engines.parsed import parse

            return await parse(self, request)
        head = await self._head()
        self.exchange.phase = "read"
        self.exchange.http_version = "HTTP/1.1"
        headers = Headers.received([(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers])
        body = ScriptedBody(self, _frame(request, head, headers, script))
        return response(request, self.exchange, head.status, headers, head.reason or "", body)

    def check(self) -> None:
        """Raise if the client was told to stop, or its time is up."""
        if self.exchange.aborted:
            raise aborted(self.exchange)
        self.exchange.limit(None)

    async def _head(self) -> Head:
        """The final head; interim ones pass unseen, as in every engine."""
        while True:
            step, _ = await self.step()
            if isinstance(step, Head) and step.status >= 200:
                return step
            if isinstance(step, Reset):
                raise ReadError("connection reset before the answer")
            if isinstance(step, Close):
                raise RemoteProtocolError("connection closed before the answer")
            if isinstance(step, Garbage):
                raise RemoteProtocolError(f"the answer is not HTTP: it starts with {step.data[:40]!r}")

    async def step(self) -> tuple[Step, bytes | None]:
        """The next thing that happens, when it happens, as `framing.timeline` has it."""
        moment, step, data = next(self._steps, (0.0, None, None))
        if step is None:
            raise ClosedError("the body broke off: there is nothing more to read")
        await self._until(self._began + moment)
        if self._on_answer is not None and (data or isinstance(step, Head | Raw | Garbage)):
            self._on_answer()
            self._on_answer = None
        return step, data

    async def silence(self) -> None:
        """Nothing comes any more: raises what the client's patience ends in."""
        await self._until(inf)

    async def _until(self, moment: float, *, writing: bool = False) -> None:
        self.check()
        exchange = self.exchange
        wait = moment - exchange.clock.monotonic()
        if wait <= 0:
            return
        patience = (exchange.timeouts.write if writing else exchange.timeouts.read) or inf
        left = exchange.remaining
        left = inf if left is None else left
        await self._pause(min(wait, patience, left))
        if wait > left <= patience:
            raise DeadlineExceeded(f"the deadline passed in phase {exchange.phase!r}")
        if wait > patience:
            raise (
                WriteTimeout(f"no byte of the request was taken for {patience:g} s")
                if writing
                else ReadTimeout(f"no byte of the answer for {patience:g} s")
            )

    async def _pause(self, seconds: float) -> None:
        if self._runtime is None:
            raise ConfigurationError("this script waits: give ScriptedTransport a runtime=, or use it in a client")
        if self._abort is None:
            self._abort = self._runtime.event()
            self.exchange.on_abort(self._abort.set)
        if await self._runtime.wait(self._abort, None if seconds == inf else seconds):
            raise aborted(self.exchange)


def response(
    request: Request, exchange: Exchange, status: int, headers: Headers, reason: str, body: ByteStream
) -> Response:
    """An answer whose head is there and whose body is on its way."""
    return Response(
        status, headers=headers, stream=body, request=request, reason=reason, http_version=exchange.http_version
    )


def _needs_parser(script: Script) -> bool:
    """Whether only the bytes tell what a client makes of it."""
    return any(isinstance(step, Raw) or (isinstance(step, Head) and not _is_http(step)) for step in script.steps)


def _is_http(head: Head) -> bool:
    size = 0
    for name, value in head.headers:
        size += len(name) + len(value)
        if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            return False
    return size <= _LARGEST_HEAD


def _head_size(request: Request) -> int:
    line = len(f"{request.method} {request.url.target} HTTP/1.1\r\n\r\n")
    return line + sum(len(name) + len(value) + 4 for name, value in request.headers.raw())


def _check_blocked(rate: float, script: Script | None) -> None:
    if rate == 0 and script is not None and not all(isinstance(step, Upload | Stall) for step in script.steps):
        raise ConfigurationError(
            f"an upload of more than {BUFFER} bytes that nobody reads, and then an answer: which of them a client "
            "meets first depends on its machine; use Script(Upload(0), Stall()), or a smaller body"
        )


def _gulps(piece: bytes, rate: float | None) -> list[int]:
    """The sizes in which a piece leaves: whole, unless it meets a slow reader."""
    if rate is None:
        return [len(piece)]
    return [min(_GULP, len(piece) - start) for start in range(0, len(piece), _GULP)]


@dataclass(frozen=True, slots=True)
class _Framing:
    """How the end of a body is known: by its length, by the last chunk, or (neither) by the close."""

    length: int | None = None
    chunked: bool = False


def _frame(request: Request, head: Head, headers: Headers, script: Script) -> _Framing:
    for name, value in framing_fields(request.method, head, script):
        headers[name] = value
    length = _length(headers)
    if bodiless(request.method, head.status):
        return _Framing(length=0)
    if "transfer-encoding" in headers:
        return _Framing(chunked=True)
    if any(isinstance(step, Trailers) for step in script.steps):
        raise ConfigurationError(
            "Trailers need a chunked body: drop content-length and connection: close from the Head"
        )
    return _Framing(length=length)


def _length(headers: Headers) -> int | None:
    lengths = set(headers.get_list("content-length"))
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise RemoteProtocolError(f"content-length {headers['content-length']!r} is no length")
    return int(length)


class ScriptedBody:
    """The body of a scripted answer, played as it is read."""

    def __init__(self, play: Play, framing: _Framing) -> None:
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
            step, _ = await self._play.step()
            data = self._meet(step)
            if data:
                return data
        self._over = True
        self._play.exchange.phase = "done"
        raise StopAsyncIteration

    def _meet(self, step: Step) -> bytes:
        """The bytes a step brings; an ending either ends the body or breaks it."""
        if isinstance(step, Chunk):
            return self._take(step.data)
        if isinstance(step, Trailers | Raw):
            return b""  # Raw: a piece of Garbage that comes slowly
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
