"""A miss that explains itself: the nearest recording, where it differs, and what was played before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, cast

from rest_api_client.http.redaction import redact_url

if TYPE_CHECKING:
    from cassettes.cassette import Cassette
    from cassettes.interaction import Asked

_COMPARED = 500
"""Recordings that are looked through for the nearest."""
_SHOWN = 12
_LONGEST = 160


def explain_miss(cassette: Cassette, asked: Asked) -> str:
    """Why nothing answers this request, and what to do."""
    lines = [f"no recording answers {label(asked)} ({len(cassette.interactions)} recorded)"]
    if cassette.strictness == "strict" and len(cassette.played) < len(cassette.interactions):
        due = cassette.interactions[len(cassette.played)]
        lines.append(
            f"it is the turn of recording {len(cassette.played) + 1}, {label(due.asked)} (strictness='strict')"
        )
        lines += _differences(cassette, asked, due.asked)
    else:
        lines += _nearest(cassette, asked)
    lines += _history(cassette)
    lines.append("change the request, or record it: mode='new' adds to the cassette, mode='refresh' makes it anew")
    return "\n  ".join(lines)


def label(asked: Asked) -> str:
    """Method and masked URL."""
    return f"{asked.method} {redact_url(asked.uri)}"


def _nearest(cassette: Cassette, asked: Asked) -> list[str]:
    scored = [
        (len(cassette.matching.differences(asked, each.asked)), -_likeness(asked, each.asked), place)
        for place, each in enumerate(cassette.interactions[:_COMPARED])
    ]
    if not scored:
        return ["the cassette is empty"]
    count, _, place = min(scored)
    recorded = cassette.interactions[place].asked
    if count == 0:
        times = sum(1 for differing, _, _ in scored if differing == 0)
        plural = "recording was" if times == 1 else "recordings were"
        return [f"{times} matching {plural} played already; strictness='last_stays' would repeat the last"]
    return [f"the nearest is recording {place + 1}, {label(recorded)}", *_differences(cassette, asked, recorded)]


def _likeness(asked: Asked, recorded: Asked) -> float:
    return SequenceMatcher(None, asked.uri[:300], recorded.uri[:300], autojunk=False).quick_ratio()


def _differences(cassette: Cassette, asked: Asked, recorded: Asked) -> list[str]:
    lines: list[str] = []
    for name, new, old in cassette.matching.differences(asked, recorded):
        if old is None and isinstance(new, str):
            lines.append(f"  {name}: {shown(new)}")
        elif isinstance(new, dict | list) or isinstance(old, dict | list):
            lines += [f"  {name} {line}" for line in json_diff(old, new)]
        else:
            lines.append(f"  {name}: recorded {shown(old)}, asked {shown(new)}")
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"  ... and {len(lines) - _SHOWN} more differences"]


def _history(cassette: Cassette) -> list[str]:
    played = cassette.played
    if not played:
        return ["nothing was played so far"]
    shown_ones = [each.label for each in played[-5:]]
    return [f"played so far, {len(played)} of {len(cassette.interactions)}: {'; '.join(shown_ones)}"]


def json_diff(old: Any, new: Any, path: str = "$") -> Iterator[str]:
    """How two JSON values differ, by path, one line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for name in sorted({*before, *after}):
            here = f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"
            if name not in before:
                yield f"{here}: not recorded, asked {shown(after[name])}"
            elif name not in after:
                yield f"{here}: recorded {shown(before[name])}, not asked"
            else:
                yield from json_diff(before[name], after[name], here)
    elif isinstance(old, list) and isinstance(new, list):
        was, now = old, new
        for place, (a, b) in enumerate(zip(was, now, strict=False)):
            yield from json_diff(a, b, f"{path}[{place}]")
        if len(was) != len(now):
            yield f"{path}: {len(was)} entries recorded, {len(now)} asked"
    elif old != new or type(old) is not type(new):
        yield f"{path}: recorded {shown(old)}, asked {shown(new)}"


def shown(value: Any) -> str:
    """A value for one line of a message."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
