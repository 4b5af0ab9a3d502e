"""YAML as cassettes need it: read from the parser's events, written through libyaml's emitter.

A general loader spends nine tenths of its time on nodes, resolvers and constructors that a cassette has no use for.
Here one loop over the events builds dicts, lists, text, bytes and whole numbers, and nothing else: no tag names a
Python object. Of the tags that old releases of vcrpy wrote, the five that stand for text, tuples, buffers and
iterators are read as the plain values they hold; every other one is refused. Depth and the number of nodes are counted
on the way, aliases with all that they stand for, so that a small file cannot grow large.

What is written has vcrpy's exact form: keys sorted, blocks only, ASCII with escapes, folded at 80 columns.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

import yaml

from cassettes.errors import CassetteError
from cassettes.limits import DEFAULT_LIMITS, Limits

FAST: bool = yaml.__with_libyaml__
"""Whether libyaml is there; without it everything works, several times slower."""

_PARSER: Any = import_module("yaml.cyaml").CParser if FAST else yaml.SafeLoader
_EMITTER: Any = import_module("yaml.cyaml").CEmitter if FAST else yaml.emitter.Emitter
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({f"{_TAG}str", f"{_TAG}python/str", f"{_TAG}python/unicode", "!"})
_LIST_TAGS = frozenset({f"{_TAG}seq", f"{_TAG}python/tuple"})
_BUFFER = f"{_TAG}python/object/new:_io.BytesIO"
_ITERATOR = f"{_TAG}python/object/apply:builtins.iter"
_MAP_TAGS = frozenset({f"{_TAG}map", _BUFFER, _ITERATOR})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS = {"true": True, "false": False, "True": True, "False": False}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(\.[0-9]{1,16})?")


def load(text: str, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The document as plain values; None where there is none.

    Raises:
        CassetteError: no YAML, more than one document, a tag that is not allowed, or beyond the limits.
    """
    try:
        return _Reader(text, limits).document()
    except yaml.YAMLError as error:
        raise CassetteError(f"the cassette is no YAML that can be read: {_first_line(error)}") from error
    except (binascii.Error, ValueError) as error:
        if isinstance(error, CassetteError):
            raise
        raise CassetteError(f"the cassette has a value that cannot be read: {error}") from error


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or str(error).partition(chr(10))[0]}{where}"


class _Reader:
    """One document, event by event."""

    def __init__(self, text: str, limits: Limits) -> None:
        self._parser = _PARSER(text)
        self._limits = limits
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def document(self) -> Any:
        next_event = self._parser.get_event
        next_event()  # the stream begins
        if type(next_event()) is yaml.StreamEndEvent:
            return None
        found = self._node(next_event(), 0)
        next_event()  # the document ends
        if type(next_event()) is not yaml.StreamEndEvent:
            raise CassetteError("a cassette is one YAML document; the file has several")
        return found

    def _node(self, event: Any, depth: int) -> Any:
        kind = type(event)
        self._nodes += 1
        if kind is yaml.ScalarEvent:
            value = _scalar(event)
        elif kind is yaml.AliasEvent:
            return self._alias(event.anchor)
        else:
            self._limits.check_tree(0, depth + 1)
            return self._collection(event, kind, depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        return value

    def _collection(self, event: Any, kind: Any, depth: int) -> Any:
        before = self._nodes
        value = self._mapping(event.tag, depth) if kind is yaml.MappingStartEvent else self._list(event.tag, depth)
        self._limits.check_tree(self._nodes, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._nodes - before + 1)
        return value

    def _alias(self, anchor: str) -> Any:
        if anchor not in self._anchors:
            raise CassetteError(f"*{anchor} stands before, or inside, what it refers to")
        value, size = self._anchors[anchor]
        self._nodes += size
        return value

    def _list(self, tag: str | None, depth: int) -> list[Any]:
        if tag is not None and tag not in _LIST_TAGS:
            raise _forbidden(tag)
        found: list[Any] = []
        next_event = self._parser.get_event
        while type(event := next_event()) is not yaml.SequenceEndEvent:
            found.append(self._node(event, depth))
        return found

    def _mapping(self, tag: str | None, depth: int) -> Any:
        if tag is not None and tag not in _MAP_TAGS:
            raise _forbidden(tag)
        found: dict[Any, Any] = {}
        next_event = self._parser.get_event
        scalar = yaml.ScalarEvent
        while type(event := next_event()) is not yaml.MappingEndEvent:
            if type(event) is not scalar:
                raise CassetteError("a key of the cassette is no text")
            self._nodes += 1
            key = event.value
            value = next_event()
            if type(value) is scalar and value.anchor is None:
                self._nodes += 1
                found[key] = _scalar(value)
            else:
                found[key] = self._node(value, depth)
        return found if tag is None or tag == f"{_TAG}map" else _unwrapped(tag, found)


def _scalar(event: Any) -> Any:
    text, tag = event.value, event.tag
    if tag is not None:
        return _tagged(tag, text)
    if not event.implicit[0]:  # quoted, or a block
        return text
    return _plain(text)


@lru_cache(maxsize=4096)
def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return float(text) if number[1] else int(text)


def _tagged(tag: str, text: str) -> Any:
    if tag == f"{_TAG}binary":
        return base64.b64decode("".join(text.split()), validate=True)
    if tag in _TEXT_TAGS:
        return text
    if tag in {f"{_TAG}int", f"{_TAG}float", f"{_TAG}null", f"{_TAG}bool"}:
        return _plain(text)
    raise _forbidden(tag)


def _forbidden(tag: str) -> CassetteError:
    shown = tag.removeprefix(_TAG)[:80]
    return CassetteError(
        f"the cassette has the tag {shown!r}, which could run code and is never loaded: delete it and record again"
    )


def _unwrapped(tag: str, found: dict[Any, Any]) -> Any:
    """What an old release of vcrpy kept as a pickled buffer, or as the pickled iterator of a body: its bytes."""
    pieces = found.get("state" if tag == _BUFFER else "args") or [b""]
    first = pieces[0] if isinstance(pieces, list) and pieces else b""
    if tag == _BUFFER:
        return first if isinstance(first, bytes | str) else b""
    listed = first if isinstance(first, list) else [first]
    return b"".join(each if isinstance(each, bytes) else str(each).encode() for each in listed)


# ---------------------------------------------------------------------- writing


def dump(tree: Any, limits: Limits = DEFAULT_LIMITS) -> str:
    """The document in vcrpy's form.

    Raises:
        CassetteError: beyond the limits, so that it could not be read again.
    """
    nodes, depth = _measured(tree)
    limits.check_tree(nodes, depth)
    out = io.StringIO()
    emitter = _EMITTER(out)
    emit = emitter.emit
    emit(yaml.StreamStartEvent(encoding="utf-8") if not FAST else yaml.StreamStartEvent())
    emit(yaml.DocumentStartEvent(explicit=False))
    _emit(tree, emit)
    emit(yaml.DocumentEndEvent(explicit=False))
    emit(yaml.StreamEndEvent())
    return out.getvalue()


def _measured(node: Any) -> tuple[int, int]:
    """How many values a tree has, counted as they are when it is read, and how deep it is."""
    if not isinstance(node, dict | list):
        return 1, 0
    below: list[Any] = list(node.values()) if isinstance(node, dict) else node
    found = [_measured(each) for each in below]
    keys = len(node) if isinstance(node, dict) else 0
    return 1 + keys + sum([nodes for nodes, _ in found]), 1 + max([depth for _, depth in found], default=0)


_MAP = yaml.MappingStartEvent(None, f"{_TAG}map", True, flow_style=False)
_MAP_END = yaml.MappingEndEvent()
_SEQ = yaml.SequenceStartEvent(None, f"{_TAG}seq", True, flow_style=False)
_SEQ_END = yaml.SequenceEndEvent()


def _emit(node: Any, emit: Callable[[Any], None]) -> None:
    if isinstance(node, str):
        emit(_text_event(node) if len(node) <= _SHORT else _fresh_text_event(node))
    elif isinstance(node, dict):
        emit(_MAP)
        for key in sorted(node):
            emit(_text_event(key))
            _emit(node[key], emit)
        emit(_MAP_END)
    elif isinstance(node, list):
        emit(_SEQ)
        for each in node:
            _emit(each, emit)
        emit(_SEQ_END)
    else:
        emit(_other_event(node))


_SHORT = 256


def _fresh_text_event(text: str) -> Any:
    plain = yaml.resolver.Resolver.yaml_implicit_resolvers
    resolves = any(pattern.match(text) for _, pattern in (*plain.get(text[:1], ()), *plain.get(None, ())))
    return yaml.ScalarEvent(None, f"{_TAG}str", (not resolves, True), text)


_text_event = lru_cache(maxsize=8192)(_fresh_text_event)


def _other_event(value: object) -> Any:
    if isinstance(value, bytes):
        text = base64.encodebytes(value).decode("ascii")
        return yaml.ScalarEvent(None, f"{_TAG}binary", (False, False), text, style="|")
    tag, text = _spelled(value)
    return yaml.ScalarEvent(None, tag, (True, False), text)


def _spelled(value: object) -> tuple[str, str]:
    if value is None:
        return f"{_TAG}null", "null"
    if isinstance(value, bool):
        return f"{_TAG}bool", "true" if value else "false"
    if isinstance(value, int):
        return f"{_TAG}int", str(value)
    if isinstance(value, float):
        return f"{_TAG}float", repr(value)
    raise CassetteError(f"a cassette holds text, bytes and numbers, not {type(value).__name__}")
