"""Answers made to order: a status, a redirect, header fields, cookies, caches, formats.

ANY /status/{code}            that status, 200 to 599; `200:3,500:1` picks by weight, by keyed chance
ANY /redirect/{n}             n redirects, then /get; ?status=301 302 303 307 308, ?absolute=true
ANY /redirect-to?url=&status= to any http(s) or relative address; nothing is fetched
ANY /redirect-loop            to itself
GET /response-headers?a=b     those header fields
GET /cookies, /cookies/set?a=b, /cookies/delete?a
GET /cache                    304 for any conditional request; /cache/{n} is fresh for n seconds
GET /etag/{tag}               If-Match and If-None-Match against this tag
GET /base64/{v} /uuid /links/{n} /html /xml /json /encoding/utf8 /image/png
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import uuid
import zlib
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.problems import Problem
from mockserver.resources.answers import ANY, Handler, dump, route
from mockserver.resources.bodies import whole_number
from mockserver.resources.conditional import Validators
from mockserver.resources.people import EPOCH
from mockserver.resources.setting import Setting

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 100
MOST_URL = 2_000
MOST_WEIGHTS = 20
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_LINE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,2000}")
_COOKIE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{0,2000}")
_FRAMING = {
    "connection",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "keep-alive",
    "upgrade",
    "trailer",
    "te",
}


class Answering:
    """The routes whose answer is made to order."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/status/{code}", self.status, ANY),
            route("/uuid", self.uuid),
            route("/redirect/{n}", redirect, ANY),
            route("/redirect-to", redirect_to, ANY),
            route("/redirect-loop", redirect_loop, ANY),
            route("/response-headers", response_headers, ("GET", "POST")),
            route("/cookies", cookies),
            route("/cookies/set", set_cookies),
            route("/cookies/delete", delete_cookies),
            route("/cache", cache),
            route("/cache/{n}", fresh),
            route("/etag/{tag}", tagged, ("GET", "PUT")),
            route("/base64/{value:path}", decoded),
            route("/links/{n}", links),
            *(route(path, _fixed(*content)) for path, content in _FIXED.items()),
        ]

    async def status(self, request: Request) -> Response:
        """An empty answer with the status asked for."""
        choices = _weighted(request.path_params["code"])
        at = self._setting.chance.unit("status", *self._setting.place(request)) * sum(choices.values())
        for code, weight in choices.items():
            at -= weight
            if at < 0:
                return Response(status_code=code)
        return Response(status_code=next(reversed(choices)))  # rounding

    async def uuid(self, request: Request) -> Response:
        """A version 4 UUID that the same run gives again."""
        place = self._setting.place(request)
        bits = b"".join(self._setting.chance.number("uuid", part, *place).to_bytes(8, "big") for part in (0, 1))
        return _json({"uuid": str(uuid.UUID(bytes=bits, version=4))})


def _weighted(text: str) -> dict[int, float]:
    parts = [part.partition(":") for part in text.split(",")]
    if len(parts) > MOST_WEIGHTS:
        raise Problem(400, f"code: at most {MOST_WEIGHTS} of them, not {len(parts)}")
    choices = {
        whole_number("code", code, 200, 599): whole_number("weight", weight, 0, 10**6) if colon else 1
        for code, colon, weight in parts
    }
    if not sum(choices.values()):
        raise Problem(400, "code: one of the weights must be above 0")
    return {code: float(weight) for code, weight in choices.items()}


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dump(value), status, headers, "application/json")


async def redirect(request: Request) -> Response:
    """One step nearer to /get."""
    left = whole_number("n", request.path_params["n"], 1, MOST_REDIRECTS)
    query = f"?{request.url.query}" if request.url.query else ""
    path = f"/redirect/{left - 1}{query}" if left > 1 else "/get"
    absolute = request.query_params.get("absolute") == "true"
    return _redirected(request, str(request.url.replace(path="", query="")) + path if absolute else path)


async def redirect_to(request: Request) -> Response:
    """To the address given. The server only names it."""
    url = request.query_params.get("url", "")
    if not 0 < len(url) <= MOST_URL or not url.isprintable():
        raise Problem(400, f"url must be an address of 1 to {MOST_URL} printable characters")
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise Problem(400, f"url: {error}") from error
    if scheme not in ("", "http", "https"):
        raise Problem(400, f"url must be relative, http or https, not {scheme[:40]}")
    return _redirected(request, url)


async def redirect_loop(request: Request) -> Response:
    """Here again."""
    return _redirected(request, str(request.scope["path"]))


def _redirected(request: Request, url: str) -> Response:
    status = whole_number("status", request.query_params.get("status", "302"), 300, 399)
    if status not in REDIRECTS:
        raise Problem(400, f"status must be one of {', '.join(map(str, REDIRECTS))}, not {status}")
    return Response(status_code=status, headers={"location": quote(url, safe=":/%#?=@[]!$&'()*+,;")})


async def response_headers(request: Request) -> Response:
    """The query's parameters as header fields, and as JSON."""
    response = _json(request.query_params.multi_items())
    for name, value in request.query_params.multi_items():
        if not _TOKEN.fullmatch(name) or not _LINE.fullmatch(value):
            raise Problem(400, f"{name[:40]!r}: {value[:40]!r} is no header field")
        if name.lower() in _FRAMING:
            raise Problem(400, f"{name} belongs to the framing of the answer and cannot be chosen; a fault can")
        response.headers.append(name, value)
    if "content-type" in (name.lower() for name, _ in request.query_params.multi_items()):
        response.raw_headers = [each for each in response.raw_headers if each != (b"content-type", b"application/json")]
    return response


async def cookies(request: Request) -> Response:
    """The cookies that came."""
    return _json({"cookies": request.cookies})


async def set_cookies(request: Request) -> Response:
    """A cookie for each parameter, and on to /cookies."""
    response = Response(status_code=302, headers={"location": "/cookies"})
    for name, value in request.query_params.multi_items():
        _check_cookie(name, value)
        response.headers.append("set-cookie", f"{name}={value}; Path=/")
    return response


async def delete_cookies(request: Request) -> Response:
    """The same cookies, expired, and on to /cookies."""
    response = Response(status_code=302, headers={"location": "/cookies"})
    for name in dict.fromkeys(request.query_params):
        _check_cookie(name, "")
        response.headers.append("set-cookie", f"{name}=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    return response


def _check_cookie(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name) or not _COOKIE.fullmatch(value):
        raise Problem(400, f"{name[:40]!r}={value[:40]!r} is no cookie (RFC 6265, section 4.1.1)")


async def cache(request: Request) -> Response:
    """Not modified, for whoever asks whether it was."""
    validators = Validators('"cached"', EPOCH.timestamp())
    if {"if-none-match", "if-modified-since"} & set(request.headers):
        return Response(status_code=304, headers=validators.headers)
    return Response(dump({"cached": False}), 200, validators.headers, "application/json")


async def fresh(request: Request) -> Response:
    """Fresh for so many seconds."""
    age = whole_number("n", request.path_params["n"], 0, 10**9)
    return _json({"max_age": age}, headers={"cache-control": f"public, max-age={age}"})


async def tagged(request: Request) -> Response:
    """A resource that has this tag."""
    tag = request.path_params["tag"]
    if not _COOKIE.fullmatch(tag):
        raise Problem(400, "tag: visible ASCII only")
    validators = Validators(f'"{tag}"')
    return validators.check(request) or _json({"etag": tag}, headers=validators.headers)


async def decoded(request: Request) -> Response:
    """The text behind base64, in the alphabet of URLs or the ordinary one."""
    text = request.path_params["value"]
    try:
        data = base64.b64decode(text.translate(_URL_ALPHABET) + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, f"value is not base64: {error}") from error
    return Response(data, media_type="application/octet-stream")


_URL_ALPHABET = str.maketrans("-_", "+/")


async def links(request: Request) -> Response:
    """A page with n links, to itself and its likes."""
    count = whole_number("n", request.path_params["n"], 0, 200)
    anchors = " ".join(f'<a href="/links/{number}">{number}</a>' for number in range(1, count + 1))
    return Response(f"<!DOCTYPE html><title>Links</title>{anchors}", media_type="text/html")


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    # 16 x 16, 8 bits of grey: a chessboard.
    rows = b"".join(b"\0" + bytes(255 * ((x // 4 + y // 4) % 2) for x in range(16)) for y in range(16))
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


_HTML = "<!DOCTYPE html><title>A page</title><h1>The umbrella</h1><p>It rained, and nobody minded.</p>"
_XML = '<?xml version="1.0" encoding="UTF-8"?><shop><item id="1">umbrella</item><item id="2">kettle</item></shop>'
_UTF8 = "Grüße, čau, 你好, こんにちは, שלום, 🌂\n"
_FIXED: dict[str, tuple[bytes, str]] = {
    "/html": (_HTML.encode(), "text/html"),
    "/xml": (_XML.encode(), "application/xml"),
    "/json": (
        dump({"shop": {"items": [{"id": 1, "name": "umbrella"}, {"id": 2, "name": "kettle"}]}}),
        "application/json",
    ),
    "/encoding/utf8": (_UTF8.encode(), "text/plain"),
    "/image": (_png(), "image/png"),
    "/image/png": (_png(), "image/png"),
}


def _fixed(body: bytes, media_type: str) -> Handler:
    async def handler(request: Request) -> Response:
        return Response(body, media_type=media_type)

    return handler
