"""What the plugin does to a run that does not use it: next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_plugin import fixtures, markers
from tests.pytest_plugin.conftest import Run, text_of

HEAVY = (
    "anyio", "cassettes", "faker", "httpx", "hypothesis", "mockserver", "rest_api_client.client", "starlette", "trio",
    "uvicorn", "vcr", "yaml",
)  # fmt: skip


def test_a_run_that_uses_nothing_of_it_imports_nothing_heavy(tmp_path: Path) -> None:
    """pytest with the plugin, and a test that does not use it, loads none of what its fixtures need."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    program = (
        "import pytest, sys\n"
        "code = pytest.main(['-q', '-p', 'rest_api_client', '-p', 'no:cacheprovider'])\n"
        "assert code == 0 and 'pytest_plugin.plugin' in sys.modules\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "LOADED []" in done.stdout, done.stdout + done.stderr


def test_marks_options_and_fixtures_are_all_told(suite: pytest.Pytester) -> None:
    """`--markers`, `--help` and `--fixtures` have a line for each of ours."""
    told = text_of(suite.runpytest_inprocess("--markers"))
    assert all(f"@pytest.mark.{line.partition('(')[0]}" in told for line in markers.MARKERS)
    told = text_of(suite.runpytest_inprocess("--help"))
    for option in ("--api-cassettes=MODE", "--api-fault-seed=SEED", "--api-fault-replay=TOKEN", "--api-report=PATH"):
        assert option in told
    told = text_of(suite.runpytest_inprocess("--fixtures"))
    assert all(f"\n{name} " in told for name in (*fixtures.SHARED, "mock_server", "api_client", "http_cassette"))
    assert "no docstring available" not in told.partition("pytest_plugin.fixtures")[2]


def test_all_names_are_our_own(suite: pytest.Pytester) -> None:
    """Options begin with --api-, ini names with api_, marks with api_: other plugins' are not touched."""
    config = suite.parseconfig()
    ours = next(group for group in config._parser._groups if group.name == "rest_api_client")
    assert all(name.startswith("--api-") for option in ours.options for name in option.names())
    assert [name for name in config._parser._inidict if name.startswith("api_")]
    assert all(line.startswith("api_") for line in markers.MARKERS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("api_cassette_mode = play", "give one of none, once, new, all, refresh"),
        ("api_cassette_on_expiry = maybe", "give one of warn, fail"),
        ("api_cassette_on_unused = warn", "give one of report, fail"),
        ("api_network = off", "give one of block, allow"),
        ("api_report_tests = some", "give one of failed, all"),
        ("api_cassette_max_age = soon", "give a number above 0"),
        ("api_cassette_max_age = 0", "give a number above 0"),
        ("api_fault_seed = luck", "give a whole number"),
        ("api_fault_seed =", "give a whole number"),
    ],
)
def test_an_ini_value_that_means_nothing_is_refused(suite: pytest.Pytester, line: str, said: str) -> None:
    """Before any test runs, with the name and what it may be."""
    suite.makeini(f"[pytest]\n{line}\n")
    result = suite.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert line.partition(" ")[0] in result.stderr.str()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--api-cassettes=play", "invalid choice"),
        ("--api-fault-seed=x", "invalid int"),
        ("--api-report=.", "a directory"),
    ],
)
def test_an_option_that_means_nothing_is_refused(suite: pytest.Pytester, option: str, said: str) -> None:
    """As pytest refuses its own."""
    result = suite.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_a_mark_with_too_much_is_refused(run: Run) -> None:
    """The message names the test and the mark."""
    result = run(
        """
        import pytest

        @pytest.mark.api_client(1, 2)
        def test_it(api_client):
            pass

        @pytest.mark.api_allow_network("localhost")
        def test_address(mock_server):
            pass

        @pytest.mark.api_faults("error(503)", nonsense=1)
        def test_fault(mock_server):
            pass

        @pytest.mark.api_faults("seed=1", first=1)
        def test_line(mock_server):
            pass

        @pytest.mark.api_faults(7)
        def test_number(mock_server):
            pass
        """
    )
    result.assert_outcomes(errors=5)
    text = text_of(result)
    for said in (
        "test_it.py::test_it: @pytest.mark.api_client takes at most 1 positional argument, not 2",
        "api_allow_network('localhost'): give 'host:port', or nothing to allow everything",
        "unexpected keyword argument 'nonsense'",
        "options first are for a fault given by its name",
        "7: give a fault's name",
    ):
        assert said in text
