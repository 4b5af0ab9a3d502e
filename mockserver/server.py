"""A real server on a real socket, in a thread of its own.

uvicorn does the HTTP, but neither accepts connections (see `gate`) nor runs its own main loop: that one looks ten times
a second whether to stop, and then waits for clients to go. Here `start` returns as soon as the socket listens, and
`stop` cuts every connection, stalled ones too, so both take milliseconds.

The listening socket is made with the protocol TCP named. With `proto=0` asyncio does not recognise the accepted ones
as TCP, leaves Nagle's algorithm on, and each answer waits 40 ms for a delayed ACK.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.faults import Errors, Outage, Slowness
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.gate import Gate, bind
from mockserver.journal import Entry
from mockserver.limits import Limit, Limits
from mockserver.players.in_process import StageTransport
from mockserver.players.wire import PROTOCOLS, Connection, Player
from mockserver.scene import Scene, Settings, as_faults, as_limits
from mockserver.seen import Seen
from mockserver.spaces import MOST_SPACES, Space, Spaces
from mockserver.stage import Stubs

DEFAULT_RESOURCES: Mapping[str, int] = {"users": 500, "orders": 1000}
Tls: TypeAlias = ssl.SSLContext | str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""A context for servers, a PEM file with certificate and key, or the files of both."""

_LOOK = 0.05
"""Seconds between two looks at the plan's phases."""

_Choice = TypeVar("_Choice")


class MockServer(Scene):
    """A server to test against, that misbehaves as told.

        with MockServer(limit=SlidingWindow(calls=50, period=1.0), errors=Errors(probability=0.1)) as server:
            httpx.get(f"{server.url}/users/7")
            print(server.journal.statuses)

    Args:
        resources: how many records each collection has; 500 users and 1,000 orders when None.
        seed: decides everything that looks like chance: data, errors, latency.
        limit: `SlidingWindow(calls, period)` or `TokenBucket(rate, burst)`, or several rules as `Limits`; None for no
            rate limit.
        key: tells clients apart (`by_header("x-api-key")`), each with a limit of its own; all share one when None.
        errors: `Errors(probability=...)`, 5xx before anything is done.
        latency: `Latency(p50=..., p95=...)` or `EvenLatency(low=..., high=...)`.
        outages: dead periods, `Outage(start=..., duration=...)`.
        faults: rules, phases and what else goes wrong: a `Plan`, or the `Faults` of one.
        stubs: answers made to order, before the resources are asked.
        tls: an `ssl.SSLContext` for servers, the path of a PEM file that holds certificate and key, or both paths;
            None for plain HTTP.
        host: the address to listen on.
        port: 0 takes a free one; read it back from `port`.
        http: which of uvicorn's two parsers reads requests.
        loop: the event loop; "auto" is uvloop where it is installed.
        journal_size: how many requests the journal keeps; its counters count on.
        most_spaces: how many spaces there may be at once.
        on_entry: called in the server's thread with each journal entry when its answer is complete.

    Raises:
        ValueError: for settings that make no sense, before anything is started.
        OSError: from `start`, when the port is taken.
    """

    def __init__(
        self,
        *,
        resources: Mapping[str, int] | None = None,
        seed: int = 0,
        limit: Limit | Limits | None = None,
        key: Callable[[Seen], str] | None = None,
        errors: Errors | None = None,
        latency: Slowness | None = None,
        outages: Iterable[Outage] = (),
        faults: Faults | Plan | None = None,
        stubs: Stubs | None = None,
        tls: Tls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        http: Literal["httptools", "h11"] = "httptools",
        loop: Literal["auto", "asyncio", "uvloop"] = "auto",
        journal_size: int = 10_000,
        most_spaces: int = MOST_SPACES,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        _check("resources", resources, Mapping, "give {'users': 500}")
        _check("limit", limit, Limit | Limits, "give SlidingWindow(calls, period) or TokenBucket(rate, burst)")
        _check("errors", errors, Errors, "give Errors(probability=0.1)")
        _check("latency", latency, Slowness, "give Latency(p50=0.05) or EvenLatency(low=0.01, high=0.1)")
        _check("faults", faults, Faults | Plan, "give a Plan(rules=[...]) or the Faults of one")
        _check("outages", outages, Iterable, "give [Outage(start=3, duration=2)]")
        self._another: Callable[[], MockServer] = lambda: MockServer(
            seed=seed, tls=tls, host=host, http=http, loop=loop
        )
        settings = Settings(
            resources=DEFAULT_RESOURCES if resources is None else dict(resources),
            seed=seed,
            limits=as_limits(limit, key),
            errors=errors,
            latency=latency,
            outages=tuple(outages),
            faults=as_faults(faults),
            stubs=stubs,
            journal_size=journal_size,
            on_entry=on_entry,
        )
        super().__init__(settings)
        self.host = host
        self.spaces = Spaces(
            self, settings, url=lambda: self.url, elsewhere=lambda name: self.other_origin.space(name), most=most_spaces
        )
        self._wanted_port = port
        self._other_origin: MockServer | None = None
        self._tls = _secure(tls)
        self.gate = Gate(tls=self._tls)
        self._app = Player(self.spaces)
        self._protocol = _choose("http", http, PROTOCOLS)
        self._loop_name = _choose("loop", loop, {"asyncio": "asyncio", "uvloop": "uvloop", "auto": "auto"})
        self._stopping: asyncio.Event
        self._replanned: asyncio.Event
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port: int | None = None

    def space(self, name: str) -> Space:
        """A part of the server by itself, for one test or one worker; made when it is first asked for (see `spaces`).

        Raises:
            ValueError: names are 1 to 64 ASCII letters, digits, ".", "_" and "-", the first a letter or a digit.
            TooManySpacesError: there are as many as there may be.
        """
        return self.spaces.space(name)

    @property
    def other_origin(self) -> MockServer:
        """A second server on a port of its own, where nothing goes wrong, with a journal of its own on the same clock.

        To see what a client takes along when it is sent elsewhere. Made and started when it is first asked for, and
        stopped with this one.

        Raises:
            RuntimeError: this server is not started.
        """
        if self._other_origin is None:
            _ = self.port  # started?
            self._other_origin = self._another()
            self._other_origin.go_by(self.now, self._settings.time.wall)
            self._other_origin.start()
        return self._other_origin

    def transport(self) -> StageTransport:
        """The server as an engine, without a socket: `APIClient(base_url="http://stage", engine=server.transport())`.

        In the time of the client, virtual or not; for a server that is not started. One for each client.

        Raises:
            RuntimeError: the server was started.
        """
        if self._thread is not None:
            raise RuntimeError("this MockServer has a socket: make another one to play in process")
        return StageTransport(self)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._port is None:
            raise RuntimeError("the server has no port before it is started: call start() or use `with`")
        return self._port

    @property
    def url(self) -> str:
        """`http://host:port`, or https, with nothing behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    def start(self) -> Self:
        """Listen, and return when requests are answered. A server starts once."""
        if self._thread is not None:
            raise RuntimeError("a MockServer starts only once: make another")
        listener = _bind(self.host, self._wanted_port)
        self._port = listener.getsockname()[1]
        began = time.monotonic()
        self.go_by(lambda: time.monotonic() - began, time.time)
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name="mockserver", daemon=True)
        self._thread.start()
        ready.result()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection, in mid-answer too. Does nothing the second time."""
        if self._other_origin is not None:
            self._other_origin.stop()
        if self._thread is None:
            return
        # The loop closes itself when told; told again, or after a crash, there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            cast("asyncio.AbstractEventLoop", self._loop).call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<MockServer {'not started' if self._port is None else self.url}>"

    def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        config = uvicorn.Config(
            _quiet(self._app),
            http=self._protocol,
            loop=self._loop_name,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # X-Forwarded-For must not decide who may read the journal
            headers=[("server", "mockserver")],
        )
        with listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            try:
                runner.run(self._serve(uvicorn.Server(config), listener, ready))
            except BaseException as error:
                if ready.done():
                    raise
                ready.set_exception(error)

    async def _serve(self, server: uvicorn.Server, listener: socket.socket, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._replanned = asyncio.Event()
        config = server.config
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.on_tick(0)
        await server.startup(sockets=[])

        def protocol() -> asyncio.Protocol:
            return self._protocol(config=config, server_state=server.server_state, app_state={})

        self.gate.serve(listener, protocol, lambda: _reset(server))
        ready.set_result(None)
        watching = asyncio.create_task(self._watch())
        try:
            await self._until_stopped(server)
        finally:
            watching.cancel()
            await self.gate.shut()
            await _cut(server)

    async def _watch(self) -> None:
        """Open and close the gate as the phases of the plan have it."""
        known = "open"
        while True:
            self._replanned.clear()
            faults, now = self.stage.faults, self.now()
            door = "open" if faults is None else faults.connection(now)
            if door != known:
                known = door
                self.gate.become(door)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._replanned.wait(), _until_look(faults, now))

    def _changed(self) -> None:
        # The loop is None before the start, and closed after the end.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._replanned.set)

    async def _until_stopped(self, server: uvicorn.Server) -> None:
        while not self._stopping.is_set():
            await server.on_tick(0)  # renews the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)


def _until_look(faults: Faults | None, now: float) -> float | None:
    """Seconds until the door may change; None where it does not."""
    if faults is None or all(phase.connection == "open" for phase in faults.plan.schedule.phases):
        return None
    change = faults.next_change(now)
    return _LOOK if change is None else min(_LOOK, max(0.0, change - now))


async def _cut(server: uvicorn.Server) -> None:
    for each in server.servers:
        each.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # lets uvicorn hear that they are gone, or it would try to answer
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _reset(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        cast("Connection", connection).reset()


def _quiet(app: ASGIApp) -> ASGIApp:
    # A request that is cut by `stop` is no crash of the application, which uvicorn would print.
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return run


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))
    except OSError as error:
        raise OSError(
            error.errno, f"cannot listen on {host}:{port} ({error.strerror}): port 0 takes a free one"
        ) from error


def _secure(tls: Tls | None) -> ssl.SSLContext | None:
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        certificate, key = tls if isinstance(tls, tuple) else (tls, None)
        context.load_cert_chain(certificate, key)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"tls={tls!r}: {error}; give an ssl.SSLContext, the path of a PEM file that holds certificate and key, "
            "or both paths as (certificate, key)"
        ) from error
    return context


def _choose(name: str, value: str, known: Mapping[str, _Choice]) -> _Choice:
    if value not in known:
        raise ValueError(f"{name}={value!r}: give one of {', '.join(map(repr, known))}")
    return known[value]


def _check(name: str, value: object, kind: Any, mend: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{name}={value!r}: {mend}")
