"""What goes wrong on a test's server, by mark and by fixture, and again from its line."""

from __future__ import annotations

import pytest

from pytest_plugin.rehearsal import FaultSchedule
from tests.pytest_plugin.conftest import Run, text_of


def test_marks_of_module_class_and_test_add_up(run: Run) -> None:
    """Rules of outer marks are asked first; a plan takes the place of what was there."""
    run(
        """
        import pytest
        from mockserver import FaultRule, Plan, fault

        pytestmark = pytest.mark.api_faults("error(502)", path="/users/1")

        @pytest.mark.api_faults(FaultRule(fault("error(504)"), path="/users/2"))
        class TestBoth:
            @pytest.mark.api_faults("error(500)", path="/users/*")
            @pytest.mark.api_client(max_retries=0, raise_for_status=False)
            def test_it(self, api_client):
                assert [api_client.get(f"/users/{n}").status_code for n in (1, 2, 3)] == [502, 504, 500]

            @pytest.mark.api_faults(Plan(seed=3))
            def test_plan(self, http_faults, api_client):
                assert http_faults.plan == Plan(seed=3)
                assert api_client.get("/users/1").status_code == 200

            @pytest.mark.api_faults("seed=4 rule=reset")
            def test_line(self, http_faults):
                assert http_faults.describe() == "seed=4 rule=rule(fault=reset)"
        """
    ).assert_outcomes(passed=3)


def test_faults_come_and_go_while_a_test_runs(run: Run) -> None:
    """http_faults adds, clears, and says how all of it is had again."""
    run(
        """
        import pytest

        @pytest.mark.api_client(max_retries=0, raise_for_status=False)
        def test_it(api_client, http_faults):
            assert api_client.get("/users/1").status_code == 200
            http_faults.add("error(503)", first=1)
            assert [api_client.get("/users/1").status_code for _ in range(2)] == [503, 200]
            assert "error(503)" in http_faults.describe()
            assert "error(503)" in repr(http_faults)
            http_faults.clear()
            assert http_faults.plan.rules == ()
        """
    ).assert_outcomes(passed=1)


def test_a_mark_is_enough_to_have_faults(run: Run) -> None:
    """A mark brings its fixture with it."""
    run(
        """
        import pytest

        @pytest.mark.api_faults("error(503)")
        def test_it(request):
            assert request.getfixturevalue("mock_server").faults.plan.rules
        """
    ).assert_outcomes(passed=1)


def test_the_seed_decides_all_that_looks_like_chance(run: Run) -> None:
    """The same seed gives the same faults, data and jitter; another seed others; the command line goes first."""
    source = """
        import pytest

        @pytest.mark.api_faults("error(503)", probability=0.5)
        @pytest.mark.api_client(max_retries=0, raise_for_status=False)
        def test_it(api_client, virtual_clock):
            statuses = [api_client.get(f"/users/{n}").status_code for n in range(1, 21)]
            print("SAW", statuses, api_client.get("/orders/1").content)
        """
    outputs = [
        next(line for line in run(source, "-s", *options).outlines if "SAW" in line)
        for options in ([], ["--api-fault-seed=0"], ["--api-fault-seed=1"], ["-oapi_fault_seed=1"])
    ]
    assert outputs[0] == outputs[1]
    assert outputs[2] == outputs[3]
    assert outputs[0] != outputs[2]


def test_a_failed_test_prints_the_line_that_replays_its_faults(run: Run) -> None:
    """With that line the same goes wrong, whatever mark and seed say."""
    source = """
        import pytest

        @pytest.mark.api_faults("error(503)", probability=0.5)
        @pytest.mark.api_client(max_retries=0)
        def test_it(api_client, virtual_clock, http_faults):
            http_faults.add("delay(seconds=1)" if "REPLAY" == "" else "error(502)", path="/none")
            for number in range(1, 21):
                try:
                    api_client.get(f"/users/{number}")
                except Exception as error:
                    raise AssertionError(f"failed at {number}") from error
        """
    first = run(source, "--api-fault-seed=5")
    first.assert_outcomes(failed=1)
    line = next(line for line in first.outlines if line.startswith("replay with --api-fault-replay="))
    option = line.removeprefix("replay with ").replace("'", "")
    failed = next(line for line in first.outlines if "AssertionError: failed at" in line)
    again = run(source.replace("0.5", "0.0"), option)
    again.assert_outcomes(failed=1)
    assert failed in text_of(again)


def test_a_fault_without_a_name_has_no_line_to_replay_it(run: Run) -> None:
    """The timeline is shown all the same."""
    result = run(
        """
        from mockserver import FaultRule
        from rest_api_client.script import Reset, Script

        def test_it(api_client, http_faults):
            http_faults.add(FaultRule(lambda script: Script(Reset()), effect="none"))
            api_client.get("/users/1", max_retries=0)
        """
    )
    result.assert_outcomes(failed=1)
    assert "HTTP timeline" in text_of(result)
    assert "replay with" not in text_of(result)


REHEARSED = """
import pytest
from pathlib import Path
from pytest_plugin.rehearsal import FaultSchedule, rehearse, save
from rest_api_client import APIClient

TOKEN = FaultSchedule(steps=("error(503)", "ok", "error(502)")).token

def make(stage):
    return APIClient(**stage.options(), max_retries=0, raise_for_status=False)
"""


def test_a_rehearsal_is_had_again_by_its_token_or_its_file(run: Run) -> None:
    """What Hypothesis found plays on the mock server, by mark or from the command line."""
    tests = """
def statuses(client):
    return [client.get("/users/1", max_retries=0, raise_for_status=False).status_code for _ in range(4)]

@pytest.mark.api_faults(TOKEN)
def test_token(virtual_clock, api_client):
    assert statuses(api_client) == [503, 200, 502, 200]

def test_file(virtual_clock, api_client, http_faults, tmp_path):
    http_faults.add(save(rehearse(make, TOKEN), tmp_path / "saved.yaml"))
    assert statuses(api_client) == [503, 200, 502, 200]

@pytest.mark.api_faults("error(500)")
def test_replayed(virtual_clock, api_client, api_fault_replay):
    assert statuses(api_client) == ([503, 200, 502, 200] if api_fault_replay else [500] * 4)
"""
    run(REHEARSED + tests).assert_outcomes(passed=3)
    token = FaultSchedule(steps=("error(503)", "ok", "error(502)")).token
    run(REHEARSED + tests, "-k", "replayed", f"--api-fault-replay={token}").assert_outcomes(passed=1, deselected=2)


def test_a_rehearsal_that_fails_is_in_the_page(run: Run, suite: pytest.Pytester) -> None:
    """It keeps its own record; no fixture of ours is needed."""
    tests = """
def test_it():
    client = lambda stage: APIClient(**stage.options(), pacing=None, retry=None)
    rehearse(client, ["error(429, retry_after=100)"] * 20).raise_()

def test_other():
    raise AssertionError("nothing to draw")
"""
    run(REHEARSED + tests, "--api-report=page.html").assert_outcomes(failed=2)
    html = (suite.path / "page.html").read_text()
    assert html.count("<svg") == 1
    assert "test_it.py::test_it: failed" in html
