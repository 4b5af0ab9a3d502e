"""Connections: a socket that keeps our time and counts what it sends, and TLS over it.

Both are coroutines over a non-blocking socket, written once for both faces (`waits`). A socket needs no loop to be
closed: a connection can be dropped from anywhere, also where its loop is gone.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from rest_api_client.engines.httpx.waits import Waits, poll
from rest_api_client.engines.passage import Patience

T = TypeVar("T")

RECORD = 65536
"""Bytes of ciphertext read, and handed to the kernel, at once."""


class Layer(Protocol):
    """Bytes both ways; TLS may lie over TLS."""

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes, or b"" at the end."""
        ...

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        ...


class Wire:
    """A connected, non-blocking socket.

    Attributes:
        sent: bytes the kernel has taken.
        peer: the other end's address, for people.
        begun: called once, with itself and whether it is HTTP/2, when the first bytes of the protocol have been sent.
        shared: whether several exchanges use it at once.
    """

    __slots__ = ("_lock", "_sock", "_waits", "begun", "closed", "peer", "sent", "shared")

    def __init__(self, sock: socket.socket, waits: Waits) -> None:
        self._sock = sock
        self._waits = waits
        self._lock = threading.Lock()
        self.closed = False
        self.sent = 0
        self.begun: Callable[[Wire, bool], object] | None = None
        self.shared = False
        self.peer = _peer(sock)

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes, or b"" at the end."""
        while True:  # waits first: what was asked for has hardly ever come yet
            if await self._waits.readable(self._sock, patience.left()):
                with suppress(BlockingIOError, InterruptedError):
                    return self._sock.recv(size)

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        view = memoryview(data)
        while view:
            view = view[await self.send_some(view, patience) :]

    async def send_some(self, data: memoryview | bytes | bytearray, patience: Patience) -> int:
        """As many bytes as the kernel takes at once, at least one; say how many."""
        while True:
            left = patience.left()
            try:
                taken = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                await self._waits.writable(self._sock, left)
            else:
                self.sent += taken
                return taken

    def readable(self) -> bool:
        """Whether something, an end most likely, can be read at once."""
        with self._lock:
            return self.closed or poll(self._sock, select.POLLIN, 0)

    def shut_down(self) -> None:
        """Have whoever waits for this socket woken, from any thread; it stays open for them to close."""
        with self._lock, suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, from any thread, any number of times."""
        with self._lock:
            self.closed = True
            self._sock.close()

    def abandon(self) -> None:
        """Close this process's copy after a fork; a thread that held the lock does not exist here."""
        self.closed = True
        with suppress(OSError):  # nothing may be raised in a forked child
            self._sock.close()


def _peer(sock: socket.socket) -> str | None:
    address: tuple[str, int] | bytes | str = ""
    with suppress(OSError):  # it may be reset already
        address = sock.getpeername()
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return os.fsdecode(address) or None


class TLS:
    """TLS over another layer, through memory: the same for both faces, and for TLS inside a proxy's TLS.

    What is written goes into the record layer whole and waits there in order. A writer that gives up half way leaves
    the rest to the next one, so that an HTTP/2 connection stays usable for its other streams.
    """

    def __init__(self, below: Layer, context: ssl.SSLContext, hostname: str | None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._pending = bytearray()
        self._flushing = False

    @property
    def unread(self) -> bool:
        """Whether bytes have come that nobody has read yet."""
        return bool(self._incoming.pending or self.object.pending())

    async def handshake(self, patience: Patience) -> None:
        """Agree on keys, and check the certificate."""
        await self._run(self.object.do_handshake, patience)

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes of plain text, or b"" at the end, said or not."""
        try:
            return await self._run(lambda: self.object.read(size), patience)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        view = memoryview(data)
        while view:
            view = view[self.object.write(view) :]
        await self._flush(patience)

    async def _run(self, step: Callable[[], T], patience: Patience) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush(patience)
                data = await self._below.receive(RECORD, patience)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush(patience)
                return result

    async def _flush(self, patience: Patience) -> None:
        if self._outgoing.pending:
            self._pending += self._outgoing.read()
        if self._flushing:
            return  # pragma: no cover - a reader's key update meets a writer: whoever is at it sends this as well
        self._flushing = True
        try:
            while self._pending:
                if isinstance(self._below, Wire):
                    del self._pending[: await self._below.send_some(self._pending[:RECORD], patience)]
                else:
                    data = bytes(self._pending)
                    del self._pending[:]
                    await self._below.send(data, patience)
        except ConnectionError:
            self._pending.clear()  # it will not be taken any more, but an answer may have come before that
            raise
        finally:
            self._flushing = False
