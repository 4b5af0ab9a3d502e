"""The records of one resource.

Records are made when first asked for (see `people`); only what a client changed is kept, and all collections of an
application together keep a bounded number of bytes. References are indexed when first needed, from the reference
fields alone, so that "the orders of user 7" among 100,000 does not make 100,000 orders.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, KeysView
from datetime import datetime

from mockserver.problems import Problem
from mockserver.resource_names import MOST_RECORDS
from mockserver.resources.people import EPOCH, Population, Record
from rest_api_client.lazy_dataclasses import dataclass

MOST_KEPT_BYTES = 64 << 20
MOST_FIELDS = 1_000
_REMEMBERED = 20_000


class Space:
    """How many bytes clients may still store, in all collections together."""

    def __init__(self, most: int = MOST_KEPT_BYTES) -> None:
        self.most = most
        self._used = 0

    def exchange(self, old: int, new: int) -> None:
        """Give `old` bytes back and take `new`. Raises Problem 507, taking nothing, when they are not there."""
        used = self._used - old + new
        if used > self.most and new > old:
            raise Problem(507, f"clients may store {self.most} bytes in all: delete something")
        self._used = used


@dataclass(frozen=True)
class _Kept:
    """A record that a client wrote."""

    record: Record
    size: int
    changed: float


class Collection:
    """Records by id from 1; those a client makes are numbered after them.

    Args:
        name: of the resource.
        size: how many records there are at first.
        population: makes them.
        space: what clients may store.
        wall: seconds since 1970.
    """

    def __init__(self, name: str, size: int, population: Population, space: Space, wall: Callable[[], float]) -> None:
        self.name = name
        self.references: dict[str, Collection] = {}
        self.referring: list[tuple[Collection, str]] = []
        self.changed = EPOCH.timestamp()
        self._population = population
        self._made = functools.lru_cache(maxsize=_REMEMBERED)(functools.partial(population.make, name))
        self._rows: dict[int, _Kept | None] = dict.fromkeys(range(1, size + 1))
        self._next = size + 1
        self._space = space
        self._wall = wall
        self._index: dict[str, dict[int, set[int]]] = {}

    @functools.cached_property
    def _fields(self) -> set[str]:
        return set(self.specimen)

    @functools.cached_property
    def specimen(self) -> Record:
        """What a record of this resource looks like."""
        return self._made(1)

    @property
    def fields(self) -> set[str]:
        """The names of all fields that records have or had, of which the first 1,000 are remembered."""
        return self._fields

    @property
    def ids(self) -> KeysView[int]:
        """The ids, rising."""
        return self._rows.keys()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: object) -> bool:
        return type(number) is int and number in self._rows

    def read(self, number: int) -> Record:
        """The record; KeyError when there is none."""
        kept = self._rows[number]
        return self._made(number) if kept is None else kept.record

    def modified(self, number: int) -> float:
        """When the record became what it is, in seconds since 1970."""
        kept = self._rows[number]
        if kept is not None:
            return kept.changed
        created = self._made(number).get("createdAt")
        return datetime.fromisoformat(created).timestamp() if isinstance(created, str) else EPOCH.timestamp()

    def create(self, record: Record) -> Record:
        """Keep this record under the next id. Raises Problem 507 when the collection or the space is full."""
        if len(self) >= MOST_RECORDS:
            raise Problem(507, f"a resource holds at most {MOST_RECORDS} records: delete some")
        stored = self._keep(self._next, {"id": self._next, **record})
        self._next += 1
        return stored

    def write(self, number: int, record: Record) -> Record:
        """Keep this record in place of what was there. Raises Problem 507 when the space is full."""
        return self._keep(number, record if "id" in record else {"id": number, **record})

    def _keep(self, number: int, stored: Record) -> Record:
        size = len(json.dumps(stored))
        self._space.exchange(self._size(number), size)
        self._unindex(number)
        self._rows[number] = _Kept(stored, size, self._touch())
        self._fields.update(list(stored)[: max(0, MOST_FIELDS - len(self._fields))])
        for field in self._index:
            self._enter(field, number, stored.get(field))
        return stored

    def delete(self, number: int) -> None:
        """Forget the record, and every record that refers to it; KeyError when there is none."""
        for other, field in self.referring:
            for each in other.of(field, number):
                other.delete(each)
        self._space.exchange(self._size(number), 0)
        self._unindex(number)
        del self._rows[number]
        self._touch()

    def of(self, field: str, parent: int) -> list[int]:
        """The ids of the records that refer to this parent, rising."""
        if field not in self._index:
            self._index[field] = {}
            for number, target in self._targets(field):
                self._enter(field, number, target)
        return sorted(self._index[field].get(parent, ()))

    def _targets(self, field: str) -> Iterator[tuple[int, object]]:
        for number, kept in self._rows.items():
            yield number, self._made_target(number, field) if kept is None else kept.record.get(field)

    def _made_target(self, number: int, field: str) -> int:
        return self._population.refer(self.name, number, field)

    def _enter(self, field: str, number: int, target: object) -> None:
        if type(target) is int:
            self._index[field].setdefault(target, set()).add(number)

    def _unindex(self, number: int) -> None:
        if number in self._rows:
            for field, index in self._index.items():
                index.get(self._target(number, field), set()).discard(number)

    def _target(self, number: int, field: str) -> int:
        target = self.read(number).get(field)
        return target if type(target) is int else 0

    def _size(self, number: int) -> int:
        kept = self._rows.get(number)
        return 0 if kept is None else kept.size

    def _touch(self) -> float:
        self.changed = self._wall()
        return self.changed
