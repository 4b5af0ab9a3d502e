"""Header fields: case-insensitive to look up, exact to send, repeatable (RFC 9110, section 5).

A plain mapping loses either the second `Set-Cookie` or the spelling. `Headers` keeps the fields as they were given, in
order, and answers look-ups in any case. Names and values are checked on the way in, so that no CR, LF or NUL ever
reaches an engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any, Self, TypeVar, cast, overload

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import redact_headers

T = TypeVar("T")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

HeaderTypes = Mapping[str, str] | Iterable[tuple[str, str]]
_Field = tuple[str, str, str]


class _Memo:
    """What copies have in common: the newest form that was made of a list of fields (`Headers.cached`)."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made: tuple[object, object, Any] = (None, None, None)


class Headers(MutableMapping[str, str]):
    """Header fields in order.

    `headers[name]` gives all values of a name joined with ", ", `get_list` each one; setting replaces every field of
    that name where the first one stood; `add` appends one more.

    Raises:
        ConfigurationError: a name that is no token, or a value with control characters (RFC 9110, section 5.5).
    """

    __slots__ = ("_fields", "_memo", "_present", "_unchecked")

    def __init__(self, fields: HeaderTypes | None = None) -> None:
        if fields is None:
            self._set([])
        elif isinstance(fields, Headers):
            self._set(fields._sendable())  # noqa: SLF001  another Headers
        else:
            self._set([_field(name, value) for name, value in _pairs(fields)])

    def _set(self, fields: list[_Field], *, unchecked: bool = False, memo: _Memo | None = None) -> Self:
        self._fields = fields  # copies share it: it is replaced, never changed
        self._unchecked = unchecked
        self._memo = memo
        self._present: AbstractSet[str] | None = None
        return self

    @classmethod
    def received(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """What a server sent, taken as it is (latin-1, RFC 9110 section 5.5): checking is for what we send."""
        return cls.received_text([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])

    @classmethod
    def received_text(cls, fields: Iterable[tuple[str, str]]) -> Headers:
        """The same, from an engine that gives text."""
        taken = [(name.lower(), name, value) for name, value in fields]
        return cls.__new__(cls)._set(taken, unchecked=True)  # noqa: SLF001  its own kind

    def add(self, name: str, value: str) -> None:
        """Append a field, keeping those of the same name."""
        self._fields = [*self._fields, _field(name, value)]
        self._present = None

    def get_list(self, name: str) -> list[str]:
        """Every value of a name, one per field line."""
        key = name.lower()
        return [value for k, _, value in self._fields if k == key]

    def multi_items(self) -> list[tuple[str, str]]:
        """Every field as (name, value), in order, as spelled."""
        return [(name, value) for _, name, value in self._fields]

    @property
    def names(self) -> list[str]:
        """The name of every field line in lower case, in order."""
        return [key for key, _, _ in self._fields]

    @property
    def present(self) -> AbstractSet[str]:
        """Which names there are, in lower case."""
        present = self._present
        if present is None:  # several policies ask each answer for fields that few have
            present = self._present = {field[0] for field in self._fields}
        return present

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Every field as engines want it.

        Raises:
            ConfigurationError: fields that a server sent and that may not be sent on.
        """
        return [(name.encode("ascii"), value.encode("latin-1")) for _, name, value in self._sendable()]

    def _sendable(self) -> list[_Field]:
        if self._unchecked:
            return [_field(name, value) for _, name, value in self._fields]
        return self._fields

    @property
    def size(self) -> tuple[int, int]:
        """How many field lines there are, and the characters of their names and values."""
        return len(self._fields), sum([len(name) + len(value) for _, name, value in self._fields])

    def copy(self) -> Headers:
        """An independent copy."""
        memo = self._memo
        if memo is None:
            memo = self._memo = _Memo()
        twin = Headers.__new__(Headers)
        return twin._set(self._fields, unchecked=self._unchecked, memo=memo)  # noqa: SLF001  its own kind

    __copy__ = copy

    def twin_of(self, other: Headers) -> bool:
        """Whether one is a copy of the other, and neither was changed since."""
        return self._fields is other._fields

    def cached(self, make: Callable[[Headers], T]) -> T:
        """What a function makes of these fields: kept for them and their copies until another function asks.

        It is not to be changed. The function is known by identity: give one of a module or a class, no lambda.
        """
        memo, fields = self._memo, self._fields
        if memo is None:
            return make(self)
        maker, of, kept = memo.made
        if maker is make and of is fields:
            made: T = kept
        else:
            made = make(self)
            memo.made = make, fields, made
        return made

    def merged(self, other: HeaderTypes | None) -> Headers:
        """A copy in which the other's fields replace those of the same name."""
        incoming = (other if isinstance(other, Headers) else Headers(other))._sendable()  # noqa: SLF001
        merged = self.without(key for key, _, _ in incoming)
        merged._fields = [*merged._fields, *incoming]
        return merged

    def without(self, names: Iterable[str]) -> Headers:
        """A copy that lacks the fields of these names."""
        gone = {name.lower() for name in names}
        kept = [field for field in self._fields if field[0] not in gone]
        return Headers.__new__(Headers)._set(kept, unchecked=self._unchecked)  # noqa: SLF001  its own kind

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str, /, default: None = None) -> str | None: ...

    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...

    def get(self, name: str, /, default: Any = None) -> Any:
        """All values of a name joined with ", ", or the default where there is none."""
        # Not the mixin's, which raises a KeyError and catches it: most answers lack most of what they are asked for.
        values = self.get_list(name)
        return (values[0] if len(values) == 1 else ", ".join(values)) if values else default

    def __setitem__(self, name: str, value: str) -> None:
        field = _field(name, value)
        key, fields = field[0], self._fields
        first = next((i for i, known in enumerate(fields) if known[0] == key), len(fields))
        self._fields = [*fields[:first], field, *[other for other in fields[first:] if other[0] != key]]
        self._present = None

    def __delitem__(self, name: str) -> None:
        key = name.lower()
        if key not in self:
            raise KeyError(name)
        self._fields = [field for field in self._fields if field[0] != key]
        self._present = None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.present

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _, _ in self._fields))

    def __len__(self) -> int:
        return len(self.present)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            if self._fields == other._fields:
                return True
            return [(k, v) for k, _, v in self._fields] == [(k, v) for k, _, v in other._fields]
        if isinstance(other, Mapping):
            return {k: self[k] for k in self} == {str(k).lower(): v for k, v in other.items()}
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> tuple[list[_Field], bool]:
        """The fields: what was made of them may be nothing that can be pickled."""
        return self._fields, self._unchecked

    def __setstate__(self, state: tuple[list[_Field], bool]) -> None:
        fields, unchecked = state
        self._set(fields, unchecked=unchecked)

    def __repr__(self) -> str:
        return f"Headers({redact_headers(self.multi_items())!r})"


def _pairs(fields: HeaderTypes) -> Iterable[tuple[str, str]]:
    if isinstance(fields, Mapping):
        return cast("Mapping[str, str]", fields).items()
    pairs: list[object] = list(fields) if isinstance(fields, Iterable) and not isinstance(fields, str) else [None]
    if all(isinstance(pair, tuple | list) and len(cast("tuple[object, ...]", pair)) == 2 for pair in pairs):
        return cast("list[tuple[str, str]]", pairs)
    raise ConfigurationError(f"headers of type {type(fields).__name__}: give a dict, or a list of (name, value) pairs")


def _field(name: str, value: str) -> _Field:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ConfigurationError(
            f"header name {name!r} is not a token: use letters, digits and !#$%&'*+-.^_`|~ (RFC 9110)"
        )
    if not isinstance(value, str):
        raise ConfigurationError(f"header {name}: the value must be a str, got {type(value).__name__}; convert it")
    if _FORBIDDEN.search(value):
        raise ConfigurationError(f"header {name}: the value contains a control character; remove or encode it")
    if not value.isascii():
        try:
            value.encode("latin-1")
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"header {name}: the value has characters outside latin-1; encode them (RFC 8187)"
            ) from None
    return name.lower(), name, value.strip(" \t")
