"""Reading the answer: decoded by us, bounded, and inside the attempt.

`Decode` turns the engine's raw stream into decoded pieces for every engine alike, counting both sides; a body that came
with its head it takes at once. `Read`, above it, takes the whole body while the attempt still runs, so that a body that
breaks off is an attempt that failed and can be retried. A call that streams leaves the body unread; its pieces are
still counted, by ratio alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import field

from rest_api_client.attempts import close
from rest_api_client.context import Context
from rest_api_client.exceptions import APIError, ResponseTooLarge
from rest_api_client.http.bodies import finish_both
from rest_api_client.http.body_limits import BodyLimits, BodyMeter
from rest_api_client.http.decoding import Decoder, content_encodings
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.transport import ByteStream, Fetched
from rest_api_client.typing import Proceed

ERROR_BODY = 1 << 20
"""Bytes of a 4xx or 5xx answer's body that are read into the exception of a streaming call."""


@dataclass(frozen=True, kw_only=True)
class Decode:
    """Decodes the body (gzip, deflate, br, zstd) in bounded steps."""

    limits: BodyLimits = field(default_factory=BodyLimits)
    stage = Stage.DECODE

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Hand on the answer: a body that came with its head is decoded here, any other while it is read.

        Raises:
            ResponseTooLarge: more header fields, or encodings of the body, than the client accepts; or that body is
                larger.
            DecodeError: that body is not what its encoding says.
        """
        response = await proceed(request, context)
        limits = self.limits.for_stream() if context.options.stream else self.limits
        try:
            lines, size = response.headers.size
            if limits.max_headers is not None and lines > limits.max_headers:
                raise _too_many(lines, limits.max_headers)
            if limits.max_header_bytes is not None and size > limits.max_header_bytes:
                raise _too_large(size, limits.max_header_bytes)
            stream = response.stream
            if isinstance(stream, Fetched):
                _fill(response, stream.data, limits)
            elif stream is not None:
                response.stream = DecodedStream(response, stream, limits, split=not context.options.bulk)
        except APIError as error:
            error.request, error.response = request, response
            await close(response)
            raise
        return response


def _too_many(lines: int, most: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"the answer has {lines} header fields, more than {most}: "
        "if the server means it, raise BodyLimits(max_headers=...)"
    )


def _too_large(size: int, most: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"the answer's header fields have {size} bytes, more than {most}: "
        "if the server means it, raise BodyLimits(max_header_bytes=...)"
    )


def _fill(response: Response, data: bytes, limits: BodyLimits) -> None:
    """Take a whole body that came with its head."""
    response.raw_size = len(data)
    if "content-encoding" in response.headers.present:
        decoder = _decoder(response, limits)
        data = b"".join(decoder.decode(data))
        decoder.finish()
    else:
        BodyMeter(limits).passed(len(data))
    response.fill(data)


def _decoder(response: Response, limits: BodyLimits, *, split: bool = True) -> Decoder:
    headers = response.headers
    encoded = "content-encoding" in headers.present
    return Decoder(content_encodings(headers.get_list("content-encoding")) if encoded else (), limits, split=split)


class DecodedStream:
    """A body, decoded while it is read. Errors carry request and response; the end gives the connection back."""

    def __init__(self, response: Response, raw: ByteStream, limits: BodyLimits, *, split: bool = True) -> None:
        self._response = response
        self._raw = raw
        self._decoder = _decoder(response, limits, split=split)
        self._pieces: AsyncGenerator[bytes, None] | None = None
        self._ended = False

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        if self._pieces is None:
            self._pieces = self._decode()
        return self._pieces

    async def _decode(self) -> AsyncGenerator[bytes, None]:
        chunks = aiter(self._raw)
        try:
            async for raw in chunks:
                for piece in self._decoder.decode(raw):
                    yield piece
            self._decoder.finish()
        except APIError as error:
            self._name(error)
            raise
        finally:
            await self._end(chunks)

    async def whole(self) -> bytes:
        """The whole body, instead of its pieces: nothing of it may have been asked for."""
        pieces, chunks = list[bytes](), aiter(self._raw)
        try:
            async for raw in chunks:
                pieces += self._decoder.decode(raw)
            self._decoder.finish()
        except APIError as error:
            self._name(error)
            raise
        finally:
            await self._end(chunks)
        return b"".join(pieces)

    def _name(self, error: APIError) -> None:
        error.request = self._response.request
        error.response = error.response or self._response

    async def _end(self, chunks: object) -> None:
        self._response.raw_size = self._decoder.raw_bytes
        await finish_both(chunks, self._raw)
        self._ended = True

    async def aclose(self) -> None:
        """Give back the connection, or drop it where the body was not read to its end."""
        if self._ended:
            return
        try:
            if self._pieces is not None:
                await self._pieces.aclose()
        finally:
            await self._raw.aclose()


@dataclass(frozen=True, kw_only=True)
class Read:
    """Reads the whole body of a buffered call."""

    stage = Stage.READ

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Hand on the answer with its content, or as a stream where the call asked for one."""
        response = await proceed(request, context)
        stream = response.stream
        if stream is None:
            return response
        if context.options.stream and response.status_code < 400:
            return await _judged(request, response, context)
        if context.options.stream or not isinstance(stream, DecodedStream):
            return await read(response, ERROR_BODY if context.options.stream else None)
        response.fill(await stream.whole())
        return response


async def _judged(request: Request, response: Response, context: Context) -> Response:
    """The answer, once it is known what it means: policies ask for that while nobody can close its stream any more."""
    try:
        context.classify(request, response)
    except BaseException:
        await close(response)
        raise
    return response


async def read(response: Response, limit: int | None = None) -> Response:
    """Read the body into the response, at most `limit` bytes of it, and give back what it held.

    Raises:
        TransportError, DecodeError, ResponseTooLarge, DeadlineExceeded: the body did not come whole.
    """
    stream = response.stream
    if stream is None:
        return response
    pieces, size = list[bytes](), 0
    chunks = aiter(stream)
    try:
        async for piece in chunks:
            pieces.append(piece)
            size += len(piece)
            if limit is not None and size >= limit:
                break
    finally:
        await finish_both(chunks, stream)
    response.fill(b"".join(pieces)[:limit])
    return response
