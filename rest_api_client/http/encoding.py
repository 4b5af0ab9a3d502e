"""What the caller gives as a body, as a `Body` and the header fields that describe it.

    content=            as it is; no Content-Type is made up for it
    json=               by the client's serializer
    data=               application/x-www-form-urlencoded
    files= (and data=)  multipart/form-data, the fields first

One of these, not several: what two of them should mean nobody can know. Any method may carry a body, GET and HEAD too,
since the caller asked for it. Everything that cannot be sent is found here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random  # noqa: TID251  the type only: the generator itself is handed in
from typing import Any, cast

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import EMPTY, Body, BytesBody, raw_body
from rest_api_client.http.headers import Headers, HeaderTypes
from rest_api_client.http.serializers import Serializer
from rest_api_client.http.urls import encode_params, scalar
from rest_api_client.typing import UNSET, ContentTypes, DataTypes, FilesTypes, JSONValue, ParamValue, Scalar, Unset

FORM = "application/x-www-form-urlencoded"


def encode_body(
    *,
    content: ContentTypes | None = None,
    data: DataTypes | None = None,
    json: JSONValue | Unset = UNSET,
    files: FilesTypes | None = None,
    serializer: Serializer,
    random: Random,
) -> tuple[Body, dict[str, str]]:
    """The body, and the header fields it comes with.

    `json=None` is the JSON text `null`; None for any other means that it was not given, and so do empty `files`.

    Raises:
        ConfigurationError: two kinds of body at once, or one that cannot be sent; the message names the member.
    """
    _refuse_two(content=content is not None, json=json is not UNSET, data=data is not None, files=bool(files))
    if content is not None:
        return raw_body(content), {}
    if json is not UNSET:
        return BytesBody(_dumps(json, serializer)), {"Content-Type": serializer.content_type}
    if files:
        from rest_api_client.http.multipart import MultipartBody, boundary, field_part, file_parts  # few send files

        separator = boundary(random)
        parts = [*(field_part(name, value) for name, value in _fields(data)), *file_parts(files)]
        return MultipartBody(parts, separator), {"Content-Type": f"multipart/form-data; boundary={separator}"}
    if data is not None:
        return BytesBody(encode_params(_checked_data(data)).encode("ascii")), {"Content-Type": FORM}
    return EMPTY, {}


def content_headers(defaults: Headers, own: Mapping[str, str], given: HeaderTypes | None) -> Headers:
    """A call's header fields: the client's, below what its body brings, below what the caller gives for this call.

    Raises:
        ConfigurationError: the caller sets a Content-Type over that of a multipart form, whose boundary it would lose.
    """
    if given is None and not own:
        return defaults.copy()
    fields = Headers(given)
    if "content-type" in fields and own.get("Content-Type", "").startswith("multipart/"):
        raise ConfigurationError(
            f"Content-Type {fields['content-type']!r} would hide the boundary that files= needs: leave the header out"
        )
    return defaults.merged(own).merged(fields)


def _refuse_two(**given: bool) -> None:
    names = [name for name, there in given.items() if there]
    if len(names) > 1 and names != ["data", "files"]:
        raise ConfigurationError(f"{names[0]}= and {names[1]}= exclude each other: a request has one body, give one")


def _checked_data(data: object) -> DataTypes:
    pairs = isinstance(data, list | tuple) and all(
        isinstance(pair, list | tuple) and len(cast("list[object]", pair)) == 2 for pair in cast("list[object]", data)
    )
    if not pairs and not isinstance(data, Mapping):
        kind = type(data).__name__
        raise ConfigurationError(f"data={kind}: give form fields as a dict or a list of pairs; a raw body is content=")
    return cast("DataTypes", data)


def _fields(data: DataTypes | None) -> Iterator[tuple[str, str]]:
    """Form fields by the same rules as query parameters: `true`, no None, lists repeat the name."""
    if data is None:
        return
    checked = _checked_data(data)
    for name, value in checked.items() if isinstance(checked, Mapping) else checked:
        for single in _values(value):
            text = scalar(name, single)
            if text is not None:
                yield str(name), text


def _values(value: ParamValue) -> Iterable[Scalar]:
    return value if isinstance(value, list | tuple) else (cast("Scalar", value),)


_DEEPEST = 32
"""Levels that the search for a faulty member goes down; it costs one serialisation per level."""


def _dumps(value: Any, serializer: Serializer) -> bytes:
    try:
        written = serializer.dumps(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        path = _faulty(value, serializer, "$", _DEEPEST)
        raise ConfigurationError(f"json: {path} cannot be written: {error}") from error
    if not isinstance(written, bytes):
        kind = type(written).__name__
        raise ConfigurationError(f"{type(serializer).__name__}.dumps must return bytes, got {kind}: encode it there")
    return written


def _faulty(value: Any, serializer: Serializer, path: str, levels: int) -> str:
    """Where in the value the serializer fails: the path of the first member that fails by itself."""
    for step, member in _members(value) if levels else ():
        if not _writable(member, serializer):
            return _faulty(member, serializer, f"{path}{step}", levels - 1)
    return path


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f".{name}", member) for name, member in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{i}]", member) for i, member in enumerate(cast("Iterable[Any]", value)))


def _writable(value: Any, serializer: Serializer) -> bool:
    try:
        serializer.dumps(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True
