"""A small HTTP/2 peer: h2 over TLS, one thread per connection, answers by a function of the path."""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.rest_api_client.engines.raw import Peer

Play = Callable[["H2Peer", int, str], object]


class H2Peer:
    """The server's end of one HTTP/2 connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.paths: dict[int, str] = {}
        self.reset_streams: list[int] = []

    def flush(self) -> None:
        self.peer.send(self.h2.data_to_send())

    def answer(self, stream: int, body: bytes = b"hello", *, end: bool = True) -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("x-stream", str(stream))])
        self.h2.send_data(stream, body, end_stream=end)
        self.flush()

    def serve(self, play: Play) -> None:
        self.h2.initiate_connection()
        self.flush()
        while True:
            sock = self.peer.sock
            assert isinstance(sock, ssl.SSLSocket)
            if not sock.pending():
                ready, _, _ = select.select([sock, self.peer.server.bell], [], [])
                if self.peer.server.bell in ready:
                    return
            data = sock.recv(65536)
            if not data:
                return
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError:
                return  # it was closed by GOAWAY, and the client did not know yet
            for event in events:
                if isinstance(event, h2.events.RequestReceived):
                    self.paths[event.stream_id] = dict(event.headers)[":path"]
                    self.peer.server.heads.append(self.paths[event.stream_id].encode())
                elif isinstance(event, h2.events.StreamEnded):
                    play(self, event.stream_id, self.paths[event.stream_id])
                elif isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()


def speak(play: Play) -> Callable[[Peer], None]:
    """A handler for `RawServer`."""
    return lambda peer: H2Peer(peer).serve(play)
