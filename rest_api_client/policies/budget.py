"""The retry budget: retries may add a tenth to the load, and one a second, whatever else happens.

A server that answers half of its requests with 503 gets worse when every client sends each request three times. So each
first attempt pays `ratio` of a token into a bucket, time pays `min_per_second`, and each retry takes a whole token out.
Under steady load at most `ratio` of the requests, plus the floor, are retries; a client that sends little is not
starved, since time pays in as well; and no client saves up more than `burst`.

Finagle's budget has the same shape (20 %, and a floor of 10 a second, which never limits a small client); botocore's
quota and gRPC's throttle count failures instead of requests.

A token is taken last, when nothing else speaks against the retry any more: a budget that pays for retries that never
happen is empty when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rest_api_client.checks import check_at_least, check_share
from rest_api_client.policies.state import ALLOW, Decision, MemoryState


@dataclass(frozen=True, slots=True)
class Deposit:
    """A first attempt was made."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A retry is about to be made."""


BudgetCommand: TypeAlias = Deposit | Withdraw
DEPOSIT, WITHDRAW = Deposit(), Withdraw()


@dataclass(frozen=True, kw_only=True)
class RetryBudget:
    """How much load retries may add.

    Attributes:
        ratio: retries per first attempt, 0 to 1.
        min_per_second: retries a second that are free, so that a client with little traffic can retry at all.
        burst: retries saved up at most, and what a new client starts with.
    """

    ratio: float = 0.1
    min_per_second: float = 1.0
    burst: float = 10.0

    def __post_init__(self) -> None:
        check_share("RetryBudget", zero=True, ratio=self.ratio)
        check_at_least("RetryBudget", 0, unit="a number", min_per_second=self.min_per_second)
        check_at_least("RetryBudget", 1, unit="a number", hint="with less no retry is ever paid", burst=self.burst)

    def memory(self, now: Callable[[], float]) -> MemoryState[BudgetCommand]:
        """A state of this budget in this process, one bucket per key."""
        return MemoryState(lambda: BudgetBucket(self), now)


class BudgetBucket:
    """The bucket: pure, told the time."""

    def __init__(self, budget: RetryBudget) -> None:
        self.budget = budget
        self.tokens = budget.burst
        self._at: float | None = None

    def apply(self, command: BudgetCommand, now: float) -> Decision:
        """Pay in, or take one token out if there is one; otherwise say when time alone will have paid for one."""
        self._refill(now)
        if isinstance(command, Deposit):
            self.tokens = min(self.budget.burst, self.tokens + self.budget.ratio)
            return ALLOW
        if self.tokens < 1:
            floor = self.budget.min_per_second
            return Decision("refuse", (1 - self.tokens) / floor if floor else 0.0, "budget")
        self.tokens -= 1
        return ALLOW

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self.tokens = min(self.budget.burst, self.tokens + (now - self._at) * self.budget.min_per_second)
        self._at = now if self._at is None else max(now, self._at)
