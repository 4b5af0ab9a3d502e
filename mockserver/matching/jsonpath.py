"""A JSON body in which a path finds something; how it is found, and that it ends, is the business of `queries`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from mockserver.matching.bodies import judge
from mockserver.matching.comparing import Comparison, check_json
from mockserver.matching.matcher import Matcher, Mismatch, shown
from mockserver.matching.patterns import patience
from mockserver.matching.values import Absent, Present, Value
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from mockserver.matching.queries import Query

LONGEST_PATH: Final = 500
"""Characters of a path."""
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class JsonPath(Matcher):
    """A JSONPath (RFC 9535) finds a value in the body's JSON, and one that it finds is as wanted.

    Args:
        path: at most 500 characters; the patterns of `match()` and `search()` are written in it.
        value: what one of the nodes found is: a value pattern for texts (numbers as JSON writes them), anything else is
            compared as JSON. `Present()`, as when none is given: a node is found; `Absent()`: none is.

    Raises:
        ConfigurationError: malformed, too long, or with a pattern that is refused.
    """

    path: str
    value: Any = Present()
    _query: Query = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or len(self.path) > LONGEST_PATH:
            raise ConfigurationError(
                f"JsonPath({shown(self.path)}): a path is text of at most {LONGEST_PATH} characters"
            )
        if not isinstance(self.value, Value):
            check_json("JsonPath(value=...)", self.value)
        from mockserver.matching.queries import Query

        object.__setattr__(self, "_query", Query(self.path))

    def __hash__(self) -> int:
        return hash((self.path, self._wanted()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JsonPath) or isinstance(self.value, Value) != isinstance(other.value, Value):
            return False
        return self.path == other.path and self._wanted() == other._wanted()

    def __reduce__(self) -> tuple[type[JsonPath], tuple[str, Any]]:
        return (JsonPath, (self.path, self.value))

    def _wanted(self) -> object:
        return self.value if isinstance(self.value, Value) else json.dumps(self.value, sort_keys=True)

    def __call__(self, seen: Seen) -> bool:
        """Whether it finds one."""
        return judge(seen, self._fits) is None

    def _fits(self, document: Any) -> bool:
        fits: bool = patience.spend(self.path, lambda left: self._one_of(self._query.found(document, left)))
        return fits

    def _one_of(self, nodes: Iterable[Any]) -> bool:
        value = self.value
        if isinstance(value, Absent | Present):
            return any(True for _ in nodes) == isinstance(value, Present)
        if isinstance(value, Value):
            return any(value.fits(text) for text in map(_text, nodes) if text is not None)
        return any(Comparison().same(value, node) for node in nodes)

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """What it finds, if that is not as wanted."""
        found: list[str] = []

        def fits(document: Any) -> bool:
            first: list[Any] = patience.spend(
                self.path,
                lambda left: [
                    node for node, _ in zip(self._query.found(document, left), range(_MOST_SHOWN), strict=False)
                ],
            )
            found.extend(shown(node) for node in first)
            return self._fits(document)

        with patience:
            reason = judge(seen, fits)
        if reason is None:
            return []
        return [Mismatch(f"json {self.path}", self._described(), reason or ", ".join(found) or "nothing")]

    def _described(self) -> str:
        return str(self.value) if isinstance(self.value, Value) else shown(self.value)

    def __str__(self) -> str:
        return f"JSON at {self.path} {self._described()}"


def _text(node: Any) -> str | None:
    """A node as text, for value patterns; None for lists and objects."""
    if isinstance(node, str):
        return node
    return None if isinstance(node, list | dict) else json.dumps(node)
