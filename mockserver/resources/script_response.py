"""An answer that takes time, or ends in a way of its own, from a handler of an ASGI application."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mockserver.asgi import EXTENSION
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import Chunk, Delay, Script


class ScriptResponse(Response):
    """An answer given as a script: intervals, an ending of its own.

    `mockserver.asgi.perform` takes the script as it is. On an ASGI server that knows nothing of scripts the waits are
    slept on its loop, and any ending is an ordinary end.
    """

    def __init__(self, script: Script) -> None:
        head = script.head
        if head is None:
            raise ConfigurationError("ScriptResponse(script): give a script with a final Head; a fault needs none")
        self.script = script
        super().__init__(status_code=head.status)
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the script over, or play it."""
        if EXTENSION in scope.get("extensions", {}):
            await send({"type": EXTENSION, "head": (self.status_code, self.raw_headers), "script": self.script})
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for step in self.script.steps:
            if isinstance(step, Delay):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Chunk):
                await send({"type": "http.response.body", "body": step.data, "more_body": True})
        await send({"type": "http.response.body"})
