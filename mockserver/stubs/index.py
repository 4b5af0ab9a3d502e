"""Which stubs a request may be for: a tree of literal path segments, then the method.

A matcher tells the index something where it holds a `Path` or a `Method`, alone, in an `And`, or in every branch of an
`Or`; all others are candidates for every request. So a thousand stubs for a thousand paths cost a request no more than
one. What was found is remembered by method and path. Most matchers are about nothing else, and where all that may
answer are like that, they are asked once and need not be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from mockserver.matching.fields import Method, Path, Segment
from mockserver.matching.matcher import And, Anything, Matcher, Not, Or
from mockserver.seen import Seen


class Ranked(Protocol):
    """What is indexed."""

    @property
    def when(self) -> Matcher:
        """Its condition."""
        ...

    @property
    def rank(self) -> tuple[int, int]:
        """Smaller is asked first; no two are equal."""
        ...


_T = TypeVar("_T", bound=Ranked)
_RANK = attrgetter("rank")

_MOST_KNOWN: Final = 1024
_LONGEST_KNOWN: Final = 256
"""Paths, and characters of one, that are remembered."""


class Candidates(NamedTuple, Generic[_T]):
    """What may be for a request.

    Attributes:
        items: in the order to ask.
        sure: they all match; nothing has to be asked.
    """

    items: Sequence[_T]
    sure: bool


class _Node(Generic[_T]):
    """One segment deep in the tree."""

    __slots__ = ("capturing", "fixed", "here")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node[_T]] = {}
        self.capturing: _Node[_T] | None = None
        self.here: dict[str | None, list[_T]] = {}

    def child(self, segment: Segment) -> _Node[_T]:
        if isinstance(segment, str):
            return self.fixed.setdefault(segment, _Node())
        if self.capturing is None:
            self.capturing = _Node()
        return self.capturing

    def add(self, item: _T) -> None:
        for method in methods(item.when) or (None,):
            self.here.setdefault(method, []).append(item)


class Index(Generic[_T]):
    """Never changed once made, but for what it remembers: it is read without a lock."""

    def __init__(self, items: Iterable[_T]) -> None:
        self._root: _Node[_T] = _Node()
        self._anywhere: _Node[_T] = _Node()
        self._known: dict[tuple[str, str], Candidates[_T]] = {}
        for item in items:
            for node in self._nodes(item.when):
                node.add(item)

    def _nodes(self, when: Matcher) -> Sequence[_Node[_T]]:
        found = paths(when)
        if found is None:
            return (self._anywhere,)
        nodes: list[_Node[_T]] = []
        for path in found:
            node = self._root
            for segment in path.segments:
                node = node.child(segment)
            if node not in nodes:
                nodes.append(node)
        return nodes

    def candidates(self, seen: Seen) -> Candidates[_T]:
        """What may be for the request."""
        place = (seen.method, seen.path)
        known = self._known.get(place)
        if known is None:
            known = _sifted(self._found(seen), seen)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            if len(seen.path) <= _LONGEST_KNOWN:
                self._known[place] = known
        return known

    def _found(self, seen: Seen) -> Sequence[_T]:
        nodes = [self._root] if seen.path[:1] == "/" else []
        for part in seen.path[1:].split("/"):
            nodes = [child for node in nodes for child in (node.fixed.get(part), node.capturing) if child is not None]
        found: list[_T] = []
        for node in (*nodes, self._anywhere):
            found += node.here.get(seen.method, ())
            found += node.here.get(None, ())
        if len(found) > 1:
            found.sort(key=_RANK)
        return found


def _sifted(found: Sequence[_T], seen: Seen) -> Candidates[_T]:
    placed = [_placed(item.when) for item in found]
    items = tuple(item for item, sure in zip(found, placed, strict=True) if not sure or item.when(seen))
    return Candidates(items, all(_placed(item.when) for item in items))


def _placed(when: Matcher) -> bool:
    """Whether it asks for nothing but method and path, so that its answer holds for all requests that share them."""
    if isinstance(when, And | Or):
        return all(map(_placed, when.parts))
    if isinstance(when, Not):
        return _placed(when.part)
    return type(when) in (Method, Path, Anything)


def paths(when: Matcher) -> Sequence[Path] | None:
    """The paths one of which a request must have; None where that cannot be told."""
    if isinstance(when, Path):
        return (when,)
    if isinstance(when, And):
        return next((found for found in map(paths, when.parts) if found is not None), None)
    if isinstance(when, Or):
        return _all([paths(part) for part in when.parts])
    return None


def methods(when: Matcher) -> Sequence[str] | None:
    """The methods one of which a request must have; None where that cannot be told."""
    if isinstance(when, Method):
        return tuple(dict.fromkeys(when.names))
    if isinstance(when, And):
        return next((found for found in map(methods, when.parts) if found is not None), None)
    if isinstance(when, Or):
        found = _all([methods(part) for part in when.parts])
        return None if found is None else tuple(dict.fromkeys(found))
    return None


_Found = TypeVar("_Found")


def _all(branches: Sequence[Sequence[_Found] | None]) -> Sequence[_Found] | None:
    found: list[_Found] = []
    for branch in branches:
        if branch is None:
            return None
        found += branch
    return found
