"""Every kind of limit against its bound and against its own promises, with costs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mockserver.limits import Concurrency, FixedWindow, Limit, SlidingWindow, Together, TokenBucket, whole_seconds
from mockserver.limits.verdict import seconds_until

TICK = 1 / 64
calls = st.integers(1, 5)
periods = st.integers(1, 128).map(lambda ticks: ticks * TICK)
rates = st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0, 64.0])
traces = st.lists(st.tuples(st.integers(0, 200).map(lambda ticks: ticks * TICK), st.integers(0, 3)), max_size=40).map(
    lambda trace: sorted(trace, key=lambda each: each[0])
)
timed = st.one_of(
    st.builds(SlidingWindow, calls, periods),
    st.builds(FixedWindow, calls, periods, origin=st.integers(-64, 64).map(lambda ticks: ticks * TICK)),
    st.builds(TokenBucket, rates, calls),
)
limits = st.one_of(timed, st.builds(Together, timed, timed))


def passed(limit: Limit, trace: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return [(time, cost) for time, cost in trace if limit.admit(time, cost).allowed]


def fullest(taken: list[tuple[float, int]], width: float) -> int:
    return max((sum(c for t, c in taken if start <= t < start + width) for start, _ in taken), default=0)


@given(calls, periods, traces)
def test_no_window_holds_more_cost_than_a_sliding_window_allows(
    calls: int, period: float, trace: list[tuple[float, int]]
) -> None:
    """Wherever the window lies; those that begin at an arrival are the fullest."""
    assert fullest(passed(SlidingWindow(calls, period), trace), period) <= calls


@given(calls, periods, st.integers(-64, 64), traces)
def test_a_fixed_window_keeps_its_own_windows_and_twice_that_across_a_seam(
    calls: int, period: float, origin: int, trace: list[tuple[float, int]]
) -> None:
    """Brute force: the cost of each window by its number."""
    start = origin * TICK
    taken = passed(FixedWindow(calls, period, origin=start), trace)
    numbers = {math.floor((time - start) / period) for time, _ in taken}
    for number in numbers:
        assert sum(c for t, c in taken if math.floor((t - start) / period) == number) <= calls
    assert fullest(taken, period) <= 2 * calls


@given(rates, calls, traces)
def test_a_bucket_keeps_its_bound_with_costs(rate: float, burst: int, trace: list[tuple[float, int]]) -> None:
    """At most burst + rate * w in any window of w seconds."""
    taken = passed(TokenBucket(rate, burst), trace)
    for first, (start, _) in enumerate(taken):
        spent = 0
        for time, cost in taken[first:]:
            spent += cost
            assert spent <= burst + rate * (time - start)


def test_two_bursts_meet_at_the_seam_of_a_fixed_window() -> None:
    """What a client that trusts the limit as a rate runs into."""
    limit = FixedWindow(3, 10.0)
    taken = [limit.admit(time).allowed for time in (9.5, 9.6, 9.7, 9.8, 10.0, 10.1, 10.2, 10.3)]
    assert taken == [True, True, True, False, True, True, True, False]


@given(limits, traces, st.integers(1, 5))
def test_retry_after_is_exact(limit: Limit, trace: list[tuple[float, int]], cost: int) -> None:
    """Asked at that moment the call is admitted, a little before it is refused; rounded up it is admitted, too."""
    assume(trace)
    limit = limit.unused()
    passed(limit, trace)
    now = trace[-1][0]
    verdict = limit.peek(now, cost)
    if verdict.allowed:
        assert verdict.retry_after == 0
    elif math.isinf(verdict.retry_after):
        assert cost > limit.quota
    else:
        assert verdict.retry_after > 0
        assert not limit.peek(now + verdict.retry_after - TICK / 16, cost).allowed
        assert limit.peek(now + verdict.retry_after, cost).allowed
        assert limit.peek(now + whole_seconds(verdict.retry_after), cost).allowed


@given(
    st.floats(1e-3, 1e4).flatmap(
        lambda period: st.sampled_from(
            [SlidingWindow(2, period), FixedWindow(2, period), FixedWindow(2, period, origin=period / 3)]
        )
    ),
    st.floats(0, 1e6),
)
def test_retry_after_is_enough_at_odd_times(limit: Limit, now: float) -> None:
    """No rounding of floats refuses whoever waited as long as he was told."""
    limit = limit.unused()
    while limit.admit(now).allowed:
        pass
    assert limit.admit(now + limit.peek(now).retry_after).allowed


@given(limits, traces, st.integers(0, 5))
def test_peek_says_what_admit_says_and_takes_nothing(limit: Limit, trace: list[tuple[float, int]], cost: int) -> None:
    """However often it is asked."""
    limit = limit.unused()
    passed(limit, trace)
    now = trace[-1][0] if trace else 0.0
    first = limit.peek(now, cost)
    assert limit.peek(now, cost) == first
    assert limit.admit(now, cost) == first


@given(timed, traces)
def test_remaining_is_what_passes_now_and_reset_when_more_does(limit: Limit, trace: list[tuple[float, int]]) -> None:
    """For every kind that time alone brings back."""
    limit = limit.unused()
    passed(limit, trace)
    now = trace[-1][0] if trace else 0.0
    standing = limit.peek(now, 0)
    assert standing.allowed
    assert limit.peek(now, standing.remaining).allowed
    assert not limit.peek(now, standing.remaining + 1).allowed
    if standing.reset:
        assert limit.peek(now + standing.reset, standing.remaining + 1).allowed
    else:
        assert standing.remaining == limit.quota


@given(calls, st.lists(st.one_of(st.integers(1, 3), st.none()), max_size=40))
def test_concurrency_is_never_more_than_its_calls(calls: int, steps: list[int | None]) -> None:
    """A number admits a call of that cost, None ends the oldest; a reference counts along."""
    limit, running = Concurrency(calls), list[int]()
    for now, cost in enumerate(steps):
        if cost is None:
            if running:
                limit.release(running.pop(0))
            continue
        verdict = limit.admit(float(now), cost)
        assert verdict.allowed == (sum(running) + cost <= calls)
        if verdict.allowed:
            running.append(cost)
        assert verdict.remaining == calls - sum(running)


def test_nobody_knows_when_a_running_call_ends() -> None:
    """The wait is infinite, unless the server guesses as real ones do; a released call makes room."""
    limit = Concurrency(1)
    assert limit.peek(0.0, 0).reset == 0
    assert limit.admit(0.0).reset == math.inf
    assert limit.admit(0.0).retry_after == math.inf
    limit.release()
    assert limit.admit(0.0).allowed
    guessing = Concurrency(1, retry_after=2.0)
    guessing.admit(0.0)
    assert guessing.admit(0.0).retry_after == 2.0
    assert guessing.admit(0.0, 2).retry_after == math.inf
    assert guessing.window == 0


def test_a_call_is_released_once() -> None:
    """A second release is a mistake of the server, and says so."""
    limit = Concurrency(2)
    limit.admit(0.0)
    limit.release()
    with pytest.raises(RuntimeError, match="release each call once"):
        limit.release()


def test_nothing_is_taken_when_one_of_several_refuses() -> None:
    """The wider limit still has all that it had."""
    narrow, wide = SlidingWindow(1, 1.0, name="second"), FixedWindow(5, 60.0, name="minute")
    both = Together(narrow, wide)
    assert both.admit(0.0).allowed
    refused = both.admit(0.0)
    assert (refused.allowed, refused.name, refused.retry_after) == (False, "second", 1.0)
    assert [(part.name, part.remaining) for part in refused.parts] == [("second", 0), ("minute", 4)]
    assert wide.peek(0.0, 0).remaining == 4


def test_several_limits_wait_for_the_last_of_them() -> None:
    """The longest of the waits is the right one."""
    both = Together(SlidingWindow(1, 1.0), SlidingWindow(1, 5.0))
    both.admit(0.0)
    assert both.admit(0.5).retry_after == 4.5
    assert not both.peek(4.9).allowed
    assert both.peek(5.0).allowed


def test_the_tightest_of_several_speaks_for_all() -> None:
    """That with the least left; a limit made of others is taken apart."""
    hour = FixedWindow(3, 3600.0, name="hour")
    verdict = Together(Together(SlidingWindow(10, 1.0), hour), Concurrency(8)).admit(0.0)
    assert (verdict.name, verdict.remaining) == ("hour", 2)
    assert [part.quota for part in verdict.each] == [10, 3, 8]
    assert Together(SlidingWindow(10, 1.0), hour).quota == 3
    assert Together(SlidingWindow(10, 1.0), hour).window == 3600


def test_together_gives_back_what_runs() -> None:
    """Release reaches the limit that counts running calls."""
    both = Together(Concurrency(1), SlidingWindow(5, 1.0), TokenBucket(1.0, 5), FixedWindow(5, 1.0))
    assert both.admit(0.0).allowed
    assert not both.admit(0.0).allowed
    both.release()
    assert both.admit(0.0).allowed


KINDS: list[Limit] = [
    SlidingWindow(20, 2.0, name="n", unit="tokens"),
    FixedWindow(20, 2.0, origin=0.5, name="n", unit="tokens"),
    TokenBucket(10.0, 20, name="n", unit="tokens"),
    Concurrency(20, retry_after=1.0, name="n", unit="tokens"),
    Together(SlidingWindow(20, 2.0, name="n", unit="tokens")),
]


@pytest.mark.parametrize("limit", KINDS, ids=lambda limit: type(limit).__name__)
def test_a_share_of_a_limit_is_one_of_the_same_kind(limit: Limit) -> None:
    """A tenth of 20 is 2, of 2 it is still 1; all else stays, and nothing has been taken."""
    limit = limit.unused()
    limit.admit(0.0, 20)
    tenth = limit.scaled(0.1)
    assert (type(tenth), tenth.quota, tenth.window) == (type(limit), 2, limit.window)
    assert tenth.scaled(0.1).quota == 1
    assert tenth.admit(0.0, 2).allowed
    assert not tenth.admit(0.0).allowed
    told = tenth.peek(0.0, 0)
    assert (told.name, told.unit, told.quota) == ("n", "tokens", 2)
    assert limit.unused().describe() == limit.describe()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FixedWindow(0, 1.0), "calls"),
        (lambda: FixedWindow(1, 0), "period"),
        (lambda: FixedWindow(1, True), "period"),
        (lambda: FixedWindow(1, 1.0, origin=math.nan), "origin"),
        (lambda: Concurrency(0), "calls"),
        (lambda: Concurrency(1, retry_after=0), "retry_after"),
        (lambda: Together(), "at least one"),
        (lambda: SlidingWindow(1, 1.0).scaled(0), "share"),
        (lambda: TokenBucket(1.0, 1).scaled(1.5), "share"),
        (lambda: SlidingWindow(1, 1.0).admit(0.0, -1), "cost"),
        (lambda: FixedWindow(1, 1.0).admit(0.0, True), "cost"),
        (lambda: TokenBucket(1.0, 1).admit(0.0, 0.5), "cost"),  # type: ignore[arg-type]
        (lambda: Concurrency(1).admit(0.0, -1), "cost"),
    ],
)
def test_senseless_settings_are_refused_by_name(make: Callable[[], object], named: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()


def test_a_moment_just_before_a_seam_lies_before_it() -> None:
    """Although the quotient of floats says otherwise: where windows begin is what counts."""
    origin, period, before = -0.9378896757543609, 0.1121652817583847, 60.30435416432368
    limit = FixedWindow(1, period, origin=origin)
    assert limit.admit(before).allowed
    assert 0 < limit.peek(before).retry_after < 1e-9
    assert limit.admit(math.nextafter(before, math.inf)).allowed


def test_a_wait_is_never_short_by_rounding() -> None:
    """Of many odd pairs some differences, added again, fall short of the moment."""
    odd = random.Random(1)
    short = 0
    for _ in range(2000):
        now = odd.random()
        moment = now * odd.uniform(2, 50)
        short += now + (moment - now) < moment
        assert moment <= now + seconds_until(moment, now) <= math.nextafter(moment, math.inf)
    assert short
