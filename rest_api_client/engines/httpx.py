"""The httpx and httpx2 engines: one adapter for both, sync and async.

Each connection is a lane: an httpx transport whose httpcore pool holds that one connection, made on our network
backend. A lane serves one exchange at a time, and idle lanes wait in a stock, by origin and TLS identity. So an
exchange that ends badly (cancelled in whatever step, aborted, out of time) takes its lane with it, whatever state
httpcore's pool was left in, and nobody else's connection suffers; it also spares httpcore's scan over all connections
for every request. How many lanes are on the wire is the gate's business.

Lanes are still `httpx.HTTPTransport`s, so that what patches httpx there keeps working.
"""

from __future__ import annotations

import importlib.util
import os
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Literal, NoReturn, TypeAlias, TypeVar

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.errors import translate
from rest_api_client.engines.gate import Gate, Permit
from rest_api_client.engines.lanes import AsyncLibrary, Library, SyncLibrary
from rest_api_client.engines.line import Line, on_line
from rest_api_client.engines.proxies import Proxies
from rest_api_client.engines.stock import Lane, LaneKey, Stock
from rest_api_client.engines.tls import Trust
from rest_api_client.engines.waits import LoopWaits, ThreadWaits, Waits, interruptible
from rest_api_client.engines.wire import Wire
from rest_api_client.exceptions import (
    APIError,
    ClosedError,
    ConfigurationError,
    ProxyError,
    RequestTimeout,
    TransportError,
)
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import Origin
from rest_api_client.models import Request, Response
from rest_api_client.runtime import Event, Runtime, current_abort
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Capability, Exchange

T = TypeVar("T")
Flavour = Literal["httpx", "httpx2"]
Place: TypeAlias = tuple[weakref.ref[Any], LaneKey]

_BOTH = frozenset(Capability) - {Capability.SYNC, Capability.ASYNCIO, Capability.TRIO, Capability.VIRTUAL_TIME}


class _Engine:
    """What both faces share."""

    capabilities: ClassVar[frozenset[Capability]]

    def __init__(
        self, options: ConnectionOptions, library: Library, waits: Waits, runtime: Runtime, flavour: Flavour
    ) -> None:
        if options.http2 and importlib.util.find_spec("h2") is None:
            raise ConfigurationError("http2=True needs an extra: pip install 'rest-api-client-kit[http2]'")
        self.name: str = flavour
        self._options = options
        self.library = library
        self._waits = waits
        self._runtime = runtime
        self._trust = Trust(options)
        self._proxies = Proxies(options)
        self._gate = Gate.of(options)
        self._stock = Stock(options.keepalive_expiry, options.max_connections)
        self._busy: set[Lane] = set()
        self._closed = False
        _engines.add(self)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; see `Transport.send`."""
        exchange.proof = True
        self._refuse_closed()
        line = Line(exchange, self._runtime)
        permit = await self._gate.enter(request.url.origin, line)
        try:
            self._refuse_closed()
            lane = await self._lane(request, line)
        except BaseException:
            permit.give_back()
            raise
        self._busy.add(lane)
        hold = _Hold(self, lane, permit, line)
        try:
            return await self._exchange(request, hold)
        except BaseException:
            hold.drop()
            raise

    async def _exchange(self, request: Request, hold: _Hold) -> Response:
        line, lane = hold.line, hold.lane
        exchange = line.exchange
        if lane.backend.wire is not None:
            exchange.peer = lane.backend.wire.peer
            exchange.proof = not lane.shared
            line.hold(lane.shut_down)
        content = self.library.content(request.body)
        try:
            asked = self.library.request(request, content, proxied=lane.key.proxy is not None)
            with on_line(line):
                answer = await self.guard(lane, line, self.library.call(lane.transport, asked))
        except Exception as error:
            if error is content.failure:
                raise
            hold.reraise(error)
        finally:
            await content.aclose()
        return hold.answer(answer)

    async def _lane(self, request: Request, line: Line) -> Lane:
        key = self._key(request)
        lane = self._stock.take(self._waits.home(), key, self._runtime.now())
        return lane or self._new_lane(key, at_home=request.at_home)

    def _key(self, request: Request) -> LaneKey:
        shown = request.url.scheme == "https" and self._trust.shows_cert(at_home=request.at_home)
        return LaneKey(request.url.origin, self._proxies.find(request.url), shown)

    def _new_lane(self, key: LaneKey, *, at_home: bool) -> Lane:
        self._stock.make_room(self._gate.inside)
        context = self._trust.context(at_home=at_home) if key.origin.scheme == "https" else None
        proxy_context = self._trust.context(at_home=False) if key.proxy and key.proxy.scheme == "https" else None
        return self.library.lane(key, self._waits.home(), self._waits, self._options, context, proxy_context)

    async def guard(self, lane: Lane, line: Line, work: Coroutine[Any, Any, T]) -> T:
        """Await work on a lane, however long it takes; who waits on a socket is ended there."""
        return await work

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError("this engine is closed: make a new client")

    def free(self, lane: Lane, *, keep: bool) -> None:
        """Take a lane back from an exchange."""
        if lane.on_end is not None:
            lane.on_end()
        if not self._stock.release(lane, keep=keep):
            return
        self._busy.discard(lane)
        if keep and lane.usable and not self._closed:
            self._stock.give_back(lane, self._runtime.now())
        else:
            lane.drop()

    async def aclose(self) -> None:
        """Close every connection; exchanges on the wire end with an error. Idempotent."""
        self._closed = True
        self._stock.clear()
        for lane in list(self._busy):
            lane.shut_down()

    def after_fork(self) -> None:
        """In a forked child: start afresh, and leave the parent's connections alone."""
        self._gate = Gate.of(self._options)
        self._trust.renew_lock()
        self._stock.abandon()
        busy, self._busy = self._busy, set()
        for lane in busy:
            lane.abandon()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self._gate.inside} in use, {len(self._stock)} idle>"


class HttpxEngine(_Engine):
    """httpx or httpx2 under a sync client.

    An HTTP/2 connection serves one exchange at a time here: threads cannot share one and keep their deadlines.

    Args:
        options: how connections are made.
        flavour: which of the two libraries.
        clock: what the limits are counted on; real sockets keep real time.

    Raises:
        ConfigurationError: an option that cannot work, or a package that is not installed.
    """

    capabilities = _BOTH | {Capability.SYNC}

    def __init__(
        self, options: ConnectionOptions | None = None, *, flavour: Flavour = "httpx", clock: Clock = SYSTEM
    ) -> None:
        options = options or ConnectionOptions()
        super().__init__(options, SyncLibrary.load(flavour), ThreadWaits(), SyncRuntime(clock), flavour)


class AsyncHttpxEngine(_Engine):
    """httpx or httpx2 under an async client, on asyncio and trio, any number of loops.

    Args:
        options: how connections are made.
        flavour: which of the two libraries.
        clock: what the limits are counted on; real sockets keep real time.

    Raises:
        ConfigurationError: an option that cannot work, or a package that is not installed.
    """

    capabilities = _BOTH | {Capability.ASYNCIO, Capability.TRIO}

    def __init__(
        self, options: ConnectionOptions | None = None, *, flavour: Flavour = "httpx", clock: Clock = SYSTEM
    ) -> None:
        options = options or ConnectionOptions()
        super().__init__(options, AsyncLibrary.load(flavour), LoopWaits(), AsyncRuntime(clock), flavour)
        self._leads: dict[Place, list[Event]] = {}
        self._http1: set[Origin] = set()

    def _may_share(self, key: LaneKey) -> bool:
        return self._options.http2 and key.origin.scheme == "https" and key.origin not in self._http1

    async def _lane(self, request: Request, line: Line) -> Lane:
        """A lane; where the server may speak HTTP/2, whoever comes while the first one connects waits for that."""
        key = self._key(request)
        while self._may_share(key):
            place = (weakref.ref(self._waits.home()), key)
            lane = self._stock.take(self._waits.home(), key, self._runtime.now())
            if lane is not None:
                return lane
            if place not in self._leads:
                return self._lead(place, self._new_lane(key, at_home=request.at_home))
            event = self._runtime.event()
            self._leads[place].append(event)
            line.hold(event.set)
            while not event.is_set():
                await self._runtime.wait(event, line.connecting().left())
            line.hold(None)
        return await super()._lane(request, line)

    def _lead(self, place: Place, lane: Lane) -> Lane:
        followers = self._leads[place] = []

        def end() -> None:
            if self._leads.get(place) is followers:
                del self._leads[place]
            for event in followers:
                event.set()

        def begun(wire: Wire, http2: bool) -> None:
            if http2:
                self._stock.share(self._waits.home(), lane, wire)
            else:
                self._http1.add(lane.key.origin)
            end()

        lane.backend.begun = begun
        lane.on_end = end
        return lane

    async def guard(self, lane: Lane, line: Line, work: Coroutine[Any, Any, T]) -> T:
        """Await work on a lane; on one that is, or may become, shared, it is ended wherever it stands."""
        if lane.on_end is None:
            return await work
        return await interruptible(line, work)


class _Hold:
    """What one exchange holds until its body has ended: a lane and a permit."""

    def __init__(self, engine: _Engine, lane: Lane, permit: Permit, line: Line) -> None:
        self._engine = engine
        self.lane = lane
        self._permit = permit
        self.line = line
        abort = current_abort.get()
        self._forget: Callable[[], object] | None = abort.register(line.exchange.abort) if abort is not None else None

    def answer(self, answer: Any) -> Response:
        """The response, which holds lane and permit from now on."""
        exchange, extensions = self.line.exchange, answer.extensions
        exchange.phase = "read"
        exchange.http_version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace")
        return Response(
            answer.status_code,
            headers=Headers.received(answer.headers.raw),
            stream=_Body(self, answer.stream, self._engine.library),
            reason=extensions.get("reason_phrase", b"").decode("latin-1"),
            http_version=exchange.http_version,
        )

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """See `_Engine.guard`."""
        return await self._engine.guard(self.lane, self.line, work)

    async def cut(self, chunks: Any) -> None:
        """End the reading of the body where it stands."""
        if not self.lane.shared:
            self.lane.drop()
        if chunks is not None:
            await self._engine.library.unwind(chunks)

    def keep(self) -> None:
        """The exchange ended well: the lane can serve the next one."""
        self._end(keep=True)

    def drop(self) -> None:
        """The exchange ended badly, or early: the connection goes with it."""
        self._end(keep=False)

    def _end(self, *, keep: bool) -> None:
        if self._forget is not None:
            self._forget()
        self.line.hold(None)
        self._engine.free(self.lane, keep=keep)
        self._permit.give_back()

    def reraise(self, error: Exception) -> NoReturn:
        """Raise the error of our tree for whatever came out of httpx, or out of our streams below it."""
        ours = self._translate(error)
        if ours is not error:
            raise ours from error
        raise error from error.__cause__ or error.__context__  # httpcore passes it on with `from None`

    def _translate(self, error: Exception) -> APIError:
        exchange, proxy = self.line.exchange, self.lane.key.proxy
        if _refused(error):
            exchange.refused = True
        ours = error if isinstance(error, APIError) else translate(error, exchange)
        if proxy is None or exchange.phase not in {"queued", "connect"}:
            return ours
        if isinstance(ours, RequestTimeout) or exchange.aborted or not isinstance(ours, TransportError):
            return ours
        return ProxyError(f"the proxy {proxy.host}:{proxy.port} let nothing through: {ours}")


def _refused(error: BaseException | None) -> bool:
    """Whether HTTP/2 says that the request was not acted on (RFC 9113, section 8.7)."""
    while error is not None:
        for event in error.args:
            kind = type(event).__name__
            if kind == "StreamReset" and event.error_code == _REFUSED_STREAM:
                return True
            if kind == "ConnectionTerminated" and event.last_stream_id == 0:
                return True
        error = error.__cause__
    return False


_REFUSED_STREAM = 7


class _Body:
    """The answer's body, as it comes."""

    def __init__(self, hold: _Hold, stream: Any, library: Library) -> None:
        self._hold = hold
        self._stream = stream
        self._library = library
        self._chunks: Any = None
        self._closed = False
        self._reading = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        self._reading = True
        try:
            with on_line(self._hold.line):
                chunk = await self._hold.guard(self._pull())
        except BaseException as error:
            self._closed = True
            self._hold.drop()
            if isinstance(error, Exception):
                self._hold.reraise(error)
            raise
        finally:
            self._reading = False
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _pull(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = self._library.iterate(self._stream)
        chunk = await self._library.pull(self._chunks)
        if chunk is None:
            self._closed = True
            await self._library.close(self._stream)
            self._hold.line.exchange.phase = "done"
            if self._library.leftover(self._hold.lane.transport):
                self._hold.drop()
            else:
                self._hold.keep()
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._reading:  # another task or thread is at it: it ends, and gives back
            self._hold.line.exchange.abort()
            return
        try:
            with on_line(self._hold.line), suppress(Exception):
                await self._hold.cut(self._chunks)
                await self._library.close(self._stream)
        finally:
            self._hold.drop()


_engines: weakref.WeakSet[_Engine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        with suppress(Exception):  # nothing may be raised here
            engine.after_fork()


os.register_at_fork(after_in_child=_after_fork)
