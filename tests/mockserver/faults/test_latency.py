"""Latencies by their quantile functions."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from statistics import NormalDist, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.faults import (
    LATENCIES,
    ConstantLatency,
    EvenLatency,
    Latency,
    LogNormalLatency,
    NormalLatency,
    ParetoLatency,
    Slowness,
)

units = st.floats(0, 1, exclude_max=True)
seconds = st.floats(1e-6, 1e6)
wild = st.floats(0, sys.float_info.max, exclude_min=True)


@st.composite
def percentiles(draw: st.DrawFn, some: st.SearchStrategy[float] = seconds) -> Latency:
    p50, p95, p99 = sorted(draw(st.lists(some, min_size=3, max_size=3)))
    return Latency(p50=p50, p95=draw(st.sampled_from([p95, p95, None])) if p99 >= 3 * p50 else p95, p99=p99)


latencies: st.SearchStrategy[Slowness] = st.one_of(
    percentiles(),
    percentiles(wild),
    st.builds(lambda low, more: EvenLatency(low=low, high=low + more), seconds, seconds),
    st.builds(NormalLatency, mean=st.floats(0, 1e6), deviation=seconds),
    st.builds(LogNormalLatency, median=wild, sigma=wild),
    st.builds(ParetoLatency, low=wild, alpha=wild),
    st.builds(ConstantLatency, seconds),
)


@given(percentiles())
def test_all_percentiles_given_are_met(latency: Latency) -> None:
    """The median, the 95th and the 99th, although no log-normal distribution goes through any three."""
    assert latency.seconds(0.5) == pytest.approx(latency.p50)
    assert latency.seconds(0.95) == pytest.approx(3 * latency.p50 if latency.p95 is None else latency.p95)
    assert latency.p99 is not None
    assert latency.seconds(0.99) == pytest.approx(latency.p99)


@given(latencies, units, units)
def test_a_latency_rises_with_the_unit_and_is_never_negative_nor_endless(
    latency: Slowness, one: float, other: float
) -> None:
    """Whatever the parameters."""
    lower, upper = latency.seconds(min(one, other)), latency.seconds(max(one, other))
    assert 0 <= lower <= upper * (1 + 1e-9)
    assert upper < math.inf


@given(latencies)
def test_nobody_waits_longer_than_the_999th_of_a_thousand(latency: Slowness) -> None:
    """The tail is cut; that of an even one ends by itself."""
    if not isinstance(latency, EvenLatency):
        assert latency.seconds(math.nextafter(1, 0)) == latency.seconds(0.999)


def test_normal_latency_leaves_out_what_lies_below_zero() -> None:
    """Half of a normal distribution about 0: its median is the upper quartile of the whole."""
    assert NormalLatency(mean=0.0, deviation=1.0).seconds(0.5) == pytest.approx(NormalDist().inv_cdf(0.75))
    narrow = NormalLatency(mean=1.0, deviation=0.1)
    assert narrow.seconds(0.5) == pytest.approx(1.0)
    assert narrow.seconds(0.9) == pytest.approx(NormalDist(1.0, 0.1).inv_cdf(0.9))


def test_lognormal_latency_is_one() -> None:
    """Its logarithm is normal."""
    latency = LogNormalLatency(median=0.2, sigma=0.5)
    assert latency.seconds(0.5) == pytest.approx(0.2)
    assert latency.seconds(0.9) == pytest.approx(0.2 * math.exp(0.5 * NormalDist().inv_cdf(0.9)))


def test_pareto_latency_has_its_tail() -> None:
    """With alpha log 5 / log 4 a fifth of the answers takes four fifths of the time, or nearly: the tail is cut."""
    latency = ParetoLatency(low=1.0, alpha=2.0)
    assert latency.seconds(0.75) == pytest.approx(2.0)
    steps = [number / 10_000 for number in range(10_000)]
    eighty = [ParetoLatency(low=1.0, alpha=math.log(5) / math.log(4)).seconds(step) for step in steps]
    assert 0.5 < sum(eighty[8000:]) / sum(eighty) < 0.8


def test_constant_latency_is() -> None:
    """The mean of all is each."""
    assert fmean(ConstantLatency(0.2).seconds(unit) for unit in (0.0, 0.5, 0.99)) == pytest.approx(0.2)


def test_all_latencies_have_a_word() -> None:
    """For files and the command line."""
    assert {"latency", "uniform", "normal", "lognormal", "pareto", "constant"} == set(LATENCIES)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Latency(p50=0.1, p95=0.2, p99=0.1), "p99"),
        (lambda: Latency(p50=0.1, p99=0.2), "p99"),
        (lambda: NormalLatency(mean=-1, deviation=1), "mean"),
        (lambda: NormalLatency(mean=1, deviation=0), "deviation"),
        (lambda: LogNormalLatency(median=0, sigma=1), "median"),
        (lambda: LogNormalLatency(median=1, sigma=math.nan), "sigma"),
        (lambda: ParetoLatency(low=0, alpha=1), "low"),
        (lambda: ParetoLatency(low=1, alpha=math.inf), "alpha"),
        (lambda: ConstantLatency(-1), "wait"),
        (lambda: ConstantLatency("1"), "wait"),  # type: ignore[arg-type]
    ],
)
def test_senseless_settings_are_refused_by_name(make: Callable[[], object], named: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()
