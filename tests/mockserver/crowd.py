"""Many slow connections at once, and what becomes of everybody else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mockserver import MockServer
from tests.patience import HANGS, wait_until

SLOW = (
    b"GET /drip HTTP/1.1\r\nhost: stage\r\n\r\n",
    b"GET /delay/60 HTTP/1.1\r\nhost: stage\r\n\r\n",
    b"GET /sse?count=9&interval=60 HTTP/1.1\r\nhost: stage\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: stage\r\ncontent-length: 100\r\n\r\nhalf",
)
"""An answer byte by byte, one that does not begin, one that does not go on, and a request that does not end."""
NORMAL = b"GET /echo HTTP/1.1\r\nhost: stage\r\n\r\n"


@contextmanager
def crowd(count: int) -> Iterator[MockServer]:
    """A server on which so many slow requests are in flight."""
    with ExitStack() as stack:
        server = stack.enter_context(MockServer(rules=None, admin=True, journal_size=count + 100))
        server.stub("GET", "/drip", chunks=["x"] * 60, every=1.0)
        for number in range(count):
            sock = stack.enter_context(socket.create_connection((server.host, server.port), timeout=HANGS))
            sock.sendall(SLOW[number % len(SLOW)])
        wait_until(lambda: server.journal.counts["in_flight"] == count)
        yield server


def answer_time(server: MockServer) -> float:
    """Seconds from connecting to a whole answer, for somebody who is in no way slow."""
    began = time.perf_counter()
    with socket.create_connection((server.host, server.port), timeout=HANGS) as sock:
        sock.sendall(NORMAL)
        received = b""
        while b"\r\n\r\n" not in received or not received.endswith(b"}"):
            received += sock.recv(65536)
    return time.perf_counter() - began
