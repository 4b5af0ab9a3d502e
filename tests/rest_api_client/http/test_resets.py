"""When a limit is back, in every form in which servers say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http.resets import LONGEST, read_reset, server_now

NOW = 1655120933.0
"""Mon, 13 Jun 2022 11:48:53 GMT."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 60 ", 60.0),
        ("0.25", 0.25),
        ("604800", LONGEST),
        ("1655120964", 31.0),
        ("1655120964.5", 31.5),
        ("1655120964123", 31.123),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("12ms", 0.012),
        ("1h0m0.5s", 3600.5),
        ("7us", 7e-6),
        ("7\u00b5s", 7e-6),
        ("7ns", 7e-9),
        ("2022-06-13T11:50:00Z", 67.0),
        ("2022-06-13t11:50:00.5z", 67.5),
        ("2022-06-13 11:50:00", 67.0),
        ("2022-06-13T13:50:00+02:00", 67.0),
        ("Mon, 13 Jun 2022 11:50:00 GMT", 67.0),
        ("Monday, 13-Jun-22 11:50:00 GMT", 67.0),
        ("Mon Jun 13 11:50:00 2022", 67.0),
        ("Mon Jun 13 2022 13:50:00 GMT+0200 (Central European Summer Time)", 67.0),
        ("Mon Jun 13 2022 11:50:00 GMT+0000", 67.0),
    ],
)
def test_every_form_is_seconds_from_the_answer(text: str, seconds: float) -> None:
    """Numbers, durations and dates say the same."""
    assert read_reset(text, NOW) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "-1", "+5", "nan", "inf", "1e3", "٣", "604801", "86400000", "9" * 16, "9" * 5000,
        "1655120932", "1655725734", "1655120932000", "2022-06-13T11:48:52Z", "2022-02-31T00:00:00Z",
        "2022-06-13", "2023-06-13T11:50:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "6m0", "m", "1d", "1.2.3s", "200h", "1s" * 7, "Mon, 13 Jun 2022 11:48:00 GMT",
        "Mon Jum 13 2022 13:50:00 GMT+0200", " " * 101 + "5",
    ],
)  # fmt: skip
def test_what_is_past_too_far_or_malformed_is_not_known(text: str) -> None:
    """Nobody pauses for a wild value: what lies behind, or beyond a week, is as good as not said."""
    assert read_reset(text, NOW) is None


def test_a_plain_number_may_count_milliseconds() -> None:
    """Where a dialect says so; a moment is told from them by its size."""
    assert read_reset("600000", NOW, milliseconds=True) == 600.0
    assert read_reset("1655120964", NOW, milliseconds=True) == 31.0


@given(text=st.text() | st.text(alphabet="0123456789.:-+hmsTZ GMTMonJu()"), now=st.floats(0, 4e9))
def test_any_text_is_a_wait_or_none(text: str, now: float) -> None:
    """Never an error, never more than a week."""
    seconds = read_reset(text, now)
    assert seconds is None or 0 <= seconds <= LONGEST


def test_the_servers_clock_is_its_date() -> None:
    """Ours counts only where the answer has none that can be read."""
    assert server_now("Mon, 13 Jun 2022 11:48:53 GMT", 5.0) == NOW
    assert server_now("yesterday", 5.0) == 5.0
    assert server_now(None, 5.0) == 5.0
