"""Multipart forms (RFC 7578): fields and files as one body that is never held in memory whole.

A form is a list of parts, each a head of bytes and a body of its own. Its length is known when that of every part is,
and it can be sent again when every part can. Names and file names are escaped as browsers do it (WHATWG HTML,
"multipart form data": CR, LF and the double quote become %0D, %0A and %22; other control characters likewise), so that
nothing a caller passes on can end its field. A content type is guessed from the file name's last suffix alone: the rest
of a name is foreign text, and `mimetypes` would believe a name such as "data:text/html,x".
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from random import Random  # noqa: TID251  the type only: the generator itself is handed in
from typing import cast

from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.http.bodies import Body, raw_body
from rest_api_client.http.headers import Headers
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.typing import FilesTypes, FileTypes

UNKNOWN_TYPE = "application/octet-stream"
_CONTROL = re.compile(r'[\x00-\x1f\x7f"]')


@dataclass(frozen=True, slots=True)
class Part:
    """One field or file: its head, as sent, and its content."""

    head: bytes
    body: Body


class MultipartBody:
    """The parts between their boundaries.

    Args:
        parts: in the order they are sent.
        boundary: what separates them; it must occur in none of them.
    """

    def __init__(self, parts: Sequence[Part], boundary: str) -> None:
        self._parts = parts
        self._delimiter = f"--{boundary}".encode("ascii")
        self.replayable = all(part.body.replayable for part in parts)
        self.length = self._measure()
        self._used = False

    def _measure(self) -> int | None:
        total = len(self._delimiter) + len(b"--\r\n")
        for part in self._parts:
            if part.body.length is None:
                return None
            total += len(self._delimiter) + len(b"\r\n") + len(part.head) + part.body.length + len(b"\r\n")
        return total

    def open(self) -> Iterator[bytes]:
        """The form from its start.

        Raises:
            ClosedError: it was sent already, and a part of it can be read only once.
        """
        if self._used and not self.replayable:
            raise ClosedError("a file of this form cannot seek back and was sent already: give bytes or a Path")
        self._used = True
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        for part in self._parts:
            yield self._delimiter + b"\r\n" + part.head
            yield from cast("Iterator[bytes]", part.body.open())
            yield b"\r\n"
        yield self._delimiter + b"--\r\n"

    def __repr__(self) -> str:
        return f"<MultipartBody {len(self._parts)} parts>"


def boundary(random: Random) -> str:
    """32 hex digits: enough never to occur in a part, short enough for every parser (RFC 2046 allows 70)."""
    return f"{random.getrandbits(128):032x}"


def field_part(name: str, value: str) -> Part:
    """A plain form field."""
    return Part(_head(name, None, None), raw_body(value))


def file_parts(files: FilesTypes) -> Iterator[Part]:
    """The parts for `files=`.

    Raises:
        ConfigurationError: a file that cannot be read, is open as text, or is given in no known form.
    """
    pairs = cast("Iterable[object]", files.items() if isinstance(files, Mapping) else files)
    for pair in pairs if isinstance(pairs, Iterable) else (pairs,):
        if not isinstance(pair, tuple | list) or len(cast("Sequence[object]", pair)) != 2:
            raise ConfigurationError(f"files={type(files).__name__}: give a dict, or a list of (name, file) pairs")
        name, given = cast("tuple[object, FileTypes]", tuple(cast("Sequence[object]", pair)))
        if not isinstance(name, str):
            raise ConfigurationError(f"files: the field name {name!r} must be a str, got {type(name).__name__}")
        yield _file_part(name, given)


def _file_part(name: str, given: FileTypes) -> Part:
    """One file. One without a name takes the field's: servers take a part without any for a text field."""
    if not isinstance(given, tuple):
        own = _filename_of(given) or name
        return Part(_head(name, own, _guess(own)), _content(name, given))
    if not 2 <= len(given) <= 3:
        raise ConfigurationError(
            f"files[{name!r}]: give content, (file name, content) or (file name, content, content type)"
        )
    filename = given[0]
    if filename is not None and not isinstance(filename, str):
        raise ConfigurationError(f"files[{name!r}]: the file name must be a str or None, got {type(filename).__name__}")
    kind = given[2] if len(given) == 3 else None if filename is None else _guess(filename)
    return Part(_head(name, filename, kind), _content(name, given[1]))


def _content(name: str, content: object) -> Body:
    if isinstance(content, bytes | bytearray | memoryview | str | Path) or hasattr(content, "read"):
        return raw_body(cast("bytes", content))
    raise ConfigurationError(
        f"files[{name!r}]: {type(content).__name__} cannot be sent; give bytes, str, a binary file or a Path"
    )


def _filename_of(content: object) -> str | None:
    """The last component of a file's name; files opened by number or made in memory have none."""
    name = str(content) if isinstance(content, Path) else getattr(content, "name", None)
    return PurePath(name).name if isinstance(name, str) else None


def _guess(filename: str) -> str:
    kind, encoding = mimetypes.guess_type(f"file{PurePath(filename).suffix}")
    return kind if kind is not None and encoding is None else UNKNOWN_TYPE


def _head(name: str, filename: str | None, content_type: str | None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{_escape(name)}"'
    if filename is not None:
        disposition += f'; filename="{_escape(filename)}"'
    kind = b""
    if content_type is not None:
        ((_, value),) = Headers({"Content-Type": content_type}).raw()
        kind = b"\r\nContent-Type: " + value
    return disposition.encode("utf-8", errors="replace") + kind + b"\r\n\r\n"


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", text)
