"""Waiting for a socket: the one thing in which the two faces differ on the wire.

`ThreadWaits` polls and never suspends, so that coroutines over it serve a sync client through `run_sync`. `LoopWaits`,
in `loop_waits`, has the running loop watch the socket: a sync client needs no loop's library.
"""

from __future__ import annotations

import math
import select
import socket
from typing import Protocol


class Waits(Protocol):
    """How one waits for a socket."""

    def home(self) -> object:
        """What connections made here belong to: the running loop, or all threads."""
        ...

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Wait until bytes, or the end, can be read; False when the time is up."""
        ...

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Wait until bytes can be written, or connecting has ended; False when the time is up."""
        ...


class ThreadWaits:
    """Blocks the thread."""

    def home(self) -> object:
        """One home for all threads of an engine."""
        return self

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Poll for reading."""
        return poll(sock, select.POLLIN, seconds)

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Poll for writing."""
        return poll(sock, select.POLLOUT, seconds)


def poll(sock: socket.socket, events: int, seconds: float | None) -> bool:
    """Wait, blocking, until one of the events is there; False when the time is up."""
    asked = select.poll()
    asked.register(sock, events)
    return bool(asked.poll(None if seconds is None else math.ceil(seconds * 1000)))


class Ended(BaseException):
    """One exchange on a shared connection is over; `error` says why.

    Not an Exception, because httpcore takes those for the connection's end, and fails all the others with them.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
