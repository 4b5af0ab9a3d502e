"""The limits against brute force.

Times are multiples of 1/64 and rates powers of two, so that sums of floats are exact and a bound can be tested as a
bound, not as "nearly".
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.limits import Limit, SlidingWindow, TokenBucket, limit_headers, whole_seconds

TICK = 1 / 64
arrivals = st.lists(st.integers(0, 200), max_size=60).map(lambda ticks: sorted(tick * TICK for tick in ticks))
periods = st.integers(1, 128).map(lambda ticks: ticks * TICK)
calls = st.integers(1, 5)
rates = st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0, 64.0])


def accepted_times(limit: Limit, times: list[float]) -> list[float]:
    return [time for time in times if limit.admit(time).allowed]


@given(calls, periods, arrivals)
def test_a_sliding_window_accepts_what_brute_force_accepts(calls: int, period: float, times: list[float]) -> None:
    """A call passes if and only if fewer than `calls` passed in the period before it."""
    expected: list[float] = []
    for time in times:
        if sum(time - period < before for before in expected) < calls:
            expected.append(time)
    assert accepted_times(SlidingWindow(calls, period), times) == expected


@given(calls, periods, arrivals)
def test_no_window_at_all_holds_more_than_its_calls(calls: int, period: float, times: list[float]) -> None:
    """Windows that begin at an arrival are the fullest there are."""
    passed = accepted_times(SlidingWindow(calls, period), times)
    assert all(sum(start <= time < start + period for time in passed) <= calls for start in passed)


@given(rates, calls, arrivals)
def test_a_bucket_accepts_what_counted_tokens_accept(rate: float, burst: int, times: list[float]) -> None:
    """The one time it keeps stands for tokens that are counted and refilled."""
    tokens, last, expected = float(burst), 0.0, []
    for time in times:
        tokens, last = min(burst, tokens + (time - last) * rate), time
        if tokens >= 1:
            tokens -= 1
            expected.append(time)
    assert accepted_times(TokenBucket(rate, burst), times) == expected


@given(rates, calls, arrivals)
def test_a_bucket_keeps_its_bound_in_any_window(rate: float, burst: int, times: list[float]) -> None:
    """At most burst + rate * w pass in a window of w seconds."""
    passed = accepted_times(TokenBucket(rate, burst), times)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - start)


def fresh(kind: str, calls: int, period: float, rate: float) -> Limit:
    return SlidingWindow(calls, period) if kind == "window" else TokenBucket(rate, calls)


kinds = st.sampled_from(["window", "bucket"])


@given(kinds, calls, periods, rates, arrivals)
def test_retry_after_is_the_earliest_time(
    kind: str, calls: int, period: float, rate: float, times: list[float]
) -> None:
    """Whoever waits so long passes, whoever comes earlier does not; and rounded up it still is enough."""
    for count, now in enumerate(times):
        limit = fresh(kind, calls, period, rate)
        verdicts = [limit.admit(time) for time in times[: count + 1]]
        wait = verdicts[-1].retry_after
        if verdicts[-1].allowed:
            assert wait == 0
            continue
        assert wait > 0
        assert not limit.admit(now + wait - TICK / 16).allowed
        assert limit.admit(now + wait).allowed
        again = fresh(kind, calls, period, rate)
        for time in times[: count + 1]:
            again.admit(time)
        assert again.admit(now + whole_seconds(wait)).allowed


@given(kinds, calls, periods, rates, arrivals)
def test_remaining_is_what_passes_now_and_reset_when_more_does(
    kind: str, calls: int, period: float, rate: float, times: list[float]
) -> None:
    """So many calls pass at once and no more; after `reset` one more is to be had."""
    if not times:
        return
    at_once, later = fresh(kind, calls, period, rate), fresh(kind, calls, period, rate)
    for time in times:
        verdict, _ = at_once.admit(time), later.admit(time)
    now = times[-1]
    assert [at_once.admit(now).allowed for _ in range(verdict.remaining + 1)] == [True] * verdict.remaining + [False]
    then = now + verdict.reset
    assert all(later.admit(then).allowed for _ in range(verdict.remaining + 1))


@pytest.mark.parametrize("limit", [SlidingWindow(2, 1.0), TokenBucket(2.0, 2)])
def test_refused_calls_cost_nothing(limit: Limit) -> None:
    """A client that hammers is let in as soon as one that waits."""
    hammered = [limit.admit(tick / 64).allowed for tick in range(65)]
    assert hammered[:3] == [True, True, False]
    assert hammered[64]


@pytest.mark.parametrize("limit", [SlidingWindow(1, 60.0), TokenBucket(1 / 60, 1)])
def test_unused_has_the_settings_but_not_the_past(limit: Limit) -> None:
    """A server given a limit that was used before starts with a fresh one."""
    limit.admit(0.0)
    assert limit.unused().admit(0.0).allowed
    assert limit.unused().describe() == limit.describe()


def test_headers_of_a_refusal() -> None:
    """Retry-After is there, and every time is rounded up: 2.5 seconds become 3."""
    limit = SlidingWindow(1, 10.0)
    limit.admit(0.0)
    headers = dict(limit_headers(limit, limit.admit(7.5)))
    assert headers == {
        b"retry-after": b"3",
        b"ratelimit-policy": b'"default";q=1;w=10',
        b"ratelimit": b'"default";r=0;t=3',
        b"x-ratelimit-limit": b"1",
        b"x-ratelimit-remaining": b"0",
        b"x-ratelimit-reset": b"3",
    }


def test_headers_of_a_call_that_passed() -> None:
    """No Retry-After; a bucket's policy is its burst in the time it takes to fill."""
    limit = TokenBucket(4.0, 10)
    headers = dict(limit_headers(limit, limit.admit(0.0)))
    assert b"retry-after" not in headers
    assert headers[b"ratelimit-policy"] == b'"default";q=10;w=3'
    assert headers[b"ratelimit"] == b'"default";r=9;t=1'


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: SlidingWindow(0, 1.0), "calls"),
        (lambda: SlidingWindow(True, 1.0), "calls"),
        (lambda: SlidingWindow(1, 0.0), "period"),
        (lambda: SlidingWindow(1, math.inf), "period"),
        (lambda: SlidingWindow(1, math.nan), "period"),
        (lambda: TokenBucket(0.0, 1), "rate"),
        (lambda: TokenBucket(1.0, 0), "burst"),
    ],
)
def test_senseless_settings_are_refused_by_name(make, named: str) -> None:  # type: ignore[no-untyped-def]
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()


def test_a_full_bucket_gives_its_whole_burst_at_any_moment() -> None:
    """Rounding at an odd moment does not refuse the last call of a burst."""
    for moment in (0.0, 15.03, 1234.567, 86_400.1):
        bucket = TokenBucket(1.0, 4)
        assert [bucket.admit(moment).allowed for _ in range(5)] == [True] * 4 + [False]
