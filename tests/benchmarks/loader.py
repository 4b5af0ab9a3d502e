"""Load: GETs on keep-alive connections, as fast as one core sends them, never two on one connection at a time.

    python -m tests.benchmarks.loader PORT PATH SECONDS CONNECTIONS

Prints one line of JSON: requests answered, and in how many seconds. Written on bare sockets and epoll, since what it
spends limits what it can ask of the server: a server that comes near what it gets of `servers.constant` has not been
measured.

The first answer is read with care (http.client) and must be a 200 with the body expected; of those that follow it only
checks the status line and that they end as that one did: in the body's last bytes, or in the last chunk.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import sys
import time

BODY = (
    '{"id":7,"name":"Grace Hopper","email":"grace.hopper@example.org","city":"New York",'
    '"tags":["navy","compiler"],"active":true,"note":"a rear admiral and teacher"}'
)
"""160 bytes of JSON: what every server is to answer."""


def request(path: str) -> bytes:
    """A GET with the fields that any client sends."""
    lines = (f"GET {path} HTTP/1.1", "host: 127.0.0.1", "accept: */*", "user-agent: tests.benchmarks", "", "")
    return "\r\n".join(lines).encode()


def probe(port: int, path: str) -> bytes:
    """The bytes in which this server's answers end; raises where it does not answer what it should."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200 or json.loads(body) != json.loads(BODY):
        raise RuntimeError(f"port {port} answered {answer.status} {body!r}")
    chunked = answer.getheader("transfer-encoding", "").lower() == "chunked"
    return b"\r\n0\r\n\r\n" if chunked else body[-24:]


def run(port: int, path: str, seconds: float, connections: int) -> dict[str, float]:
    """Load for so many seconds."""
    tail, sent = probe(port, path), request(path)
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return _turn(sockets, sent, tail, seconds)
    finally:
        for each in sockets:
            each.close()


def _turn(sockets: list[socket.socket], sent: bytes, tail: bytes, seconds: float) -> dict[str, float]:
    poll = select.epoll()
    ends = {each.fileno(): (each.recv, each.send) for each in sockets}
    partial: dict[int, bytes] = {}
    done, began = 0, time.perf_counter()
    for descriptor, (_, send) in ends.items():
        poll.register(descriptor, select.EPOLLIN)
        send(sent)
    now = began
    while now - began < seconds:
        for descriptor, _ in poll.poll(1.0):
            receive, send = ends[descriptor]
            data = receive(65536)
            if not data:
                raise RuntimeError("the server closed a connection under load")
            if descriptor in partial:
                data = partial.pop(descriptor) + data
            if data.endswith(tail):
                if not data.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"answered {data[:200]!r}")
                done += 1
                send(sent)
            else:
                partial[descriptor] = data
        now = time.perf_counter()
    poll.close()
    return {"requests": done, "seconds": now - began}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
