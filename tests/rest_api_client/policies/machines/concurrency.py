"""`LearningPermits` beside a plain list of what ended: when a window closes, what is in it, and who is let in."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from rest_api_client.policies.concurrency import AdaptiveConcurrency, LearningPermits
from rest_api_client.policies.limiters import Rule, Window
from rest_api_client.policies.permits import ENTER, PEEK, Leave

SAMPLES = 4


class Told:
    """A rule that keeps what it is shown and answers what it was told to."""

    def __init__(self) -> None:
        self.shown: list[tuple[Window, bool]] = []
        self.answer = 3.0

    def fresh(self) -> Rule:
        """Itself."""
        return self

    def next(self, limit: float, window: Window, full: bool) -> float:
        """What it was told to say."""
        self.shown.append((window, full))
        return self.answer


class Machine(RuleBasedStateMachine):
    """The model keeps tokens, the samples of the present window, and when it began."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.told = Told()
        options = AdaptiveConcurrency(initial=3, max_limit=8, min_samples=SAMPLES, algorithm=self.told)
        self.permits = LearningPermits(options)
        self.limit = 3
        self.out: list[int] = []
        self.samples: list[tuple[float | None, int]] = []
        self.since: float | None = None
        self.quickest = math.inf

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule(answer=st.sampled_from([-5.0, 1.0, 2.9, 4.0, 8.0, 99.0]))
    def the_rule_changes_its_mind(self, answer: float) -> None:
        """The next window brings another limit."""
        self.told.answer = answer

    @rule()
    def enter(self) -> None:
        """A call wants a permit."""
        room = len(self.out) < self.limit
        peek = self.permits.apply(PEEK, self.now)
        assert (peek.verdict == "allow", peek.value) == (room, self.limit)
        decision = self.permits.apply(ENTER, self.now)
        assert (decision.verdict == "allow") == room
        if room:
            assert decision.token not in self.out
            self.out.append(decision.token)

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(),
        latency=st.none() | st.floats(0.01, 20),
        dropped=st.booleans(),
        again=st.booleans(),
    )
    def leave(self, data: st.DataObject, latency: float | None, dropped: bool, again: bool) -> None:
        """A call ends, and perhaps says so twice."""
        token = data.draw(st.sampled_from(self.out))
        inside, shown = len(self.out), len(self.told.shown)
        decision = self.permits.apply(Leave(token, latency, dropped), self.now)
        self.out.remove(token)
        if again:
            assert self.permits.apply(Leave(token, 1.0), self.now).change is None
        cut_off_soon = dropped and latency is not None and self.quickest < math.inf and latency < 2 * self.quickest
        if (latency is None and not dropped) or cut_off_soon:
            assert len(self.told.shown) == shown
            return
        self.since = self.now if self.since is None else self.since
        self.samples.append((None if dropped else latency, inside))
        self._check(decision.change, inside, shown)

    def _check(self, change: tuple[str, str] | None, inside: int, shown: int) -> None:
        good = sorted(latency for latency, _ in self.samples if latency is not None)
        assert self.since is not None
        length = min(30.0, max(1.0, 2 * good[0])) if good else 1.0
        if len(self.samples) < SAMPLES or self.now - self.since < length:
            assert len(self.told.shown) == shown
            assert change is None
            return
        window, full = self.told.shown[-1]
        assert len(self.told.shown) == shown + 1
        assert full == (inside >= self.limit)
        assert window.inside == max(inside for _, inside in self.samples)
        assert window.dropped_share == (len(self.samples) - len(good)) / len(self.samples)
        assert window.throughput == len(good) / (self.now - self.since)
        if good:
            assert window.mean == pytest.approx(math.fsum(good) / len(good))
            assert window.quantile(0.9) == pytest.approx(good[int(0.9 * (len(good) - 1))], rel=0.006)
            self.quickest = min(self.quickest, good[0])
        else:
            assert window.mean is None
            assert window.quantile(0.9) is None
        before, self.limit = self.limit, int(min(max(self.told.answer, 1), 8))
        assert change == (None if before == self.limit else (str(before), str(self.limit)))
        self.samples, self.since = [], self.now
