"""A mapping in a stub file that is being read: it knows where it stands, and which keys it may have."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, cast

from mockserver.stubs.documents import Located, plain
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

LONGEST_MESSAGE: Final = 1000
"""Characters: a value that is shown may be a megabyte."""

_OPTION: Final = re.compile(r"\w+\((\w+)=")
"""How messages about an option begin: `Stub(times=0): ...`."""

_NAMES: Final = {
    str: "a text",
    list: "a list",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "a mapping",
}


class StubFileError(ConfigurationError):
    """What is wrong in a stub file, and where."""


@dataclass(frozen=True)
class Place:
    """Where something stands: the file, the way to it, and the line where that is known."""

    file: str
    path: str = ""
    line: int | None = None

    def below(self, key: str | int, line: int | None = None) -> Place:
        """The place of a member or an element."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.path else key
        return Place(self.file, self.path + step, self.line if line is None else line)

    def error(self, why: object) -> StubFileError:
        """What to raise."""
        return StubFileError(f"{self}: {_bounded(str(why))}")

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.file}{line}{f', {self.path}' if self.path else ''}"

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Say of errors raised inside where they come from."""
        try:
            yield
        except StubFileError:
            raise
        except (ConfigurationError, ValueError, TypeError, OSError) as error:
            raise self.error(error) from error


def _bounded(text: str) -> str:
    half = LONGEST_MESSAGE // 2
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:half]} ... {text[-half:]}"  # what to do stands at the end


class Section:
    """A mapping with known keys.

    Raises:
        StubFileError: it is no mapping, or has a key that is not known.
    """

    def __init__(self, data: object, place: Place, known: Iterable[str]) -> None:
        if not isinstance(data, dict):
            raise place.error(f"give a mapping with some of {', '.join(known)}, not {kind_of(data)}")
        self.data = cast("dict[str, Any]", data)
        self.place = place if place.line else replace(place, line=_first_line(data))
        names = tuple(known)
        for name in self.data:
            if name not in names:
                raise self.at(name).error(unknown("key", str(name), names))

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def at(self, key: str) -> Place:
        """Where the value of a key stands."""
        lines = self.data.lines if isinstance(self.data, Located) else {}
        return self.place.below(key, lines.get(key))

    @contextmanager
    def options(self) -> Iterator[None]:
        """Say of errors raised inside where the option stands that they name, or else where this mapping does."""
        try:
            with self.place():
                yield
        except StubFileError as error:
            named = _OPTION.match(str(error.__cause__))
            if named is None or named[1] not in self:
                raise
            raise self.at(named[1]).error(error.__cause__) from error.__cause__

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, as plain data."""
        return plain(self.data[key]) if key in self.data else default

    def given(self, *keys: str) -> dict[str, Any]:
        """Those of the keys that are there, as plain data."""
        return {key: self.get(key) for key in keys if key in self.data}

    def elements(self, key: str) -> Iterator[tuple[Any, Place]]:
        """The elements of a list, or one value as a list of one."""
        value, place = self.data[key], self.at(key)
        if not isinstance(value, list):
            yield value, place
            return
        yield from elements(value, place)

    def members(self, key: str) -> Iterator[tuple[str, Any, Place]]:
        """Names and values of a mapping."""
        value = self.data[key]
        if not isinstance(value, dict):
            raise self.at(key).error(f"give a mapping of names and values, not {kind_of(value)}")
        inner = Section(value, self.at(key), cast("dict[str, Any]", value))
        for name, each in inner.data.items():
            yield name, each, inner.at(name)


def elements(values: list[Any], place: Place) -> Iterator[tuple[Any, Place]]:
    """The elements of a list; each mapping is placed at its first line."""
    for number, each in enumerate(values):
        yield each, place.below(number, _first_line(each))


def _first_line(data: object) -> int | None:
    return min(data.lines.values(), default=None) if isinstance(data, Located) else None


def kind_of(value: object) -> str:
    """What a value is called by who writes files."""
    return "nothing" if value is None else _NAMES.get(type(value), type(value).__name__)


def bytes_of(value: object, place: Place) -> bytes:
    """What base64 stands for.

    Raises:
        StubFileError: it is none.
    """
    try:
        return base64.b64decode(cast("str", value), validate=True)
    except (TypeError, ValueError) as error:
        raise place.error(f"{value!r:.80} is no base64 (RFC 4648, with its padding)") from error


def text_of(value: object, place: Place) -> str:
    """A text; numbers stand for themselves.

    Raises:
        StubFileError: something else, which YAML may have made of a word such as `no`.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise place.error(f"give a text, not {value!r}; quote it if it is one")
    return str(value)
