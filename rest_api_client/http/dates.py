"""Dates as HTTP writes them (RFC 9110, section 5.6.7) and as cookies write them (RFC 6265, section 5.1.1).

Seconds since 1970 in, seconds since 1970 out; the clock stays with the caller. A recipient must read three forms:

    Sun, 06 Nov 1994 08:49:37 GMT       IMF-fixdate, the one that is sent
    Sunday, 06-Nov-94 08:49:37 GMT      RFC 850, with a two-digit year
    Sun Nov  6 08:49:37 1994            asctime

All three are UTC, whatever else a server leaves out: a date without a zone must not turn into local time. Numeric zones
are taken as well. The weekday is not checked against the date. Cookies have a looser grammar of their own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rest_api_client.exceptions import ConfigurationError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBER = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

_LONGEST = 64
"""No form of a date is longer; what is longer is not looked at."""

_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE = r"(?: *(?:GMT|UTC|UT|Z|(?P<offset>[+-][0-9]{4})))?"
_IMF_OR_850 = re.compile(
    rf"(?:[a-z]{{3,9}},? +)?(?P<day>[0-9]{{1,2}})[ -](?P<month>[a-z]{{3}})[ -](?P<year>[0-9]{{4}}|[0-9]{{2}})"
    rf" +{_CLOCK}{_ZONE}",
    re.IGNORECASE,
)
_ASCTIME = re.compile(
    rf"[a-z]{{3}} +(?P<month>[a-z]{{3}}) +(?P<day>[0-9]{{1,2}}) +{_CLOCK}{_ZONE} +(?P<year>[0-9]{{4}})", re.IGNORECASE
)

_COOKIE_DELIMITERS = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_COOKIE_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_COOKIE_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_COOKIE_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")


def parse_http_date(value: str, now: float | None = None) -> float | None:
    """The moment a date field names, or None where it names none. Never raises.

    Args:
        value: the field's value.
        now: wall time; a two-digit year is put within 50 years of it (RFC 9110). Without it 70 to 99 are 19xx.
    """
    text = value.strip(" \t") if len(value) <= _LONGEST else ""
    found = _IMF_OR_850.fullmatch(text) or _ASCTIME.fullmatch(text)
    if found is None or found["month"].lower() not in _MONTH_NUMBER:
        return None
    clock = int(found["hour"]), int(found["minute"]), int(found["second"])
    year = int(found["year"]) if len(found["year"]) == 4 else _whole_year(int(found["year"]), now)
    moment = _moment(year, _MONTH_NUMBER[found["month"].lower()], int(found["day"]), clock)
    return None if moment is None else moment - _offset(found["offset"])


def parse_cookie_date(value: str) -> float | None:
    """The moment a cookie's Expires attribute names (RFC 6265, section 5.1.1), or None. Never raises."""
    clock: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _COOKIE_DELIMITERS.split(value[: 2 * _LONGEST]):
        if clock is None and (found := _COOKIE_CLOCK.match(token)):
            clock = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _COOKIE_DAY.match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTH_NUMBER:
            month = _MONTH_NUMBER[token[:3].lower()]
        elif year is None and (found := _COOKIE_YEAR.match(token)):
            year = _whole_year(int(found[1]), None) if int(found[1]) < 100 else int(found[1])
    if clock is None or day is None or month is None or year is None or year < 1601:
        return None
    return _moment(year, month, day, clock)


def format_http_date(moment: float) -> str:
    """An IMF-fixdate; fractions of a second are cut off.

    Raises:
        ConfigurationError: not a moment in the years 1 to 9999.
    """
    try:
        date = datetime.fromtimestamp(moment // 1, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(f"{moment!r} is no date: give seconds since 1970") from error
    return f"{_DAYS[date.weekday()]}, {date.day:02} {_MONTHS[date.month - 1]} {date.year:04} {date:%H:%M:%S} GMT"


def _moment(year: int, month: int, day: int, clock: tuple[int, int, int]) -> float | None:
    hour, minute, second = clock
    leap = second == 60  # allowed by the grammar; Unix time has no name for it but the next second's
    try:
        date = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError:
        return None
    return (date - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1) + leap


def _offset(zone: str | None) -> int:
    if zone is None:
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
    return -seconds if zone[0] == "-" else seconds


def _whole_year(two_digits: int, now: float | None) -> int:
    if now is None:
        return two_digits + (1900 if two_digits >= 70 else 2000)
    earliest = datetime.fromtimestamp(now, UTC).year - 49
    return earliest + (two_digits - earliest) % 100
