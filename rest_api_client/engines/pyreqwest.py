"""The pyreqwest engine: Rust's reqwest and hyper, near the speed of a raw socket.

What it can do and what not was measured, not read; the rules that follow from it:

- The deadline is each request's total timeout, which cuts every phase. Connect and read limits are the client's
  (`pyreqwest_clients`); the read limit also counts the time until the head. There is no write limit. `Timeouts.pool`
  is our own gate's.
- A call that is cancelled before the head goes on in Rust. So it runs in a task of ours, and its permit comes back when
  it has really ended, not when nobody waits any more.
- Its CancelledError is one that anyio does not recognise, and a native cancel that races with the result is lost:
  `_heed` sees to both.
- Iterators that are sent are read in a thread of ours (`uploads`): Rust's threads must not be inside Python when the
  interpreter ends, and a source that hangs must not hold up the deadline.
- After a fork its threads are gone and a call would wait for ever: the child is refused.
- It normalises URLs in its own way (`/a/%2e%2e/b` becomes `/b`): what it would change is refused.
- Field values beyond ASCII it would send as UTF-8, and cannot give when they are received: both are errors.
"""

from __future__ import annotations

import asyncio  # noqa: TID251  pyreqwest is asyncio's alone: its calls need tasks that no cancellation reaches
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from anyio.lowlevel import checkpoint  # noqa: TID251  as above: a cancellation in anyio's own words
from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url

from rest_api_client.clock import SYSTEM, Clock, SystemClock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.errors import TIMER_GRAIN, aborted
from rest_api_client.engines.gate import Gate, Permit
from rest_api_client.engines.line import Line
from rest_api_client.engines.pyreqwest_clients import Clients
from rest_api_client.engines.pyreqwest_errors import told
from rest_api_client.engines.uploads import AsyncSource, Source, UploadStopped
from rest_api_client.exceptions import CapabilityError, ClosedError, ConfigurationError, DeadlineExceeded, DecodeError
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.runtime import Runtime, run_sync
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
        self._gate = Gate.of(options)
        self._closed = False

    def _begin(self, request: Request, exchange: Exchange) -> Line:
        if self._closed:
            raise ClosedError("the engine is closed")
        _refuse_fork()
        _refuse_rewriting(request)
        return Line(exchange, self.runtime)

    def _call(self, request: Request, line: Line, permit: Permit) -> _Call:
        """The request, ready to be sent. Its time begins now."""
        call = _Call(request, line, permit)
        builder = self._clients.get(request, line.exchange.timeouts).request(request.method, str(request.url))
        builder = self._with_body(builder, call).streamed_read_buffer_limit(0)
        left = call.left()
        if left is not None:
            builder = builder.timeout(timedelta(seconds=left))
        call.context = builder.build_streamed()
        return call

    def _with_body(self, builder: Any, call: _Call) -> Any:
        body = call.request.body
        builder = builder.headers(_framed(call.request).multi_items())
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
        return f"<{type(self).__name__}, {self._gate.inside} under way>"


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
        line = self._begin(request, exchange)
        permit = await self._gate.enter(request.url.origin, line)
        try:
            call = self._call(request, line, permit)
        except BaseException:
            permit.give_back()
            raise
        exchange.phase = "wait"
        with call.heard():
            call.answer = call.context.__enter__()
        return call.response(SyncBody(call))

    def _refuse_async_body(self) -> None:
        raise ConfigurationError("a sync client cannot send an async iterator: give an iterator, or use AsyncAPIClient")

    async def aclose(self) -> None:
        """Close every connection; calls under way in other threads end with ClosedError."""
        self._closed = True
        if _in_child():
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
        line = self._begin(request, exchange)
        permit = await self._gate.enter(request.url.origin, line)
        try:
            call = self._call(request, line, permit)
            task = loop.create_task(call.open())
        except BaseException:
            permit.give_back()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        exchange.phase = "wait"
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            call.abandon()
            raise
        return call.response(AsyncBody(call))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()  # a cancelled caller asks no more, and asyncio would print what nobody asked for

    async def aclose(self) -> None:
        """Close every connection; calls under way end with ClosedError."""
        self._closed = True
        if _in_child():
            return
        for client in self._clients.take():
            await client.close()
        here = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        if here:
            await asyncio.wait(here)


class _Call:
    """One exchange under way: what it holds, until it has really ended."""

    def __init__(self, request: Request, line: Line, permit: Permit) -> None:
        self.request = request
        self.exchange = line.exchange
        self.context: Any = None
        self.answer: Any = None
        self.source: Source | AsyncSource | None = None
        self._line = line
        self._permit = permit
        self._abandoned = False
        self._ended = False

    def left(self) -> float | None:
        """Seconds until the deadline.

        Raises:
            DeadlineExceeded: none are left.
        """
        if self.exchange.aborted:
            raise aborted(self.exchange)
        deadline = self._line.deadline
        if deadline is None:
            return None
        left = deadline - self._line.runtime.now()
        if left <= 0:
            raise DeadlineExceeded(f"the deadline passed in phase {self.exchange.phase!r}")
        return left

    @property
    def late(self) -> bool:
        """Whether the deadline passed, or will before anybody could look again."""
        deadline = self._line.deadline
        return deadline is not None and deadline - self._line.runtime.now() <= TIMER_GRAIN

    def heard(self) -> _Heard:
        """A block in which pyreqwest works."""
        return _Heard(self)

    async def open(self) -> None:
        """Wait for the head, in a task that nobody cancels; close the answer where nobody waits for it any more."""
        with self.heard():
            self.answer = await self.context.__aenter__()
        if self._abandoned:
            self.end()

    def abandon(self) -> None:
        """Nobody waits for the head any more: if it is here, close; else let the call end by itself."""
        self._abandoned = True
        if self.source is not None:
            self.source.stop()
        if self.answer is not None:
            self.end()

    def response(self, stream: SyncBody | AsyncBody) -> Response:
        """The answer in our words."""
        exchange = self.exchange
        exchange.phase = "read"
        try:
            self.left()
            headers = Headers.received(_fields(self.answer.headers))
        except BaseException:
            self.end()
            raise
        version = {"HTTP/2.0": "HTTP/2"}.get(self.answer.version, self.answer.version)
        exchange.http_version = version
        return Response(self.answer.status, headers=headers, stream=stream, request=self.request, http_version=version)

    def end(self) -> None:
        """Give everything back. Idempotent."""
        if self._ended:
            return
        self._ended = True
        try:
            if self.answer is not None:
                self._leave()
        finally:
            if self.source is not None:
                self.source.stop()
            self._permit.give_back()

    def _leave(self) -> None:
        if hasattr(self.context, "__exit__"):
            self.context.__exit__(None, None, None)
        else:
            # It drops the connection at once and never suspends, so that no cancellation can come between.
            run_sync(self.context.__aexit__(None, None, None))


class _Heard:
    """What leaves this block ends the call, in our words; errors of the user's own body pass as they are."""

    __slots__ = ("_call",)

    def __init__(self, call: _Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        self._call.end()
        if isinstance(error, UploadStopped):
            self._call.left()
            raise aborted(self._call.exchange) from error
        if isinstance(error, PyreqwestError):
            raise told(error, self._call.exchange, late=self._call.late) from error


class _Body:
    """The raw body; its end, or `aclose`, ends the call."""

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._reader = call.answer.body_reader
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            TransportError: the body broke off; DeadlineExceeded: the deadline passed.
            ClosedError: it was closed, or read to its end.
        """
        if self._closed:
            raise ClosedError("the body was closed, or read to its end")
        with self._call.heard():
            self._call.left()
            chunk = await self._read()
        if chunk is None:
            self._call.exchange.phase = "done"
            await self.aclose()
            raise StopAsyncIteration
        return bytes(chunk)

    async def _read(self) -> bytes | None:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Drop the connection where the body was not read to its end."""
        self._closed = True
        self._call.end()


class SyncBody(_Body):
    """The raw body of a sync call."""

    async def _read(self) -> bytes | None:
        chunk: bytes | None = self._reader.read_chunk()
        return chunk


class AsyncBody(_Body):
    """The raw body of an async call."""

    async def _read(self) -> bytes | None:
        chunk: bytes | None = await _heed(self._reader.read_chunk)
        return chunk


async def _heed(work: Callable[[], Any]) -> Any:
    """Await pyreqwest so that no cancellation is lost, whoever cancels."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        result = await work()
    except asyncio.CancelledError:
        await checkpoint()  # anyio's own cancellation is raised here, and only that one does its scope take back
        raise
    if task.cancelling() <= before:  # pragma: no branch  tested; tracers lose thrown-into frames
        return result
    await checkpoint()  # the cancel was swallowed: heard here by anyio's scopes, and below by everybody else
    raise asyncio.CancelledError


def _loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise CapabilityError("pyreqwest runs on asyncio only: with trio choose engine='httpx'") from None


def _refuse_rewriting(request: Request) -> None:
    """pyreqwest sends what its own URL parser makes of the target."""
    url, target = Url(str(request.url).partition("#")[0]), request.url.target
    theirs = url.path if url.query_string is None else f"{url.path}?{url.query_string}"
    if theirs != target:
        raise CapabilityError(f"pyreqwest would send {theirs!r} in place of {target!r}: choose engine='httpx' for it")
    for name, value in request.headers.multi_items():
        if not value.isascii():
            raise CapabilityError(f"header {name}: pyreqwest sends bytes beyond ASCII in another charset: encode them")


def _framed(request: Request) -> Headers:
    """The fields, with the length where pyreqwest would not know or not say it (RFC 9110, section 8.6)."""
    headers, length = request.headers, request.body.length
    streamed = not isinstance(request.body, BytesBody)
    silent = not length and request.method in {"POST", "PUT", "PATCH"}
    if length is None or not (streamed or silent) or "content-length" in headers or "transfer-encoding" in headers:
        return headers
    return headers.merged({"content-length": str(length)})


def _fields(headers: Any) -> list[tuple[bytes, bytes]]:
    try:
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    except ValueError as error:
        raise DecodeError(
            "the answer has a header field with bytes beyond ASCII, which pyreqwest cannot give: choose engine='httpx'"
        ) from error


_home: int | None = None
"""The process in which pyreqwest was first used: its threads are that process's, not one engine's."""


def _refuse_fork() -> None:
    global _home
    if _in_child():
        raise ConfigurationError(
            "pyreqwest was used before the process forked, and its threads did not come along: "
            "use it in the child only, or choose engine='httpx'"
        )
    _home = os.getpid()


def _in_child() -> bool:
    return _home is not None and os.getpid() != _home
