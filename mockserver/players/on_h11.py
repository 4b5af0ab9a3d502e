"""uvicorn's HTTP/1.1 on h11, with a way below it."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from mockserver.players.connection import EXTENSION, Connection


class H11Wire(Connection, H11Protocol):  # type: ignore[misc]  # two protocols of one shape, related by nothing
    """h11's side of a connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {EXTENSION: self}
            await inner(scope, receive, send)

        self.app = app

    @property
    def pipelined(self) -> bool:
        """Whether uvicorn has read a part of the next request already, which would be lost."""
        return bool(self.conn.trailing_data[0])
