"""How a limit of concurrency is learned: three rules over windows of samples, pure and told the time.

A server that is not full answers in a time that does not depend on how many calls are under way; one that is full only
lets them queue, and the latency grows with their number (Little's law). Each rule reads that, or the server's refusals,
from one `Window` after the other, and moves the limit a little:

    Vegas       from the queue that latency betrays, limit * (1 - usual / present), as TCP Vegas does (Brakmo and
                Peterson, 1995); with the correlations of failsafe-go's adaptive limiter, whose constants these are, so
                that an overload which lasts is not taken for the usual state
    Gradient2   by the ratio of long-term and present latency, as Netflix's concurrency-limits does, with its constants
    AIMD        one more while all is well, a tenth less when calls were dropped (Chiu and Jain, 1989); latency is not
                looked at

A window takes 1 to 30 seconds and at least 50 samples. Calls that were cancelled, or never sent, are no samples: they
tell how long somebody was willing to wait. What a window holds does not grow with the number of its samples.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from itertools import accumulate
from statistics import median
from typing import Final, Protocol

from rest_api_client.checks import check_above_zero, check_share, check_whole
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

_LEAST, _MOST = 1e-6, 1e6
"""Seconds: what lies beyond is counted as this."""
_RATIO: Final = 1.01
"""A bucket of the histogram is so much wider than the one before: a quantile is within half a percent."""
_PER_BUCKET: Final = 1 / math.log(_RATIO)

DROPPED: Final = 0.25
"""The share of dropped calls in a window from which on `Vegas` lowers the limit, whatever the latency says."""

KEPT: Final = 0.9
"""The share of the throughput that half the limit must bring to be enough."""

QUEUED: Final = 1.1
"""Times the least latency remembered, from which on correlations can tell `Vegas` of an overload. Without this bound
they would go on to do so long after the limit is below what the server can do, since they look back over many windows.
"""

WARM_UP: Final = 10
"""Windows before an average decays and a correlation counts."""


class Window:
    """Samples of the present window: a histogram of latencies, the most calls under way, and how many were dropped."""

    __slots__ = ("_buckets", "_total", "dropped", "inside", "least", "samples", "since", "until")

    def __init__(self, since: float) -> None:
        self.since = self.until = since
        self.samples = 0
        self.dropped = 0
        self.inside = 0
        self.least = math.inf
        self._total = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, latency: float | None, dropped: bool, inside: int) -> None:
        """Count a call that ended while so many, itself included, were under way."""
        self.inside = max(self.inside, inside)
        self.dropped += dropped
        if latency is not None:
            latency = min(max(latency, _LEAST), _MOST)
            self.samples += 1
            self._total += latency
            self.least = min(self.least, latency)
            self._buckets[math.ceil(math.log(latency) * _PER_BUCKET)] += 1

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return self.samples / (self.until - self.since)

    @property
    def mean(self) -> float | None:
        """The mean latency in seconds, or None without any."""
        return self._total / self.samples if self.samples else None

    @property
    def dropped_share(self) -> float:
        """The share of calls that were dropped."""
        ended = self.samples + self.dropped
        return self.dropped / ended if ended else 0.0

    def quantile(self, q: float) -> float | None:
        """The latency that a share `q` of the calls stayed below, or None without any."""
        if not self.samples:
            return None
        buckets = sorted(self._buckets)
        passed = accumulate(self._buckets[bucket] for bucket in buckets)
        found = next(bucket for bucket, below in zip(buckets, passed, strict=True) if below > q * (self.samples - 1))
        return math.exp((found - 0.5) / _PER_BUCKET)


class Average:
    """An exponentially weighted mean over about `age` values; a plain one until it has ten."""

    __slots__ = ("_count", "_share", "value")

    def __init__(self, age: int) -> None:
        self._share = 2 / (age + 1)
        self._count = 0
        self.value = 0.0

    def add(self, value: float) -> float:
        """Take a value in, and give the mean."""
        self._count = min(self._count + 1, WARM_UP + 1)
        share = 1 / self._count if self._count <= WARM_UP else self._share
        self.value += (value - self.value) * share
        return self.value


class Correlation:
    """How two figures move together over the last `size` windows."""

    __slots__ = ("_pairs",)

    def __init__(self, size: int) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=size)

    def add(self, x: float, y: float) -> tuple[float, float]:
        """Take a pair in; gives Pearson's coefficient and y's coefficient of variation.

        The first is 0, and both are, where there are fewer than ten pairs, or one figure varies by less than 1 %.
        """
        self._pairs.append((x, y))
        if len(self._pairs) < WARM_UP:
            return 0.0, 0.0
        xs, ys = zip(*self._pairs, strict=True)
        mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
        spread_x = math.sqrt(math.fsum((x - mean_x) ** 2 for x in xs) / len(xs))
        spread_y = math.sqrt(math.fsum((y - mean_y) ** 2 for y in ys) / len(ys))
        varies_x, varies_y = spread_x / mean_x, spread_y / mean_y
        if varies_x < 0.01 or varies_y < 0.01:
            return 0.0, varies_y
        together = math.fsum((x - mean_x) * (y - mean_y) for x, y in self._pairs) / len(xs)
        return together / (spread_x * spread_y), varies_y


class Rule(Protocol):
    """What learns: asked once per window, for one key."""

    def next(self, limit: float, window: Window, full: bool) -> float:
        """The limit after a window; `full` says whether all permits are out at its end."""
        ...


class Algorithm(Protocol):
    """The options of a rule."""

    def fresh(self) -> Rule:
        """A rule that has seen nothing yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class Vegas:
    """Lowers the limit as soon as latency shows a queue at the server, raises it while there is none.

    Attributes:
        quantile: of a window's latencies, the one that is compared.
        baseline: windows that the usual latency remembers.
        memory: windows over which concurrency, throughput and latency are correlated.
        probe: windows with all permits out, one after the other, before half the limit is tried for one window.
        headroom: the limit is at most so many times the calls that were under way.
    """

    quantile: float = 0.9
    baseline: int = 10
    memory: int = 50
    probe: int = 20
    headroom: float = 5.0

    def __post_init__(self) -> None:
        check_share("Vegas", zero=False, quantile=self.quantile)
        check_whole("Vegas", 1, baseline=self.baseline, probe=self.probe)
        check_whole("Vegas", WARM_UP, memory=self.memory)
        _check_headroom("Vegas", self.headroom)

    def fresh(self) -> Rule:
        """A rule that has seen nothing yet."""
        return _Vegas(self)


class _Vegas:
    def __init__(self, options: Vegas) -> None:
        self.options = options
        self._lately: deque[float] = deque(maxlen=5)
        self._present = Average(5)
        self._usual = Average(options.baseline)
        self._memory: deque[float] = deque(maxlen=options.memory)
        self._throughput = Correlation(options.memory)
        self._latency = Correlation(options.memory)
        self._full = 0
        self._probed: tuple[float, float] | None = None

    def next(self, limit: float, window: Window, full: bool) -> float:
        if self._probed is not None:
            return self._judge(limit, window, full, *self._probed)
        self._full = self._full + 1 if full else 0
        if self._full >= self.options.probe:
            self._probed = limit, window.throughput
            return limit / 2
        step = max(1, int(math.log10(limit)))
        slow = window.quantile(self.options.quantile)
        if slow is None or window.dropped_share >= DROPPED:
            return limit - step
        self._lately.append(slow)
        direction = self._direction(limit, self._present.add(median(self._lately)), window.inside, full)
        if limit + direction * step > window.inside * self.options.headroom:
            return limit - step
        return limit + direction * step

    def _judge(self, limit: float, window: Window, full: bool, before: float, throughput: float) -> float:
        """Half of the limit that was before: stay there if as many answers came, or else go back."""
        self._probed, self._full = None, 0
        return limit if full and window.throughput >= KEPT * throughput else before

    def _direction(self, limit: float, present: float, inside: int, full: bool) -> int:
        usual = self._usual.add(present)
        queue = math.ceil(limit * (1 - usual / present))
        together, varies = self._throughput.add(inside, inside / present)
        slowing, _ = self._latency.add(inside, present)
        self._memory.append(present)
        alpha, beta = (factor * max(1, int(math.log10(limit))) for factor in (3, 6))
        queued = present > QUEUED * min(self._memory)
        if queue > beta or (queued and full and _overloaded(together, varies, slowing)):
            return -1
        return 1 if queue < alpha else 0


def _overloaded(together: float, varies: float, slowing: float) -> bool:
    """Whether more calls at once bring more latency, and no more answers.

    `together` correlates calls with throughput, `slowing` with latency; `varies` is how far throughput varies.
    """
    return together < 0 or (slowing > 0.5 and (together < 0.3 or varies < 0.2))


@dataclass(frozen=True, kw_only=True)
class Gradient2:
    """Scales the limit by long-term over present latency, and adds a little.

    Attributes:
        long_window: windows that the long-term latency remembers.
        tolerance: how many times the long-term latency the present one may be before the limit falls.
        headroom: calls that may queue at the server: what is added each time.
        smoothing: the share of the way to the new limit that is gone in one window.
    """

    long_window: int = 600
    tolerance: float = 1.5
    headroom: int = 4
    smoothing: float = 0.2

    def __post_init__(self) -> None:
        check_whole("Gradient2", 1, long_window=self.long_window, headroom=self.headroom)
        check_above_zero("Gradient2", unit="a number", tolerance=self.tolerance)
        check_share("Gradient2", zero=False, smoothing=self.smoothing)

    def fresh(self) -> Rule:
        """A rule that has seen nothing yet."""
        return _Gradient2(self)


class _Gradient2:
    def __init__(self, options: Gradient2) -> None:
        self.options = options
        self._long = Average(options.long_window)

    def next(self, limit: float, window: Window, full: bool) -> float:
        present = window.mean
        gradient = 0.5 if present is None else self._gradient(present)
        if window.inside < limit / 2:
            return limit
        aim = limit * gradient + self.options.headroom
        return limit + (aim - limit) * self.options.smoothing

    def _gradient(self, present: float) -> float:
        usual = self._long.add(present)
        if usual > 2 * present:  # the server is its old self again: forget the bad times sooner
            self._long.value *= 0.95
        return max(0.5, min(1.0, self.options.tolerance * usual / present))


@dataclass(frozen=True, kw_only=True)
class AIMD:
    """Adds one while no call was dropped and the limit is in use, and takes a share when one was.

    For a server that says when it is overloaded (429, 503) and does not slow down before.

    Attributes:
        keep: the share of the limit that stays after a window with drops.
        tolerated: the share of dropped calls in a window that changes nothing.
    """

    keep: float = 0.9
    tolerated: float = 0.0

    def __post_init__(self) -> None:
        check_share("AIMD", zero=False, keep=self.keep)
        check_share("AIMD", zero=True, tolerated=self.tolerated)
        if self.keep == 1:
            raise ConfigurationError("AIMD(keep=1): give a share above 0 and below 1, or the limit never falls")

    def fresh(self) -> Rule:
        """A rule that has seen nothing yet."""
        return _AIMD(self)


class _AIMD:
    def __init__(self, options: AIMD) -> None:
        self.options = options

    def next(self, limit: float, window: Window, full: bool) -> float:
        if window.dropped_share > self.options.tolerated:
            return limit * self.options.keep
        return limit + 1 if window.inside >= limit / 2 else limit


def _check_headroom(owner: str, headroom: float) -> None:
    check_above_zero(owner, unit="a number", headroom=headroom)
    if headroom < 1:
        raise ConfigurationError(f"{owner}(headroom={headroom!r}): give 1 or more: the limit over the calls under way")
