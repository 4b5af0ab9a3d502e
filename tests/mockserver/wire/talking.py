"""A raw client: what came over the socket, and how it ended, as the kernel itself tells."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.patience import HANGS

BRIEF = 0.05
"""Seconds after which a connection on which nothing more is to come counts as silent."""

CLOSE_WAIT = 8
"""TCP's state after the other end's FIN."""


@dataclass
class Talk:
    """One request on a connection of its own.

    Attributes:
        data: all bytes that came.
        end: "FIN", "RST", or "silence" as long as there is none.
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


def whole(talk: Talk) -> bool:
    """Whether an answer with a Content-Length is complete."""
    length = re.search(rb"content-length: (\d+)", talk.head)
    return length is not None and b"\r\n\r\n" in talk.data and len(talk.body) >= int(length[1])


def connect(port: int, tls: ssl.SSLContext | None = None, patience: float = HANGS) -> socket.socket:
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


def listen(
    sock: socket.socket,
    until: Callable[[Talk], bool] | None = None,
    *,
    quiet: float = BRIEF,
    began: float | None = None,
) -> Talk:
    """Read until the end, however long it takes; or until this is heard, and for a moment more.

    Args:
        until: what is to be heard of a connection that is to stay open.
        quiet: seconds for which nothing may come after that; 0 does not look.
        began: what times are counted from; None for now.
    """
    talk, began = Talk(), time.perf_counter() if began is None else began
    while talk.end == "silence":
        heard = until is not None and until(talk)
        if heard and not quiet:
            break
        sock.settimeout(quiet if heard else HANGS)
        try:
            piece = sock.recv(1 << 16)
        except TimeoutError:
            break
        except (ConnectionResetError, ssl.SSLEOFError):
            talk.end = "RST"
        else:
            talk.data += piece
            talk.reads.append((time.perf_counter() - began, len(piece)))
            talk.end = talk.end if piece else "FIN"
    return talk


def ask(port: int, request: bytes, until: Callable[[Talk], bool] | None = None) -> Talk:
    """Send a request on a connection of its own."""
    with connect(port) as sock:
        began, reset = time.perf_counter(), False
        try:
            sock.sendall(request)
        except ConnectionResetError:
            reset = True  # the kernel tells it once: to whoever reads next it is an end like any other
        except BrokenPipeError:
            pass
        talk = listen(sock, until, began=began)
        talk.end = "RST" if reset else talk.end
        return talk


def tcp_state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
