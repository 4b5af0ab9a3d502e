"""Strategies: when a failed attempt is made again, and after how long.

A strategy is asked last, about failures that may be retried at all (`retry` says which): it may narrow that, never
widen it. The user's own is a class with two methods.

The shipped ones grow the wait with each attempt and lay full jitter over it, random between 0 and the wait, so that
clients that failed together do not come back together (Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rest_api_client.checks import check_above_zero, check_at_least
from rest_api_client.context import Random
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.outcome import Outcome

BY_STRATEGY: Final = "strategy"
"""The reason of a `Stop` that names none."""


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


Jitter: TypeAlias = Literal["full", "none"]


class _Jittered(RetryStrategy):
    """Retries whatever may be; jitter is laid over what `get_delay` gives."""

    jitter: Jitter

    def should_retry(self, response: Response | None, attempt: int) -> bool:
        """Always: what is worth a retry was decided before."""
        return True

    def decide(self, context: RetryContext) -> Retry | Stop:
        """As `should_retry` and `get_delay` say; with full jitter, a random part of that delay."""
        step = super().decide(context)
        if isinstance(step, Stop) or self.jitter == "none":
            return step
        return Retry(step.delay * context.random.random())


@dataclass(frozen=True, kw_only=True)
class ExponentialBackoff(_Jittered):
    """Waits that double: at most min(cap, base * factor ** (attempt - 1)) seconds.

    Attributes:
        base: seconds after the first attempt.
        factor: how much longer each further wait is.
        cap: the longest wait.
        jitter: "full": random between 0 and that; "none": exactly that, for a single client or a test.
    """

    base: float = 0.5
    factor: float = 2.0
    cap: float = 20.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        check_above_zero("ExponentialBackoff", hint=_STORM, base=self.base, cap=self.cap)
        check_at_least("ExponentialBackoff", 1, unit="a number", factor=self.factor)
        _check_jitter(self, self.jitter)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        try:
            return min(self.cap, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            return self.cap


@dataclass(frozen=True, kw_only=True)
class LinearBackoff(_Jittered):
    """Waits that grow evenly: at most min(cap, base + step * (attempt - 1)) seconds.

    Attributes:
        base: seconds after the first attempt.
        step: how much longer each further wait is; as much as `base` unless given.
        cap: the longest wait.
        jitter: "full" or "none", as in `ExponentialBackoff`.
    """

    base: float = 0.5
    step: float | None = None
    cap: float = 20.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        check_above_zero("LinearBackoff", hint=_STORM, base=self.base, cap=self.cap)
        check_at_least("LinearBackoff", 0, off="as much as base", step=self.step)
        _check_jitter(self, self.jitter)

    def get_delay(self, attempt: int) -> float:
        """The longest wait after attempt number `attempt`."""
        step = self.base if self.step is None else self.step
        return min(self.cap, self.base + step * (attempt - 1))


_STORM = "retries without a pause are a storm"


def _check_jitter(owner: object, jitter: object) -> None:
    if jitter not in ("full", "none"):
        raise ConfigurationError(f"{type(owner).__name__}(jitter={jitter!r}): give 'full' or 'none'")
