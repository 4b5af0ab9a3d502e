"""How every route answers: one wrapper that knows HEAD and content codings.

A handler is `async def` and waits for nothing (see `mockserver.asgi`). Whatever it returns with a body may be
compressed on the way out, as Accept-Encoding asks (RFC 9110, section 12.5.3).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.resources.coding import negotiate
from mockserver.resources.script_response import ScriptResponse
from rest_api_client.script import Chunk, Delay, End, Head, Script, Step

Handler = Callable[[Request], Awaitable[Response]]

ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def route(path: str, handlers: Handler | Mapping[str, Handler], methods: Iterable[str] = ("GET",)) -> Route:
    """One route per path, so that a 405 names every method allowed there."""
    by_method = dict(handlers) if isinstance(handlers, Mapping) else dict.fromkeys(methods, handlers)

    async def endpoint(request: Request) -> Response:
        handler = by_method["GET" if request.method == "HEAD" else request.method]
        return negotiate(request, await handler(request))

    return Route(path, endpoint, methods=list(by_method))


def dump(value: object) -> bytes:
    """JSON as all answers have it: compact, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def stream(
    parts: Iterable[bytes], media_type: str, interval: float = 0.0, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that comes in parts, with so many seconds between them, and whose length is not told beforehand."""
    fields = {"content-type": media_type, "transfer-encoding": "chunked", **(headers or {})}
    steps: list[Step] = [Head(200, tuple(fields.items()))]
    for number, part in enumerate(parts):
        steps += [Delay(interval), Chunk(part)] if number and interval else [Chunk(part)]
    return ScriptResponse(Script(*steps, End()))
