"""Retry-After, and names that were probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client import utils
from rest_api_client.utils import closest, format_http_date, parse_retry_after, unknown

NOW = 784111777.0
AHEAD = "Sun, 06 Nov 1994 08:50:37 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("0.25", 0.25),
        (AHEAD, 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun, 06 Nov 1994 08:50:37", 60.0),
        ("30, 120, 60", 120.0),
        (f"5, {AHEAD}", 60.0),
        (f"{AHEAD}, {AHEAD}, 61", 61.0),
        ("nan, 3", 3.0),
        ("9" * 5000, 2.0**31),
        ("4294967296.5", 2.0**31),
        ("1." + "3" * 5000, pytest.approx(4 / 3)),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds, fractions and dates are waits from now; of several the longest holds."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "nan",
        "inf",
        "-1",
        "+1",
        "1e3",
        "soon",
        "٣",
        "0x10",
        "1_000",
        "5s",
        ".5",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1990 08:49:37 GMT",
        "Sun, 06 Nov",
        "Sun",
    ],
)
def test_no_wait(value: str) -> None:
    """Anything else, and a date that has passed, means: use your own back-off."""
    assert parse_retry_after(value, NOW) is None


@given(value=st.text(alphabet="0123456789.,-+naifSu: \t") | st.text())
def test_any_retry_after(value: str) -> None:
    """Any text is a finite wait or none."""
    wait = parse_retry_after(value, NOW)
    assert wait is None or 0 <= wait < 1e12


@given(wait=st.integers(1, 10**9))
def test_dates_and_seconds_agree(wait: int) -> None:
    """A date asks for the same wait as the seconds to it."""
    assert parse_retry_after(format_http_date(NOW + wait), NOW) == min(parse_retry_after(str(wait), NOW) or 0, wait)


@pytest.mark.parametrize("unit", ["1,", "Sun,", "Sun ,", " ", "1 ", "Sun", ","])
def test_long_retry_after(unit: str) -> None:
    """Of the worst characters a fifth of a megabyte is no matter of minutes; that it is linear, `make prove` shows."""
    assert parse_retry_after(unit * (200_000 // len(unit)), NOW) in {None, 1.0}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("timout", "timeout"),
        ("TIMEOUT", "timeout"),
        ("BaseURL", "base_url"),
        ("zebra", None),
        ("", None),
        ("t" * 10_000, None),
    ],
)
def test_closest(name: str, meant: str | None) -> None:
    """A mistyped name gets the one it resembles, in that one's own spelling; nothing near gets none."""
    assert closest(name, ["base_url", "timeout", "Deadline"]) == meant


@pytest.mark.parametrize(
    ("name", "known", "meant", "said"),
    [
        ("tiemout", {"timeout", "deadline"}, None, "unknown option 'tiemout'; did you mean 'timeout'?"),
        ("qqq", {"timeout", "deadline"}, None, "unknown option 'qqq'; known: deadline, timeout"),
        ("retries", {"max_retries"}, "max_retries", "unknown option 'retries'; did you mean 'max_retries'?"),
        ("qqq", [], None, "unknown option 'qqq'; known: none"),
        ("q" * 1000, ["timeout"], None, f"unknown option '{'q' * 80}...'; known: timeout"),
    ],
)
def test_an_unknown_name_is_answered(name: str, known: list[str], meant: str | None, said: str) -> None:
    """With the name that was meant, or with all there are."""
    assert unknown("option", name, known, meant) == said


def test_everything_is_here() -> None:
    """The larger tools can be had from here too."""
    assert all(hasattr(utils, name) for name in utils.__all__)
