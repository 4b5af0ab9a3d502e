"""Many at once, and engines on real sockets."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from cassettes import load, use_cassette
from mockserver import MockServer
from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.models import Request
from rest_api_client.script import Chunk, Delay, End, Head, Script
from rest_api_client.virtual.clock import VirtualClock


def test_concurrent_requests_are_recorded_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """Fifty identical requests, the first answered last, play to the callers that asked."""
    clock = VirtualClock()

    def answer(request: Request, index: int) -> Script:
        return Script(Delay(5 - index * 0.1), Head(200), Chunk(f"{index}".encode()), End())

    async def crowd(**options: Any) -> list[str]:
        with use_cassette(tmp_path / "crowd.jsonl", **options) as cassette:
            async with AsyncAPIClient(base_url="https://api.test", engine=cassette, clock=clock) as client:
                return [response.text for response in await asyncio.gather(*(client.get("/same") for _ in range(50)))]

    live = clock.run_asyncio(lambda: crowd(mode="all", inner=ScriptedTransport(answer)))
    for time in ("off", "virtual"):
        assert clock.run_asyncio(lambda time=time: crowd(mode="none", time=time)) == live


def test_threads_share_a_cassette(tmp_path: Path) -> None:
    """Eight threads with a client each: everything is recorded once, and played once."""
    path = tmp_path / "threads.jsonl"

    def crowd(**options: Any) -> list[int]:
        found: list[int] = []
        with use_cassette(path, **options) as cassette:

            def work() -> None:
                with APIClient(base_url="https://api.test", engine=cassette) as client:
                    found.extend(client.get("/n").data["n"] for _ in range(20))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return sorted(found)

    lock, count = threading.Lock(), iter(range(1, 161))

    def answer(request: httpx.Request) -> httpx.Response:
        with lock:
            return httpx.Response(200, json={"n": next(count)})

    everything = list(range(1, 161))
    assert crowd(mode="all", inner=httpx.MockTransport(answer)) == everything
    assert crowd(mode="none") == everything


@pytest.mark.parametrize("engine", ["httpx", "httpx2", "pyreqwest"])
def test_real_engines_are_recorded(engine: str, tmp_path: Path) -> None:
    """A server on a real socket, its faults included; then the same without it."""
    path = tmp_path / "real.yaml"

    def flow(url: str, **options: Any) -> list[Any]:
        found: list[Any] = []
        with (
            use_cassette(path, **options) as cassette,
            APIClient(base_url=url, engine=cassette, max_retries=0) as client,
        ):
            found.append(client.get("/users/7").data)
            found.append(client.post("/echo", json={"a": [1, 2]}).data)
            found.append(client.post("/echo", content=iter([b"one", b"two"])).status_code)
            found.append(client.head("/users/7").headers["content-length"] != "0")
        return found

    with MockServer(resources={"users": 9}) as server:
        url = server.url
        live = flow(url, mode="all", inner=engine)
    assert flow(url, mode="none") == live
    assert load(path)[0][2].asked.body == b"onetwo"


def test_an_async_client_records_too(tmp_path: Path) -> None:
    """Through the same engine object, with a transport of its own."""
    path = tmp_path / "async.yaml"

    async def flow(url: str, **options: Any) -> Any:
        with use_cassette(path, **options) as cassette:
            async with AsyncAPIClient(base_url=url, engine=cassette) as client:
                return (await client.get("/users/7")).data

    with MockServer(resources={"users": 9}) as server:
        live = asyncio.run(flow(server.url, mode="once"))
        url = server.url
    assert asyncio.run(flow(url, mode="once")) == live
