"""The three retry budgets, each beside a plain ledger that is brought up to date at every command."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rest_api_client.policies.budget import (
    DEPOSIT,
    LOOK,
    BudgetBucket,
    Ended,
    QuotaPurse,
    RetryBudget,
    RetryQuota,
    RetryThrottle,
    ThrottleCount,
    Withdraw,
)

KINDS = st.sampled_from(["transient", "throttled", "asked"])
BUDGETS = st.builds(
    RetryBudget,
    ratio=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    min_per_second=st.sampled_from([0.0, 0.25, 1.0, 3.0]),
    burst=st.sampled_from([1.0, 2.5, 10.0]),
)
QUOTAS = st.builds(
    RetryQuota, capacity=st.sampled_from([14, 30, 500]), first_success=st.sampled_from([0, 1, 3]), throttled=st.just(5)
)
THROTTLES = st.builds(
    RetryThrottle, max_tokens=st.sampled_from([0.5, 1.0, 3.0, 10.0]), token_ratio=st.sampled_from([0.001, 0.1, 2.0])
)


class Machine(RuleBasedStateMachine):
    """Time comes in quarters. All three are asked at once; each ledger is a number."""

    @initialize(budget=BUDGETS, quota=QUOTAS, throttle=THROTTLES)
    def begin(self, budget: RetryBudget, quota: RetryQuota, throttle: RetryThrottle) -> None:
        """One budget of each kind."""
        self.options = budget, quota, throttle
        self.bucket, self.purse, self.count = BudgetBucket(budget), QuotaPurse(quota), ThrottleCount(throttle)
        self.saved, self.left, self.tokens = budget.burst, quota.capacity, throttle.max_tokens
        self.now = 0.0
        self.began = False

    @rule(quarters=st.integers(1, 40))
    def time_passes(self, quarters: int) -> None:
        """It pays into the bucket, from the first question on, and into nothing else."""
        self.now += quarters / 4
        if self.began:
            self.pay_in(quarters / 4 * self.options[0].min_per_second)

    def pay_in(self, amount: float) -> None:
        """The bucket's ledger."""
        self.saved = min(self.options[0].burst, self.saved + amount)

    @rule(calls=st.integers(1, 30))
    def calls_begin(self, calls: int) -> None:
        """Each pays its share into the bucket."""
        for _ in range(calls):
            for each in (self.bucket, self.purse, self.count):
                assert each.apply(DEPOSIT, self.now).verdict == "allow"
            self.pay_in(self.options[0].ratio)

    @rule(kind=KINDS)
    def a_retry_is_paid(self, kind: Any) -> None:
        """Or not, where the ledger has too little."""
        command = Withdraw(kind)
        if kind != "asked":
            self.began = True
            enough = self.saved >= 1 - 1e-9
            if abs(self.saved - 1) > 1e-9:  # sums of tenths do not meet 1 exactly, in whatever order
                self.agrees(self.bucket.apply(command, self.now), enough)
                self.saved -= enough
        else:
            assert self.bucket.apply(command, self.now).verdict == "allow"
        cost = 5 if kind != "transient" else 14
        enough = self.left >= cost
        assert (self.purse.apply(command, self.now).verdict == "allow") == enough
        self.left -= cost * enough
        above = self.tokens > self.options[2].max_tokens / 2 + 1e-9
        assert (self.count.apply(command, self.now).verdict == "allow") == above

    def agrees(self, decision: Any, enough: bool) -> None:
        """The bucket's answer, and its wait until time alone will have paid."""
        floor = self.options[0].min_per_second
        assert (decision.verdict == "allow") == enough
        if not enough:
            assert decision.reason == "budget"
            assert decision.wait == pytest.approx((1 - self.saved) / floor if floor else 0)

    @rule(ok=st.booleans(), paid=st.one_of(st.none(), st.builds(Withdraw, KINDS)))
    def an_attempt_ends(self, ok: bool, paid: Withdraw | None) -> None:
        """Success brings back what it cost, or a little; failure takes a token of the throttle's."""
        for each in (self.bucket, self.purse, self.count):
            assert each.apply(Ended(ok, paid), self.now).verdict == "allow"
        _, quota, throttle = self.options
        if ok:
            brought = quota.first_success if paid is None else 14 if paid.kind == "transient" else 5
            self.left = min(quota.capacity, self.left + brought)
            self.tokens = min(throttle.max_tokens, self.tokens + throttle.token_ratio)
        else:
            self.tokens = max(0.0, self.tokens - 1)

    @rule()
    def somebody_looks(self) -> None:
        """It says what share is left, as a withdrawal would be told, and changes nothing."""
        self.began = True
        budget, quota, throttle = self.options
        looks = [each.apply(LOOK, self.now) for each in (self.bucket, self.purse, self.count)]
        half = throttle.max_tokens / 2
        shares = [self.saved / budget.burst, self.left / quota.capacity, max(0.0, self.tokens - half) / half]
        assert [look.value for look in looks] == pytest.approx(shares, abs=1e-9)
        assert looks[1].verdict == ("allow" if self.left >= 14 else "refuse")
        assert looks[2].verdict == ("allow" if self.tokens > half + 1e-9 else "refuse")
