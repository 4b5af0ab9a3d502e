"""A script of bytes, read as a client reads them: by h11, which httpx has for its HTTP/1.1.

Where a script says `Raw`, or has a head that is not HTTP, no rule tells what a client makes of it; a parser does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11

from rest_api_client.engines.played import response
from rest_api_client.exceptions import ClosedError, ReadError, RemoteProtocolError
from rest_api_client.http.headers import Headers
from rest_api_client.script import Close, End, Garbage, Reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rest_api_client.engines.played import Play
    from rest_api_client.models import Request, Response

_LARGEST_EVENT = 100 * 1024
"""Bytes of a head that httpx reads before it gives up."""

_GULP = 64 * 1024
"""Bytes that it reads at a time."""


async def parse(play: Play, request: Request) -> Response:
    """The answer, once its final head has come."""
    body = ParsedBody(play, request.method)
    head = await body.head()
    play.exchange.phase = "read"
    play.exchange.http_version = f"HTTP/{head.http_version.decode()}"
    headers = Headers.received(head.headers.raw_items())
    return response(request, play.exchange, head.status_code, headers, head.reason.decode("latin-1"), body)


class ParsedBody:
    """An answer parsed as it comes: its head, then its body."""

    def __init__(self, play: Play, method: str) -> None:
        self._play = play
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_EVENT)
        self._parser.send(h11.Request(method=method, target="/", headers=[("host", "stage")]))
        self._parser.send(h11.EndOfMessage())
        self._unread = b""
        self._ended = False
        self._idle = False
        self._over = False
        self._closed = False

    async def head(self) -> h11.Response:
        """The final head; interim ones pass unseen."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk."""
        if self._closed and not self._over:
            raise ClosedError("the body was closed before it was read to its end")
        if not self._over:
            event = await self._event()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            self._over = True
            self._play.exchange.phase = "done"
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Drop the connection where the body was not read to its end."""
        self._closed = True

    async def _event(self) -> Any:
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                raise RemoteProtocolError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            await self._receive()

    async def _receive(self) -> None:
        """Feed the parser with what comes next."""
        if not (self._unread or self._ended):
            self._unread = await self._next()
        piece, self._unread = self._unread[:_GULP], self._unread[_GULP:]
        if piece or self._ended:
            self._parser.receive_data(piece)

    async def _next(self) -> bytes:
        if self._idle:
            await self._play.silence()
        step, data = await self._play.step()
        if isinstance(step, Reset):
            raise ReadError("connection reset")
        sent = self._play.encoder.encode(step) if data is None else data
        self._idle = isinstance(step, End) and self._play.encoder.reusable
        self._ended = isinstance(step, Close | Garbage | End) and not self._idle
        return sent
