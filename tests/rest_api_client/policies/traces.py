"""Random traces through a rate limit, in virtual time: whatever comes, nothing exceeds the limit and nobody is passed.

A trace draws dimensions of both kinds, and requests with costs, moments, latencies and ends: answered, answered with
another cost than expected, cancelled on the wire, cancelled in line, never sent. `run` plays it through the policy
itself and `check` looks at what happened: units sent and units arrived against the bound of each dimension, the order
of those served against the order in which they came, and what is left in the limit at the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rest_api_client.context import Call, Context
from rest_api_client.exceptions import RateLimitExceeded
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.policies.dimensions import Bucket, Dimension, Window
from rest_api_client.policies.quota_state import QuotaState
from rest_api_client.policies.quotas import Peek
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.runtime import Runtime
from rest_api_client.transport import Exchange, Timeouts

ROUNDING = 1e-6
LONGEST = 1000.0
"""Seconds in which every trace is over; one that is not waits for what is lost."""


@dataclass
class Ask:
    """One request of a trace, and what became of it."""

    number: int
    costs: tuple[int, ...]
    true: tuple[int, ...] | None
    start: float
    latency: float
    arrives: float
    cancelled: float | None
    never_sent: bool
    sent: float | None = None
    arrived: float | None = None
    refused: bool = False


class Trace:
    """The trace of a seed."""

    def __init__(self, seed: int, requests: int = 14) -> None:
        self.rng = rng = random.Random(seed)
        self.limits: dict[str, Dimension] = {f"d{n}": self._dimension() for n in range(rng.choice([1, 1, 2, 3]))}
        self.most = [limit.fresh("").most for limit in self.limits.values()]
        self.wild = rng.choice([0.0, 0.3])
        moment, self.asks = 0.0, list[Ask]()
        for number in range(requests):
            moment += rng.choice([0.0, rng.random() * 0.2, rng.random() * 3])
            self.asks.append(self._ask(number, moment))
        self.served: list[int] = []

    def _dimension(self) -> Dimension:
        rng, most = self.rng, self.rng.choice([1, 3, 10, 1000])
        if rng.random() < 0.5:
            return Window(amount=most, period=rng.uniform(0.5, 10))
        return Bucket(rate=most / rng.uniform(0.5, 10), burst=most)

    def _ask(self, number: int, start: float) -> Ask:
        rng = self.rng
        costs = tuple(rng.choice([0, 1, rng.randint(0, most), most]) for most in self.most)
        if rng.random() < 0.03:
            costs = (self.most[0] + 1, *costs[1:])
        wild = rng.random() < self.wild
        latency = rng.choice([0.0, rng.random(), rng.random() * 10])
        return Ask(
            number,
            costs,
            tuple(rng.choice([0, cost, cost // 2, cost + 1, 2 * cost]) for cost in costs) if wild else None,
            start,
            latency,
            latency * rng.choice([0.0, rng.random(), 1.0]),
            start + rng.random() * 8 if rng.random() < 0.15 else None,
            rng.random() < 0.05,
        )

    async def run(self, runtime: Runtime) -> None:
        """Play it."""
        self.policy = RateLimit(limits=self.limits, cost=self._cost, true_cost=self._true).bind(runtime)
        began, tasks = runtime.now(), list[Any]()
        steps: list[tuple[float, int, Ask]] = [(ask.start, 0, ask) for ask in self.asks]
        steps += [(ask.cancelled, 1, ask) for ask in self.asks if ask.cancelled is not None]
        for moment, step, ask in sorted(steps, key=lambda one: (one[0], one[2].number, one[1])):
            await runtime.sleep(began + moment - runtime.now())
            if step:
                tasks[ask.number].cancel()
            else:
                tasks.append(runtime.spawn(self._send, ask, runtime))
                await runtime.sleep(1e-9)  # it enters the line before the next one comes
        with runtime.fail_after(began + LONGEST):
            for task in tasks:
                with suppress(RuntimeError):
                    await task.join()
        await self._check_left(runtime)

    def _cost(self, request: Request) -> dict[str, int]:
        return dict(zip(self.limits, self._asked(request).costs, strict=True))

    def _true(self, request: Request, response: Response) -> dict[str, int] | None:
        true = self._asked(request).true
        return None if true is None else dict(zip(self.limits, true, strict=True))

    def _asked(self, request: Request) -> Ask:
        return self.asks[int(request.url.target[1:])]

    async def _send(self, ask: Ask, runtime: Runtime) -> None:
        context = Context(Call(runtime, self.rng))
        context.exchange = exchange = Exchange(runtime.clock, Timeouts(), None)

        async def proceed(request: Request, context: Context) -> Response:
            self.served.append(ask.number)
            if ask.never_sent:
                await runtime.sleep(ask.latency)
                raise RuntimeError("no connection")
            ask.sent = runtime.now()
            exchange.handed_over = True
            await runtime.sleep(ask.arrives)
            ask.arrived = runtime.now()
            await runtime.sleep(ask.latency - ask.arrives)
            return Response(200)

        try:
            await self.policy(Request(method="GET", url=URL.parse(f"https://a.test/{ask.number}")), context, proceed)
        except RateLimitExceeded:
            ask.refused = True

    async def _check_left(self, runtime: Runtime) -> None:
        state = self.policy.state
        assert isinstance(state, QuotaState)
        assert "client" not in state.lines.busy
        await runtime.sleep(100_000)
        left = await state.apply("client", Peek(costs=tuple(self.most)))
        assert left.verdict == "allow", f"lost for ever: {left}"

    def check(self) -> None:
        """Look at what happened.

        Raises:
            AssertionError: something that must not.
        """
        for ask in self.asks:
            never = any(cost > most for cost, most in zip(ask.costs, self.most, strict=True))
            assert ask.refused == (never and ask.cancelled is None) or ask.cancelled is not None, ask
            if ask.cancelled is None and not never:
                assert ask.number in self.served, ask
        in_line = [number for number in self.served if any(self.asks[number].costs)]
        assert in_line == sorted(in_line), f"overtaken: {in_line}"
        for index, limit in enumerate(self.limits.values()):
            self._check_bound(index, limit, lambda ask: ask.sent)
            self._check_bound(index, limit, lambda ask: ask.arrived)

    def _check_bound(self, index: int, limit: Dimension, moment: Callable[[Ask], float | None]) -> None:
        """What was not known when it was sent is a debt; so each counts as the less of what it was and was to be."""
        units = [
            (at, min(ask.costs[index], ask.costs[index] if ask.true is None else ask.true[index]))
            for ask in self.asks
            if (at := moment(ask)) is not None
        ]
        units.sort()
        for start in range(len(units)):
            total = 0
            for at, cost in units[start:]:
                total += cost
                assert total <= allowed(limit, at - units[start][0]), f"{limit}: {total} in {at - units[start][0]} s"


def allowed(limit: Dimension, length: float) -> float:
    """Units that may pass in a window of this length, both ends included."""
    if isinstance(limit, Window):
        return limit.amount if length < limit.period - ROUNDING else float("inf")
    return (limit.burst or 0) + limit.rate * length + ROUNDING * max(1.0, limit.rate)


Run = Callable[[Callable[..., Coroutine[Any, Any, None]], Runtime], None]


def play(seed: int, run: Run, runtime: Runtime) -> Trace:
    """Run and check the trace of a seed."""
    trace = Trace(seed)
    run(trace.run, runtime)
    trace.check()
    return trace
