"""How records are compared, filtered and sorted: pure functions over JSON values.

All values stand in one total order, so that a list can be sorted by any field whatever clients stored there:

    nothing (missing, null)  <  numbers, and texts that are decimal numbers  <  texts, true and false  <  the rest

"9.50" is below "10.00", because amounts of money come as text. Texts are compared by their first 100 characters, which
bounds what a cursor has to carry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from mockserver.resources.people import Record
from rest_api_client.lazy_dataclasses import dataclass

Key = tuple[int, float | str]
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_COMPARED = 100
_OPERATORS = ("_gte", "_lte", "_gt", "_lt", "_ne")


def key_of(value: object) -> Key:
    """Where a value stands in the one order."""
    if value is None:
        return 0, 0.0
    if isinstance(value, bool):
        return 2, "true" if value else "false"
    if isinstance(value, int | float):
        return 1, float(value) if abs(value) < 1e300 else (1e300 if value > 0 else -1e300)
    if isinstance(value, str):
        return (1, float(value)) if _NUMBER.fullmatch(value) else (2, value[:_COMPARED])
    return 3, 0.0


@dataclass(frozen=True)
class Condition:
    """One field compared with what the client gave: any of these values, or with one operator of one of them."""

    field: str
    operator: str
    keys: tuple[Key, ...]

    def holds(self, record: Record) -> bool:
        """Whether the record meets it. A missing field meets none but `_ne`; numbers and texts are not compared."""
        mine = key_of(record.get(self.field))
        if self.operator in ("", "_ne"):
            return (mine in self.keys) == (self.operator == "")
        return all(mine[0] == key[0] and _COMPARE[self.operator](mine, key) for key in self.keys)


_COMPARE = {
    "_gte": lambda mine, key: mine >= key,
    "_lte": lambda mine, key: mine <= key,
    "_gt": lambda mine, key: mine > key,
    "_lt": lambda mine, key: mine < key,
}


def condition(name: str, values: Sequence[str], known: Sequence[str] | set[str]) -> Condition | None:
    """What `?name=value` asks for; None where `name` is neither a known field nor one with an operator behind."""
    keys = tuple(key_of(value) for value in values)
    if name in known:
        return Condition(name, "", keys)
    for operator in _OPERATORS:
        if name.endswith(operator) and name.removesuffix(operator) in known:
            return Condition(name.removesuffix(operator), operator, keys)
    return None


def contains(record: Record, words: Sequence[str]) -> bool:
    """Whether each of the words, in small letters, stands in some value of the record."""
    text = "\n".join(str(value) for value in record.values() if isinstance(value, str | int)).lower()
    return all(word in text for word in words)


@dataclass(frozen=True)
class Order:
    """How a list is sorted: by each field in turn, then by id.

    Attributes:
        fields: the names, and whether each falls.
    """

    fields: tuple[tuple[str, bool], ...] = ()

    def sort(self, records: list[Record]) -> list[Record]:
        """The records in this order. Those that come with rising ids keep that where all fields agree."""
        for field, falling in reversed(self.fields):
            records = sorted(records, key=lambda record: key_of(record.get(field)), reverse=falling)
        return records

    def position(self, record: Record) -> list[object]:
        """Where the record stands: what a cursor carries."""
        return [*(list(key_of(record.get(field))) for field, _ in self.fields), record["id"]]

    def after(self, record: Record, position: Sequence[object]) -> bool:
        """Whether the record stands behind this position."""
        for (_, falling), mine, theirs in zip(self.fields, self.position(record), position, strict=False):
            if mine != theirs:
                return _above(mine, theirs) != falling
        return _above(record["id"], position[-1])


def _above(mine: object, theirs: object) -> bool:
    return cast("Key", mine) > cast("Key", theirs)  # both came from `position`


def select(record: Record, fields: Sequence[str]) -> Record:
    """Only these fields, as far as the record has them; all of it where none are named."""
    return {name: record[name] for name in fields if name in record} if fields else record


def merge(old: object, patch: object) -> object:
    """JSON merge patch (RFC 7396): null removes, objects are merged, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(old) if isinstance(old, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
