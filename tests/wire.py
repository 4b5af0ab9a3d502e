"""A server for tests that says exactly the bytes it is told to: raw TCP or TLS, one thread per connection.

    def answer(connection: Connection, request: Received) -> None:
        connection.answer(200, b"ok")

    with Server(each(answer)) as server:
        ...  # server.url, server.requests, server.accepted

A handler has a connection for itself: it reads requests, sends bytes, resets, or falls silent. It never sleeps: silence
lasts until the client goes away or the server is stopped. What was received is counted here, on the wire's far side.
Leaving the block shuts every socket, joins every thread, and raises what a handler raised (broken sockets apart).
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from tests.patience import HANGS

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Received:
    """One request as it came, its body whole (chunks undone)."""

    method: str
    target: str
    fields: Pairs
    body: bytes
    connection: int
    certificate: bytes | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Fields by lower-case name; of several with one name, the last."""
        return {name.lower(): value for name, value in self.fields}


class Connection:
    """One accepted connection.

    Attributes:
        number: counts from 0, in the order of acceptance.
        over: whether nothing more can be said.
        finished: set when the FIN is out, or the handler is over.
        stray: bytes that came while the server was silent.
    """

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self._server = server
        self.sock = sock
        self.number = number
        self.over = False
        self.finished = threading.Event()
        self.stray = b""
        self._buffer = b""

    @property
    def stopped(self) -> threading.Event:
        """Set when the server stops: what a handler that paces itself waits on."""
        return self._server.stopped

    def read(self) -> Received | None:
        """The next request, read whole; None where the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        body = self._body({name.lower(): value for name, value in fields})
        if body is None:
            return None
        certificate = self.sock.getpeercert(binary_form=True) if isinstance(self.sock, ssl.SSLSocket) else None
        request = Received(method, target, fields, body, self.number, certificate)
        self._server.requests.append(request)
        return request

    def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                if not self._more():
                    return None
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            chunk = self._exactly(int(size, 16) + 2)
            if chunk is None:
                return None
            if chunk == b"\r\n":
                return body
            body += chunk[:-2]

    def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not self._more():
                return None
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)

    def first_byte(self) -> bool:
        """Wait until something has come, and leave it unread; False where the client has gone."""
        return bool(self._buffer) or bool(self.sock.recv(1, socket.MSG_PEEK))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def send_together(self, *parts: bytes) -> None:
        """Send parts in one segment (Linux), over TLS each in a record of its own."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for part in parts:
            self.sock.sendall(part)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def send_slowly(self, data: bytes) -> None:
        """Send bytes in a segment each."""
        for n in range(len(data)):
            self.sock.sendall(data[n : n + 1])

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `content_encoding="gzip"` gives that field."""
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} Fine\r\ncontent-length: {len(body)}\r\n{fields}\r\n"
        self.send(head.encode("latin-1") + body)

    def finish(self) -> None:
        """Close in order (FIN)."""
        self.over = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.finished.set()

    def reset(self) -> None:
        """Break the connection (RST)."""
        self.over = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def silence(self) -> None:
        """Say nothing more until the client goes away."""
        self.over = True
        with suppress(OSError):
            while data := self.sock.recv(65536):
                self.stray += data

    def wait(self) -> None:
        """Neither read nor write until the server is stopped: the client's bytes stay in the kernel's buffers."""
        self.over = True
        self.stopped.wait()


Handler = Callable[[Connection], None]


def each(answer: Callable[[Connection, Received], None]) -> Handler:
    """A handler that keeps the connection alive and has every request on it answered."""

    def handle(connection: Connection) -> None:
        while not connection.over and (request := connection.read()) is not None:
            answer(connection, request)

    return handle


def ok(connection: Connection, request: Received) -> None:
    """200, with a body that says ok."""
    connection.answer(200, b"ok")


class Server:
    """A listener on a free port of `host`, whose connections go to `handle`, each in a thread.

    Args:
        handle: what happens on a connection.
        host: an address of this machine.
        tls: the server's context; the handshake runs in the connection's thread.
        listening: False refuses connections until `listen()`, on a port that nobody else can take.
        receive_buffer: bytes the kernel takes before the handler reads.

    Attributes:
        requests: everything received whole, in order of arrival.
        connections: everything accepted.
        stopped: set when the server stops.
    """

    def __init__(
        self,
        handle: Handler | None = None,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        listening: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        self._handle = handle or each(ok)
        self._tls = tls
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self.stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((host, 0))
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        if listening:
            self.listen()

    @property
    def url(self) -> str:
        """The server's origin."""
        return self.at(f"[{self.host}]" if ":" in self.host else self.host)

    def at(self, name: str) -> str:
        """The origin under another name."""
        return f"{'http' if self._tls is None else 'https'}://{name}:{self.port}"

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return len(self.connections)

    def listen(self) -> None:
        """Accept connections from now on."""
        self._listener.listen(256)
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.stopped.is_set():
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent has arrived
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        try:
            if self._tls is not None:
                connection.sock = self._tls.wrap_socket(connection.sock, server_side=True)
            self._handle(connection)
        except OSError:
            pass
        except BaseException as failure:  # shown by whoever stops the server
            self._failures.append(failure)
        finally:
            connection.sock.close()
            connection.finished.set()

    def stop(self) -> None:
        """Shut every socket and join every thread. Idempotent.

        Raises:
            BaseException: what a handler raised first.
        """
        self.stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANGS)
            assert not thread.is_alive(), "a handler does not end: it must wait on its socket or on server.stopped"
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def dead_addresses(count: int = 1) -> Iterator[tuple[list[str], int]]:
    """Loopback addresses, and one port, where no SYN is ever answered (Linux): their accept queues are full."""
    held: list[socket.socket] = []
    try:
        listeners = [socket.socket() for _ in range(count)]
        held += listeners
        listeners[0].bind(("127.0.0.1", 0))
        port: int = listeners[0].getsockname()[1]
        addresses = [f"127.0.0.{n}" for n in range(1, count + 1)]
        for address, listener in zip(addresses[1:], listeners[1:], strict=True):
            listener.bind((address, port))
        for listener in listeners:
            listener.listen(0)
            for _ in range(3):
                filler = socket.socket()
                held.append(filler)
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
        yield addresses, port
    finally:
        for one in held:
            one.close()
