"""Below ASGI: what a response cannot say but a connection can do.

uvicorn takes a protocol class. Ours hands each request a `Wire`, through which a layer may take the connection away
from uvicorn's response cycle. It relies on four attributes of uvicorn's protocol (`app`, `transport`, `cycle` and its
`disconnected`), which is why the version of uvicorn is pinned to a range.

A reset must be a reset. `transport.abort()` alone closes the socket, and the kernel then sends FIN: an orderly end.
Only with SO_LINGER on and a time of 0 does close() send RST.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "mockserver.wire"
_LINGER_0 = struct.pack("ii", 1, 0)


class Wire:
    """The connection of one request."""

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol

    def reset(self) -> None:
        """Send RST, and nothing that has not left yet. The client sees ECONNRESET."""
        transport = self._protocol.take_over()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()


class WireProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a way below it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def app(scope: Any, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = Wire(self)
            await inner(scope, receive, cast("Any", send))

        self.app = cast("Any", app)

    def take_over(self) -> Any:
        """The transport, which uvicorn will touch no more."""
        self.cycle.disconnected = True
        return self.transport


def wire_of(scope: Scope) -> Wire:
    """The wire below this request."""
    return cast("Wire", scope["extensions"][EXTENSION])
