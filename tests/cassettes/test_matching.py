"""What is compared, what is not, and how a miss explains itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassettes.cassette import Cassette
from cassettes.errors import CassetteError, CassetteMiss
from cassettes.explain import json_diff
from cassettes.interaction import Asked, Interaction
from cassettes.matching import DEFAULT_MATCH, Matching, parse_path
from rest_api_client.script import End, Head, Script

JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
URL = "https://api.test/a"


def post(body: str, headers: tuple[tuple[str, str], ...] = JSON) -> Asked:
    """A request with a body."""
    return Asked("POST", URL, headers, body.encode())


def answers(recorded: Asked, asked: Asked, *more: Any, **options: Any) -> bool:
    """Whether a recording of one request answers the other."""
    matching = Matching(on=(*DEFAULT_MATCH, *more), **options)
    cassette = Cassette([Interaction(recorded, Script(Head(200), End()))], matching=matching)
    return cassette.play(asked, missing_ok=True) is not None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.test/a?x=1&y=2", "https://API.test:443/a?y=2&x=1", True),
        ("https://api.test", "https://api.test/", True),
        ("http://api.test/a", "https://api.test/a", False),
        ("https://api.test/a", "https://api.test:8443/a", False),
        ("https://api.test/a", "https://other.test/a", False),
        ("https://api.test/a", "https://api.test/b", False),
        ("https://api.test/a?x=", "https://api.test/a", False),
        ("https://api.test/a?x=1", "https://api.test/a?x=2", False),
        ("https://api.test/a?x=a%20b", "https://api.test/a?x=a+b", True),
        ("https://[::1]:80/a", "https://[::1]/a", False),
    ],
)
def test_by_default_the_url_is_compared_by_its_parts(one: str, other: str, same: bool) -> None:
    """Scheme, host, port, path, and the query without its order."""
    assert answers(Asked("GET", one), Asked("GET", other)) is same


def test_the_method_counts_and_the_body_does_not() -> None:
    """Unless it is asked for."""
    assert not answers(Asked("GET", URL), Asked("DELETE", URL))
    assert answers(post("{}"), post('{"a": 1}'))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (post('{"a": 1, "b": [2]}'), post('{"b":[2],"a":1}'), True),
        (post('{"a": 1}'), post('{"a": 2}'), False),
        (post('{"a": 1}'), post('{"a": "1"}'), False),
        (post("{broken"), post("{broken"), True),
        (post("{broken"), post("{ broken"), False),
        (post("a=1&b=2", FORM), post("b=2&a=1", FORM), True),
        (post("a=1", FORM), post("a=2", FORM), False),
        (post("a=1&b=2", ()), post("b=2&a=1", ()), False),
        (post(""), post(""), True),
    ],
)
def test_a_body_is_compared_as_what_it_is(one: Asked, other: Asked, same: bool) -> None:
    """JSON by its values, a form by its pairs, everything else by its bytes."""
    assert answers(one, other, "body") is same


def test_a_body_can_be_compared_as_what_one_says_it_is() -> None:
    """Whatever its content type says."""
    assert answers(post('{"a": 1}', ()), post('{"a":1}', ()), "json")
    assert answers(post("a=1&b=2", ()), post("b=2&a=1", ()), "form")
    assert not answers(post('{"a": 1}'), post('{"a":1}'), "bytes")


@pytest.mark.parametrize(
    ("path", "same"),
    [("$.sent_at", False), ("$.items[*].id", False), ("$.items[0]", True), ("items", True), ("$.*", True)],
)
def test_paths_are_ignored(path: str, same: bool) -> None:
    """One member, one of each entry, a whole list."""
    one, other = post('{"items": [{"id": 1, "n": 2}]}'), post('{"items": [{"id": 9, "n": 3}]}')
    assert answers(one, other, "body", ignore=(path,)) is same
    assert answers(one, other, "body", ignore=("$.items[*].id", "$['items'][0].n"))


def test_fields_and_parameters() -> None:
    """A header that is compared; a parameter and a member of a form that are not."""
    one, other = Asked("GET", f"{URL}?t=1", (("accept", "a"),)), Asked("GET", f"{URL}?t=2", (("accept", "b"),))
    assert answers(one, other, ignore_query=("t",))
    assert not answers(one, other, "header Accept", ignore_query=("t",))
    assert answers(post("a=1&n=2", FORM), post("a=1&n=3", FORM), "body", ignore=("n",))


def test_own_matchers_say_why_not() -> None:
    """False, or words, where they differ; nothing or True where they do not."""

    def tenant(asked: Asked, recorded: Asked) -> str | None:
        return None if asked.header("x-tenant") == recorded.header("x-tenant") else "another tenant"

    recorded = [Interaction(Asked("GET", URL, (("x-tenant", t),)), Script(Head(200), End())) for t in "ab"]
    cassette = Cassette(recorded, matching=Matching(on=("method", tenant)))
    assert cassette.play(recorded[1].asked) is recorded[1]
    with pytest.raises(CassetteMiss, match='tenant: "another tenant"'):
        cassette.play(Asked("GET", URL, (("x-tenant", "c"),)))
    assert not answers(Asked("GET", URL), Asked("GET", URL), lambda asked, recorded: False)


def test_an_own_matcher_may_look_at_the_cassette() -> None:
    """What was played decides what comes next; nothing is held that it would wait for."""
    recorded = [Interaction(Asked("GET", URL), Script(Head(200 + n), End())) for n in range(2)]

    def second_first(asked: Asked, of: Asked) -> bool:
        return bool(cassette.played) or of is not recorded[0].asked

    cassette = Cassette(recorded, matching=Matching(on=("method", second_first)))
    assert [cassette.play(Asked("GET", URL)) for _ in range(2)] == [recorded[1], recorded[0]]


@pytest.mark.parametrize(
    "options",
    [{"on": ()}, {"on": ("hsot",)}, {"ignore": ("$.a[",)}, {"ignore": ("$",)}, {"ignore": ("$..a",)}],
)
def test_what_cannot_be_compared_is_refused(options: dict[str, Any]) -> None:
    """An unknown name, a path that is none, nothing at all."""
    with pytest.raises(CassetteError):
        Matching(**options)


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    """Never another error."""
    with suppress(CassetteError):
        assert parse_path(text)


def test_a_miss_shows_the_nearest_recording_and_what_was_played() -> None:
    """By field and by JSON path."""
    recorded = [
        Interaction(Asked("GET", "https://api.test/other"), Script(Head(200), End())),
        Interaction(post('{"user": {"name": "Ada", "age": 36}, "tags": ["a"]}'), Script(Head(201), End())),
    ]
    cassette = Cassette(recorded, matching=Matching(on=(*DEFAULT_MATCH, "body")))
    cassette.play(recorded[0].asked)
    with pytest.raises(CassetteMiss) as caught:
        cassette.play(Asked("POST", f"{URL}?page=2", JSON, b'{"user": {"name": "Bob"}, "tags": ["a", "b"], "x": 1}'))
    for words in (
        "no recording answers POST https://api.test/a?page=2 (2 recorded)",
        "the nearest is recording 2, POST https://api.test/a",
        '  query $.page: not recorded, asked "2"',
        '  body $.user.name: recorded "Ada", asked "Bob"',
        "  body $.user.age: recorded 36, not asked",
        "  body $.tags: 1 entries recorded, 2 asked",
        "  body $.x: not recorded, asked 1",
        "played so far, 1 of 2: GET https://api.test/other -> 200",
        "mode='new'",
    ):
        assert words in str(caught.value)


def test_a_miss_out_of_turn_says_whose_turn_it_is() -> None:
    """Where the order of the whole recording is insisted on."""
    recorded = [Interaction(Asked("GET", f"{URL}{n}"), Script(Head(200), End())) for n in range(2)]
    cassette = Cassette(recorded, strictness="strict")
    with pytest.raises(CassetteMiss, match=r"the turn of recording 1, GET https://api\.test/a0"):
        cassette.play(recorded[1].asked)
    assert cassette.play(recorded[0].asked) is recorded[0]
    assert cassette.play(recorded[1].asked) is recorded[1]
    with pytest.raises(CassetteMiss, match="played already"):
        cassette.play(recorded[1].asked)


def test_a_miss_on_an_empty_cassette() -> None:
    """There is nothing to be near to."""
    with pytest.raises(CassetteMiss, match="the cassette is empty"):
        Cassette().play(Asked("GET", URL))


def test_differences_of_json_by_path() -> None:
    """Odd names are quoted; a change of type is a difference."""
    assert list(json_diff({"a b": [1, {"c": True}]}, {"a b": [1, {"c": 1}]})) == [
        "$['a b'][1].c: recorded true, asked 1"
    ]


def test_the_last_one_stays_where_that_is_wanted() -> None:
    """A polling loop ends as it did, and never goes back to the first answer."""
    recorded = [Interaction(Asked("GET", URL), Script(Head(200 + n), End())) for n in range(2)]
    cassette = Cassette(recorded, strictness="last_stays")
    found = [cassette.play(Asked("GET", URL)) for _ in range(5)]
    assert found == [recorded[0], *[recorded[1]] * 4]
    assert cassette.play(Asked("GET", f"{URL}/b"), missing_ok=True) is None
