"""Limits on the calls of a span of time.

SlidingWindow(calls, period)   at most `calls` in ANY window of `period` seconds, [t, t + period)
FixedWindow(calls, period)     at most `calls` in each of the windows that lie side by side, and so up to twice as
                               many in a window across the seam: what many gateways do, and clients must survive
"""

from __future__ import annotations

import math
from collections import deque

from mockserver.limits.verdict import (
    Label,
    Verdict,
    check_cost,
    check_positive,
    check_share,
    check_whole,
    seconds_until,
)


class SlidingWindow:
    """At most `calls` in any window of `period` seconds: a log of the arrivals that were accepted.

    Exact, at the cost of remembering up to `calls` times.
    """

    def __init__(self, calls: int, period: float, *, name: str = "default", unit: str = "requests") -> None:
        self.calls = check_whole("calls", calls)
        self.period = check_positive("period", period)
        self._label = Label(name, unit, self.calls, self.period)
        self._accepted: deque[tuple[float, int]] = deque()
        self._taken = 0

    @property
    def quota(self) -> int:
        """Units in any window."""
        return self.calls

    @property
    def window(self) -> float:
        """The period, in seconds."""
        return self.period

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Decide about a call arriving at `now`, and take its cost if allowed."""
        verdict = self.peek(now, cost)
        if verdict.allowed and cost:
            self._accepted.append((now, cost))
            self._taken += cost
        return verdict

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken."""
        check_cost(cost)
        self._forget(now)
        allowed = self._taken + cost <= self.calls
        return self._label.verdict(
            allowed=allowed,
            remaining=self.calls - self._taken - (cost if allowed else 0),
            wait=0.0 if allowed else self._wait(now, cost),
            reset=self._reset(now, spending=allowed and cost > 0),
        )

    def _forget(self, now: float) -> None:
        while self._accepted and now - self._accepted[0][0] >= self.period:
            self._taken -= self._accepted.popleft()[1]

    def _wait(self, now: float, cost: int) -> float:
        """Seconds until enough of the oldest calls have left the window."""
        missing = self._taken + cost - self.calls
        for time, weight in self._accepted:
            missing -= weight
            if missing <= 0:
                return seconds_until(_leaves(time, self.period), now)
        return math.inf

    def _reset(self, now: float, *, spending: bool) -> float:
        """Seconds until the oldest call has left the window; it may be this one."""
        if not self._accepted and not spending:
            return 0.0
        oldest = self._accepted[0][0] if self._accepted else now
        return seconds_until(_leaves(oldest, self.period), now)

    def release(self, cost: int = 1) -> None:
        """Nothing: what counts is when a call arrived."""

    def unused(self) -> SlidingWindow:
        """The same settings, an empty log."""
        return SlidingWindow(self.calls, self.period, name=self._label.name, unit=self._label.unit)

    def scaled(self, share: float) -> SlidingWindow:
        """That share of the calls in the same period."""
        check_share(share)
        calls = max(1, math.floor(self.calls * share))
        return SlidingWindow(calls, self.period, name=self._label.name, unit=self._label.unit)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return self._label.describe("window", calls=self.calls, period=self.period)


def _leaves(time: float, period: float) -> float:
    """The first moment at which a call of `time` is out of the window, as the window itself computes it."""
    moment = time + period
    while moment - time < period:
        moment = math.nextafter(moment, math.inf)
    return moment


class FixedWindow:
    """At most `calls` in each window [origin + k * period, origin + (k + 1) * period).

    Args:
        calls: units in each window.
        period: a window's length, in seconds.
        origin: a moment at which a window begins, on the clock that `admit` is told.
        name: the limit's, for headers that name it.
        unit: what is counted.
    """

    def __init__(
        self, calls: int, period: float, *, origin: float = 0.0, name: str = "default", unit: str = "requests"
    ) -> None:
        if not math.isfinite(origin):
            raise ValueError(f"origin must be a moment in seconds, not {origin!r}")
        self.calls = check_whole("calls", calls)
        self.period = check_positive("period", period)
        self.origin = float(origin)
        self._label = Label(name, unit, self.calls, self.period)
        self._current: int | None = None
        self._taken = 0

    @property
    def quota(self) -> int:
        """Units in each window."""
        return self.calls

    @property
    def window(self) -> float:
        """The period, in seconds."""
        return self.period

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Decide about a call arriving at `now`, and take its cost if allowed."""
        verdict = self.peek(now, cost)
        if verdict.allowed:
            self._taken += cost
        return verdict

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken."""
        check_cost(cost)
        number = self._number(now)
        if number != self._current:
            self._current, self._taken = number, 0
        allowed = self._taken + cost <= self.calls
        back = seconds_until(self._begins(number + 1), now)
        spent = self._taken + (cost if allowed else 0)
        return self._label.verdict(
            allowed=allowed,
            remaining=self.calls - spent,
            wait=back if cost <= self.calls else math.inf,
            reset=back if spent else 0.0,
        )

    def _begins(self, number: int) -> float:
        return self.origin + number * self.period

    def _number(self, now: float) -> int:
        # Division and multiplication round differently: the windows' beginnings decide, not the quotient.
        number = math.floor((now - self.origin) / self.period)
        while now >= self._begins(number + 1):
            number += 1
        while now < self._begins(number):
            number -= 1
        return number

    def release(self, cost: int = 1) -> None:
        """Nothing: what counts is when a call arrived."""

    def unused(self) -> FixedWindow:
        """The same settings, nothing taken."""
        return self.scaled(1)

    def scaled(self, share: float) -> FixedWindow:
        """That share of the calls in the same windows."""
        check_share(share)
        calls = max(1, math.floor(self.calls * share))
        return FixedWindow(calls, self.period, origin=self.origin, name=self._label.name, unit=self._label.unit)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return self._label.describe("fixed", calls=self.calls, period=self.period, origin=self.origin)
