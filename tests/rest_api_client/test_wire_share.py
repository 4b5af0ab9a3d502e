"""On the wire: one client shared by threads, by event loops one after the other and at once, and by a forked child."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio

from rest_api_client import APIClient, AsyncAPIClient, CapabilityError
from rest_api_client.transport import Capability
from tests.patience import HANGS
from tests.rest_api_client.cells import ENGINES, Cell, engine_of, quick
from tests.wire import Server

THREADS, CALLS = 32, 100

every_engine = pytest.mark.parametrize("engine", ENGINES)


def at_once(count: int, work: Callable[[int], None]) -> list[Exception]:
    """Run the work in so many threads; what it raised."""
    failures: list[Exception] = []

    def one(number: int) -> None:
        try:
            work(number)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@every_engine
def test_32_threads_share_a_client(engine: str) -> None:
    """3,200 calls over 8 connections: none fails, none gets another's answer, nothing is left in use."""
    share(engine, CALLS)


def share(engine: str, calls: int) -> None:
    """So many calls in each thread; `make prove` makes 500."""

    def handle(connection: Any) -> None:
        while (request := connection.read()) is not None:
            connection.answer(200, request.target.encode())

    options: dict[str, Any] = {"max_connections": 8, "keepalive_expiry": 600}  # on a slow day a line may rest for long
    with Server(handle) as server, APIClient(engine=engine, base_url=server.url, **options) as client:

        def work(number: int) -> None:
            for n in range(calls):
                assert client.get(f"/{number}/{n}").text == f"/{number}/{n}"

        assert at_once(THREADS, work) == []
        assert engine_of(client).gate.inside == 0
        assert engine_of(client).gate.waiting == 0
        assert len(server.requests) == THREADS * calls
        assert server.accepted <= 8 or engine == "pyreqwest"


# Event loops -----------------------------------------------------------------------------------------------------


def gets(client: AsyncAPIClient, count: int) -> Callable[[], Coroutine[Any, Any, list[str]]]:
    """So many calls at once, in whatever loop runs them; their texts."""

    async def on_asyncio() -> list[str]:
        return [response.text for response in await asyncio.gather(*(client.get("/") for _ in range(count)))]

    return on_asyncio


async def on_trio(client: AsyncAPIClient, count: int) -> list[str]:
    """The same in a trio run."""
    texts: list[str] = []

    async def one() -> None:
        texts.append((await client.get("/")).text)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return texts


@every_engine
def test_a_client_serves_three_loops_one_after_the_other(engine: str) -> None:
    """T13: each loop has connections of its own; no primitive of one outlives it."""
    with Server() as server:
        client = AsyncAPIClient(engine=engine, base_url=server.url, max_connections=4)
        for _ in range(3):
            assert asyncio.run(gets(client, 20)()) == ["ok"] * 20
            assert engine_of(client).gate.inside == 0
        asyncio.run(client.aclose())


@every_engine
def test_a_client_serves_two_loops_at_once(engine: str) -> None:
    """T13: and their requests share one limit, so that some of one loop wait for permits of the other."""
    with Server() as server:
        client = AsyncAPIClient(engine=engine, base_url=server.url, max_connections=2)

        async def many() -> None:
            for _ in range(10):
                assert await gets(client, 10)() == ["ok"] * 10

        assert at_once(2, lambda number: asyncio.run(many())) == []
        assert engine_of(client).gate.inside == 0
        asyncio.run(client.aclose())
    assert len(server.requests) == 200


@every_engine
def test_a_client_serves_asyncio_and_trio_at_once_or_refuses_trio(engine: str) -> None:
    """One limit for both; an engine that is asyncio's alone says so at once, and sends nothing."""
    serves = Cell(engine, "asyncio").can(Capability.TRIO)
    with Server() as server:
        client = AsyncAPIClient(engine=engine, base_url=server.url, max_connections=2, retry=quick())

        def in_trio() -> None:
            for _ in range(5):
                assert trio.run(on_trio, client, 10) == ["ok"] * 10

        def in_asyncio() -> None:
            for _ in range(5):
                assert asyncio.run(gets(client, 10)()) == ["ok"] * 10

        failures = at_once(2, lambda number: (in_trio, in_asyncio)[number]())
        assert engine_of(client).gate.inside == 0
        asyncio.run(client.aclose())
    if serves:
        assert failures == []
        assert len(server.requests) == 100
    else:
        [failure] = failures
        refusals = failure.exceptions if isinstance(failure, ExceptionGroup) else [failure]
        assert {type(refusal) for refusal in refusals} == {CapabilityError}
        assert len(server.requests) == 50


# Fork ------------------------------------------------------------------------------------------------------------


@every_engine
@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_works_or_is_refused_at_once(engine: str, face: str) -> None:
    """T14: on connections of its own, whatever lock another thread held meanwhile; the parent goes on undisturbed."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.rest_api_client.forking", engine, face]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 * HANGS, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    forks = Cell(engine, "sync" if face == "sync" else "asyncio").can(Capability.FORK)
    expected = "ok" if forks else "ConfigurationError"
    assert (found["before"], found["child"], found["parent"]) == ("ok", expected, "ok")
    assert found["connections of the child"] == (1 if forks else 0)
    if face == "sync":  # each asyncio.run is a loop of its own, with connections of its own
        assert found["connections of the parent"] == found["connections of the child"]
    assert len(found["locks"]) >= 10
    assert [path for path, said in found["locks"] if said != expected] == []
