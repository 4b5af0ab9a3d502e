"""Retry budgets: how much load retries may add, whatever each single call would like.

A server that answers half of its requests with 503 gets worse when every client sends each request three times. A
budget is shared by all calls to one origin, and is asked last, when nothing else speaks against the retry any more: one
that pays for retries that never happen is empty when it is needed. Three kinds, to choose from:

    RetryBudget      (default) each first attempt pays in `ratio` of a retry, time pays in `min_per_second`, and no more
                     than `burst` is saved. Under steady load retries add at most `ratio`, plus the floor. Time pays in
                     so that a client with little traffic can retry at all. Finagle's has the same shape (20 %, and a
                     floor of 10 a second, which never limits a small client).
    RetryQuota       a purse for bad times: retries take out of it, success brings it back. botocore's, and its figures.
    RetryThrottle    failures count down, successes a little up; no retry while half is gone. gRPC's (A6), with its
                     figures.

All answer the same commands, so that hedges may share a budget with retries: a hedge withdraws like a retry. `hears`
says what else a budget wants to be told: how many "calls" begin, or how each attempt "ends".
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias, runtime_checkable

from rest_api_client.checks import check_at_least, check_share, check_whole
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.state import ALLOW, Decision, MemoryState, State
from rest_api_client.reasons import NO_BUDGET

_SPENT: Final = Decision("refuse", reason=NO_BUDGET)


@dataclass(frozen=True, slots=True)
class Deposit:
    """A call began: its first attempt is about to be made."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A retry or a hedge is about to be made.

    Attributes:
        kind: "transient" after a failure, "throttled" where the server asked for fewer requests, "asked" where it also
            said when to come back.
    """

    kind: Literal["transient", "throttled", "asked"] = "transient"


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt ended well, or failed in a way that may be retried. `paid` is what it was withdrawn for, if it was."""

    ok: bool
    paid: Withdraw | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What would a withdrawal be told now? The decision's `value` is the share of the budget that is left."""


BudgetCommand: TypeAlias = Deposit | Withdraw | Ended | Look
DEPOSIT, WITHDRAW, SUCCEEDED, FAILED, LOOK = Deposit(), Withdraw(), Ended(True), Ended(False), Look()

Hears: TypeAlias = Literal["calls", "ends"]


@runtime_checkable
class Budget(Protocol):
    """The options of a budget.

    Attributes:
        hears: what it is told beside withdrawals: that calls began (`Deposit`), or how attempts ended (`Ended`).
    """

    hears: ClassVar[Hears]

    def memory(self, now: Callable[[], float]) -> State[BudgetCommand]:
        """A state of this budget, one purse per key."""
        ...


# ---------------------------------------------------------------------- a share of the calls


@dataclass(frozen=True, kw_only=True)
class RetryBudget:
    """A share of the calls, and a few a minute.

    The defaults keep 200 clients of a call a second each, whose server is gone for a minute, below a tenth of repeats.

    Attributes:
        ratio: retries per first attempt, 0 to 1.
        min_per_second: retries a second that are free, so that a client with little traffic can retry at all; by
            default one in 20 s.
        burst: retries saved up at most, and what a new client starts with.
    """

    ratio: float = 0.1
    min_per_second: float = 0.05
    burst: float = 4.0
    hears: ClassVar[Hears] = "calls"

    def __post_init__(self) -> None:
        check_share("RetryBudget", zero=True, ratio=self.ratio)
        check_at_least("RetryBudget", 0, unit="a number", min_per_second=self.min_per_second)
        check_at_least("RetryBudget", 1, unit="a number", hint="with less no retry is ever paid", burst=self.burst)

    def memory(self, now: Callable[[], float]) -> BudgetState:
        """A state of this budget in this process, one bucket per key."""
        return BudgetState(lambda: BudgetBucket(self), now)


class BudgetBucket:
    """The bucket of `RetryBudget`: pure, told the time.

    Deposits are only counted, and paid in when somebody asks: a call that goes well costs an addition. It comes to the
    same, since nothing is taken out in between, and what is beyond `burst` is lost either way.

    `deposit` is one step of a counter, which threads cannot divide: it needs no lock.
    """

    __slots__ = ("_at", "_counted", "budget", "deposit", "tokens")

    def __init__(self, budget: RetryBudget) -> None:
        self.budget = budget
        self.tokens = budget.burst
        self.deposit: Callable[[], int] = count(1).__next__
        self._counted = 0
        self._at: float | None = None

    def apply(self, command: BudgetCommand, now: float) -> Decision:
        """Pay in, or take one token out if there is one; otherwise say when time alone will have paid for one.

        A retry that the server asked for, and named the time of, adds no load that it did not choose: it is free.
        """
        if isinstance(command, Deposit):
            self.deposit()
        elif isinstance(command, Withdraw) and command.kind != "asked":
            self._refill(now)
            if self.tokens < 1:
                return self._refusal()
            self.tokens -= 1
        elif isinstance(command, Look):
            self._refill(now)
            left = self.tokens / self.budget.burst
            return Decision("allow", value=left) if self.tokens >= 1 else self._refusal(left)
        return ALLOW

    def _refill(self, now: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        before, self._counted = self._counted, self.deposit()  # asking is a step of its own
        paid_in = (self._counted - before - 1) * self.budget.ratio + passed * self.budget.min_per_second
        self.tokens = min(self.budget.burst, self.tokens + paid_in)
        self._at = now if self._at is None else max(now, self._at)

    def _refusal(self, left: float | None = None) -> Decision:
        floor = self.budget.min_per_second
        return Decision("refuse", (1 - self.tokens) / floor if floor else 0.0, NO_BUDGET, value=left)


class BudgetState(MemoryState[BudgetCommand]):
    """The buckets of a `RetryBudget` in this process, with a short way for what every call does."""

    _objects: Any

    def deposit(self, key: str) -> bool:
        """Count a call; False where the key is new, and `apply` has to begin it. Needs no clock, lock or coroutine."""
        bucket: BudgetBucket | None = self._objects.get(key)
        if bucket is None:
            return False
        bucket.deposit()
        return True


# ---------------------------------------------------------------------- a purse for bad times


@dataclass(frozen=True, kw_only=True)
class RetryQuota:
    """A purse that retries empty and success fills again; the figures are those of botocore's standard mode (1.44).

    A full one pays for 35 retries after failures, or 100 after throttling, however large or small the client is.

    Attributes:
        capacity: what a new client starts with, and the most there ever is.
        transient: what a retry after a failure costs.
        throttled: what a retry after throttling costs.
        first_success: what a first attempt that succeeds brings in. A retry that succeeds brings back its own cost.
    """

    capacity: int = 500
    transient: int = 14
    throttled: int = 5
    first_success: int = 1
    hears: ClassVar[Hears] = "ends"

    def __post_init__(self) -> None:
        check_whole("RetryQuota", 1, transient=self.transient, throttled=self.throttled)
        check_whole("RetryQuota", 0, first_success=self.first_success)
        hint = "with less than a retry costs none is ever paid"
        check_whole("RetryQuota", max(self.transient, self.throttled), hint=hint, capacity=self.capacity)

    def memory(self, now: Callable[[], float]) -> MemoryState[BudgetCommand]:
        """A state of this budget in this process, one purse per key."""
        return MemoryState(lambda: QuotaPurse(self), now)

    def cost(self, retry: Withdraw) -> int:
        """What a retry costs."""
        return self.transient if retry.kind == "transient" else self.throttled


class QuotaPurse:
    """The purse of `RetryQuota`: pure; time means nothing to it."""

    __slots__ = ("left", "quota")

    def __init__(self, quota: RetryQuota) -> None:
        self.quota = quota
        self.left = quota.capacity

    def apply(self, command: BudgetCommand, now: float) -> Decision:
        """Take a retry's cost out if it is there; bring in what a success is worth."""
        if isinstance(command, Ended):
            if command.ok:
                brought = self.quota.first_success if command.paid is None else self.quota.cost(command.paid)
                self.left = min(self.quota.capacity, self.left + brought)
        elif isinstance(command, Withdraw):
            cost = self.quota.cost(command)
            if cost > self.left:
                return _SPENT
            self.left -= cost
        elif isinstance(command, Look):
            left = self.left / self.quota.capacity
            enough = self.left >= self.quota.transient
            return Decision("allow", value=left) if enough else Decision("refuse", reason=NO_BUDGET, value=left)
        return ALLOW


# ---------------------------------------------------------------------- failures against successes


@dataclass(frozen=True, kw_only=True)
class RetryThrottle:
    """No retries while failures outweigh successes; the rule and the figures are gRPC's (proposal A6).

    Each failed attempt takes one token, each success brings `token_ratio`; retries are made while more than half of
    `max_tokens` are there, and cost nothing themselves. So with the defaults retries end when more than about one
    attempt in eleven fails. A request that the server provably never took up, on a connection that stood, is no
    failure here.

    Attributes:
        max_tokens: what a new client starts with, and the most there ever is; at most 1000.
        token_ratio: what a success brings in; three decimals count.
    """

    max_tokens: float = 10.0
    token_ratio: float = 0.1
    hears: ClassVar[Hears] = "ends"

    def __post_init__(self) -> None:
        check_at_least(
            "RetryThrottle", 0.001, unit="a number", max_tokens=self.max_tokens, token_ratio=self.token_ratio
        )
        if self.max_tokens > 1000:
            raise ConfigurationError(f"RetryThrottle(max_tokens={self.max_tokens!r}): give a number up to 1000")

    def memory(self, now: Callable[[], float]) -> MemoryState[BudgetCommand]:
        """A state of this budget in this process, one count per key."""
        return MemoryState(lambda: ThrottleCount(self), now)


class ThrottleCount:
    """The count of `RetryThrottle`, in thousandths of a token: pure; time means nothing to it."""

    __slots__ = ("_brought", "_most", "left")

    def __init__(self, throttle: RetryThrottle) -> None:
        self._most = self.left = round(throttle.max_tokens * 1000)
        self._brought = round(throttle.token_ratio * 1000)

    def apply(self, command: BudgetCommand, now: float) -> Decision:
        """Count an end, or say whether more than half is left."""
        if isinstance(command, Ended):
            self.left = min(self._most, self.left + self._brought) if command.ok else max(0, self.left - 1000)
            return ALLOW
        if isinstance(command, Deposit):
            return ALLOW
        enough = 2 * self.left > self._most
        if isinstance(command, Withdraw):
            return ALLOW if enough else _SPENT
        above_half = max(0.0, 2 * self.left / self._most - 1)
        return Decision("allow", value=above_half) if enough else Decision("refuse", reason=NO_BUDGET, value=above_half)
