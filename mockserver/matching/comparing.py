"""Comparing JSON as JSON has it: 1 equals 1.0, true is no number, the order of members means nothing.

A comparison goes only as deep as what is wanted, which is bounded when the matcher is made, and takes a bounded number
of steps. Lists in any order are an assignment: each wanted element needs an element of its own, and which one may
depend on the others (wanted [{}, {"a": 1}], got [{"a": 1}, {}]); augmenting paths find it (Kuhn 1955).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from rest_api_client.exceptions import ConfigurationError

DEEPEST: Final = 64
"""Lists and objects within each other."""
MOST_STEPS: Final = 50_000
"""Pairs of values that one comparison looks at; beyond them it is no match."""
LONGEST_UNORDERED: Final = 200
"""Elements of a list that is compared in any order."""


class TooMuch(Exception):
    """A comparison took more steps than it may."""


def check_json(owner: str, value: object, *, any_order: bool = False) -> None:
    """Refuse what is no JSON, lies too deep, or has lists too long for any order.

    Raises:
        ConfigurationError: it says where.
    """
    waiting: list[tuple[object, str, int]] = [(value, "$", 0)]
    while waiting:
        found, place, depth = waiting.pop()
        if depth > DEEPEST:
            raise ConfigurationError(f"{owner}: nested more than {DEEPEST} deep")
        if any_order and isinstance(found, list) and len(found) > LONGEST_UNORDERED:
            raise ConfigurationError(
                f"{owner}: {place} has more than {LONGEST_UNORDERED} elements to find in any order"
            )
        if isinstance(found, dict | list):
            waiting += [(inner, f"{place}.{name}", depth + 1) for name, inner in _members(owner, place, found)]
        elif not (found is None or isinstance(found, str | bool | int | float)) or _endless(found):
            raise ConfigurationError(f"{owner}: {place} is {found!r}, which JSON does not have")


def _members(owner: str, place: str, found: Any) -> Iterator[tuple[object, object]]:
    if isinstance(found, list):
        yield from enumerate(found)
        return
    for name, inner in found.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{owner}: {place} has the name {name!r}; names are text in JSON, so quote it")
        yield name, inner


def _endless(found: object) -> bool:
    return isinstance(found, float) and not math.isfinite(found)


class Comparison:
    """One comparison; counts its steps.

    Args:
        partial: objects may have more members than wanted, and lists more elements.
        any_order: elements of a list may stand anywhere.
    """

    def __init__(self, *, partial: bool = False, any_order: bool = False) -> None:
        self._partial = partial
        self._any_order = any_order
        self._steps = 0

    def same(self, wanted: object, got: object) -> bool:
        """Whether it is what was wanted.

        Raises:
            TooMuch: it takes too many steps to tell.
        """
        self._step()
        if isinstance(wanted, dict):
            return isinstance(got, dict) and self._objects(cast("dict[str, Any]", wanted), cast("dict[str, Any]", got))
        if isinstance(wanted, list):
            return isinstance(got, list) and self._lists(wanted, got)
        return same_scalar(wanted, got)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooMuch

    def _objects(self, wanted: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
        if len(wanted) > len(got) or (len(wanted) < len(got) and not self._partial):
            return False
        return all(name in got and self.same(value, got[name]) for name, value in wanted.items())

    def _lists(self, wanted: list[Any], got: list[Any]) -> bool:
        if len(wanted) > len(got) or (len(wanted) < len(got) and not self._partial):
            return False
        if self._any_order:
            return self._assign([[place for place, each in enumerate(got) if self.same(one, each)] for one in wanted])
        return all(map(self.same, wanted, got))

    def _assign(self, fitting: list[list[int]]) -> bool:
        taken: dict[int, int] = {}
        return all(self._place(one, fitting, taken, set()) for one in range(len(fitting)))

    def _place(self, one: int, fitting: list[list[int]], taken: dict[int, int], tried: set[int]) -> bool:
        for place in fitting[one]:
            self._step()
            if place in tried:
                continue
            tried.add(place)
            if place not in taken or self._place(taken[place], fitting, taken, tried):
                taken[place] = one
                return True
        return False

    def differences(self, wanted: object, got: object, place: str = "$") -> Iterator[tuple[str, object, object]]:
        """Where they differ: (place, wanted, got), `MISSING` for what is not there."""
        if isinstance(wanted, dict) and isinstance(got, dict):
            yield from self._object_differences(cast("dict[str, Any]", wanted), cast("dict[str, Any]", got), place)
        elif isinstance(wanted, list) and isinstance(got, list) and not self._any_order:
            yield from self._list_differences(wanted, got, place)
        elif not self.same(wanted, got):
            yield place, wanted, got

    def _object_differences(
        self, wanted: dict[str, Any], got: dict[str, Any], place: str
    ) -> Iterator[tuple[str, object, object]]:
        for name, value in wanted.items():
            if name in got:
                yield from self.differences(value, got[name], f"{place}.{name}")
            else:
                yield f"{place}.{name}", value, MISSING
        if not self._partial:
            yield from ((f"{place}.{name}", MISSING, value) for name, value in got.items() if name not in wanted)

    def _list_differences(self, wanted: list[Any], got: list[Any], place: str) -> Iterator[tuple[str, object, object]]:
        for number, (one, each) in enumerate(zip(wanted, got, strict=False)):
            yield from self.differences(one, each, f"{place}[{number}]")
        if len(wanted) > len(got) or (len(wanted) < len(got) and not self._partial):
            yield f"{place} (length)", len(wanted), len(got)


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


def same_scalar(wanted: object, got: object) -> bool:
    """Whether two values without members are one and the same in JSON."""
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        return wanted == got
    return type(wanted) is type(got) and wanted == got


def too_deep(value: object) -> bool:
    """Whether lists and objects lie deeper in each other than `DEEPEST`."""
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for found in level
            if isinstance(found, dict | list)
            for inner in (cast("dict[str, Any]", found).values() if isinstance(found, dict) else found)
        ]
        if not level:
            return False
    return any(isinstance(found, dict | list) for found in level)
