"""When a limit is back: every form in which servers write it, read as seconds from the answer.

    60, 0.25                          seconds
    1655120964, 1655120964123         seconds or milliseconds since 1970
    6m0s, 2m59.56s, 12ms              a duration as Go prints it
    2025-01-15T14:24:00Z              RFC 3339; without a zone it is UTC
    Sun, 06 Nov 1994 08:49:37 GMT     the three dates of HTTP
    Tue Feb 16 2021 09:02:42 GMT+0100 (...)   a date as JavaScript prints it

Which of the first two a number is, is told by its size: a wait of more than a week is none, and the present moment, in
seconds or in milliseconds, is far from that and from each other. A moment is read against the server's own clock, the
answer's `Date`: a reset is made by that clock, and ours may be minutes off. What has passed, lies beyond a week or is
malformed is None: nobody knows then when the limit is back. No text makes these functions raise, and none is looked at
beyond a few dozen characters.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from rest_api_client.http.dates import parse_http_date

LONGEST: Final = 7 * 86_400.0
"""Seconds: what is farther away is a mistake, or no wait at all."""

_LONGEST_TEXT = 100
_NUMBER = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:h|ms|m|s|us|\u00b5s|ns)){1,6}")
_PART = re.compile(r"([0-9.]+)([a-z\u00b5]+)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9]{1,2}) ([0-9]{4}) ([0-9:]{8}) GMT([+-][0-9]{4})(?: \([^()]*\))?"
)


def server_now(date: str | None, received_at: float) -> float:
    """The moment at which the server answered, by its own clock where it says so."""
    told = None if date is None else parse_http_date(date, received_at)
    return received_at if told is None else told


def read_reset(text: str, now: float, *, milliseconds: bool = False) -> float | None:
    """Seconds until the reset that a field names, 0 to a week, or None.

    Args:
        text: the field's value.
        now: the server's wall time.
        milliseconds: whether a plain number counts those.
    """
    text = text.strip(" \t") if len(text) <= _LONGEST_TEXT else ""
    if _NUMBER.fullmatch(text):
        return _wait_or_moment(float(text), now, milliseconds)
    if _DURATION.fullmatch(text):
        return bounded(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    moment = _rfc_3339(text) if _RFC_3339.fullmatch(text) else parse_http_date(_without_javascript(text), now)
    return None if moment is None else bounded(moment - now)


def bounded(seconds: float) -> float | None:
    """These seconds, if they are a wait."""
    return seconds if 0 <= seconds <= LONGEST else None


def _wait_or_moment(number: float, now: float, milliseconds: bool) -> float | None:
    for moment in (number, number / 1000):
        if abs(moment - now) <= LONGEST:
            return bounded(moment - now)
    return bounded(number / 1000 if milliseconds else number)


def _rfc_3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:  # the 31st of February
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _without_javascript(text: str) -> str:
    found = _JAVASCRIPT.fullmatch(text)
    if found is None:
        return text
    month, day, year, clock, zone = found.groups()
    return f"{day} {month} {year} {clock} {zone}"
