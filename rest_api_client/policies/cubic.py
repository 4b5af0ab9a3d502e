"""A client's own sending rate, found by trying: cut when the server throttles, raised along a cubic curve after that.

The rule is that of the AWS SDKs' adaptive mode (botocore's `ClientRateLimiter`, whose constants these are), which took
it from TCP CUBIC (RFC 9438):

    measured    answers a second, an average over half seconds in which the newest counts 0.8
    throttled   w_max = min(measured, rate); rate = 0.7 * w_max; the limit is in force from the first time on
    otherwise   rate = 0.4 * (t - K) ** 3 + w_max, t seconds after the cut, K = cbrt(w_max * 0.3 / 0.4), and at most
                twice what is measured

So after a cut the rate comes back quickly to where it was, lingers there, and only then looks for more.

Four things are different. An answer to a request that was sent before the last cut does not cut again: one overload is
answered by one cut, however many requests were under way. A good answer never lowers the rate, so that a client with
little to send does not forget what the server takes. Silence does not count as slowness: the measure begins anew after
it. And until half a second is full, what came in it counts as its rate, so that the first cut is not to nothing.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.quotas import Peek, QuotaCommand, Return, Take
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.reasons import CLIENT_RATE, RATE_CUT

BETA: Final = 0.7
SCALE: Final = 0.4
HEADROOM: Final = 2.0
"""How many times the measured rate the limit may grow to."""
LEAST_RATE: Final = 0.5
"""Requests a second: the limit is never lower."""
SMOOTHING: Final = 0.8
BUCKET: Final = 0.5
"""Seconds over which answers are counted."""
SILENCE: Final = 5.0
"""Seconds without an answer after which the measure begins anew."""

_SLACK: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Answered:
    """The request of this token was answered: as usual, or with the wish for fewer requests."""

    token: int
    throttled: bool


RateCommand: TypeAlias = QuotaCommand | Answered


class Meter:
    """How many answers a second there are."""

    __slots__ = ("_count", "_since", "rate")

    def __init__(self) -> None:
        self.rate = 0.0
        self._count = 0
        self._since = -math.inf

    def record(self, now: float) -> float:
        """Count an answer, and give the rate."""
        bucket = math.floor(now / BUCKET) * BUCKET
        if bucket - self._since > SILENCE:
            self.rate, self._count, self._since = 0.0, 0, bucket
        self._count += 1
        if bucket > self._since:
            latest = self._count / (bucket - self._since)
            self.rate = latest if not self.rate else SMOOTHING * latest + (1 - SMOOTHING) * self.rate
            self._count, self._since = 0, bucket
        return self.rate or self._count / BUCKET


class ClientRate:
    """The rate and its bucket: pure, told the time. Tokens say under which cut a request was sent.

    Attributes:
        rate: requests a second, or None while the server has never throttled.
    """

    __slots__ = ("_at", "_cut_at", "_cuts", "_k", "_meter", "_tokens", "_w_max", "rate")

    def __init__(self) -> None:
        self.rate: float | None = None
        self._meter = Meter()
        self._tokens = 0.0
        self._at = 0.0
        self._cuts = 1
        self._cut_at = 0.0
        self._w_max = 0.0
        self._k = 0.0

    def apply(self, command: RateCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if isinstance(command, Take | Peek):
            return self._take(command, now)
        if isinstance(command, Answered):
            return self._answered(command, now)
        if isinstance(command, Return) and self.rate is not None:
            self._tokens = min(max(1.0, self.rate), self._tokens + 1)
        return ALLOW

    def _take(self, command: Take | Peek, now: float) -> Decision:
        if self.rate is not None:
            self._fill(now, self.rate)
            missing = 1 + command.ahead - self._tokens
            if missing > _SLACK:
                return Decision("wait", missing / self.rate, CLIENT_RATE)
            if isinstance(command, Take):
                self._tokens = max(0.0, self._tokens - 1)
        return Decision("allow", token=self._cuts)

    def _fill(self, now: float, rate: float) -> None:
        """Let the time that has passed pay in; a second's worth is saved at most."""
        self._tokens = min(max(1.0, rate), self._tokens + max(0.0, now - self._at) * rate)
        self._at = max(self._at, now)

    def _answered(self, command: Answered, now: float) -> Decision:
        measured = self._meter.record(now)
        if command.throttled:
            return self._cut(measured, now) if command.token == self._cuts else ALLOW
        if self.rate is not None:
            self._fill(now, self.rate)
            cubic = SCALE * (now - self._cut_at - self._k) ** 3 + self._w_max
            self.rate = max(self.rate, min(cubic, HEADROOM * measured))
        return ALLOW

    def _cut(self, measured: float, now: float) -> Decision:
        if self.rate is None:
            self._at, self._w_max = now, measured
        else:
            self._fill(now, self.rate)
            self._w_max = min(measured, self.rate)
        self._cut_at, self._cuts = now, self._cuts + 1
        self._k = (self._w_max * (1 - BETA) / SCALE) ** (1 / 3)
        self.rate = max(LEAST_RATE, BETA * self._w_max)
        self._tokens = min(self._tokens, max(1.0, self.rate))
        return Decision("allow", reason=RATE_CUT, value=self.rate)
