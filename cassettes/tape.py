"""One attempt while it runs: what is heard of it, piece by piece, until it is an interaction.

Nothing is held back: the client has each piece before the next one is asked for. The moments are those of the client's
clock, counted from the start of the attempt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from cassettes.interaction import FAILURES, Asked, Failure, Fields, Interaction
from rest_api_client.engines.errors import out_of_time
from rest_api_client.exceptions import APIError
from rest_api_client.http.bodies import Body, BytesBody, Chunks, finish
from rest_api_client.http.framing import bodiless
from rest_api_client.script import Chunk, Close, Delay, End, Head, Refuse, Reset, Script, Stall, Step
from rest_api_client.transport import ByteStream, Exchange

if TYPE_CHECKING:
    from rest_api_client.models import Request, Response

_ENDINGS: dict[str, Step] = {
    "RemoteProtocolError": Close(),
    "ReadError": Reset(),
    "WriteError": Reset(),
    "TransportError": Reset(),
}
_GRAIN = 0.0001
"""Seconds below which a pause is none: the machine's own slowness, not the server's."""


class Tape:
    """What an attempt was, as far as it got.

    Args:
        request: as the engine is given it.
        exchange: tells the time, and what was proved.
        started: seconds after the recording began.
    """

    def __init__(self, request: Request, exchange: Exchange, started: float) -> None:
        self._request = request
        self._exchange = exchange
        self._began = exchange.clock.monotonic()
        self._started = started
        self._body: list[bytes] = []
        self._steps: list[Step] = []
        self._told = 0.0
        self._head: Head | None = None
        self._heard = 0
        self._ending: Step | None = None
        self._failure: Failure | None = None
        self.void = False

    def request(self) -> Request:
        """The request to send: the same, its body listened to."""
        body = self._request.body
        if isinstance(body, BytesBody):
            self._body = [body.data]
            return self._request
        return self._request.replace(body=_TapedBody(body, self._body))

    def answered(self, response: Response) -> None:
        """The head is there; the body is listened to from now on."""
        headers = tuple((name.lower(), value) for name, value in response.headers.multi_items())
        self._head = Head(response.status_code, headers, response.reason or None)
        self._tell(self._head)
        if response.stream is not None:
            response.stream = _TapedStream(response.stream, self)

    def heard(self, piece: bytes) -> None:
        """A piece of the body came."""
        self._heard += len(piece)
        self._tell(Chunk(piece))

    def ended(self) -> None:
        """The body is complete."""
        self._ending = self._ending or End()

    def failed(self, error: BaseException) -> None:
        """The attempt ended with this. What is no failure of the network or the server leaves nothing to record."""
        if self._ending is not None:
            return
        name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in FAILURES), None)
        if name is None and not isinstance(error, Exception):
            if not out_of_time(self._exchange):
                return  # cancelled: abandoned, unless it turns out to be complete
            name = "DeadlineExceeded"
        if name is None:
            self.void = isinstance(error, APIError) and self._head is None
            return
        unsent = self._exchange.unsent
        self._failure = Failure(name, unsent)
        refused = unsent and issubclass(FAILURES[name], FAILURES["ConnectError"])
        self._tell(_ENDINGS.get(name, Refuse() if refused else Stall()))
        self._ending = self._steps.pop()
        if refused:
            self._steps = []

    def interaction(self) -> Interaction:
        """What is known by now."""
        ending = self._ending or (End() if self._complete() else None)
        return Interaction(
            asked(self._request, b"".join(self._body)),
            Script(*self._steps, ending or Stall()),
            failure=self._failure,
            abandoned=ending is None,
            started=self._started,
        )

    def _complete(self) -> bool:
        """Whether a body that was left before its end had nothing more to give."""
        if self._head is None:
            return False
        length = next((value for name, value in self._head.headers if name == "content-length"), None)
        return bodiless(self._request.method, self._head.status) or length == str(self._heard)

    def _tell(self, step: Step) -> None:
        now = self._exchange.clock.monotonic() - self._began
        if now - self._told >= _GRAIN:
            pause = round(now - self._told, 6)
            self._steps.append(Delay(pause))
            self._told += pause
        self._steps.append(step)


def asked(request: Request, body: bytes) -> Asked:
    """A request of the client as cassettes keep it; without its fragment, which is never sent."""
    url = request.url
    fields: Fields = tuple((name.lower(), value) for name, value in request.headers.multi_items())
    return Asked(request.method, f"{url.scheme}://{url.netloc}{url.target}", fields, body)


class _TapedBody:
    """A request's body, kept as it is read; from the start each time it is opened."""

    def __init__(self, body: Body, kept: list[bytes]) -> None:
        self._inner = body
        self._kept = kept
        self.length = body.length
        self.replayable = body.replayable

    def open(self) -> Chunks:
        """The same chunks."""
        chunks = self._inner.open()
        self._kept.clear()
        return self._listen(chunks) if isinstance(chunks, Iterator) else self._alisten(chunks)

    def _listen(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._kept.append(chunk)
            yield chunk

    async def _alisten(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self._kept.append(chunk)
                yield chunk
        finally:
            await finish(chunks)


class _TapedStream:
    """An answer's body, passed through as it comes."""

    def __init__(self, inner: ByteStream, tape: Tape) -> None:
        self._inner = inner
        self._pieces = aiter(inner)
        self._tape = tape

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._tape.ended()
            raise
        except BaseException as error:
            self._tape.failed(error)
            raise
        self._tape.heard(piece)
        return piece

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()
