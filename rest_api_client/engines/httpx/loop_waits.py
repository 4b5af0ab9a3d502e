"""Waiting for a socket in the running loop, asyncio's or trio's, and ending what waits there: see `waits`."""

from __future__ import annotations

import asyncio  # noqa: TID251  its running loop is asked for, nothing is waited on
import math
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio  # noqa: TID251  the border to the loop: readiness of a socket is not the runtime's business

from rest_api_client.engines.errors import aborted
from rest_api_client.engines.httpx.waits import Ended
from rest_api_client.engines.passage import Passage
from rest_api_client.exceptions import DeadlineExceeded

T = TypeVar("T")


class LoopWaits:
    """Waits in the running asyncio loop or trio run."""

    eager = False

    def home(self) -> object:
        """The running loop."""
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_run():
            token: object = trio.lowlevel.current_trio_token()
            return token
        return asyncio.get_running_loop()

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for reading."""
        return await _watch(anyio.wait_readable, sock, seconds)

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for writing."""
        return await _watch(anyio.wait_writable, sock, seconds)


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
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(function)
    loop = asyncio.get_running_loop()
    return lambda: loop.call_soon_threadsafe(function)


async def _watch(wait: Callable[[socket.socket], Any], sock: socket.socket, seconds: float | None) -> bool:
    if seconds is None:
        await wait(sock)
        return True
    with anyio.move_on_after(seconds) as scope:
        await wait(sock)
    return not scope.cancelled_caught
