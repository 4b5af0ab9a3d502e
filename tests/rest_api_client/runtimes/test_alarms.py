"""The alarms of a loop: one timer, and each rings at its own moment or not at all."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.runtimes.alarms import Alarms
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.virtual.clock import VirtualClock


class Bell:
    """Writes down when it rang."""

    def __init__(self, clock: VirtualClock, heard: list[tuple[float, int]], number: int) -> None:
        self.clock, self.heard, self.number = clock, heard, number

    def ring(self) -> None:
        self.heard.append((round(self.clock.monotonic(), 3), self.number))


WISHES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.none() | st.integers(0, 40)), max_size=12)
"""Added when, for how many seconds, dropped when."""


@pytest.mark.parametrize("patient", [True, False])
@given(wishes=WISHES)
def test_each_rings_at_its_moment_unless_it_was_dropped_before(
    patient: bool, wishes: list[tuple[int, int, int | None]]
) -> None:
    """Whatever comes and goes in between, and however often the timer has to be set anew."""
    clock, heard = VirtualClock(), list[tuple[float, int]]()

    async def body() -> None:
        loop = asyncio.get_running_loop()
        alarms = Alarms(loop, patient=patient)
        for number, (start, seconds, dropped) in enumerate(wishes):
            bell = Bell(clock, heard, number)
            loop.call_at(start, alarms.add, bell, seconds)
            if dropped is not None:
                loop.call_at(dropped + 0.5, alarms.drop, bell)
        await asyncio.sleep(50)

    clock.run_asyncio(body)
    assert sorted(heard) == sorted(
        (start + seconds, number)
        for number, (start, seconds, dropped) in enumerate(wishes)
        if dropped is None or dropped + 0.5 > start + seconds or dropped + 0.5 < start
    )


def test_in_virtual_time_nobody_jumps_to_a_deadline_that_was_kept() -> None:
    """A call that ended in time leaves no moment behind: the next one is that of who still waits."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)

    async def body() -> int:
        with runtime.fail_after(60):
            await runtime.sleep(1)
        jumps = clock.jumps
        await runtime.sleep(100)
        return clock.jumps - jumps

    assert clock.run_asyncio(body) == 1


def test_a_loop_has_its_alarms_as_long_as_it_lives() -> None:
    """One runtime may serve loop after loop, and keeps none of those that were closed."""
    runtime = AsyncRuntime()

    async def body() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        assert runtime.alarms(loop) is runtime.alarms(loop)
        with runtime.fail_after(runtime.now() + 60):
            await asyncio.sleep(0)
        return weakref.ref(loop)

    loops = [asyncio.run(body()) for _ in range(3)]
    gc.collect()
    assert [loop() is None for loop in loops[:2]] == [True, True]
