"""JSON in and out, and JSON into types.

The standard library's `json` is the default. orjson or msgspec are used when asked for by name; they are not picked up
just because they are installed, since they differ at the edges (big integers, NaN, key types).
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any, Literal, Protocol, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from .exceptions import ConfigurationError

T = TypeVar("T")


class Serializer(Protocol):
    """Turns values into a body and back."""

    @property
    def content_type(self) -> str:
        """The Content-Type of what it writes."""
        ...

    def dumps(self, value: Any) -> bytes:
        """The body for a value.

        Raises:
            TypeError, ValueError: the value cannot be written.
        """
        ...

    def loads(self, data: bytes) -> Any:
        """The value in a body.

        Raises:
            ValueError: the body is malformed.
        """
        ...


class StandardJSON:
    """The standard library's json: compact, UTF-8, no NaN (RFC 8259)."""

    content_type = "application/json"

    def dumps(self, value: Any) -> bytes:
        """Compact UTF-8 JSON."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    def loads(self, data: bytes) -> Any:
        """Any JSON text, with or without a byte order mark."""
        return json.loads(data)


@dataclass(frozen=True)
class FastJSON:
    """JSON by another library's functions."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    content_type: str = "application/json"

    def dumps(self, value: Any) -> bytes:
        """UTF-8 JSON."""
        return self.encode(value)

    def loads(self, data: bytes) -> Any:
        """The value in a JSON text."""
        return self.decode(data)


JSON_SERIALIZER = StandardJSON()


def orjson_serializer() -> Serializer:
    """JSON by orjson."""
    library = _installed("orjson")
    return FastJSON(library.dumps, library.loads)


def msgspec_serializer() -> Serializer:
    """JSON by msgspec."""
    library = _installed("msgspec.json")
    return FastJSON(library.encode, library.decode)


def _installed(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigurationError(f"the serializer needs {package}: pip install {package}") from error


def convert(data: Any, kind: type[T]) -> T:
    """Parsed JSON as a value of a type.

    Knows dataclasses, TypedDicts, enums, Optional and unions, Literal, list, tuple, dict and the JSON scalars; pydantic
    and msgspec types go to their own library. Members that a dataclass does not name are ignored.

    Raises:
        ValueError: the data does not fit; the message gives the path to the member.
        ConfigurationError: a type of no kind known here.
    """
    return cast("T", _convert(data, kind, "$"))


def _convert(data: Any, kind: Any, path: str) -> Any:
    for accepts, build in _KINDS:
        if accepts(kind):
            return build(data, kind, path)
    raise ConfigurationError(f"cannot parse into {kind!r}: give a dataclass, TypedDict, pydantic or msgspec type")


def _misfit(path: str, wanted: object, data: object) -> ValueError:
    return ValueError(f"{path}: expected {getattr(wanted, '__name__', wanted)}, got {type(data).__name__}")


def _scalar(data: Any, kind: Any, path: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if kind in {None, type(None)} and data is None:
        return None
    if kind in {None, type(None)} or not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise _misfit(path, kind, data)
    return data


def _union(data: Any, kind: Any, path: str) -> Any:
    problems: list[str] = []
    for option in get_args(kind):
        try:
            return _convert(data, option, path)
        except ConfigurationError:
            raise
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems))


def _sequence(data: Any, kind: Any, path: str) -> Any:
    if not isinstance(data, list):
        raise _misfit(path, "list", data)
    items: list[Any] = data
    args = get_args(kind)
    origin = get_origin(kind) or kind
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(items):
            raise ValueError(f"{path}: expected {len(args)} items, got {len(items)}")
        return tuple(_convert(item, arg, f"{path}[{i}]") for i, (item, arg) in enumerate(zip(items, args, strict=True)))
    member = args[0] if args else Any
    built = [_convert(item, member, f"{path}[{i}]") for i, item in enumerate(items)]
    return origin(built) if origin in {tuple, set, frozenset} else built


def _mapping(data: Any, kind: Any, path: str) -> Any:
    if not isinstance(data, dict):
        raise _misfit(path, "object", data)
    member = get_args(kind)[1] if get_args(kind) else Any
    return {name: _convert(value, member, f"{path}.{name}") for name, value in cast("dict[str, Any]", data).items()}


def _literal(data: Any, kind: Any, path: str) -> Any:
    if not any(data == option and type(data) is type(option) for option in get_args(kind)):
        raise ValueError(f"{path}: expected one of {get_args(kind)}, got {data!r}")
    return data


def _enum(data: Any, kind: Any, path: str) -> Any:
    try:
        return kind(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _members(data: Any, kind: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _misfit(path, kind, data)
    hints = get_type_hints(kind)
    members = cast("dict[str, Any]", data)
    return {name: _convert(members[name], hint, f"{path}.{name}") for name, hint in hints.items() if name in members}


def _dataclass(data: Any, kind: Any, path: str) -> Any:
    members = _members(data, kind, path)
    settable = {f.name for f in dataclasses.fields(kind) if f.init}
    try:
        return kind(**{name: value for name, value in members.items() if name in settable})
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def _typeddict(data: Any, kind: Any, path: str) -> Any:
    members = _members(data, kind, path)
    missing = sorted(kind.__required_keys__ - members.keys())
    if missing:
        raise ValueError(f"{path}: missing {', '.join(missing)}")
    return members


def _pydantic(data: Any, kind: Any, path: str) -> Any:
    return kind.model_validate(data)


def _msgspec(data: Any, kind: Any, path: str) -> Any:
    return sys.modules["msgspec"].convert(data, kind)


def _is_msgspec(kind: Any) -> bool:
    library = sys.modules.get("msgspec")
    return library is not None and isinstance(kind, type) and issubclass(kind, library.Struct)


_KINDS: list[tuple[Callable[[Any], bool], Callable[[Any, Any, str], Any]]] = [
    (lambda kind: kind in {Any, object}, lambda data, kind, path: data),
    (lambda kind: kind in {str, int, float, bool, None, type(None)}, _scalar),
    (lambda kind: get_origin(kind) in {Union, types.UnionType}, _union),
    (lambda kind: get_origin(kind) is Literal, _literal),
    (lambda kind: (get_origin(kind) or kind) in {list, tuple, set, frozenset, Sequence}, _sequence),
    (lambda kind: (get_origin(kind) or kind) in {dict, Mapping}, _mapping),
    (lambda kind: hasattr(kind, "model_validate"), _pydantic),
    (_is_msgspec, _msgspec),
    (dataclasses.is_dataclass, _dataclass),
    (lambda kind: isinstance(kind, type) and issubclass(kind, Enum), _enum),
    (is_typeddict, _typeddict),
]
