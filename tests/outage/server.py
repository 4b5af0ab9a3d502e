"""The simulated server: some workers, a queue, perhaps a limiter, and bad hours. Pure: it is told the time.

What happens to a request is known the moment it arrives, for the queue is first come, first served, and nothing that
comes later can overtake. So `arrive` gives the whole answer at once, with the seconds after which it reaches the
client, and the simulation needs no events but the clients' own.

A request whose client has lost patience stays in the queue and is worked on like any other: servers rarely notice that
nobody waits any more. That is what makes an overload feed on itself: the work is done too late, thrown away, and asked
for again (Bronson et al., "Metastable failures in distributed systems", HotOS 2021).
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Literal

TRIP = 0.002
"""Seconds there and back; what a refused connection or a rejected request takes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A server and its troubles; times in seconds since the start.

    Attributes:
        workers: requests it works on at the same time.
        service: seconds one request takes on average; each takes between half and one and a half of that.
        queue: requests that may wait; one more is answered 503 at once.
        outage: from when to when it is in trouble, or None.
        trouble: what the trouble is. "gone": in the first half of it connections are refused, in the second half a load
            balancer answers 503 at once, without a Retry-After. "slow": all work takes twice as long.
        slow_share: the share of requests that take `slow_factor` times as long.
        slow_factor: how much longer those take.
        quota: requests that all clients together may make in each `window`; more are answered 429, with a Retry-After
            of the seconds until the next window. None is no limit.
        window: seconds.
    """

    workers: int = 8
    service: float = 0.05
    queue: int = 1000
    outage: tuple[float, float] | None = None
    trouble: Literal["gone", "slow"] = "gone"
    slow_share: float = 0.0
    slow_factor: float = 1.0
    quota: int | None = None
    window: float = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a request: its status (None: the connection is refused), after how many seconds."""

    status: int | None
    after: float
    retry_after: int | None = None


@dataclass(slots=True)
class Arrival:
    """One request as the server counts it; `useful` once an answer of 200 has reached a client that still waited."""

    at: float
    call: int
    status: int | None
    useful: bool = False


class Server:
    """Answers requests as its plan says, and keeps count of them in `arrivals`."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.arrivals: list[Arrival] = []
        self._random = Random(seed)
        self._free_at = [0.0] * plan.workers
        self._starts: deque[float] = deque()
        self._window = -1
        self._used = 0

    def arrive(self, call: int, now: float) -> tuple[Arrival, Answer]:
        """Take a request at `now`, made for the logical call of that number."""
        answer = self._answer(now)
        arrival = Arrival(now, call, answer.status)
        self.arrivals.append(arrival)
        return arrival, answer

    def _answer(self, now: float) -> Answer:
        if self._troubled(now) and self.plan.trouble == "gone":
            return Answer(None if self._troubled(now + self._trouble_lasts / 2) else 503, TRIP)
        wait = self._over_quota(now)
        if wait is not None:
            return Answer(429, TRIP, wait)
        while self._starts and self._starts[0] <= now:
            self._starts.popleft()
        if len(self._starts) >= self.plan.queue:
            return Answer(503, TRIP)
        return Answer(200, TRIP + self._work(now) - now)

    def _troubled(self, moment: float) -> bool:
        return self.plan.outage is not None and self.plan.outage[0] <= moment < self.plan.outage[1]

    @property
    def _trouble_lasts(self) -> float:
        start, end = self.plan.outage or (0.0, 0.0)
        return end - start

    def _over_quota(self, now: float) -> int | None:
        """The whole seconds until there is room again, or None where there is room now, which this takes."""
        if self.plan.quota is None:
            return None
        window = math.floor(now / self.plan.window)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used < self.plan.quota:
            self._used += 1
            return None
        return max(1, math.ceil((window + 1) * self.plan.window - now))

    def _work(self, now: float) -> float:
        """Put the request in line; when it will be done."""
        start = max(now, heapq.heappop(self._free_at))
        if start > now:
            self._starts.append(start)
        seconds = self.plan.service * self._random.uniform(0.5, 1.5)
        if self._random.random() < self.plan.slow_share:
            seconds *= self.plan.slow_factor
        if self._troubled(start):
            seconds *= 2
        heapq.heappush(self._free_at, start + seconds)
        return start + seconds
