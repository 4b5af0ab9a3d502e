"""`Limits` beside a naive model that keeps every unit ever used and looks at all of them each time."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rest_api_client.policies.dimensions import TOO_LARGE, Bucket, Dimension, Limits, Window
from rest_api_client.policies.quotas import Land, Peek, Return, Take

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

    def _costs(self, drawn: list[int]) -> tuple[int, ...]:
        return tuple(cost % (used.most + 2) for cost, used in zip(drawn, self.model, strict=False))

    def _fits(self, costs: tuple[int, ...], now: float) -> bool:
        pairs = zip(costs, self.model, strict=True)
        return all(not cost or used.taken(now) + cost <= used.most for cost, used in pairs)

    @rule(eighths=st.integers(0, 80))
    def time_passes(self, eighths: int) -> None:
        """The clock goes on."""
        self.now += eighths / 8

    @rule(drawn=st.lists(st.integers(0, 30), min_size=3, max_size=3))
    def take(self, drawn: list[int]) -> None:
        """All or nothing: it is allowed where there is room in every dimension."""
        costs = self._costs(drawn)
        decision = self.limits.apply(Take(costs), self.now)
        if any(cost > used.most for cost, used in zip(costs, self.model, strict=True)):
            assert (decision.verdict, decision.reason) == ("refuse", TOO_LARGE)
            return
        fits = self._fits(costs, self.now)
        assert decision.verdict == ("allow" if fits else "wait")
        assert (decision.token in self.open) is False
        assert (decision.token > 0) == fits
        if fits:
            self.open[decision.token] = costs
            for cost, used in zip(costs, self.model, strict=True):
                used.flying += cost

    @rule(drawn=st.lists(st.integers(0, 30), min_size=3, max_size=3))
    def ask(self, drawn: list[int]) -> None:
        """With nothing under way the wait told is exact: there is room after it, and not before; nothing is taken."""
        costs = tuple(min(cost, used.most) for cost, used in zip(self._costs(drawn), self.model, strict=True))
        decision = self.limits.apply(Peek(costs=costs), self.now)
        fits = self._fits(costs, self.now)
        assert (decision.wait == 0) == fits
        if not fits and not self.open:
            assert self._fits(costs, self.now + decision.wait + 1e-9)
            assert not self._fits(costs, self.now + decision.wait - 1e-6)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), drawn=st.none() | st.lists(st.integers(0, 30), min_size=3, max_size=3))
    def land(self, data: st.DataObject, drawn: list[int] | None) -> None:
        """It pays what it was taken for, or more, or less."""
        token = data.draw(st.sampled_from(sorted(self.open)))
        costs = self.open.pop(token)
        paid = costs if drawn is None else tuple(drawn[: len(costs)])
        self.limits.apply(Land(token, None if drawn is None else paid), self.now)
        for cost, units, used in zip(costs, paid, self.model, strict=True):
            used.flying -= cost
            used.past.append((self.now, units))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """It never left, and pays nothing; saying so again changes nothing."""
        token = data.draw(st.sampled_from(sorted(self.open)))
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
