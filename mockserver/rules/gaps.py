"""Waits between attempts: they do not shrink, they are not nothing, and they differ from call to call.

One call proves nothing: with full jitter its waits may well shrink. So both rules look at 20 calls or more at once, at
the k-th wait of each: the seconds from the end of attempt k to the arrival of attempt k + 1. Waits that the server
asked for by Retry-After are left out.

Shrinking. Two things must be true of the k-th waits and the next: their mean falls by a fifth or more, and in so many
of the n calls the next wait is the shorter one as chance would hardly give if both were drawn alike: n / 2 + 2.15
sqrt(n), a one-sided sign test at 4.3 standard deviations (1 in 100,000). The mean alone would be fooled by one long
pause of a machine, the signs alone by waits that are short once in a while.

No difference. Waits count as alike when they lie within 5 % (2 ms at least) of their median. Full jitter puts a tenth
of them there, equal jitter a seventh, no jitter all of them; nine in ten are too many. That must be so for every k that
can be judged: waits that have reached a cap are alike in well-behaved clients too, once the first ones have spread
their calls.

No wait. Nine in ten k-th waits below 5 ms: a client that comes back at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from mockserver.journal import Entry
from mockserver.rules.calls import calls
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass

LEAST_CALLS = 20
FEW = 0.9
"""The share of calls that must show a thing before it is said of all."""

AT_ONCE = 0.005
_SIGMAS = 4.3
_FALL = 0.8
_ALIKE, _ALIKE_LEAST = 0.05, 0.002


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds between an attempt and the next of the same call."""

    seconds: float
    entry: Entry
    """The later attempt."""


def waits(entries: Sequence[Entry]) -> list[list[Wait]]:
    """For each named call, its waits in order, up to the first that is not the client's own choice."""
    found: list[list[Wait]] = []
    for call in calls(entries):
        if call.assumed or len(call.entries) < 2:
            continue
        own: list[Wait] = []
        for before, after, seconds in call.gaps():
            if before.not_before is not None:
                break
            own.append(Wait(seconds, after))
        found.append(own)
    return found


def kth(waits: Iterable[Sequence[float]], k: int) -> list[float]:
    """The waits number k, from 0, of those calls that have so many."""
    return [each[k] for each in waits if len(each) > k]


def shrinks(waits: Sequence[Sequence[float]], k: int, least: int = LEAST_CALLS) -> bool:
    """Whether wait k + 1 is shorter than wait k, beyond chance."""
    pairs = [(each[k], each[k + 1]) for each in waits if len(each) > k + 1]
    if len(pairs) < max(1, least):
        return False
    shorter = sum(after < before - max(_ALIKE_LEAST, _ALIKE * before) for before, after in pairs)
    many = len(pairs) / 2 + _SIGMAS / 2 * math.sqrt(len(pairs))
    return shorter >= min(many, len(pairs)) and fmean(b for _, b in pairs) < _FALL * fmean(a for a, _ in pairs)


def alike(seconds: Sequence[float]) -> bool:
    """Whether nearly all of these waits are the same."""
    middle = median(seconds)
    near = max(_ALIKE_LEAST, _ALIKE * middle)
    return sum(abs(each - middle) <= near for each in seconds) >= FEW * len(seconds)


def coincide(waits: Sequence[Sequence[float]], least: int = LEAST_CALLS) -> bool:
    """Whether the waits of all these calls are the same, at each k that enough calls have."""
    judged = []
    for k in range(max(map(len, waits), default=0)):
        seconds = kth(waits, k)
        if len(seconds) < max(1, least):
            break
        judged.append(alike(seconds))
    return bool(judged) and all(judged)


@dataclass(frozen=True, kw_only=True)
class WaitsGrow:
    """Nobody comes back faster and faster, or at once.

    Attributes:
        calls: fewer calls are not judged.
        at_once: a wait below so many seconds is none. 0 to allow clients that come back at once.
    """

    calls: int = LEAST_CALLS
    at_once: float = AT_ONCE

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation for the first wait that is none, one for the first that shrinks."""
        found = waits(entries)
        seconds = [[wait.seconds for wait in each] for each in found]
        longest = max(map(len, seconds), default=0)
        none = next((k for k in range(longest) if self._at_once(kth(seconds, k))), None)
        if none is not None:
            yield Violation(
                rule="backoff",
                text=f"{len(kth(seconds, none))} calls came back at once after attempt {none + 1} failed "
                f"(median {1000 * median(kth(seconds, none)):.1f} ms).",
                mend="wait before each retry, longer each time, with jitter",
                entries=_shown(found, none),
            )
        falls = next((k for k in range(longest - 1) if shrinks(seconds, k, self.calls)), None)
        if falls is not None:
            before, after = fmean(kth(seconds, falls)), fmean(kth(seconds, falls + 1))
            yield Violation(
                rule="backoff",
                text=f"over {len(kth(seconds, falls + 1))} calls, the wait after attempt {falls + 2} was shorter "
                f"({after:.3f} s in the mean) than that after attempt {falls + 1} ({before:.3f} s).",
                mend="let waits grow, or stay, with each attempt",
                entries=_shown(found, falls + 1),
            )

    def _at_once(self, seconds: Sequence[float]) -> bool:
        return len(seconds) >= self.calls and sum(each < self.at_once for each in seconds) >= FEW * len(seconds)


@dataclass(frozen=True, kw_only=True)
class WaitsDiffer:
    """Calls that failed together do not come back together.

    Attributes:
        calls: fewer calls are not judged.
    """

    calls: int = LEAST_CALLS

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation, about the first waits."""
        found = waits(entries)
        seconds = [[wait.seconds for wait in each] for each in found]
        if coincide(seconds, self.calls):
            first = kth(seconds, 0)
            yield Violation(
                rule="jitter",
                text=f"{len(first)} calls all waited the same before their second attempt: "
                f"{median(first):.3f} s (median; from {min(first):.3f} to {max(first):.3f}).",
                mend="draw each wait at random, for instance between 0 and the longest one (full jitter)",
                entries=_shown(found, 0),
            )


def _shown(found: list[list[Wait]], k: int) -> tuple[Entry, ...]:
    return tuple(sorted((each[k].entry for each in found if len(each) > k), key=lambda entry: entry.index))
