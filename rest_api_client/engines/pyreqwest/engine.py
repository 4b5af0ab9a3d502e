"""The two engines: what pyreqwest would do otherwise than asked is refused, the rest becomes a call of its client."""

from __future__ import annotations

import asyncio  # noqa: TID251  pyreqwest is asyncio's alone: its calls need tasks that no cancellation reaches
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.http import Url

from rest_api_client.clock import SYSTEM, Clock, SystemClock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.gate import Gate, Permit
from rest_api_client.engines.passage import Passage
from rest_api_client.engines.pyreqwest.calls import AsyncBody, Call, SyncBody, buffered
from rest_api_client.engines.pyreqwest.clients import Clients
from rest_api_client.engines.pyreqwest.uploads import AsyncSource, Source
from rest_api_client.exceptions import CapabilityError, ClosedError, ConfigurationError
from rest_api_client.forks import in_child
from rest_api_client.http.bodies import EMPTY, Body, BytesBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import Runtime
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Capability, Exchange

_BOTH = frozenset(
    {
        Capability.STREAM_RESPONSE,
        Capability.STREAM_REQUEST,
        Capability.HTTP2,
        Capability.PROXY,
        Capability.CUSTOM_CA,
        Capability.SYSTEM_TRUST,
        Capability.CLIENT_CERT,
        Capability.NO_VERIFY,
        Capability.KEEPALIVE_EXPIRY,
        Capability.PER_HOST_LIMIT,
        Capability.HARD_DEADLINE,
    }
)


class _Engine:
    """What the sync and the async engine share: clients, gate, and the request in pyreqwest's words."""

    name = "pyreqwest"
    runtime: Runtime

    def __init__(self, options: ConnectionOptions, builder: Any, clock: Clock) -> None:
        if not isinstance(clock, SystemClock):
            raise CapabilityError("pyreqwest waits on real sockets: with a virtual clock use ScriptedTransport")
        self._clock = clock
        self._clients = Clients(builder, options)
        self.gate = Gate.of(options)
        self._closed = False

    def _begin(self, request: Request) -> Url:
        """Refuse what cannot be sent, tell audit hooks, and give the URL in pyreqwest's words."""
        if self._closed:
            raise ClosedError("the engine is closed")
        _THREADS.need()
        url = request.url
        target = _target(url)
        # Python tells audit hooks where sockets connect; these are Rust's. So a test's guard can keep them in.
        sys.audit("rest_api_client.connect", url.host, url.port)
        return target

    async def _wait_for_permit(self, request: Request, exchange: Exchange) -> Permit:
        return await self.gate.enter(request.url.origin, Passage(exchange, self.runtime))

    def _call(self, request: Request, target: Url, exchange: Exchange, permit: Permit) -> Call:
        """The request, ready to be sent. Its time begins now."""
        try:
            call = Call(request, exchange, permit, self.runtime)
            builder = self._clients.get(request, exchange.timeouts).request(request.method, target)
            builder = builder.headers(_framed(request).cached(_sendable))
            body = request.body
            if body is not EMPTY:
                builder = self._with_body(builder, body, call)
            builder = builder.streamed_read_buffer_limit(buffered(exchange))
            left = call.left()
            if left is not None:
                builder = builder.timeout(timedelta(0, left))
            call.context = builder.build_streamed()
        except BaseException:
            permit.give_back()
            raise
        exchange.phase = "wait"
        return call

    def _with_body(self, builder: Any, body: Body, call: Call) -> Any:
        if isinstance(body, BytesBody):
            call.exchange.bytes_sent = body.length
            return builder.body_bytes(body.data) if body.length else builder
        chunks = body.open()
        if isinstance(chunks, AsyncIterator):
            self._refuse_async_body()
            call.source = AsyncSource(chunks, body.length, call.exchange)
        else:
            call.source = Source(chunks, body.length, call.exchange, self._clock)
        return builder.body_stream(call.source.upload())

    def _refuse_async_body(self) -> None:
        """Refuse a body that only a loop can read, where there is none."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.gate.inside} under way>"


class SyncPyreqwestEngine(_Engine):
    """pyreqwest for `APIClient`. Needs the extra `fast`.

    Args:
        options: how to connect.
        clock: the real one.

    Raises:
        CapabilityError: an option that pyreqwest cannot honour; the message says which engine does.
    """

    capabilities = _BOTH | {Capability.SYNC}

    def __init__(self, options: ConnectionOptions, *, clock: Clock = SYSTEM) -> None:
        super().__init__(options, SyncClientBuilder, clock)
        self.runtime = SyncRuntime(clock)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; see `Transport.send`.

        Raises:
            CapabilityError: a URL or a field that pyreqwest would change.
            ConfigurationError: in a forked child.
        """
        target = self._begin(request)
        permit = self.gate.admit(request.url.origin) or await self._wait_for_permit(request, exchange)
        call = self._call(request, target, exchange, permit)
        try:
            call.answer = call.context.__enter__()
        except BaseException as error:
            call.failed(error)
            raise
        return await SyncBody(call).answer()

    def _refuse_async_body(self) -> None:
        raise ConfigurationError("a sync client cannot send an async iterator: give an iterator, or use AsyncAPIClient")

    async def aclose(self) -> None:
        """Close every connection; calls under way in other threads end with ClosedError."""
        self._closed = True
        if _THREADS.lost:
            return
        for client in self._clients.take():
            client.close()


class AsyncPyreqwestEngine(_Engine):
    """pyreqwest for `AsyncAPIClient`, on asyncio, from any number of loops. Needs the extra `fast`.

    Args:
        options: how to connect.
        clock: the real one.

    Raises:
        CapabilityError: an option that pyreqwest cannot honour; the message says which engine does.
    """

    capabilities = _BOTH | {Capability.ASYNCIO}

    def __init__(self, options: ConnectionOptions, *, clock: Clock = SYSTEM) -> None:
        super().__init__(options, ClientBuilder, clock)
        self.runtime = AsyncRuntime(clock)
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; see `Transport.send`.

        Raises:
            CapabilityError: on trio; or a URL or a field that pyreqwest would change.
            ConfigurationError: in a forked child.
        """
        loop = _loop()
        target = self._begin(request)
        permit = self.gate.admit(request.url.origin) or await self._wait_for_permit(request, exchange)
        call = self._call(request, target, exchange, permit)
        opened = loop.create_future()
        task = loop.create_task(call.open(opened))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await opened
        except asyncio.CancelledError:
            call.abandon()
            raise
        return await AsyncBody(call).answer()

    async def aclose(self) -> None:
        """Close every connection; calls under way end with ClosedError."""
        self._closed = True
        if _THREADS.lost:
            return
        for client in self._clients.take():
            await client.close()
        here = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        if here:
            await asyncio.wait(here)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise CapabilityError("pyreqwest runs on asyncio only: with trio choose engine='httpx'") from None


def _target(url: URL) -> Url:
    """The URL in pyreqwest's words, which sends what its own parser makes of it."""
    theirs, target = _parsed(url.text)
    if target != url.target:
        raise CapabilityError(
            f"pyreqwest would send {target!r} in place of {url.target!r}: choose engine='httpx' for it"
        )
    return theirs


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Url, str]:
    url = Url(text.partition("#")[0])
    return url, url.path if url.query_string is None else f"{url.path}?{url.query_string}"


def _sendable(headers: Headers) -> list[tuple[str, str]]:
    """The fields, where all of them go out as they are."""
    fields = headers.multi_items()
    for name, value in fields:
        if not value.isascii():
            raise CapabilityError(f"header {name}: pyreqwest sends bytes beyond ASCII in another charset: encode them")
    return fields


def _framed(request: Request) -> Headers:
    """The fields, with the length where pyreqwest would not know or not say it (RFC 9110, section 8.6)."""
    headers, body = request.headers, request.body
    if isinstance(body, BytesBody) and (body.data or request.method not in {"POST", "PUT", "PATCH"}):
        return headers
    length = body.length
    if length is None or "content-length" in headers or "transfer-encoding" in headers:
        return headers
    return headers.merged({"content-length": str(length)})


class _Threads:
    """pyreqwest's own, which are the process's, not one engine's: a forked child lacks those of its parent.

    Attributes:
        running: whether there are any.
        lost: whether they stayed behind in a fork.
    """

    def __init__(self) -> None:
        self.running = self.lost = False
        in_child(self._forked)

    def _forked(self) -> None:
        self.lost = self.running

    def need(self) -> None:
        """Have them run.

        Raises:
            ConfigurationError: in a forked child.
        """
        if self.lost:
            raise ConfigurationError(
                "pyreqwest was used before the process forked, and its threads did not come along: "
                "use it in the child only, or choose engine='httpx'"
            )
        self.running = True


_THREADS = _Threads()
