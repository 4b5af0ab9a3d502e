"""JSONPath (RFC 9535) with an end to it: the library jsonpath-rfc9535, its two holes closed.

Its `match()` and `search()` run a regular expression for as long as it takes, and take the expression from the
request's own body, if a path says so; here the expression stands in the path, is checked when the matcher is made, and
shares the time of all patterns. And a path of a few characters visits any number of nodes (`$..[?@..[?@..*]]`,
`$[0,0,0,0][0,0,0,0]`); here the document's lists and objects look at the clock whenever one of them is visited.

Imported with the first path: the library takes its time, and most servers have none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, SupportsIndex, cast

import regex
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery
from jsonpath_rfc9535.filter_expressions import StringLiteral
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction
from jsonpath_rfc9535.tokens import Token

from mockserver.matching.comparing import too_deep
from mockserver.matching.patterns import compile_pattern, find
from rest_api_client.exceptions import ConfigurationError


class Query:
    """A path, ready to be asked.

    Raises:
        ConfigurationError: it is malformed, or has a pattern that is refused.
    """

    def __init__(self, path: str) -> None:
        try:
            self._query: JSONPathQuery = _ENVIRONMENT.compile(path)
        except (JSONPathError, ConfigurationError, RecursionError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"JsonPath({path!r}): {error}") from error

    def found(self, document: Any, left: float) -> Iterator[Any]:
        """The values it finds, in so many seconds of the processor.

        Raises:
            TimeoutError: the time is over, or the document is too deep.
        """
        try:
            if not self._query.singular_query():
                if too_deep(document):
                    raise TimeoutError
                document = _watched(document, time.thread_time() + left)
            for node in self._query.finditer(document):
                yield node.value
        except JSONPathError as error:  # it found the document too deep
            raise TimeoutError from error


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
