"""The door in front of a server: what connections meet before any byte of HTTP.

uvicorn listens nowhere. The gate accepts, decides by the connection's number, and hands a good one to uvicorn with the
loop's own `connect_accepted_socket`; there is no further hop.

    server.gate.refuse()                              until open(): ECONNREFUSED, the port is kept
    server.gate.swallow()                             until open(): SYNs are not answered, connecting times out
    server.gate.fail("reset", connections=2)          the next two are accepted, then reset
    server.gate.fail("handshake_failure", first=3)    with TLS: from the third on, until open()
    server.gate.present(expired)                      the next one is shown this certificate
    server.gate.cut()                                 every connection that stands is reset

Methods may be called from any thread and before the server is started; they return when the door has changed.

A port is refused but kept by a socket that is bound and does not listen. SYNs are swallowed by a listener with the
shortest queue there is, filled by connections of our own that nobody accepts. Both as seen on Linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from mockserver.players.connection import FAREWELL, LINGER_0
from rest_api_client.lazy_dataclasses import dataclass

BACKLOG = 2048

Door: TypeAlias = Literal["open", "refused", "swallowed"]
"""What a connection meets: somebody who accepts it, a refusal, or nothing at all."""

ConnectionFault: TypeAlias = Literal[
    "reset",
    "close",
    "silence",
    "hello_reset",
    "hello_close",
    "hello_silence",
    "handshake_failure",
    "internal_error",
    "plaintext",
    "garbage",
]
"""What an accepted connection meets. From `hello_reset` on TLS is needed: they come when the ClientHello has."""

_REPLIES: Final[dict[str, bytes]] = {
    "handshake_failure": b"\x15\x03\x03\x00\x02\x02\x28",
    "internal_error": b"\x15\x03\x03\x00\x02\x02\x50",
    "plaintext": b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "garbage": b"\x16\x03\x03\x00\x20" + b"\xff" * 32,
}
_ANY_TIME = frozenset({"reset", "close", "silence"})


@dataclass(slots=True)
class _Order:
    """From connection `first` on, `left` of them (None: all) meet this."""

    what: ConnectionFault | ssl.SSLContext
    first: int
    left: int | None


class Gate:
    """Accepts the connections of one server.

    Attributes:
        accepted: how many connections have been accepted so far.
        handshakes: what went wrong in the latest 100 TLS handshakes that failed, the client's alert among it.
    """

    def __init__(self, *, tls: ssl.SSLContext | None) -> None:
        self.accepted = 0
        self.handshakes: deque[str] = deque(maxlen=100)
        self._tls = tls
        self._door: Door = "open"
        self._orders: list[_Order] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._held: set[socket.socket] = set()
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}
        self._protocol: Callable[[], asyncio.Protocol]
        self._cut: Callable[[], None]

    @property
    def door(self) -> Door:
        """What connections meet now."""
        return self._door

    def open(self) -> None:
        """Let everybody in: the port listens again, and what was to fail is forgotten."""

        def change() -> None:
            self._orders.clear()
            self._become("open")

        self._do(change)

    def refuse(self) -> None:
        """Refuse connections (RST to the SYN) until `open`. Those that stand are left alone."""
        self._do(lambda: self._become("refused"))

    def swallow(self) -> None:
        """Answer no SYN until `open`: connecting takes as long as the client's patience."""
        self._do(lambda: self._become("swallowed"))

    def become(self, door: Door) -> None:
        """One of the three, leaving alone what was to fail."""
        self._do(lambda: self._become(door))

    def fail(self, fault: ConnectionFault, *, connections: int | None = None, first: int | None = None) -> None:
        """Let connections meet a fault once they are accepted.

        Args:
            fault: see `ConnectionFault`. "silence" reads nothing and says nothing.
            connections: how many; None for all until `open`.
            first: the number of the first one, counted from 1 since the start; None for the next one.

        Raises:
            ValueError: an unknown fault, or one of TLS on a server without.
        """
        if fault not in get_args(ConnectionFault):
            raise ValueError(f"fault={fault!r}: give one of {', '.join(get_args(ConnectionFault))}")
        if fault not in _ANY_TIME and self._tls is None:
            raise ValueError(f"fault={fault!r} strikes a TLS handshake: give MockServer a tls=")
        self._order(fault, connections, first)

    def present(self, certificate: ssl.SSLContext, *, connections: int | None = 1, first: int | None = None) -> None:
        """Show connections another certificate: one for another host, expired, or signed by nobody known.

        Raises:
            ValueError: the server has no TLS.
        """
        if self._tls is None:
            raise ValueError("a certificate is shown in a TLS handshake: give MockServer a tls=")
        self._order(certificate, connections, first)

    def cut(self) -> None:
        """Reset every connection that stands."""
        self._do(self._cut_all)

    def _order(self, what: ConnectionFault | ssl.SSLContext, connections: int | None, first: int | None) -> None:
        for name, value in (("connections", connections), ("first", first)):
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r}: give a whole number of at least 1, or None")
        self._do(lambda: self._orders.append(_Order(what, first or self.accepted + 1, connections)))

    def _do(self, change: Callable[[], None]) -> None:
        """Run on the loop, and return when it has been done."""
        loop = self._loop
        if loop is None or threading.get_ident() == self._thread:
            change()
            return
        done: Future[None] = Future()

        def run() -> None:
            try:
                change()
                done.set_result(None)
            except Exception as error:  # raised where it was asked for
                done.set_exception(error)

        loop.call_soon_threadsafe(run)
        done.result()

    # What follows runs on the loop.

    def serve(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], cut: Callable[[], None]) -> None:
        """Begin to accept. `cut` resets the connections that were handed over."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._protocol, self._cut = protocol, cut
        self._listener = listener
        door, self._door = self._door, "open"
        self._listen()
        self._become(door)

    async def shut(self) -> None:
        """Accept no more, and drop whoever was kept waiting."""
        self._loop = None
        self._leave()
        cast("socket.socket", self._listener).close()
        self._listener = None
        for sock in self._held:
            sock.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _become(self, door: Door) -> None:
        if self._listener is None or door == self._door:
            self._door = door
            return
        address, family = self._listener.getsockname(), self._listener.family
        if self._door == "open":
            self._accept(self._listener)  # who has come already is not refused
        self._leave()
        self._listener.close()
        self._listener = bind(family, address)
        self._door = door
        if door == "open":
            self._listen()
        elif door == "swallowed":
            self._fill(address, family)

    def _listen(self) -> None:
        listener = cast("socket.socket", self._listener)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _leave(self) -> None:
        asyncio.get_running_loop().remove_reader(cast("socket.socket", self._listener))
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _fill(self, address: Any, family: int) -> None:
        cast("socket.socket", self._listener).listen(0)
        for _ in range(3):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            if filler.connect_ex(address) not in (0, errno.EINPROGRESS):
                raise OSError(f"cannot fill the queue of {address}")
            self._fillers.append(filler)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                sock, _ = listener.accept()
            except OSError:  # nobody more, or gone before it was accepted
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self._meet(sock, self._ordered(self.accepted))

    def _ordered(self, number: int) -> ConnectionFault | ssl.SSLContext | None:
        for order in self._orders:
            if number >= order.first and order.left != 0:
                order.left = None if order.left is None else order.left - 1
                return order.what
        return None

    def _meet(self, sock: socket.socket, what: ConnectionFault | ssl.SSLContext | None) -> None:
        if what is None or isinstance(what, ssl.SSLContext):
            self._start(self._hand_over(sock, what or self._tls), sock)
        elif what in _ANY_TIME:
            self._finish(sock, what)
        else:
            self._start(self._spoil(sock, what), sock)

    def _start(self, work: Coroutine[Any, Any, None], sock: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = sock
        task.add_done_callback(self._tasks.pop)

    async def _hand_over(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, sock, ssl=tls)
        except OSError as error:  # ssl.SSLError among them
            self.handshakes.append(str(error))
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    async def _spoil(self, sock: socket.socket, what: str) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            await loop.sock_recv(sock, 65536)
            if what in _REPLIES:
                await loop.sock_sendall(sock, _REPLIES[what])
        self._finish(sock, what.removeprefix("hello_"))

    def _finish(self, sock: socket.socket, how: str) -> None:
        if how == "silence":
            self._held.add(sock)
        elif how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            sock.close()
        else:
            self._start(_part(sock), sock)

    def _cut_all(self) -> None:
        for sock in self._held:
            self._finish(sock, "reset")
        self._held.clear()
        for task, sock in self._tasks.items():  # in a handshake, or on their way to uvicorn
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            task.cancel()
        if self._loop is not None:
            self._cut()


async def _part(sock: socket.socket) -> None:
    """Send FIN, and read on for a while: closed with bytes unread, a socket would send RST."""
    loop = asyncio.get_running_loop()
    try:
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(FAREWELL):
            while await loop.sock_recv(sock, 65536):
                pass
    except OSError:  # the client's own reset, and TimeoutError
        pass
    finally:
        sock.close()


def bind(family: int, address: Any) -> socket.socket:
    """A socket bound to this address, made with the protocol TCP named (see `server`)."""
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
