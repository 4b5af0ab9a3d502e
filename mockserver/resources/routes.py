"""Small routes that people expect of a server to test against.

ANY /echo            the request as the server understood it, as JSON
ANY /status/{code}   that status, 200 to 599
GET /delay/{s}       an answer after so many seconds, at most 300
GET /ndjson?count=n  n lines of JSON
GET /sse?count=n     n server-sent events; ?interval=s between them, as for ndjson
GET /health          up (also while everything else is made to fail)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mockserver.asgi import ScriptResponse, script_of
from mockserver.resources.bodies import read_bytes, seconds, whole_number
from rest_api_client.script import Chunk, Delay, End, Head, Script, Step

ANY = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def echo(request: Request) -> Response:
    """Headers and query as lists of pairs, since both may repeat; the body as text, or base64 where it is none."""
    body = await read_bytes(request)
    content: dict[str, object] = {
        "method": request.method,
        "path": request.scope["path"],
        "query": request.query_params.multi_items(),
        "headers": request.headers.items(),
    }
    try:
        content["body"] = body.decode()
    except UnicodeDecodeError:
        content["body_base64"] = base64.b64encode(body).decode()
    return JSONResponse(content)


async def status(request: Request) -> Response:
    """An empty answer with the status asked for."""
    await read_bytes(request)
    return Response(status_code=whole_number("code", request.path_params["code"], 200, 599))


async def delay(request: Request) -> Response:
    """The answer comes when the time is over."""
    waited = seconds("seconds", request.path_params["seconds"], 300)
    answer = script_of(JSONResponse({"waited": waited}))
    return ScriptResponse(Script(Delay(waited), *answer.steps))


async def ndjson(request: Request) -> Response:
    """One JSON object per line."""
    count, interval = _pace(request)
    lines = (f"{json.dumps({'n': n})}\n" for n in range(1, count + 1))
    return _spaced(lines, interval, "application/x-ndjson")


async def sse(request: Request) -> Response:
    """Server-sent events, with ids (WHATWG HTML, section 9.2)."""
    count, interval = _pace(request)
    events = (f"id: {n}\ndata: {json.dumps({'n': n})}\n\n" for n in range(1, count + 1))
    return _spaced(events, interval, "text/event-stream; charset=utf-8")


def _pace(request: Request) -> tuple[int, float]:
    query = request.query_params
    count = whole_number("count", query.get("count", "5"), 0, 10_000)
    return count, seconds("interval", query.get("interval", "0"), 60)


def _spaced(parts: Iterable[str], interval: float, media: str) -> Response:
    steps: list[Step] = []
    for part in parts:
        if steps and interval:
            steps.append(Delay(interval))
        steps.append(Chunk(part.encode()))
    # Chunked: whoever streams does not know the length beforehand.
    head = Head(200, (("content-type", media), ("transfer-encoding", "chunked")))
    return ScriptResponse(Script(head, *steps, End()))


async def health(request: Request) -> Response:
    """That the server is up."""
    return JSONResponse({"status": "ok"})


ROUTES = [
    Route("/echo", echo, methods=ANY),
    Route("/status/{code}", status, methods=ANY),
    Route("/delay/{seconds}", delay),
    Route("/ndjson", ndjson),
    Route("/sse", sse),
]
