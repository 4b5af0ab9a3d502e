"""What an answer says of limits: one form for all dialects, and nothing where it is malformed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http import rate_limit_fields
from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import Advice, Reading, asked_wait, read_fields, silent
from rest_api_client.http.resets import LONGEST

NOW = 1655120933.0
LONG_AGO = "Mon, 13 Jun 2022 11:48:53 GMT"


def _read(fields: dict[str, str], status: int = 200) -> Advice:
    return read_fields(Headers(fields), status, NOW)


@pytest.mark.parametrize(
    ("fields", "readings"),
    [
        (
            {"ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400', "ratelimit": '"burst";r=50;t=30'},
            [
                Reading(limit=100, remaining=50, reset=30, window=60, name="burst"),
                Reading(limit=1000, window=86400, name="daily"),
            ],
        ),
        ({"ratelimit": "default;r=5;t=30"}, [Reading(remaining=5, reset=30, name="default")]),
        ({"ratelimit": '"default";r=5'}, [Reading(remaining=5, name="default")]),
        (
            {"ratelimit-policy": '"a";q=5;w=1;qu="content-bytes"', "ratelimit": '"a";r=0;t=7'},
            [Reading(dimension="content-bytes", limit=5, remaining=0, reset=7, window=1, name="a")],
        ),
        ({"ratelimit-policy": '"a";q=5;w=1;qu="request"'}, [Reading(limit=5, window=1, name="a")]),
        (
            {"ratelimit-policy": '"a";q=5;w=1;pk=:AAE=:, "a";q=6;w=1', "ratelimit": '"a";r=2;pk=:AAE=:'},
            [
                Reading(limit=5, remaining=2, window=1, name="a pk=0001"),
                Reading(limit=6, window=1, name="a"),
            ],
        ),
        (
            {"ratelimit": "limit=100, remaining=50, reset=30", "ratelimit-policy": "100;w=60"},
            [Reading(limit=100, remaining=50, reset=30, window=60, name="ratelimit")],
        ),
        (
            {"ratelimit": "limit=100, remaining=50, reset=30"},
            [Reading(limit=100, remaining=50, reset=30, name="ratelimit")],
        ),
        (
            {"ratelimit-limit": "10, 10;w=1, 50;w=60", "ratelimit-remaining": "4", "ratelimit-reset": "1"},
            [Reading(limit=10, remaining=4, reset=1, window=1)],
        ),
        (
            {"ratelimit-limit": "10", "ratelimit-remaining": "4", "ratelimit-reset": "1", "ratelimit-policy": "10;w=1"},
            [Reading(limit=10, remaining=4, reset=1)],
        ),
        (
            {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "3.0", "x-ratelimit-reset": "7"},
            [Reading(limit=10, remaining=3, reset=7, name="x")],
        ),
        (
            {"ratelimit-remaining": "3", "ratelimit-reset": "7", "x-ratelimit-remaining": "3"},
            [Reading(remaining=3, reset=7)],
        ),
        (
            {"ratelimit": '"p";r=3;t=7', "x-ratelimit-remaining": "3", "ratelimit-remaining": "3"},
            [Reading(remaining=3, reset=7, name="p")],
        ),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "600000"}, [Reading(remaining=0, reset=600, name="x")]),
        ({"x-shopify-shop-api-call-limit": "32/40"}, [Reading(limit=40, remaining=8, refill=2, name="shopify")]),
        ({"x-shopify-shop-api-call-limit": "41/40"}, [Reading(limit=40, remaining=0, refill=2, name="shopify")]),
        ({"x-ratelimit-remaining-req": "1"}, [Reading(remaining=1, name="x")]),
    ],
)
def test_each_form_becomes_a_reading(fields: dict[str, str], readings: list[Reading]) -> None:
    """Structured fields, older versions of them, threes of fields, a bucket."""
    assert list(_read(fields).readings) == readings


@pytest.mark.parametrize(
    "fields",
    [
        {"ratelimit-policy": '"p"'},
        {"ratelimit-policy": '"p";q=-1;w=60'},
        {"ratelimit-policy": '"p";q=99999999999999999999;w=60'},
        {"ratelimit-policy": '"p";q=1.5;w=60'},
        {"ratelimit-policy": '"p";q;w=60'},
        {"ratelimit-policy": '("a" "b");q=1;w=5'},
        {"ratelimit-policy": ";;;,,,=;q;w"},
        {"ratelimit-policy": '"p";q=5;w=1;x="' + "a" * 2000 + '"'},
        {"ratelimit-policy": "," * 100_000},
        {"ratelimit": "r=5;t"},
        {"ratelimit": '"p";t=10'},
        {"ratelimit": "problemPolicy;r=0, t=10"},
        {"ratelimit": '"p";r=\u00b2;t=3'},
        {"ratelimit": "limit=100, remaining=50"},
        {"ratelimit": "limit=100, remaining=50, reset=604801"},
        {"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "0"},
        {"x-ratelimit-remaining": "many", "x-ratelimit-reset": "soon"},
        {"x-ratelimit-remaining": "5, 3", "x-ratelimit-reset": "9"},
        {"x-ratelimit-remaining": "9" * 5000},
        {"x-ratelimit-limit": "5", "x-ratelimit-reset": "9"},
        {"x-ratelimit-used": "3", "x-ratelimit-remaining" + "-x" * 40: "0"},
        {"x-shopify-shop-api-call-limit": "32"},
        {"x-shopify-shop-api-call-limit": "32/0"},
        {"x-shopify-shop-api-call-limit": "a/b"},
        {"x-ratelimit-remaining": "0", "age": "12"},
        {"x-ratelimit-remaining": "0", "age": "old"},
    ],
)
def test_what_is_malformed_unknown_or_cached_is_no_reading(fields: dict[str, str]) -> None:
    """T20: it is ignored, never fatal; an answer from a cache speaks of another moment."""
    assert _read(fields).readings == ()


def test_an_answer_just_given_to_a_cache_counts() -> None:
    """`Age: 0` is what some caches write on what they pass on."""
    assert _read({"x-ratelimit-remaining": "0", "age": "0"}).readings != ()


def test_retry_after_wins_over_the_reset_of_what_is_spent() -> None:
    """The draft's rule; other limits keep their reset, and a redirect's Retry-After is for the redirect."""
    fields = {"ratelimit-policy": '"a";q=1, "b";q=9', "ratelimit": '"a";r=0;t=30, "b";r=5;t=30', "retry-after": "7"}
    assert [reading.reset for reading in _read(fields, 429).readings] == [7, 30]
    assert _read(fields, 429).wait == 7
    assert [reading.reset for reading in _read(fields, 301).readings] == [30, 30]
    assert _read(fields, 301).wait is None


def test_the_part_of_the_server_is_named_by_its_resource_or_partition() -> None:
    """GitHub's resource, the draft's partition key; nothing of unbounded length."""
    assert _read({"x-ratelimit-resource": "search"}).scope == "search"
    assert _read({"ratelimit-policy": '"a";q=5;w=1;pk=:AAE=:'}).scope == "a pk=0001"
    assert _read({"x-ratelimit-resource": "s" * 61}).scope == ""


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry-after": "2.0"}, 2.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Mon, 13 Jun 2022 11:49:00 GMT", "date": LONG_AGO}, 7.0),
        ({"retry-after": "Monday, 13-Jun-22 11:49:00 GMT", "date": LONG_AGO}, 7.0),
        ({"retry-after": "Mon Jun 13 11:49:00 2022", "date": LONG_AGO}, 7.0),
        ({"retry-after": LONG_AGO, "date": LONG_AGO}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(fields: dict[str, str], seconds: float | None) -> None:
    """T5: seconds, milliseconds, and dates against the server's own clock, however wrong ours is."""
    assert asked_wait(Headers(fields), 5.0) == seconds


def test_most_answers_say_nothing() -> None:
    """The usual fields are known as dull after the first look."""
    plain = Headers({"Content-Type": "text/plain", "Date": LONG_AGO})
    assert silent(plain)
    assert silent(plain)
    assert not silent(Headers({"X-Rate-Limit-Reset": "5"}))
    assert not silent(Headers({"Retry-After-Ms": "5"}))
    assert not silent(Headers({"X-Shopify-Shop-Api-Call-Limit": "5"}))


def test_names_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that invents names of fields is looked at each time instead."""
    known: set[str] = set()
    monkeypatch.setattr(rate_limit_fields, "_dull", known)
    assert all(silent(Headers({f"x-{number}": "1"})) for number in range(2_100))
    assert silent(Headers({"x-2099": "1"}))
    assert len(known) == 2_000


NAMES = [
    "ratelimit", "ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", "ratelimit-limit", "x-ratelimit-limit",
    "x-ratelimit-remaining", "x-ratelimit-reset", "x-rate-limit-remaining", "x-rate-limit-reset",
    "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset", "x-shopify-shop-api-call-limit", "retry-after", "retry-after-ms", "date", "age",
    "x-ratelimit-resource",
]  # fmt: skip
VALUES = st.binary(max_size=40) | st.text('"abqrtw;=,:0123456789.-/ ', max_size=40).map(str.encode)


@given(
    raw=st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), VALUES), max_size=12), status=st.integers(100, 599)
)
def test_any_bytes_are_read_without_an_error(raw: list[tuple[bytes, bytes]], status: int) -> None:
    """Whatever stands in these fields, readings are sound and no reset is beyond a week."""
    advice = read_fields(Headers.received(raw), status, NOW)
    assert advice.wait is None or advice.wait >= 0
    for reading in advice.readings:
        assert reading.reset is None or 0 <= reading.reset <= LONGEST
        assert reading.remaining is None or reading.remaining >= 0


def test_the_library_for_structured_fields_is_loaded_when_one_is_met() -> None:
    """A program whose servers send none does not pay for it."""
    code = (
        "import sys, rest_api_client as r\n"
        "from rest_api_client.http.headers import Headers\n"
        "from rest_api_client.http.rate_limit_fields import read_fields\n"
        "read_fields(Headers({'x-ratelimit-remaining': '1'}), 200, 0.0)\n"
        "assert 'http_sf' not in sys.modules\n"
        "read_fields(Headers({'ratelimit': 'a;r=1'}), 200, 0.0)\n"
        "assert 'http_sf' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
