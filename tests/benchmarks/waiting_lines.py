"""A rate limit's line: what one who waits costs, however many wait."""

from __future__ import annotations

import asyncio
import gc
import time

from rest_api_client.limiter import AsyncLimiter
from rest_api_client.policies.rate_limiter import RateLimit
from tests.benchmarks.figures import Result, Series, Terms, bench, ratio

LENGTHS = (10, 1_000, 10_000, 100_000)
TASKS = 20_000
"""Waiters in a round, all lines together: short lines are stood in more often."""
HOW = """
Tasks of one loop stand in line for the one place of a limiter; each gets it and gives it to the next. CPU time of the
whole, from making the tasks on, for each of them.
"""


@bench
def waiting_lines(terms: Terms) -> Result:
    """Lines of each length, in turns."""
    lengths = LENGTHS[:-1] if terms.quick else LENGTHS
    found: dict[int, list[float]] = {length: [] for length in lengths}
    for _ in range(int(terms.pick(9, 3))):
        for length in lengths:
            found[length].append(asyncio.run(_served(length, max(1, int(terms.pick(TASKS, 2000)) // length))))
    series = {n: Series(f"{n:,} in line", "us of CPU for each", tuple(each)) for n, each in found.items()}
    claims = [ratio(f"{n:,} in line, of 10", series[n], series[10], at_most=_most(n)) for n in lengths[1:]]
    return Result("A rate limit's waiting line", HOW, tuple(series.values()), tuple(claims))


def _most(length: int) -> float | None:
    return 1.5 if length == 10_000 else None


async def _served(waiters: int, times: int) -> float:
    limiter = AsyncLimiter(RateLimit(calls=1, period=3600))

    async def one() -> None:
        async with limiter.hold() as permit:
            permit.cancel()

    gc.collect()
    gc.disable()  # a collection looks at all tasks there are, whatever they wait for
    try:
        spent = 0.0
        for _ in range(times):
            async with limiter.hold() as permit:
                permit.cancel()
                began = time.process_time()
                tasks = [asyncio.ensure_future(one()) for _ in range(waiters)]
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            spent += time.process_time() - began
    finally:
        gc.enable()
    return spent / times / waiters * 1e6
