"""JSONPath (RFC 9535) over a JSON body, with an end to it.

The paths are those of the library jsonpath-rfc9535. Left alone, it has two holes. Its `match()` and `search()` run a
regular expression for as long as it takes, and take the expression from the request's own body, if a path says so; here
the expression stands in the path, is checked when the matcher is made, and shares the time of all patterns. And a path
of a few characters visits any number of nodes (`$..[?@..[?@..*]]`, `$[0,0,0,0][0,0,0,0]`); here the document's lists
and objects look at the clock whenever one of them is visited.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, SupportsIndex, cast

import regex
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery
from jsonpath_rfc9535.filter_expressions import StringLiteral
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction
from jsonpath_rfc9535.tokens import Token

from mockserver.matching.bodies import judge
from mockserver.matching.comparing import Comparison, check_json, too_deep
from mockserver.matching.matcher import Matcher, Mismatch, shown
from mockserver.matching.patterns import compile_pattern, find, patience
from mockserver.matching.values import Absent, Present, Value
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError

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
    value: Any = Present()  # noqa: RUF009 (a frozen value)
    _query: JSONPathQuery = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or len(self.path) > LONGEST_PATH:
            raise ConfigurationError(
                f"JsonPath({shown(self.path)}): a path is text of at most {LONGEST_PATH} characters"
            )
        if not isinstance(self.value, Value):
            check_json("JsonPath(value=...)", self.value)
        try:
            query = _ENVIRONMENT.compile(self.path)
        except (JSONPathError, ConfigurationError, RecursionError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"JsonPath({self.path!r}): {error}") from error
        object.__setattr__(self, "_query", query)

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
        fits: bool = patience.spend(self.path, lambda left: self._one_of(self._found(document, left)))
        return fits

    def _one_of(self, nodes: Iterable[Any]) -> bool:
        value = self.value
        if isinstance(value, Absent | Present):
            return any(True for _ in nodes) == isinstance(value, Present)
        if isinstance(value, Value):
            return any(value.fits(text) for text in map(_text, nodes) if text is not None)
        return any(Comparison().same(value, node) for node in nodes)

    def _found(self, document: Any, left: float) -> Iterator[Any]:
        try:
            if not self._query.singular_query():
                if too_deep(document):
                    raise TimeoutError
                document = _watched(document, time.thread_time() + left)
            for node in self._query.finditer(document):
                yield node.value
        except JSONPathError as error:  # it found the document too deep
            raise TimeoutError from error

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """What it finds, if that is not as wanted."""
        found: list[str] = []

        def fits(document: Any) -> bool:
            first: list[Any] = patience.spend(
                self.path,
                lambda left: [node for node, _ in zip(self._found(document, left), range(_MOST_SHOWN), strict=False)],
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


class _Watch:
    """When the time is over."""

    __slots__ = ("ends", "visits")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.visits = 0

    def look(self) -> None:
        self.visits += 1
        if not self.visits % 16 and time.thread_time() > self.ends:  # asking the time costs more than a visit
            raise TimeoutError


class _List(list[Any]):
    """A list that looks at the clock when it is visited."""

    __slots__ = ("watch",)
    watch: _Watch

    def __iter__(self) -> Iterator[Any]:
        for element in super().__iter__():
            self.watch.look()
            yield element

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        self.watch.look()
        return super().__getitem__(place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and len(self) == len(other) and all(map(_equal, self, other))

    __hash__ = None


class _Object(dict[str, Any]):
    """An object that looks at the clock when it is visited."""

    __slots__ = ("watch",)
    watch: _Watch

    def items(self) -> Any:
        for pair in super().items():
            self.watch.look()
            yield pair

    def __getitem__(self, name: str) -> Any:
        self.watch.look()
        return super().__getitem__(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict) or self.keys() != other.keys():
            return False
        return all(_equal(value, other[name]) for name, value in self.items())

    __hash__ = None


def _equal(one: object, other: object) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _watched(document: Any, ends: float) -> Any:
    watch = _Watch(ends)

    def wrap(found: Any) -> Any:
        if not isinstance(found, list | dict):
            return found
        watch.look()
        made: Any
        if isinstance(found, list):
            made = _List(map(wrap, found))
        else:
            made = _Object((name, wrap(value)) for name, value in cast("dict[str, Any]", found).items())
        made.watch = watch
        return made

    return wrap(document)


class _Pattern(FilterFunction):
    """`match()` or `search()`, its expression checked when the path is read."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    @property
    def arg_types(self) -> list[ExpressionType]:
        """A text and an expression."""
        return [ExpressionType.VALUE, ExpressionType.VALUE]

    @property
    def return_type(self) -> ExpressionType:
        """Yes or no."""
        return ExpressionType.LOGICAL

    def __call__(self, text: object, pattern: str) -> bool:
        """Whether the expression matches all of the text, or is found in it."""
        return isinstance(text, str) and find(_compiled(pattern), text, whole=self._whole)


def _compiled(pattern: str) -> regex.Pattern[str]:
    # The library keeps what it compiled, so that this costs a look-up.
    return compile_pattern(_translated(pattern))


def _translated(pattern: str) -> str:
    """An I-Regexp (RFC 9485) as `regex` has it: a dot is no line end, ^ and $ are ordinary characters."""
    parts: list[str] = []
    escaped = in_class = False
    for char in pattern:
        plain = not escaped and not in_class
        parts.append(_PLAIN.get(char, char) if plain else char)
        in_class = not escaped and (char == "[" or (in_class and char != "]"))
        escaped = not escaped and char == "\\"
    return "".join(parts)


_PLAIN = {".": r"[^\n\r]", "$": r"\$", "^": r"\^"}


class _Environment(JSONPathEnvironment):
    """The library's, but for its patterns."""

    def setup_function_extensions(self) -> None:
        """The standard functions, two of them our own."""
        super().setup_function_extensions()
        self.function_extensions["match"] = _Pattern(whole=True)
        self.function_extensions["search"] = _Pattern(whole=False)

    def check_well_typedness(self, token: Token, func: FilterFunction, args: list[Any]) -> None:
        """The library's own check, and that a pattern is written out and good."""
        super().check_well_typedness(token, func, args)
        if isinstance(func, _Pattern):
            if not isinstance(args[1], StringLiteral):
                raise ConfigurationError(
                    f"{token.value}() takes its pattern as a text in quotes, not from the document"
                )
            _compiled(args[1].value)


_ENVIRONMENT = _Environment()
