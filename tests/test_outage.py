"""The rehearsal of an outage: its server, its measures, our client in it, and the page that is made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.outage.crowd import Done, Log, rehearse
from tests.outage.libraries.ours import ours
from tests.outage.measures import Figures, jain, measure, recovery
from tests.outage.page import layout, page
from tests.outage.picture import picture
from tests.outage.results import Result, as_text, rows
from tests.outage.scenarios import SCENARIOS
from tests.outage.server import Plan, Server
from tests.outage.table import ENTRIES

DOCS = Path(__file__).parents[1] / "docs"
NOTHING = Figures(1, 1.0, 0.0, 0, 0.0, None, None, 0.0, 0.0, 0.0, 1.0)


def results() -> list[Result]:
    """One result per library and scenario, all alike."""
    seconds = {name: [1] * int(scenario.calls_until) for name, scenario in SCENARIOS.items()}
    return [Result(name, entry.title, NOTHING, seconds[name], seconds[name]) for name in SCENARIOS for entry in ENTRIES]


@pytest.fixture(scope="module")
def log() -> Log:
    """Thirty of our clients, and a server that is gone for a minute."""
    return rehearse(SCENARIOS["gone"].with_clients(30), ours, 1)


def test_our_clients_do_not_storm_a_server_that_is_gone(log: Log) -> None:
    """T7, T10, T19: a minute of outage brings at most a tenth more requests than calls, and 10 s later all is well."""
    figures = measure(log)
    assert figures.calls == 1800
    assert figures.load <= 1.1
    assert figures.recovery is not None
    assert figures.recovery <= 10


def test_a_rehearsal_is_the_same_every_time(log: Log) -> None:
    """The same seed gives the same calls at the same moments, another seed others."""
    small = replace(SCENARIOS["brownout"].with_clients(3), calls_until=60)
    assert rehearse(small, ours, 1).calls == rehearse(small, ours, 1).calls
    assert rehearse(small, ours, 1).calls != rehearse(small, ours, 2).calls


def test_a_quota_is_kept_by_the_server_and_its_callers_are_told_when() -> None:
    """What is over the quota of a window is answered 429 with the whole seconds until the next."""
    server = Server(Plan(quota=2, window=10), 1)
    answers = [server.arrive(number, now)[1] for number, now in enumerate((1.0, 1.0, 1.5, 10.0))]
    assert [(answer.status, answer.retry_after) for answer in answers] == [
        (200, None),
        (200, None),
        (429, 9),
        (200, None),
    ]


def test_a_server_refuses_then_answers_503_then_queues_and_turns_away_what_is_too_much() -> None:
    """The model's troubles, in their order."""
    server = Server(Plan(outage=(10, 20), workers=1, queue=1), 1)
    assert [server.arrive(0, now)[1].status for now in (9.0, 10.0, 15.0, 20.0, 20.0, 20.0)] == [
        200,
        None,
        503,
        200,
        200,
        503,
    ]


def test_a_half_recovery_is_none() -> None:
    """Recovered is from when on it stays well, not a first good moment."""
    calls = [Done(0, second, second, second < 15 or second >= 30) for second in range(60)]
    assert recovery(calls, 10.0, 60.0) == pytest.approx(19.1, abs=0.2)
    assert recovery(calls, 10.0, 30.0) is None


def test_fairness_is_one_for_equal_shares_and_small_for_one_winner() -> None:
    """Jain's index."""
    assert jain([5, 5, 5]) == 1
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)


def test_the_page_is_the_one_that_the_comparison_makes() -> None:
    """docs/outage.md has the present libraries, their present configuration, columns and words; `make outage` mends."""
    assert layout((DOCS / "outage.md").read_text()) == layout(page(results(), "Made on a day."))


def test_the_picture_and_the_tables_can_be_made() -> None:
    """The picture is well-formed and has a panel per library; each table a row."""
    root = ET.fromstring(picture(results()))
    assert len(root.findall(".//{http://www.w3.org/2000/svg}path[@class='arrived']")) == 2 * len(ENTRIES)
    for scenario in SCENARIOS.values():
        assert len(as_text(rows(scenario, results())).splitlines()) == len(ENTRIES) + 1
