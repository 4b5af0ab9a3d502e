"""Small servers on real sockets that do exactly what a test says, each connection in a thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.patience import HANGS


class Peer:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over
        self._rest = b""

    def request(self) -> bytes:
        """Head and body of the next request; empty when the client has gone."""
        data = self._until(b"\r\n\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if b"content-length" in fields:
            size = int(fields[b"content-length"])
            body, self._rest = self._read(body, size), b""
        elif fields.get(b"transfer-encoding") == b"chunked":
            self._rest = body
            body = self._until(b"0\r\n\r\n")
        return head + b"\r\n\r\n" + body if head else b""

    def _until(self, mark: bytes) -> bytes:
        data, self._rest = self._rest, b""
        while mark not in data:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            data += piece
        return data

    def _read(self, data: bytes, size: int) -> bytes:
        while len(data) < size:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            data += piece
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, body: bytes = b"ok", fields: bytes = b"") -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), fields, body))

    def wait(self, seconds: float = 30) -> None:
        """Say nothing until the test is over."""
        self.over.wait(seconds)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """A listening socket; `play(peer)` is called for each connection, which is closed afterwards."""

    def __init__(self, play: Callable[[Peer], object], context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._context = context
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def _start(self, function: Callable[[], None]) -> None:
        thread = threading.Thread(target=function, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._over.is_set():
                sock.close()
                return
            self.connections += 1
            self._start(lambda sock=sock: self._serve(sock))

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(HANGS)
        with contextlib.suppress(OSError), contextlib.closing(sock):
            if self._context is None:
                self._play(Peer(sock, self._over))
            else:
                with self._context.wrap_socket(sock, server_side=True) as secured:
                    self._play(Peer(secured, self._over))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._threads[0].join(HANGS)
        self._listener.close()


def always(peer: Peer) -> None:
    """Answer every request with its own text."""
    while data := peer.request():
        peer.answer(data)
