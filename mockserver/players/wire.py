"""Scripts on a real socket, over uvicorn.

An ordinary answer (see `plain`) goes out through uvicorn. For everything else the connection (see `connection`) is
taken away from uvicorn's response cycle and the script's own bytes are written, as `rest_api_client.http.framing` has
them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from mockserver.players.connection import EXTENSION, Connection
from mockserver.players.plain import Plain, RawFields, plain
from mockserver.seen import Seen
from mockserver.stage import MOST_BODY, Performance
from rest_api_client.http.framing import Encoder, timeline
from rest_api_client.script import Chunk, Close, Delay, End, Garbage, Head, Refuse, Reset, Script, Stale, Step

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


def _httptools() -> type[Any]:
    from mockserver.players.on_httptools import ToolsWire

    return ToolsWire


def _h11() -> type[Any]:
    from mockserver.players.on_h11 import H11Wire

    return H11Wire


PROTOCOLS: dict[str, Callable[[], type[Any]]] = {"httptools": _httptools, "h11": _h11}
"""Each imports its own parser, and not the other's."""


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
            if request.complete or await request.read():
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
        self.complete = performance.upload is None and wire is not None and wire.bodiless
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
    if answer.whole is None or wire is None or not wire.ready:
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
