"""Arrivals against time as SVG: bars of a tenth of a second, what was of use in another colour, phases behind them.

The picture stands alone: its own background and colours, light or dark as the reader's system is, and no font to load.
Long runs are drawn with broader bars, so that there are never more than a few hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from mockserver.metrics.figures import HERD_STEP, Metrics, PhaseFigures

WIDTH, LEFT, RIGHT, TOP, PLOT, BOTTOM = 880, 64, 16, 96, 220, 60
MOST_BARS = 400
TICKS = 5

STYLE = """
  svg { --back: #ffffff; --ink: #1f2328; --soft: #656d76; --rule: #d0d7de;
        --wasted: #b3401a; --useful: #2f7ebc; --band: #f1f3f5 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --ink: #e6edf3; --soft: #9198a1; --rule: #3d444d;
          --wasted: #ff9a6b; --useful: #4493d8; --band: #1b222b }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--ink) }
  .soft { fill: var(--soft); font-size: 11px }
  .head { font-weight: 600 }
  .back { fill: var(--back) }
  .band { fill: var(--band) }
  .wasted { fill: var(--wasted) }
  .useful { fill: var(--useful) }
  .rule { stroke: var(--rule) }
"""


def picture(metrics: Metrics, title: str = "Requests that arrived") -> str:
    """The whole SVG document."""
    step = max(1, math.ceil(len(metrics.arrivals) / MOST_BARS))
    bars, useful = _joined(metrics.arrivals, step), _joined(metrics.useful, step)
    top = _round_up(max([*bars, 1]))
    height = TOP + PLOT + BOTTOM
    label = escape(title, {'"': "&quot;"})
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{height}"/>',
            _text(LEFT, 24, title, "head"),
            *_legend(),
            *_phases(metrics),
            *_axes(metrics, top, step * HERD_STEP),
            *_bars(bars, "wasted", top, step, len(metrics.arrivals)),
            *_bars(useful, "useful", top, step, len(metrics.arrivals)),
            "</svg>\n",
        ]
    )


def _joined(bars: Sequence[int], step: int) -> list[int]:
    return [sum(bars[place : place + step]) for place in range(0, len(bars), step)]


def _round_up(most: int) -> int:
    """The next number that divides into five whole parts, not far above."""
    unit: int = 10 ** max(0, len(str(most)) - 2)
    return math.ceil(most / (TICKS * unit)) * TICKS * unit


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend() -> Iterator[str]:
    yield f'<rect class="useful" x="{LEFT}" y="36" width="11" height="11"/>'
    yield _text(LEFT + 17, 46, "of use")
    yield f'<rect class="wasted" x="{LEFT + 80}" y="36" width="11" height="11"/>'
    yield _text(LEFT + 97, 46, "brought nothing: refused, failed, or done before")


def _across(metrics: Metrics, moment: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (moment - metrics.start) / (metrics.end - metrics.start)


def _phases(metrics: Metrics) -> Iterator[str]:
    for number, phase in enumerate(metrics.phases):
        left, right = _across(metrics, phase.start), _across(metrics, phase.end)
        if number % 2:
            yield f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{PLOT}"/>'
        yield _text(left + 3, TOP - 20, phase.name, "head")
        yield _text(left + 3, TOP - 6, _told(phase), "soft")


def _told(phase: PhaseFigures) -> str:
    return "nothing" if phase.amplification is None else f"{phase.amplification:.2f} per call"


def _axes(metrics: Metrics, top: int, width: float) -> Iterator[str]:
    floor = TOP + PLOT
    for tick in range(TICKS + 1):
        y = floor - PLOT * tick / TICKS
        yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        yield _text(LEFT - 6, y + 4, str(top * tick // TICKS), "soft", "end")
        moment = metrics.start + (metrics.end - metrics.start) * tick / TICKS
        yield _text(_across(metrics, moment), floor + 18, f"{moment:.1f}", "soft", "middle")
    yield _text((LEFT + WIDTH - RIGHT) / 2, floor + 40, "seconds since the server started", "soft", "middle")
    y = TOP + PLOT / 2
    yield (
        f'<text class="soft" text-anchor="middle" transform="rotate(-90 16 {y:g})" x="16" y="{y:g}">'
        f"requests in {1000 * width:g} ms</text>"
    )


def _bars(bars: Sequence[int], kind: str, top: int, step: int, count: int) -> Iterator[str]:
    floor, each = TOP + PLOT, (WIDTH - LEFT - RIGHT) / max(1, count) * step
    steps = [
        f"M{LEFT + place * each:.1f} {floor} v{-PLOT * bar / top:.1f} h{each * 0.9:.1f} V{floor} Z"
        for place, bar in enumerate(bars)
        if bar
    ]
    if steps:
        yield f'<path class="{kind}" d="{" ".join(steps)}"/>'
