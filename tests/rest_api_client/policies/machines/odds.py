"""`RetryOdds` beside a plain list of retries with their windows."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rest_api_client.policies.odds import WINDOW, Bet, Odds, Retried, RetryOdds


class Machine(RuleBasedStateMachine):
    """The model keeps every retry, and forgets whole windows by the same rule."""

    @initialize(probe=st.sampled_from([0.25, 0.5, 1.0]))
    def begin(self, probe: float) -> None:
        """Nothing is known."""
        self.odds, self.probe = RetryOdds(), probe
        self.now, self.turn = 100.0, 0.0
        self.old: list[bool] = []
        self.new: list[bool] = []
        self.refused = 0.0

    def forget(self) -> None:
        """What lies before the last window is gone."""
        if self.now >= self.turn:
            late = self.now >= self.turn + WINDOW
            self.old, self.new = [] if late else self.new, []
            self.turn = (self.now if late else self.turn) + WINDOW

    @rule(seconds=st.sampled_from([1.0, 15.0, 29.0, 30.0, 31.0, 60.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule(ends=st.lists(st.booleans(), min_size=1, max_size=8))
    def retries_end(self, ends: list[bool]) -> None:
        """Some well, some not."""
        self.forget()
        for ok in ends:
            self.odds.apply(Retried(ok), self.now)
            self.new.append(ok)

    def chance(self, at_least: int) -> float | None:
        """The share that ended well, where enough are known."""
        kept = self.old + self.new
        return sum(kept) / len(kept) if kept and len(kept) >= at_least else None

    @rule(at_least=st.integers(0, 12))
    def the_share_is_asked(self, at_least: int) -> None:
        """It is that of all that are remembered."""
        self.forget()
        assert self.odds.apply(Odds(at_least), self.now).value == self.chance(at_least)

    @rule(least=st.sampled_from([0.0, 0.1, 0.5, 1.0]), at_least=st.integers(1, 12))
    def a_retry_is_judged(self, least: float, at_least: int) -> None:
        """Poor odds refuse it, but for one in so many."""
        self.forget()
        decision, chance = self.odds.apply(Bet(least, at_least, self.probe), self.now), self.chance(at_least)
        if chance is None or chance >= least:
            assert (decision.verdict, decision.reason) == ("allow", "")
            return
        self.refused += self.probe
        lucky = self.refused >= 1
        self.refused -= lucky
        assert decision.reason == ("probe" if lucky else "unlikely to succeed")
        assert (decision.verdict == "allow") == lucky
