"""A server for tests that need full power over what is said on a socket.

`RawServer(handler)` runs `handler(peer)` in a thread per connection; a `Peer` reads and writes bytes as the test wants.
It listens on 127.0.0.1, port 0, or on a unix socket, and stops when its `with` block ends.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.patience import HANGS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, server: RawServer) -> None:
        self.sock = sock
        self.server = server
        self.buffer = b""

    def head(self) -> bytes:
        """The next request's head, b"" where the client hung up first."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, fewer where the client hung up first."""
        while len(self.buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                break
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request, (b"", b"") where there is none."""
        head = self.head()
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head, self.read(int(line.partition(b":")[2]))
            if line.startswith(b"transfer-encoding: chunked"):
                return head, self._chunked()
        return head, b""

    def _chunked(self) -> bytes:
        body = b""
        while True:
            size = b""
            while not size.endswith(b"\r\n"):
                size += self.read(1) or b"the client hung up\r\n"
            chunk = self.read(int(size, 16) + 2)
            if len(chunk) == 2:
                return body
            body += chunk[:-2]

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Hang up with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def silent(self, seconds: float | None = None) -> bool:
        """Say nothing for so long; False when the client hung up or the test ended meanwhile."""
        ready, _, _ = select.select([self.sock, self.server.bell], [], [], seconds)
        return not ready

    def wait_for_end(self) -> None:
        """Say nothing, and read nothing, until the test ends."""
        select.select([self.server.bell], [], [])

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


Handler = Callable[[Peer], object]


class RawServer:
    """A server whose connections are handled by `handler`, each in a thread; by default each request is answered OK.

    Attributes:
        heads: the heads of all requests, in order of arrival.
        accepted: how many connections there were.
        errors: what handlers raised, beside broken connections.
    """

    def __init__(self, handler: Handler | None = None, *, tls: ssl.SSLContext | None = None, path: str = "") -> None:
        self._handler = handler or serve_ok
        self._tls = tls
        self.heads: list[bytes] = []
        self.accepted = 0
        self.errors: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(path or ("127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = 0 if path else self._listener.getsockname()[1]
        self.bell, self._ring = socket.socketpair()
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self.bell], [], [])
            if self.bell in ready:
                return
            sock, _ = self._listener.accept()
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            peer = Peer(sock, self)
            thread = threading.Thread(target=self._run, args=[peer], daemon=True)
            self._threads.append(thread)
            self._peers.append(peer)
            thread.start()

    def _run(self, peer: Peer) -> None:
        try:
            if self._tls is not None:
                peer.start_tls(self._tls)
            self._handler(peer)
        except (OSError, ValueError):
            pass  # a broken connection is what most tests are about
        except BaseException as error:
            self.errors.append(error)
        finally:
            peer.close()

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ring.close()
        self._acceptor.join(HANGS)
        self._listener.close()
        for peer in self._peers:
            with suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANGS)
        self.bell.close()
        assert not self.errors, self.errors
        assert not any(thread.is_alive() for thread in self._threads)


def serve_ok(peer: Peer) -> None:
    """Answer every request with OK."""
    while peer.request()[0]:
        peer.send(OK)


def dead_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Silent:
    """Addresses that never answer a connection: listeners whose backlog is full."""

    def __init__(self, count: int = 1) -> None:
        self._sockets: list[socket.socket] = []
        self.addresses: list[tuple[str, int]] = []
        for _ in range(count):
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            self._sockets.append(listener)
            self.addresses.append(listener.getsockname())
            for _ in range(4):  # Linux takes backlog + 1, and a little more
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                self._sockets.append(filler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()
