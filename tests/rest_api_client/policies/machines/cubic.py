"""`ClientRate` beside a model that keeps every moment and works the rate out from the formulas each time."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rest_api_client.policies.cubic import Answered, ClientRate
from rest_api_client.policies.quotas import Land, Peek, Return, Take


class Machine(RuleBasedStateMachine):
    """Time comes in eighths, so that no bucket's edge is ever inexact."""

    @initialize()
    def begin(self) -> None:
        """Nothing is known."""
        self.rate = ClientRate()
        self.now = 100.0
        self.answers: list[float] = []
        self.limit: float | None = None
        self.saved, self.paid_at = 0.0, 0.0
        self.cut_at = self.w_max = 0.0
        self.cuts = 1
        self.flying: list[int] = []

    def measured(self) -> float:
        """Answers a second, from all of them."""
        since, count, rate = -math.inf, 0, 0.0
        for at in self.answers:
            half = at // 0.5 * 0.5
            if half - since > 5:
                since, count, rate = half, 0, 0.0
            count += 1
            if half > since:
                latest = count / (half - since)
                rate = 0.8 * latest + 0.2 * rate if rate else latest
                since, count = half, 0
        return rate or count * 2

    def fill(self) -> None:
        """Time pays in."""
        if self.limit is not None:
            self.saved = min(max(1.0, self.limit), self.saved + (self.now - self.paid_at) * self.limit)
            self.paid_at = self.now

    @rule(eighths=st.sampled_from([1, 2, 4, 8, 30, 80]))
    def time_passes(self, eighths: int) -> None:
        """The clock goes on."""
        self.now += eighths / 8

    @rule(ahead=st.integers(0, 5))
    def a_turn_is_foretold(self, ahead: int) -> None:
        """Looking takes nothing."""
        self.fill()
        decision = self.rate.apply(Peek(ahead), self.now)
        wait = 0.0 if self.limit is None else max(0.0, (1 + ahead - self.saved) / self.limit)
        assert decision.wait == pytest.approx(wait, abs=1e-6)

    @rule(times=st.integers(1, 4))
    def turns_are_taken(self, times: int) -> None:
        """Freely while the server has never throttled; then as the bucket has them."""
        for _ in range(times):
            self.fill()
            decision = self.rate.apply(Take(), self.now)
            if self.limit is not None and self.saved < 1 - 1e-6:
                assert decision.verdict == "wait"
                assert decision.wait == pytest.approx((1 - self.saved) / self.limit, abs=1e-6)
            elif decision.verdict == "allow":
                self.saved = max(0.0, self.saved - 1) if self.limit is not None else 0.0
                assert decision.token == self.cuts
                self.flying.append(decision.token)
            else:
                assert self.saved < 1

    @precondition(lambda self: self.flying)
    @rule(left=st.booleans())
    def one_was_never_sent(self, left: bool) -> None:
        """It gives its turn back, if it did not leave; an error without an answer teaches nothing."""
        token = self.flying.pop()
        self.fill()
        self.rate.apply(Land(token) if left else Return(token), self.now)
        if self.limit is not None and not left:
            self.saved = min(max(1.0, self.limit), self.saved + 1)

    @precondition(lambda self: self.flying)
    @rule(throttled=st.booleans(), oldest=st.booleans())
    def one_is_answered(self, throttled: bool, oldest: bool) -> None:
        """Throttling cuts, once per cut; anything else raises, never lowers."""
        token = self.flying.pop(0 if oldest else -1)
        self.answers.append(self.now)
        self.fill()
        decision = self.rate.apply(Answered(token, throttled), self.now)
        assert (decision.reason == "rate cut") == (throttled and token == self.cuts)
        if decision.reason:
            self.cut()
        elif self.limit is not None and not throttled:
            k = (self.w_max * 0.3 / 0.4) ** (1 / 3)
            cubic = 0.4 * (self.now - self.cut_at - k) ** 3 + self.w_max
            self.limit = max(self.limit, min(cubic, 2 * self.measured()))

    def cut(self) -> None:
        """To 0.7 of what was measured, or of the limit where that is less."""
        if self.limit is None:
            self.paid_at = self.now
        self.w_max = min(self.measured(), math.inf if self.limit is None else self.limit)
        self.cut_at, self.cuts = self.now, self.cuts + 1
        self.limit = max(0.5, 0.7 * self.w_max)
        self.saved = min(self.saved, max(1.0, self.limit))

    @invariant()
    def the_rate_is_that_of_the_model(self) -> None:
        """And never below half a request a second."""
        assert self.rate.rate == pytest.approx(self.limit)
        assert self.rate.rate is None or self.rate.rate >= 0.5
