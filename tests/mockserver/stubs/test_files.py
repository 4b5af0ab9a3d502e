"""Stub files: what they say is what is served, what they must not say is refused, with the place."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path as File
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.faults.known import fault
from mockserver.matching import (
    Absent,
    And,
    Anything,
    Body,
    Contains,
    Cookie,
    Equal,
    Form,
    Header,
    Json,
    JsonPartial,
    JsonPath,
    Matcher,
    Method,
    Mismatch,
    Not,
    OneOf,
    Or,
    Path,
    PathRegex,
    Present,
    Query,
    Regex,
    Value,
)
from mockserver.seen import Seen
from mockserver.stubs import Reply, Stub, StubFileError, Stubs, dump, load, read_stubs, stub, write_stubs
from mockserver.stubs.documents import parse_document
from mockserver.stubs.inside import LARGEST_BODY, read_inside
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script

EXAMPLE = """\
version: 1
stubs:
  - id: user
    name: one user
    when:
      method: GET
      path: /users/{id}
      query: {page: 2, tag: [a, {contains: b, ignore_case: true}], old: {absent: true}, q: }
      headers: {Accept: {one_of: [json, {regex: "^app", whole: true}]}}
    answer: {json: {id: "{path.id}"}, headers: {x-n: 1}, fault: truncate(after=3), delay: 0.5}
  - when:
      method: [POST, PUT]
      path_regex: /users/\\d+
      cookies: {session: {present: true}}
      form: {a: b}
      json_path: [$.a, {path: $.b, equals: {c: 1}}, {path: $.d, text: {equal: x}}]
      any: [{body: x}, {body: {base64: /w==}}, {not: {json: {a: 1}}}]
      all: [{json_partial: [1]}, {json_any_order: [2]}]
    answer:
      - {status: 503, headers: [[set-cookie, a=1], [set-cookie, b=2]]}
      - {body_file: bodies/user.json}
      - {chunks: [a, {base64: /w==}], every: 0.1, template: false}
      - script: [{step: delay, seconds: 1}, {step: head, status: 200}, {step: chunk, text: hi}, {step: reset}]
    cycle: true
    priority: 2
    times: 9
    nth: [1, 3]
    state: {name: signup, required: open, next: done}
"""
STUBS = [
    Stub(
        id="user",
        name="one user",
        when=And(
            Method("GET"),
            Path("/users/{id}"),
            Query("page", "2"),
            Query("tag", "a"),
            Query("tag", Contains("b", ignore_case=True)),
            Query("old", Absent()),
            Query("q"),
            Header("accept", OneOf("json", Regex("^app", whole=True))),
        ),
        answer=Reply(json={"id": "{path.id}"}, headers={"x-n": "1"}, fault=fault("truncate(after=3)"), delay=0.5),
    ),
    Stub(
        when=And(
            Method("POST", "PUT"),
            PathRegex(r"/users/\d+"),
            Cookie("session"),
            Form("a", "b"),
            JsonPath("$.a"),
            JsonPath("$.b", {"c": 1}),
            JsonPath("$.d", Equal("x")),
            JsonPartial([1]),
            JsonPartial([2], any_order=True),
            Or(Body("x"), Body(b"\xff"), Not(Json({"a": 1}))),
        ),
        answer=[
            Reply(status=503, headers=(("set-cookie", "a=1"), ("set-cookie", "b=2"))),
            Reply(body=b'{"a":1}', headers={"content-type": "application/json"}),
            Reply(chunks=("a", b"\xff"), every=0.1, template=False),
            Script(Delay(1), Head(200), Chunk(b"hi"), Reset()),
        ],
        cycle=True,
        priority=2,
        times=9,
        nth=[1, 3],
        state=("signup", "open", "done"),
    ),
]


@pytest.fixture
def folder(tmp_path: File) -> File:
    """A folder of stubs, a body in it, and a secret beside it."""
    inside = tmp_path / "stubs"
    (inside / "bodies").mkdir(parents=True)
    (inside / "bodies" / "user.json").write_text('{"a":1}')
    (tmp_path / "secret").write_text("secret")
    return inside


def read(text: str, **options: Any) -> list[Stub]:
    return read_stubs(parse_document(text.encode(), "a.yaml"), "a.yaml", **options)


def test_a_file_says_what_python_says(folder: File) -> None:
    """Every matcher, value, answer and option has its form, and comes back from it."""
    (folder / "a.yaml").write_text(EXAMPLE)
    stubs = load(folder / "a.yaml")
    assert stubs == STUBS
    (folder / "b.yml").write_text(dump(stubs))
    assert load(folder / "b.yml") == STUBS
    (folder / "c.json").write_text(json.dumps(write_stubs(stubs)))
    assert load(folder / "c.json") == STUBS


def test_a_folder_is_read_in_the_order_of_names(folder: File) -> None:
    """One stub, a list, or a bundle in a file; what lies in folders below is no stub."""
    (folder / "b.json").write_text('{"when": {}, "answer": {"status": 202}}')
    (folder / "a.yaml").write_text("- {when: {path: /x}, answer: {}}\n- {when: {path: /y}, answer: {}}")
    (folder / "c.YML").write_text("stubs: []")
    (folder / "README.txt").write_text("no stubs")
    assert [stub.when for stub in load(str(folder))] == [Path("/x"), Path("/y"), Anything()]
    (folder / "d.yaml").symlink_to(folder.parent / "secret")
    with pytest.raises(ConfigurationError, match=r"d.yaml: a link"):
        load(folder)
    with pytest.raises(ConfigurationError, match=r"no.yaml: cannot be read"):
        load(folder / "no.yaml")


def test_a_folder_without_stub_files_is_refused(folder: File) -> None:
    """It is the wrong one, or its files are named otherwise."""
    (folder / "others").mkdir()
    (folder / "others" / "stubs.yamml").write_text("[]")
    with pytest.raises(ConfigurationError, match=r"others: no file in this folder ends in .yaml, .yml, .json$"):
        load(folder / "others")


def test_two_stubs_of_one_id_are_refused_with_both_places(folder: File) -> None:
    """Be they in one file, in a folder, or in what was named one after the other."""
    (folder / "a.yaml").write_text(
        "- {when: {}, answer: {}, id: x}\n- {when: {}, answer: {}}\n- {when: {}, answer: {}}"
    )
    (folder / "b.yaml").write_text("when: {}\nanswer: {}\nid: x")
    said = r"^b.yaml, line 3, id: the id 'x' has a stub already \(a.yaml, line 1, \[0\].id\); each has its own$"
    for paths in ([folder], [folder / "a.yaml", folder / "b.yaml"]):
        with pytest.raises(StubFileError, match=said):
            load(*paths)
    with pytest.raises(StubFileError, match=r"^a.yaml, line 2, \[1\].id: the id 'x'"):
        read("- {when: {}, answer: {}, id: x}\n- {when: {}, answer: {}, id: x}")
    assert len(load(folder / "a.yaml")) == 3


def test_a_stub_of_a_file_answers() -> None:
    """From YAML to a script, the fault done to it."""
    stubs = Stubs(read("when: {path: '/u/{id}'}\nanswer: {text: 'user {path.id}', fault: 'truncate(after=2)'}"))
    script = stubs.answer(Seen(method="GET", path="/u/7"))
    assert script is not None
    assert b"".join(step.data for step in script.steps if isinstance(step, Chunk)) == b"us"
    assert not isinstance(script.ending, End)


def test_the_callers_faults_are_the_ones_known() -> None:
    """A catalogue given in place of the usual one."""
    assert read("when: {}\nanswer: {fault: mine}", faults={"mine": lambda: lambda script: Script(Reset())})
    with pytest.raises(StubFileError, match="unknown fault 'reset'; known: mine"):
        read("when: {}\nanswer: {fault: reset}", faults={"mine": lambda: lambda script: script})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stubs:\n- when:\n    methd: GET\n  answer: {}",
            "a.yaml, line 3, stubs[0].when.methd: unknown key 'methd'; did you mean 'method'?"),
        ("when: {}\nanswer:\n  stats: 1", "a.yaml, line 3, answer.stats: unknown key 'stats'; did you mean 'status'?"),
        ("when: {}\nanswr: {}", "a.yaml, line 2, answr: unknown key 'answr'; did you mean 'answer'?"),
        ("when: {}", "a.yaml, line 1: a stub has when and answer; answer is missing"),
        ("- when: {}\n  answer: {}\n\n- answer: {}",
            "a.yaml, line 4, [1]: a stub has when and answer; when is missing"),
        ("version: 2\nstubs: []", "a.yaml, line 1, version: version 2: this release reads version 1"),
        ("version: 1", "a.yaml, line 1, stubs: give a list of stubs"),
        ("stubs: {}\nx: 1", "line 2, x: unknown key 'x'"),
        ("", "nth, state, not nothing"),
        ("- 1", "a.yaml, [0]: give a mapping with some of id, name, when, "),
        ("- 1", "nth, state, not a number"),
        ("when: {path: users}\nanswer: {}", "a.yaml, line 1, when.path: Path('users'): a path begins with '/'"),
        ("when: {query: {a: false}}\nanswer: {}", "when.query.a: give a text, not False; quote it if it is one"),
        ("when: {query: a}\nanswer: {}", "when.query: give a mapping of names and values, not a text"),
        ("when: {query: {a: {equals: 1}}}\nanswer: {}",
            "when.query.a.equals: unknown key 'equals'; did you mean 'equal'?"),
        ("when: {query: {a: {equal: 1, contains: 2}}}\nanswer: {}", "when.query.a: give one of equal"),
        ("when: {query: {a: {contains: 1, whole: true}}}\nanswer: {}", "when.query.a: "),
        ("when: {query: {a: {absent: false}}}\nanswer: {}", "write absent: true"),
        ("when: {query: {a: {one_of: a}}}\nanswer: {}", "write one_of: [a, b]"),
        ("when: {query: {a: {regex: '('}}}\nanswer: {}", "when.query.a: pattern '('"),
        ("when: {json_path: [{path: $.a, equals: 1, text: a}]}\nanswer: {}",
            "when.json_path[0]: give equals or text, not both"),
        ("when: {json_path: [{text: a}]}\nanswer: {}", "when.json_path[0]: JsonPath(None)"),
        ("when: {any: []}\nanswer: {}", "when.any: Or(): give one matcher or more"),
        ("when: {any: [{}, {not: 1}]}\nanswer: {}", "when.any[1].not: give a mapping with some of"),
        ("when: {body: {base64: '!'}}\nanswer: {}", "when.body.base64: '!' is no base64"),
        ("when: {}\nanswer: []", "give one answer or more"),
        ("when: {}\nanswer: {text: a, json: 1}", "answer.text: give one body, not json and text"),
        ("when: {}\nanswer: {script: [], status: 1}", "answer: a script is the whole answer"),
        ("when: {}\nanswer: {script: [{step: reset}, {step: jump}]}", "answer.script: step 2"),
        ("when: {}\nanswer: {script: {version: 2, steps: []}}", "answer.script: script version 2"),
        ("when: {}\nanswer: {script: 3}", "answer.script: a script is an object"),
        ("when: {}\nanswer: {fault: trunkate}", "answer.fault: unknown fault 'trunkate'; did you mean 'truncate'?"),
        ("when: {}\nanswer: {fault: truncate(befor=1)}", "line 2, answer.fault: "),
        ("when: {}\nanswer: {fault: '__import__(\"os\")'}", "answer.fault: unknown fault"),
        ("when: {}\nanswer: {body_file: a}", "only a stub in a file can name files"),
        ("when: {}\nanswer: {base64: 'a'}", "answer.base64: 'a' is no base64"),
        ("when: {}\nanswer: {base64: 5}", "answer.base64: 5 is no base64"),
        ("when: {}\nanswer: {chunks: [{base64: 5}]}", "answer.chunks[0].base64: 5 is no base64"),
        ("when: {}\nanswer: {fault: 'rule(reset)'}", "answer.fault: a rule is not taken here: give the fault alone"),
        ("when: {}\nanswer: {fault: ''}", "answer.fault: no fault is named; give one, such as truncate(after=10)"),
        ("when: {}\nanswer: {fault: {truncate: 1}}", "answer.fault: give one fault as a text, such as "),
        ("when: {}\nanswer: {fault: [reset]}", "'truncate(after=10)', not a list"),
        ("when: {}\nanswer: {status: 100}", "answer.status: Reply(status=100): give 200 or above"),
        ("when: {}\nanswer: {}\nnth: []", "a.yaml, line 3, nth: Stub(nth=[]): give one number or more"),
        ("when: {path: '/{id}'}\nanswer:\n- {}\n- text: '{path.i}'", "line 2, answer: Stub(answer=...): {path.i}"),
        ("when: {}\nanswer: {headers: {a: true}}", "answer.headers.a: give a text, not True"),
        ("when: {}\nanswer: {headers: [[a]]}", "answer.headers[0]: give pairs"),
        ("when: {}\nanswer: {text: '{qury.a}'}", "line 2, answer.text: Reply(text=...): {qury.a}: unknown source"),
        ("when: {}\nanswer: {status: '200'}", "a.yaml, line 2, answer.status: Head(status='200')"),
        ("when: {}\nanswer: {}\ntimes: 0", "a.yaml, line 3, times: Stub(times=0)"),
        ("when: {}\nanswer:\n  text: a\n  delay: -1", "a.yaml, line 4, answer.delay: Reply(delay=-1)"),
        ('when: {}\nanswer:\n  text: a\n  headers: {a: "\\n"}', "a.yaml, line 4, answer.headers: "),
        ("name: a\nwhen:\n  methd: GET", "a.yaml, line 3, when.methd: unknown key 'methd'"),
        ("\nname: a\nanswer:\n  stats: 1", "a.yaml, line 4, answer.stats: unknown key 'stats'"),
        ("\nname: a\nanswer: {}", "a.yaml, line 2: a stub has when and answer; when is missing"),
        ("when: {}\nanswer: {}\npriority: high", "a.yaml, line 3, priority: Stub(priority='high')"),
        ("when: {}\nanswer: {}\nname: 5", "a.yaml, line 3, name: "),
        ("when: {}\nanswer: {}\nid: 5", "a.yaml, line 3, id: "),
        ("when: {}\nanswer:\n  json: {id: {path.id}}",
            "a.yaml, line 3: {path.id} is a mapping in YAML: quote it, '{path.id}'"),
        ("when: {}\nanswer:\n  text: {n}", "a.yaml, line 3: {n} is a mapping in YAML: quote it, '{n}'"),
        ("when: {}\nanswer: {}\nstate: {name: a}", "a.yaml, line 3, state: Stub(state="),
        ("when: {}\nanswer: {}\nstate: a", "state: give a mapping"),
        ("when: {}\nanswer: {}\nwhen: {}", "a.yaml, line 3: 'when' stands twice"),
        ("200: a", "a.yaml, line 1: names are text: quote this one"),
        ("a: &a {b: 1}\nc: {<<: *a}", "a.yaml, line 2: merge keys are not read"),
        ("a: .inf", "$.a is inf, which JSON does not have"),
        ("a: !!binary aGk=", "which JSON does not have"),
        ("a: !!timestamp 2020-01-01", "which JSON does not have"),
        ("a: !!set {b}", "which JSON does not have"),
        ("a: !!python/object/apply:os.system [id]", "a.yaml, line 1: could not determine a constructor"),
        ("a: !!int x", "a.yaml, line 1: no value of int"),
        ("a: [", "a.yaml, line 1: while parsing a flow node, expected the node content"),
        ("a:\n\tb: 1", "a.yaml, line 2: while scanning for the next token, found character '\\t'"),
        ("a: b\n---\nc: d", "a.yaml, line 2: expected a single document in the stream, but found another document"),
        ("a: *b", "a.yaml, line 1: found undefined alias 'b'"),
        ("a: \x00", "a.yaml: "),
        ("a: " + "9" * 5_000, "a.yaml, line 1: no value of int"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    """File, line, key, and what was probably meant."""
    with pytest.raises(ConfigurationError) as refused:
        read(text)
    assert said in str(refused.value)
    assert str(refused.value).count("a.yaml") == 1


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 10))
HOSTILE = {
    "laughs": LAUGHS,
    "aliases": "a: &a x\nb: [" + "*a, " * 51 + "]",
    "itself": "a: &a [*a]",
    "itself in a mapping": "a: &a {b: {c: *a}}",
    "a name that holds itself": "&a {? *a : b}",
    "deep": "[" * 100 + "]" * 100,
    "deeper": "[" * 100_000,
    "deep by indent": "\n".join(" " * depth + "a:" for depth in range(100)),
    "deep by aliases": "a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 30 + "*a" + "]" * 30,
    "large": "a: '" + "x" * (1 << 20) + "'",
    "a large name": "? " + "x" * 100_000 + "\n: " + "{" * 70,
    "many values by aliases": "a: &a [" + "x," * 2_500 + "]\nb: [" + "*a, " * 45 + "]",
    "not utf-8": "\udcff",
    "a tag": "!!python/name:os.system",
    "another tag": "a: !<tag:yaml.org,2002:python/module:os> x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_yaml_is_refused_before_it_grows(text: str) -> None:
    """Whatever it would grow into: what is done is bounded by its size, at a few dozen calls for a byte."""
    data = text.encode("utf-8", "surrogateescape")

    def refused() -> None:
        with pytest.raises(ConfigurationError, match=r"^a.yaml"):
            parse_document(data, "a.yaml")

    assert calls(refused) < 100 * len(data) + 1_000


def test_a_file_of_too_many_values_is_not_read_to_its_end() -> None:
    """However many there are more than allowed: no more work is done."""

    def refused(values: int) -> int:
        def refuse() -> None:
            with pytest.raises(ConfigurationError, match=r"^a.yaml, line 1: more than 1000 values"):
                parse_document(b"[" + b"1," * values + b"]", "a.yaml")

        return calls(refuse)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockserver.stubs.yaml_form.MOST_NODES", 1_000)
        assert refused(20_000) <= 1.1 * refused(2_000)


def calls(act: Callable[[], object]) -> int:
    """How many Python functions are called meanwhile: a measure of work on which all machines agree."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "[" * 100_000, "[" * 70 + "]" * 70, "{", '{"a": NaN}', '"\\ud800', "1" * 5_000]
)
def test_hostile_json_is_refused(text: str) -> None:
    """Names twice, depth, what is no JSON."""
    with pytest.raises(ConfigurationError, match=r"^a.json"):
        parse_document(text.encode(), "a.json", is_json=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("12:30", "12:30"), ("1:20:00", "1:20:00"),
        ("2020-01-01", "2020-01-01"), ("1_000", "1_000"), ("0b11", "0b11"), ("=", "="), ("1.2.3", "1.2.3"),
        ("012", 12), ("0o14", 12), ("0x1F", 31), ("-7", -7), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0),
        ("true", True), ("False", False), ("~", None), ("", None), ("null", None), ('"true"', "true"),
    ],
)  # fmt: skip
def test_a_value_without_quotes_is_what_yaml_1_2_takes_it_for(text: str, value: object) -> None:
    """The country NO is no boolean, and half past twelve is not 750."""
    (made,) = read(f"when: {{}}\nanswer:\n  json:\n    a: {text}\n")
    assert isinstance(made.answer, Reply)
    assert made.answer.json == {"a": value}
    assert type(made.answer.json["a"]) is type(value)
    assert read(dump([made])) == [made]


@pytest.mark.parametrize("text", ["NO", "1e3", "0o14", "012", "12:30", "", "<<", "=", "1_000", "~"])
def test_a_text_that_looks_like_a_number_is_dumped_as_a_text(text: str) -> None:
    """Whichever version of YAML reads it."""
    written = dump([Stub(when=Path("/"), answer=Reply(json={"a": text}))])
    assert yaml.safe_load(written)["stubs"][0]["answer"]["json"] == {"a": text}
    assert read(written)[0].answer == Reply(json={"a": text})


@pytest.mark.parametrize("nth", ["", "ab", True, [1, "a"], {"a": 1}, 1.5, [None]])
def test_nth_is_a_number_or_a_list_of_numbers(nth: object) -> None:
    """Not only when the first request comes."""
    with pytest.raises(ConfigurationError, match="nth="):
        read(f"when: {{}}\nanswer: {{}}\nnth: {json.dumps(nth)}")


def test_a_message_stays_readable_whatever_it_shows() -> None:
    """A value of 100,000 characters is shortened, and what to do still stands at the end."""
    with pytest.raises(ConfigurationError, match=r"give a whole number, 1 or more, or None for no limit$") as refused:
        read(f"when: {{}}\nanswer: {{}}\ntimes: {'x' * 100_000}")
    assert len(str(refused.value)) < 1100


def test_what_is_no_file_is_not_read_from_a_folder(folder: File) -> None:
    """A pipe would be waited for."""
    os.mkfifo(folder / "pipe.yaml")
    with pytest.raises(ConfigurationError, match=r"^pipe.yaml: no ordinary file"):
        load(folder)


def test_aliases_are_read_where_they_are_few() -> None:
    """A part written once and used twice."""
    stubs = read("- {when: &w {path: /a}, answer: {status: 201}}\n- {when: *w, answer: &x {json: {d: 2020-01-01}}}\n")
    assert [each.when for each in stubs] == [Path("/a"), Path("/a")]
    assert stubs[1].answer == Reply(json={"d": "2020-01-01"})


CLIMBS = [
    "..", "../", "/..", "...", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "..\\", "..;", "\uff0e\uff0e", "..\x00",
    "..%00", "~", "~root", "$HOME", "%SYSTEMROOT%", "file:", "C:", "\\\\host"
]  # fmt: skip
TARGETS = [
    "secret", "/secret", "/../secret", "/bodies/../../secret", "\\secret", "/./../secret", "/etc/passwd",
    "//etc/passwd", "/secret\x00.json", "/secret%00", "/secret/."
]  # fmt: skip
NAMES = [climb + target for climb in CLIMBS for target in TARGETS] + [
    "", ".", "/", "//", "./bodies/user.json", "bodies//user.json", "bodies/./user.json", "/bodies/user.json",
    "bodies/user.json/",
    "bodies/../../secret", "bodies/../bodies/user.json", "bodies", "bodies/", "bodies/user.json\n",
    "bodies/user.json\x00", "no/such/file",
    "link", "linked/user.json", "linked/../secret", "out/secret", "chain", "pipe", "bodies\\user.json",
    "a" * 300, "a/" * 40 + "a",
    "/proc/self/environ", "/dev/zero", "large", "\ud800", None, 3, ["bodies/user.json"], {"a": 1},
]  # fmt: skip


def test_two_hundred_names_of_files_elsewhere_are_refused(folder: File) -> None:
    """Climbing, absolute, encoded, through links, not a file: only files inside are read."""
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "linked").symlink_to(folder / "bodies")
    (folder / "out").symlink_to(folder.parent)
    (folder / "chain").symlink_to(folder / "link")
    os.mkfifo(folder / "pipe")
    with (folder / "large").open("wb") as large:
        large.truncate(LARGEST_BODY + 1)
    assert len(NAMES) >= 200
    for name in NAMES:
        with pytest.raises(ConfigurationError):
            read_inside(folder, name)
        with pytest.raises(StubFileError):
            read_stubs({"when": {}, "answer": {"body_file": name}}, "a.json", folder=folder)
    assert read_inside(folder, "bodies/user.json") == b'{"a":1}'


def test_a_body_from_a_file_has_the_type_of_its_ending(folder: File) -> None:
    """Unless the answer says its own; what is not known is a stream of octets."""
    (folder / "bodies" / "a.bin").write_bytes(b"\x00")
    (folder / "a.yaml").write_text(
        "- {when: {}, answer: {body_file: bodies/user.json}}\n"
        "- {when: {}, answer: {body_file: bodies/user.json, headers: {Content-Type: text/x}}}\n"
        "- {when: {}, answer: {body_file: bodies/a.bin}}\n"
    )
    scripts = [Stubs([each]).answer(Seen(method="GET", path="/")) for each in load(folder)]
    heads = [next(step for step in script.steps if isinstance(step, Head)) for script in scripts if script]
    assert [head.headers[0][1] for head in heads] == ["application/json", "text/x", "application/octet-stream"]


@pytest.mark.parametrize(
    "made",
    [
        Stub(when=Anything(), answer=lambda seen, captures: Script(Reset())),
        stub("GET", "/", fault=lambda script: script),
    ],
)
def test_what_holds_a_function_cannot_be_written(made: Stub) -> None:
    """A function has no text; the message says so."""
    with pytest.raises(ConfigurationError, match="cannot be written to a file"):
        dump([made])


class Secure(Matcher):
    """A matcher of the user's own."""

    def __call__(self, seen: Seen) -> bool:
        return seen.scheme == "https"

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        return [] if self(seen) else [Mismatch("scheme", "https", seen.scheme)]


class Lower(Value):
    """A value pattern of the user's own."""

    def fits(self, text: str) -> bool:
        return text.islower()


@pytest.mark.parametrize("when", [Secure(), Method("GET") & Secure(), Query("q", Lower())])
def test_what_is_of_a_class_of_ones_own_cannot_be_written(when: Matcher) -> None:
    """Neither a matcher nor a value pattern."""
    with pytest.raises(ConfigurationError, match="of a class of your own"):
        dump([Stub(when=when, answer=Reply())])


TEXTS = st.text(max_size=4)
NAMED = st.text("abAB-", min_size=1, max_size=3).filter(lambda name: name != "-")
VALUES = st.recursive(
    st.one_of(
        st.builds(Equal, TEXTS, ignore_case=st.booleans()),
        st.builds(Contains, TEXTS, ignore_case=st.booleans()),
        st.builds(Regex, st.sampled_from(["a", "^b+$", "é|\n"]), ignore_case=st.booleans(), whole=st.booleans()),
        st.just(Present()),
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=2).map(lambda values: OneOf(*values)),
    max_leaves=3,
) | st.just(Absent())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
LEAVES: st.SearchStrategy[Matcher] = st.one_of(
    st.just(Anything()),
    st.lists(st.sampled_from(["GET", "POST"]), min_size=1, max_size=2).map(lambda names: Method(*names)),
    st.sampled_from([Path("/"), Path("/a/{b}"), Path("/{x}", exact=True), PathRegex("/a+")]),
    *(st.builds(kind, NAMED, VALUES) for kind in (Query, Header, Cookie, Form)),
    st.builds(Body, VALUES | st.binary(max_size=3)),
    st.builds(Json, JSON),
    st.builds(JsonPartial, JSON, any_order=st.booleans()),
    st.builds(JsonPath, st.sampled_from(["$", "$.a", "$..b"]), VALUES | JSON),
)
MATCHERS: st.SearchStrategy[Matcher] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: And(*parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(*parts)),
        inner.map(Not),
    ),
    max_leaves=6,
)
SECONDS = st.sampled_from([0.0, 0.5, 3])
OPTIONS = st.fixed_dictionaries(
    {"status": st.integers(200, 599), "delay": SECONDS, "template": st.just(False)},
    optional={
        "headers": st.lists(st.tuples(NAMED, st.text("ab: é", max_size=3)), max_size=3).map(tuple),
        "fault": st.sampled_from(["reset", "truncate(after=1)", "stall_after_head"]).map(fault),
    },
)
BODIES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"json": JSON}),
    st.fixed_dictionaries({"text": st.text(max_size=8)}),
    st.fixed_dictionaries({"body": st.binary(max_size=4)}),
    st.fixed_dictionaries(
        {
            "chunks": st.lists(
                st.text(min_size=1, max_size=3) | st.binary(min_size=1, max_size=3), min_size=1, max_size=3
            ),
            "every": SECONDS,
        }
    ),
)
REPLIES = st.builds(lambda options, body: Reply(**options, **body), OPTIONS, BODIES)
ANSWERS = REPLIES | st.sampled_from([Script(Reset()), Script(Delay(1), Head(200), Chunk(b"\x00"), End())])
ALL = st.builds(
    Stub,
    when=MATCHERS,
    answer=ANSWERS | st.lists(ANSWERS, min_size=1, max_size=3),
    cycle=st.booleans(),
    priority=st.integers(-2, 2),
    times=st.none() | st.integers(1, 3),
    nth=st.none() | st.integers(1, 3) | st.lists(st.integers(1, 9), min_size=1, max_size=3),
    state=st.none()
    | st.tuples(st.text(min_size=1, max_size=3), st.text(min_size=1, max_size=3), st.none() | st.just("b")),
    name=TEXTS,
    id=TEXTS,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(ALL, max_size=2, unique_by=lambda stub: stub.id or object()))
def test_what_was_dumped_loads_as_it_was(stubs: list[Stub]) -> None:
    """As YAML and as JSON."""
    assert read(dump(stubs)) == stubs
    assert (
        read_stubs(parse_document(json.dumps(write_stubs(stubs)).encode(), "a.json", is_json=True), "a.json") == stubs
    )


KEYS = st.sampled_from([
    "stubs", "version", "when", "answer", "path", "method", "query", "json", "any", "script", "state", "nth",
    "headers", "chunks", "fault", "json_path"
])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
    )
)
def test_any_data_is_read_or_refused(data: Any) -> None:
    """Nothing but a ConfigurationError comes out of a file, whatever is in it."""
    for given_ in (data, {"when": {}, "answer": {}, **data} if isinstance(data, dict) else [data]):
        with suppress(ConfigurationError):
            read_stubs(given_, "a.yaml")
        with suppress(ConfigurationError):
            read(yaml.safe_dump(given_))
