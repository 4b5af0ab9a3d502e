"""Matchers of the parts of a request before its body: method, path, query, header fields, cookies; and form fields.

    Method("GET") & Path("/users/{id}") & Header("accept", Contains("json")) & Query("page", Absent())

A path template is compared segment by segment; `{name}` takes one segment, or what is left of it between fixed ends
(`/files/{name}.json`), and is never empty. Paths are compared percent-decoded, as `Seen` has them.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl

from mockserver.matching.matcher import Matcher, Mismatch, shown
from mockserver.matching.patterns import compile_pattern, find, patience
from mockserver.matching.values import Value, value_of
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import MASK, is_secret_name

if TYPE_CHECKING:
    import regex

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CAPTURE = re.compile(r"([^{}]*)\{([A-Za-z_]\w*)\}([^{}]*)", re.ASCII)
_MOST_FORM_FIELDS = 1_000
_LONGEST_FORM = 1 << 20

Segment: TypeAlias = str | tuple[str, str, str]
"""A fixed text, or (before, name, after) of one that captures."""


@dataclass(frozen=True, slots=True, init=False)
class Method(Matcher):
    """One of these methods; methods are case-sensitive (RFC 9110, section 9.1), and registered ones are upper-case."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        if not names or not all(isinstance(name, str) and _TOKEN.fullmatch(name) for name in names):
            raise ConfigurationError(f"Method{names!r}: give one method or more, such as 'GET'")
        object.__setattr__(self, "names", tuple(name.upper() for name in names))

    def __call__(self, seen: Seen) -> bool:
        """Whether it is one of them."""
        return seen.method in self.names

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """The method, if it is another."""
        return [] if self(seen) else [Mismatch("method", " or ".join(self.names), seen.method)]

    def __str__(self) -> str:
        return " or ".join(self.names)


@dataclass(frozen=True, slots=True)
class Path(Matcher):
    """The path, as a template such as `/users/{id}`; with `exact` braces are ordinary characters.

    Raises:
        ConfigurationError: the template does not begin with "/", names a place twice, or has stray braces.
    """

    template: str
    exact: bool = False
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.template, str) or not self.template.startswith("/"):
            raise ConfigurationError(f"Path({self.template!r}): a path begins with '/'")
        if not self.exact and ("?" in self.template or "#" in self.template):
            raise ConfigurationError(f"Path({self.template!r}): a path has no query; match it with Query(name, value)")
        parts = self.template.split("/")[1:]
        segments = tuple(parts) if self.exact else tuple(self._segment(part) for part in parts)
        names = [segment[1] for segment in segments if isinstance(segment, tuple)]
        if len(names) != len(set(names)):
            raise ConfigurationError(f"Path({self.template!r}): a name occurs twice")
        object.__setattr__(self, "segments", segments)

    def _segment(self, part: str) -> Segment:
        if "{" not in part and "}" not in part:
            return part
        found = _CAPTURE.fullmatch(part)
        if found is None:
            raise ConfigurationError(
                f"Path({self.template!r}): {part!r} should hold one {{name}}; exact=True takes braces as they are"
            )
        return (found[1], found[2], found[3])

    def __call__(self, seen: Seen) -> bool:
        """Whether all segments fit."""
        path = seen.path
        if path == self.template:
            return self.exact or "{" not in path or self._fits(path)
        return not self.exact and self._fits(path)

    def _fits(self, path: str) -> bool:
        if path[:1] != "/":
            return False
        parts = path[1:].split("/")
        return len(parts) == len(self.segments) and all(map(_fits, self.segments, parts))

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """The path, if it is another."""
        return [] if self(seen) else [Mismatch("path", self.template, shown(seen.path))]

    def captures(self, seen: Seen) -> Mapping[str, str]:
        """What stands in the named places."""
        if self.exact or not self(seen):
            return {}
        pairs = zip(self.segments, seen.path[1:].split("/"), strict=True)
        return {
            each[1]: part[len(each[0]) : len(part) - len(each[2])] for each, part in pairs if isinstance(each, tuple)
        }

    def places(self) -> frozenset[str]:
        """The names in the template."""
        return frozenset(each[1] for each in self.segments if isinstance(each, tuple))

    def nearness(self, seen: Seen) -> float:
        """The share of segments that fit, and of characters that are alike at the beginning."""
        if self(seen):
            return 1.0
        parts = seen.path[1:].split("/")
        alike = sum(map(_fits, self.segments, parts)) / max(len(parts), len(self.segments))
        begun = _alike(self.template, seen.path) / max(len(self.template), len(seen.path))
        return (alike + begun) / 2.01

    def __str__(self) -> str:
        return self.template


def _alike(one: str, other: str) -> int:
    """How many characters are the same from the beginning."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(map(len, (one, other)))
    )


def _fits(segment: Segment, part: str) -> bool:
    if isinstance(segment, str):
        return segment == part
    before, _, after = segment
    return len(part) > len(before) + len(after) and part.startswith(before) and part.endswith(after)


@dataclass(frozen=True, slots=True)
class PathRegex(Matcher):
    """The whole path matches a regular expression; its limits are those of `Regex`."""

    pattern: str
    _compiled: regex.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", compile_pattern(self.pattern))

    def __call__(self, seen: Seen) -> bool:
        """Whether the pattern matches all of the path, in time."""
        try:
            return find(self._compiled, seen.path, whole=True)
        except TimeoutError:
            return False

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """The path, if it does not match."""
        return [] if self(seen) else [Mismatch("path", f"matching {self.pattern!r}", shown(seen.path))]

    def __str__(self) -> str:
        return f"path matching {self.pattern!r}"

    def __reduce__(self) -> tuple[type[PathRegex], tuple[str]]:
        return (PathRegex, (self.pattern,))


@dataclass(frozen=True, slots=True, init=False)
class Named(Matcher):
    """What the matchers of named values have in common: a name, and what its value must be like."""

    name: str
    value: Value

    def __init__(self, name: str, value: Value | str | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{type(self).__name__}({name!r}): give a name")
        object.__setattr__(self, "name", self._normal(name))
        object.__setattr__(self, "value", value_of(value))

    def _normal(self, name: str) -> str:
        return name

    @abstractmethod
    def texts(self, seen: Seen) -> Sequence[str]:
        """The values that the name has in the request."""

    def __call__(self, seen: Seen) -> bool:
        """Whether one of the name's values is as wanted."""
        return self.value.fits_one(self.texts(seen))

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """The name, if its values are others; those of secrets are masked."""
        with patience:
            if self(seen):
                return []
            texts = self.texts(seen)
            remark = self.value.remark(texts)
        hidden = is_secret_name(self.name)
        got = ", ".join(MASK if hidden else shown(text) for text in texts) or "nothing"
        return [Mismatch(self._field(), MASK if hidden else str(self.value), f"{got} ({remark})" if remark else got)]

    def _field(self) -> str:
        return f"{type(self).__name__.lower()} {self.name}"

    def __str__(self) -> str:
        return f"{self._field()} {MASK if is_secret_name(self.name) else self.value}"


@dataclass(frozen=True, slots=True, init=False)
class Query(Named):
    """A query parameter, decoded. `Query("page")`: present; `Query("page", Absent())`: not."""

    def texts(self, seen: Seen) -> Sequence[str]:
        """The parameter's values."""
        return seen.params.get(self.name, ())


@dataclass(frozen=True, slots=True, init=False)
class Header(Named):
    """A header field, by its name in any case: one of its values, or all of them joined by ", "."""

    def _normal(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"Header({name!r}): no name of a header field")
        return name.lower()

    def texts(self, seen: Seen) -> Sequence[str]:
        """The field's values."""
        values = seen.headers.get(self.name, ())
        return values if len(values) < 2 else (*values, ", ".join(values))


@dataclass(frozen=True, slots=True, init=False)
class Cookie(Named):
    """A cookie of the request."""

    def texts(self, seen: Seen) -> Sequence[str]:
        """The cookie's value."""
        value = seen.cookies.get(self.name)
        return () if value is None else (value,)


@dataclass(frozen=True, slots=True, init=False)
class Form(Named):
    """A field of a form in the body, URL-encoded: at most 1 MiB and 1,000 fields."""

    def texts(self, seen: Seen) -> Sequence[str]:
        """The field's values; none where the body is no such form."""
        kind = seen.header("content-type")
        if len(seen.body) > _LONGEST_FORM or (
            kind is not None and not kind.lower().startswith("application/x-www-form-urlencoded")
        ):
            return ()
        try:
            body = seen.body.decode("utf-8", "replace")
            pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FORM_FIELDS)
        except ValueError:
            return ()
        return [value for name, value in pairs if name == self.name]
