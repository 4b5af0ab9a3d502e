"""The border to httpx and httpx2: what is said to them and what is asked of them, for the sync and for the async half.

Both libraries are alike but share no class, so whatever touches one is made per flavour, once. `Any` ends here.
"""

from __future__ import annotations

import importlib
import ssl
import weakref
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import anyio  # noqa: TID251  only anyio's scope ends httpcore's generators on both loops

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.httpx.content import AsyncContent, Content, SyncContent
from rest_api_client.engines.httpx.lanes import Lane, LaneKey
from rest_api_client.engines.httpx.network import Backend, SyncBackend
from rest_api_client.engines.httpx.waits import Waits
from rest_api_client.engines.proxies import Proxy
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import Body
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request


class Library(Protocol):
    """One half of httpx or httpx2."""

    def content(self, body: Body) -> Content:
        """The body, opened."""
        ...

    def request(self, request: Request, content: Content, *, proxied: bool) -> Any:
        """The library's request."""
        ...

    def lane(
        self,
        key: LaneKey,
        home: object,
        waits: Waits,
        options: ConnectionOptions,
        context: ssl.SSLContext | None,
        proxy_context: ssl.SSLContext | None,
    ) -> Lane:
        """A transport that will make one connection."""
        ...

    async def call(self, transport: Any, request: Any) -> Any:
        """The library's response, its body unread."""
        ...

    def iterate(self, stream: Any) -> Any:
        """An iterator over the body."""
        ...

    async def pull(self, chunks: Any) -> bytes | None:
        """The next chunk, None at the end."""
        ...

    async def unwind(self, chunks: Any) -> None:
        """End an iterator whose connection was closed."""
        ...

    async def close(self, stream: Any) -> None:
        """Close the body."""
        ...

    def leftover(self, transport: Any) -> bool:
        """Whether bytes came behind an answer that is over."""
        ...


class _Common:
    def __init__(self, package: Any, core: Any) -> None:
        self._package = package
        self._core = core
        self._url = lru_cache(maxsize=256)(self._parse)

    def _parse(self, text: str) -> Any:
        return self._package.URL(text.partition("#")[0])

    def request(self, request: Request, content: Content, *, proxied: bool) -> Any:
        """The library's request, with target and fields exactly as given."""
        url = self._url(request.url.text)
        extensions = {}
        target = request.url.target.encode("ascii")
        if url.raw_path != target:
            if proxied:
                raise ConfigurationError(
                    f"{request.label}: this engine cannot send that path through a proxy unchanged"
                )
            extensions["target"] = target
        asked = self._package.Request(
            request.method, url, headers=_fields(request), stream=content, extensions=extensions
        )
        asked.method = request.method
        return asked

    def leftover(self, transport: Any) -> bool:
        """Whether bytes came behind an answer that is over.

        They lie in the parser, and would be read as the beginning of the next answer: httpcore looks only at the
        socket. A server, or whoever can make it say too much, would choose what the next caller reads.
        """
        return _unparsed(transport._pool.connection)  # noqa: SLF001  our own class

    def _pool_options(
        self,
        key: LaneKey,
        options: ConnectionOptions,
        context: ssl.SSLContext | None,
        proxy_context: ssl.SSLContext | None,
    ) -> dict[str, Any]:
        return {
            "ssl_context": context,
            "proxy": None if key.proxy is None else self._proxy(key.proxy, proxy_context),
            "keepalive_expiry": options.keepalive_expiry,
            "http2": options.http2,
            "uds": options.uds,
        }

    def _proxy(self, proxy: Proxy, context: ssl.SSLContext | None) -> Any:
        url = self._core.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/")
        return self._core.Proxy(url, auth=proxy.auth, ssl_context=context)


class SyncLibrary(_Common):
    """The sync half."""

    def __init__(self, package: Any, core: Any) -> None:
        super().__init__(package, core)
        self._transport = _lane_class(package.HTTPTransport)
        self._content = _content_class(SyncContent, package.SyncByteStream)

    @staticmethod
    @lru_cache
    def load(flavour: str) -> SyncLibrary:
        """The library of that name."""
        return SyncLibrary(*_import(flavour))

    def content(self, body: Body) -> Content:
        """The body, opened.

        Raises:
            ConfigurationError: it needs an event loop.
        """
        content: SyncContent = self._content(body)
        content.open()
        return content

    def lane(
        self,
        key: LaneKey,
        home: object,
        waits: Waits,
        options: ConnectionOptions,
        context: ssl.SSLContext | None,
        proxy_context: ssl.SSLContext | None,
    ) -> Lane:
        """A transport that will make one connection."""
        backend = Backend(waits, options.resolver, self._core.WriteError, proxied=key.proxy is not None)
        settings = self._pool_options(key, options, context, proxy_context)
        pool = self._core.ConnectionPool(network_backend=SyncBackend(backend), **settings)
        return Lane(key, weakref.ref(home), self._transport(_Single(pool, self._core)), backend)

    async def call(self, transport: Any, request: Any) -> Any:
        """The library's response, its body unread."""
        return transport.handle_request(request)

    def iterate(self, stream: Any) -> Any:
        """An iterator over the body."""
        return iter(stream)

    async def pull(self, chunks: Any) -> bytes | None:
        """The next chunk, None at the end."""
        return next(chunks, None)

    async def unwind(self, chunks: Any) -> None:
        """End an iterator whose connection was closed."""
        close = getattr(chunks, "close", None)
        if close is not None:
            close()

    async def close(self, stream: Any) -> None:
        """Close the body."""
        stream.close()


class AsyncLibrary(_Common):
    """The async half."""

    def __init__(self, package: Any, core: Any) -> None:
        super().__init__(package, core)
        self._transport = _lane_class(package.AsyncHTTPTransport)
        self._content = _content_class(AsyncContent, package.AsyncByteStream)

    @staticmethod
    @lru_cache
    def load(flavour: str) -> AsyncLibrary:
        """The library of that name."""
        return AsyncLibrary(*_import(flavour))

    def content(self, body: Body) -> Content:
        """The body, opened."""
        content: AsyncContent = self._content(body)
        content.open()
        return content

    def lane(
        self,
        key: LaneKey,
        home: object,
        waits: Waits,
        options: ConnectionOptions,
        context: ssl.SSLContext | None,
        proxy_context: ssl.SSLContext | None,
    ) -> Lane:
        """A transport that will make one connection."""
        backend = Backend(waits, options.resolver, self._core.WriteError, proxied=key.proxy is not None)
        settings = self._pool_options(key, options, context, proxy_context)
        pool = self._core.AsyncConnectionPool(network_backend=backend, **settings)
        return Lane(key, weakref.ref(home), self._transport(_AsyncSingle(pool, self._core)), backend)

    async def call(self, transport: Any, request: Any) -> Any:
        """The library's response, its body unread."""
        return await transport.handle_async_request(request)

    def iterate(self, stream: Any) -> Any:
        """An iterator over the body."""
        return aiter(stream)

    async def pull(self, chunks: Any) -> bytes | None:
        """The next chunk, None at the end."""
        chunk: bytes | None = await anext(chunks, None)
        return chunk

    async def unwind(self, chunks: Any) -> None:
        """Run the library's nested generators to their end: the connection is closed, or else the scope is.

        Closing only the outermost would leave the inner ones to the garbage collector, which trio reports.
        """
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for _ in chunks:
                pass

    async def close(self, stream: Any) -> None:
        """Close the body."""
        await stream.aclose()


class _Single:
    """Stands in a pool's place: one connection of that pool's kind, and a new one where the server has closed it.

    A pool asks all its connections before each request and after each body; there is one, and its lane knows how it is.
    """

    def __init__(self, pool: Any, core: Any) -> None:
        self._make = pool.create_connection
        self._unavailable: type[Exception] = core.ConnectionNotAvailable
        self.connection: Any = None

    def handle_request(self, request: Any) -> Any:
        """httpcore's response, over this connection."""
        connection = self.connection
        if connection is not None:
            if connection.has_expired():
                connection.close()
            else:
                with suppress(self._unavailable):
                    return connection.handle_request(request)
        self.connection = connection = self._make(request.url.origin)
        return connection.handle_request(request)


class _AsyncSingle(_Single):
    """The same for loops."""

    async def handle_async_request(self, request: Any) -> Any:
        """httpcore's response, over this connection."""
        connection = self.connection
        if connection is not None:
            if connection.has_expired():
                await connection.aclose()
            else:
                with suppress(self._unavailable):
                    return await connection.handle_async_request(request)
        self.connection = connection = self._make(request.url.origin)
        return await connection.handle_async_request(request)


def _unparsed(connection: Any) -> bool:
    # HTTPConnection and the proxies' connections hold the one that speaks; HTTP/2 has no such bytes.
    while connection is not None:
        parser = getattr(connection, "_h11_state", None)
        if parser is not None:
            return bool(parser.trailing_data[0])
        connection = getattr(connection, "_connection", None)
    return False


def _import(flavour: str) -> tuple[Any, Any]:
    try:
        return importlib.import_module(flavour), importlib.import_module(flavour.replace("httpx", "httpcore"))
    except ImportError as error:
        raise ConfigurationError(
            f"engine={flavour!r} needs an extra: pip install 'rest-api-client-kit[{flavour}]'"
        ) from error


def _lane_class(parent: Any) -> Any:
    """A transport on what stands in its pool's place; the parent's own constructor would build a TLS context."""

    def __init__(self: Any, single: Any) -> None:  # noqa: N807  it becomes the class's
        self._pool = single

    return type("Lane", (parent,), {"__init__": __init__})


def _content_class(mixin: type, parent: Any) -> Any:
    return type(mixin.__name__, (mixin, parent), {})


def _fields(request: Request) -> list[tuple[bytes, bytes]]:
    """The request's fields, with Host and the body's framing where they are not given."""
    headers, body = request.headers, request.body
    fields, names = headers.cached(Headers.raw).copy(), headers.present
    if "host" not in names:
        fields.insert(0, (b"Host", request.url.netloc.encode("ascii")))
    if "transfer-encoding" in names:
        return fields
    if "content-length" in names:
        if body.length is not None and headers["content-length"] != str(body.length):
            raise ConfigurationError(
                f"content-length: {headers['content-length']}, but the body has {body.length} bytes: leave it out"
            )
        return fields
    if body.length is None:
        fields.append((b"Transfer-Encoding", b"chunked"))
    elif body.length or request.method in {"POST", "PUT", "PATCH"}:
        fields.append((b"Content-Length", str(body.length).encode("ascii")))
    return fields
