"""Proofs of hedging: the tail it cuts and the load it adds, in virtual time; what a hedged call costs, in real time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from rest_api_client.pipeline import Pipeline, Policy
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.hedging import Hedging
from rest_api_client.runtime import Runtime, run_sync
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Script
from rest_api_client.virtual.clock import VirtualClock
from tests.prove.figures import Figure, proof
from tests.prove.overhead import overhead

CALLS = 4_000
REQUEST = Request(method="GET", url=URL.parse("https://api.test/things/7"), template="/things/{id}")


class Server:
    """Answers after 90 to 110 ms; one in a hundred takes a second."""

    def __init__(self) -> None:
        self._chance = random.Random(11)

    def __call__(self, request: Request, index: int) -> Script:
        slow = self._chance.random() < 0.01
        return respond(200, delay=1.0 if slow else self._chance.uniform(0.09, 0.11))


def _served(policies: Sequence[Policy]) -> tuple[list[float], float]:
    """How long each call took, and requests per call, in virtual time."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)
    transport = ScriptedTransport(Server(), runtime=runtime)
    pipeline, chance = Pipeline(policies, transport, runtime), random.Random(1)

    async def calls() -> list[float]:
        taken = []
        for _ in range(CALLS):
            began = runtime.now()
            await pipeline(REQUEST, Context(Call(runtime, chance)))
            taken.append(runtime.now() - began)
        return sorted(taken)

    return clock.run_asyncio(calls), len(transport.requests) / CALLS


@proof
def hedging_cuts_the_tail() -> list[Figure]:
    """One answer in a hundred takes a second: with hedging hardly any does, for a few more requests.

    The most that may be added: 5 % of the calls, and the ten hedges that a new budget holds.
    """
    plain, _ = _served([])
    hedged, requests = _served([Hedging()])
    later = int(CALLS * 0.998)
    return [
        Figure("99.8th percentile without hedging", plain[later], "s"),
        Figure("99.8th percentile with hedging: median, delay and a margin", hedged[later], "s", 0.1 + 0.11 + 0.03),
        Figure("median with hedging", hedged[CALLS // 2], "s", 0.105),
        Figure("requests per call", requests, "", 1.05 + 10 / CALLS),
    ]


@proof
def the_cost_of_hedging_and_of_attempt_times() -> list[Figure]:
    """What a call pays that is answered at once: a thread or task for the first copy; for times, next to nothing."""
    hedging = Hedging(delay=5.0, min_samples=1_000_000)
    return [
        Figure("a hedged call, sync", _cost(run_sync, SyncRuntime(), hedging), "us more", 400),
        Figure("a hedged call, async", _cost(asyncio.run, AsyncRuntime(), hedging), "us more", 400),
        Figure("a pass of attempt times, sync", overhead(AttemptTimes()), "us of CPU more", 1.2),
    ]


def _cost(run: Callable[[Coroutine[Any, Any, float]], float], runtime: Runtime, policy: Policy) -> float:
    pairs = [(run(_timed(runtime, [])), run(_timed(runtime, [policy]))) for _ in range(7)]
    return min(with_it for _, with_it in pairs) - min(bare for bare, _ in pairs)


def _timed(runtime: Runtime, policies: Sequence[Policy], count: int = 2_000) -> Coroutine[Any, Any, float]:
    transport = ScriptedTransport(respond(200), runtime=runtime)
    pipeline, chance = Pipeline(policies, transport, runtime), random.Random(1)

    async def calls() -> float:
        began = time.perf_counter()
        for _ in range(count):
            await pipeline(REQUEST, Context(Call(runtime, chance)))
        return (time.perf_counter() - began) / count * 1e6

    return calls()
