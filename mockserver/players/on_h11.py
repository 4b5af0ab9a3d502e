"""uvicorn's HTTP/1.1 on h11, with a way below it."""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol

from mockserver.players.connection import Connection


class H11Wire(Connection, H11Protocol):  # type: ignore[misc]  # two protocols of one shape, related by nothing
    """h11's side of a connection."""

    @property
    def pipelined(self) -> bool:
        """Whether uvicorn has read a part of the next request already, which would be lost."""
        return bool(self.conn.trailing_data[0])
