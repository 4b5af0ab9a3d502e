"""Weighs clients, in a process of its own: kilobytes for each idle client, or for each request in flight.

    python -m tests.benchmarks.scales idle TITLE COUNT URL
    python -m tests.benchmarks.scales in-flight TITLE COUNT URL

Prints one number. URL is the origin of the benchmark's server.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from typing import Any
from urllib.request import urlopen

from tests.benchmarks.clients import Setup, find
from tests.benchmarks.memory import memory

LOOK = 0.05


def idle(title: str, count: int, origin: str) -> float:
    """Each has had one answer, and keeps its connection."""
    kind = find(title, asynchronous=False)

    def opened() -> Any:
        client = kind(Setup())
        client.json(f"{origin}/small")
        return client

    first = opened()
    gc.collect()
    before = memory()
    clients = [opened() for _ in range(count)]
    gc.collect()
    grown = memory() - before
    for client in (first, *clients):
        client.close()
    return grown / count * 1024


async def in_flight(title: str, count: int, origin: str) -> float:
    """All of them wait for their answers, which the server holds back."""
    client = find(title, asynchronous=True)(Setup(connections=count))
    await client.json(f"{origin}/small")
    gc.collect()
    before = memory()
    tasks = [asyncio.ensure_future(client.json(f"{origin}/hold")) for _ in range(count)]
    while _number(f"{origin}/held") < count:
        await asyncio.wait(tasks, timeout=LOOK)
    grown = memory() - before
    _number(f"{origin}/release")
    await asyncio.gather(*tasks)
    await client.close()
    return grown / count * 1024


def _number(url: str) -> int:
    with urlopen(url) as answer:
        return int(json.load(answer).get("number", 0))


if __name__ == "__main__":
    _, what, name, many, where = sys.argv
    print(
        idle(name, int(many), where) if what == "idle" else asyncio.run(in_flight(name, int(many), where)), flush=True
    )
    os._exit(0)  # how a client ends is not measured here
