"""How long answers take: distributions, each by its quantile function.

`seconds(unit)` is the waiting time that a share `unit` of all answers stays below. A number between 0 and 1 computed
from the seed and the request (see `chance`) thus gives each request its own waiting time, the same in every run.

Nobody waits longer than the 99.9th percentile, so that no test hangs on a freak; nor shorter than the 0.1th.
Every distribution rises with `unit`, and is never negative nor infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from statistics import NormalDist

_Z95: Final = 1.6448536269514715
_Z99: Final = 2.3263478740408408
"""The 95th and the 99th percentile of the standard normal distribution."""
_LARGEST = 709.0
"""exp() of more is no float."""


@lru_cache
def _normal() -> NormalDist:
    from statistics import NormalDist  # it brings fractions and decimals, which no server needs that answers at once

    return NormalDist()


@runtime_checkable
class Slowness(Protocol):
    """A distribution of waiting times."""

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile, `unit` in [0, 1)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Waiting times as services have them, through the percentiles given, in seconds.

    With p50 and p95 it is a log-normal distribution. No log-normal one goes through three percentiles that were
    measured, so with p99 it consists of two, joined at p95: on paper with a logarithmic and a normal axis a line
    with a bend. All percentiles given are met exactly.

    Args:
        p50: the median.
        p95: 5 % wait longer; three times the median when not given.
        p99: 1 % wait longer; what the line through the other two says when not given.
    """

    p50: float
    p95: float | None = None
    p99: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.p50 < math.inf:
            raise ValueError(f"Latency.p50 must be a number of seconds above 0, not {self.p50!r}")
        if self.p95 is not None and not self.p50 <= self.p95 < math.inf:
            raise ValueError(f"Latency.p95 must be at least p50 ({self.p50!r}), not {self.p95!r}")
        if self.p99 is not None and not self._upper <= self.p99 < math.inf:
            raise ValueError(f"Latency.p99 must be at least p95 ({self._upper!r}), not {self.p99!r}")

    @property
    def _upper(self) -> float:
        return 3 * self.p50 if self.p95 is None else self.p95

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile."""
        z = _normal().inv_cdf(_inside(unit))
        if self.p99 is None or z <= _Z95:
            return _times(self.p50, (math.log(self._upper) - math.log(self.p50)) / _Z95 * z)
        return _times(self._upper, (math.log(self.p99) - math.log(self._upper)) / (_Z99 - _Z95) * (z - _Z95))


@dataclass(frozen=True, kw_only=True)
class EvenLatency:
    """Waiting times spread evenly from `low` to `high` seconds; equal ends make them all the same."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high < math.inf:
            raise ValueError(f"EvenLatency needs 0 <= low <= high, not {self.low!r} and {self.high!r}")

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile."""
        return self.low + (self.high - self.low) * unit


@dataclass(frozen=True, kw_only=True)
class NormalLatency:
    """A normal distribution cut off at 0: what lies below is left out, so that the median rises a little.

    Args:
        mean: of the whole distribution, in seconds.
        deviation: its standard deviation, in seconds.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        _check("NormalLatency.mean", self.mean, zero=True)
        _check("NormalLatency.deviation", self.deviation)

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile."""
        below = _normal().cdf(-self.mean / self.deviation)
        return max(0.0, self.mean + self.deviation * _normal().inv_cdf(below + (1 - below) * _inside(unit)))


@dataclass(frozen=True, kw_only=True)
class LogNormalLatency:
    """A log-normal distribution by its median, in seconds, and the standard deviation of its logarithm."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _check("LogNormalLatency.median", self.median)
        _check("LogNormalLatency.sigma", self.sigma, zero=True)

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile."""
        return _times(self.median, self.sigma * _normal().inv_cdf(_inside(unit)))


@dataclass(frozen=True, kw_only=True)
class ParetoLatency:
    """A Pareto distribution: nobody waits less than `low` seconds, and the tail is long where `alpha` is small.

    Args:
        low: the shortest wait, in seconds.
        alpha: how fast the tail thins out; 2 to 3 for a bad service, 1.16 makes a fifth of the answers four fifths
            of all waiting.
    """

    low: float
    alpha: float

    def __post_init__(self) -> None:
        _check("ParetoLatency.low", self.low)
        _check("ParetoLatency.alpha", self.alpha)

    def seconds(self, unit: float) -> float:
        """The waiting time at this quantile."""
        return _times(self.low, -math.log1p(-_inside(unit)) / self.alpha)


@dataclass(frozen=True)
class ConstantLatency:
    """Every answer takes the same time."""

    wait: float

    def __post_init__(self) -> None:
        _check("ConstantLatency.wait", self.wait, zero=True)

    def seconds(self, unit: float) -> float:
        """The waiting time, whatever the quantile."""
        return self.wait


LATENCIES: Final[Mapping[str, Callable[..., Any]]] = {
    "latency": Latency,
    "uniform": EvenLatency,
    "normal": NormalLatency,
    "lognormal": LogNormalLatency,
    "pareto": ParetoLatency,
    "constant": ConstantLatency,
}
"""The words for latencies, in text."""


def _inside(unit: float) -> float:
    return min(max(unit, 0.001), 0.999)


def _times(base: float, power: float) -> float:
    """base * e**power, or the largest float there is."""
    return math.exp(min(math.log(base) + power, _LARGEST))


def _check(name: str, value: float, *, zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of seconds or a shape, 0 or more, not {value!r}")
    if not (value or zero):
        raise ValueError(f"{name} must be above 0")
