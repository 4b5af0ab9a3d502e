"""Any `httpx.Auth` as an authentication scheme here.

Such a scheme works on httpx's own requests and answers: each is translated on the way in and out. The translation keeps
what the scheme did not touch, above all the body, which stays the caller's (streamed, replayable or not) unless the
scheme put another in its place. Schemes that only define `auth_flow` serve both clients; one that does I/O of its own
in `sync_auth_flow` or `async_auth_flow` is driven by the method of the client's kind, as httpx does it.

The protocol is taken by its shape, so the schemes of httpx's successor httpx2 fit as well.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import httpx

from rest_api_client.auth.flow import AsyncFlow, Auth, Flow
from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.http.bodies import Body, BytesBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.runtimes.sync import SyncRuntime

if TYPE_CHECKING:
    from rest_api_client.context import Context


@runtime_checkable
class HttpxFlows(Protocol):
    """What an `httpx.Auth` is known by."""

    requires_request_body: bool
    requires_response_body: bool

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The flow in a sync client."""
        ...

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The flow in an async client."""
        ...


@dataclass(frozen=True, repr=False)
class HttpxAuth(Auth):
    """An `httpx.Auth`, driven request by request."""

    auth: HttpxFlows
    requires_response_body: bool = field(init=False, compare=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "requires_response_body", bool(self.auth.requires_response_body))

    def begin(self, request: Request, context: Context) -> Flow | AsyncFlow:
        """The scheme's own flow, sync or async as the client is."""
        return self._sync(request) if isinstance(context.runtime, SyncRuntime) else self._async(request)

    def _sync(self, request: Request) -> Flow:
        if self.auth.requires_request_body:
            request = request.replace(body=BytesBody(b"".join(_sync_chunks(request.body))))
        flow = self.auth.sync_auth_flow(_outward(request))
        try:
            asked = next(flow)
            while True:
                response = yield _inward(asked, request)
                asked = flow.send(_answer(response, asked))
        except StopIteration:
            return
        finally:
            flow.close()

    async def _async(self, request: Request) -> AsyncFlow:
        if self.auth.requires_request_body:
            request = request.replace(body=BytesBody(b"".join([chunk async for chunk in _chunks(request.body)])))
        flow = self.auth.async_auth_flow(_outward(request))
        try:
            asked = await anext(flow)
            while True:
                response = yield _inward(asked, request)
                asked = await flow.asend(_answer(response, asked))
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()


def _sync_chunks(body: Body) -> Iterator[bytes]:
    chunks = body.open()
    if not isinstance(chunks, Iterator):
        raise ConfigurationError("this auth reads the body, which comes from an async iterator: use AsyncAPIClient")
    return chunks


async def _chunks(body: Body) -> AsyncIterator[bytes]:
    chunks = body.open()
    if isinstance(chunks, Iterator):
        for chunk in chunks:
            yield chunk
    else:
        async for chunk in chunks:
            yield chunk


class _CallersBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Stands for a body that is not in memory: it is handed on, not read."""

    def __init__(self, body: Body) -> None:
        self.body = body


class _UnreadAnswer(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Stands for the body of a streamed answer, which belongs to the caller."""

    def __iter__(self) -> Iterator[bytes]:
        raise ClosedError(
            "this answer is streamed to the caller: set requires_response_body on the auth to read it first"
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk  # pragma: no cover  the line above always raises


def _outward(request: Request) -> httpx.Request:
    body, headers = request.body, request.headers.raw()
    if isinstance(body, BytesBody):
        return httpx.Request(request.method, str(request.url), headers=headers, content=body.data)
    if "host" not in request.headers:
        headers = [(b"Host", request.url.netloc.encode("ascii")), *headers]
    return httpx.Request(request.method, str(request.url), headers=headers, stream=_CallersBody(body))


_ENGINES_OWN = frozenset({"host", "content-length", "transfer-encoding"})
"""Fields that httpx adds to a request by itself; here the engine does, last."""


def _inward(asked: httpx.Request, original: Request) -> Request:
    url = URL.parse(str(asked.url))
    fields = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in asked.headers.raw)
    return original.replace(
        method=original.method if asked.method == original.method.upper() else asked.method,
        url=url,
        headers=Headers([f for f in fields if f[0].lower() not in _ENGINES_OWN or f[0] in original.headers]),
        body=_body(asked, original.body),
        template=original.template if url.path == original.url.path else None,
    )


def _body(asked: httpx.Request, original: Body) -> Body:
    stream = asked.stream
    if isinstance(stream, _CallersBody):
        return stream.body
    if isinstance(stream, Iterable) and isinstance(stream, AsyncIterable):
        content = b"".join(cast("Iterable[bytes]", stream))
        return original if BytesBody(content) == original else BytesBody(content)
    return OneShotBody(cast("Iterable[bytes]", stream))


_DECODED = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Fields that would have httpx decode the body once more."""


def _answer(response: Response, asked: httpx.Request) -> httpx.Response:
    fields = response.headers.multi_items()
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields if name.lower() not in _DECODED]
    if response.buffered:
        return httpx.Response(response.status_code, headers=raw, content=response.content, request=asked)
    return httpx.Response(response.status_code, headers=raw, stream=_UnreadAnswer(), request=asked)
