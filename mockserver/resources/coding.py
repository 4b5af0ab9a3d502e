"""Content codings: which one a client gets, and the bytes.

Negotiation follows RFC 9110, section 12.5.3. The highest q wins, and at equal q the server's own order: br, zstd, gzip,
deflate, then none. Bodies under 500 bytes are left alone unless the client forbids that (`identity;q=0`). An element
that cannot be read is passed over. A coding whose library is not installed is not offered.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from importlib.util import find_spec

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from mockserver.problems import Problem
from mockserver.resources.script_response import ScriptResponse

WORTHWHILE = 500
_MOST_HEADER = 1_000
_ELEMENT = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*", re.ASCII | re.IGNORECASE)

Encode = Callable[[bytes], bytes]


def _br(body: bytes) -> bytes:
    import brotli  # type: ignore[import-untyped, unused-ignore]

    return bytes(brotli.compress(body, quality=4))


def _zstd(body: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(body)


def _gzip(body: bytes) -> bytes:
    # The time stands in its header: with none, the same body is the same bytes.
    return gzip.compress(body, 6, mtime=0)


_CODINGS: dict[str, tuple[str, Encode]] = {
    "br": ("brotli", _br),
    "zstd": ("zstandard", _zstd),
    "gzip": ("gzip", _gzip),
    "deflate": ("zlib", zlib.compress),
}

ENCODERS = {name: encode for name, (library, encode) in _CODINGS.items() if find_spec(library) is not None}
"""By name, in the order of the server's own liking."""


def choose(accepted: str | None, size: int) -> str | None:
    """The coding for a body of so many bytes, or None for none.

    Raises:
        Problem: 406, the client refuses every coding there is, and none.
    """
    if accepted is None:
        return None
    weights = _weights(accepted)
    plain = weights.get("identity", weights.get("*", 0.001) or 0.0 if "*" in weights else 0.001)
    if size < WORTHWHILE and plain > 0:
        return None
    offered = {name: weights.get(name, weights.get("*", 0.0)) for name in ENCODERS}
    best = max(offered, key=lambda name: offered[name])
    if offered[best] > 0 and (offered[best] >= plain or "identity" not in weights):
        return best
    if plain == 0:
        raise Problem(
            406, f"Accept-Encoding: {accepted[:80]!r} leaves nothing; there are {', '.join(ENCODERS)}, identity"
        )
    return None


def _weights(accepted: str) -> dict[str, float]:
    found = (_ELEMENT.fullmatch(element) for element in accepted[:_MOST_HEADER].split(","))
    return {each[1].lower(): float(each[2] or 1) for each in found if each is not None}


def negotiate(request: Request, response: Response) -> Response:
    """The response in the coding that the client likes best, with the ETag of that representation."""
    headers = response.headers
    if isinstance(response, ScriptResponse) or "content-encoding" in headers or not response.body:
        return response
    if response.status_code == 206 or "no-transform" in headers.get("cache-control", ""):
        return response
    headers.add_vary_header("accept-encoding")
    if "range" in request.headers and "accept-ranges" in headers:
        return response  # ranges are counted in the bytes of the thing itself
    coding = choose(request.headers.get("accept-encoding"), len(response.body))
    if coding is not None:
        encode(response, coding)
    return response


def encode(response: Response, coding: str) -> None:
    """Compress the response in place. Raises Problem 501 where the library for it is not installed."""
    if coding not in ENCODERS:
        raise Problem(501, f"{coding}: its library is not installed here; there are {', '.join(ENCODERS)}")
    response.body = ENCODERS[coding](bytes(response.body))
    headers: MutableHeaders = response.headers
    headers["content-encoding"] = coding
    headers["content-length"] = str(len(response.body))
    if headers.get("etag", "").endswith('"'):
        headers["etag"] = f'{headers["etag"][:-1]}-{coding}"'
