"""What failed tests show: sections in the terminal, one page for all of them."""

from __future__ import annotations

import re

import pytest

from tests.pytest_plugin.conftest import Run, text_of

FAILING = """
import pytest

@pytest.mark.api_faults("error(503)")
@pytest.mark.api_client(headers={"authorization": "Bearer hunter2"})
def test_first(virtual_clock, api_client):
    api_client.get("/users/7", params={"api_key": "hunter2"})

def test_second(virtual_clock, api_client):
    assert api_client.get("/users/8").data is None

def test_fine(virtual_clock, api_client):
    api_client.get("/users/9")

def test_foreign():
    assert "foreign" == ""

def test_rules(virtual_clock, mock_server, make_api_client):
    mock_server.faults = "rule=error(429, retry_after=60)"
    with make_api_client(mock_server, retry=None, pacing=None, raise_for_status=False) as client:
        for _ in range(3):
            client.get("/users/10")
            virtual_clock.sleep(1)
"""


def test_a_failed_test_shows_its_timeline_and_no_other_does(run: Run) -> None:
    """A section of its own for each failed test with a fixture of ours, without its secrets."""
    result = run(FAILING)
    result.assert_outcomes(failed=3, passed=2, errors=1)
    text = text_of(result)
    assert text.count("- HTTP timeline -") == 3
    assert text.count("GET /users/9") == 0
    timelines = [re.split(r"\n(?:___|===)", part)[0] for part in text.split("- HTTP timeline -")[1:]]
    assert all("hunter2" not in each for each in timelines)
    (first,) = (each for each in timelines if "test_it.py::test_first" in each)
    assert "attempts exhausted" in first


def test_the_page_has_all_failed_tests_with_their_pictures(run: Run, suite: pytest.Pytester) -> None:
    """--api-report writes one file, directories made, with the tests' messages; passed tests where one asks for all."""
    result = run(FAILING, "--api-report=out/page.html")
    result.stdout.fnmatch_lines(["timelines: out/page.html"])
    html = (suite.path / "out" / "page.html").read_text()
    assert [html.count(f"test_it.py::{name}: failed") for name in ("test_first", "test_second", "test_rules")] == [
        1,
        1,
        1,
    ]
    assert html.count("<svg") == 3
    assert "a rule of good behaviour was broken" in html
    assert "test_fine" not in html
    assert "hunter2" not in html
    run(FAILING, "--api-report=page.html", "-oapi_report_tests=all")
    html = (suite.path / "page.html").read_text()
    assert html.count("test_it.py::test_fine: passed") == 1
    assert html.count("<svg") == 4


def test_a_page_of_a_good_run_says_so(run: Run, suite: pytest.Pytester) -> None:
    """No failure, no picture, but a page."""
    run("def test_it(virtual_clock, api_client): api_client.get('/users/1')", "--api-report=page.html")
    assert "no test failed" in (suite.path / "page.html").read_text()


def test_an_error_in_a_fixture_shows_what_happened_before(run: Run) -> None:
    """A test that fails at its setup has a timeline as well."""
    result = run(
        """
        import pytest

        @pytest.fixture
        def login(api_client):
            api_client.get("/users/7")
            raise RuntimeError("no login")

        def test_it(virtual_clock, login):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    assert "GET /users/7" in text_of(result).partition("HTTP timeline")[2]
