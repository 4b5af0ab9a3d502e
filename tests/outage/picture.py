"""docs/outage.svg: for each library, what arrives at the server second by second, before, during and after an outage.

Small multiples on one scale, so that rows can be compared; what exceeds the scale is cut, and its peak written beside
it. The picture brings its own background and colours, light or dark as the reader's system is, and no font.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from tests.outage.results import Result
from tests.outage.scenarios import OUTAGE, SCENARIOS, Scenario
from tests.outage.table import ENTRIES

SHOWN = ("gone", "brownout")
LABELS, GAP, PANEL, ROW, TOP, PLOT = 176, 28, 340, 62, 104, 42
WIDTH = LABELS + 2 * (PANEL + GAP)
LABEL = "Requests per second that arrive at the server, by library"
SCALE = 4
"""A panel is as high as so many times the demand."""

STYLE = """
  svg { --back: #ffffff; --ink: #1f2328; --soft: #656d76; --rule: #d0d7de;
        --line: #b3401a; --good: #2f7ebc; --trouble: #f3e3c3 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --ink: #e6edf3; --soft: #9198a1; --rule: #3d444d;
          --line: #ff9a6b; --good: #4493d8; --trouble: #3d3119 }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--ink) }
  .soft { fill: var(--soft); font-size: 11px }
  .head { font-weight: 600 }
  .back { fill: var(--back) }
  .trouble { fill: var(--trouble) }
  .good { fill: var(--good) }
  .arrived { fill: none; stroke: var(--line); stroke-width: 1.4 }
  .rule { stroke: var(--rule) }
  .demand { stroke: var(--soft); stroke-dasharray: 2 3 }
"""


def picture(results: list[Result]) -> str:
    """The whole SVG document."""
    height = TOP + ROW * len(ENTRIES) + 34
    found = {(result.scenario, result.library): result for result in results}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{LABEL}">',
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        *_legend(),
    ]
    for place, name in enumerate(SHOWN):
        parts += _column_head(_left(place), SCENARIOS[name])
    for number, entry in enumerate(ENTRIES):
        top = TOP + number * ROW
        parts.append(_text(12, top + PLOT - 14, entry.title.split(",")[0], "head"))
        parts.append(_text(12, top + PLOT, ", ".join(entry.title.split(", ")[1:]), "soft"))
        for place, name in enumerate(SHOWN):
            parts += _panel(_left(place), top, SCENARIOS[name], found[name, entry.title])
    parts += [line for place, name in enumerate(SHOWN) for line in _seconds(_left(place), height - 20, SCENARIOS[name])]
    return "\n".join([*parts, "</svg>\n"])


def _left(place: int) -> int:
    return LABELS + place * (PANEL + GAP)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend() -> Iterable[str]:
    y = 30
    yield f'<line class="arrived" x1="12" x2="34" y1="{y - 4}" y2="{y - 4}"/>'
    yield _text(40, y, "requests per second that arrive")
    yield f'<rect class="good" x="250" y="{y - 10}" width="22" height="11"/>'
    yield _text(278, y, "those answered 200 while the client still waits")
    yield f'<rect class="trouble" x="566" y="{y - 10}" width="22" height="11"/>'
    yield _text(594, y, "the outage")
    yield f'<line class="demand" x1="680" x2="702" y1="{y - 4}" y2="{y - 4}"/>'
    yield _text(708, y, "calls per second")


def _column_head(left: int, scenario: Scenario) -> Iterable[str]:
    yield _text(left, 68, scenario.title, "head")
    yield _text(left, 84, f"each panel: 0 to {SCALE * scenario.clients} requests a second", "soft")


def _panel(left: int, top: int, scenario: Scenario, result: Result) -> Iterable[str]:
    across = PANEL / scenario.calls_until
    start, end = OUTAGE
    floor = top + PLOT
    full = SCALE * scenario.clients
    shade = f'x="{left + start * across:.1f}" width="{(end - start) * across:.1f}"'
    yield f'<rect class="trouble" {shade} y="{top}" height="{PLOT}"/>'
    yield f'<path class="good" d="M{left} {floor} {_steps(left, floor, across, full, result.useful)} V{floor} Z"/>'
    yield f'<line class="rule" x1="{left}" x2="{left + PANEL}" y1="{floor}" y2="{floor}"/>'
    level = floor - PLOT / SCALE
    yield f'<line class="demand" x1="{left}" x2="{left + PANEL}" y1="{level}" y2="{level}"/>'
    yield f'<path class="arrived" d="M{left} {floor} {_steps(left, floor, across, full, result.arrived)}"/>'
    peak = max(result.arrived)
    if peak > 1.05 * full:
        at = left + (result.arrived.index(peak) + 0.5) * across
        yield _text(min(at + 4, left + PANEL - 50), top - 3, f"up to {peak:,}", "soft")


def _steps(left: int, floor: int, across: float, full: int, counts: list[int]) -> str:
    heights = (floor - PLOT * min(count, full) / full for count in counts)
    return " ".join(f"V{height:.1f} H{left + (second + 1) * across:.1f}" for second, height in enumerate(heights))


def _seconds(left: int, y: int, scenario: Scenario) -> Iterable[str]:
    across = PANEL / scenario.calls_until
    for second in range(0, int(scenario.calls_until) + 1, 30):
        yield _text(left + second * across, y, f"{second} s" if second else "0", "soft", "middle")
