"""What a benchmark is: a function that measures, and gives series of figures and claims about them.

Each module of this package registers its own with `@bench`; `python -m tests.benchmarks` finds them. What is compared
is measured in turns (a round of each, then the next round of each), so that a machine that is busy for a while is busy
for all. A claim is a ratio of medians, the median of the rounds' ratios, or a median, with its bound: what falls short
is reported as such.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Series:
    """The same thing measured several times.

    Attributes:
        what: was measured.
        unit: of the values.
        values: one for each round, in order.
    """

    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """Half of what lies between the least and the greatest value, as a share of the median."""
        return (max(self.values) - min(self.values)) / 2 / self.median if self.median else 0.0


def number(value: float) -> str:
    """Three digits, or all of a greater one: 0.812, 8.12, 812, 8,123."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Claim:
    """A figure that is promised to lie within a bound; None on both sides if it is only reported."""

    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        title: a heading.
        text: how it was measured, for the reader of the page.
        series: the figures; those of one `unit` are one table.
        claims: what follows from them.
        skipped: what could not be measured here, and why.
        drawn: units whose series the page also shows as a picture.
    """

    title: str
    text: str
    series: tuple[Series, ...]
    claims: tuple[Claim, ...] = ()
    skipped: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the history file has it."""
        return {
            "title": self.title,
            "text": self.text,
            "series": [{"what": x.what, "unit": x.unit, "values": list(x.values)} for x in self.series],
            "claims": [vars(claim) for claim in self.claims],
            "skipped": list(self.skipped),
            "drawn": list(self.drawn),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """Read what `to_json` wrote."""
        return cls(
            title=data["title"],
            text=data["text"],
            series=tuple(Series(x["what"], x["unit"], tuple(x["values"])) for x in data["series"]),
            claims=tuple(Claim(**claim) for claim in data["claims"]),
            skipped=tuple(data["skipped"]),
            drawn=tuple(data.get("drawn", ())),
        )


@dataclass(frozen=True)
class Terms:
    """On which terms to measure: quick is for a look, not for a claim."""

    quick: bool = False

    def pick(self, full: float, quick: float) -> float:
        """The one or the other."""
        return quick if self.quick else full


Bench = Callable[[Terms], Result]
BENCHES: dict[str, Bench] = {}


def bench(function: Bench) -> Bench:
    """Register a benchmark under its function's name."""
    BENCHES[function.__name__.replace("_", " ")] = function
    return function


def ratio(
    what: str, over: Series, under: Series, *, at_least: float | None = None, at_most: float | None = None
) -> Claim:
    """A claim about the ratio of two medians."""
    return Claim(what, over.median / under.median, "times", at_least, at_most)


def paired(
    what: str, over: Series, under: Series, *, at_least: float | None = None, at_most: float | None = None
) -> Claim:
    """A claim about two that took turns: the median of the rounds' own ratios, which a slow minute hardly moves."""
    ratios = [one / other for one, other in zip(over.values, under.values, strict=True)]
    return Claim(what, median(ratios), "times", at_least, at_most)


def load() -> None:
    """Import every module of benchmarks."""
    package = importlib.import_module("tests.benchmarks")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in {"__main__", "servers"}:
            importlib.import_module(f"tests.benchmarks.{module.name}")
