"""The benchmarks' frame, on made-up figures; what they measure is not asserted here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks.clients import ASYNC, SYNC, Setup
from tests.benchmarks.contest import Contestant, Failed, Field, Found, Task, costs, rates
from tests.benchmarks.figures import BENCHES, Claim, Result, Series, load, number, ratio
from tests.benchmarks.loader import BODY
from tests.benchmarks.page import as_text, keep, record

OURS = Series("ours", "requests a second", (900.0, 1000.0, 1300.0))
OTHER = Series("another", "requests a second", (2000.0, 2000.0, 2000.0))


def made_up(title: str = "A race") -> Result:
    drawn = ("requests a second",)
    claims = (ratio("of another", OURS, OTHER, at_least=0.75), Claim("start", 12.0, "ms", at_most=50.0))
    return Result(title, "How it was measured.", (OURS, OTHER), claims, ("Third: there is no java",), drawn)


def test_a_result_is_a_table_of_medians_and_one_of_claims() -> None:
    """Median and spread for each series; each claim with its bound and whether it holds; what is missing, and why."""
    text = as_text(made_up())
    assert "| ours    |             1,000 |    20% |" in text
    assert "| another |             2,000 |     0% |" in text
    assert "| of another | 0.5 times | at least 0.75 | FALLS SHORT |" in text
    assert "| start      |     12 ms |    at most 50 |       holds |" in text
    assert "Not measured: Third: there is no java" in text


def test_the_page_shows_the_latest_run_of_each_benchmark(tmp_path: Path) -> None:
    """The history keeps every run; the page is made of the last one of each."""
    keep(
        tmp_path, [record("race", "make bench", 1.0, made_up("Old")), record("other", "make bench", 1.0, made_up("B"))]
    )
    keep(tmp_path, [record("race", "python -m tests.benchmarks race", 2.0, made_up("New"))])
    page = (tmp_path / "performance.md").read_text()
    assert "## New" in page
    assert "## B" in page
    assert "## Old" not in page
    assert "`python -m tests.benchmarks race`, 2 s." in page
    assert "![New: requests a second](performance-race-requests-a-second.svg)" in page
    drawn = (tmp_path / "performance-race-requests-a-second.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert drawn.index(">ours<") < drawn.index(">1,000<") < drawn.index(">another<") < drawn.index(">2,000<")
    history = json.loads((tmp_path / "performance.json").read_text())
    assert [run["result"]["title"] for run in history] == ["Old", "B", "New"]
    assert Result.from_json(history[0]["result"]) == made_up("Old")


@pytest.mark.parametrize(
    ("at_least", "at_most", "holds"), [(None, None, True), (2, None, True), (3, None, False), (None, 1, False)]
)
def test_a_claim_holds_within_its_bounds(at_least: float | None, at_most: float | None, holds: bool) -> None:
    """Without a bound a figure is only reported."""
    assert Claim("x", 2.0, "", at_least, at_most).holds is holds


def test_figures_have_three_digits_or_all_they_need() -> None:
    """Small ones are rounded, great ones have their thousands marked."""
    assert [number(value) for value in (0.81234, 8.1234, 812.34, 8123.4)] == ["0.812", "8.12", "812", "8,123"]


def test_the_benchmarks_are_found_by_their_names() -> None:
    """Each module of the package registers its own; the body they are answered has the size that the page says."""
    load()
    assert {"mock server", "small json", "in flight", "large bodies", "cold start", "chain"} <= BENCHES.keys()
    assert len(BODY) == 160


class Runner:
    """A contestant that needs no process; every round costs a millisecond more than the one before."""

    def __init__(self, title: str, order: list[str], fails_at: int = -1) -> None:
        self.title, self._order, self._fails_at, self._done = title, order, fails_at, 0

    def round(self, task: Task) -> Found:
        """Note that it ran."""
        self._order.append(self.title)
        self._done += 1
        if self._done == self._fails_at:
            raise Failed(f"{self.title}: tired")
        return Found(requests=10, cpu=self._done / 100, wall=2.0 * self._done)


TASK = Task("json", "http://127.0.0.1:1/small", 0.5, Setup(connections=3), in_flight=5)


def test_clients_take_turns_and_who_fails_is_left_out() -> None:
    """The order turns with each round; a failure is told once, and its rounds are not counted."""
    order: list[str] = []
    runners = [Runner("a", order), Runner("b", order, fails_at=2), Runner("c", order)]
    field = Field(cast("list[Contestant]", runners))
    found = field.rounds(TASK, 3)
    assert "".join(order) == "cbaabcca"
    assert {title: len(rounds) for title, rounds in found.items()} == {"a": 3, "c": 3}
    assert field.skipped == ["b: tired"]
    assert list(field.rounds(TASK, 1, only={"a"})) == ["a"]


def test_rounds_become_series_the_best_first() -> None:
    """CPU time a request rises, requests a second fall."""
    found = {"slow": [Found(10, 0.02, 4.0)], "quick": [Found(10, 0.01, 2.0), Found(10, 0.01, 2.0)]}
    assert {title: each.values for title, each in costs(found).items()} == {
        "quick": (1000.0, 1000.0),
        "slow": (2000.0,),
    }
    assert list(costs(found)) == list(rates(found)) == ["quick", "slow"]
    assert rates(found)["slow"].median == 2.5


def test_what_a_client_is_told_and_answers_survives_its_line() -> None:
    """Tasks and findings go to processes and back as JSON."""
    assert Task.from_json(TASK.to_json()) == TASK
    assert Found(**json.loads(Found(7, 0.5, 1.0, 2.5).to_json())) == Found(7, 0.5, 1.0, 2.5)


def test_each_client_has_a_module() -> None:
    """Every title of the tables leads to a file that has such a class; it is not imported, for it may not be there."""
    for place in (*SYNC.values(), *ASYNC.values()):
        module, _, name = place.partition(":")
        source = Path(__file__).parent / "benchmarks" / "clients" / f"{module}.py"
        assert f"class {name}" in source.read_text()
