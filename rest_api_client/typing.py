"""The words that signatures use."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, TypeAlias

from rest_api_client.exceptions import Processed, Side
from rest_api_client.http.headers import HeaderTypes

if TYPE_CHECKING:
    from rest_api_client.context import Context
    from rest_api_client.models import Request, Response

__all__ = [
    "UNSET",
    "CookieTypes",
    "DataTypes",
    "FileTypes",
    "FilesTypes",
    "HeaderTypes",
    "JSONValue",
    "ParamTypes",
    "ParamValue",
    "Proceed",
    "Processed",
    "Progress",
    "Scalar",
    "Side",
    "Unset",
]


class Unset(Enum):
    """The type of `UNSET`: not given, so the client's own setting counts. `None` means off."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET: Final = Unset.UNSET

JSONValue: TypeAlias = Any
"""Whatever the serializer takes or gives: dict, list, str, int, float, bool, None."""

Scalar: TypeAlias = str | int | float | bool | None
ParamValue: TypeAlias = Scalar | Sequence[Scalar]
ParamTypes: TypeAlias = Mapping[str, ParamValue] | Sequence[tuple[str, ParamValue]] | str
"""Query parameters: True becomes `true`, None is dropped, lists repeat the name."""

DataTypes: TypeAlias = Mapping[str, ParamValue] | Sequence[tuple[str, ParamValue]]
"""Form fields, encoded like query parameters (application/x-www-form-urlencoded)."""

ContentTypes: TypeAlias = (
    bytes
    | str
    | IO[bytes]
    | Path
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | Callable[[], Iterable[bytes] | AsyncIterable[bytes]]
)
"""A raw body: bytes and text as they are, files from where they stand; a callable makes a fresh body per attempt."""

FileContent: TypeAlias = bytes | str | IO[bytes] | Path
FileTypes: TypeAlias = FileContent | tuple[str | None, FileContent] | tuple[str | None, FileContent, str]
"""One part of a multipart form: content, (file name, content) or (file name, content, content type)."""
FilesTypes: TypeAlias = Mapping[str, FileTypes] | Sequence[tuple[str, FileTypes]]

CookieTypes: TypeAlias = Mapping[str, str]

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with (bytes so far, bytes in all or None where that is not known)."""

Proceed: TypeAlias = "Callable[[Request, Context], Awaitable[Response]]"
"""The rest of the chain, as a policy or a middleware gets it."""
