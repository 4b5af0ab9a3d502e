"""A connection of uvicorn's that can be taken over: mixed into its two HTTP/1.1 protocols.

It relies on a few attributes of theirs (`app`, `transport`, `flow`, `loop`, `cycle.disconnected`, `server_state`): so
the version of uvicorn is pinned to a range.

A reset must be a reset. `transport.abort()` alone closes the socket, and the kernel then sends FIN: an orderly end.
Only with SO_LINGER on and a time of 0 does close() send RST. The other way round, close() with bytes of the client
unread sends RST where a FIN was wanted: then the FIN goes first, and the rest is read and dropped.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "mockserver.wire"

LINGER_0 = struct.pack("ii", 1, 0)
"""SO_LINGER's value for a close that sends RST."""

_SMALL_BUFFER = 4096
FAREWELL = 1.0
"""Seconds a closed connection is still read, for the client to hear the FIN."""

_LOOK = 0.2
_OVER = frozenset({7, 8})
"""TCP's states CLOSE (after a reset) and CLOSE_WAIT (after the client's FIN), as Linux numbers them."""

_GLANCE = 0.001

_MOST_EARLY = 65_536
"""Bytes kept of a request that comes before the answer to the one before it is complete."""

_numbers = itertools.count(1)

if TYPE_CHECKING:
    _Protocol: TypeAlias = HttpToolsProtocol
else:
    _Protocol = object


class Connection(_Protocol):
    """Mixed into uvicorn's protocols: a connection that can be taken over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.number = next(_numbers)
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self._taken = False
        self._early = bytearray()
        self._reset_next = False

    def data_received(self, data: bytes) -> None:
        """Keep what comes on a connection taken over until it is given back, or meet it with RST."""
        if self._reset_next:
            self.reset()
        elif not self._taken:
            super().data_received(data)
        elif not self.flooded:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(exc)
        if not self.gone.done():
            self.gone.set_result(None)

    @property
    def secure(self) -> bool:
        """Whether TLS lies between."""
        return self.transport.get_extra_info("ssl_object") is not None

    @property
    def bodiless(self) -> bool:
        """Whether the request has come to its end, without a body."""
        cycle = self.cycle
        return not (cycle.more_body or cycle.body or cycle.disconnected or self.pipelined)

    def take_over(self) -> None:
        """uvicorn neither reads nor writes here any more."""
        self.cycle.disconnected = True
        self._taken = True
        # Not 0: TLS pauses at the limit, not above it, so that at 0 it would pause with nothing to write.
        self.transport.set_write_buffer_limits(high=1, low=0)

    async def write(self, data: bytes) -> None:
        """Return when the kernel has all of it, or the client is gone."""
        if data and not self.gone.done():
            self.transport.write(data)
            await self.flow.drain()

    async def wait(self, seconds: float | None) -> bool:
        """Whether the client is still there after so long; None for as long as it is."""
        if seconds is None:
            await self._until_gone()
        elif seconds > 0:
            await asyncio.wait((self.gone,), timeout=seconds)
        return not self.gone.done()

    async def _until_gone(self) -> None:
        # A transport that does not read hears of no end: then the kernel is asked.
        while not self.gone.done():
            await asyncio.wait((self.gone,), timeout=_LOOK if self.flow.read_paused else None)
            if not self.gone.done() and self._left():
                self.transport.abort()

    def _left(self) -> bool:
        raw = self.transport.get_extra_info("socket")
        return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _OVER

    @property
    def pipelined(self) -> bool:
        """Whether uvicorn has read a part of the next request already, which would be lost."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether `send` may answer in uvicorn's place."""
        return False

    def send(self, status_line: bytes, rest: bytes) -> None:
        """Write an answer at once, the server's own fields behind the status line."""
        raise NotImplementedError

    @property
    def flooded(self) -> bool:
        """Whether more has come than is kept: the connection cannot be given back."""
        return len(self._early) > _MOST_EARLY

    async def delivered(self) -> None:
        """Return when the client's kernel has all that was written: a reset would take the rest away."""
        transport, raw = self.transport, self.transport.get_extra_info("socket")
        while not transport.is_closing() and (transport.get_write_buffer_size() or _unacknowledged(raw.fileno())):
            await self.wait(_GLANCE)

    def read_slowly(self) -> None:
        """Let the kernel take in as little as possible of what has not been read."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)

    def reset(self) -> None:
        """Send RST, and nothing that has not left yet. The client sees ECONNRESET."""
        if not self.transport.is_closing():
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            self.transport.abort()

    def reset_at_next_byte(self) -> None:
        """Send RST as soon as the client sends anything, or at once where it has."""
        self._reset_next = True
        if self._early:
            self.reset()

    def half_close(self) -> None:
        """Send FIN, and go on reading until the client has sent its own."""
        if not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()

    async def close(self, *, unread: bool) -> None:
        """Send FIN. `unread`: there may be bytes of the client that nobody has read."""
        if unread and not self.secure:
            self.half_close()
            await self.wait(FAREWELL)
        self.transport.close()

    def give_back(self) -> None:
        """The answer is complete: uvicorn reads the next request, with a parser that has seen nothing."""
        if self.transport.is_closing():
            return
        fresh = type(self)(
            config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop
        )
        fresh.number = self.number
        self.connections.discard(cast("Any", self))
        self.transport.set_write_buffer_limits()
        self.transport.set_protocol(fresh)
        fresh.connection_made(self.transport)
        self.flow.resume_reading()
        if self._early:
            fresh.data_received(bytes(self._early))


def _unacknowledged(descriptor: int) -> int:
    """Bytes in the kernel's send queue (SIOCOUTQ, which Linux gives the number of TIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])
