"""Small pure functions that several modules need.

Reading what servers write (dates, Retry-After, links), masking what must not be shown, and guessing which name was
meant. None of them waits, looks at a clock or raises on foreign input. The larger ones live in `http.dates`,
`http.links` and `http.redaction`, and are given again here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rest_api_client.http.dates import format_http_date, parse_http_date
from rest_api_client.http.links import Link, parse_link_header
from rest_api_client.http.redaction import MASK, is_secret_name, redact_headers, redact_url

__all__ = [
    "MASK",
    "Link",
    "closest",
    "format_http_date",
    "is_secret_name",
    "parse_http_date",
    "parse_link_header",
    "parse_retry_after",
    "redact_headers",
    "redact_url",
    "unknown",
]

_SECONDS = re.compile(r"([0-9]+)(\.[0-9]*)?")
_LONGEST_DELAY = 2.0**31
"""What a number of seconds too large to hold stands for (RFC 9111, section 1.2.2): about 68 years."""
_VALUES = re.compile(r"(?:[ \t]*(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[ \t]*,)?[^,]*", re.IGNORECASE)
_LONGEST_NAME = 80


def parse_retry_after(value: str, now_wall: float) -> float | None:
    """Seconds that a Retry-After field asks to wait, counted from `now_wall`, or None: use your own back-off.

    Taken are seconds (RFC 9110, section 10.2.3; a decimal fraction too, since servers send it; at most 2**31) and
    HTTP dates. A date that has passed gives None, not 0: with a skewed clock 0 would mean no pause at all. Of several
    values joined by commas, as intermediaries make them, the longest wait holds, because trying too early is the worse
    mistake. "nan", "inf", signs and anything else are None. Never raises.
    """
    waits = (_wait(item.strip(" \t"), now_wall) for item in _VALUES.findall(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(item: str, now_wall: float) -> float | None:
    if seconds := _SECONDS.fullmatch(item):
        whole = seconds[1].lstrip("0")
        return (
            min(float((whole or "0") + (seconds[2] or "")[:10]), _LONGEST_DELAY) if len(whole) <= 10 else _LONGEST_DELAY
        )
    moment = parse_http_date(item, now_wall)
    return moment - now_wall if moment is not None and moment > now_wall else None


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant by a mistyped name, or None where nothing is near."""
    from difflib import get_close_matches  # only mistakes need it

    known = {candidate.lower(): candidate for candidate in candidates}
    # The comparison is quadratic in the length of a name: nobody mistypes one that long.
    near = get_close_matches(name.lower(), known, n=1) if len(name) <= _LONGEST_NAME else []
    return known[near[0]] if near else None


def unknown(what: str, name: str, known: Iterable[str], meant: str | None = None) -> str:
    """What an error says of a name that is not known: the name that was probably meant, or else all that are.

    Args:
        what: what the name should have named.
        name: as it was given; only its beginning is shown where it is long.
        known: the names there are.
        meant: which of them it is another word for, where the caller knows.
    """
    names = sorted(known)
    hint = meant or closest(name, names)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    said = f"did you mean {hint!r}?" if hint else f"known: {', '.join(names) or 'none'}"
    return f"unknown {what} {shown!r}; {said}"
