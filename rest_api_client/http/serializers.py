"""JSON in and out, and JSON into types.

The standard library's `json` is the default. orjson or msgspec are used when asked for by name; they are not picked up
just because they are installed, since they differ at the edges (big integers, NaN, key types).
"""

from __future__ import annotations

import dataclasses
import json
import re
import reprlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from importlib import import_module
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    NotRequired,
    Protocol,
    Required,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

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
        """Compact UTF-8 JSON.

        Raises:
            TypeError, ValueError: a value JSON has no form for: NaN, half a surrogate pair, a type, too deep nesting.
        """
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def loads(self, data: bytes) -> Any:
        """Any JSON text, with or without a byte order mark; NaN and Infinity too, since many servers write them."""
        try:
            text = data.decode(_encoding(data), "surrogatepass")
            # Not `decode`, which looks for white space with two regular expressions.
            value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_SPACE)))
            if text[end:].strip(_SPACE):
                raise json.JSONDecodeError("Extra data", text, end)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        return value


_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


def _encoding(data: bytes) -> str:
    """Two ASCII characters are the beginning of UTF-8; of anything else (RFC 4627, section 3) the library decides."""
    head = data[:2]
    return "utf-8" if head.isascii() and 0 not in head else json.detect_encoding(data)


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
        try:
            return self.decode(data)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


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


_Seen: TypeAlias = "dict[tuple[int, Any], tuple[Any, ValueError | None]]"
"""What one union made of one object or list of the data: without it, unions within unions take 2 ** depth steps."""

_SHOWN = 300
"""Characters of a message about foreign data: it is not to grow with what a server sends."""


def convert(data: Any, kind: type[T]) -> T:
    """Parsed JSON as a value of a type.

    Knows dataclasses, TypedDicts, enums, Optional and unions (the first that fits), Literal, list, tuple, set, dict and
    the JSON scalars; pydantic and msgspec types go to their own library. Members that a type does not name are ignored.

    Raises:
        ValueError: the data does not fit; the message gives the path to the member.
        ConfigurationError: a type of no kind known here.
    """
    try:
        return cast("T", _convert(data, kind, "$", {}))
    except RecursionError as error:
        raise ValueError("$: nested too deeply") from error


def _convert(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    while get_origin(kind) is Annotated or isinstance(kind, NewType):
        kind = kind.__supertype__ if isinstance(kind, NewType) else get_args(kind)[0]
    for accepts, build in _KINDS:
        if accepts(kind):
            return build(data, kind, path, seen)
    raise ConfigurationError(f"cannot parse into {kind!r}: give a dataclass, TypedDict, pydantic or msgspec type")


def _misfit(path: str, wanted: object, data: object) -> ValueError:
    return ValueError(f"{_tail(path)}: expected {getattr(wanted, '__name__', wanted)}, got {type(data).__name__}")


def _tail(path: str) -> str:
    return path if len(path) <= _SHOWN // 2 else f"...{path[-_SHOWN // 2 :]}"


def _as_is(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    return data


def _scalar(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    if kind is None or kind is type(None):
        if data is not None:
            raise _misfit(path, "null", data)
    elif kind is float and type(data) is int:
        return _float(data, path)
    elif type(data) is not kind:
        raise _misfit(path, kind, data)
    return data


def _float(data: int, path: str) -> float:
    try:
        return float(data)
    except OverflowError as error:
        raise ValueError(f"{_tail(path)}: expected float, got an integer too large for one") from error


def _union(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    # A member of the very type comes first: 5 is an int in float | int.
    options = sorted(get_args(kind), key=lambda option: type(data) is not option)
    if not isinstance(data, dict | list):
        return _first(data, options, path, seen)
    key = (id(cast("object", data)), kind)
    if key not in seen:
        try:
            seen[key] = (_first(data, options, path, seen), None)
        except ValueError as error:
            seen[key] = (None, error)
    value, problem = seen[key]
    if problem is not None:
        raise problem
    return value


def _first(data: Any, options: Sequence[Any], path: str, seen: _Seen) -> Any:
    problems: list[str] = []
    for option in options:
        try:
            return _convert(data, option, path, seen)
        except ConfigurationError:
            raise
        except ValueError as error:
            problems.append(str(error)[:_SHOWN])
    raise ValueError("; ".join(problems))


def _sequence(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    if not isinstance(data, list):
        raise _misfit(path, "list", data)
    items: list[Any] = data
    args = get_args(kind)
    origin = get_origin(kind) or kind
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(items):
            raise ValueError(f"{_tail(path)}: expected {len(args)} items, got {len(items)}")
        pairs = enumerate(zip(items, args, strict=True))
        return tuple(_convert(item, arg, f"{path}[{i}]", seen) for i, (item, arg) in pairs)
    member = args[0] if args else Any
    built = [_convert(item, member, f"{path}[{i}]", seen) for i, item in enumerate(items)]
    return _collect(origin, built, path) if origin in {tuple, set, frozenset} else built


def _collect(origin: Any, built: list[Any], path: str) -> Any:
    try:
        return origin(built)
    except TypeError as error:
        raise ValueError(f"{_tail(path)}: {error}; a {origin.__name__} cannot hold it") from error


def _mapping(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    if not isinstance(data, dict):
        raise _misfit(path, "object", data)
    key, member = get_args(kind) or (Any, Any)
    members = cast("dict[str, Any]", data)
    return {
        _key(name, key, path, seen): _convert(value, member, f"{path}.{name}", seen) for name, value in members.items()
    }


def _key(name: str, kind: Any, path: str, seen: _Seen) -> Any:
    """JSON has text for keys alone: a whole number is read out of it."""
    whole = kind is int and re.fullmatch(r"-?[0-9]{1,100}", name)
    return int(name) if whole else _convert(name, kind, f"{path}.{name}", seen)


def _literal(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    if not any(data == option and type(data) is type(option) for option in get_args(kind)):
        raise ValueError(f"{_tail(path)}: expected one of {get_args(kind)}, got {reprlib.repr(data)}")
    return data


def _enum(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    try:
        return kind(data)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{_tail(path)}: {reprlib.repr(data)} is not a valid {kind.__name__}") from error


@lru_cache(maxsize=512)
def _hints(kind: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"the annotations of {kind!r} cannot be resolved: {error}; import the names where the class is defined, "
            "outside `if TYPE_CHECKING`, and define the types it names at module level"
        ) from error


def _members(data: Any, kind: Any, names: Iterable[str], path: str, seen: _Seen) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _misfit(path, kind, data)
    hints = _hints(kind)
    members = cast("dict[str, Any]", data)
    return {name: _convert(members[name], hints[name], f"{path}.{name}", seen) for name in names if name in members}


def _refuse_missing(required: Iterable[str], members: Mapping[str, Any], path: str) -> None:
    missing = [name for name in required if name not in members]
    if missing:
        raise ValueError(f"{_tail(path)}: missing {', '.join(missing)}")


def _dataclass(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    settable = [f for f in dataclasses.fields(kind) if f.init]
    members = _members(data, kind, [f.name for f in settable], path, seen)
    absent = dataclasses.MISSING
    _refuse_missing([f.name for f in settable if f.default is absent and f.default_factory is absent], members, path)
    try:
        return kind(**members)
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_tail(path)}: {str(error)[:_SHOWN]}") from error


def _typeddict(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    hints = _hints(kind)
    # Where annotations are text, the class itself does not see its Required and NotRequired.
    wrapped = {name: get_origin(hint) for name, hint in hints.items()}
    required = [
        n for n in hints if wrapped[n] is Required or (n in kind.__required_keys__ and wrapped[n] is not NotRequired)
    ]
    members = _members(data, kind, hints, path, seen)
    _refuse_missing(required, members, path)
    return members


def _presence(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    return _convert(data, get_args(kind)[0], path, seen)


def _pydantic(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    try:
        return kind.model_validate(data)
    except ValueError as error:
        raise ValueError(f"{_tail(path)}: {error}") from error


def _msgspec(data: Any, kind: Any, path: str, seen: _Seen) -> Any:
    try:
        return sys.modules["msgspec"].convert(data, kind)
    except ValueError as error:
        raise ValueError(f"{_tail(path)}: {error}") from error


def _is_msgspec(kind: Any) -> bool:
    library = sys.modules.get("msgspec")
    return library is not None and isinstance(kind, type) and issubclass(kind, library.Struct)


def _is_one_of(*kinds: Any) -> Callable[[Any], bool]:
    """By identity: not every type can be hashed or compared."""
    return lambda kind: any(kind is known for known in kinds)


def _is_generic(*origins: Any) -> Callable[[Any], bool]:
    return lambda kind: any((get_origin(kind) or kind) is origin for origin in origins)


_KINDS: list[tuple[Callable[[Any], bool], Callable[[Any, Any, str, _Seen], Any]]] = [
    (_is_one_of(Any, object), _as_is),
    (_is_one_of(str, int, float, bool, None, type(None)), _scalar),
    (_is_generic(Union, types.UnionType), _union),
    (_is_generic(Literal), _literal),
    (_is_generic(list, tuple, set, frozenset, Sequence), _sequence),
    (_is_generic(dict, Mapping), _mapping),
    (_is_generic(Required, NotRequired), _presence),
    (lambda kind: hasattr(kind, "model_validate"), _pydantic),
    (_is_msgspec, _msgspec),
    (lambda kind: isinstance(kind, type) and dataclasses.is_dataclass(kind), _dataclass),
    (lambda kind: isinstance(kind, type) and issubclass(kind, Enum), _enum),
    (is_typeddict, _typeddict),
]
