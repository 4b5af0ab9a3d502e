"""uvicorn's HTTP/1.1 on httptools, with a way below it, and a short way for answers that are known at once."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Coroutine, Generator
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mockserver.players.connection import EXTENSION, Connection

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class ToolsWire(Connection, HttpToolsProtocol):
    """httptools' side of a connection."""

    _joined: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")

    @property
    def pipelined(self) -> bool:
        """Whether uvicorn has read a part of the next request already, which would be lost."""
        return bool(self.pipeline)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin at once: most answers are known at once, and need no task and no turn of the loop."""
        cycle.scope["extensions"] = {EXTENSION: self}
        running = cycle.run_asgi(app)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_going_on(running, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @property
    def bodiless(self) -> bool:
        """Whether the request has come to its end, or will without a body (RFC 9112, section 6.3)."""
        return _FRAMING.isdisjoint(dict(self.cycle.scope["headers"])) or super().bodiless

    @property
    def ready(self) -> bool:
        """Whether `send` may answer in uvicorn's place."""
        cycle = self.cycle
        busy = self.pipeline or self.flow.write_paused or cycle.disconnected or cycle.response_started
        return cycle.keep_alive and not busy

    def send(self, status_line: bytes, rest: bytes) -> None:
        """Write an answer at once, the server's own fields behind the status line.

        uvicorn looks at every field each time, and writes head and body one by one, each a call of the kernel.
        """
        cycle = self.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"".join((status_line, self._own_fields(), rest)))
        cycle.message_event.set()
        cycle.on_response()

    def _own_fields(self) -> bytes:
        """uvicorn makes the list anew each second, for the date, and never changes one."""
        fields = self.server_state.default_headers
        if self._joined[0] is not fields:
            self._joined = fields, b"".join(part for name, value in fields for part in (name, b": ", value, b"\r\n"))
        return self._joined[1]


async def _going_on(running: Coroutine[Any, Any, None], awaited: Any) -> None:
    """What is left of a coroutine that has begun, for a task: since Python 3.12 that takes no generator."""
    await _rest(running, awaited)


@types.coroutine
def _rest(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    with contextlib.suppress(StopIteration):
        while True:
            try:
                value = yield awaited
            except BaseException as error:
                awaited = running.throw(error)
            else:
                awaited = running.send(value)
