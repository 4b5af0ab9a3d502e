"""What each kind of limit allows, as a bound on arrival times.

    at most `calls` in any window of `period` seconds          SlidingWindow
    at most `burst` + `rate` * w in any window of w seconds    TokenBucket
    at most `calls` in each of the windows side by side        FixedWindow

A bound finds the first run of times that breaks it. Times shift on their way: `slack` is the number of seconds by which
each may have come closer to the one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from mockserver.limits import FixedWindow, Limit, SlidingWindow, Together, TokenBucket
from rest_api_client.lazy_dataclasses import dataclass


@runtime_checkable
class Bound(Protocol):
    """A bound on arrival times."""

    @property
    def says(self) -> str:
        """The bound in words."""
        ...

    def broken(self, times: Sequence[float], slack: float) -> slice | None:
        """The first run of these times (rising) that exceeds it; None where it is kept."""
        ...


@dataclass(frozen=True)
class InAnyWindow:
    """At most `calls` in any window [t, t + period)."""

    calls: int
    period: float

    @property
    def says(self) -> str:
        """The bound in words."""
        return f"at most {self.calls} requests in any {self.period:g} s"

    def broken(self, times: Sequence[float], slack: float) -> slice | None:
        """The first window that holds more."""
        for last in range(self.calls, len(times)):
            if times[last] - times[last - self.calls] < self.period - slack:
                return slice(last - self.calls, last + 1)
        return None


@dataclass(frozen=True)
class BurstAndRate:
    """At most burst + rate * w in any window of w seconds."""

    rate: float
    burst: int

    @property
    def says(self) -> str:
        """The bound in words."""
        return f"at most {self.burst} requests at once and {self.rate:g} a second"

    def broken(self, times: Sequence[float], slack: float) -> slice | None:
        """From the last moment at which the bucket was full to the request that it had no token for."""
        tokens, before, full = float(self.burst), 0.0, 0
        for place, time in enumerate(times):
            tokens += (time - before) * self.rate
            if tokens >= self.burst:
                tokens, full = float(self.burst), place
            tokens, before = tokens - 1, time
            if tokens < -slack * self.rate - 1e-9:
                return slice(full, place + 1)
        return None


@dataclass(frozen=True)
class InEachWindow:
    """At most `calls` in each window [origin + k * period, origin + (k + 1) * period)."""

    calls: int
    period: float
    origin: float = 0.0

    @property
    def says(self) -> str:
        """The bound in words."""
        return f"at most {self.calls} requests in each {self.period:g} s"

    def broken(self, times: Sequence[float], slack: float) -> slice | None:
        """The first window that holds more; what came just after its beginning may belong to the one before."""
        window: deque[int] = deque()
        current: float | None = None
        for place, time in enumerate(times):
            number = (time - self.origin) // self.period
            if number != current:
                window.clear()
                current = number
            if time - (self.origin + number * self.period) >= slack:
                window.append(place)
            if len(window) > self.calls:
                return slice(window[0], place + 1)
        return None


def bounds_of(limits: Iterable[Limit | Bound]) -> tuple[Bound, ...]:
    """The bounds of these limits. What counts running calls, or is of the user's own kind, bounds no arrivals."""
    found: list[Bound] = []
    for limit in limits:
        match limit:
            case SlidingWindow():
                found.append(InAnyWindow(limit.calls, limit.period))
            case TokenBucket():
                found.append(BurstAndRate(limit.rate, limit.burst))
            case FixedWindow():
                found.append(InEachWindow(limit.calls, limit.period, limit.origin))
            case Together():
                found.extend(bounds_of(limit.limits))
            case Bound():
                found.append(limit)
            case _:
                pass
    return tuple(found)
