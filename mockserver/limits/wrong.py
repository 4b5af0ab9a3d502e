"""Dialects that are wrong on purpose, as real servers sometimes are: wrappers of a dialect.

    missing(x_epoch)                 no Retry-After and no reset
    past(x_epoch)                    Retry-After is a date that has passed, resets too
    negative(x_delta)                Retry-After: -5
    huge(x_delta)                    ten years
    milliseconds(x_delta)            Retry-After: 2000 where two seconds are meant
    skewed(x_epoch, seconds=3600)    moments by a clock that is an hour ahead of the one that makes `Date`
    non_numeric(x_delta)             Retry-After: soon

A client that obeys such an answer to the letter hammers, or sleeps for years: what it ought to do is back off as usual.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mockserver.limits.dialects import Dialect, Fields, dated
from mockserver.limits.verdict import Verdict

TEN_YEARS: Final = 10 * 365 * 86_400.0
_RESET = re.compile(r";t=-?[0-9]+")


def missing(dialect: Dialect) -> Dialect:
    """Says that nothing is left, but not when more will be."""
    return _retold(dialect, lambda seconds: math.inf)


def negative(dialect: Dialect) -> Dialect:
    """All times are -5 seconds."""
    return _retold(dialect, lambda seconds: -5.0)


def huge(dialect: Dialect) -> Dialect:
    """All times are ten years."""
    return _retold(dialect, lambda seconds: TEN_YEARS)


def milliseconds(dialect: Dialect) -> Dialect:
    """All times are a thousand times too long: milliseconds in fields of seconds."""
    return _retold(dialect, lambda seconds: seconds * 1000)


def past(dialect: Dialect, *, seconds: float = 3600.0) -> Dialect:
    """Moments lie so many seconds in the past; Retry-After is a date."""
    return skewed(_retold(dated(dialect), lambda _: 0.0), seconds=-seconds)


def skewed(dialect: Dialect, *, seconds: float = 3600.0) -> Dialect:
    """Moments are told by another clock, so many seconds ahead of the server's. Seconds from now are still right."""

    def tell(verdict: Verdict, wall: float) -> Fields:
        return dialect(verdict, wall + seconds)

    return tell


def non_numeric(dialect: Dialect, *, text: str = "soon") -> Dialect:
    """A word where a number or a moment is due."""

    def tell(verdict: Verdict, wall: float) -> Fields:
        return [(name, _worded(name, value, text)) for name, value in dialect(verdict, wall)]

    return tell


def _worded(name: str, value: str, text: str) -> str:
    if "retry-after" in name or "reset" in name:
        return text
    return _RESET.sub(f";t={text}", value) if name == "ratelimit" else value


def _retold(dialect: Dialect, time: Callable[[float], float]) -> Dialect:
    def change(verdict: Verdict) -> Verdict:
        parts = tuple(change(part) for part in verdict.parts)
        wait = 0.0 if verdict.allowed else time(verdict.retry_after)
        return replace(verdict, retry_after=wait, reset=time(verdict.reset), parts=parts)

    def tell(verdict: Verdict, wall: float) -> Fields:
        return dialect(change(verdict), wall)

    return tell


WRONG: Final[Mapping[str, Callable[[Dialect], Dialect]]] = {
    "missing": missing,
    "past": past,
    "negative": negative,
    "huge": huge,
    "milliseconds": milliseconds,
    "skewed": skewed,
    "non_numeric": non_numeric,
}
