"""The crowd: every client starts a call each second or so, whether its earlier calls have ended or not."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from rest_api_client.virtual.clock import VirtualClock
from tests.outage.scenarios import Scenario
from tests.outage.server import Arrival, Server
from tests.outage.wire import CALL, Wire

Call: TypeAlias = Callable[[int], Awaitable[bool]]
"""(number of the client) -> whether one logical call of that client brought the answer it wanted."""
Library: TypeAlias = Callable[[Wire], AbstractAsyncContextManager[Call]]
"""Makes one client object per client of the crowd, and says how each calls."""

PATIENCE = 120.0
"""Seconds after the last call was started in which calls may still end; what has not ended then is lost."""


@dataclass(slots=True)
class Done:
    """One logical call: when it was started, when it ended, and whether it brought what was wanted."""

    client: int
    started: float
    ended: float
    ok: bool


@dataclass
class Log:
    """What happened: requests as the server saw them, calls as their callers did."""

    scenario: Scenario
    arrivals: list[Arrival] = field(default_factory=list)
    calls: list[Done] = field(default_factory=list)


def rehearse(scenario: Scenario, library: Library, seed: int) -> Log:
    """Run a scenario with one library, in virtual time; the same seed gives the same log."""
    clock = VirtualClock()
    server = Server(scenario.plan, seed)
    log = Log(scenario, server.arrivals)
    random.seed(seed)  # libraries that draw their jitter do it here
    logging.disable(logging.CRITICAL)
    try:
        clock.run_asyncio(_run, scenario, library, Wire(server, clock, scenario.clients, seed), log)
    finally:
        logging.disable(logging.NOTSET)
    log.calls.sort(key=lambda done: (done.started, done.client))
    return log


def starts(scenario: Scenario, seed: int) -> list[tuple[float, int]]:
    """When which client starts a call."""
    chance = Random(seed + 1)
    turns = range(int(scenario.calls_until / scenario.every))
    clients = range(scenario.clients)
    return sorted(((turn + chance.random()) * scenario.every, client) for turn in turns for client in clients)


async def _run(scenario: Scenario, library: Library, wire: Wire, log: Log) -> None:
    running: set[asyncio.Task[None]] = set()
    now = wire.clock.monotonic

    async def one(call: Call, number: int, client: int) -> None:
        started, ok = now(), False
        CALL.set(number)
        try:
            ok = await call(client)
        finally:
            log.calls.append(Done(client, started, now(), ok))

    async with library(wire) as call:
        for number, (moment, client) in enumerate(starts(scenario, wire.seed)):
            await asyncio.sleep(moment - now())
            task = asyncio.create_task(one(call, number, client))
            running.add(task)
            task.add_done_callback(lambda task: _forget(running, task))
        await _finish(running)


def _forget(running: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    running.discard(task)
    if not task.cancelled():
        task.result()  # a failure that no library calls its own is a mistake here: the loop reports it


async def _finish(running: set[asyncio.Task[None]]) -> None:
    """Let the last calls end, as long as patience lasts."""
    if running:
        await asyncio.wait(set(running), timeout=PATIENCE)
    left = set(running)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
