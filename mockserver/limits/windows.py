"""Rate limits, as pure objects which are told the time.

`admit(now)` decides about one call arriving at `now` (seconds, never going back) and remembers it if, and only if, it
was allowed: a refused call costs nothing. Each kind keeps a bound which a test can hold it to:

    SlidingWindow(calls, period)   at most `calls` in ANY window of `period` seconds, [t, t + period)
    TokenBucket(rate, burst)       at most burst + rate * w in any window of w seconds

The answer says when to come back. `retry_after` is the earliest moment at which one call would be allowed if nobody
else came first; `reset` is the time until more quota than `remaining` is to be had, so a refused call's `reset` equals
its `retry_after`. (The common mistake is to say "now + period" although the window slides.) On the wire both become
whole seconds, rounded up: rounded down, an obedient client would be refused again.

Headers: RFC 9110 section 10.2.3 (Retry-After), draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy),
and the older X-RateLimit-*, whose Reset is given here in seconds from now, not as a date.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a limit says about one call. Times are seconds from now; `retry_after` is 0 when allowed."""

    allowed: bool
    remaining: int
    retry_after: float
    reset: float


@runtime_checkable
class Limit(Protocol):
    """What the server asks of a limit, of whatever kind."""

    @property
    def quota(self) -> int:
        """How many calls a rested client may send at once."""
        ...

    @property
    def window(self) -> float:
        """In how many seconds a spent quota is whole again."""
        ...

    def admit(self, now: float) -> Verdict:
        """Decide about a call arriving at `now`, and count it if allowed."""
        ...

    def unused(self) -> Limit:
        """A new limit with the same settings which has seen no call yet."""
        ...

    def describe(self) -> dict[str, object]:
        """The kind and its settings, for the journal."""
        ...


class SlidingWindow:
    """At most `calls` in any window of `period` seconds: a log of the arrivals that were accepted.

    Exact, at the cost of remembering up to `calls` times.
    """

    def __init__(self, calls: int, period: float) -> None:
        self.calls = _whole("calls", calls)
        self.period = _positive("period", period)
        self._accepted: deque[float] = deque()

    @property
    def quota(self) -> int:
        """Calls in any window."""
        return self.calls

    @property
    def window(self) -> float:
        """The period, in seconds."""
        return self.period

    def admit(self, now: float) -> Verdict:
        """Decide about a call arriving at `now`, and count it if allowed."""
        accepted = self._accepted
        while accepted and now - accepted[0] >= self.period:
            accepted.popleft()
        allowed = len(accepted) < self.calls
        if allowed:
            accepted.append(now)
        back = self.period - (now - accepted[0])
        remaining = self.calls - len(accepted)
        return Verdict(allowed=allowed, remaining=remaining, retry_after=0.0 if allowed else back, reset=back)

    def unused(self) -> SlidingWindow:
        """The same settings, an empty log."""
        return SlidingWindow(self.calls, self.period)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return {"kind": "window", "calls": self.calls, "period": self.period}


_DUST = 1e-9
"""Tokens that rounding may take from a whole number: a full bucket must give its whole burst at any moment."""


class TokenBucket:
    """A bucket of `burst` tokens, refilled at `rate` tokens per second; a call takes one.

    Kept as GCRA does (ITU-T I.371): not tokens but one time, at which the bucket will be full again.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = _positive("rate", rate)
        self.burst = _whole("burst", burst)
        self._full_at = -math.inf

    @property
    def quota(self) -> int:
        """Tokens in a full bucket."""
        return self.burst

    @property
    def window(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.burst / self.rate

    def admit(self, now: float) -> Verdict:
        """Decide about a call arriving at `now`, and count it if allowed."""
        tokens = self._tokens(now)
        allowed = tokens >= 1
        if allowed:
            self._full_at = max(self._full_at, now) + 1 / self.rate
            tokens = self._tokens(now)
        remaining = math.floor(tokens)
        back = (remaining + 1 - tokens) / self.rate
        return Verdict(allowed=allowed, remaining=remaining, retry_after=0.0 if allowed else back, reset=back)

    def _tokens(self, now: float) -> float:
        tokens = self.burst - max(0.0, self._full_at - now) * self.rate
        whole = round(tokens)
        return whole if abs(tokens - whole) < _DUST else tokens

    def unused(self) -> TokenBucket:
        """The same settings, a full bucket."""
        return TokenBucket(self.rate, self.burst)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return {"kind": "bucket", "rate": self.rate, "burst": self.burst}


def limit_headers(limit: Limit, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """The headers of an answer under this limit; `Retry-After` among them only when the call was refused."""
    reset = whole_seconds(verdict.reset)
    headers = {
        "ratelimit-policy": f'"default";q={limit.quota};w={whole_seconds(limit.window)}',
        "ratelimit": f'"default";r={verdict.remaining};t={reset}',
        "x-ratelimit-limit": str(limit.quota),
        "x-ratelimit-remaining": str(verdict.remaining),
        "x-ratelimit-reset": str(reset),
    }
    if not verdict.allowed:
        headers["retry-after"] = str(whole_seconds(verdict.retry_after))
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def whole_seconds(seconds: float) -> int:
    """Rounded up, so that whoever waits that long has waited long enough."""
    return math.ceil(seconds)


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return float(value)
