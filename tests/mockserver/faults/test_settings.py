"""Settings of faults, and their arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.faults import Errors, EvenLatency, Latency, Outage

units = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Errors(probability=1.1), "probability"),
        (lambda: Errors(probability=math.nan), "probability"),
        (lambda: Errors(probability=0.5, status=404), "status"),
        (lambda: Errors(probability=0.5, retry_after=-1), "retry_after"),
        (lambda: Latency(p50=0), "p50"),
        (lambda: Latency(p50=math.inf), "p50"),
        (lambda: Latency(p50=0.2, p95=0.1), "p95"),
        (lambda: EvenLatency(low=0.2, high=0.1), "low"),
        (lambda: EvenLatency(low=-1, high=0.1), "low"),
        (lambda: Outage(start=-1, duration=1), "start"),
        (lambda: Outage(start=0, duration=0), "duration"),
        (lambda: Outage(start=0, duration=1, status=200), "status"),
    ],
)
def test_senseless_settings_are_refused_by_name(make, named: str) -> None:  # type: ignore[no-untyped-def]
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()


def test_latency_goes_through_its_percentiles() -> None:
    """The median and the 95th percentile are those that were given."""
    latency = Latency(p50=0.02, p95=0.1)
    assert latency.seconds(0.5) == pytest.approx(0.02)
    assert latency.seconds(0.95) == pytest.approx(0.1)


def test_latency_supposes_a_tail_when_only_the_median_is_given() -> None:
    """The 95th percentile is then three times the median."""
    assert Latency(p50=0.02).seconds(0.95) == pytest.approx(0.06)


@given(units)
def test_no_latency_is_endless_or_none(unit: float) -> None:
    """The tail is cut at the 99.9th percentile, on both sides."""
    latency = Latency(p50=0.02, p95=0.1)
    assert latency.seconds(0.001) <= latency.seconds(unit) <= latency.seconds(0.999) < 0.5


@given(units)
def test_even_latency_stays_between_its_ends(unit: float) -> None:
    """Both ends included."""
    assert 0.1 <= EvenLatency(low=0.1, high=0.3).seconds(unit) <= 0.3


def test_an_outage_covers_its_start_but_not_its_end() -> None:
    """It lasts exactly its duration."""
    outage = Outage(start=3, duration=2)
    assert [outage.covers(time) for time in (2.9, 3, 4.9, 5)] == [False, True, True, False]
