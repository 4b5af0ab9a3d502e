"""Proofs of the client's own rate limit: what it costs, however many wait, and that it keeps its bound."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable

from rest_api_client.limiter import AsyncLimiter
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.virtual.clock import VirtualClock
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead
from tests.rest_api_client.policies.traces import Trace

TRACES = 10_000
ROUNDS = 15
KINDS = {"window": RateLimit(calls=1_000_000, period=0.01), "bucket": RateLimit(rate=1e9, burst=1_000_000)}


@proof
def limiter_acquire() -> list[Figure]:
    """A pass through `RateLimit` with room."""
    return [Figure(f"{name}, take and land", overhead(limit), "us", 2) for name, limit in KINDS.items()]


@proof
def a_long_line_slows_nobody() -> list[Figure]:
    """CPU per acquire with 10,000 in line over that with 10: served one after the other, and given up in the middle."""
    figures = []
    for name, once in (("served", _served), ("given up", _given_up)):
        short = statistics.median(asyncio.run(once(10, 500)) for _ in range(5))
        long = statistics.median(asyncio.run(once(10_000, 1)) for _ in range(5))
        figures += [
            Figure(f"{name}, 10 in line", short * 1e6, "us"),
            Figure(f"{name}, 10,000 over 10", long / short, "times", 1.5),
        ]
    return figures


async def _served(waiters: int, times: int) -> float:
    """All stand behind one place, which each gives to the next."""
    limiter = AsyncLimiter(RateLimit(calls=1, period=3600))

    async def one() -> None:
        async with limiter.hold() as permit:
            permit.cancel()

    return await _timed(limiter, lambda: [one() for _ in range(waiters)], times, cancel=False)


async def _given_up(waiters: int, times: int) -> float:
    """All wait and are cancelled, from the middle of the line on."""
    limiter = AsyncLimiter(RateLimit(calls=1, period=3600))
    return await _timed(limiter, lambda: [limiter.acquire() for _ in range(waiters)], times, cancel=True)


async def _timed(limiter: AsyncLimiter, make: Callable[[], list[object]], times: int, *, cancel: bool) -> float:
    gc.collect()
    gc.disable()  # a collection looks at all tasks there are, whatever they wait for
    total, count = 0.0, 0
    for _ in range(times):
        works = make()
        async with limiter.hold() as permit:
            permit.cancel()
            started = time.process_time()
            tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
            await asyncio.sleep(0)
            if cancel:
                middle = len(tasks) // 2
                for task in [*tasks[middle:], *tasks[:middle]]:
                    task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        total, count = total + time.process_time() - started, count + len(tasks)
    gc.enable()
    assert limiter.limit.tokens is not None
    assert "client" not in limiter.limit.tokens.lines.busy
    return total / count


@proof
def random_traces_keep_the_bound() -> list[Figure]:
    """Units sent and units arrived in any window, order, and what is left: the first breach ends the proof."""
    started, refused, waited = time.perf_counter(), 0, 0
    for seed in range(TRACES):
        clock = VirtualClock()
        trace = Trace(seed)
        clock.run_asyncio(trace.run, AsyncRuntime(clock))
        trace.check()
        refused += sum(ask.refused for ask in trace.asks)
        waited += sum(ask.sent is not None and ask.sent > ask.start + 0.001 for ask in trace.asks)
    return [
        Figure(f"{TRACES} traces without a breach", time.perf_counter() - started, "s"),
        Figure("requests that waited", waited, ""),
        Figure("requests refused", refused, ""),
    ]
