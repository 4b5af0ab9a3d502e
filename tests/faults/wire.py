"""What a raw socket sees of a fault: the bytes, shortened and escaped, and how the connection ended."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from typing import Final

from mockserver import MockServer
from tests.faults.rows import UPLOAD, Row
from tests.mockserver.wire.talking import Talk, connect, listen, message, whole
from tests.patience import HANGS

QUIET: Final = 0.4
"""Seconds after which nothing more is held to come."""
_SHOWN = 90


def on_the_wire(row: Row, server: MockServer) -> str:
    """The bytes and the end; for a fault of TLS, of the connection that carries the handshake."""
    try:
        sock = connect(server.port, patience=QUIET if row.silent else HANGS)
    except ConnectionRefusedError:
        return "RST to the SYN"
    except TimeoutError:
        return "no answer to the SYN"
    except ConnectionResetError:
        return "RST"
    with sock:
        return _handshake(row, sock) if row.group == "TLS" else _answer(row, sock)


def _answer(row: Row, sock: socket.socket) -> str:
    content = UPLOAD if row.method == "POST" else b""
    try:
        sock.sendall(message(row.method, row.fault, "/text", content, {}))
        told = _told(listen(sock, lambda talk: True, quiet=QUIET))
        if row.name != "stale":
            return told
        sock.sendall(message("GET", "", "/text", b"", {}))
        return f"{told}; to the next request {_told(listen(sock, whole, quiet=QUIET))}"
    except (ConnectionResetError, BrokenPipeError):
        return "RST"


def _handshake(row: Row, sock: socket.socket) -> str:
    if row.name.startswith("present"):
        return f"a handshake with the certificate {row.name.partition(', ')[2]}"
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(arriving, leaving, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):  # its bytes are what is wanted
        hello.do_handshake()
    try:
        sock.sendall(leaving.read())
        return _told(listen(sock, lambda talk: True, quiet=QUIET))
    except (ConnectionResetError, BrokenPipeError):
        return "RST"


def _told(talk: Talk) -> str:
    if not talk.data:
        return talk.end
    return f"`{escaped(talk.data)}` {talk.end}"


def escaped(data: bytes) -> str:
    """On one line, the date left out, long runs and long answers shortened in the middle."""
    plain = re.sub(rb"(?i)(?:date|server|x-request-id|x-fault-id|etag): [^\r\n]*\r?\n", b"", data)
    text = "".join(_character(byte) for byte in plain).replace("|", "\\|").replace("`", "'")
    half = _SHOWN // 2
    return text if len(text) <= 2 * _SHOWN else f"{text[: _SHOWN + half]} ... {text[-half:]}"


def _character(byte: int) -> str:
    named = {10: "\\n", 13: "\\r"}
    return named.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
