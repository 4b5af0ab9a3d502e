"""The windows' running sums are what counting all over again would give."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rest_api_client.policies.failure_windows import CountWindow, FailureWindow, TimeWindow

OUTCOMES = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, 4.0, 9.0, 10.0, 30.0]), st.booleans(), st.booleans()))
"""Seconds since the one before, failed, slow."""

Kept = list[tuple[float, bool, bool]]


def sums(kept: Kept) -> tuple[int, int, int]:
    return len(kept), sum(failed for _, failed, _ in kept), sum(slow for _, _, slow in kept)


def shown(window: FailureWindow) -> tuple[int, int, int]:
    return window.calls, window.failures, window.slow


@given(OUTCOMES)
def test_by_time_ten_buckets_are_counted(outcomes: Kept) -> None:
    """The one that is filling and the nine before it, whatever failed or was slow, together or not."""
    window, kept, now = TimeWindow(10.0), [], 0.0
    for pause, failed, slow in outcomes:
        now += pause
        window.count(failed, slow, now)
        kept.append((now, failed, slow))
        kept = [one for one in kept if one[0] // 1 > now // 1 - 10]
        assert shown(window) == sums(kept)


def test_by_time_the_edge_of_a_bucket_is_where_division_puts_it() -> None:
    """5 * 0.1 holds 0.1 not quite 5 times in floats: whatever bucket that is, each outcome is counted once."""
    window, edge = TimeWindow(1.0), 5 * 0.1
    assert edge // 0.1 == 4
    for now in (edge - 1e-9, edge, edge):
        window.count(False, False, now)
    assert window.calls == 3
    window.count(False, False, edge + 1.5)
    assert window.calls == 1


@pytest.mark.parametrize("seconds", [None, 10.0])
@given(outcomes=OUTCOMES)
def test_by_count_the_last_are_counted(seconds: float | None, outcomes: Kept) -> None:
    """The last five, and of those only what is younger than the seconds given."""
    window, kept, now = CountWindow(5, seconds), [], 0.0
    for pause, failed, slow in outcomes:
        now += pause
        window.count(failed, slow, now)
        kept = [*kept, (now, failed, slow)][-5:]
        kept = [one for one in kept if seconds is None or one[0] > now - seconds]
        assert shown(window) == sums(kept)


@pytest.mark.parametrize("window", [TimeWindow(10.0), CountWindow(3, 10.0)])
def test_each_sum_shrinks_by_what_leaves(window: FailureWindow) -> None:
    """Three failures and two slow calls come, and are gone 20 s later but for the new one, which was neither."""
    for slow in (True, True, False):
        window.count(True, slow, 3.5)
    assert shown(window) == (3, 3, 2)
    window.count(True, True, 11.5)
    window.count(False, False, 14.5)
    assert shown(window) == (2, 1, 1)
    window.count(False, False, 40.0)
    assert shown(window) == (1, 0, 0)
