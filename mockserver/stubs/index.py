"""Which stubs a request may be for: a tree of literal path segments, then the method.

The index only rules out: what it gives is asked again. A matcher tells it something where it holds a `Path` or a
`Method`, alone, in an `And`, or in every branch of an `Or`; all others are candidates for every request. So a thousand
stubs for a thousand paths cost a request no more than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from mockserver.matching.fields import Method, Path, Segment
from mockserver.matching.matcher import And, Matcher, Or
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
    """Immutable once made, so that it is read without a lock."""

    def __init__(self, items: Iterable[_T]) -> None:
        self._root: _Node[_T] = _Node()
        self._anywhere: _Node[_T] = _Node()
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

    def candidates(self, seen: Seen) -> Sequence[_T]:
        """What may be for the request, in the order to ask."""
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
