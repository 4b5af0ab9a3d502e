"""A request's JSON, read strictly: what two parsers could understand in two ways is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from starlette.requests import Request

from mockserver.problems import Problem
from rest_api_client.utils import unknown

MOST_BODY: Final = 1 << 20
DEEPEST: Final = 32

_Read = TypeVar("_Read")


async def read_object(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """The body, which must be one JSON object.

    Args:
        request: whose body is read.
        optional: no body at all is an empty object.

    Raises:
        Problem: 413 for more than a mebibyte, 415 for anything but JSON in UTF-8, 400 for JSON that is malformed, too
            deep, or has a key twice.
    """
    body = await _body(request)
    if not body and optional:
        return {}
    if not body:
        raise Problem(400, f"{request.method} needs a body here: a JSON object, {{}} for an empty one")
    media, _, rest = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() != "application/json" or rest.strip().lower() not in ("", "charset=utf-8"):
        raise Problem(415, "send JSON, with Content-Type: application/json")
    if "content-encoding" in request.headers:
        raise Problem(415, "send the body as it is, without Content-Encoding")
    value = _parsed(body)
    if not isinstance(value, dict):
        raise Problem(400, "the body must be a JSON object")
    return value


async def no_body(request: Request) -> None:
    """See to it that there is none.

    Raises:
        Problem: 400, there is.
    """
    if await _body(request):
        raise Problem(400, f"{request.method} takes no body here")


def only(given: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """See to it that nothing else is given.

    Raises:
        Problem: 400, naming what is and what is known.
    """
    for name in given:
        if name not in known:
            raise Problem(400, unknown(what, name, known))


def valid(make: Callable[[], _Read]) -> _Read:
    """What `make` gives; where it says that the input makes no sense, a problem that says so.

    Raises:
        Problem: 400.
    """
    try:
        return make()
    except (ValueError, TypeError) as error:
        raise Problem(400, str(error)) from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY:
            raise Problem(413, f"a body has at most {MOST_BODY} bytes here", {"connection": "close"})
    return bytes(body)


def _parsed(body: bytes) -> object:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is no JSON that is taken here: {error}") from error
    if _deeper(value, DEEPEST):
        raise Problem(400, f"the body is nested more than {DEEPEST} deep")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


def _deeper(value: object, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [inner for each in level for inner in _inside(each)]
    return bool(level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
