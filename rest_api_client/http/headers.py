"""Header fields: case-insensitive to look up, exact to send, repeatable (RFC 9110, section 5).

A plain mapping loses either the second `Set-Cookie` or the spelling. `Headers` keeps the fields as they were given, in
order, and answers look-ups in any case. Names and values are checked on the way in, so that no CR, LF or NUL ever
reaches an engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from typing import cast

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import redact_headers

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

HeaderTypes = Mapping[str, str] | Iterable[tuple[str, str]]
_Field = tuple[str, str, str]


class Headers(MutableMapping[str, str]):
    """Header fields in order.

    `headers[name]` gives all values of a name joined with ", ", `get_list` each one; setting replaces every field of
    that name where the first one stood; `add` appends one more.

    Raises:
        ConfigurationError: a name that is no token, or a value with control characters (RFC 9110, section 5.5).
    """

    __slots__ = ("_fields", "_present", "_unchecked")

    def __init__(self, fields: HeaderTypes | None = None) -> None:
        self._unchecked = False
        self._fields: list[_Field] = []
        self._present: AbstractSet[str] | None = None
        if fields is None:
            return
        if isinstance(fields, Headers):
            self._fields = fields._sendable()  # noqa: SLF001  another Headers
        else:
            for name, value in _pairs(fields):
                self.add(name, value)

    @classmethod
    def received(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """What a server sent, taken as it is (latin-1, RFC 9110 section 5.5): checking is for what we send."""
        return cls.received_text([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])

    @classmethod
    def received_text(cls, fields: Iterable[tuple[str, str]]) -> Headers:
        """The same, from an engine that gives text."""
        headers = cls()
        headers._unchecked = True
        headers._fields = [(name.lower(), name, value) for name, value in fields]
        return headers

    def add(self, name: str, value: str) -> None:
        """Append a field, keeping those of the same name."""
        self._fields.append(_field(name, value))
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
        return list(self._fields)

    @property
    def size(self) -> tuple[int, int]:
        """How many field lines there are, and the characters of their names and values."""
        return len(self._fields), sum([len(name) + len(value) for _, name, value in self._fields])

    def copy(self) -> Headers:
        """An independent copy."""
        twin = Headers()
        twin._unchecked, twin._fields = self._unchecked, self._fields.copy()
        return twin

    __copy__ = copy

    def merged(self, other: HeaderTypes | None) -> Headers:
        """A copy in which the other's fields replace those of the same name."""
        incoming = (other if isinstance(other, Headers) else Headers(other))._sendable()  # noqa: SLF001
        merged = self.without(key for key, _, _ in incoming)
        merged._fields += incoming
        merged._present = None  # noqa: SLF001 (its own kind)
        return merged

    def without(self, names: Iterable[str]) -> Headers:
        """A copy that lacks the fields of these names."""
        gone = {name.lower() for name in names}
        kept = Headers()
        kept._unchecked = self._unchecked
        kept._fields = [field for field in self._fields if field[0] not in gone]
        return kept

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __setitem__(self, name: str, value: str) -> None:
        field = _field(name, value)
        places = [i for i, (key, _, _) in enumerate(self._fields) if key == field[0]]
        self._present = None
        if not places:
            self._fields.append(field)
            return
        self._fields[places[0]] = field
        for i in reversed(places[1:]):
            del self._fields[i]

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
