"""What the demo shows at the end: a table, the arrivals over time, and the checks with what speaks against them.

All of it is plain data and plain text, made by pure functions; `Screen` prints it, with colours where `rich` is
installed and the output is a terminal.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from mockserver.demo.judge import Case, Check, Side, dead
from mockserver.demo.records import Record

MOST_OFFENDERS = 10
BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " .:-=+*#@"
CELL = 0.25
"""Seconds per character of the arrivals."""

Row = tuple[str, ...]


def rows(case: Case) -> list[Row]:
    """The table: a heading, then a name and one figure per client in each row."""
    sides = case.sides
    reasons = sorted({reason for side in sides for reason in side.record.retries})

    def row(name: str, figure: Callable[[Side], str]) -> Row:
        return (name, *map(figure, sides))

    def retries(reason: str) -> Row:
        return row(f"  after {reason}", lambda side: str(side.record.retries.get(reason, 0)))

    return [
        row("", lambda side: side.record.client),
        row("calls", lambda side: str(len(side.record.work))),
        row("requests, as the server counted them", lambda side: str(len(side.entries))),
        row("retries", lambda side: str(sum(side.record.retries.values()))),
        *map(retries, reasons),
        row("time spent waiting, all calls together", lambda side: f"{side.record.waited:.1f} s"),
        row("a call took, p50", lambda side: seconds(percentile(side.record.durations, 0.50))),
        row("a call took, p95", lambda side: seconds(percentile(side.record.durations, 0.95))),
        row(f"most requests in any {case.seen.window:g} s", lambda side: f"{side.busiest} of {case.seen.quota}"),
        row("all of them took", lambda side: f"{side.record.seconds:.1f} s"),
    ]


def seconds(value: float) -> str:
    """Seconds or milliseconds, three digits."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least this share of all values does not exceed (nearest rank); 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def arrivals(case: Case, bars: str = BARS) -> list[str]:
    """Requests as they arrived at the server, a line per kind, a character per quarter of a second."""
    entries = case.seen.entries
    if not entries:
        return []
    begin = entries[0].arrived
    cells = 1 + math.floor((entries[-1].arrived - begin) / CELL)
    kinds: dict[str, Counter[int]] = {"let through": Counter(), "429": Counter(), "dead": Counter()}
    for entry in entries:
        kind = "429" if entry.status == 429 else "dead" if dead(entry) else "let through"
        kinds[kind][math.floor((entry.arrived - begin) / CELL)] += 1
    highest = max(count for counts in kinds.values() for count in counts.values())
    lines = [
        f"{kind:>11}  " + "".join(bar(counts[cell] / highest, bars) for cell in range(cells))
        for kind, counts in kinds.items()
    ]
    return [*lines, " " * 13 + scale(cells)]


def bar(share: float, bars: str = BARS) -> str:
    """One character as high as the share, from 0 to 1; only nothing at all looks like nothing."""
    return bars[math.ceil(share * (len(bars) - 1))]


def scale(cells: int) -> str:
    """Seconds under the arrivals, every second one."""
    per_mark = round(2 / CELL)
    return "".join(f"{mark * CELL:g} s".ljust(per_mark) for mark in range(0, cells, per_mark)).rstrip()


def verdict(checks: Sequence[Check]) -> str:
    """The last line."""
    failed = sum(not check.ok for check in checks)
    return f"all {len(checks)} checks hold" if not failed else f"{failed} of {len(checks)} checks FAILED"


def to_json(case: Case, checks: Iterable[Check]) -> dict[str, Any]:
    """All figures as plain data."""
    return {
        "seconds": round(case.seconds, 3),
        "limit": {"calls": case.seen.quota, "period": case.seen.window},
        "clients": {side.record.client: _figures(side) for side in case.sides},
        "checks": [
            {"name": check.name, "ok": check.ok, "figures": check.figures, "against": list(check.against)}
            for check in checks
        ],
    }


def _figures(side: Side) -> dict[str, Any]:
    record: Record = side.record
    return {
        "calls": len(record.work),
        "attempts": len(side.entries),
        "statuses": {str(status): count for status, count in _statuses(side).items()},
        "dead": sum(map(dead, side.entries)),
        "retries": record.retries,
        "waited": round(record.waited, 3),
        "p50": round(percentile(record.durations, 0.50), 4),
        "p95": round(percentile(record.durations, 0.95), 4),
        "busiest_window": side.busiest,
        "seconds": round(record.seconds, 3),
    }


def _statuses(side: Side) -> dict[int, int]:
    return dict(sorted(Counter(entry.status for entry in side.entries if entry.status is not None).items()))


class Screen:
    """Prints to a stream: with rich's colours (`rich` is its Console class then), or as plain text."""

    def __init__(self, out: TextIO, *, plain: bool) -> None:
        self._out = out
        self._rich = None if plain else find_rich(out)
        self._bars = BARS if "utf" in (out.encoding or "").lower() else PLAIN_BARS

    def write(self, text: str, style: str | None = None) -> None:
        """A few lines."""
        if self._rich is None:
            self._out.write(f"{text}\n")
        else:
            self._rich.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        self._out.flush()

    def code(self, source: str) -> None:
        """Python, indented."""
        self.write("".join(f"    {line}\n" for line in source.splitlines()), "cyan")

    def table(self, case: Case) -> None:
        """The table, and the arrivals under it."""
        first, *others = rows(case)
        if self._rich is None:
            self.write(align([first, *others]))
        else:
            self._rich.print(_rich_table(first, others))
        self.write("\nrequests as they arrived at the server:")
        self.write("\n".join(arrivals(case, self._bars)) + "\n")

    def checks(self, checks: Sequence[Check]) -> None:
        """Each check with its figures, and what speaks against it."""
        widest = max(len(check.name) for check in checks)
        for check in checks:
            said = f"{'ok' if check.ok else 'FAILED':<6}  {check.name:<{widest}}  {check.figures}"
            self.write(said, "green" if check.ok else "bold red")
            for line in offenders(check):
                self.write(f"          {line}", "red")


def offenders(check: Check) -> list[str]:
    """What speaks against a check, ten lines of it at most."""
    rest = len(check.against) - MOST_OFFENDERS
    return [*check.against[:MOST_OFFENDERS], *([f"and {rest} more"] if rest > 0 else [])]


def align(table: Sequence[Row]) -> str:
    """A table as text: the first column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def find_rich(out: TextIO) -> Any:
    """A rich Console for a terminal; None for anything else, or without rich."""
    if not out.isatty():
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console(file=out)


def _rich_table(first: Row, others: Sequence[Row]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for column, heading in enumerate(first):
        table.add_column(heading, justify="right" if column else "left", style="bold" if column else None)
    for row in others:
        table.add_row(*row)
    return table
