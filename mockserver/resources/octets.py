"""Bytes: seeded ones, parts of them, and slow ones.

GET /bytes/{n}    n bytes, at most 8 MiB, the same for the same seed
GET /range/{n}    n bytes with Range: one part, several as multipart/byteranges, or the whole (RFC 9110, section 14)
GET /drip         ?numbytes=10&duration=2&delay=0&code=200: after `delay` a head, then bytes spread over `duration`
GET /stream/{n}   n lines of JSON, each a chunk
GET /gzip /deflate /brotli /zstd   a JSON answer in that coding, whatever the client accepts

A Range header that cannot be read, that has more than 16 parts, or whose If-Range names another state, means nothing:
the answer is the whole. Parts that all lie behind the end are a 416.
"""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.problems import Problem
from mockserver.resources.answers import Handler, dump, route, stream
from mockserver.resources.bodies import seconds, whole_number
from mockserver.resources.coding import encode
from mockserver.resources.conditional import Validators, tag_of
from mockserver.resources.people import EPOCH
from mockserver.resources.script_response import ScriptResponse
from mockserver.resources.setting import Setting
from rest_api_client.script import Chunk, Delay, End, Head, Script, Step

MOST_BYTES = 8 << 20
MOST_RANGES = 16
MOST_PIECES = 1_000
_BLOCK = 16 << 10
_OCTETS = "application/octet-stream"
_RANGE = re.compile(r"\s*([0-9]{0,18})-([0-9]{0,18})\s*")


class Octets:
    """The routes that answer with bytes."""

    def __init__(self, setting: Setting) -> None:
        self._seed = setting.chance.number("bytes").to_bytes(8, "big")

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/bytes/{n}", self.all),
            route("/range/{n}", self.part),
            route("/drip", drip),
            route("/stream/{n}", lines),
            *(route(f"/{name}", _coded(name, coding)) for name, coding in _CODED.items()),
        ]

    def between(self, start: int, stop: int) -> bytes:
        """The bytes from one place to another: made in blocks, so that a part costs no more than its length."""
        first = start // _BLOCK
        blocks = b"".join(self._block(number) for number in range(first, -(-stop // _BLOCK)))
        return blocks[start - first * _BLOCK : stop - first * _BLOCK]

    def _block(self, number: int) -> bytes:
        return hashlib.shake_128(self._seed + number.to_bytes(8, "big")).digest(_BLOCK)

    async def all(self, request: Request) -> Response:
        """All of the bytes; `etag` and `last-modified` too."""
        size = _size(request)
        validators = self._validators(size)
        return validators.check(request) or Response(self.between(0, size), 200, validators.headers, _OCTETS)

    async def part(self, request: Request) -> Response:
        """What Range asks for."""
        size = _size(request)
        validators = self._validators(size)
        headers = {**validators.headers, "accept-ranges": "bytes"}
        if (unchanged := validators.check(request)) is not None:
            return unchanged
        ranges = read_ranges(request.headers.get("range"), size) if request.method == "GET" else None
        if ranges is None or not validators.ranges_hold(request):
            return Response(self.between(0, size), 200, headers, _OCTETS)
        if not ranges:
            raise Problem(416, f"there are {size} bytes", {"content-range": f"bytes */{size}"})
        if len(ranges) == 1:
            start, stop = ranges[0]
            headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
            return Response(self.between(start, stop), 206, headers, _OCTETS)
        boundary = tag_of(self._seed, str(ranges).encode()).strip('"')
        return Response(
            self._multipart(ranges, size, boundary), 206, headers, f"multipart/byteranges; boundary={boundary}"
        )

    def _multipart(self, ranges: list[tuple[int, int]], size: int, boundary: str) -> bytes:
        parts = [
            f"--{boundary}\r\ncontent-type: {_OCTETS}\r\n".encode()
            + f"content-range: bytes {start}-{stop - 1}/{size}\r\n\r\n".encode()
            + self.between(start, stop)
            + b"\r\n"
            for start, stop in ranges
        ]
        return b"".join(parts) + f"--{boundary}--\r\n".encode()

    def _validators(self, size: int) -> Validators:
        return Validators(tag_of(self._seed, str(size).encode()), EPOCH.timestamp())


def read_ranges(header: str | None, size: int) -> list[tuple[int, int]] | None:
    """The parts (start, stop) of `size` bytes that a Range header asks for, in its order.

    None: it asks for none in a way that can be followed, and the answer is the whole. An empty list: none of them lies
    within. Parts that together are longer than the whole are not followed either: a small request gets no huge answer.
    """
    unit, sign, wanted = (header or "").strip().partition("=")
    if unit.lower() != "bytes" or not sign or wanted.count(",") >= MOST_RANGES:
        return None
    found = [_RANGE.fullmatch(each) for each in wanted.split(",")]
    spans = [_span(each[1], each[2], size) if each else None for each in found]
    if any(span is None for span in spans):
        return None
    within = [span for span in spans if span is not None and span[0] < span[1]]
    return None if sum(stop - start for start, stop in within) > size else within


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1 if last else size)


async def drip(request: Request) -> Response:
    """Bytes that come slowly."""
    query = request.query_params
    size = whole_number("numbytes", query.get("numbytes", "10"), 0, MOST_BYTES)
    duration = seconds("duration", query.get("duration", "2"), 300)
    delay = seconds("delay", query.get("delay", "0"), 300)
    code = whole_number("code", query.get("code", "200"), 200, 599)
    steps: list[Step] = [Delay(delay)] if delay else []
    steps.append(Head(code, (("content-type", _OCTETS), ("content-length", str(size)))))
    pieces = min(size, MOST_PIECES)
    for number in range(pieces):
        piece = Chunk(b"*" * (size * (number + 1) // pieces - size * number // pieces))
        steps += [piece, Delay(duration / pieces)] if duration else [piece]
    return ScriptResponse(Script(*steps, End()))


async def lines(request: Request) -> Response:
    """Lines of JSON that say what was asked."""
    count = whole_number("n", request.path_params["n"], 0, 10_000)
    about = {"url": str(request.url), "args": dict(request.query_params)}
    return stream((dump({"id": number, **about}) + b"\n" for number in range(count)), "application/x-ndjson")


_CODED = {"gzip": "gzip", "deflate": "deflate", "brotli": "br", "zstd": "zstd"}


def _coded(name: str, coding: str) -> Handler:
    async def handler(request: Request) -> Response:
        response = Response(dump({name: True, "headers": dict(request.headers)}), media_type="application/json")
        encode(response, coding)
        return response

    return handler


def _size(request: Request) -> int:
    return whole_number("n", request.path_params["n"], 0, MOST_BYTES)
