"""What has changed between two recordings of the same thing, for people."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from typing import Any

from cassettes.explain import json_diff, label, shown
from cassettes.interaction import Interaction
from cassettes.matching import DEFAULT_MATCHING
from cassettes.messages import decoded

_SHOWN = 40
_VOLATILE = frozenset({"date", "age", "expires", "x-request-id", "cf-ray", "etag", "last-modified", "x-runtime"})
"""Fields of an answer that differ each time and say nothing about the service."""


def compared(old: Sequence[Interaction], new: Sequence[Interaction], name: str = "cassette") -> str:
    """The differences, or "" where there are none: requests that came or went, answers by field and JSON path."""
    lines = list(_lines(old, new))
    if not lines:
        return ""
    more = [f"  ... and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    return "\n".join([f"{name}: {len(old)} recorded before, {len(new)} now", *lines[:_SHOWN], *more, ""])


def _lines(old: Sequence[Interaction], new: Sequence[Interaction]) -> Iterator[str]:
    before: dict[Any, list[Interaction]] = defaultdict(list)
    for each in old:
        before[DEFAULT_MATCHING.key(each.asked, loose=True)].append(each)
    for each in new:
        was = before[DEFAULT_MATCHING.key(each.asked, loose=True)]
        if not was:
            yield f"+ {each.label}"
            continue
        changes = list(_changes(was.pop(0), each))
        if changes:
            yield f"~ {label(each.asked)}"
            yield from (f"    {change}" for change in changes)
    for left in before.values():
        yield from (f"- {each.label}" for each in left)


def _changes(old: Interaction, new: Interaction) -> Iterator[str]:
    if old.outcome != new.outcome:
        yield f"outcome: {old.outcome} -> {new.outcome}"
    was, now = _fields(old), _fields(new)
    for name in sorted({*was, *now} - _VOLATILE):
        if was.get(name) != now.get(name):
            yield f"header {name}: {shown(was.get(name))} -> {shown(now.get(name))}"
    if old.body != new.body:
        yield from _bodies(_content(old), _content(new))


def _fields(each: Interaction) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in each.head.headers if each.head is not None else ():
        found[name.lower()].append(value)
    return dict(found)


def _content(each: Interaction) -> bytes:
    fields = tuple((n.lower(), v) for n, v in each.head.headers) if each.head is not None else ()
    plain = decoded(fields, each.body)
    return each.body if plain is None else plain


def _bodies(old: bytes, new: bytes) -> Iterator[str]:
    try:
        yield from (f"body {line}" for line in json_diff(json.loads(old), json.loads(new)))
        return
    except (ValueError, RecursionError):
        pass
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        yield f"body: {len(old)} bytes -> {len(new)} bytes"
        return
    yield from (line[:160] for line in unified_diff(before, after, "before", "now", n=1, lineterm=""))
