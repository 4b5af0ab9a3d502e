"""Which recording answers a request: what is compared, as small values.

A matcher turns a request into something to compare, its key; and it says in words how two requests differ. Recordings
are looked up by the keys of all matchers at once. By default method, scheme, host, port, path and query are compared,
as vcrpy does; a body only where it is asked for: as JSON, as a form or as bytes, whichever its content type says.

Secrets are no part of a key: under the name of a credential anything matches, so that a test may run with another token
than the recording did. Where a name is ambiguous (`key`, `code`), what does not look like a secret is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import field
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import parse_qsl

from cassettes.errors import CassetteError
from cassettes.interaction import Asked
from cassettes.messages import decoded
from cassettes.redaction import PLACEHOLDER, WILD, is_secret, masked_text
from rest_api_client.lazy_dataclasses import dataclass

OwnMatcher: TypeAlias = Callable[[Asked, Asked], bool | str | None]
"""(the request, a recorded one) -> False, or words, where they differ."""

_URI = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::([0-9]*))?([^?#]*)(?:\?([^#]*))?"
)
_PORTS = {"http": "80", "https": "443"}
_JSON_TYPES = re.compile(r"[^;]*[/+]json\b", re.IGNORECASE)


class Matcher(Protocol):
    """One thing that is compared."""

    @property
    def name(self) -> str:
        """What it compares, for messages."""
        ...

    def key(self, asked: Asked, *, loose: bool) -> Hashable:
        """What two requests must have in common; `loose` takes any value under an ambiguous name for a secret."""
        ...

    def shown(self, asked: Asked) -> Any:
        """What a person is shown of it, secrets masked."""
        ...


@lru_cache(maxsize=1024)
def parts(uri: str) -> tuple[str, str, str, str, str]:
    """Scheme, host, port, path and query; the port is the scheme's own where none is given."""
    found = _URI.match(uri)
    if found is None:
        return "", "", "", uri, ""
    scheme = found[1].lower()
    return scheme, found[2].lower(), found[3] or _PORTS.get(scheme, ""), found[4] or "/", found[5] or ""


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    place: int

    def key(self, asked: Asked, *, loose: bool) -> Hashable:
        if self.place < 0:
            return asked.method
        text = parts(asked.uri)[self.place]
        return masked_text(text) if self.name == "path" else text

    def shown(self, asked: Asked) -> Any:
        return self.key(asked, loose=False)


@dataclass(frozen=True, slots=True)
class _Query:
    ignored: frozenset[str] = frozenset()
    name: str = "query"

    def key(self, asked: Asked, *, loose: bool) -> Hashable:
        query = parts(asked.uri)[4]
        if not query:
            return ()
        pairs = sorted(parse_qsl(query, keep_blank_values=True))
        return tuple(
            (name, WILD if is_secret(name, value, loose=loose) else masked_text(value))
            for name, value in pairs
            if name not in self.ignored
        )

    def shown(self, asked: Asked) -> Any:
        return dict(cast("Iterable[tuple[str, str]]", self.key(asked, loose=False)))


@dataclass(frozen=True, slots=True)
class _Header:
    field: str

    @property
    def name(self) -> str:
        return f"header {self.field}"

    def key(self, asked: Asked, *, loose: bool) -> Hashable:
        return tuple(
            WILD if is_secret(name, value, loose=True) else masked_text(value)
            for name, value in asked.headers
            if name == self.field
        )

    def shown(self, asked: Asked) -> Any:
        return list(cast("tuple[str, ...]", self.key(asked, loose=False)))


@dataclass(frozen=True, slots=True)
class _Body:
    name: str = "body"
    ignored: tuple[tuple[str, ...], ...] = ()

    def key(self, asked: Asked, *, loose: bool) -> Hashable:
        value = self._value(asked, loose=loose)
        return value if isinstance(value, Hashable) else json.dumps(value, sort_keys=True)

    def shown(self, asked: Asked) -> Any:
        return self._value(asked, loose=False)

    def _value(self, asked: Asked, *, loose: bool) -> Any:
        kind = asked.header("content-type") or ""
        body = decoded(asked.headers, asked.body) or asked.body
        if self.name == "json" or (self.name == "body" and _JSON_TYPES.match(kind)):
            try:
                return _pruned(_masked(json.loads(body), loose=loose), self.ignored) if body else None
            except (ValueError, RecursionError):
                pass  # not what it says it is: by its bytes
        elif self.name == "form" or (self.name == "body" and "x-www-form-urlencoded" in kind):
            pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
            gone = {path[0] for path in self.ignored if len(path) == 1}
            return tuple(sorted((n, _leaf(n, v, loose=loose)) for n, v in pairs if n not in gone))
        return masked_text(body.decode("latin-1"))


def _masked(value: Any, name: str = "", *, loose: bool) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _masked(each, key, loose=loose) for key, each in items}
    if isinstance(value, list):
        return [_masked(each, name, loose=loose) for each in value]
    if isinstance(value, str):
        return _leaf(name, value, loose=loose)
    if isinstance(value, int | float) and not isinstance(value, bool) and is_secret(name, str(value), loose=loose):
        return WILD
    return value


def _leaf(name: str, value: str, *, loose: bool) -> str:
    return WILD if is_secret(name, value, loose=loose) else masked_text(value)


def _pruned(value: Any, ignored: tuple[tuple[str, ...], ...]) -> Any:
    """The value without what the paths name."""
    here = {path[0] for path in ignored if len(path) == 1}
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {
            key: _pruned(each, _below(ignored, key)) if ignored else each
            for key, each in entries.items()
            if key not in here and "*" not in here
        }
    if isinstance(value, list) and ignored:
        listed = value
        return [
            _pruned(each, _below(ignored, str(place)))
            for place, each in enumerate(listed)
            if str(place) not in here and "*" not in here
        ]
    return value


def _below(ignored: tuple[tuple[str, ...], ...], name: str) -> tuple[tuple[str, ...], ...]:
    return tuple(path[1:] for path in ignored if len(path) > 1 and path[0] in {name, "*"})


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\*|[0-9]+)\]|\['([^']*)'\]")


def parse_path(path: str) -> tuple[str, ...]:
    """A path such as `$.user.tags[*].id`, as its steps.

    Raises:
        CassetteError: not of that form.
    """
    steps: list[str] = []
    place = 1
    while path.startswith("$") and place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            break
        steps.append(next(part for part in found.groups() if part is not None))
        place = found.end()
    if place != len(path) or not steps:
        raise CassetteError(f"ignore={path!r} is no path: write $.name, $.list[0], $.list[*].name or $['odd name']")
    return tuple(steps)


_STANDARD_QUERY = _Query()
DEFAULT_MATCH = ("method", "scheme", "host", "port", "path", "query")
_PARTS = {"method": -1, "scheme": 0, "host": 1, "port": 2, "path": 3}


@dataclass(frozen=True, kw_only=True)
class Matching:
    """What of a request is compared with the recordings.

    Attributes:
        on: names out of method, scheme, host, port, path, query, body (by its content type), json, form, bytes,
            "header NAME"; or functions `(request, recorded) -> False or words where they differ, else True or None`.
        ignore: paths in JSON bodies, or names in forms, that may differ: `$.sent_at`, `$.items[*].id`.
        ignore_query: parameters that may differ.

    Raises:
        CassetteError: an unknown name, or a path that is none.
    """

    on: tuple[str | OwnMatcher, ...] = DEFAULT_MATCH
    ignore: tuple[str, ...] = ()
    ignore_query: tuple[str, ...] = ()
    matchers: tuple[Matcher, ...] = field(init=False, repr=False, compare=False)
    own: tuple[OwnMatcher, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        paths = tuple(parse_path(path if path.startswith("$") else f"$.{path}") for path in self.ignore)
        named = [each for each in self.on if isinstance(each, str)]
        object.__setattr__(self, "own", tuple(each for each in self.on if not isinstance(each, str)))
        object.__setattr__(self, "matchers", tuple(self._matcher(name, paths) for name in named))
        if not self.on:
            raise CassetteError("on=(): with nothing compared every recording answers every request; name something")

    def _matcher(self, name: str, paths: tuple[tuple[str, ...], ...]) -> Matcher:
        if name in _PARTS:
            return _Part(name, _PARTS[name])
        if name == "query":
            return _Query(frozenset(self.ignore_query))
        if name in {"body", "json", "form", "bytes"}:
            return _Body(name, paths)
        if name.startswith("header "):
            return _Header(name.removeprefix("header ").strip().lower())
        known = ", ".join((*DEFAULT_MATCH, "body", "json", "form", "bytes", "'header NAME'"))
        raise CassetteError(f"cannot match on {name!r}: give {known} or a function")

    @cached_property
    def _standard(self) -> bool:
        """Whether nothing but the default is compared: the usual case, and worth its own lines."""
        return self.on == DEFAULT_MATCH and not self.ignore_query

    @cached_property
    def reads_bodies(self) -> bool:
        """Whether a body is compared; an own matcher may look at it."""
        return bool(self.own) or any(isinstance(each, _Body) for each in self.matchers)

    def key(self, asked: Asked, *, loose: bool = False) -> Hashable:
        """What a request has in common with its recording."""
        if self._standard:
            scheme, host, port, path, query = parts(asked.uri)
            pairs = _STANDARD_QUERY.key(asked, loose=loose) if query else ()
            return asked.method, scheme, host, port, masked_text(path), pairs
        return tuple([matcher.key(asked, loose=loose) for matcher in self.matchers])

    def accepts(self, asked: Asked, recorded: Asked) -> bool:
        """Whether the own matchers agree."""
        return not self.own or not any(True for _ in self._refusals(asked, recorded))

    def _refusals(self, asked: Asked, recorded: Asked) -> Iterable[tuple[str, str]]:
        for matcher in self.own:
            verdict = matcher(asked, recorded)
            if verdict is False or isinstance(verdict, str):
                yield getattr(matcher, "__name__", "own matcher"), verdict or "differs"

    def differences(self, asked: Asked, recorded: Asked) -> list[tuple[str, Any, Any]]:
        """(what, as it is asked, as it was recorded) wherever the two differ; secrets masked."""
        found: list[tuple[str, Any, Any]] = [
            (matcher.name, matcher.shown(asked), matcher.shown(recorded))
            for matcher in self.matchers
            if matcher.key(asked, loose=True) != matcher.key(recorded, loose=True)
        ]
        return found + [(name, words, None) for name, words in self._refusals(asked, recorded)]


DEFAULT_MATCHING = Matching()
__all__ = ["DEFAULT_MATCH", "DEFAULT_MATCHING", "PLACEHOLDER", "Matcher", "Matching", "OwnMatcher", "parse_path"]
