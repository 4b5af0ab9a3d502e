"""What a route's latency is lately: a quantile within 2 %, from memory that does not grow.

Answers fall into buckets that are each 4 % wider than the one before, so that any quantile read from them is at most
2 % off (the sketch of Masson, Rim and Lee, "DDSketch", VLDB 2019), whatever the shape of the distribution. A second is
a few buckets, a minute a few more: from ten microseconds to three hours there are 518.

Two windows take turns: samples go into the present one, a quantile is read from both, and when the present one is full
of time the older is forgotten. So a figure rests on the last one to two windows, and a route that nobody calls has
forgotten everything after two.

Reading costs a walk over the buckets, so an answer stands until a sixteenth more samples have come or a thirtieth of
the window has passed.

What is a sample is the caller's to say: an attempt that was answered. A cancelled attempt tells how long somebody was
willing to wait, not how long the server takes, and a hedge's losers are always the slow ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Final, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.state import ALLOW, Decision, MemoryState

ERROR: Final = 0.02
"""A quantile's relative error."""
LEAST: Final = 1e-5
MOST: Final = 1e4
"""Seconds: what lies beyond is counted as this."""

ROUTES: Final = 1_000
"""Routes remembered; the one not asked for longest is forgotten first."""

WINDOW: Final = 30.0
"""Seconds of one window, as httpx-hedged has them."""

_RATIO: Final = (1 + ERROR) / (1 - ERROR)
_PER_BUCKET: Final = 1 / math.log(_RATIO)
_MIDDLE: Final = 2 / (1 + _RATIO)


@dataclass(frozen=True, slots=True)
class Sample:
    """An attempt was answered after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Quantile:
    """How many seconds does a share `q` of the attempts stay below? Unknown with fewer than `at_least` samples."""

    q: float
    at_least: int = 1


LatencyCommand: TypeAlias = Sample | Quantile


@dataclass(frozen=True, slots=True)
class _Reading:
    """An answer that stands until there are `samples` or the moment `until` comes."""

    decision: Decision
    samples: int
    until: float


class LatencyWindow:
    """One route's latencies: pure, told the time.

    Args:
        window: seconds of each of the two windows.
    """

    __slots__ = ("_count", "_new", "_old", "_old_count", "_readings", "_turn", "_window")

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._count = 0
        self._old_count = 0
        self._turn: float | None = None
        self._readings: dict[float, _Reading] = {}

    def apply(self, command: LatencyCommand, now: float) -> Decision:
        """Count a sample, or give a quantile as the decision's `value`: None while too few samples are there."""
        if self._turn is None or now >= self._turn:
            self._rotate(now)
        if isinstance(command, Sample):
            seconds = command.seconds
            if not LEAST <= seconds <= MOST:
                seconds = MOST if seconds > MOST else LEAST
            bucket = math.ceil(math.log(seconds) * _PER_BUCKET)
            self._new[bucket] = self._new.get(bucket, 0) + 1
            self._count += 1
            return ALLOW
        if not self._count or self._count < command.at_least:
            return ALLOW
        reading = self._readings.get(command.q)
        if reading is None or self._count >= reading.samples or now >= reading.until:
            reading = self._readings[command.q] = self._read(command.q, now)
        return reading.decision

    def _rotate(self, now: float) -> None:
        """Begin a new window; what is older than one window is forgotten."""
        if self._turn is None or now >= self._turn + self._window:
            self._old, self._old_count, self._turn = {}, 0, now
        else:
            self._old, self._old_count = self._new, self._count - self._old_count
        self._new = {}
        self._count = self._old_count
        self._turn += self._window
        self._readings.clear()

    def _read(self, q: float, now: float) -> _Reading:
        value = _quantile(self._new, self._old, q * (self._count - 1))
        more = self._count + 1 + self._count // 16
        return _Reading(Decision("allow", value=value), more, now + self._window / 30)


def _quantile(new: dict[int, int], old: dict[int, int], rank: float) -> float:
    """The middle of the bucket in which the sample of this rank, from 0, lies."""
    buckets = sorted(new.keys() | old.keys())
    passed = accumulate(new.get(bucket, 0) + old.get(bucket, 0) for bucket in buckets)
    found = next(bucket for bucket, samples in zip(buckets, passed, strict=True) if samples > rank)
    return math.exp(found / _PER_BUCKET) * _MIDDLE


def latencies(now: Callable[[], float], window: float = WINDOW) -> MemoryState[LatencyCommand]:
    """A state of latencies in this process, one `LatencyWindow` per key (`key_of("route", request)`)."""
    return MemoryState(lambda: LatencyWindow(window), now, ROUTES)
