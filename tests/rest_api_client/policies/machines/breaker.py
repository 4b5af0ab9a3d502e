"""The circuit breaker beside a model that keeps every outcome and looks through all of them each time."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rest_api_client.policies.circuit import ISOLATE, RESET, Breaker, CircuitRules, Enter, Peek, Report

WINDOW, OPEN_FOR = 10.0, 3.0

OPTIONS = st.fixed_dictionaries(
    {
        "failure_ratio": st.sampled_from([0.3, 0.5, 1.0, None]),
        "consecutive_failures": st.sampled_from([None, 1, 2, 3]),
        "slow_after": st.sampled_from([None, 1.0]),
        "slow_ratio": st.sampled_from([0.5, 1.0]),
        "min_calls": st.integers(1, 4),
        "window": st.sampled_from([None, WINDOW]),
        "window_calls": st.sampled_from([None, 4, 5]),
        "max_open_for": st.sampled_from([None, 3.0, 7.0]),
        "probes": st.integers(1, 3),
    }
).filter(lambda o: any(o[name] is not None for name in ("failure_ratio", "consecutive_failures", "slow_after")))


class Machine(RuleBasedStateMachine):
    """Time comes in quarters, so that no sum of moments is ever inexact."""

    @initialize(options=OPTIONS)
    def begin(self, options: dict[str, Any]) -> None:
        """A breaker of some kind."""
        self.options = CircuitRules(open_for=OPEN_FOR, **options)
        self.breaker = Breaker(self.options)
        self.now = self.since = self.told = 0.0
        self.state = "closed"
        self.outcomes: list[tuple[float, bool, bool]] = []
        self.under_way: list[tuple[int, int]] = []  # token, generation
        self.generation = self.openings = self.probing = self.passed = 0
        self.refused: list[float] = []
        self.reported: list[float] = []

    def move(self, state: str) -> None:
        """The model changes its state, and forgets all it knew of the last one."""
        self.state, self.since, self.outcomes = state, self.now, []
        self.openings += state == "open"
        self.openings *= state != "closed"
        self.generation += 1
        self.probing = self.passed = 0

    def rest(self) -> float:
        """What is left of the time without calls."""
        most = self.options.max_open_for
        length = OPEN_FOR if most is None else min(most, OPEN_FOR * self.openings)
        return self.since + length - self.now

    def answer(self) -> tuple[str, float, str]:
        """What a call that comes now is told."""
        if self.state == "open":
            return ("allow", 0.0, "probe") if self.rest() <= 0 else ("refuse", self.rest(), "circuit open")
        if self.state == "half-open" and self.probing + self.passed < self.options.probes:
            return "allow", 0.0, "probe"
        return ("allow", 0.0, "") if self.state == "closed" else ("refuse", 0.0, f"circuit {self.state}")

    @rule(quarters=st.sampled_from([1, 4, 12, 24, 28, 40]))
    def time_passes(self, quarters: int) -> None:
        """The clock goes on."""
        self.now += quarters / 4

    @rule()
    def a_call_is_foretold(self) -> None:
        """Looking says what entering would, and changes nothing."""
        decision = self.breaker.apply(Peek(), self.now)
        assert (decision.verdict, decision.wait, decision.reason) == self.answer()
        assert self.breaker.state == self.state

    @rule()
    def a_call_comes(self) -> None:
        """It is let pass, as a probe or not, or it is refused."""
        before, expected = self.state, self.answer()
        decision = self.breaker.apply(Enter(), self.now)
        assert (decision.verdict, decision.wait, decision.reason) == expected
        if expected[0] == "refuse":
            self.expect_told(decision.value)
            return
        if before == "open":
            self.move("half-open")
        self.probing += self.state == "half-open"
        self.under_way.append((decision.token, self.generation))
        assert decision.change == (None if before == self.state else (before, self.state))

    def expect_told(self, suppressed: float | None) -> None:
        """A refusal is told unless another was less than a second ago; then it says how many were not."""
        if self.reported and self.now - self.reported[-1] < 1:
            assert suppressed is None
        else:
            last = self.refused.index(self.reported[-1]) if self.reported else -1
            assert suppressed == len(self.refused) - last - 1
            self.reported.append(self.now)
        self.refused.append(self.now)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), failed=st.sampled_from([True, True, False, False, None]), slow=st.sampled_from([True, False]))
    def a_call_ends(self, data: st.DataObject, failed: bool | None, slow: bool) -> None:
        """In any order."""
        slow = slow and self.options.slow_after is not None
        place = data.draw(st.integers(0, len(self.under_way) - 1))
        token, generation = self.under_way.pop(place)
        before = self.state
        decision = self.breaker.apply(Report(token, failed, slow), self.now)
        reason = self.ended(failed, slow) if generation == self.generation else ""
        assert self.breaker.state == self.state
        assert (decision.verdict, decision.reason) == ("allow", reason)
        assert decision.change == ((before, self.state) if reason else None)

    def ended(self, failed: bool | None, slow: bool) -> str:
        """What the model makes of it: the reason of the change, if there is one."""
        if self.state == "half-open":
            return self.probe_ended(failed, slow)
        if failed is None:
            return ""
        self.outcomes.append((self.now, failed, slow))
        reason = self.tripped(failed, slow)
        if reason:
            self.move("open")
        return reason

    def probe_ended(self, failed: bool | None, slow: bool) -> str:
        """A probe is over."""
        self.probing -= 1
        if failed or (slow and failed is False):
            self.move("open")
            return "a probe failed" if failed else "a probe was slow"
        self.passed += failed is False
        if self.passed < self.options.probes:
            return ""
        self.move("closed")
        return "all probes passed"

    def tripped(self, failed: bool, slow: bool) -> str:
        """Which of the three rules opens the circuit."""
        options, kept = self.options, self.kept()
        row = options.consecutive_failures
        if row is not None and len(self.outcomes) >= row and all(bad for _, bad, _ in self.outcomes[-row:]):
            return "failures in a row"
        if len(kept) < options.min_calls:
            return ""
        failures, slows = sum(bad for _, bad, _ in kept), sum(late for _, _, late in kept)
        if failed and options.failure_ratio is not None and failures >= options.failure_ratio * len(kept):
            return "failure ratio"
        return "slow calls" if slow and slows >= options.slow_ratio * len(kept) else ""

    def kept(self) -> list[tuple[float, bool, bool]]:
        """The outcomes within the window."""
        if self.options.window_calls is not None:
            last = self.outcomes[-self.options.window_calls :]
            return last if self.options.window is None else [one for one in last if one[0] > self.now - WINDOW]
        assert self.options.window is not None
        width = self.options.window / 10
        return [one for one in self.outcomes if one[0] // width > self.now // width - 10]

    @rule(isolate=st.booleans())
    def somebody_acts_by_hand(self, isolate: bool) -> None:
        """Whatever the state, it is shut, or closed and forgotten."""
        before, after = self.state, "isolated" if isolate else "closed"
        decision = self.breaker.apply(ISOLATE if isolate else RESET, self.now)
        self.move(after)
        assert decision.change == (before, after)
