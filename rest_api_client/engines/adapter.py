"""Any transport of httpx or httpx2 as an engine: the user's own, a MockTransport, an ASGI or WSGI one.

    client = APIClient(engine=HttpxAdapter(httpx.MockTransport(handler)))
    client = AsyncAPIClient(engine=AsyncHttpxAdapter(httpx.ASGITransport(app)))

A foreign transport is a black box, and the adapter says so instead of guessing. Phase timeouts are handed on in the
request's extensions, as httpx's own client does, cut to the time left; whether the transport obeys them is its affair.
The deadline is otherwise checked only when the transport gives control back: before sending and at each chunk.
Nothing proves a request unsent, and `abort` takes effect at the next chunk. The capabilities lack what is lacking.

The body comes raw from the transport's stream; httpx's decoders are never used. What a transport raises is told in our
words (`errors.translate`), its own error as the cause.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import httpx

from rest_api_client.engines.errors import Translated, aborted
from rest_api_client.exceptions import CapabilityError, ClosedError, ConfigurationError
from rest_api_client.http.bodies import Body, BytesBody
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.transport import ByteStream, Capability, Exchange

_BOTH = frozenset(
    {
        Capability.STREAM_RESPONSE,
        Capability.STREAM_REQUEST,
        Capability.PHASE_TIMEOUTS,
        Capability.REASON_PHRASE,
    }
)


class HttpxAdapter:
    """A sync transport of httpx or httpx2 as the engine of an `APIClient`.

    The client closes the transport when it is closed itself.

    Raises:
        ConfigurationError: not a transport, or one for async clients only.
    """

    capabilities = _BOTH | {Capability.SYNC}

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._library: Any = _library(transport, "BaseTransport")
        self._transport = transport
        self.name = _name(transport)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Hand the request to the transport.

        Raises:
            TransportError: whatever the transport raised; DeadlineExceeded where no time was left.
        """
        _check(exchange)
        asked = _ask(self._library, request, exchange, _content(request.body, exchange))
        exchange.phase = "connect"
        with Translated(exchange):
            answer = self._transport.handle_request(asked)
        exchange.phase = "read"
        return _answer(answer, request, exchange, SyncBody(answer.stream, exchange))

    async def aclose(self) -> None:
        """Close the transport."""
        self._transport.close()

    def __repr__(self) -> str:
        return f"HttpxAdapter({self._transport!r})"


class AsyncHttpxAdapter:
    """An async transport of httpx or httpx2 as the engine of an `AsyncAPIClient`.

    The client closes the transport when it is closed itself. Which event loops it may be used in is the transport's
    affair: httpx's own belongs to the loop that used it first.

    Raises:
        ConfigurationError: not a transport, or one for sync clients only.
    """

    capabilities = _BOTH | {Capability.ASYNCIO, Capability.TRIO}

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._library: Any = _library(transport, "AsyncBaseTransport")
        self._transport = transport
        self.name = _name(transport)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Hand the request to the transport.

        Raises:
            TransportError: whatever the transport raised; DeadlineExceeded where no time was left.
        """
        _check(exchange)
        asked = _ask(self._library, request, exchange, _async_content(request.body, exchange))
        exchange.phase = "connect"
        with Translated(exchange):
            answer = await self._transport.handle_async_request(asked)
        exchange.phase = "read"
        return _answer(answer, request, exchange, AsyncBody(answer.stream, exchange))

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

    def __repr__(self) -> str:
        return f"AsyncHttpxAdapter({self._transport!r})"


_FACES = {"BaseTransport": ("sync", "APIClient"), "AsyncBaseTransport": ("async", "AsyncAPIClient")}


def _library(transport: object, face: str) -> ModuleType:
    """The library a transport belongs to. httpx2 shares no class with httpx; who gives its transport imported it."""
    libraries = [module for name in ("httpx", "httpx2") if (module := sys.modules.get(name)) is not None]
    for library in libraries:
        if isinstance(transport, getattr(library, face)):
            return library
    other = next(name for name in _FACES if name != face)
    if any(isinstance(transport, getattr(library, other)) for library in libraries):
        kind, client = _FACES[other]
        raise ConfigurationError(f"{type(transport).__name__} is a transport for {kind} clients only: use {client}")
    raise ConfigurationError(f"{transport!r} is no transport: give an httpx.{face}, or one of httpx2")


def _name(transport: object) -> str:
    return f"{type(transport).__name__} (deadline best effort)"


def _check(exchange: Exchange) -> None:
    if exchange.aborted:
        raise aborted(exchange)
    exchange.limit(None)


def _ask(library: Any, request: Request, exchange: Exchange, content: object) -> Any:
    """The request in the library's words; it adds Host, and the framing where the request names none."""
    body, headers = request.body, request.headers
    if not isinstance(body, BytesBody) and body.length is not None and "content-length" not in headers:
        headers = headers.merged({"content-length": str(body.length)})
    asked = library.Request(
        request.method,
        str(request.url).partition("#")[0],
        headers=headers.raw(),
        content=content,
        extensions={"timeout": _timeouts(exchange)},
    )
    asked.method = request.method
    if asked.url.raw_path != request.url.target.encode("ascii"):
        raise CapabilityError(
            f"{library.__name__} would send {asked.url.raw_path.decode('ascii')!r} in place of {request.url.target!r}"
        )
    return asked


def _timeouts(exchange: Exchange) -> dict[str, float | None]:
    limits = exchange.timeouts
    phases = {"connect": limits.connect, "read": limits.read, "write": limits.write, "pool": limits.pool}
    return {phase: exchange.limit(limit) for phase, limit in phases.items()}


def _answer(answer: Any, request: Request, exchange: Exchange, stream: ByteStream) -> Response:
    extensions = answer.extensions
    version = extensions.get("http_version")
    exchange.http_version = version.decode("ascii", errors="replace") if version else None
    return Response(
        answer.status_code,
        headers=Headers.received(answer.headers.raw),
        stream=stream,
        request=request,
        reason=extensions.get("reason_phrase", b"").decode("latin-1"),
        http_version=exchange.http_version,
    )


# ---------------------------------------------------------------------- the request's body


def _content(body: Body, exchange: Exchange) -> bytes | Iterator[bytes]:
    if isinstance(body, BytesBody):
        return _known(body, exchange)
    chunks = body.open()
    if isinstance(chunks, AsyncIterator):
        raise ConfigurationError("a sync client cannot send an async iterator: give an iterator, or use AsyncAPIClient")
    return _counted(chunks, exchange)


def _async_content(body: Body, exchange: Exchange) -> bytes | AsyncIterator[bytes]:
    return _known(body, exchange) if isinstance(body, BytesBody) else _async_counted(body.open(), exchange)


def _known(body: BytesBody, exchange: Exchange) -> bytes:
    exchange.bytes_sent += body.length  # what the transport was given; nothing is proved by it
    return body.data


def _counted(chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
    """Chunks, counted as the transport takes them, and withheld once the exchange is over."""
    for chunk in chunks:
        _check(exchange)
        yield chunk
        exchange.bytes_sent += len(chunk)


async def _async_counted(chunks: Iterator[bytes] | AsyncIterator[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterator):
        async for chunk in chunks:
            _check(exchange)
            yield chunk
            exchange.bytes_sent += len(chunk)
    else:
        for chunk in _counted(chunks, exchange):
            yield chunk


# ---------------------------------------------------------------------- the answer's body


class _AnswerBody:
    """What both faces share: the chunks once, each behind a look at the deadline."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        self._chunks: Any = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk, as the transport cuts them.

        Raises:
            TransportError: whatever the stream raised; DeadlineExceeded once the deadline passed.
        """
        if self._closed:
            raise ClosedError("the body was closed, or read to its end")
        _check(self._exchange)
        with Translated(self._exchange):
            chunk = await self._next()
            if chunk is None:
                await self.aclose()
        _check(self._exchange)
        if chunk is None:
            self._exchange.phase = "done"
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes | None:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close the transport's stream. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._close()

    async def _close(self) -> None:
        raise NotImplementedError


class SyncBody(_AnswerBody):
    """The raw body of a sync transport's answer."""

    async def _next(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = iter(self._stream)
        return next(self._chunks, None)

    async def _close(self) -> None:
        self._stream.close()


class AsyncBody(_AnswerBody):
    """The raw body of an async transport's answer."""

    async def _next(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = aiter(self._stream)
        return await anext(self._chunks, None)

    async def _close(self) -> None:
        await self._stream.aclose()
