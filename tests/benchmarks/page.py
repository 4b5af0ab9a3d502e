"""Results as text: tables for the terminal, docs/performance.md, and the history beside it.

The history (docs/performance.json) holds every run; the page shows the latest of each benchmark, with its own date,
machine and command, so that one of them can be measured again without the others.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Claim, Result, Series, number
from tests.benchmarks.picture import picture

HEADING = """\
# How fast it is

Measured, not estimated: `make bench` runs all of it and writes this page, and performance.json beside it, which holds
every run. `make bench-quick` takes a look in under two minutes and writes nothing. The figures are of one machine;
what carries over to another is the ratios. A table shows medians over rounds that were taken in turns, and the spread:
half of what lies between the least and the greatest round. A ratio is one of medians; that of two sync clients, or of
two cold starts, is the median of the rounds' own ratios, since other work on the machine slows neighbours in a round
alike.
"""


def page(runs: list[dict[str, Any]]) -> str:
    """The whole page, from the history: the latest run of each benchmark."""
    latest = {run["bench"]: run for run in runs}
    return HEADING + "".join(f"\n{_section(run)}" for run in latest.values())


def _section(run: dict[str, Any]) -> str:
    made = (
        f"{run['date']}, {run['machine']}, load average {run['load']:.1f}; `{run['command']}`, {run['seconds']:.0f} s."
    )
    result = Result.from_json(run["result"])
    shown = "".join(f"\n![{result.title}: {unit}]({drawing(run['bench'], unit)})\n" for unit in result.drawn)
    return f"{as_text(result)}{shown}\n{made}\n"


def drawing(name: str, unit: str) -> str:
    """The file that a picture of a benchmark is in, beside the page."""
    return f"performance-{'-'.join(re.findall('[a-z0-9]+', f'{name} {unit}'.lower()))}.svg"


def as_text(result: Result) -> str:
    """One result, in Markdown that reads well on a terminal too."""
    parts = [f"## {result.title}\n", f"{result.text.strip()}\n"]
    for unit, series in groupby(result.series, key=lambda each: each.unit):
        parts.append(table(["", unit, "spread"], [_row(each) for each in series]))
    if result.claims:
        parts.append(table(["", "is", "promised", ""], [_claim(each) for each in result.claims]))
    parts.extend(f"Not measured: {why}\n" for why in result.skipped)
    return "\n".join(parts)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with columns of even width; all but the first are right-aligned."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [_line(heads, widths), "|" + "|".join(_rule(place, width) for place, width in enumerate(widths)) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)]) + "\n"


def _line(cells: list[str], widths: list[int]) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    return "| " + " | ".join(c.rjust(w) if place else c.ljust(w) for place, (c, w) in pairs) + " |"


def _rule(place: int, width: int) -> str:
    return "-" * (width + 1) + ":" if place else "-" * (width + 2)


def _row(series: Series) -> list[str]:
    return [series.what, number(series.median), f"{series.spread:.0%}"]


def _claim(claim: Claim) -> list[str]:
    bound = "" if claim.at_least is None else f"at least {claim.at_least:g}"
    bound += "" if claim.at_most is None else f"at most {claim.at_most:g}"
    verdict = ("holds" if claim.holds else "FALLS SHORT") if bound else ""
    return [claim.what, f"{number(claim.value)} {claim.unit}".strip(), bound, verdict]


def record(name: str, command: str, seconds: float, result: Result) -> dict[str, Any]:
    """One entry of the history."""
    return {
        "bench": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": os.getloadavg()[2],
        "command": command,
        "commit": _commit(),
        "seconds": seconds,
        "result": result.to_json(),
    }


def machine() -> str:
    """What the figures are of."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def keep(docs: Path, records: list[dict[str, Any]]) -> None:
    """Add to the history, write the page anew, and draw what was measured now."""
    history = docs / "performance.json"
    runs = [*(json.loads(history.read_text()) if history.exists() else []), *records]
    history.write_text(json.dumps(runs, indent=1) + "\n")
    (docs / "performance.md").write_text(page(runs))
    for run in records:
        result = Result.from_json(run["result"])
        for unit in result.drawn:
            series = [each for each in result.series if each.unit == unit]
            (docs / drawing(run["bench"], unit)).write_text(picture(result.title, series))
