"""A real server on a real socket, in a thread of its own.

uvicorn does the HTTP, but not its own main loop: that one looks ten times a second whether to stop, and then waits
for clients to go. Here `start` returns as soon as the socket listens, and `stop` cuts every connection, stalled ones
too, so both take milliseconds.

The listening socket is made with the protocol TCP named. With `proto=0` asyncio does not recognise the accepted ones
as TCP, leaves Nagle's algorithm on, and each answer waits 40 ms for a delayed ACK.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Literal, Self, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.faults import Errors, Outage, Slowness
from mockserver.journal import Entry, Journal
from mockserver.limits import Limit, LimitRule, Limits
from mockserver.players.wire import PROTOCOLS, Player
from mockserver.resources import application
from mockserver.seen import Seen
from mockserver.stage import Stage

DEFAULT_RESOURCES: Mapping[str, int] = {"users": 500, "orders": 1000}
BACKLOG = 2048

_Choice = TypeVar("_Choice")


class MockServer:
    """A server to test against, that misbehaves as told.

        with MockServer(limit=SlidingWindow(calls=50, period=1.0), errors=Errors(probability=0.1)) as server:
            httpx.get(f"{server.url}/users/7")
            print(server.journal.statuses)

    Args:
        resources: how many records each collection has; 500 users and 1,000 orders when None.
        seed: decides everything that looks like chance: data, errors, latency.
        limit: `SlidingWindow(calls, period)` or `TokenBucket(rate, burst)`; None for no rate limit.
        key: tells clients apart (`by_header("x-api-key")`), each with a limit of its own; all share one when None.
        errors: `Errors(probability=...)`, 5xx before anything is done.
        latency: `Latency(p50=..., p95=...)` or `EvenLatency(low=..., high=...)`.
        outages: dead periods, `Outage(start=..., duration=...)`.
        host: the address to listen on.
        port: 0 takes a free one; read it back from `port`.
        http: which of uvicorn's two parsers reads requests.
        loop: the event loop; "auto" is uvloop where it is installed.
        journal_size: how many requests the journal keeps; its counters count on.
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
        limit: Limit | None = None,
        key: Callable[[Seen], str] | None = None,
        errors: Errors | None = None,
        latency: Slowness | None = None,
        outages: Iterable[Outage] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        http: Literal["httptools", "h11"] = "httptools",
        loop: Literal["auto", "asyncio", "uvloop"] = "auto",
        journal_size: int = 10_000,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        _check("resources", resources, Mapping, "give {'users': 500}")
        _check("limit", limit, Limit, "give SlidingWindow(calls, period) or TokenBucket(rate, burst)")
        _check("errors", errors, Errors, "give Errors(probability=0.1)")
        _check("latency", latency, Slowness, "give Latency(p50=0.05) or EvenLatency(low=0.01, high=0.1)")
        _check("outages", outages, Iterable, "give [Outage(start=3, duration=2)]")
        self.host = host
        self.journal = Journal(journal_size)
        self._wanted_port = port
        self._began = time.monotonic()
        self.stage = Stage(
            application=application(DEFAULT_RESOURCES if resources is None else dict(resources), seed),
            journal=self.journal,
            clock=self.now,
            seed=seed,
            limits=None if limit is None else Limits([LimitRule(limit=limit, key=key)]),
            errors=errors,
            latency=latency,
            outages=outages,
            on_entry=on_entry,
        )
        self._app = Player(self.stage)
        self._protocol = _choose("http", http, PROTOCOLS)
        self._loop_name = _choose("loop", loop, {"asyncio": "asyncio", "uvloop": "uvloop", "auto": "auto"})
        self._stopping: asyncio.Event
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port: int | None = None

    def now(self) -> float:
        """Seconds since the server started, on the clock of the journal."""
        return time.monotonic() - self._began

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._port is None:
            raise RuntimeError("the server has no port before it is started: call start() or use `with`")
        return self._port

    @property
    def url(self) -> str:
        """`http://host:port`, with nothing behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listen, and return when requests are answered. A server starts once."""
        if self._thread is not None:
            raise RuntimeError("a MockServer starts only once: make another")
        listener = _listen(self.host, self._wanted_port)
        self._port = listener.getsockname()[1]
        self._began = time.monotonic()
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name="mockserver", daemon=True)
        self._thread.start()
        ready.result()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection, in mid-answer too. Does nothing the second time."""
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
            backlog=BACKLOG,
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
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.on_tick(0)
        await server.startup(sockets=[listener])
        ready.set_result(None)
        try:
            await self._until_stopped(server)
        finally:
            await _cut(server)

    async def _until_stopped(self, server: uvicorn.Server) -> None:
        while not self._stopping.is_set():
            await server.on_tick(0)  # renews the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)


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


def _quiet(app: ASGIApp) -> ASGIApp:
    # A request that is cut by `stop` is no crash of the application, which uvicorn would print.
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return run


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {host}:{port} ({error.strerror}): port 0 takes a free one"
        ) from error
    return listener


def _choose(name: str, value: str, known: Mapping[str, _Choice]) -> _Choice:
    if value not in known:
        raise ValueError(f"{name}={value!r}: give one of {', '.join(map(repr, known))}")
    return known[value]


def _check(name: str, value: object, kind: type[object], mend: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{name}={value!r}: {mend}")
