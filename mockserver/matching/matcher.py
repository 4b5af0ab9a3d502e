"""Conditions on a request, and how they are joined.

A matcher is a value: frozen, comparable, made once and asked often. `matcher(seen)` says yes or no and never raises;
`matcher.mismatches(seen)` says what was wanted and what came instead, and is asked only when a request found no stub.
`&`, `|` and `~` join matchers. An `And` within an `And` is taken apart, so that its parts can be counted: how many of
them a request meets tells how near a miss was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from mockserver.matching.patterns import patience
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

_NOTHING: Mapping[str, str] = {}
_LONGEST_SHOWN = 200


class Mismatch(NamedTuple):
    """One line of an explanation."""

    field: str
    wanted: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted}, got {self.got}"


class Matcher(ABC):
    """A condition on a request. Extend it for conditions of your own; make the class a frozen dataclass."""

    @abstractmethod
    def __call__(self, seen: Seen) -> bool:
        """Whether the request meets it. Never raises."""

    @abstractmethod
    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """What is wrong with the request, field by field; empty where it matches."""

    def captures(self, seen: Seen) -> Mapping[str, str]:
        """What the request's path has in the places that a template names, if it matches."""
        return _NOTHING

    def places(self) -> frozenset[str] | None:
        """The names that captures may have; None where nobody knows."""
        return frozenset() if type(self).captures is Matcher.captures else None

    def matched(self, seen: Seen) -> tuple[int, int]:
        """How many parts the request meets, of how many."""
        return int(self(seen)), 1

    def nearness(self, seen: Seen) -> float:
        """How near the request came, to rank misses that meet as many parts; from 0 to 1 for each part."""
        return float(self(seen))

    def __and__(self, other: Matcher) -> And:
        return And(self, other)

    def __or__(self, other: Matcher) -> Or:
        return Or(self, other)

    def __invert__(self) -> Matcher:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Anything(Matcher):
    """Every request."""

    def __call__(self, seen: Seen) -> bool:
        """True."""
        return True

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """None."""
        return []

    def __str__(self) -> str:
        return "anything"


@dataclass(frozen=True, slots=True, init=False)
class And(Matcher):
    """All of them."""

    parts: tuple[Matcher, ...]

    def __init__(self, *parts: Matcher) -> None:
        object.__setattr__(self, "parts", _flat(And, parts))

    def __call__(self, seen: Seen) -> bool:
        """Whether all parts match."""
        with patience:
            return all(part(seen) for part in self.parts)

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """Those of all parts."""
        with patience:
            return [line for part in self.parts for line in part.mismatches(seen)]

    def captures(self, seen: Seen) -> Mapping[str, str]:
        """Those of all parts together."""
        return {name: text for part in self.parts for name, text in part.captures(seen).items()}

    def places(self) -> frozenset[str] | None:
        """Those of all parts together."""
        return _together(self.parts)

    def matched(self, seen: Seen) -> tuple[int, int]:
        """The parts' own counts, added up."""
        with patience:
            counts = [part.matched(seen) for part in self.parts]
            return sum(met for met, _ in counts), sum(parts for _, parts in counts)

    def nearness(self, seen: Seen) -> float:
        """The parts' own, added up."""
        with patience:
            return sum(part.nearness(seen) for part in self.parts)

    def __str__(self) -> str:
        return " and ".join(map(_bracketed, self.parts))


@dataclass(frozen=True, slots=True, init=False)
class Or(Matcher):
    """One of them, or more."""

    parts: tuple[Matcher, ...]

    def __init__(self, *parts: Matcher) -> None:
        object.__setattr__(self, "parts", _flat(Or, parts))

    def __call__(self, seen: Seen) -> bool:
        """Whether one part matches."""
        with patience:
            return any(part(seen) for part in self.parts)

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """Those of every part, numbered, if none matches."""
        with patience:
            if self(seen):
                return []
            return [
                Mismatch(f"either {number}, {line.field}", line.wanted, line.got)
                for number, part in enumerate(self.parts, 1)
                for line in part.mismatches(seen)
            ]

    def captures(self, seen: Seen) -> Mapping[str, str]:
        """Those of the first part that matches."""
        with patience:
            return next((part.captures(seen) for part in self.parts if part(seen)), _NOTHING)

    def places(self) -> frozenset[str] | None:
        """Those of all parts together."""
        return _together(self.parts)

    def nearness(self, seen: Seen) -> float:
        """That of the nearest part, as a share of its own parts."""
        with patience:
            return max(part.nearness(seen) / part.matched(seen)[1] for part in self.parts)

    def __str__(self) -> str:
        return " or ".join(map(_bracketed, self.parts))


@dataclass(frozen=True, slots=True)
class Not(Matcher):
    """Anything but it. A pattern that was given up counts as no match, so its opposite matches."""

    part: Matcher

    def __post_init__(self) -> None:
        _check(Not, (self.part,))

    def __call__(self, seen: Seen) -> bool:
        """Whether the part does not match."""
        return not self.part(seen)

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """One line, if the part matches."""
        return [] if self(seen) else [Mismatch("not", f"anything but {self.part}", "just that")]

    def __invert__(self) -> Matcher:
        return self.part

    def __str__(self) -> str:
        return f"not {_bracketed(self.part)}"


def shown(got: object) -> str:
    """A value from a request, on one line, and not too long."""
    return repr(clipped(got)) if isinstance(got, str) else clipped(repr(got))


def clipped(text: str) -> str:
    """The beginning of a text that may be long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _bracketed(part: Matcher) -> str:
    return f"({part})" if isinstance(part, And | Or) else str(part)


_Joined = TypeVar("_Joined", And, Or)


def _together(parts: tuple[Matcher, ...]) -> frozenset[str] | None:
    places = [part.places() for part in parts]
    return None if None in places else frozenset[str]().union(*(each for each in places if each))


def _flat(kind: type[_Joined], parts: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    _check(kind, parts)
    if not parts:
        raise ConfigurationError(f"{kind.__name__}(): give one matcher or more")
    return tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))


def _check(kind: type[Matcher], parts: tuple[object, ...]) -> None:
    for part in parts:
        if not isinstance(part, Matcher):
            raise ConfigurationError(
                f"{kind.__name__}(...): {part!r} is no matcher; give Method, Path, Header or the like"
            )
