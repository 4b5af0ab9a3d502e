"""What the server saw of a request.

ANY /echo            the request: header fields and query as pairs, the body as text or base64
ANY /anything /anything/{path}; GET /get POST /post PUT /put PATCH /patch DELETE /delete
                     the same, taken apart: args, headers, form, files, json, data, origin, url
ANY /upload          multipart fields and files with size and SHA-256; any other body counted and digested
GET /headers /ip /user-agent
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from mockserver.problems import Problem
from mockserver.resources.answers import ANY, dump, route
from mockserver.resources.bodies import read_bytes
from mockserver.resources.multipart import Part, boundary_of, split

MOST_UPLOAD = 8 << 20
MOST_FIELDS = 1_000


async def echo(request: Request) -> Response:
    """Header fields and query as lists of pairs, since both may repeat; the body as text, else base64."""
    content: dict[str, object] = {
        "method": request.method,
        "path": request.scope["path"],
        "query": request.query_params.multi_items(),
        "headers": request.headers.items(),
    }
    return _json(content | _text(await read_bytes(request)))


def _text(body: bytes) -> dict[str, object]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


async def anything(request: Request) -> Response:
    """The request taken apart. Whatever repeats is a list."""
    body = await read_bytes(request, MOST_UPLOAD)
    fields, files = _form(request, body)
    read = fields is not None
    return _json(
        {
            "method": request.method,
            "url": str(request.url),
            "origin": _origin(request),
            "args": _gather(request.query_params.multi_items()),
            "headers": _gather(request.headers.items()),
            "data": "" if read else body.decode("utf-8", "replace"),
            "json": _read_json(body),
            "form": _gather(fields or []),
            "files": [_describe(part) for part in files],
        }
    )


async def upload(request: Request) -> Response:
    """What was uploaded, counted and digested, in the order it came."""
    body = await read_bytes(request, MOST_UPLOAD)
    fields, files = _form(request, body)
    return _json(
        {
            "content_type": request.headers.get("content-type"),
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "fields": fields or [],
            "files": [_describe(part) for part in files],
        }
    )


def _form(request: Request, body: bytes) -> tuple[list[tuple[str, str]] | None, list[Part]]:
    media = request.headers.get("content-type", "")
    if media.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return _urlencoded(body), []
    boundary = boundary_of(media)
    if boundary is None:
        return None, []
    parts = split(body, boundary)
    fields = [(part.name, part.data.decode("utf-8", "replace")) for part in parts if part.filename is None]
    return fields, [part for part in parts if part.filename is not None]


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Problem(400, f"a form has at most {MOST_FIELDS} fields") from error


def _describe(part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "filename": part.filename,
        "content_type": part.content_type,
        "size": len(part.data),
        "sha256": hashlib.sha256(part.data).hexdigest(),
    }


def _read_json(body: bytes) -> object:
    try:
        value = json.loads(body)
        dump(value)
    except (ValueError, RecursionError):
        return None
    return value


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _origin(request: Request) -> str | None:
    return None if request.client is None else request.client.host


async def headers(request: Request) -> Response:
    """The header fields that came."""
    return _json({"headers": _gather(request.headers.items())})


async def ip(request: Request) -> Response:
    """The address it came from."""
    return _json({"origin": _origin(request)})


async def user_agent(request: Request) -> Response:
    """What the client calls itself."""
    return _json({"user-agent": request.headers.get("user-agent")})


def _json(value: object) -> Response:
    return Response(dump(value), media_type="application/json")


ROUTES = [
    route("/echo", echo, ANY),
    route("/anything", anything, ANY),
    route("/anything/{path:path}", anything, ANY),
    *(route(f"/{method.lower()}", anything, (method,)) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    route("/upload", upload, ("POST", "PUT")),
    route("/headers", headers),
    route("/ip", ip),
    route("/user-agent", user_agent),
]
