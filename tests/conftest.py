"""What every test may use: one body, run by a sync, an asyncio and a trio runtime.

Write the body once, as a plain `async def` that waits through `world.runtime` only, and let the world run it:

    def test_a_back_off_is_exact(world: World) -> None:
        async def body() -> float:
            await world.runtime.sleep(600)
            return world.runtime.now()

        assert world.run(body) == 600

The test runs three times. `world` is in virtual time (`world.clock` is a VirtualClock that starts at 0, no wait costs
real time, a wait that nobody can end is a VirtualDeadlock). `real_world` is the same on the SYSTEM clock, for what must
hold with real threads and sockets. Ask for `runtime_name` ("sync", "asyncio" or "trio") to expect different things.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest
import trio
from hypothesis import HealthCheck, settings

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.virtual.clock import VirtualClock

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # how long an example takes is the machine's affair

if sys.version_info < (3, 12):
    # Two threads may not set a trace function at once, and an audit hook lets them (python/cpython#98257): coverage's
    # threads, while a network guard listens, would now and then die at their start.
    def _set_trace(function: Any, *, at_once: Callable[[Any], None] = sys.settrace) -> None:
        while True:
            try:
                return at_once(function)
            except RuntimeError:  # the other thread is about to be done
                time.sleep(0)

    sys.settrace = _set_trace

T = TypeVar("T")
C = TypeVar("C", bound=Clock)
Body = Callable[..., Coroutine[Any, Any, T]]


@dataclass
class World(Generic[C]):
    """A runtime and whatever drives coroutines that use it."""

    name: str
    clock: C

    def __post_init__(self) -> None:
        self.runtime = SyncRuntime(self.clock) if self.name == "sync" else AsyncRuntime(self.clock)

    def run(self, body: Body[T], *args: Any) -> T:
        """Run `body(*args)` to its end, in this thread, and return its result."""
        if isinstance(self.clock, VirtualClock):
            runners = {"asyncio": self.clock.run_asyncio, "trio": self.clock.run_trio}
            return runners.get(self.name, self._run_sync)(body, *args)
        if self.name == "trio":
            return trio.run(body, *args)
        return asyncio.run(body(*args)) if self.name == "asyncio" else run_sync(body(*args))

    def _run_sync(self, body: Body[T], *args: Any) -> T:
        with self.clock.hold():
            return run_sync(body(*args))


@pytest.fixture(params=["sync", "asyncio", "trio"])
def runtime_name(request: pytest.FixtureRequest) -> str:
    """Run the test under each of the three runtimes."""
    return str(request.param)


@pytest.fixture
def world(runtime_name: str, virtual_clock: VirtualClock) -> World[VirtualClock]:
    """Return the runtime of that name in virtual time."""
    return World(runtime_name, virtual_clock)


@pytest.fixture
def real_world(runtime_name: str) -> World[Clock]:
    """Return the runtime of that name in real time. Do not sleep in it."""
    return World(runtime_name, SYSTEM)
