"""Answers that take their time: a delay, lines, events. The waits stand in the answer's script.

GET /delay/{s}       an answer after so many seconds, at most 300
GET /ndjson?count=n  n lines of JSON
GET /sse?count=n     n server-sent events; ?interval=s between them, as for ndjson
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mockserver.resources.answers import ANY, dump, route, stream
from mockserver.resources.bodies import seconds, whole_number
from mockserver.resources.script_response import ScriptResponse
from rest_api_client.script import Chunk, Delay, End, Head, Script


async def delay(request: Request) -> Response:
    """The answer comes when the time is over."""
    waited = seconds("seconds", request.path_params["seconds"], 300)
    body = dump({"waited": waited})
    head = Head(200, (("content-type", "application/json"), ("content-length", str(len(body)))))
    return ScriptResponse(Script(*((Delay(waited),) if waited else ()), head, Chunk(body), End()))


async def ndjson(request: Request) -> Response:
    """One JSON object per line."""
    count, interval = _pace(request)
    return stream((dump({"n": n}) + b"\n" for n in range(1, count + 1)), "application/x-ndjson", interval)


async def sse(request: Request) -> Response:
    """Server-sent events with ids (WHATWG HTML, section 9.2).

    With Last-Event-ID it goes on behind that one, and answers 204, "do not come back", when that was the last.
    `?batch=n` ends the stream after n events, so that a client has to come back; `?retry=ms` tells it when.
    """
    count, interval = _pace(request)
    last = request.headers.get("last-event-id")
    seen = whole_number("Last-Event-ID", last, 0, 10_000) if last else 0
    if last and seen >= count:
        return Response(status_code=204)
    batch = whole_number("batch", request.query_params.get("batch", str(count)), 0, 10_000)
    events = [f'id: {n}\ndata: {{"n": {n}}}\n\n'.encode() for n in range(seen + 1, min(count, seen + batch) + 1)]
    if "retry" in request.query_params:
        pause = whole_number("retry", request.query_params["retry"], 0, 3_600_000)
        events[:1] = [f"retry: {pause}\n\n".encode() + event for event in events[:1]]
    return stream(events, "text/event-stream; charset=utf-8", interval, {"cache-control": "no-store"})


def _pace(request: Request) -> tuple[int, float]:
    query = request.query_params
    count = whole_number("count", query.get("count", "5"), 0, 10_000)
    return count, seconds("interval", query.get("interval", "0"), 60)


ROUTES = [route("/delay/{seconds}", delay, ANY), route("/ndjson", ndjson), route("/sse", sse)]
