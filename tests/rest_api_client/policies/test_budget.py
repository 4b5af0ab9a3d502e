"""The retry budget against a ledger, and its place among the vetoes."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.policies.budget import BudgetBucket, Deposit, RetryBudget, Withdraw


class BudgetMachine(RuleBasedStateMachine):
    """The bucket against plain arithmetic over each step."""

    @initialize(
        ratio=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        floor=st.sampled_from([0.0, 0.25, 1.0, 3.0]),
        burst=st.sampled_from([1.0, 10.0]),
    )
    def begin(self, ratio: float, floor: float, burst: float) -> None:
        self.budget = RetryBudget(ratio=ratio, min_per_second=floor, burst=burst)
        self.bucket = BudgetBucket(self.budget)
        self.saved, self.now, self.seen = burst, 0.0, None

    def refill(self) -> None:
        passed = 0.0 if self.seen is None else self.now - self.seen
        self.saved, self.seen = min(self.budget.burst, self.saved + passed * self.budget.min_per_second), self.now

    @rule(quarters=st.integers(0, 40))
    def pass_time(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule()
    def deposit(self) -> None:
        self.refill()
        self.saved = min(self.budget.burst, self.saved + self.budget.ratio)
        assert self.bucket.apply(Deposit(), self.now).verdict == "allow"

    @rule()
    def withdraw(self) -> None:
        self.refill()
        enough = self.saved >= 1
        assert self.bucket.tokens <= self.budget.burst
        decision = self.bucket.apply(Withdraw(), self.now)
        assert (decision.verdict == "allow") == enough
        self.saved -= enough
        if not enough and self.budget.min_per_second:
            assert self.saved + decision.wait * self.budget.min_per_second == pytest.approx(1)


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_the_floor_pays_a_client_without_traffic() -> None:
    """T19: time pays in too, so that a client which sends little can retry."""
    bucket = BudgetBucket(RetryBudget(ratio=0.1, min_per_second=1, burst=1))
    assert [bucket.apply(Withdraw(), moment).verdict for moment in (0, 0.5, 1, 2)] == [
        "allow",
        "refuse",
        "allow",
        "allow",
    ]


def test_steady_failure_adds_a_tenth_and_the_floor() -> None:
    """T19: over 100 s of 10 failing requests a second, retries are 10 % of them, 1 a second and what was saved."""
    bucket = BudgetBucket(RetryBudget())
    paid = 0
    for step in range(1000):
        bucket.apply(Deposit(), step / 10)
        paid += bucket.apply(Withdraw(), step / 10).verdict == "allow"
    assert 195 <= paid <= 211


@pytest.mark.parametrize("options", [{"ratio": -0.1}, {"ratio": 2}, {"min_per_second": -1}, {"burst": 0}])
def test_an_impossible_budget_is_refused(options: dict[str, float]) -> None:
    """The message names the option and its value."""
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigurationError, match=f"{name}={value}"):
        RetryBudget(**options)


def test_without_a_floor_nobody_knows_when_the_next_retry_is_paid() -> None:
    """The refusal then tells no wait."""
    bucket = BudgetBucket(RetryBudget(min_per_second=0, burst=1))
    bucket.apply(Withdraw(), 0)
    assert bucket.apply(Withdraw(), 100).wait == 0
