"""Waiting for a socket in the running loop, asyncio's or trio's, and ending what waits there: see `waits`."""

from __future__ import annotations

import asyncio  # noqa: TID251  its loop watches sockets; the wait itself, and its limit, are the runtime's
import math
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio  # noqa: TID251  trio watches sockets through it, and its scope ends work on a shared connection

from rest_api_client.engines.errors import aborted
from rest_api_client.engines.httpx.waits import Ended
from rest_api_client.engines.passage import Passage
from rest_api_client.exceptions import DeadlineExceeded
from rest_api_client.runtimes.asynchronous import AsyncRuntime, in_trio, settle

T = TypeVar("T")


class LoopWaits:
    """Waits in the running asyncio loop or trio run."""

    def __init__(self, runtime: AsyncRuntime) -> None:
        self._runtime = runtime

    def home(self) -> object:
        """The running loop."""
        if in_trio():
            import trio

            return trio.lowlevel.current_trio_token()
        return asyncio.get_running_loop()

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for reading."""
        if in_trio():
            return await _watch_in_trio(anyio.wait_readable, sock, seconds)
        loop = asyncio.get_running_loop()
        return await self._watch_in_asyncio(loop, loop.add_reader, loop.remove_reader, sock, seconds)

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for writing."""
        if in_trio():
            return await _watch_in_trio(anyio.wait_writable, sock, seconds)
        loop = asyncio.get_running_loop()
        return await self._watch_in_asyncio(loop, loop.add_writer, loop.remove_writer, sock, seconds)

    async def _watch_in_asyncio(
        self,
        loop: asyncio.AbstractEventLoop,
        add: Callable[..., object],
        remove: Callable[[int], object],
        sock: socket.socket,
        seconds: float | None,
    ) -> bool:
        """Wait for the loop's word, or for an alarm of the loop's one timer."""
        future: asyncio.Future[bool] = loop.create_future()
        descriptor = sock.fileno()
        add(descriptor, settle, future, True)
        try:
            return await self._runtime.within(future, seconds)
        finally:
            remove(descriptor)


async def interruptible(passage: Passage, work: Awaitable[T]) -> T:
    """Await work that may stand in line behind other exchanges; the deadline or an abort ends it wherever it stands.

    Raises:
        DeadlineExceeded: the deadline passed.
        ReadError: the exchange was aborted.
    """
    left = math.inf if passage.deadline is None else passage.deadline - passage.runtime.now()
    try:
        with anyio.CancelScope(deadline=anyio.current_time() + left) as scope:
            passage.cancel_by(_soon(scope.cancel))
            return await work
    except Ended as end:
        raise end.error from end.error.__cause__
    finally:
        passage.hold(None)
        passage.cancel_by(None)
    raise (
        aborted(passage.exchange)
        if passage.exchange.aborted
        else DeadlineExceeded(f"the deadline passed in phase {passage.exchange.phase!r}")
    )


def _soon(function: Callable[[], object]) -> Callable[[], object]:
    """The same function, called in this loop, from whatever thread."""
    if in_trio():
        import trio

        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(function)
    loop = asyncio.get_running_loop()
    return lambda: loop.call_soon_threadsafe(function)


async def _watch_in_trio(wait: Callable[[socket.socket], Any], sock: socket.socket, seconds: float | None) -> bool:
    with anyio.move_on_after(seconds) as scope:
        await wait(sock)
    return not scope.cancelled_caught
