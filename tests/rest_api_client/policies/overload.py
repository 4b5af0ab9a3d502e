"""An overloaded server in virtual time, and a client that limits itself: a queueing model, without any chain.

The server has `capacity` workers and one endless line; it works on every request to the end, whether or not anybody
still waits for the answer. Calls come at random, `load` times as many as the server can do, wait in the client's own
line of at most 100 for half of their `PATIENCE`, and give up when that is over.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from rest_api_client.policies.permits import ENTER, Leave
from rest_api_client.policies.state import PureState

SERVICE = 0.1
"""Seconds a worker takes for a request, on average."""
PATIENCE = 1.0
QUEUE = 100


@dataclass(eq=False)
class _Call:
    due: float
    token: int = 0
    sent: float = 0.0
    ended: bool = False


@dataclass
class Overload:
    """One run; afterwards `good` has the moments of the answers that came in time, `limits` the limit each second."""

    permits: PureState[Any]
    limit: Callable[[], int]
    capacity: Callable[[float], int]
    load: float
    seconds: float
    seed: int = 1
    good: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = 0.0
        self.line: deque[_Call] = deque()
        self.at_server: deque[_Call] = deque()
        self.working = 0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def run(self) -> Overload:
        """Let the seconds pass."""
        self._at(0.0, self._arrive)
        self._at(1.0, self._look)
        while self._events[0][0] < self.seconds:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        return self

    def goodput(self, after: float = 0.0) -> float:
        """Answers in time, per second, from a moment on."""
        return sum(moment >= after for moment in self.good) / (self.seconds - after)

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happen))

    def _look(self) -> None:
        self.limits.append(self.limit())
        self._at(self.now + 1.0, self._look)

    def _arrive(self) -> None:
        rate = self.load * self.capacity(self.now) / SERVICE
        self._at(self.now + self.random.expovariate(rate), self._arrive)
        if len(self.line) < QUEUE:
            self.line.append(_Call(self.now + PATIENCE))
        self._admit()

    def _admit(self) -> None:
        while self.line:
            if self.line[0].due <= self.now + PATIENCE / 2:
                self.line.popleft()
                continue
            decision = self.permits.apply(ENTER, self.now)
            if decision.verdict != "allow":
                return
            self._send(self.line.popleft(), decision.token)

    def _send(self, call: _Call, token: int) -> None:
        call.token, call.sent = token, self.now
        self.at_server.append(call)
        self._at(call.due, lambda: self._give_up(call))
        self._work()

    def _work(self) -> None:
        while self.at_server and self.working < self.capacity(self.now):
            call = self.at_server.popleft()
            self.working += 1
            self._at(self.now + self.random.uniform(0.5, 1.5) * SERVICE, partial(self._answer, call))

    def _answer(self, call: _Call) -> None:
        self.working -= 1
        if not call.ended:
            self.good.append(self.now)
            self._end(call, Leave(call.token, self.now - call.sent))
        self._work()

    def _give_up(self, call: _Call) -> None:
        if not call.ended:
            self._end(call, Leave(call.token, self.now - call.sent, dropped=True))

    def _end(self, call: _Call, leave: Leave) -> None:
        call.ended = True
        self.permits.apply(leave, self.now)
        self._admit()
