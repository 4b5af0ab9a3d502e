"""Matchers of the body: as it is, and as JSON. At most 1 MiB is looked into; a longer body is no match."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import field
from itertools import islice
from typing import Any, Final

from mockserver.matching.comparing import Comparison, TooMuch, check_json
from mockserver.matching.matcher import Matcher, Mismatch, clipped, shown
from mockserver.matching.patterns import patience
from mockserver.matching.values import Value, value_of
from mockserver.seen import Seen
from rest_api_client.checks import check_flag
from rest_api_client.lazy_dataclasses import dataclass

LONGEST_BODY: Final = 1 << 20
_MOST_LINES = 10


@dataclass(frozen=True, slots=True)
class Body(Matcher):
    """The whole body: these bytes, or text (UTF-8) as a value pattern has it. No body is the empty text."""

    value: bytes | str | Value

    def __post_init__(self) -> None:
        if not isinstance(self.value, bytes):
            object.__setattr__(self, "value", value_of(self.value))

    def __call__(self, seen: Seen) -> bool:
        """Whether it is as wanted."""
        if isinstance(self.value, bytes):
            return seen.body == self.value
        return len(seen.body) <= LONGEST_BODY and value_of(self.value).fits_one((_text(seen),))

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """The body, if it is another."""
        with patience:
            if self(seen):
                return []
            remark = "" if isinstance(self.value, bytes) else value_of(self.value).remark((_text(seen),))
        got = shown(_text(seen)) if seen.body else "nothing"
        return [Mismatch("body", str(self.value), f"{got} ({remark})" if remark else got)]

    def __str__(self) -> str:
        return f"body {self.value!r}" if isinstance(self.value, bytes) else f"body {self.value}"


@dataclass(frozen=True, slots=True)
class Json(Matcher):
    """The body is this JSON, whole: 1 equals 1.0, true is no number, members in any order, elements in theirs."""

    value: Any

    def __post_init__(self) -> None:
        check_json("Json", self.value)

    def __hash__(self) -> int:
        return hash((Json, _written(self.value)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and _written(self.value) == _written(other.value)

    def __call__(self, seen: Seen) -> bool:
        """Whether it equals the value."""
        return judge(seen, lambda got: Comparison().same(self.value, got)) is None

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """Where it differs."""
        return _explain(seen, self.value, Comparison())

    def __str__(self) -> str:
        return f"JSON {clipped(_written(self.value))}"


@dataclass(frozen=True, slots=True)
class JsonPartial(Matcher):
    """The body's JSON holds this, at every depth: members not named do not matter.

    Lists are compared by position, and may go on; with `any_order` each wanted element is found somewhere in the list,
    no element twice.

    Raises:
        ConfigurationError: no JSON, more than 64 deep, or in any order a list of more than 200 elements.
    """

    value: Any
    any_order: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_flag("JsonPartial", any_order=self.any_order)
        check_json("JsonPartial", self.value, any_order=self.any_order)

    def __hash__(self) -> int:
        return hash((JsonPartial, _written(self.value), self.any_order))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JsonPartial):
            return False
        return self.any_order == other.any_order and _written(self.value) == _written(other.value)

    def _comparison(self) -> Comparison:
        return Comparison(partial=True, any_order=self.any_order)

    def __call__(self, seen: Seen) -> bool:
        """Whether it holds the value."""
        return judge(seen, lambda got: self._comparison().same(self.value, got)) is None

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """Where it differs."""
        return _explain(seen, self.value, self._comparison())

    def __str__(self) -> str:
        return f"JSON holding {clipped(_written(self.value))}"


def judge(seen: Seen, fits: Callable[[Any], bool]) -> str | None:
    """Why the body, read as JSON, does not fit; None where it does."""
    if len(seen.body) > LONGEST_BODY:
        return f"a body of {len(seen.body)} bytes; {LONGEST_BODY} are looked into"
    try:
        got = seen.json
    except ValueError:
        return "no body" if not seen.body else f"no JSON: {shown(_text(seen))}"
    try:
        return None if fits(got) else ""
    except TooMuch:
        return "given up: too much to compare"
    except RecursionError:
        return "given up: nested too deeply"
    except TimeoutError:
        return "given up: it takes too long"


def _explain(seen: Seen, wanted: object, comparison: Comparison) -> list[Mismatch]:
    lines: list[Mismatch] = []

    def compare(got: object) -> bool:
        found = islice(comparison.differences(wanted, got), _MOST_LINES)
        lines.extend(Mismatch(f"json {place}", shown(one), shown(each)) for place, one, each in found)
        return not lines

    reason = judge(seen, compare)
    return lines or ([Mismatch("json", clipped(_written(wanted)), reason)] if reason else [])


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(seen: Seen) -> str:
    return seen.body[:LONGEST_BODY].decode("utf-8", "replace")
