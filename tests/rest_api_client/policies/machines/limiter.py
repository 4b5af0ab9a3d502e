"""`Limits` beside a naive model that keeps every unit ever used and looks at all of them each time."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rest_api_client.policies.dimensions import Bucket, Dimension, Limits, Window
from rest_api_client.policies.quotas import Land, Peek, Return, Take
from rest_api_client.reasons import COST_TOO_LARGE

CHOICES: dict[str, Dimension] = {
    "small window": Window(amount=2, period=4.0),
    "large window": Window(amount=10, period=7.0),
    "slow bucket": Bucket(rate=0.5, burst=3),
    "quick bucket": Bucket(rate=8.0, burst=20),
}


class Used:
    """One dimension's past: (moment, units)."""

    def __init__(self, options: Window | Bucket) -> None:
        self.options = options
        self.past: list[tuple[float, int]] = []
        self.flying = 0

    @property
    def most(self) -> int:
        return self.options.amount if isinstance(self.options, Window) else self.options.burst or 0

    def taken(self, now: float) -> float:
        """What is used at a moment, what is under way included."""
        if isinstance(self.options, Window):
            period = self.options.period
            return self.flying + sum(units for at, units in self.past if at + period > now)
        level, last = 0.0, 0.0
        for at, units in self.past:
            level, last = max(0.0, level - (at - last) * self.options.rate) + units, at
        return self.flying + max(0.0, level - (now - last) * self.options.rate)


class Machine(RuleBasedStateMachine):
    """Moments are multiples of an eighth, so that both sides can be compared without rounding."""

    @initialize(names=st.lists(st.sampled_from(sorted(CHOICES)), min_size=1, max_size=3, unique=True))
    def begin(self, names: list[str]) -> None:
        """One to three dimensions."""
        self.now = 0.0
        self.limits = Limits({name: CHOICES[name] for name in names})
        self.model = [Used(CHOICES[name]) for name in names]
        self.open: dict[int, tuple[int, ...]] = {}

    def _costs(self, drawn: int) -> tuple[int, ...]:
        """A cost for each dimension out of one number, now and then more than there ever is."""
        return tuple(drawn // 7**place % (used.most + 2) for place, used in enumerate(self.model))

    def _one(self, drawn: int) -> int:
        return sorted(self.open)[drawn % len(self.open)]

    def _fits(self, costs: tuple[int, ...], now: float) -> bool:
        pairs = zip(costs, self.model, strict=True)
        return all(not cost or used.taken(now) + cost <= used.most for cost, used in pairs)

    @rule(eighths=st.sampled_from([0, 1, 2, 3, 5, 8, 16, 28, 32, 56, 80]))
    def time_passes(self, eighths: int) -> None:
        """The clock goes on."""
        self.now += eighths / 8

    @rule(drawn=st.integers(0, 999))
    def take(self, drawn: int) -> None:
        """All or nothing: it is allowed where there is room in every dimension. Asking first changes nothing."""
        costs = self._costs(drawn)
        told = self.limits.apply(Peek(costs=costs), self.now)
        decision = self.limits.apply(Take(costs), self.now)
        assert (decision.verdict, decision.wait, decision.reason) == (told.verdict, told.wait, told.reason)
        if any(cost > used.most for cost, used in zip(costs, self.model, strict=True)):
            assert (decision.verdict, decision.reason) == ("refuse", COST_TOO_LARGE)
            return
        fits = self._fits(costs, self.now)
        assert decision.verdict == ("allow" if fits else "wait")
        if fits:
            self._taken(decision.token, costs)
        elif not self.open:
            self._told_exactly(costs, self.now + decision.wait)

    def _taken(self, token: int, costs: tuple[int, ...]) -> None:
        assert token > 0
        assert token not in self.open
        self.open[token] = costs
        for cost, used in zip(costs, self.model, strict=True):
            used.flying += cost

    def _told_exactly(self, costs: tuple[int, ...], moment: float) -> None:
        """With nothing under way there is room at the moment that was told, and not before."""
        assert self._fits(costs, moment + 1e-9)
        assert not self._fits(costs, moment - 1e-6)

    @rule(drawn=st.integers(0, 999), eighths=st.sampled_from([0, 1, 8, 24]))
    def one_after_the_other(self, drawn: int, eighths: int) -> None:
        """The life of a request: taken, under way for a while, landed."""
        before = set(self.open)
        self.take(drawn)
        self.time_passes(eighths)
        for token in set(self.open) - before:
            self._land(token, None)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), drawn=st.integers(-300, 999))
    def land(self, which: int, drawn: int) -> None:
        """It pays what it was taken for, or more, or less."""
        self._land(self._one(which), None if drawn < 0 else self._costs(drawn))

    def _land(self, token: int, paid: tuple[int, ...] | None) -> None:
        self.limits.apply(Land(token, paid), self.now)
        costs = self.open.pop(token)
        for cost, units, used in zip(costs, paid or costs, self.model, strict=True):
            used.flying -= cost
            used.past.append((self.now, units))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def give_back(self, which: int) -> None:
        """It never left, and pays nothing; saying so again changes nothing."""
        token = self._one(which)
        for cost, used in zip(self.open.pop(token), self.model, strict=True):
            used.flying -= cost
        for command in (Return(token), Return(token), Land(token)):
            self.limits.apply(command, self.now)

    @invariant()
    def what_is_under_way_agrees(self) -> None:
        """Both know the same tokens, and the same units of them."""
        if hasattr(self, "limits"):
            assert self.limits.flying == self.open
            assert [count.flying for count in self.limits.counts] == [used.flying for used in self.model]
