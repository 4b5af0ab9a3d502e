"""Bars for one unit of a result, as SVG: ours in one colour, others in another, the spread as a whisker.

The picture stands alone: its own background and colours, light or dark as the reader's system is, and no font to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from tests.benchmarks.figures import Series, number

WIDTH, LABELS, FIGURES, TOP, ROW, BAR = 880, 260, 90, 64, 24, 14
STYLE = """
  svg { --back: #ffffff; --ink: #1f2328; --soft: #656d76; --rule: #d0d7de; --ours: #b3401a; --other: #2f7ebc }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --ink: #e6edf3; --soft: #9198a1; --rule: #3d444d; --ours: #ff9a6b; --other: #4493d8 }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--ink) }
  .soft { fill: var(--soft); font-size: 11px }
  .head { font-weight: 600 }
  .back { fill: var(--back) }
  .ours { fill: var(--ours) }
  .other { fill: var(--other) }
  .whisker { stroke: var(--ink); opacity: 0.6 }
  .rule { stroke: var(--rule) }
"""


def picture(title: str, series: Sequence[Series]) -> str:
    """The whole SVG document; the series are of one unit."""
    height = TOP + ROW * len(series) + 12
    label = escape(f"{title}: {series[0].unit}", {'"': "&quot;"})
    most = max(max(each.values) for each in series) or 1.0
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{height}"/>',
            _text(12, 24, title, "head"),
            _text(12, 42, f"{series[0].unit}: median, and from the least to the greatest round", "soft"),
            *(line for place, each in enumerate(series) for line in _row(TOP + place * ROW, each, most)),
            f'<line class="rule" x1="{LABELS}" x2="{LABELS}" y1="{TOP - 6}" y2="{height - 8}"/>',
            "</svg>\n",
        ]
    )


def _row(top: int, series: Series, most: float) -> Iterator[str]:
    scale, middle = (WIDTH - LABELS - FIGURES) / most, top + BAR / 2
    kind = "ours" if series.what.startswith(("ours", "mockserver")) else "other"
    least, greatest = (LABELS + scale * value for value in (min(series.values), max(series.values)))
    yield _text(LABELS - 8, top + 11, series.what, anchor="end")
    yield f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{scale * series.median:.1f}" height="{BAR}"/>'
    yield f'<line class="whisker" x1="{least:.1f}" x2="{greatest:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
    yield _text(greatest + 8, top + 11, number(series.median), "soft")


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
