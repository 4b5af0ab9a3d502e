"""HTTP by hand on a socket: what remains when there is no client at all."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.clients import TIMEOUT, Setup


class BareSocket:
    """One connection; it knows no more of HTTP than the benchmark's server says."""

    def __init__(self, setup: Setup) -> None:
        self._socket: socket.socket | None = None

    def json(self, url: str) -> Any:
        """Sends a GET of the fields any client sends, and reads as many bytes as the answer says."""
        parts = urlsplit(url)
        sock = self._socket = self._socket or socket.create_connection((parts.hostname, parts.port), TIMEOUT)
        sock.sendall(f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: */*\r\n\r\n".encode())
        head, _, body = sock.recv(65536).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"answered {head!r}")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        parts_of_body = [body]
        missing = size - len(body)
        while missing:
            parts_of_body.append(sock.recv(262144))
            missing -= len(parts_of_body[-1])
        return json.loads(b"".join(parts_of_body))

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
