"""Clients of every kind on one clock: two threads, an asyncio loop and a trio run, one limit, one log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.models import Response
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Reset, Script
from rest_api_client.virtual.clock import VirtualClock

SCRIPTS = (respond(503, delay=1), respond(200, delay=0.5), Script(Reset()), respond(200, delay=2))
RUNS = 50


def mixed_run() -> list[tuple[str, float, int]]:
    """Two threads, an asyncio loop with two tasks and a trio run with two tasks, under one shared limit."""
    clock = VirtualClock()
    log: list[tuple[str, float, int]] = []
    limit = RateLimit(calls=3, period=20).bind(SyncRuntime(clock))
    options: dict[str, Any] = {"base_url": "https://api.test", "clock": clock, "rate_limit": limit, "deadline": None}
    options["retry"] = RetryConfig(max_attempts=9, budget=None)

    def engine() -> ScriptedTransport:
        return ScriptedTransport(lambda request, index: SCRIPTS[index % len(SCRIPTS)])

    def note(name: str, response: Response) -> None:
        log.append((name, clock.monotonic(), len(response.attempts)))

    def thread(name: str, seed: int) -> None:
        with APIClient(engine=engine(), random=seed, **options) as client:
            for _ in range(3):
                note(name, client.get("/"))

    async def task(name: str, client: AsyncAPIClient) -> None:
        for _ in range(3):
            note(name, await client.get("/"))

    async def in_asyncio() -> None:
        async with AsyncAPIClient(engine=engine(), random=3, **options) as client:
            await asyncio.gather(task("asyncio 1", client), task("asyncio 2", client))

    async def in_trio() -> None:
        async with AsyncAPIClient(engine=engine(), random=4, **options) as client, trio.open_nursery() as nursery:
            nursery.start_soon(task, "trio 1", client)
            nursery.start_soon(task, "trio 2", client)

    loops: list[tuple[Callable[..., None], Callable[[], Awaitable[None]]]] = [
        (clock.run_asyncio, in_asyncio),
        (clock.run_trio, in_trio),
    ]
    with clock.hold():
        threads = [clock.thread(thread, "thread 1", 1), clock.thread(thread, "thread 2", 2)]
        threads += [clock.thread(run, body) for run, body in loops]
    for one in threads:
        one.join()
    return log


def test_a_mixed_run_gives_one_log_every_time() -> None:
    """Threads, asyncio and trio on one clock and one limit: the same order and moments, 50 of 50 times."""
    first = mixed_run()
    assert len(first) == 18
    assert {name for name, _, _ in first} == {"thread 1", "thread 2", "asyncio 1", "asyncio 2", "trio 1", "trio 2"}
    assert first[-1][1] > 100
    assert [mixed_run() for _ in range(RUNS - 1)] == [first] * (RUNS - 1)
