"""The benchmarks' frame, on made-up figures; what they measure is not asserted here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.figures import BENCHES, Claim, Result, Series, load, ratio
from tests.benchmarks.loader import BODY
from tests.benchmarks.page import as_text, keep, number, record

OURS = Series("ours", "requests a second", (900.0, 1000.0, 1300.0))
OTHER = Series("another", "requests a second", (2000.0, 2000.0, 2000.0))


def made_up(title: str = "A race") -> Result:
    claims = (ratio("of another", OURS, OTHER, at_least=0.75), Claim("start", 12.0, "ms", at_most=50.0))
    return Result(title, "How it was measured.", (OURS, OTHER), claims, ("Third: there is no java",))


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
    assert {"mock server", "mock server start"} <= BENCHES.keys()
    assert len(BODY) == 160
