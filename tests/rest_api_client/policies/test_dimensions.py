"""Limits as pure objects, against brute force: no window ever holds more arrivals than it may."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.policies.dimensions import Bucket, Limits, Window
from rest_api_client.policies.quotas import Land, Peek, Return, Take
from rest_api_client.reasons import COST_TOO_LARGE


def window(amount: int, period: float) -> Limits:
    """One window of requests."""
    return Limits({"requests": Window(amount=amount, period=period)})


def bucket(rate: float, burst: int) -> Limits:
    """One bucket of requests."""
    return Limits({"requests": Bucket(rate=rate, burst=burst)})


class Traffic:
    """Plays requests through a limit: each is granted, arrives somewhere in between, and lands."""

    def __init__(self, limit: Limits, rng: random.Random) -> None:
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
    traffic = Traffic(window(calls, period), random.Random(seed))
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
    traffic = Traffic(bucket(rate, burst), random.Random(seed))
    traffic.run(30, longest)
    for moments in (traffic.sent, sorted(traffic.arrived)):
        for start, first in enumerate(moments):
            for end in range(start, len(moments)):
                assert end - start + 1 <= burst + rate * (moments[end] - first) + 1e-6


def test_a_rested_window_lets_all_its_calls_pass_at_once() -> None:
    """The bound is used in full: `calls` at once, then one period after they were answered, again."""
    limit = window(3, 10)
    tokens = [limit.apply(Take(), 0).token for _ in range(3)]
    for token in tokens:
        limit.apply(Land(token), 1)
    assert limit.apply(Take(), 1).wait == 10
    assert [limit.apply(Take(), 11).verdict for _ in range(4)] == ["allow"] * 3 + ["wait"]


def test_a_bucket_refills_while_nothing_is_open() -> None:
    """After its burst a bucket gives one token every 1 / rate seconds."""
    limit = bucket(2, 2)
    for _ in range(2):
        limit.apply(Land(limit.apply(Take(), 0).token), 0)
    short = limit.apply(Take(), 0)
    assert (short.wait, short.reason) == (0.5, "rate limit")
    assert limit.apply(Take(), 0.5).verdict == "allow"
    assert [limit.apply(Peek(before=(others,)), 100).verdict for others in (0, 1)] == ["allow", "wait"]


@pytest.mark.parametrize("limit", [window(1, 10), bucket(0.1, 1)])
def test_a_token_given_back_is_there_at_once_and_counted_once(limit: Limits) -> None:
    """Return makes room now; saying it again, or landing what was returned, changes nothing."""
    token = limit.apply(Take(), 0).token
    assert limit.apply(Take(), 0).verdict == "wait"
    for command in (Return(token), Return(token), Land(token)):
        limit.apply(command, 0)
    assert limit.apply(Take(), 0).verdict == "allow"
    assert limit.apply(Take(), 0).verdict == "wait"


def test_all_dimensions_or_none() -> None:
    """Where one has no room nothing is taken of the others, and the reason names it."""
    limits = Limits({"requests": Window(amount=5, period=60), "tokens": Window(amount=100, period=60)})
    first = limits.apply(Take((1, 90)), 0)
    refused = limits.apply(Take((1, 20)), 0)
    assert (refused.verdict, refused.reason) == ("wait", "rate limit: tokens")
    assert [count.flying for count in limits.counts] == [1, 90]
    assert limits.apply(Take((1, 10)), 0).token
    limits.apply(Land(first.token), 0)
    assert limits.apply(Peek(costs=(4, 0)), 0).reason == "rate limit"


def test_a_cost_beyond_what_there_ever_is_is_refused_and_not_waited_for() -> None:
    """The largest cost that fits is the window's amount, or the bucket's burst."""
    for limits in (window(10, 60), bucket(1, 10)):
        assert limits.apply(Take((10,)), 0).verdict == "allow"
        for command in (Take((11,)), Peek(costs=(11,))):
            decision = limits.apply(command, 0)
            assert (decision.verdict, decision.reason, decision.token) == ("refuse", COST_TOO_LARGE, 0)


@pytest.mark.parametrize("limits", [window(100, 10), bucket(10, 100)])
def test_what_was_taken_too_much_is_free_at_once(limits: Limits) -> None:
    """It took 100 and paid 30: 70 are there."""
    token = limits.apply(Take((100,)), 0).token
    assert limits.apply(Take((1,)), 0).verdict == "wait"
    limits.apply(Land(token, (30,)), 0)
    assert limits.apply(Peek(costs=(71,)), 0).verdict == "wait"
    assert limits.apply(Take((70,)), 0).verdict == "allow"


def test_what_was_taken_too_little_is_a_debt() -> None:
    """It took 10 and paid 250 of 100: a bucket is empty until the debt is paid, a window for a period."""
    waits = []
    for limits in (window(100, 10), bucket(10, 100)):
        limits.apply(Land(limits.apply(Take((10,)), 0).token, (250,)), 0)
        waits.append(limits.apply(Take((1,)), 0).wait)
    assert waits == pytest.approx([10, 15.1])


def test_who_wants_nothing_waits_for_nothing() -> None:
    """A cost of 0 passes a dimension that is used up or in debt."""
    limits = window(1, 10)
    limits.apply(Land(limits.apply(Take((1,)), 0).token, (5,)), 0)
    assert limits.apply(Take((1,)), 0).verdict == "wait"
    assert limits.apply(Take((0,)), 0).verdict == "allow"


@pytest.mark.parametrize("limits", [window(10, 10), bucket(1, 10)])
def test_the_estimate_for_a_place_in_line_counts_what_is_wanted_before_it(limits: Limits) -> None:
    """The more others take first the longer the wait, and it is never too long: served in turn they wait as told."""
    limits.apply(Land(limits.apply(Take((8,)), 0).token), 0)
    told = [limits.apply(Peek(costs=(4,), before=(others,)), 0).wait for others in range(0, 60, 4)]
    assert told == sorted(told)
    now, served = 0.0, list[float]()
    while len(served) < len(told):
        decision = limits.apply(Take((4,)), now)
        if decision.token:
            served.append(now)
            limits.apply(Land(decision.token), now)
        now += decision.wait
    assert all(wait <= moment + 1e-9 for wait, moment in zip(told, served, strict=True))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Window, {"amount": 0, "period": 1}),
        (Window, {"amount": 1.5, "period": 1}),
        (Window, {"amount": 1, "period": 0}),
        (Bucket, {"rate": 0}),
        (Bucket, {"rate": 1, "burst": 0}),
    ],
)
def test_an_impossible_dimension_is_refused(kind: type[Window | Bucket], options: dict[str, float]) -> None:
    """The message shows what was given and what to give."""
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}\(.*give"):
        kind(**options)  # type: ignore[arg-type]


def test_a_bucket_saves_a_seconds_worth_unless_told_otherwise() -> None:
    """`Bucket(rate=2.5)` holds 3."""
    limits = Limits({"bytes": Bucket(rate=2.5)})
    assert [limits.apply(Peek(costs=(cost,)), 0).verdict for cost in (3, 4)] == ["allow", "refuse"]
