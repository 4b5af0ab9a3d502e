"""Reading what a client sent: a JSON object, within bounds, or a problem that says what was wrong."""

from __future__ import annotations

import json
import math

from starlette.requests import Request

from mockserver.problems import Problem

MOST_BYTES = 1 << 20
MOST_LEVELS = 64
_BODY = "mockserver.body"


async def read_object(request: Request) -> dict[str, object]:
    """The body as a JSON object.

    Raises:
        Problem: 415 another media type, 413 over 1 MiB, 400 not JSON, 422 JSON but no object.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise Problem(415, f"send application/json, not {media or 'a body without Content-Type'}")
    value = _parse(await read_bytes(request))
    if not isinstance(value, dict):
        raise Problem(422, f"send a JSON object, not {type(value).__name__}")
    return value


async def read_bytes(request: Request, most: int = MOST_BYTES) -> bytes:
    """The whole body, as often as asked. Raises Problem 413 when it has more bytes than that."""
    kept = request.scope.get(_BODY)
    if isinstance(kept, bytes):
        return kept
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(413, f"the body has more than {most} bytes", {"connection": "close"})
    request.scope[_BODY] = whole = bytes(body)
    return whole


def _parse(body: bytes) -> object:
    try:
        value = json.loads(body)
        _check_depth(value, MOST_LEVELS)
        # What cannot be sent back is not taken in: NaN, 1e999 (read as infinity), half a surrogate pair.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not usable JSON: {error}") from error
    return value


def _check_depth(value: object, levels: int) -> None:
    if levels == 0:
        raise ValueError(f"nested deeper than {MOST_LEVELS} levels")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_depth(each, levels - 1)


def whole_number(name: str, text: str, low: int, high: int) -> int:
    """A number from a URL. Raises Problem 400 when it is none, or out of bounds."""
    # int() would also take "+1", " 1", "1_000" and digits of other scripts; and 5,000 digits take it long.
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
        raise Problem(400, f"{name} must be a whole number from {low} to {high}, not {text[:40]!r}")
    return int(text)


def seconds(name: str, text: str, most: float) -> float:
    """A time from a URL. Raises Problem 400 when it is none, or out of bounds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise Problem(400, f"{name} must be a number of seconds from 0 to {most:g}, not {text[:40]!r}")
    return value
