"""Waiting lines: what one who waits costs, however many wait."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from rest_api_client.clock import SYSTEM
from rest_api_client.engines.gate import Gate
from rest_api_client.engines.passage import Passage
from rest_api_client.http.urls import Origin
from rest_api_client.limiter import AsyncLimiter
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.transport import Exchange, Timeouts
from tests.benchmarks.figures import Result, Series, Terms, bench, ratio

LENGTHS = (10, 1_000, 10_000, 100_000)
TASKS = 20_000
"""Waiters in a round, all lines together: short lines are stood in more often."""
APART = 2e-5
"""Seconds between two who wait no longer."""
HOW = """
Tasks of one loop stand in line: for the one place of a limiter, or for the one connection that a server may have while
as many wait for another server; each gets it and gives it to the next. The third line is of those who wait in vain:
their time runs out, one 20 us after the other. CPU time of the whole, from making the tasks on, for each of them.
"""

Round = Callable[[int], Awaitable[float]]


@bench
def waiting_lines(terms: Terms) -> Result:
    """Lines of each kind and length, in turns."""
    lengths = LENGTHS[:-1] if terms.quick else LENGTHS
    found: dict[tuple[str, int], list[float]] = {(name, length): [] for name in LINES for length in lengths}
    for _ in range(int(terms.pick(9, 3))):
        for (name, length), each in found.items():
            times = max(1, int(terms.pick(TASKS, 2000)) // length)
            each.append(asyncio.run(_served(LINES[name], length, times)))
    series = {
        (name, n): Series(f"{n:,} in line", f"us of CPU for each in line for {name}", tuple(each))
        for (name, n), each in found.items()
    }
    claims = [
        ratio(f"{n:,} in line for {name}, of 10", series[name, n], series[name, 10], at_most=_most(n))
        for name in LINES
        for n in lengths[1:]
    ]
    return Result("Waiting lines", HOW, tuple(series.values()), tuple(claims))


def _most(length: int) -> float | None:
    return 1.5 if length == 10_000 else None


async def _served(line: Round, waiters: int, times: int) -> float:
    gc.collect()
    gc.disable()  # a collection looks at all tasks there are, whatever they wait for
    try:
        spent = sum([await line(waiters) for _ in range(times)])
    finally:
        gc.enable()
    return spent / times / waiters * 1e6


async def _limit(waiters: int) -> float:
    limiter = AsyncLimiter(RateLimit(calls=1, period=3600))

    async def one() -> None:
        async with limiter.hold() as permit:
            permit.cancel()

    async with limiter.hold() as permit:
        permit.cancel()
        began = time.process_time()
        tasks = [asyncio.ensure_future(one()) for _ in range(waiters)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return time.process_time() - began


async def _connection(waiters: int) -> float:
    here, there = (Origin("http", name, 80) for name in ("here.test", "there.test"))
    gate, runtime = Gate(per_origin=1), AsyncRuntime()

    async def one(origin: Origin) -> None:
        permit = await gate.enter(origin, Passage(Exchange(SYSTEM, Timeouts(pool=None)), runtime))
        permit.give_back()

    held = [gate.admit(origin) for origin in (there, here)]
    began = time.process_time()
    tasks = [asyncio.ensure_future(one(origin)) for origin in (there, here) for _ in range(waiters // 2)]
    await asyncio.sleep(0)
    for permit in reversed(held):  # those who came first are served last
        assert permit is not None
        permit.give_back()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return time.process_time() - began


async def _vain(waiters: int) -> float:
    loop, runtime = asyncio.get_running_loop(), AsyncRuntime()
    began = time.process_time()
    waits = [runtime.within(loop.create_future(), number * APART) for number in range(waiters)]
    await asyncio.gather(*waits)
    return time.process_time() - began


LINES: dict[str, Round] = {"a rate limit": _limit, "a connection": _connection, "nothing": _vain}
