"""A raw client: what came over the socket, and how it ended, as the kernel itself tells."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field

CLOSE_WAIT = 8
"""TCP's state after the other end's FIN."""


@dataclass
class Talk:
    """One request on a connection of its own.

    Attributes:
        data: all bytes that came.
        end: "FIN", "RST", or "silence" when nothing came for the patience given.
        reads: seconds from the request, and sizes.
    """

    data: bytes = b""
    end: str = "silence"
    reads: list[tuple[float, int]] = field(default_factory=list)

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def connect(port: int, tls: ssl.SSLContext | None = None, patience: float = 2.0) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=patience)
    if tls is None:
        return sock
    return tls.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def get(fault: str = "", path: str = "/text", **fields: str) -> bytes:
    return message("GET", fault, path, b"", fields)


def post(fault: str, body: bytes, path: str = "/text", **fields: str) -> bytes:
    return message("POST", fault, path, body, fields)


def message(method: str, fault: str, path: str, body: bytes, fields: dict[str, str]) -> bytes:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    named |= {"x-fault": fault} if fault else {}
    named |= {"content-length": str(len(body))} if body else {}
    lines = [f"{method} {path} HTTP/1.1", "host: stage", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def listen(sock: socket.socket, patience: float = 2.0, began: float | None = None) -> Talk:
    """Read until the end, or until nothing has come for so long; times are counted from `began`, or from now."""
    talk, began = Talk(), time.perf_counter() if began is None else began
    sock.settimeout(patience)
    try:
        while piece := sock.recv(1 << 16):
            talk.data += piece
            talk.reads.append((time.perf_counter() - began, len(piece)))
        talk.end = "FIN"
    except TimeoutError:
        pass
    except (ConnectionResetError, ssl.SSLEOFError):
        talk.end = "RST"
    return talk


def ask(port: int, request: bytes, patience: float = 2.0) -> Talk:
    """Send a request on a connection of its own."""
    with connect(port) as sock:
        began = time.perf_counter()
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(request)
        return listen(sock, patience, began)


def tcp_state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
