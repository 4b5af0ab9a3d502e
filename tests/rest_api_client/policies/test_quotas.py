"""Limits as pure objects, against brute force: no window ever holds more arrivals than it may."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rest_api_client.policies.quotas import Land, Peek, Return, Take, TokenBucket, WindowLimit, until

seconds = st.floats(0, 5, allow_nan=False)


class Traffic:
    """Plays requests through a limit: each is granted, arrives somewhere in between, and lands."""

    def __init__(self, limit: WindowLimit | TokenBucket, rng: random.Random) -> None:
        self.limit = limit
        self.rng = rng
        self.now = 0.0
        self.open: list[tuple[float, int]] = []
        self.sent: list[float] = []
        self.arrived: list[float] = []

    def run(self, requests: int, longest: float) -> None:
        """Send as fast as the limit allows, with latencies up to `longest`."""
        while len(self.sent) < requests:
            decision = self.limit.apply(Take(), self.now)
            if decision.verdict == "allow":
                self._fly(decision.token, longest)
                if self.rng.random() < 0.3:
                    self.now += self.rng.random() * 0.1
            else:
                self._advance(self.now + decision.wait)

    def _fly(self, token: int, longest: float) -> None:
        latency = longest * self.rng.random()
        self.sent.append(self.now)
        self.arrived.append(self.now + latency * self.rng.choice([0.0, self.rng.random(), 1.0]))
        heapq.heappush(self.open, (self.now + latency, token))

    def _advance(self, moment: float) -> None:
        if self.open and self.open[0][0] <= moment:
            self.now, token = max(self.now, self.open[0][0]), heapq.heappop(self.open)[1]
            self.limit.apply(Land(token), self.now)
        else:
            self.now = moment


@given(
    calls=st.integers(1, 8),
    period=st.floats(0.5, 20),
    longest=st.floats(0, 30),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_no_window_holds_more_arrivals_than_calls(calls: int, period: float, longest: float, seed: int) -> None:
    """Whatever the latencies, at most `calls` requests are sent, and arrive, in any window of `period` seconds."""
    traffic = Traffic(WindowLimit(calls, period), random.Random(seed))
    traffic.run(40, longest)
    for moments in (traffic.sent, sorted(traffic.arrived)):
        for first, last in zip(moments, moments[calls:], strict=False):
            assert last - first >= period - 1e-9


@given(
    rate=st.floats(0.1, 20),
    burst=st.integers(1, 8),
    longest=st.floats(0, 10),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_no_window_holds_more_arrivals_than_burst_and_refill(
    rate: float, burst: int, longest: float, seed: int
) -> None:
    """Whatever the latencies, at most burst + rate * w requests are sent, and arrive, in any window of w seconds."""
    traffic = Traffic(TokenBucket(rate, burst), random.Random(seed))
    traffic.run(30, longest)
    for moments in (traffic.sent, sorted(traffic.arrived)):
        for start, first in enumerate(moments):
            for end in range(start, len(moments)):
                assert end - start + 1 <= burst + rate * (moments[end] - first) + 1e-6


def test_a_rested_window_lets_all_its_calls_pass_at_once() -> None:
    """The bound is used in full: `calls` at once, then one period after they were answered, again."""
    limit = WindowLimit(3, 10)
    tokens = [limit.apply(Take(), 0).token for _ in range(3)]
    for token in tokens:
        limit.apply(Land(token), 1)
    assert limit.apply(Take(), 1).wait == 10
    assert [limit.apply(Take(), 11).verdict for _ in range(4)] == ["allow"] * 3 + ["wait"]


def test_a_bucket_refills_while_nothing_is_open() -> None:
    """After its burst a bucket gives one token every 1 / rate seconds."""
    limit = TokenBucket(2, 2)
    for _ in range(2):
        limit.apply(Land(limit.apply(Take(), 0).token), 0)
    assert limit.apply(Take(), 0).wait == 0.5
    assert limit.apply(Take(), 0.5).verdict == "allow"
    assert [limit.apply(Peek(ahead), 100).verdict for ahead in (0, 1)] == ["allow", "wait"]


@pytest.mark.parametrize("limit", [WindowLimit(1, 10), TokenBucket(0.1, 1)])
def test_a_token_given_back_is_there_at_once_and_counted_once(limit: WindowLimit | TokenBucket) -> None:
    """Return makes room now; saying it again, or landing what was returned, changes nothing."""
    token = limit.apply(Take(), 0).token
    assert limit.apply(Take(), 0).verdict == "wait"
    for command in (Return(token), Return(token), Land(token)):
        limit.apply(command, 0)
    assert limit.apply(Take(), 0).verdict == "allow"
    assert limit.apply(Take(), 0).verdict == "wait"


@pytest.mark.parametrize("limit", [WindowLimit(2, 10), TokenBucket(0.2, 2)])
def test_the_estimate_for_a_place_in_line_grows_with_those_ahead(limit: WindowLimit | TokenBucket) -> None:
    """Whoever stands further back is told a wait at least as long, and none of the waits is too long."""
    for _ in range(2):
        limit.apply(Land(limit.apply(Take(), 0).token), 0)
    waits = [limit.apply(Peek(ahead), 0).wait for ahead in range(6)]
    assert waits == sorted(waits)
    assert waits[0] == limit.apply(Take(), 0).wait
    assert waits[5] <= 30


@given(moment=st.floats(0, 1e6), now=st.floats(0, 1e6))
def test_a_wait_never_ends_before_its_moment(moment: float, now: float) -> None:
    """Now plus the wait is not before the moment, whatever rounding does."""
    wait = until(moment, now)
    assert now + wait >= moment
    assert wait == 0 or moment > now


class WindowMachine(RuleBasedStateMachine):
    """A window limit against a list of every request and a count."""

    @initialize(calls=st.integers(1, 4), period=st.sampled_from([1.0, 7.0]))
    def begin(self, calls: int, period: float) -> None:
        self.calls, self.period, self.now = calls, period, 0.0
        self.limit = WindowLimit(calls, period)
        self.open: list[int] = []
        self.used: list[float] = []

    @property
    def taken(self) -> int:
        return len(self.open) + sum(moment + self.period > self.now for moment in self.used)

    @rule(length=seconds)
    def pass_time(self, length: float) -> None:
        self.now += length

    @rule()
    def take(self) -> None:
        free = self.taken < self.calls
        decision = self.limit.apply(Take(), self.now)
        assert (decision.verdict == "allow") == free
        if free:
            assert decision.token not in self.open
            self.open.append(decision.token)

    @rule()
    def wait_as_told(self) -> None:
        """The wait told is exact where everything has landed, and never too long."""
        decision = self.limit.apply(Peek(), self.now)
        if decision.verdict == "allow":
            return
        back = sorted(moment + self.period for moment in self.used if moment + self.period > self.now)
        assert decision.wait == pytest.approx(back[0] - self.now if back else self.period)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.open))
        self.open.remove(token)
        self.used.append(self.now)
        self.limit.apply(Land(token), self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.open))
        self.open.remove(token)
        self.limit.apply(Return(token), self.now)

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "limit"):
            assert len(self.limit.tokens.flying) + len(self.limit.landed) <= self.calls


TestWindowMachine = WindowMachine.TestCase
TestWindowMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
