"""uvicorn in a thread of its own, with a loop of its own.

uvicorn does the HTTP, but neither accepts connections (see `gate`) nor runs its own main loop: that one looks ten times
a second whether to stop, and then waits for clients to go. Here `start` returns as soon as the socket listens, and
`stop` cuts every connection, stalled ones too, so both take milliseconds.

The listening socket is made with the protocol TCP named. With `proto=0` asyncio does not recognise the accepted ones
as TCP, leaves Nagle's algorithm on, and each answer waits 40 ms for a delayed ACK.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from mockserver.gate import Gate, bind
from mockserver.players.connection import Connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_THIS_MACHINE = "give an address of this machine, such as 127.0.0.1"


class Serving:
    """One ASGI application on one socket.

    Args:
        app: what is served.
        gate: accepts the connections.
        protocol: makes the protocol of a connection: a class that `players.wire.PROTOCOLS` gives, or a function.
        loop: as uvicorn names them: "auto", "asyncio", "uvloop".
        name: the thread's.
        beside: runs on the same loop all the while.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        protocol: Callable[..., Connection],
        loop: str,
        name: str,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._protocol = protocol
        self._loop_name = loop
        self._name = name
        self._beside = beside
        self._stopping: asyncio.Event
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def started(self) -> bool:
        """Whether it was started, be it stopped again or not."""
        return self._thread is not None

    def start(self, listener: socket.socket) -> None:
        """Serve on this socket from now on, which is bound and closed at the end. Returns when it listens."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name=self._name, daemon=True)
        self._thread.start()
        ready.result()

    def stop(self) -> None:
        """Cut every connection, in mid-answer too. Does nothing before the start, nor the second time."""
        if self._thread is not None:
            self.soon(lambda: self._stopping.set())
            self._thread.join()

    def soon(self, call: Callable[[], object]) -> None:
        """Run this on the loop. Before the start and after the end there is nobody to do it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)

    def _run(self, listener: socket.socket, ready: Future[None]) -> None:
        config = uvicorn.Config(
            _quiet(self._app),
            http=cast("type[asyncio.Protocol]", self._protocol),
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
        config = server.config
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.on_tick(0)
        await server.startup(sockets=[])

        def protocol() -> asyncio.Protocol:
            return self._protocol(config=config, server_state=server.server_state, app_state={})

        self._gate.serve(listener, protocol, lambda: _reset(server))
        ready.set_result(None)
        beside = None if self._beside is None else asyncio.create_task(self._beside())
        try:
            await self._until_stopped(server)
        finally:
            if beside is not None:
                beside.cancel()
            await self._gate.shut()
            await _cut(server)

    async def _until_stopped(self, server: uvicorn.Server) -> None:
        while not self._stopping.is_set():
            await server.on_tick(0)  # renews the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)


def listen(host: str, port: int) -> socket.socket:
    """A socket for `Serving`; port 0 takes a free one.

    Raises:
        OSError: the port is taken or not to be had, or the address is not this machine's; the message says which.
    """
    try:
        return bind(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))
    except OSError as error:
        mend = "port 0 takes a free one" if error.errno in (errno.EADDRINUSE, errno.EACCES) else _THIS_MACHINE
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({error.strerror}): {mend}") from error


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
