"""Cancelled, shared between loops and threads, forked: the httpx engines lose nothing and leak nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from rest_api_client.exceptions import ReadError
from rest_api_client.runtime import run_sync
from tests.patience import HANGS
from tests.rest_api_client.engines.conftest import FLAVOURS
from tests.rest_api_client.engines.raw import OK, Peer, RawServer, serve_ok
from tests.rest_api_client.engines.rigs import Rig, assert_clean, exchange, fetch, read, request

ASYNC = [Rig(flavour, library) for flavour in FLAVOURS for library in ("asyncio", "trio")]


Call = Callable[[], Awaitable[object]]


async def native(call: Call, delay: Call) -> None:
    """Three tasks, ended by `task.cancel()`."""
    tasks = [asyncio.ensure_future(call()) for _ in range(3)]
    await delay()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def waiting(call: Call, delay: Call) -> None:
    """The same through `wait_for`, which cancels a task of its own."""

    async def bounded() -> None:
        await asyncio.wait_for(call(), 60)

    await native(bounded, delay)


async def scope(call: Call, delay: Call) -> None:
    """Three tasks, ended by their scope."""
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call)
        await delay()
        group.cancel_scope.cancel()


CANCELS = {"native": native, "waiting": waiting, "scope": scope}


@pytest.mark.parametrize(
    ("library", "way"), [("asyncio", "native"), ("asyncio", "waiting"), ("asyncio", "scope"), ("trio", "scope")]
)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_thousand_cancels_cost_nothing(flavour: str, library: str, way: str) -> None:
    """T1: cancelled after 0 to 20 loop steps or 0 to 3 ms, three requests on two connections leave nothing behind."""
    rig, chance = Rig(flavour, library), random.Random(7)
    cancel = CANCELS[way]

    async def delay(number: int) -> None:
        if number % 2:
            await anyio.sleep(chance.random() * 0.003)
        for _ in range(0 if number % 2 else chance.randrange(21)):
            await anyio.lowlevel.checkpoint()

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=2) as engine:

            async def call() -> None:
                await read(await engine.send(request(server.url), exchange(deadline=HANGS)))

            for number in range(334):
                await cancel(call, lambda number=number: delay(number))
                assert_clean(engine)
            for _ in range(3):
                assert (await fetch(engine, server.url))[1] == b"hello"
            assert len(engine._stock) <= 2

    with RawServer() as server:
        rig.run(body, server)
        gc.collect()


@pytest.mark.parametrize("rig", ASYNC, ids=str)
def test_a_cancel_in_the_midst_of_a_body_gives_everything_back(rig: Rig) -> None:
    """Reading and closing are cancelled as cleanly as sending."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        peer.silent()

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            for number in range(20):
                response = await engine.send(request(server.url), exchange())
                if number % 2:
                    await anext(response.stream)
                with anyio.move_on_after(0.002):
                    await read(response)
                assert_clean(engine)
                response = await engine.send(request(server.url), exchange())
                await anext(response.stream)
                with anyio.CancelScope() as done:
                    done.cancel()
                    await response.stream.aclose()
                assert_clean(engine)

    with RawServer(handler) as server:
        rig.run(body, server)


@pytest.mark.parametrize("rig", ASYNC, ids=str)
def test_whoever_waits_for_a_connection_may_be_cancelled(rig: Rig) -> None:
    """A waiter that is cancelled leaves the line; the one behind it is served."""

    async def body(server: RawServer) -> None:
        async with rig.engine(max_connections=1) as engine:
            held = await engine.send(request(server.url), exchange())
            async with anyio.create_task_group() as group:
                with anyio.move_on_after(0.01):
                    await engine.send(request(server.url), exchange())
                assert engine.gate.waiting == 0
                group.start_soon(fetch, engine, server.url)
                await anyio.sleep(0.01)
                await read(held)

    with RawServer() as server:
        rig.run(body, server)


@pytest.mark.parametrize("rig", ASYNC, ids=str)
def test_one_engine_serves_three_loops_in_a_row_and_two_at_once(rig: Rig) -> None:
    """T13: connections belong to their loop, limits to the engine; a loop's idle connections end with it."""
    engine = rig.make(max_connections=2)

    async def body(server: RawServer) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(fetch, engine, server.url)

    with RawServer() as server:
        for _ in range(3):
            rig.run(body, server)
            assert_clean(engine)
        threads = [threading.Thread(target=rig.run, args=[body, server]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_clean(engine)
        assert len(server.heads) == 50
        rig.run(engine.aclose)
        gc.collect()
        assert len(engine._stock) == 0


def test_a_loop_that_was_closed_takes_its_idle_connections_with_it() -> None:
    """Without a word from anybody, the sockets of a collected loop are closed."""
    rig = Rig("httpx", "asyncio")
    engine = rig.make()
    ended = threading.Event()

    def handler(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        assert peer.head() == b""
        ended.set()

    with RawServer(handler) as server:
        rig.run(fetch, engine, server.url)
        gc.collect()
        assert ended.wait(HANGS)
        rig.run(engine.aclose)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_sync_engine_serves_many_threads(flavour: str) -> None:
    """32 threads on four connections: no error, never more than four at once, none left in use."""
    engine = Rig(flavour, "sync").make(max_connections=4)
    failures: list[BaseException] = []
    now, most = 0, 0
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        nonlocal now, most
        while peer.request()[0]:
            with lock:
                now += 1
                most = max(most, now)
            peer.send(OK)
            with lock:
                now -= 1

    def work(url: str) -> None:
        try:
            for _ in range(25):
                assert run_sync(fetch(engine, url))[1] == b"hello"
        except BaseException as error:
            failures.append(error)

    with RawServer(handler) as server:
        threads = [threading.Thread(target=work, args=[server.url]) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(server.heads) == 800
        assert most <= 4
        assert server.accepted <= 4
        assert_clean(engine)
        run_sync(engine.aclose())


def test_a_forked_child_starts_afresh() -> None:
    """T14: with all permits out and locks held, the child talks over its own connections, and the parent goes on."""
    engine = Rig("httpx", "sync").make(max_connections=1)
    go_on = threading.Event()

    def handler(peer: Peer) -> None:
        while b"slow" not in peer.request()[0]:
            peer.send(OK)
        peer.send(OK[:-5])
        go_on.wait(HANGS)
        peer.send(b"hello")
        serve_ok(peer)

    with RawServer(handler) as server:
        run_sync(fetch(engine, server.url))
        held = run_sync(engine.send(request(server.url + "/slow"), exchange()))
        with engine._stock._lock, engine._trust._lock:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    assert run_sync(fetch(engine, server.url))[1] == b"hello"
                    with pytest.raises(ReadError):
                        run_sync(read(held))
                    status = 0
                finally:
                    os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        assert run_sync(read(held)) == b"hello"
        run_sync(fetch(engine, server.url))
        assert server.accepted == 2
        run_sync(engine.aclose())


def test_an_interrupted_thread_leaves_nothing_behind() -> None:
    """Whatever is raised in the midst of a call (Ctrl-C), the permit and the connection go back."""
    engine = Rig("httpx", "sync").make(max_connections=1)

    engine._waits.writable = engine._waits.readable = _interrupt
    with RawServer() as server:
        with pytest.raises(KeyboardInterrupt):
            run_sync(fetch(engine, server.url))
        assert_clean(engine)
        run_sync(engine.aclose())


async def _interrupt(*_: object) -> bool:
    raise KeyboardInterrupt
