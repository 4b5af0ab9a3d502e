"""Scripts on a real socket, over uvicorn.

An ordinary answer (see `plain`) goes out through uvicorn. For everything else the connection is taken away from
uvicorn's response cycle and the script's own bytes are written, as `rest_api_client.http.framing` has them. That relies
on a few attributes of uvicorn's two HTTP/1.1 protocols (`app`, `transport`, `flow`, `loop`, `cycle.disconnected`,
`server_state`), which is why the version of uvicorn is pinned to a range.

A reset must be a reset. `transport.abort()` alone closes the socket, and the kernel then sends FIN: an orderly end.
Only with SO_LINGER on and a time of 0 does close() send RST. The other way round, close() with bytes of the client
unread sends RST where a FIN was wanted: then the FIN goes first, and the rest is read and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import socket
import struct
import termios
import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mockserver.players.plain import Plain, RawFields, plain
from mockserver.seen import Seen
from mockserver.stage import MOST_BODY, Performance
from rest_api_client.http.framing import Encoder, timeline
from rest_api_client.script import Chunk, Close, Delay, End, Garbage, Head, Refuse, Reset, Script, Stale, Step

EXTENSION = "mockserver.wire"

LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER's value for a close that sends RST."""

_SMALL_BUFFER = 4096
FAREWELL = 1.0
"""Seconds a closed connection is still read, for the client to hear the FIN."""

_LOOK = 0.2
_OVER = frozenset({7, 8})
"""TCP's states CLOSE (after a reset) and CLOSE_WAIT (after the client's FIN), as Linux numbers them."""

_GLANCE = 0.001

_MOST_EARLY = 65_536
"""Bytes kept of a request that comes before the answer to the one before it is complete."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

_numbers = itertools.count(1)

if TYPE_CHECKING:
    _Protocol: TypeAlias = HttpToolsProtocol
else:
    _Protocol = object


class Connection(_Protocol):
    """Mixed into uvicorn's protocols: a connection that can be taken over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.number = next(_numbers)
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self._taken = False
        self._early = bytearray()
        self._reset_next = False
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = self
            await inner(scope, receive, send)

        self.app = cast("Any", app)

    def data_received(self, data: bytes) -> None:
        """Keep what comes on a connection taken over until it is given back, or meet it with RST."""
        if self._reset_next:
            self.reset()
        elif not self._taken:
            super().data_received(data)
        elif not self.flooded:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(exc)
        if not self.gone.done():
            self.gone.set_result(None)

    @property
    def secure(self) -> bool:
        """Whether TLS lies between."""
        return self.transport.get_extra_info("ssl_object") is not None

    @property
    def bodiless(self) -> bool:
        """Whether the request has come to its end, without a body."""
        cycle = self.cycle
        return not (cycle.more_body or cycle.body or cycle.disconnected or self.pipelined)

    def take_over(self) -> None:
        """uvicorn neither reads nor writes here any more."""
        self.cycle.disconnected = True
        self._taken = True
        # Not 0: TLS pauses at the limit, not above it, so that at 0 it would pause with nothing to write.
        self.transport.set_write_buffer_limits(high=1, low=0)

    async def write(self, data: bytes) -> None:
        """Return when the kernel has all of it, or the client is gone."""
        if data and not self.gone.done():
            self.transport.write(data)
            await self.flow.drain()

    async def wait(self, seconds: float | None) -> bool:
        """Whether the client is still there after so long; None for as long as it is."""
        if seconds is None:
            await self._until_gone()
        elif seconds > 0:
            await asyncio.wait((self.gone,), timeout=seconds)
        return not self.gone.done()

    async def _until_gone(self) -> None:
        # A transport that does not read hears of no end: then the kernel is asked.
        while not self.gone.done():
            await asyncio.wait((self.gone,), timeout=_LOOK if self.flow.read_paused else None)
            if not self.gone.done() and self._left():
                self.transport.abort()

    def _left(self) -> bool:
        raw = self.transport.get_extra_info("socket")
        return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _OVER

    @property
    def pipelined(self) -> bool:
        """Whether uvicorn has read a part of the next request already, which would be lost."""
        if isinstance(self, H11Protocol):
            return bool(self.conn.trailing_data[0])
        return bool(self.pipeline)

    @property
    def flooded(self) -> bool:
        """Whether more has come than is kept: the connection cannot be given back."""
        return len(self._early) > _MOST_EARLY

    async def delivered(self) -> None:
        """Return when the client's kernel has all that was written: a reset would take the rest away."""
        transport, raw = self.transport, self.transport.get_extra_info("socket")
        while not transport.is_closing() and (transport.get_write_buffer_size() or _unacknowledged(raw.fileno())):
            await self.wait(_GLANCE)

    def read_slowly(self) -> None:
        """Let the kernel take in as little as possible of what has not been read."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)

    def reset(self) -> None:
        """Send RST, and nothing that has not left yet. The client sees ECONNRESET."""
        if not self.transport.is_closing():
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            self.transport.abort()

    def reset_at_next_byte(self) -> None:
        """Send RST as soon as the client sends anything, or at once where it has."""
        self._reset_next = True
        if self._early:
            self.reset()

    def half_close(self) -> None:
        """Send FIN, and go on reading until the client has sent its own."""
        if not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()

    async def close(self, *, unread: bool) -> None:
        """Send FIN. `unread`: there may be bytes of the client that nobody has read."""
        if unread and not self.secure:
            self.half_close()
            await self.wait(FAREWELL)
        self.transport.close()

    def give_back(self) -> None:
        """The answer is complete: uvicorn reads the next request, with a parser that has seen nothing."""
        if self.transport.is_closing():
            return
        fresh = type(self)(
            config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop
        )
        fresh.number = self.number
        self.connections.discard(cast("Any", self))
        self.transport.set_write_buffer_limits()
        self.transport.set_protocol(fresh)
        fresh.connection_made(self.transport)
        self.flow.resume_reading()
        if self._early:
            fresh.data_received(bytes(self._early))


class ToolsWire(Connection, HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on httptools, with a way below it."""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin at once: most answers are known at once, and need no task and no turn of the loop."""
        running = cycle.run_asgi(app)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(cast("Coroutine[Any, Any, None]", _going_on(running, awaited)))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @property
    def bodiless(self) -> bool:
        """Whether the request has come to its end, or will without a body (RFC 9112, section 6.3)."""
        fields = self.cycle.scope["headers"]
        return super().bodiless or not any(name in _FRAMING for name, _ in fields)

    @property
    def ready(self) -> bool:
        """Whether `send` may answer in uvicorn's place."""
        cycle = self.cycle
        busy = self.pipeline or self.flow.write_paused or cycle.disconnected or cycle.response_started
        return cycle.keep_alive and not busy

    def send(self, status_line: bytes, rest: bytes) -> None:
        """Write an answer at once, the server's own fields behind the status line.

        uvicorn looks at every field each time, and writes head and body one by one, each a call of the kernel.
        """
        cycle = self.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        own = [part for name, value in self.server_state.default_headers for part in (name, b": ", value, b"\r\n")]
        self.transport.write(b"".join((status_line, *own, rest)))
        cycle.message_event.set()
        cycle.on_response()


@types.coroutine
def _going_on(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that has begun, for a task."""
    with contextlib.suppress(StopIteration):
        while True:
            try:
                value = yield awaited
            except BaseException as error:
                awaited = running.throw(error)
            else:
                awaited = running.send(value)


class H11Wire(Connection, H11Protocol):  # type: ignore[misc]  # two protocols of one shape, related by nothing
    """uvicorn's HTTP/1.1 on h11, with a way below it."""


PROTOCOLS = {"httptools": ToolsWire, "h11": H11Wire}


class Begins(Protocol):
    """A stage, or whoever knows which of several a request is for."""

    def begin(self, head: Seen) -> Performance:
        """The head of a request has been received. The performance must be ended, whatever happens."""
        ...


class Player:
    """A stage as an ASGI application. Without our protocols below it, it shows ordinary answers only."""

    def __init__(self, stage: Begins) -> None:
        self.stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        wire: Connection | None = scope.get("extensions", {}).get(EXTENSION)
        performance = self.stage.begin(_seen(scope, wire))
        request = _Request(scope, receive, wire, performance)
        try:
            if await request.read():
                await _play(performance.answer(bytes(request.body)), request, send)
            else:
                performance.gone()
        finally:
            performance.ended()


class _Request:
    """The client's side of one request."""

    def __init__(self, scope: Scope, receive: Receive, wire: Connection | None, performance: Performance) -> None:
        self.scope = scope
        self.wire = wire
        self.performance = performance
        self.body = bytearray()
        self.complete = False
        self._receive = receive

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def persistent(self) -> bool:
        """Whether the client wants to use the connection again."""
        asked = [value.lower() for name, value in self.scope["headers"] if name == b"connection"]
        return self.scope["http_version"] == "1.1" and not any(b"close" in value for value in asked)

    async def read(self) -> bool:
        """Read the body, as far as it is wanted and as slowly as it is to be read. False: the client went away."""
        upload = self.performance.upload
        if upload is not None and self.wire is not None:
            self.wire.read_slowly()
        if not upload:
            if upload == 0 and self.wire is not None:
                self.wire.flow.pause_reading()
            if self.wire is not None and self.wire.bodiless:
                self.complete = True
            return not self.performance.wants_body or await self._read(None, MOST_BODY)
        return await self._read(upload, MOST_BODY)

    async def finish(self) -> bool:
        """Read and drop what is left of the body. False: the client went away."""
        return self.complete or await self._read(None, 0)

    async def _read(self, rate: float | None, keep: int) -> bool:
        while not self.complete and (not keep or len(self.body) <= keep):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            piece = message.get("body", b"")
            self.performance.received(len(piece))
            if keep:
                self.body += piece
            self.complete = not message.get("more_body", False)
            if rate is not None and self.wire is not None:
                self.wire.flow.pause_reading()
                await self.wire.wait(len(piece) / rate)
        return True


async def _play(script: Script, request: _Request, send: Send) -> None:
    answer = plain(script, request.method)
    if answer is None and (refusal := _refusal(script, request)) is not None:
        script = request.performance.refuse(refusal)
        answer = plain(script, request.method)
    if answer is not None and _sent_whole(answer, request):
        return
    await asyncio.sleep(0)  # until uvicorn has read all that came with the head
    if answer is not None:
        await _send_plain(script, answer.fields, request, send)
        return
    if isinstance(script.ending, End | Stale) and request.performance.upload != 0 and not await request.finish():
        request.performance.gone()
        return
    await _take(script, request)


def _refusal(script: Script, request: _Request) -> str | None:
    """Why this script, which is not plain, cannot be played here, and what can be done; None where it can."""
    if isinstance(script.ending, Refuse):
        return "a connection that stands cannot be refused: use server.gate.refuse()"
    if request.wire is None:
        return "this script needs a socket of the mock server's own"
    if request.wire is not None and script.ending == Close(half=True) and request.wire.secure:
        return "TLS has no half close here: use Close(), or no TLS"
    return None


def _sent_whole(answer: Plain, request: _Request) -> bool:
    wire = request.wire
    if answer.whole is None or not isinstance(wire, ToolsWire) or not wire.ready:
        return False
    request.performance.answered()
    request.performance.sent(answer.size)
    wire.send(*answer.whole)
    return True


async def _send_plain(script: Script, fields: RawFields, request: _Request, send: Send) -> None:
    performance = request.performance
    mute = request.method == "HEAD"
    steps = script.steps
    for step, following in itertools.pairwise(steps):
        if isinstance(step, Delay):
            await _sleep(step.seconds, request.wire)
        elif isinstance(step, Head):
            performance.answered()
            await send({"type": "http.response.start", "status": step.status, "headers": fields})
        elif isinstance(step, Chunk):
            performance.sent(0 if mute else len(step.data))
            last = isinstance(following, End)
            await send({"type": "http.response.body", "body": step.data, "more_body": not last})
    if not isinstance(steps[-2], Chunk):
        await send({"type": "http.response.body"})


async def _sleep(seconds: float, wire: Connection | None) -> None:
    await (asyncio.sleep(seconds) if wire is None else wire.wait(seconds))


async def _take(script: Script, request: _Request) -> None:
    wire = cast("Connection", request.wire)  # `_refusal` saw to it
    encoder = Encoder(script, request.method, _default_fields(wire))
    wire.take_over()
    if request.performance.upload != 0:
        wire.flow.resume_reading()
    began = wire.loop.time()
    for at, step, data in timeline(script, encoder.encode):
        if not await wire.wait(None if at == float("inf") else began + at - wire.loop.time()):
            return
        if isinstance(step, Chunk):
            request.performance.sent(len(step.data))
        sent = encoder.encode(step) if data is None else data
        if sent:
            request.performance.answered()
        await wire.write(sent)
        await _end(step, wire, request, encoder)


async def _end(step: Step, wire: Connection, request: _Request, encoder: Encoder) -> None:
    lost = wire.pipelined or wire.flooded
    match step:
        case End() if encoder.reusable and request.persistent and request.complete and not lost:
            wire.give_back()
        case End() | Garbage() | Close(half=False):
            await wire.close(unread=wire.flooded or not request.complete)
        case Stale():
            wire.reset_at_next_byte()
        case Reset():
            await wire.delivered()
            wire.reset()
        case Close():
            wire.half_close()
            await wire.wait(None)
        case _:
            pass


def _unacknowledged(descriptor: int) -> int:
    """Bytes in the kernel's send queue (SIOCOUTQ, which Linux gives the number of TIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])


def _default_fields(wire: Connection) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in wire.server_state.default_headers)


def _seen(scope: Scope, wire: Connection | None) -> Seen:
    client = scope.get("client")
    return Seen(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        fields=tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]),
        scheme=scope.get("scheme", "http"),
        client=client[0] if client else "127.0.0.1",
        connection=0 if wire is None else wire.number,
    )
