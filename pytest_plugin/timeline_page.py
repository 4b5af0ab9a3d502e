"""Timelines as one page: pictures in SVG, tables below them, nothing loaded from anywhere, nothing that runs.

Whatever is shown was somebody's data, a server's or a test's: all of it is escaped, and a policy in the page's head
forbids scripts and loads besides. The page is read in light or dark, as the reader's system is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from pytest_plugin.timeline import Called, Served, Timeline, Tried

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

WIDTH, LEFT, RIGHT, ROW, HEAD = 960, 190, 20, 22, 46
TICKS = 6
MOST_ROWS = 300
"""Attempts that a picture shows, and a table lists."""

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --ink: #1f2328; --soft: #656d76; --rule: #d0d7de; --ok: #2f7ebc;
  --failed: #b3401a; --cancelled: #8250df; --open: #9a6700; --pause: #d0d7de; --server: #57606a }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --soft: #9198a1; --rule: #3d444d;
  --ok: #4493d8; --failed: #ff9a6b; --cancelled: #b392f0; --open: #d29922; --pause: #3d444d; --server: #9198a1 } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; overflow-wrap: anywhere }
svg { width: 100%; height: auto; display: block }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink) } .soft { fill: var(--soft); color: var(--soft) }
.rule { stroke: var(--rule) } .ok { fill: var(--ok) } .failed { fill: var(--failed) }
.cancelled { fill: var(--cancelled) }
.open { fill: var(--open) } .pause { fill: var(--pause) } .server { opacity: .55 } .name { font-weight: 600 }
table { border-collapse: collapse; width: 100%; font-size: 13px } td, th { text-align: left; vertical-align: top;
  padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--rule); padding-left: .8rem;
  font-size: 12px }
"""


LEGEND = (
    "Broad bars: attempts of the client, and in grey its pauses. Narrow bars below them: the server, from the arrival "
    "of a request to the end of its answer. Blue: good; orange: failed; violet: cancelled; yellow: not over."
)


def page(parts: Iterable[str], *, title: str, lead: str = "") -> str:
    """A whole page of parts that are markup already."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_safe(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{_safe(title)}</h1>",
            f"<p>{_safe(lead)}</p>" if lead else "",
            *parts,
            "</body></html>\n",
        ]
    )


def part(timeline: Timeline, *, title: str | None = None, details: str = "") -> str:
    """The markup of one timeline, to stand in a page.

    Args:
        timeline: what is shown.
        title: of the part; the timeline's own when None.
        details: more text, shown as it stands: the message of a failure.
    """
    named = timeline.title if title is None else title
    pieces = [f"<section><h2>{_safe(named)}</h2>" if named else "<section>"]
    if details:
        pieces.append(f"<pre>{_safe(details)}</pre>")
    pieces += [*_picture(timeline), *_table(timeline)] if timeline else ["<p>no call, no request</p>"]
    return "\n".join([*pieces, "</section>"])


def _safe(text: str) -> str:
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def _picture(timeline: Timeline) -> Iterator[str]:
    rows = list(_rows(timeline))
    shown, end = rows[:MOST_ROWS], timeline.end or 1.0
    height = HEAD + ROW * len(shown) + 12
    yield f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_safe(timeline.title or "timeline")}">'
    yield from _axis(end, height, timeline.unit)
    for place, row in enumerate(shown):
        yield from _draw(row, HEAD + ROW * place, end)
    yield "</svg>"
    yield f'<p class="soft">{LEGEND}</p>'
    if len(rows) > len(shown):
        yield f'<p class="soft">and {len(rows) - len(shown)} more rows</p>'


def _rows(timeline: Timeline) -> Iterator[Called | Tried | Served]:
    for call in timeline.called:
        yield call
        yield from call.tried
    yield from timeline.served


def _across(moment: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, moment / end)


def _axis(end: float, height: int, unit: str) -> Iterator[str]:
    yield f'<text class="soft" x="{LEFT}" y="12">{_safe(unit)}</text>'
    for tick in range(TICKS + 1):
        x = _across(end * tick / TICKS, end)
        yield f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 10}" y2="{height - 8}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="{HEAD - 16}" text-anchor="middle">{end * tick / TICKS:.3g}</text>'


def _draw(row: Called | Tried | Served, y: int, end: float) -> Iterator[str]:
    if isinstance(row, Called):
        yield f'<text class="name" x="4" y="{y + 14}">{_safe(_short(row.label, 60))}</text>'
        yield _rect(row.start, row.end, end, row.kind, y + 15, 3, row.outcome)
        return
    if isinstance(row, Served):
        yield f'<text class="soft" x="4" y="{y + 14}">{_safe(_short(row.label, 28))}</text>'
        yield _rect(row.start, row.end, end, f"{row.kind} server", y + 4, 12, f"{row.label}: {row.text}")
        return
    yield f'<text class="soft" x="16" y="{y + 14}">{row.number}. {_safe(_short(row.reason, 24))}</text>'
    yield _rect(row.start, row.end, end, row.kind, y + 2, 9, f"attempt {row.number}: {row.reason}")
    if row.pause and row.end is not None:
        yield _rect(row.end, row.end + row.pause, end, "pause", y + 2, 9, f"waits {row.pause:.3f} s")
    for each in row.served:
        yield _rect(each.start, each.end, end, f"{each.kind} server", y + 13, 5, f"{each.label}: {each.text}")


def _rect(start: float, finish: float | None, end: float, kind: str, y: int, height: int, said: str) -> str:
    x = min(_across(start, end), WIDTH - RIGHT - 2)
    width = max(2.0, _across(end if finish is None else finish, end) - x)
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="1.5">'
        f"<title>{_safe(said)}</title></rect>"
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _table(timeline: Timeline) -> Iterator[str]:
    heads = ("at", "what", "what the server did", "what the client decided")
    yield f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>"
    lines = list(_lines(timeline))
    yield from lines[:MOST_ROWS]
    yield "</table>"


def _lines(timeline: Timeline) -> Iterator[str]:
    for call in timeline.called:
        yield _line(call.start, f"{call.label}: {call.outcome}", "", "; ".join(text for _, text in call.told), "th")
        for tried in call.tried:
            did = "; ".join(f"{each.start:.3f}: {each.text}" for each in tried.served)
            yield _line(tried.start, f"{tried.number}. {tried.reason}", did, "; ".join(tried.decided))
    for served in timeline.served:
        yield _line(served.start, served.label, served.text, "")


def _line(at: float, what: str, did: str, decided: str, cell: str = "td") -> str:
    cells = f"<{cell}>{at:.3f}</{cell}><{cell}>{_safe(what)}</{cell}><td>{_safe(did)}</td><td>{_safe(decided)}</td>"
    return f"<tr>{cells}</tr>"
