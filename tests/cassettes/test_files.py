"""Files: whatever they hold, and whatever they are called."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cassettes import Cassette, CassetteError, Failure, Redaction, ReplayTransport, cassette_path, files, yaml_form
from cassettes.compare import compared
from cassettes.files import append, load, parse, render, replace
from cassettes.interaction import Asked, Interaction
from cassettes.limits import Limits
from cassettes.names import SUFFIXES
from cassettes.session import clean_interactions
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import APIError
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script
from rest_api_client.virtual.clock import VirtualClock
from tests.cassettes.hostile import hostile_names, hostile_yaml, mutated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("text", hostile_yaml(60))
def test_a_hostile_file_runs_nothing_and_ends_soon(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, or it was harmless; and no more of it is looked at than it is long, or than is allowed."""
    trap = tmp_path / "ran"
    events = 0

    class Counting:
        def __init__(self, text: str) -> None:
            self._get = parser(text).get_event

        def get_event(self) -> Any:
            nonlocal events
            events += 1
            return self._get()

    parser = yaml_form._PARSER
    monkeypatch.setattr(yaml_form, "_PARSER", Counting)
    text = text.replace("TRAP", str(trap))
    with suppress(CassetteError):
        for each in parse(text, ".yaml", Limits(nodes=100_000))[0]:
            _ = each.script
    assert events <= min(2 * len(text) + 10, 300_000)
    assert not trap.exists()


@given(st.text(max_size=200))
@settings(max_examples=300)
def test_any_text_is_a_cassette_or_refused(text: str) -> None:
    """In each form; never another error."""
    for suffix in (".yaml", ".json", ".jsonl"):
        try:
            for each in parse(text, suffix)[0]:
                _ = each.script
        except CassetteError:
            pass


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("form", [".yaml", ".json", ".jsonl"])
def test_a_changed_file_is_a_cassette_or_refused(form: str, seed: int) -> None:
    """Whatever stands where something else belongs: it is read, written, scrubbed, compared and played, or refused."""
    chance = random.Random(seed)
    given = [
        Interaction(Asked("POST", "https://api.test/a?x=1", (("accept", "*/*"),), b"{}"), respond(200, json={"a": 1})),
        Interaction(Asked("GET", "https://api.test/b"), Script(Head(200), Chunk(b"c"), Reset()), Failure("ReadError")),
        Interaction(Asked("GET", "https://api.test/c"), Script(Delay(0.5), Head(204), End()), started=1.5),
    ]
    text = render(given, {"recorded": "2026-11-23"}, ".jsonl" if form == ".jsonl" else ".json")
    trees = [json.loads(line) for line in text.splitlines()] if form == ".jsonl" else [json.loads(text)]
    changed = [json.dumps(each) for each in mutated(chance, trees)]
    with suppress(CassetteError):
        found, about = parse("\n".join(changed) + "\n", form)
        clean = clean_interactions(found, Redaction(), "it")
        compared(clean, given)
        for suffix in SUFFIXES:
            parse(render(clean, about, suffix), suffix)
        cassette = Cassette(clean)
        with APIClient(engine=ReplayTransport(cassette), max_retries=0, deadline=1, clock=VirtualClock()) as client:
            for each in clean:
                with suppress(APIError):
                    client.request(each.asked.method, each.asked.uri)


SCALARS = st.one_of(st.text(max_size=40), st.binary(max_size=40), st.none(), st.booleans(), st.integers(-999, 9999))


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
@settings(max_examples=300)
def test_what_is_written_as_yaml_is_read_again(tree: object) -> None:
    """Text, bytes and numbers, however they look."""
    assert yaml_form.load(yaml_form.dump(tree)) == tree


@pytest.mark.parametrize(
    ("text", "limits", "words"),
    [
        ("[" * 40 + "]" * 40, Limits(), "deeper than 32"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", Limits(nodes=12), "more than 12 values"),
        ("a: *a", Limits(), "before"),
        ("a: &a [*a]", Limits(), "before"),
        ("{[1]: 2}", Limits(), "key"),
        ("a: !!binary '###'", Limits(), "cannot be read"),
    ],
)
def test_a_file_beyond_its_limits_is_refused(text: str, limits: Limits, words: str) -> None:
    """Depth, aliases that grow, and what refers to itself."""
    with pytest.raises(CassetteError, match=words):
        yaml_form.load(text, limits)


def test_what_could_not_be_read_again_is_not_written() -> None:
    """The limits of reading hold for writing."""
    nested: Any = []
    for _ in range(40):
        nested = [nested]
    with pytest.raises(CassetteError, match="deeper than 32"):
        yaml_form.dump(nested)
    with pytest.raises(CassetteError, match="more than 9 values"):
        yaml_form.dump({"a": [1, 2, 3], "b": {"c": [4, 5]}}, Limits(nodes=9))
    text = yaml_form.dump({"a": [1, 2, 3], "b": {"c": [4, 5]}}, Limits(nodes=12))
    assert yaml_form.load(text, Limits(nodes=12))["a"] == [1, 2, 3]


def test_aliases_are_read_where_they_are_few() -> None:
    """vcrpy writes them where one object stands twice."""
    assert yaml_form.load("a: &x [1]\nb: *x\nc: &y t\nd: *y") == {"a": [1], "b": [1], "c": "t", "d": "t"}


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """Not there, no text, too large, a name of no form."""
    path = tmp_path / "a.yaml"
    with pytest.raises(CassetteError, match="No such file"):
        load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CassetteError, match="UTF-8"):
        load(path)
    with pytest.raises(CassetteError, match="at most 2"):
        load(path, Limits(size=2))
    with pytest.raises(CassetteError, match="ends in"):
        load(tmp_path / "a.pickle")
    with pytest.raises(CassetteError, match="cannot write"):
        replace(path / "below.yaml", "")
    with pytest.raises(CassetteError, match="cannot read"):
        append(tmp_path / "none.jsonl", "")
    with pytest.raises(CassetteError, match="limits"):
        Limits(size=1).check_size(2, path)


def test_a_file_keeps_its_rights_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A link stays a link."""
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    replace(link, "new")
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml"]


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary one."""
    path = tmp_path / "a.yaml"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(CassetteError, match="No space left"):
        replace(path, "new")
    assert os.listdir(tmp_path) == ["a.yaml"]
    assert path.read_text() == "old"


KILLED = """
import os, sys
from pathlib import Path
from cassettes import files

path, steps = Path(sys.argv[1]), ("mkdir", "fdopen", "fsync", "chmod", "replace", "unlink")

def killed_at(step, write):
    child = os.fork()
    if child == 0:
        setattr(os, step, lambda *_, **__: os._exit(9))
        write()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), path.read_text()

for step in steps:
    path.write_text("old\\n")
    print(step, *killed_at(step, lambda: files.replace(path, "new\\n")))
    path.write_text("old\\n")
    print(step, *killed_at(step, lambda: files.append(path, "more\\n")))
"""


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Each step of writing is the last in turn."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.replace("\n\n", "\n").splitlines()
    assert [line for line in lines if line.startswith(("fdopen", "fsync", "chmod", "replace"))] == [
        f"{step} 9 old" for step in ("fdopen", "fsync", "chmod", "replace") for _ in range(2)
    ]
    assert lines[-3:] == ["unlink 0 new", "unlink 0 old", "more"]


def test_importing_it_loads_neither_vcrpy_nor_yaml() -> None:
    """Each is loaded when it is needed first."""
    code = "import cassettes, sys; print([name for name in ('vcr', 'yaml', 'pytest') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


HEAD = '{"cassette":1}\n'
ASKED = '{"n":0,"method":"GET","uri":"https://api.test/","headers":[]}\n'
TOLD = '{"n":0,"steps":[[0,"head",204,null,[]],[0,"end"]]}\n'


def test_a_line_that_was_cut_by_a_kill_does_not_count(tmp_path: Path) -> None:
    """Neither when it is read nor when more is written behind it."""
    path = tmp_path / "a.jsonl"
    for end in range(len(TOLD)):
        path.write_text(HEAD + ASKED + TOLD + ASKED + TOLD[:end])
        assert len(load(path)[0]) == 1
    path.write_text(HEAD + ASKED + TOLD + ASKED[:9])
    append(path, (ASKED + TOLD).replace('"n":0', '"n":1'))
    assert len(load(path)[0]) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}\n", "no cassette of version 1"),
        ('{"cassette":2}\n', "no cassette of version 1"),
        ("[]\n", "an object"),
        ("{\n", "line 1 is no JSON"),
        (HEAD + '{"n":0}\n' + TOLD, "line 2 is no request"),
        (HEAD + ASKED + '{"n":0}\n', "line 3 is no answer"),
        (HEAD + ASKED.replace('"GET"', "7") + TOLD, "line 2 is no request"),
        (HEAD + ASKED.replace("[]", '[["a",["b"]]]') + TOLD, "line 2 is no request"),
        (HEAD + ASKED.replace("api.test", "\\ud800") + TOLD, "line 2 is no request"),
        (HEAD + ASKED.replace("[]", '[],"body":7') + TOLD, "line 2 is no request"),
        (HEAD + ASKED + '{"n":0,"steps":[[0,"head",200,null,[]],[0,"chunk",7],[0,"end"]]}\n', "line 3 is no answer"),
        (HEAD + ASKED + '{"n":0,"steps":[[0,"dance"]]}\n', "line 3 is no answer"),
        (HEAD + ASKED + '{"n":0,"script":{"version":9}}\n', "version 9"),
        (HEAD + ASKED + '{"n":0,"error":"os.system","steps":[[0,"reset"]]}\n', "no failure a cassette knows"),
    ],
)
def test_lines_that_are_no_cassette(text: str, words: str) -> None:
    """The message names the line."""
    with pytest.raises(CassetteError, match=words):
        [each.script for each in parse(text, ".jsonl")[0]]


def test_an_empty_native_file_is_an_empty_cassette() -> None:
    """As the others are."""
    assert parse("", ".jsonl") == ([], {})


def test_json_holds_text_alone() -> None:
    """A body of bytes is refused with words, where vcrpy loses the whole file."""
    asked = "request: {method: GET, uri: u, body: !!binary /w==, headers: {}}"
    told = "response: {status: {code: 200, message: x}, headers: {}, body: {string: a}}"
    text = render(*parse(f"interactions: [{{{asked}, {told}}}]", ".yaml"), ".yaml")
    with pytest.raises(CassetteError, match=r"\.yaml or \.jsonl"):
        render(*parse(text, ".yaml"), ".json")


def test_json_that_is_none_is_refused() -> None:
    """Numbers beyond all measure, and half of a character in a text that is written as YAML."""
    with pytest.raises(CassetteError, match="no JSON"):
        parse("9" * 5000, ".json")
    asked = {"method": "GET", "uri": "u", "body": "", "headers": {}}
    told: dict[str, Any] = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "\ud800"}}
    tree = {"interactions": [{"request": asked, "response": told}], "version": 1}
    found, about = parse(json.dumps(tree), ".json")
    with pytest.raises(CassetteError, match="half of a character"):
        render(found, about, ".yaml")
    asked["uri"] = "\ud800"
    with pytest.raises(CassetteError, match="interaction 0"):
        parse(json.dumps(tree), ".json")


def test_a_number_that_is_none_is_kept_as_text() -> None:
    """NaN is no JSON, and neither is a line with it."""
    body = b'{"a": NaN}'
    json_fields = (("content-type", "application/json"),)
    given = [Interaction(Asked("POST", "https://api.test/", json_fields, body), Script(Head(204), End()))]
    text = render(given, {}, ".jsonl")
    assert '"body":"{\\"a\\": NaN}"' in text
    assert parse(text, ".jsonl")[0][0].asked.body == body


NAMES = hostile_names(400)


def test_a_name_never_leaves_its_folder_and_is_nobody_elses(tmp_path: Path) -> None:
    """Whatever a test is called."""
    paths = [cassette_path(tmp_path, name) for name in NAMES]
    assert all(path.resolve().is_relative_to(tmp_path) for path in paths)
    assert len(set(paths)) == len(set(NAMES))
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("login", "login.yaml"),
        ("test_users/TestList.test_pages[2-a]", "test_users/TestList.test_pages[2-a].yaml"),
        ("v1.2", "v1.2.yaml"),
    ],
)
def test_an_ordinary_name_is_the_name_of_the_file(name: str, path: str, tmp_path: Path) -> None:
    """So that people find it."""
    assert cassette_path(tmp_path, name) == tmp_path / path


def test_a_name_that_cannot_be_one(tmp_path: Path) -> None:
    """Nothing, a suffix of no form, a link out of the folder."""
    with pytest.raises(CassetteError, match="give a cassette a name"):
        cassette_path(tmp_path, "")
    with pytest.raises(CassetteError, match="suffix"):
        cassette_path(tmp_path, "a", ".pickle")
    (tmp_path / "out").symlink_to("/tmp")
    with pytest.raises(CassetteError, match="by a link"):
        cassette_path(tmp_path, "out/a")
    assert SUFFIXES[0] == ".yaml"
