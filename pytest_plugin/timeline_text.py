"""A timeline as text: a bar for each attempt, and below it what the server did and what the client decided.

Plain ASCII, so that it survives any terminal and any log of a build. Long ones are cut in the middle: how a rehearsal
began and how it ended is what one looks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_plugin.timeline import Called, Served, Timeline, Tried

MOST_LINES = 400
"""Of a timeline's text; of more, the first and the last."""

MARKS = {"ok": "=", "failed": "x", "cancelled": "~", "open": ">"}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def as_text(timeline: Timeline, width: int = 100) -> str:
    """The timeline for a terminal of so many columns."""
    if not timeline:
        return "no call was made, and no request arrived"
    columns = max(20, min(60, width - 40))
    scale = timeline.end / columns
    lines = [clean(timeline.title)] if timeline.title else []
    lines.append(
        f"{timeline.end:.3f} {clean(timeline.unit)}, a column is {scale:.3g} s   (= ok, x failed, ~ cancelled, . pause)"
    )
    for call in timeline.called:
        lines += _call(call, columns, scale)
    if timeline.served:
        lines += ["", "requests of which no client told:"]
        lines += (line for each in timeline.served for line in _loose(each, columns, scale))
    return "\n".join(_cut(lines))


def clean(text: str) -> str:
    """The text without what a terminal would obey."""
    return _CONTROL.sub("?", text)


def _cut(lines: list[str]) -> list[str]:
    left_out = len(lines) - MOST_LINES
    if left_out <= 0:
        return lines
    half = MOST_LINES // 2
    return [*lines[:half], f"... {left_out} lines left out ...", *lines[-half:]]


def _call(call: Called, columns: int, scale: float) -> Iterator[str]:
    yield ""
    name = f"  call {call.call_id}" if call.call_id else ""
    yield clean(f"{call.label}{name}: {call.outcome}")
    told = list(call.told)
    for tried in call.tried:
        while told and told[0][0] < tried.start:
            yield _told(*told.pop(0))
        yield from _attempt(tried, columns, scale)
    yield from (_told(*each) for each in told)


def _told(at: float, text: str) -> str:
    return clean(f"      client {at:.3f}: {text}")


def _attempt(tried: Tried, columns: int, scale: float) -> Iterator[str]:
    bar = _bar(tried.start, tried.end, tried.kind, columns, scale, pause=tried.pause)
    lasted = "" if tried.end is None else f" +{tried.end - tried.start:.3f}"
    yield clean(f" {tried.number:>2} |{bar}| {tried.start:.3f}{lasted}  {tried.reason}")
    yield from (clean(f"      server {each.start:.3f}: {each.label}: {each.text}") for each in tried.served)
    yield from (clean(f"      client: {decision}") for decision in tried.decided)


def _loose(served: Served, columns: int, scale: float) -> Iterator[str]:
    bar = _bar(served.start, served.end, served.kind, columns, scale)
    yield clean(f"    |{bar}| {served.start:.3f}  {served.label}: {served.text}")


def _bar(start: float, end: float | None, kind: str, columns: int, scale: float, pause: float = 0.0) -> str:
    def place(moment: float) -> int:
        return min(columns, round(moment / scale)) if scale else 0

    first = min(place(start), columns - 1)
    last = max(columns if end is None else place(end), first + 1)
    waits = max(place((end or start) + pause) - last, 0) if pause else 0
    return (" " * first + MARKS[kind] * (last - first) + "." * waits).ljust(columns)
