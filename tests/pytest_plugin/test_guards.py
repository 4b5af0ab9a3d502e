"""Guards: what a test without network, or in virtual time, must not do is refused, and nothing else is."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import random
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from time import sleep as imported_sleep
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest
import requests
import trio
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_plugin.guards import NetworkBlocked, RealWorld, no_network, virtual_time
from rest_api_client import APIClient, AsyncAPIClient, VirtualClock
from rest_api_client.events import RetryDecided

ENGINES = ["httpx", "httpx2", "pyreqwest"]
CLOSED = "http://127.0.0.1:9/"
NOWHERE = "http://nowhere.example/"


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def run_uvloop(body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body())


RUNNERS: dict[str, Callable[..., Any]] = {
    "asyncio": lambda body: asyncio.run(body()),
    "uvloop": run_uvloop,
    "trio": lambda body: trio.run(body),
}


# ---------------------------------------------------------------------- no network


@pytest.mark.parametrize("url", [CLOSED, NOWHERE])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_is_stopped_at_its_first_attempt(engine: str, url: str) -> None:
    """The guard's error passes the client: it is neither retried nor made one of the client's own."""
    seen: list[Any] = []
    with (
        no_network(),
        APIClient(engine=engine, max_retries=3, events=[seen.append]) as client,
        pytest.raises(NetworkBlocked, match=r"test_a_client_is_stopped_at_its_first_attempt \(.*test_guards"),
    ):
        client.get(url)
    assert not [event for event in seen if isinstance(event, RetryDecided)]


@pytest.mark.parametrize("url", [CLOSED, NOWHERE])
@pytest.mark.parametrize(
    ("engine", "loop"), [(e, loop) for e in ENGINES for loop in RUNNERS if (e, loop) != ("pyreqwest", "trio")]
)
def test_an_async_client_is_stopped(engine: str, loop: str, url: str) -> None:
    """Every engine on every loop."""

    async def body() -> None:
        async with AsyncAPIClient(engine=engine, max_retries=3) as client:
            await client.get(url)

    with no_network(), pytest.raises(NetworkBlocked):
        RUNNERS[loop](body)


@pytest.mark.parametrize("url", [CLOSED, NOWHERE])
@pytest.mark.parametrize("get", [httpx.get, requests.get])
def test_other_clients_are_stopped(get: Callable[[str], object], url: str) -> None:
    """httpx and requests let the error pass."""
    with no_network(), pytest.raises(NetworkBlocked, match=r"127\.0\.0\.1:9|nowhere\.example"):
        get(url)


def test_a_loop_may_not_connect_a_socket(listener: socket.socket) -> None:
    """sock_connect of asyncio, a plain connect, connect_ex, a datagram."""
    address = listener.getsockname()

    async def body() -> None:
        with socket.socket() as own:
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, address)

    with no_network():
        with pytest.raises(NetworkBlocked):
            asyncio.run(body())
        with pytest.raises(NetworkBlocked):
            run_uvloop(body)
        with socket.socket() as own, pytest.raises(NetworkBlocked):
            own.connect_ex(address)
        with socket.socket(type=socket.SOCK_DGRAM) as own, pytest.raises(NetworkBlocked, match="send a datagram"):
            own.sendto(b"x", address)


def test_uvloop_may_not_send_datagrams() -> None:
    """Its transports connect in C: the loop's own method asks."""

    async def body() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("10.0.0.1", 9))

    with no_network(), pytest.raises(NetworkBlocked, match=r"datagrams to 10\.0\.0\.1:9"):
        run_uvloop(body)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_what_is_allowed_passes(listener: socket.socket, name: str) -> None:
    """An address may be allowed by its number, or as localhost, also while the guard is active."""
    port = listener.getsockname()[1]
    allowed: set[tuple[str, int]] = set()
    with no_network(allow=allowed):
        with pytest.raises(NetworkBlocked, match="allowed: nothing"):
            socket.create_connection(("localhost", port))
        allowed.add((name, port))
        socket.create_connection(("127.0.0.1", port)).close()
        socket.create_connection(("localhost", port)).close()
        with pytest.raises(NetworkBlocked, match=f"allowed: {name}:{port}"):
            socket.create_connection(("127.0.0.1", port + 1 if port < 65535 else 1))


def test_an_allowed_name_lets_its_addresses_pass(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name stands for is looked up once, and may then be connected to."""
    address = listener.getsockname()
    looked_up: list[str] = []

    def resolve(name: str, *_: Any, **__: Any) -> Any:
        looked_up.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with no_network(allow=[("api.example.com", address[1])]):
        for _ in range(2):
            with socket.socket() as own:
                own.connect(address)
    assert looked_up == ["api.example.com"]


def test_sockets_of_this_machine_alone_are_free() -> None:
    """Socket pairs, Unix sockets, loopback names and a server's own bind are nobody's network."""
    with no_network():
        left, right = socket.socketpair()
        with left, right, tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{folder}/s")
            server.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"{folder}/s")
        assert socket.getaddrinfo("localhost", 80)
        socket.create_server(("127.0.0.1", 0)).close()


def test_guards_overlap(listener: socket.socket) -> None:
    """Each guard counts until it is left, in whatever order; a connection must be allowed by all."""
    address = listener.getsockname()
    first, second = no_network(allow=[address]), no_network()
    first.__enter__()
    socket.create_connection(address).close()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(NetworkBlocked):
        socket.create_connection(address)
    second.__exit__(None, None, None)
    socket.create_connection(address).close()


def test_a_guard_holds_in_every_thread(listener: socket.socket) -> None:
    """Threads that ran before are shut in as well."""
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    found: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        for _ in iter(jobs.get, None):
            try:
                socket.create_connection(listener.getsockname()).close()
                found.put(None)
            except BaseException as error:
                found.put(error)

    thread = threading.Thread(target=work)
    thread.start()
    with no_network():
        jobs.put(1)
        assert isinstance(found.get(), NetworkBlocked)
    jobs.put(1)
    assert found.get() is None
    jobs.put(None)
    thread.join()


@pytest.mark.parametrize("allow", [["example.com"], [("example.com", "80")]])
def test_what_is_not_an_address_is_refused_at_once(allow: Any) -> None:
    """The message shows what one looks like."""
    with pytest.raises(ValueError, match=r"\('127\.0\.0\.1', 8080\)"), no_network(allow=allow):
        pass


# ---------------------------------------------------------------------- virtual time

FORBIDDEN: dict[str, tuple[Callable[[], object], str]] = {
    "time.sleep": (lambda: time.sleep(60), r"clock\.sleep"),
    "a sleep imported by name": (lambda: imported_sleep(60), r"clock\.sleep"),
    "Event.wait": (lambda: threading.Event().wait(60), r"clock\.flag"),
    "Event.wait by name": (lambda: threading.Event().wait(timeout=60), r"clock\.flag"),
    "Queue.get": (lambda: queue.Queue[int]().get(timeout=60), r"clock\.flag"),
    "random.random": (lambda: random.random(), r"random\.Random\(seed\)"),
    "random.choice": (lambda: random.choice([1, 2]), r"random\.Random\(seed\)"),
    "Random": (lambda: random.Random(), r"random\.Random\(seed\)"),
    "SystemRandom": (lambda: random.SystemRandom(), "randbytes"),
    "os.urandom": (lambda: os.urandom(4), "randbytes"),
    "secrets": (lambda: secrets.token_hex(4), "randbytes"),
    "uuid4": (lambda: uuid.uuid4(), "randbytes"),
    "connect": (lambda: socket.create_connection(("127.0.0.1", 9)), "MockServer"),
    "listen": (lambda: socket.create_server(("127.0.0.1", 0)).close(), "MockServer"),
    "look up": (lambda: socket.gethostbyname("nowhere.example"), "MockServer"),
}


@pytest.mark.parametrize("call", FORBIDDEN)
def test_the_real_world_is_refused(call: str) -> None:
    """The error names the call, the line that made it, and what to use instead."""
    function, advice = FORBIDDEN[call]
    with virtual_time(), pytest.raises(RealWorld, match=advice) as caught:
        function()
    assert re.search(rf"by <lambda> \({re.escape(__file__)}:{function.__code__.co_firstlineno}\)", str(caught.value))


@pytest.mark.parametrize("sleep", [asyncio.sleep, anyio.sleep, trio.sleep], ids=["asyncio", "anyio", "trio"])
def test_a_loop_in_real_time_may_not_sleep(sleep: Any) -> None:
    """A loop that nobody gave the clock would wait for real; one of the clock does not."""
    name = f"{sleep.__module__.split('.')[0]}.sleep"
    module = sys.modules[name.split(".")[0]]

    async def body() -> None:
        await module.sleep(60)

    real = trio.run if module is trio else anyio.run
    with virtual_time() as clock:
        with pytest.raises(RealWorld, match=rf"{name}\(60\).*\n.*body \("):
            real(body)
        (clock.run_trio if module is trio else clock.run_asyncio)(body)
        assert clock.monotonic() == 60


def test_a_test_need_not_wait_to_yield() -> None:
    """A sleep of nothing, a wait that is over and one without a timeout are no real time."""
    event = threading.Event()
    event.set()
    full: queue.Queue[int] = queue.Queue()
    full.put(1)
    with virtual_time():
        time.sleep(0)
        asyncio.run(asyncio.sleep(0))
        assert event.wait(5)
        assert full.get(timeout=5) == 1


def test_chance_with_a_seed_is_free() -> None:
    """A generator with a seed, and the module once it was seeded; the next guard asks again."""
    with virtual_time():
        assert random.Random(7).random() == random.Random(7).random()
        random.seed(7)
        random.random()
        state = random.getstate()
        random.setstate(state)
        random.random()
    with virtual_time(), pytest.raises(RealWorld):
        random.random()


@settings(max_examples=5, database=None)
@given(st.integers())
def test_hypothesis_seeds_chance_itself(number: int) -> None:
    """Within an example the module `random` is the same in every run."""
    with virtual_time():
        random.random()


def test_python_and_its_libraries_go_on() -> None:
    """Threads are joined, temporary files named, loops run, log records written, clients built."""
    with virtual_time() as clock:
        thread = threading.Thread(target=logging.getLogger("guards").info, args=("hello",))
        thread.start()
        thread.join(60)
        with tempfile.TemporaryDirectory():
            pass
        asyncio.run(asyncio.to_thread(int))
        trio.run(trio.lowlevel.checkpoint)
        with APIClient(base_url="https://api.test", clock=clock, engine=httpx.MockTransport(_hello)) as client:
            assert client.get("/").text == "hello"


def _hello(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text="hello")


def library(name: str, source: str) -> ModuleType:
    """A module that looks installed."""
    module = ModuleType(name)
    file = f"{os.path.dirname(os.path.dirname(pytest.__file__))}/{name}/__init__.py"
    exec(compile(source, file, "exec"), module.__dict__)
    return module


LIBRARY = """
import random, time
def nap(): time.sleep(60)
def jitter(): return random.random()
"""


def test_a_library_may_not_sleep_for_the_program() -> None:
    """The program is told, and through whom; what a library draws for itself is its own affair."""
    installed = library("patience", LIBRARY)
    with virtual_time():
        with pytest.raises(RealWorld, match=r"by test_a_library_may.*\n  through nap \(.*patience"):
            installed.nap()
        installed.jitter()


def test_a_module_can_be_watched_or_spared() -> None:
    """Your own package counts as the program also where it is installed; another may be let be."""
    mine = library("mine", LIBRARY)
    with virtual_time(watch=["mine"]), pytest.raises(RealWorld, match="by jitter"):
        mine.jitter()
    slept: list[float] = []
    with virtual_time(spare=["mine"]):
        mine.time = type("T", (), {"sleep": staticmethod(slept.append)})
        mine.nap()
    assert slept == [60]
    with pytest.raises(ValueError, match=r"watch=\('mine',\)"), virtual_time(watch="mine"):
        pass


def test_threads_from_before_are_let_be_and_later_ones_are_not() -> None:
    """A session's own helper may go on polling; what the test starts may not sleep."""
    go, slept = threading.Event(), threading.Event()
    found: list[BaseException] = []

    def poll() -> None:
        go.wait()
        time.sleep(1e-9)
        slept.set()

    def later() -> None:
        with pytest.raises(RealWorld) as caught:
            time.sleep(60)
        found.append(caught.value)

    before = threading.Thread(target=poll)
    before.start()
    with virtual_time():
        after = threading.Thread(target=later)
        after.start()
        after.join()
        go.set()
        before.join()
    assert slept.is_set()
    assert len(found) == 1


def test_everything_is_put_back_by_the_last() -> None:
    """Guards overlap; what somebody else replaced meanwhile stays his."""
    original = time.sleep
    first: AbstractContextManager[Any] = virtual_time()
    second: AbstractContextManager[Any] = virtual_time()
    first.__enter__()
    assert imported_sleep is not original
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(RealWorld):
        time.sleep(60)
    second.__exit__(None, None, None)
    assert time.sleep is original
    assert imported_sleep is original
    with ExitStack() as stack:
        stack.enter_context(virtual_time())
        mine: Any = lambda _: None  # noqa: E731
        time.sleep = mine
    assert time.sleep is mine
    with virtual_time():
        time.sleep(60)
    time.sleep = original


def test_a_clock_of_ones_own_is_kept() -> None:
    """The guard gives the clock it was given."""
    clock = VirtualClock()
    with virtual_time(clock) as given_clock:
        assert given_clock is clock
