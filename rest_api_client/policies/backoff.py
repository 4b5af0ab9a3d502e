"""Strategies: when a failed attempt is made again, and after how long.

A strategy is asked last, about failures that may be retried at all (`retry` says which): it may narrow that, never
widen it. The user's own is a class with two methods.

Four of the shipped ones say how long the longest wait is, growing with each attempt, evenly or not at all, and lay
jitter over it, so that clients that failed together do not come back together (Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015): "full" is random between 0 and that wait, "equal" between its half and itself.

    ExponentialBackoff      base * factor ** (n - 1)
    FibonacciBackoff        base * 1, 1, 2, 3, 5, 8 ...
    LinearBackoff           base + step * (n - 1)
    ConstantBackoff         base

Two are random by nature:

    DecorrelatedBackoff     between base and three times the wait before
    SmoothBackoff           doubling, with chance laid so that many clients come back evenly

No wait is ever longer than `cap`. A base of 0 is refused. A strategy remembers nothing: what happened in this call
comes in the `RetryContext`, so that one object serves all calls, threads and loops.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from rest_api_client.checks import check_above_zero, check_at_least
from rest_api_client.context import Random
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.outcome import Outcome
from rest_api_client.reasons import BY_STRATEGY


@dataclass(frozen=True, slots=True)
class Retry:
    """Make the attempt again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the result stand. `reason` is a fixed word or two; it becomes the attempt's decision."""

    reason: str = BY_STRATEGY


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryContext:
    """What a strategy may know.

    Attributes:
        request: what was sent.
        response: the answer, or None where an error came instead.
        error: the error, or None.
        outcome: what the end of the attempt means.
        attempt: counts from 1.
        previous_delay: seconds waited before this attempt, 0 before the first.
        elapsed: seconds since the call began.
        history: the attempts so far, oldest first.
        random: the source of chance.
    """

    request: Request
    response: Response | None
    error: Exception | None
    outcome: Outcome
    attempt: int
    previous_delay: float
    elapsed: float
    history: Sequence[Attempt]
    random: Random


class RetryStrategy(ABC):
    """When to try again, within what is safe. Write the two methods; override `decide` to know more.

    A strategy has no memory of a call and may be used by many at once.
    """

    @abstractmethod
    def should_retry(self, response: Response | None, attempt: int) -> bool:
        """Whether to try again after attempt number `attempt` (from 1); `response` is None where an error came."""

    @abstractmethod
    def get_delay(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt`."""

    def decide(self, context: RetryContext) -> Retry | Stop:
        """What to do after an attempt that failed."""
        if not self.should_retry(context.response, context.attempt):
            return Stop()
        return Retry(self.get_delay(context.attempt))


Jitter: TypeAlias = Literal["full", "equal", "none"]
"""Random between 0 and the wait; between half of it and all of it; the wait itself, for a single client or a test."""


class _Willing(RetryStrategy):
    """Retries whatever may be."""

    def should_retry(self, response: Response | None, attempt: int) -> bool:
        """Always: what is worth a retry was decided before."""
        return True


class _Jittered(_Willing):
    """Lays jitter over what `get_delay` gives."""

    jitter: Jitter

    def decide(self, context: RetryContext) -> Retry | Stop:
        """As `should_retry` and `get_delay` say; with jitter, a random part of that delay."""
        step = super().decide(context)
        if isinstance(step, Stop) or self.jitter == "none":
            return step
        chance = context.random.random()
        return Retry(step.delay * (chance if self.jitter == "full" else (1 + chance) / 2))


@dataclass(frozen=True, kw_only=True)
class ExponentialBackoff(_Jittered):
    """Waits that double: at most min(cap, base * factor ** (attempt - 1)) seconds.

    Attributes:
        base: seconds after the first attempt.
        factor: how much longer each further wait is.
        cap: the longest wait.
        jitter: "full": random between 0 and that; "equal": between its half and itself; "none": exactly that.
    """

    base: float = 0.5
    factor: float = 2.0
    cap: float = 20.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        _check(self, self.base, self.cap, self.jitter)
        check_at_least("ExponentialBackoff", 1, unit="a number", factor=self.factor)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        return _power(self.base, self.factor, self.cap, attempt)


@dataclass(frozen=True, kw_only=True)
class FibonacciBackoff(_Jittered):
    """Waits that grow as the sum of the two before, slower than doubling: 1, 1, 2, 3, 5, 8 ... times base seconds.

    Attributes:
        base: seconds after the first and the second attempt.
        cap: the longest wait.
        jitter: "full", "equal" or "none", as in `ExponentialBackoff`.
    """

    base: float = 0.5
    cap: float = 20.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        _check(self, self.base, self.cap, self.jitter)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        wait, following = self.base, self.base
        for _ in range(attempt - 1):
            if wait >= self.cap:
                break
            wait, following = following, wait + following
        return min(self.cap, wait)


@dataclass(frozen=True, kw_only=True)
class LinearBackoff(_Jittered):
    """Waits that grow evenly: at most min(cap, base + step * (attempt - 1)) seconds.

    Attributes:
        base: seconds after the first attempt.
        step: how much longer each further wait is; as much as `base` unless given.
        cap: the longest wait.
        jitter: "full", "equal" or "none", as in `ExponentialBackoff`.
    """

    base: float = 0.5
    step: float | None = None
    cap: float = 20.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        _check(self, self.base, self.cap, self.jitter)
        check_at_least("LinearBackoff", 0, off="as much as base", step=self.step)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        step = self.base if self.step is None else self.step
        return min(self.cap, self.base + step * (attempt - 1))


@dataclass(frozen=True, kw_only=True)
class ConstantBackoff(_Jittered):
    """The same wait each time: at most base seconds. For what comes back after a known time, not for overload.

    Attributes:
        base: seconds after each attempt.
        jitter: "full", "equal" or "none", as in `ExponentialBackoff`.
    """

    base: float = 1.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        _check(self, self.base, self.base, self.jitter)

    def get_delay(self, attempt: int) -> float:
        """The longest wait, whatever the attempt."""
        return self.base


@dataclass(frozen=True, kw_only=True)
class DecorrelatedBackoff(_Willing):
    """Waits drawn between base and three times the wait before: min(cap, random from base to 3 * previous) seconds.

    Never less than base, and the spread widens with each attempt. The AWS blog's third kind of jitter: there it needed
    slightly more time than full jitter, and a few more calls.

    Attributes:
        base: seconds: the shortest wait, and what counts as the one before the first.
        cap: the longest wait.
    """

    base: float = 0.5
    cap: float = 20.0

    def __post_init__(self) -> None:
        _check(self, self.base, self.cap)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        return _power(3 * self.base, 3.0, self.cap, attempt)

    def decide(self, context: RetryContext) -> Retry | Stop:
        """Draw the next wait from the one before, which a Retry-After may have made longer."""
        most = 3 * max(self.base, min(context.previous_delay, self.cap))
        return Retry(min(self.cap, self.base + context.random.random() * (most - self.base)))


@dataclass(frozen=True, kw_only=True)
class SmoothBackoff(_Willing):
    """Doubling waits whose chance is laid so that many clients come back evenly, without crowds between the steps.

    After n failures a client comes back once more at a random moment of a curve, f(n + random), where
    f(t) = 2 ** t * tanh(sqrt(4 t)); the wait is the distance from one such moment to the next, times base / 1.4, so
    that the first is about base seconds in the middle. The curve is that of Polly's "decorrelated jitter V2", where a
    call remembers its last moment; here both are drawn anew, so each single wait is distributed as there.

    Attributes:
        base: seconds: about the median of the first wait.
        cap: the longest wait.
    """

    base: float = 0.5
    cap: float = 20.0

    def __post_init__(self) -> None:
        _check(self, self.base, self.cap)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        return self._between(max(0.0, attempt - 2.0), float(attempt))

    def decide(self, context: RetryContext) -> Retry | Stop:
        """Draw two moments, one in the last step of the curve and one in this."""
        steps, random = context.attempt - 1, context.random
        before = steps - 1 + random.random() if steps else 0.0
        return Retry(self._between(before, steps + random.random()))

    def _between(self, before: float, after: float) -> float:
        if before >= _STEEP:
            return self.cap
        return min(self.cap, (_curve(after) - _curve(before)) * self.base / 1.4)


_STEEP: Final = 1000
"""Steps of the curve from which on each is longer than any cap; a float ends at 1024."""


def _power(base: float, factor: float, cap: float, attempt: int) -> float:
    try:
        return min(cap, base * factor ** (attempt - 1))
    except OverflowError:
        return cap


def _curve(t: float) -> float:
    return float(2**t * math.tanh(math.sqrt(4 * t)))


def _check(owner: RetryStrategy, base: float, cap: float, jitter: object = "none") -> None:
    name = type(owner).__name__
    check_above_zero(name, hint="retries without a pause are a storm", base=base, cap=cap)
    if jitter not in ("full", "equal", "none"):
        raise ConfigurationError(f"{name}(jitter={jitter!r}): give 'full', 'equal' or 'none'")
