"""Values of a request in its answer: `{path.id}`, `{query.q}`, `{header.name}`, `{cookie.name}`, `{json.a.b}`, `{n}`.

That is the whole language. A place names where the request has a value, and nothing else: there are no attributes, no
expressions, no format specifications, and braces around anything else stay as they are. `{json.a.0.b}` goes through
objects by name and lists by number; `{n}` says how often the stub has answered, this time included.

What the request does not have is empty text; so is a value of more than 16 KiB, or nested more than 64 deep, because
one request must not blow an answer up. In JSON a text that is one place and nothing else takes the value with its type
(`"{json.age}"` becomes 36), and what is missing there is null. In header fields whatever is not printable ASCII is
percent-encoded, so that no request writes a header field of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from mockserver.matching.comparing import too_deep
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

LONGEST_VALUE: Final = 16_384
"""Characters of one value that is put into an answer."""

_PLACE = re.compile(r"\{(?:(n)|([A-Za-z_]+)\.([^{}\s\"']{1,200}))\}")
_SOURCES = ("path", "query", "header", "cookie", "json")
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@dataclass(frozen=True)
class Filling:
    """What the places of one answer are filled with."""

    seen: Seen
    captures: Mapping[str, str]
    n: int

    def text(self, text: str) -> str:
        """A text with its places filled."""
        return _PLACE.sub(lambda place: _written(self._value(place)), text)

    def field(self, text: str) -> str:
        """The value of a header field with its places filled."""
        return _PLACE.sub(lambda place: quote(_written(self._value(place)), safe=_PRINTABLE, errors="replace"), text)

    def json(self, value: Any) -> Any:
        """JSON with the places in its texts filled; names of members are left alone."""
        if isinstance(value, str):
            alone = _PLACE.fullmatch(value)
            return self.text(value) if alone is None else self._value(alone)
        if isinstance(value, list):
            return [self.json(each) for each in value]
        if isinstance(value, dict):
            return {name: self.json(each) for name, each in cast("dict[str, Any]", value).items()}
        return value

    def _value(self, place: re.Match[str]) -> Any:
        value = self.n if place[1] else self._look_up(place[2], place[3])
        return value if _small(value) else None

    def _look_up(self, source: str, name: str) -> Any:
        if source == "path":
            return self.captures.get(name)
        if source == "query":
            return next(iter(self.seen.params.get(name, ())), None)
        if source == "header":
            return self.seen.header(name.lower())
        if source == "cookie":
            return self.seen.cookies.get(name)
        return _member(self.seen, name)


def is_place(text: str) -> bool:
    """Whether the whole text is one place, with a source that there is."""
    place = _PLACE.fullmatch(text)
    return place is not None and bool(place[1] or place[2] in _SOURCES)


def path_names(value: Any) -> Iterator[str]:
    """What the places of a text, or of the texts of a JSON value, name of the path."""
    if isinstance(value, str):
        yield from (place[3] for place in _PLACE.finditer(value) if place[2] == "path")
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from path_names(each)


def has_places(value: Any) -> bool:
    """Whether there is a place in a text, or in the texts of a JSON value.

    Raises:
        ConfigurationError: a place names a source that there is not.
    """
    if isinstance(value, str):
        found = list(_PLACE.finditer(value))
        for place in found:
            if not place[1] and place[2] not in _SOURCES:
                hint = unknown("source", place[2], _SOURCES)
                raise ConfigurationError(f"{place[0]}: {hint}; template=False leaves all braces as they are")
        return bool(found)
    if isinstance(value, list):
        return any([has_places(each) for each in value])  # noqa: C419 (all are checked)
    if isinstance(value, dict):
        return any([has_places(each) for each in cast("dict[str, Any]", value).values()])  # noqa: C419
    return False


def _member(seen: Seen, path: str) -> Any:
    try:
        value: Any = seen.json
    except ValueError:
        return None
    for name in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 10:
            value = next(iter(value[int(name) : int(name) + 1]), None)
        else:
            return None
    return value


def _small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_VALUE
    return not too_deep(value) and len(json.dumps(value)) <= LONGEST_VALUE


def _written(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
