"""Backstage: what a client under rehearsal is made of, and the server that it meets.

    def client(stage: Backstage) -> AsyncAPIClient:
        return AsyncAPIClient(**stage.options())

    def own_sdk(stage: Backstage) -> MySdk:
        return MySdk(httpx.AsyncClient(base_url=stage.url, transport=stage.async_httpx_transport()))

In virtual time there is no socket: engines and transports lead to the stage in process, and keep the timeouts that the
client asks for (httpx leaves those to its transports). Each request knows in which call and by which caller it is made,
also where the client sends no header that says so: both stand in context variables.

On a socket the same calls give ordinary engines and transports, and `url` is the server's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette

from cassettes import Cassette, RecordingTransport
from mockserver import MockServer, stub
from mockserver.faults import Faults
from mockserver.journal import Journal, Scribe
from mockserver.scene import Scene, Settings, as_faults, as_limits
from mockserver.stage import Stage
from mockserver.stubs import Stub, Stubs
from pytest_plugin.rehearsal.schedule import ClockJump, FaultSchedule
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.engines.mount import as_httpx_transport
from rest_api_client.events import Event
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Transport
from rest_api_client.virtual.clock import VirtualClock

if TYPE_CHECKING:
    import httpx

    from mockserver.seen import Seen

URL = "http://stage"
CALL: ContextVar[tuple[int, int] | None] = ContextVar("CALL", default=None)
"""Number of the call that is being made, and of its caller."""

ANSWER = stub(None, None, json={"ok": True})
"""What is served where nothing else is asked for."""


class JumpingClock(VirtualClock):
    """A virtual clock whose wall time is set now and then, as a machine's is."""

    def __init__(self, jumps: Sequence[ClockJump] = ()) -> None:
        super().__init__()
        self._jumps = list(jumps)

    def time(self) -> float:
        """The wall time, with all jumps up to now."""
        wall = super().time()
        if not self._jumps:
            return wall
        now = self.monotonic()
        return wall + sum(jump.seconds for jump in self._jumps if jump.at <= now)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._jumps.append(ClockJump(at=self.monotonic(), seconds=seconds))


class Backstage:
    """What a client is made of. `rehearse` makes one for each rehearsal.

    Attributes:
        clock: virtual, or the system's on a socket.
        seed: of the schedule.
        url: what stands before every path.
        scene: the server.
        told: events of clients, where they tell any.
    """

    def __init__(
        self,
        schedule: FaultSchedule,
        *,
        stubs: Sequence[Stub] | None = None,
        resources: Mapping[str, int] | None = None,
        live: bool = False,
        one_request: bool = True,
        tape: Cassette | None = None,
    ) -> None:
        self.schedule = schedule
        self.seed = schedule.seed
        self.live = live
        self.clock: Clock = SYSTEM if live else JumpingClock(schedule.jumps)
        self.told: list[Event] = []
        self._drawn = 0
        self._tape = tape
        served = Stubs(list(stubs) if stubs is not None else [ANSWER] if resources is None else [])
        scribe = Scribe(identify=_call_of if one_request and not live else None, caller=None if live else _caller_of)
        faults = Faults(schedule.plan())
        if live:
            self.scene: Scene = MockServer(
                resources=resources or {}, seed=self.seed, limit=as_limits(schedule.server_limit()), faults=faults,
                stubs=served, rules=None, journal_size=_JOURNAL,
            )  # fmt: skip
        else:
            settings = _Bare if resources is None else Settings
            self.scene = Scene(
                settings(
                    resources=resources or {}, seed=self.seed, limits=as_limits(schedule.server_limit()), faults=faults,
                    stubs=served, journal_size=_JOURNAL, scribe=scribe,
                )
            )  # fmt: skip
        self.faults = cast("Faults", self.scene.faults)

    @property
    def url(self) -> str:
        """What stands before every path."""
        return self.scene.url if isinstance(self.scene, MockServer) else URL

    @property
    def random(self) -> random.Random:
        """A source of chance for one client: the same in every run, and another for each client."""
        self._drawn += 1
        return random.Random(f"{self.seed} {self._drawn}")

    def options(self) -> dict[str, Any]:
        """Keywords of `APIClient` and `AsyncAPIClient`: where to call, by which engine, on which clock."""
        return {
            "base_url": self.url,
            "engine": self.engine(),
            "clock": self.clock,
            "random": self.random,
            "attempt_headers": True,
            "events": [self.told.append],
        }

    def engine(self) -> Transport | str:
        """An engine for one client."""
        if self.live:
            return "httpx"
        transport: Transport = self.scene.transport()
        return transport if self._tape is None else RecordingTransport(transport, self._tape)

    def httpx_transport(self) -> httpx.BaseTransport:
        """A transport for one `httpx.Client`."""
        if self.live:
            import httpx

            return httpx.HTTPTransport()
        return cast("httpx.BaseTransport", self._mounted(SyncRuntime(self.clock), "sync"))

    def async_httpx_transport(self) -> httpx.AsyncBaseTransport:
        """A transport for one `httpx.AsyncClient`."""
        if self.live:
            import httpx

            return httpx.AsyncHTTPTransport()
        return cast("httpx.AsyncBaseTransport", self._mounted(AsyncRuntime(self.clock), "async"))

    def _mounted(self, runtime: Any, face: Any) -> Any:
        engine: Any = self.engine()
        return as_httpx_transport([], engine.bind(runtime), runtime, face=face, random=self.random)

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.scene.faults = None
        self.scene.limits = None


_JOURNAL = 1_000_000
_NOTHING = Starlette()


class _Bare(Settings):
    """A server without resources, made in a fraction of the time: there is one for every example of Hypothesis."""

    def stage(self) -> Stage:
        """A stage on which nothing has happened yet."""
        return Stage(
            application=_NOTHING,
            journal=Journal(self.journal_size, self.scribe),
            clock=self.time.now,
            wall=self.time.wall,
            seed=self.seed,
            limits=as_limits(self.limits),
            faults=as_faults(self.faults),
            stubs=self.stubs,
        )


def _call_of(seen: Seen) -> str | None:
    there = CALL.get()
    return None if there is None else f"#{there[0]}"


def _caller_of(seen: Seen) -> str:
    there = CALL.get()
    return "the client" if there is None else f"caller {there[1]}"
