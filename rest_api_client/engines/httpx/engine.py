"""The engine: a request goes through the gate, takes a lane, and comes back as an answer that holds both."""

from __future__ import annotations

import importlib.util
from collections.abc import Coroutine
from typing import Any, ClassVar, Literal, TypeVar

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.gate import Gate
from rest_api_client.engines.httpx.holds import Hold
from rest_api_client.engines.httpx.lanes import Lane, LaneKey, Stock
from rest_api_client.engines.httpx.library import Library, SyncLibrary
from rest_api_client.engines.httpx.waits import ThreadWaits, Waits
from rest_api_client.engines.passage import Passage, on_passage
from rest_api_client.engines.proxies import Proxies
from rest_api_client.engines.tls import Trust
from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.forks import in_child
from rest_api_client.models import Request, Response
from rest_api_client.runtime import Runtime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Capability, Exchange

T = TypeVar("T")
Flavour = Literal["httpx", "httpx2"]

BOTH = frozenset(Capability) - {Capability.SYNC, Capability.ASYNCIO, Capability.TRIO, Capability.VIRTUAL_TIME}


class LaneEngine:
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
        self.gate = Gate.of(options)
        self._stock = Stock(options.keepalive_expiry, options.max_connections)
        self._busy: set[Lane] = set()
        self._closed = False
        in_child(self.after_fork)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; see `Transport.send`."""
        exchange.proof = True
        self._refuse_closed()
        passage = Passage(exchange, self._runtime)
        permit = self.gate.admit(request.url.origin) or await self.gate.enter(request.url.origin, passage)
        try:
            self._refuse_closed()
            lane = await self._lane(request, passage)
        except BaseException:
            permit.give_back()
            raise
        self._busy.add(lane)
        hold = Hold(self, lane, permit, passage)
        try:
            return await self._exchange(request, hold)
        except BaseException:
            hold.drop()
            raise

    async def _exchange(self, request: Request, hold: Hold) -> Response:
        passage, lane = hold.passage, hold.lane
        exchange = passage.exchange
        if lane.backend.wire is not None:
            exchange.peer = lane.backend.wire.peer
            exchange.proof = not lane.shared
            passage.hold(lane.shut_down)
        content = self.library.content(request.body)
        try:
            asked = self.library.request(request, content, proxied=lane.key.proxy is not None)
            with on_passage(passage):
                answer = await self.guard(lane, passage, self.library.call(lane.transport, asked))
        except Exception as error:
            if error is content.failure:
                raise
            hold.reraise(error)
        finally:
            await content.aclose()
        return hold.answer(answer)

    async def _lane(self, request: Request, passage: Passage) -> Lane:
        key = self._key(request)
        lane = self._stock.take(self._waits.home(), key, self._runtime.now())
        return lane or self._new_lane(key, at_home=request.at_home)

    def _key(self, request: Request) -> LaneKey:
        shown = request.url.scheme == "https" and self._trust.shows_cert(at_home=request.at_home)
        return LaneKey(request.url.origin, self._proxies.find(request.url), shown)

    def _new_lane(self, key: LaneKey, *, at_home: bool) -> Lane:
        self._stock.make_room(self.gate.inside)
        context = self._trust.context(at_home=at_home) if key.origin.scheme == "https" else None
        proxy_context = self._trust.context(at_home=False) if key.proxy and key.proxy.scheme == "https" else None
        return self.library.lane(key, self._waits.home(), self._waits, self._options, context, proxy_context)

    async def guard(self, lane: Lane, passage: Passage, work: Coroutine[Any, Any, T]) -> T:
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
        self.gate = Gate.of(self._options)
        self._trust.renew_lock()
        self._stock.abandon()
        busy, self._busy = self._busy, set()
        for lane in busy:
            lane.abandon()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.gate.inside} in use, {len(self._stock)} idle>"


class HttpxEngine(LaneEngine):
    """httpx or httpx2 under a sync client.

    An HTTP/2 connection serves one exchange at a time here: threads cannot share one and keep their deadlines.

    Args:
        options: how connections are made.
        flavour: which of the two libraries.
        clock: what the limits are counted on; real sockets keep real time.

    Raises:
        ConfigurationError: an option that cannot work, or a package that is not installed.
    """

    capabilities = BOTH | {Capability.SYNC}

    def __init__(
        self, options: ConnectionOptions | None = None, *, flavour: Flavour = "httpx", clock: Clock = SYSTEM
    ) -> None:
        options = options or ConnectionOptions()
        super().__init__(options, SyncLibrary.load(flavour), ThreadWaits(), SyncRuntime(clock), flavour)
