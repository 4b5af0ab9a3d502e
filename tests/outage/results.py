"""What one rehearsal leaves behind, and the tables made of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

from tests.outage.crowd import Log, rehearse
from tests.outage.measures import Figures, measure, per_second
from tests.outage.scenarios import SCENARIOS, Scenario
from tests.outage.table import Entry


@dataclass(frozen=True)
class Result:
    """A rehearsal's figures and, second by second, requests that arrived and those of them that were of use."""

    scenario: str
    library: str
    figures: Figures
    arrived: list[int]
    useful: list[int]


def run_one(entry: Entry, scenario: str, seed: int) -> Result:
    """Rehearse one library in one scenario."""
    gc.set_threshold(
        200_000, 50, 1000
    )  # many small objects that live for a while: looking for rings often costs a third
    log: Log = rehearse(SCENARIOS[scenario], entry.load(), seed)
    until = log.scenario.calls_until
    return Result(
        scenario,
        entry.title,
        measure(log),
        per_second([arrival.at for arrival in log.arrivals], until),
        per_second([arrival.at for arrival in log.arrivals if arrival.useful], until),
    )


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    head: str
    show: Callable[[Figures], str]


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _recovery(figures: Figures) -> str:
    return "not seen" if figures.recovery is None else f"{figures.recovery:.1f} s"


_LOAD = Column("requests per call", lambda figures: f"{figures.load:.2f}")
_REPEATS = Column("repeats per call", lambda figures: f"{figures.repeats:.2f}")
_WASTED = Column("wasted requests", lambda figures: f"{figures.wasted:,}")
_EARLY = Column("success, first 10 s after", lambda figures: f"{100 * (figures.early or 0):.0f} %")
_RECOVERY = Column("recovered after", _recovery)
_LOST = Column("calls lost", lambda figures: f"{100 * figures.lost:.1f} %")
_P50 = Column("p50", lambda figures: _seconds(figures.p50))
_P99 = Column("p99", lambda figures: _seconds(figures.p99))
_P999 = Column("p99.9", lambda figures: _seconds(figures.p999))
_FAIRNESS = Column("fairness", lambda figures: f"{figures.fairness:.3f}")


def columns(scenario: Scenario) -> tuple[Column, ...]:
    """What is worth a column in this scenario."""
    if scenario.plan.outage is not None:
        return _LOAD, _REPEATS, _WASTED, _RECOVERY, _EARLY, _LOST, _P50, _P99, _FAIRNESS
    return _LOAD, _REPEATS, _WASTED, _LOST, _P50, _P99, _P999, _FAIRNESS


def rows(scenario: Scenario, results: list[Result]) -> list[list[str]]:
    """The table of a scenario: its head, then a row for each library."""
    shown = columns(scenario)
    head = ["", *(column.head for column in shown)]
    mine = [result for result in results if result.scenario == scenario.name]
    return [head, *([result.library, *(column.show(result.figures) for column in shown)] for result in mine)]


def as_text(table: list[list[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    return "\n".join(_line(row, widths) for row in table)


def _line(row: list[str], widths: list[int]) -> str:
    first, *rest = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest])
