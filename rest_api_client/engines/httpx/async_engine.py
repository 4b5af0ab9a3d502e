"""The engine of async clients: besides, exchanges of one loop may share an HTTP/2 connection."""

from __future__ import annotations

import weakref
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.httpx.engine import BOTH, Flavour, LaneEngine
from rest_api_client.engines.httpx.lanes import Lane, LaneKey
from rest_api_client.engines.httpx.library import AsyncLibrary
from rest_api_client.engines.httpx.loop_waits import LoopWaits, interruptible
from rest_api_client.engines.httpx.wire import Wire
from rest_api_client.engines.passage import Passage
from rest_api_client.http.urls import Origin
from rest_api_client.models import Request
from rest_api_client.runtime import Event
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.transport import Capability

T = TypeVar("T")
Place: TypeAlias = tuple[weakref.ref[Any], LaneKey]


class AsyncHttpxEngine(LaneEngine):
    """httpx or httpx2 under an async client, on asyncio and trio, any number of loops.

    Args:
        options: how connections are made.
        flavour: which of the two libraries.
        clock: what the limits are counted on; real sockets keep real time.

    Raises:
        ConfigurationError: an option that cannot work, or a package that is not installed.
    """

    capabilities = BOTH | {Capability.ASYNCIO, Capability.TRIO}

    def __init__(
        self, options: ConnectionOptions | None = None, *, flavour: Flavour = "httpx", clock: Clock = SYSTEM
    ) -> None:
        options = options or ConnectionOptions()
        runtime = AsyncRuntime(clock)
        super().__init__(options, AsyncLibrary.load(flavour), LoopWaits(runtime), runtime, flavour)
        self._leads: dict[Place, list[Event]] = {}
        self._http1: set[Origin] = set()

    def _may_share(self, key: LaneKey) -> bool:
        return self._options.http2 and key.origin.scheme == "https" and key.origin not in self._http1

    async def _lane(self, request: Request, passage: Passage) -> Lane:
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
            passage.hold(event.set)
            while not event.is_set():
                await self._runtime.wait(event, passage.connecting().left())
            passage.hold(None)
        return await super()._lane(request, passage)

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

    async def guard(self, lane: Lane, passage: Passage, work: Coroutine[Any, Any, T]) -> T:
        """Await work on a lane; on one that is, or may become, shared, it is ended wherever it stands."""
        if lane.on_end is None:
            return await work
        return await interruptible(passage, work)
