"""TokenBucket(rate, burst): at most burst + rate * w in any window of w seconds."""

from __future__ import annotations

import math

from mockserver.limits.verdict import Label, Verdict, check_cost, check_positive, check_share, check_whole

_DUST = 1e-9
"""Tokens that rounding may take from a whole number: a full bucket must give its whole burst at any moment."""


class TokenBucket:
    """A bucket of `burst` tokens, refilled at `rate` tokens per second; a call takes its cost, usually one.

    Kept as GCRA does (ITU-T I.371): not tokens but one time, at which the bucket will be full again.
    """

    def __init__(self, rate: float, burst: int, *, name: str = "default", unit: str = "requests") -> None:
        self.rate = check_positive("rate", rate)
        self.burst = check_whole("burst", burst)
        self._label = Label(name, unit, self.burst, self.burst / self.rate)
        self._full_at = -math.inf

    @property
    def quota(self) -> int:
        """Tokens in a full bucket."""
        return self.burst

    @property
    def window(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.burst / self.rate

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Decide about a call arriving at `now`, and take its cost if allowed."""
        verdict, self._full_at = self._decide(now, cost)
        return verdict

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken."""
        return self._decide(now, cost)[0]

    def _decide(self, now: float, cost: int) -> tuple[Verdict, float]:
        """The verdict, and when the bucket will be full if it is carried out."""
        check_cost(cost)
        full_at = self._full_at
        tokens = self._tokens(now, full_at)
        allowed = tokens >= cost
        if allowed and cost:
            full_at = max(full_at, now) + cost / self.rate
            tokens = self._tokens(now, full_at)
        remaining = math.floor(tokens)
        wait = (cost - tokens) / self.rate if cost <= self.burst else math.inf
        reset = (remaining + 1 - tokens) / self.rate if remaining < self.burst else 0.0
        return self._label.verdict(allowed=allowed, remaining=remaining, wait=wait, reset=reset), full_at

    def _tokens(self, now: float, full_at: float) -> float:
        tokens = self.burst - max(0.0, full_at - now) * self.rate
        whole = round(tokens)
        return whole if abs(tokens - whole) < _DUST else tokens

    def release(self, cost: int = 1) -> None:
        """Nothing: what counts is when a call arrived."""

    def unused(self) -> TokenBucket:
        """The same settings, a full bucket."""
        return TokenBucket(self.rate, self.burst, name=self._label.name, unit=self._label.unit)

    def scaled(self, share: float) -> TokenBucket:
        """That share of the rate and of the burst."""
        check_share(share)
        burst = max(1, math.floor(self.burst * share))
        return TokenBucket(self.rate * share, burst, name=self._label.name, unit=self._label.unit)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return self._label.describe("bucket", rate=self.rate, burst=self.burst)
