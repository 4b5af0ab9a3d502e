"""The same bytes to whatever comes, on bare sockets: more than any server can do, to see what the load could ask."""

import select
import socket
import sys

from tests.benchmarks.loader import BODY

ANSWER = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n{BODY}".encode()


def serve(port: int) -> None:
    """Until killed."""
    poll, clients = select.epoll(), {}
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        poll.register(listener, select.EPOLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == listener.fileno():
                    client = listener.accept()[0]
                    clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)
                elif not _answered(clients[descriptor]):
                    clients.pop(descriptor).close()


def _answered(client: socket.socket) -> bool:
    try:
        return bool(client.recv(65536) and client.send(ANSWER))
    except ConnectionError:
        return False


if __name__ == "__main__":
    serve(int(sys.argv[1]))
