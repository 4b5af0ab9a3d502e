"""From `content=`, `json=`, `data=`, `files=` to a body and its fields."""

from __future__ import annotations

import math
import random
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import EMPTY
from rest_api_client.http.encoding import content_headers, encode_body
from rest_api_client.http.headers import Headers
from rest_api_client.http.serializers import JSON_SERIALIZER, orjson_serializer


def encode(**given_: Any) -> tuple[bytes, dict[str, str]]:
    body, headers = encode_body(**given_, serializer=JSON_SERIALIZER, random=random.Random(7))
    data = b"".join(cast("Any", body.open()))
    assert body.length == len(data)
    return data, headers


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, (b"", {})),
        ({"content": b"raw"}, (b"raw", {})),
        ({"content": "t\u00e9xt"}, ("t\u00e9xt".encode(), {})),
        ({"json": {"a": [1, None]}}, (b'{"a":[1,null]}', {"Content-Type": "application/json"})),
        ({"json": None}, (b"null", {"Content-Type": "application/json"})),
        (
            {"data": {"a": [1, True], "b": None, "c": "x y&"}},
            (b"a=1&a=true&c=x%20y%26", {"Content-Type": "application/x-www-form-urlencoded"}),
        ),
        ({"data": [("a", 1), ("a", 2.5)]}, (b"a=1&a=2.5", {"Content-Type": "application/x-www-form-urlencoded"})),
        ({"data": {}, "files": {}}, (b"", {"Content-Type": "application/x-www-form-urlencoded"})),
    ],
)
def test_each_kind_of_body(given_: dict[str, Any], expected: tuple[bytes, dict[str, str]]) -> None:
    """What is sent, and which Content-Type goes with it; a raw body has none made up for it."""
    assert encode(**given_) == expected


def test_nothing_given_is_the_empty_body() -> None:
    """Without any of them there is no body."""
    assert encode_body(serializer=JSON_SERIALIZER, random=random.Random(7)) == (EMPTY, {})


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"content": b"", "json": 1}, "content= and json="),
        ({"json": None, "data": {}}, "json= and data="),
        ({"content": b"", "files": {"f": b""}}, "content= and files="),
        ({"json": 1, "data": {}, "files": {"f": b""}}, "json= and data="),
    ],
)
def test_two_bodies_at_once_are_refused(given_: dict[str, Any], told: str) -> None:
    """The error names both."""
    with pytest.raises(ConfigurationError, match=told):
        encode(**given_)


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"users": [{"id": 1}, {"id": {2, 3}}]}, r"\$\.users\[1\]\.id cannot be written"),
        ({"a": (1.5, math.nan)}, r"\$\.a\[1\] cannot be written"),
        ({"a": math.inf}, r"\$\.a cannot be written"),
        ({(1, 2): 3}, r"\$ cannot be written"),
        (object(), r"\$ cannot be written"),
        ("\ud800", r"\$ cannot be written"),
        (LOOP, "cannot be written"),
    ],
)
def test_json_that_cannot_be_written_says_where(value: Any, told: str) -> None:
    """The error gives the path to the first member at fault; NaN is none of JSON's numbers."""
    with pytest.raises(ConfigurationError, match=told):
        encode(json=value)


def test_another_serializer_writes_and_fails_alike() -> None:
    """What the serializer says of itself is the Content-Type; its errors are found the same way."""
    body, headers = encode_body(json={"a": 1}, serializer=orjson_serializer(), random=random.Random(7))
    assert (b"".join(cast("Any", body.open())), headers) == (b'{"a":1}', {"Content-Type": "application/json"})
    with pytest.raises(ConfigurationError, match=r"\$\.a"):
        encode_body(json={"a": object()}, serializer=orjson_serializer(), random=random.Random(7))


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"data": "a=1"}, "a raw body is content="),
        ({"data": b"a=1"}, "a raw body is content="),
        ({"data": 7}, "data=int"),
        ({"data": {"a": object()}}, "'a': object cannot be sent"),
        ({"data": {"a": "\ud800"}}, "surrogate"),
        ({"data": [7]}, "data=list"),
        ({"data": {"a": "\ud800"}, "files": {"f": b""}}, "surrogate"),
        ({"data": {"a": object()}, "files": {"f": b""}}, "'a': object cannot be sent"),
        ({"content": "\ud800"}, "surrogate"),
        ({"content": 7}, "content=int"),
    ],
)
def test_a_body_that_cannot_be_sent_is_refused(given_: dict[str, Any], told: str) -> None:
    """The error comes before anything is sent and says what to give."""
    with pytest.raises(ConfigurationError, match=told):
        encode(**given_)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_a_form_is_read_back_as_it_was(pairs: list[tuple[str, str]]) -> None:
    """Any names and values survive; nothing of them ends its field."""
    data, _ = encode(data=pairs)
    assert parse_qsl(data.decode("ascii"), keep_blank_values=True) == pairs


def test_the_calls_own_field_wins_over_the_bodys_over_the_clients() -> None:
    """A client-level Content-Type gives way to the body's, and that to the call's."""
    defaults, own = Headers({"Content-Type": "text/default", "X": "1"}), {"Content-Type": "application/json"}
    assert content_headers(defaults, {}, None)["content-type"] == "text/default"
    assert content_headers(defaults, own, None)["content-type"] == "application/json"
    assert content_headers(defaults, own, {"content-type": "application/vnd.x+json"}).multi_items() == [
        ("X", "1"),
        ("content-type", "application/vnd.x+json"),
    ]


def test_a_content_type_by_hand_cannot_hide_the_boundary() -> None:
    """The common mistake of setting multipart/form-data by hand is refused with its cure."""
    with pytest.raises(ConfigurationError, match="leave the header out"):
        content_headers(
            Headers(), {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Type": "multipart/form-data"}
        )
