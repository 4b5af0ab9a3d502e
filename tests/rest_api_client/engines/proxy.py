"""Tiny proxies on the raw server: HTTP forwarding and CONNECT, and SOCKS5."""

from __future__ import annotations

import select
import socket
import struct

from tests.rest_api_client.engines.raw import Peer


def relay(peer: Peer, address: tuple[str, int], hello: bytes) -> None:
    """Carry bytes both ways until one end hangs up."""
    with socket.create_connection(address) as target:
        peer.send(hello)
        while True:
            ready, _, _ = select.select([peer.sock, target, peer.server.bell], [], [])
            for source, sink in ((peer.sock, target), (target, peer.sock)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    sink.sendall(data)
            if peer.server.bell in ready:
                return


def http_proxy(peer: Peer) -> None:
    """CONNECT is relayed to 127.0.0.1; anything else is answered here, with the request line as the body."""
    while head := peer.head():
        line = head.split(b"\r\n")[0]
        if line.startswith(b"CONNECT "):
            port = int(line.split()[1].rpartition(b":")[2])
            relay(peer, ("127.0.0.1", port), b"HTTP/1.1 200 Connected\r\n\r\n")
            return
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(line), line))


def refusing_proxy(peer: Peer) -> None:
    """Wants a password, and says so."""
    peer.head()
    peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")


def socks_proxy(peer: Peer) -> None:
    """SOCKS5 (RFC 1928, RFC 1929): user "u", password "p" where a password is offered; relays to 127.0.0.1."""
    _, count = struct.unpack("BB", peer.read(2))
    methods = peer.read(count)
    peer.send(b"\x05\x02" if b"\x02" in methods else b"\x05\x00")
    if b"\x02" in methods:
        peer.read(1)
        user = peer.read(peer.read(1)[0])
        password = peer.read(peer.read(1)[0])
        good = (user, password) == (b"u", b"p")
        peer.send(b"\x01\x00" if good else b"\x01\x01")
        if not good:
            return
    _, _, _, kind = peer.read(4)
    host = peer.read(peer.read(1)[0]) if kind == 3 else peer.read(4)
    (port,) = struct.unpack("!H", peer.read(2))
    peer.server.heads.append(host)
    if host == b"blocked.test":
        peer.send(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
        return
    relay(peer, ("127.0.0.1", port), b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
