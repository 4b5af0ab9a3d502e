"""HTTP and cookie dates: UTC whatever is missing, None whatever is wrong."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.dates import format_http_date, parse_cookie_date, parse_http_date

NOV_1994 = 784111777.0


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 GMT 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 10:49:37 +0200",
        "Sun, 06 Nov 1994 07:19:37 -0130",
        "6 nov 1994 08:49:37 gmt",
        " Sun 06-NOV-1994 08:49:37 Z\t",
    ],
)
def test_forms(value: str) -> None:
    """The three forms of RFC 9110, and what servers make of them, are the same moment; without a zone it is UTC."""
    assert parse_http_date(value) == NOV_1994


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tomorrow",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 PST",
        "Sun, 06 Nov 199 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        " " * 100 + "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
    ],
)
def test_no_dates(value: str) -> None:
    """What is no date, or no such day, is None."""
    assert parse_http_date(value) is None


def test_leap_second() -> None:
    """The grammar allows second 60: it is the next minute's first."""
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_http_date("Sun, 01 Jan 2017 00:00:00 GMT")


@pytest.mark.parametrize(
    ("now", "short", "year"),
    [
        (2026, 77, 1977),
        (2026, 76, 2076),
        (2026, 26, 2026),
        (2060, 94, 2094),
        (2060, 5, 2105),
        (2099, 1, 2101),
        (None, 70, 1970),
        (None, 69, 2069),
    ],
)
def test_two_digit_years(now: int | None, short: int, year: int) -> None:
    """A short year lies within 50 years of now; without a now 70 to 99 are the last century."""
    wall = None if now is None else datetime(now, 6, 1, tzinfo=UTC).timestamp()
    found = parse_http_date(f"Monday, 01-Jun-{short:02} 00:00:00 GMT", wall)
    assert found == datetime(year, 6, 1, tzinfo=UTC).timestamp()


@given(moment=st.integers(-62135596800, 253402300799))
def test_round_trip(moment: int) -> None:
    """What is written is read back, and is what the standard library writes."""
    text = format_http_date(moment)
    assert parse_http_date(text) == moment
    assert text == email.utils.format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


def test_fractions_are_cut() -> None:
    """A date has whole seconds, the ones that have passed."""
    assert format_http_date(NOV_1994 + 0.9) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), 1e300, 253402300800])
def test_no_moments(moment: float) -> None:
    """A number that is no date is the caller's error."""
    with pytest.raises(ConfigurationError, match="is no date: give seconds since 1970"):
        format_http_date(moment)


@given(value=st.text(alphabet="SunNov, 0123456789:-GMT+ ") | st.text())
def test_any_text(value: str) -> None:
    """No text makes either parser raise."""
    assert isinstance(parse_http_date(value, 0.0), float | None)
    assert isinstance(parse_cookie_date(value), float | None)


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "08:49:37 november 6th 1994 PST",
        "6/Nov/94 8:49:37",
        "06 Nov 1994 08:49:37.500",
    ],
)
def test_cookie_dates(value: str) -> None:
    """Cookies take the parts of a date in any order and with any delimiters (RFC 6265, section 5.1.1)."""
    assert parse_cookie_date(value) == NOV_1994


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "06 Nov 1994",
        "Nov 1994 08:49:37",
        "06 1994 08:49:37",
        "06 Nov 08:49:37",
        "06 Nov 1600 08:49:37",
        "32 Nov 1994 08:49:37",
        "06 Nov 1994 25:49:37",
        "06 Nov 19940 08:49:37",
        "006 Nov 1994 08:49:370",
    ],
)
def test_no_cookie_dates(value: str) -> None:
    """A part that is missing or out of range makes it no date."""
    assert parse_cookie_date(value) is None


@pytest.mark.parametrize(("short", "year"), [(69, 2069), (70, 1970), (0, 2000), (99, 1999)])
def test_cookie_years(short: int, year: int) -> None:
    """Two-digit years of cookies have a fixed pivot."""
    assert parse_cookie_date(f"01 Jan {short:02} 00:00:00") == datetime(year, 1, 1, tzinfo=UTC).timestamp()
