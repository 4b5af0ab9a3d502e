"""One client in a process of its own, which does a round whenever it is told to.

    python -m tests.benchmarks.driver {sync|async} TITLE

Reads a line of JSON per round (`contest.Task`) and answers it with one (`contest.Found`, or what went wrong). A client
is opened once for each setup, and stays open: what is measured is requests on connections that exist. Before the clock
starts, each place in flight has had one answer, and it was the right one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import BLOCK, BLOCKS, Setup, find
from tests.benchmarks.contest import Found, Task

RECEIVED = len(BLOCK) * BLOCKS


class SyncDriver:
    """Rounds of a client that blocks, in one thread or several."""

    def __init__(self, title: str) -> None:
        self._open: Callable[[Setup], Any] = find(title, asynchronous=False)
        self._clients: dict[tuple[Setup, int], Any] = {}

    def round(self, task: Task) -> Found:
        """One."""
        if task.threads:
            return self._threads(task)
        work = self._work(task, 0)
        return _timed(lambda end: _repeat(work, task.url, end), task.seconds)

    def _work(self, task: Task, number: int) -> Callable[[str], Any]:
        key = (task.setup, number)
        if key not in self._clients:
            self._clients[key] = self._open(task.setup)
        work: Callable[[str], Any] = getattr(self._clients[key], task.do)
        _check(task, work(task.url)) if task.do == "json" else self._clients[key].json(task.warm)
        return work

    def _threads(self, task: Task) -> Found:
        works = [self._work(task, 0 if task.shared else number) for number in range(task.threads)]
        return _timed(lambda end: _in_threads(works, task.url, end), task.seconds)


def _repeat(work: Callable[[str], Any], url: str, end: float) -> int:
    count = 0
    while not count or time.perf_counter() < end:
        work(url)
        count += 1
    return count


def _in_threads(works: list[Callable[[str], Any]], url: str, end: float) -> int:
    counts: list[int] = []
    threads = [threading.Thread(target=lambda work=work: counts.append(_repeat(work, url, end))) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < len(threads):
        raise RuntimeError("a thread failed; its error stands above")
    return sum(counts)


def _timed(work: Callable[[float], int], seconds: float) -> Found:
    gc.collect()
    rest, _ = _memory()
    busy, began = time.process_time(), time.perf_counter()
    count = work(began + seconds)
    return Found(count, time.process_time() - busy, time.perf_counter() - began, _memory(reset=False)[1] - rest)


class AsyncDriver:
    """Rounds of an async client, with so many requests in flight."""

    def __init__(self, title: str) -> None:
        self._open: Callable[[Setup], Any] = find(title, asynchronous=True)
        self._clients: dict[Setup, Any] = {}
        self._runner = asyncio.Runner()

    def round(self, task: Task) -> Found:
        """One."""
        return self._runner.run(self._round(task))

    async def _round(self, task: Task) -> Found:
        if task.setup not in self._clients:
            self._clients[task.setup] = self._open(task.setup)
        client = self._clients[task.setup]
        for data in await asyncio.gather(*(client.json(task.warm) for _ in range(task.setup.connections))):
            _check(task, data)
        gc.collect()
        rest, _ = _memory()
        busy, began = time.process_time(), time.perf_counter()
        work, end, count = getattr(client, task.do), began + task.seconds, 0

        async def place() -> None:
            nonlocal count
            while time.perf_counter() < end:
                await work(task.url)
                count += 1

        await asyncio.gather(*(place() for _ in range(task.setup.connections)))
        spent, passed = time.process_time() - busy, time.perf_counter() - began
        return Found(count, spent, passed, _memory(reset=False)[1] - rest)


def _check(task: Task, data: Any) -> None:
    found = data if isinstance(data, dict) else data[7]
    if found["id"] != 7:
        raise RuntimeError(f"{task.url} answered {found}")


def _memory(*, reset: bool = True) -> tuple[float, float]:
    """Megabytes resident: now, and at most since the last reset."""
    if reset:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    figures = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if "kB" in value}
    return int(figures["VmRSS"]) / 1024, int(figures["VmHWM"]) / 1024


def main(face: str, title: str) -> None:
    """Until there are no more lines."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    driver = AsyncDriver(title) if face == "async" else SyncDriver(title)
    print("{}", flush=True)
    for line in sys.stdin:
        try:
            found = driver.round(Task.from_json(line)).to_json()
        except Exception as error:  # whoever asked says what could not be measured
            found = json.dumps({"error": f"{type(error).__name__}: {error}"[:300]})
        print(found, flush=True)
    os._exit(0)  # how a client ends is not measured here


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
