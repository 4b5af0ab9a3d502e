"""`LatencyWindow` beside a plain list of samples with their moments."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from rest_api_client.policies.latency import ERROR, LatencyWindow, Quantile, Sample

WINDOW = 30.0


class Machine(RuleBasedStateMachine):
    """The model keeps every sample, and forgets whole windows by the same rule."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.window = LatencyWindow(WINDOW)
        self.old: list[float] = []
        self.new: list[float] = []
        self.turn = 0.0

    def _forget(self) -> None:
        if self.now < self.turn:
            return
        late = self.now >= self.turn + WINDOW
        self.old, self.new = [] if late else self.new, []
        self.turn = (self.now if late else self.turn) + WINDOW

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 29.0, 30.0, 31.0, 60.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule(samples=st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=20))
    def answers_come(self, samples: list[float]) -> None:
        """A few attempts are answered."""
        self._forget()
        for sample in samples:
            self.window.apply(Sample(sample), self.now)
            self.new.append(sample)

    @rule(q=st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]), at_least=st.integers(1, 30))
    def a_quantile_is_asked(self, q: float, at_least: int) -> None:
        """It is known from enough samples on, and within the error of one that was the quantile just now."""
        self.now += WINDOW / 30  # no earlier answer stands any more
        self._forget()
        value = self.window.apply(Quantile(q, at_least), self.now).value
        kept = sorted(self.old + self.new)
        if len(kept) < at_least:
            assert value is None
        else:
            exact = kept[int(q * (len(kept) - 1))]
            assert value is not None
            assert abs(value - exact) <= exact * ERROR * 1.000001
