"""One mock server and clients in threads, asyncio and trio, in process and on one clock; and the clock used alone."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
import trio

from mockserver import MockServer, SlidingWindow
from pytest_plugin.guards import virtual_time
from rest_api_client import APIClient, AsyncAPIClient, VirtualClock

Log = list[tuple[float, str, int]]


def rehearsed() -> Log:
    """Two threads, an asyncio loop and a trio run, each with a client, against one server that limits them."""
    log: Log = []
    with virtual_time() as clock:
        server = MockServer(seed=3, limit=SlidingWindow(4, 10.0), rules=None)

        def thread(name: str) -> None:
            with APIClient(base_url="http://stage.test", engine=server.transport(), clock=clock, random=1) as client:
                for _ in range(3):
                    log.append((clock.monotonic(), name, client.get("/users/1").attempts[-1].number))
                    clock.sleep(2)

        async def loop(name: str) -> None:
            async with AsyncAPIClient(
                base_url="http://stage.test", engine=server.transport(), clock=clock, random=1
            ) as client:
                for _ in range(3):
                    response = await client.get("/users/1")
                    log.append((clock.monotonic(), name, response.attempts[-1].number))
                    await anyio.sleep(2)

        with clock.hold():
            started = [
                clock.thread(thread, "first"),
                clock.thread(thread, "second"),
                clock.thread(clock.run_asyncio, loop, "asyncio"),
                clock.thread(clock.run_trio, loop, "trio"),
            ]
            for each in started:
                each.join()
        arrived = [(entry.arrived, entry.status) for entry in server.journal]
    assert {status for _, status in arrived} == {200, 429}
    return log + [(at, "server", status or 0) for at, status in arrived]


def test_a_stage_and_four_clients_have_one_order() -> None:
    """Twenty runs give the identical log: who was answered when, after how many attempts, and what the server saw."""
    runs = [rehearsed() for _ in range(20)]
    assert len([line for line in runs[0] if line[1] != "server"]) == 12
    assert runs[0][-1][0] > 10
    assert all(run == runs[0] for run in runs)


# ---------------------------------------------------------------------- alone, with any asyncio or trio code


async def race() -> list[str]:
    """Code that knows nothing of the clock, for both backends."""
    told: list[str] = []

    async def tell(after: float, word: str) -> None:
        await anyio.sleep(after)
        told.append(word)

    with anyio.move_on_after(300):
        async with anyio.create_task_group() as group:
            group.start_soon(tell, 3600, "never")
            group.start_soon(tell, 120, "second")
            group.start_soon(tell, 60, "first")
    return told


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_takes_the_clock_as_options_of_its_backend(backend: str) -> None:
    """`anyio.run`, and what the fixture `anyio_backend` returns, take them as they are."""
    with virtual_time() as clock:
        assert anyio.run(race, backend=backend, backend_options=clock.backend_options(backend)) == ["first", "second"]
        assert clock.monotonic() == 300


def test_asyncio_takes_the_clock_as_a_loop_factory() -> None:
    """asyncio.Runner, and whoever makes loops by a function."""
    with virtual_time() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        assert runner.run(race()) == ["first", "second"]
        assert clock.monotonic() == 300


@contextmanager
def policy_of(clock: VirtualClock) -> Iterator[None]:
    """A policy whose loops keep the clock's time, as pytest-asyncio takes one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                return clock.new_event_loop()

        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(Policy())
        try:
            yield
        finally:
            asyncio.set_event_loop_policy(before)


def test_asyncio_takes_the_clock_as_a_policy() -> None:
    """`asyncio.run` without a factory asks the policy."""
    with virtual_time() as clock, policy_of(clock):
        assert asyncio.run(race()) == ["first", "second"]
        assert clock.monotonic() == 300


def test_trio_takes_the_clock_and_its_instrument() -> None:
    """`trio.run` with both of the options; pytest-trio's mark takes a `run` of one's own."""
    with virtual_time() as clock:
        assert trio.run(race, **clock.backend_options("trio")) == ["first", "second"]
        assert clock.run_trio(race) == ["first", "second"]
        assert clock.monotonic() == 600
