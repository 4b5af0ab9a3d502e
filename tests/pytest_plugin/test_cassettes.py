"""Cassettes by fixture and by mark: where they lie, what the command line says, what is told at the end."""

from __future__ import annotations

import itertools
import random
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cassettes import cassette_path
from pytest_plugin.recorded import folder_of, name_of
from tests.pytest_plugin.conftest import Run, text_of

API = """
import pytest
from rest_api_client.engines.scripted import ScriptedTransport, respond

pytestmark = pytest.mark.api_client(base_url="https://api.example.com")
made = []

@pytest.fixture
def api_cassette_config():
    made.append(1)
    answers = [respond(200, json={"n": n, "run": RUN}) for n in range(9)]
    return {"inner": ScriptedTransport(answers)}
"""

ONE = API.replace("RUN", "1")
TWO = API.replace("RUN", "2")

PLAYS = """
@pytest.mark.api_cassette
def test_it(api_client):
    assert api_client.get("/a").data == {"n": 0, "run": 1}
"""


def test_a_cassette_is_recorded_once_and_played_from_then_on(run: Run, suite: pytest.Pytester) -> None:
    """It lies under the test's directory, by module, class and parameters; a mark is enough."""
    tests = """
class TestC:
    @pytest.mark.api_cassette
    @pytest.mark.parametrize("n", ["a/b", "c"])
    def test_p(self, api_client, n):
        assert api_client.get("/a").data["run"] == 1

def test_fixture(http_cassette, api_client):
    assert api_client.get("/a").data["run"] == 1
    assert http_cassette.path.parent.name == "test_it"
"""
    run(ONE + tests).assert_outcomes(passed=3)
    files = sorted(path.name for path in (suite.path / "cassettes" / "test_it").iterdir())
    assert files[1:] == ["TestC.test_p[c].yaml", "test_fixture.yaml"]
    assert files[0].startswith("TestC.test_p[a-b]-")
    run(TWO + tests, "--api-cassettes=none").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--api-cassettes=all"], 2), (["--api-cassettes=once"], 1), (["-oapi_cassette_mode=all"], 2), ([], 1)],
)
def test_the_command_line_and_the_ini_file_say_the_mode(run: Run, options: list[str], expected: int) -> None:
    """What is recorded already is played, unless a mode says to record it anew."""
    run(ONE + PLAYS).assert_outcomes(passed=1)
    again = PLAYS.replace('== {"n": 0, "run": 1}', f'["run"] == {expected}')
    run(TWO + again, *options).assert_outcomes(passed=1)


def test_a_mark_goes_before_the_fixture_and_the_command_line_before_the_mark(run: Run) -> None:
    """mode="all" in the mark records anew; --api-cassettes=none does not."""
    run(ONE + PLAYS).assert_outcomes(passed=1)
    marked = PLAYS.replace("api_cassette\n", 'api_cassette(mode="all")\n')
    run(TWO + marked, "--api-cassettes=none").assert_outcomes(passed=1)
    run(TWO + marked).assert_outcomes(failed=1)


def test_in_ci_nothing_is_recorded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, a test fails at its setup and says how the file is made."""
    monkeypatch.setenv("CI", "true")
    result = run(ONE + PLAYS)
    result.assert_outcomes(errors=1)
    assert "record it with mode='once'" in text_of(result)


def test_folder_and_name_can_be_chosen(run: Run, suite: pytest.Pytester) -> None:
    """api_cassette_dir is where they lie; a name in the mark, with or without the form's end, is the file's."""
    tests = """
@pytest.fixture
def api_cassette_dir(request):
    return request.path.parent / "tapes"

@pytest.mark.api_cassette("login.json")
def test_it(api_client):
    api_client.get("/a")

@pytest.mark.api_cassette("../../escape")
def test_other(api_client):
    api_client.get("/a")
"""
    run(ONE + tests).assert_outcomes(passed=2)
    found = sorted(str(path.relative_to(suite.path)) for path in suite.path.rglob("tapes/**/*") if path.is_file())
    assert "tapes/login.json" in found
    assert len(found) == 2


def test_a_client_that_plays_needs_an_address(run: Run) -> None:
    """Without one the message says where to give it."""
    result = run("def test_it(http_cassette, api_client): pass", "--api-cassettes=all")
    result.assert_outcomes(errors=1)
    assert "needs the API's address" in text_of(result)


def test_in_virtual_time_a_cassette_plays_its_pauses_on_the_clock(run: Run) -> None:
    """What took three seconds when it was recorded takes three virtual ones."""
    tests = """
from rest_api_client.script import Chunk, Delay, End, Head, Script

@pytest.fixture
def api_cassette_config():
    answer = Script(Delay(3), Head(200, (("content-length", "2"),)), Chunk(b"ok"), End())
    return {"inner": ScriptedTransport([answer])}

@pytest.mark.api_cassette("slow")
def test_it(virtual_clock, api_client):
    assert api_client.get("/a").content == b"ok"
    assert 3 <= virtual_clock.monotonic() < 4
"""
    run(ONE + tests).assert_outcomes(passed=1)
    run(ONE + tests, "--api-cassettes=none").assert_outcomes(passed=1)


def test_recordings_that_are_not_played_are_told(run: Run) -> None:
    """In the summary, or, where the ini file says so, as an error; not of a test that failed, not twice."""
    both = """
@pytest.mark.api_cassette
def test_it(api_client):
    api_client.get("/a")
    api_client.get("/b?token=hunter2")
"""
    run(ONE + both).assert_outcomes(passed=1)
    result = run(ONE + PLAYS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["1 recording not played:", "*test_it.yaml: GET https://api.example.com/b?token=* -> 200"]
    )
    assert "hunter2" not in text_of(result)
    result = run(ONE + PLAYS, "-oapi_cassette_on_unused=fail")
    result.assert_outcomes(passed=1, errors=1)
    assert "not all recordings were played" in text_of(result)
    result = run(ONE + PLAYS + "    assert False\n", "-oapi_cassette_on_unused=fail")
    result.assert_outcomes(failed=1)
    assert "not played" not in text_of(result)


def test_what_strictness_says_at_the_end_fails_a_test_that_passed_only(run: Run) -> None:
    """One error for one test."""
    both = PLAYS.replace("api_cassette\n", 'api_cassette(strictness="strict")\n') + "    api_client.get('/b')\n"
    run(ONE + both).assert_outcomes(passed=1)
    less = PLAYS.replace("api_cassette\n", 'api_cassette(strictness="strict")\n')
    result = run(ONE + less)
    result.assert_outcomes(passed=1, errors=1)
    assert "were never played" in text_of(result)
    run(ONE + less + "    assert False\n").assert_outcomes(failed=1)


def test_an_expired_cassette_is_told_and_where_asked_fails(run: Run, suite: pytest.Pytester) -> None:
    """After api_cassette_max_age days: a warning and a line in the summary, or an error; never a recording."""
    run(ONE + PLAYS).assert_outcomes(passed=1)
    (file,) = suite.path.rglob("test_it.yaml")
    text = file.read_text()
    date = next(line for line in text.splitlines() if "recorded:" in line)
    file.write_text(text.replace(date, f"{date.partition(':')[0]}: '2020-01-01T00:00:00Z'"))
    options = ["-oapi_cassette_max_age=30", "-Wdefault"]
    result = run(TWO + PLAYS, *options)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["1 cassette expired, record anew with --api-cassettes=refresh:"])
    result = run(TWO + PLAYS, *options, "-oapi_cassette_on_expiry=fail")
    result.assert_outcomes(errors=1)
    assert "days ago, and may be 30 days old" in text_of(result)


def test_cassettes_of_no_test_are_told_after_a_whole_run(run: Run) -> None:
    """Not after part of one: a selection, a deselection, a run that was stopped."""
    two = PLAYS + PLAYS.replace("test_it", "test_other")
    run(ONE + two).assert_outcomes(passed=2)
    orphan = "1 cassette of no test:"
    result = run(ONE + PLAYS)
    result.stdout.fnmatch_lines([orphan, "*test_other.yaml"])
    for options in (
        ["-k", "it and not x"],
        ["test_it.py::test_it"],
        ["test_it.py"],
        ["--ignore=test_none.py"],
        ["--co"],
        ["-x"],
    ):
        broken = "\ndef test_broken(): assert False\n" if options == ["-x"] else "\ndef test_x(): pass\n"
        assert orphan not in text_of(run(ONE + PLAYS + broken, *options)), options


def test_other_libraries_play_through_vcrpy(run: Run) -> None:
    """patched=True: what httpx itself sends is recorded and played."""
    source = """
import httpx
import pytest

@pytest.fixture(scope="session")
def url(mock_server_session):
    return mock_server_session.url

@pytest.mark.api_cassette("httpx", patched=True, matching=MATCHING)
def test_it(http_cassette, url):
    assert httpx.get(f"{url}/users/7").json()["id"] == 7
"""
    matching = "__import__('cassettes').Matching(on=('method', 'path', 'query'))"
    source = source.replace("MATCHING", matching)
    run(source).assert_outcomes(passed=1)
    another = source.replace(
        'get(f"{url}/users/7"', 'get(f"{url}/users/8?api_key=hunter2", headers={"x-token": "hunter3"}'
    )
    result = run(another, "--api-cassettes=none")
    result.assert_outcomes(failed=1)
    assert "no recording answers" in text_of(result)
    assert "hunter3" not in text_of(result).replace('"x-token": "hunter3"', "")  # but in the test's own source
    offline = source.replace("return mock_server_session.url", "return 'http://nowhere.invalid'")
    run(offline, "--api-cassettes=none").assert_outcomes(passed=1)


def node(name: str, cls: type | None = None) -> Any:
    """As much of a test as a cassette's name is made of."""
    return SimpleNamespace(path=Path("/tests/test_it.py"), name=name, cls=cls)


def test_names_of_tests_make_files_in_the_folder_and_none_twice(tmp_path: Path) -> None:
    """5,000 names from the odd end of what parameters can be: all within, all apart."""
    chance = random.Random(5)
    letters = "/\\.:*?<>|\"' -_[]~$\u00e9\u2028" + string.ascii_lowercase
    odd = ("../x", "..", "a/../../b", "/etc/passwd", "con", "a.yaml/b", "x" * 300)
    names = {f"test_x[{''.join(chance.choices(letters, k=chance.randrange(1, 40)))}]" for _ in range(5000)} | set(odd)
    folder = tmp_path / "cassettes"
    paths = {str(cassette_path(folder, name_of(node(name)))).lower() for name in names}
    assert len(paths) == len({name.lower() for name in names}) or len(paths) == len(names)
    assert all(Path(path).parent == Path(str(folder).lower()) for path in paths)


def test_a_class_is_part_of_the_name() -> None:
    """Two classes with a test of one name have two cassettes."""

    class Outer:
        class Inner:
            pass

    names = [name_of(node("test_it", cls)) for cls in (None, Outer, Outer.Inner)]
    assert all(one != other for one, other in itertools.combinations(names, 2))
    assert folder_of(node("test_it")) == Path("/tests/cassettes/test_it")
