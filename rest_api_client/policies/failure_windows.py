"""What a circuit breaker remembers of the calls that ended: how many, how many failed, how many were slow.

Both windows keep running sums, so that asking costs nothing, and forget only while something new is counted: what
nobody asks need not be exact. By time, outcomes lie in ten buckets, exact to a tenth of the window, in a memory that
does not grow with the load. By count, each outcome is kept with its moment, so that the last N may also be told to
grow old.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, Protocol

BUCKETS: Final = 10


class FailureWindow(Protocol):
    """Sums over the recent outcomes."""

    calls: int
    failures: int
    slow: int

    def count(self, failed: bool, slow: bool, now: float) -> None:
        """Add one outcome and forget what no longer counts."""
        ...


class TimeWindow:
    """The outcomes of the last `seconds`, in ten buckets."""

    __slots__ = ("_buckets", "_ends", "_newest", "_width", "calls", "failures", "slow")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._ends = -inf
        self._newest = [-BUCKETS, 0, 0, 0]  # number, calls, failures, slow
        self._buckets: deque[list[int]] = deque([self._newest])
        self.calls = self.failures = self.slow = 0

    def count(self, failed: bool, slow: bool, now: float) -> None:
        """Add one outcome and forget what no longer counts."""
        if now >= self._ends:
            self._turn(int(now // self._width))
        bucket = self._newest
        bucket[1] += 1
        self.calls += 1
        if failed:
            bucket[2] += 1
            self.failures += 1
        if slow:
            bucket[3] += 1
            self.slow += 1

    def _turn(self, number: int) -> None:
        self._ends = (number + 1) * self._width
        if number == self._newest[0]:
            return
        self._newest = [number, 0, 0, 0]
        buckets = self._buckets
        buckets.append(self._newest)
        while buckets[0][0] <= number - BUCKETS:
            _, calls, failures, slow = buckets.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow


class CountWindow:
    """The last `most` outcomes, of the last `seconds` where those are given."""

    __slots__ = ("_kept", "_most", "_seconds", "calls", "failures", "slow")

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most = most
        self._seconds = seconds
        self._kept: deque[tuple[float, bool, bool]] = deque()
        self.calls = self.failures = self.slow = 0

    def count(self, failed: bool, slow: bool, now: float) -> None:
        """Add one outcome and forget what no longer counts."""
        kept = self._kept
        kept.append((now, failed, slow))
        self.calls += 1
        self.failures += failed
        self.slow += slow
        while self.calls > self._most or (self._seconds is not None and kept[0][0] <= now - self._seconds):
            _, old_failed, old_slow = kept.popleft()
            self.calls -= 1
            self.failures -= old_failed
            self.slow -= old_slow
