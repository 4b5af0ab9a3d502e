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
from dataclasses import replace
from typing import Any

from tests.benchmarks.clients import BLOCK, BLOCKS, Setup, find
from tests.benchmarks.contest import Found, Task
from tests.benchmarks.memory import most_memory, reset_memory

RECEIVED = len(BLOCK) * BLOCKS
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
CERTIFICATES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
SWAYING = PROXIES | {name.lower() for name in PROXIES} | CERTIFICATES
"""Variables by which some clients would do something else here."""


class SyncDriver:
    """Rounds of a client that blocks, in one thread or several."""

    def __init__(self, title: str) -> None:
        self._open: Callable[[Setup], Any] = find(title, asynchronous=False)
        self._clients: dict[tuple[Setup, int], Any] = {}

    def round(self, task: Task) -> Found:
        """One."""
        gc.collect()
        rest = reset_memory()
        if task.threads:
            works = [self._work(task, 0 if task.shared else number) for number in range(task.threads)]
            found = _timed(lambda end: _in_threads(works, task.url, end), task.seconds)
        else:
            work = self._work(task, 0)
            found = _timed(lambda end: _repeat(work, task.url, end), task.seconds)
        return replace(found, grown=most_memory() - rest)

    def _work(self, task: Task, number: int) -> Callable[[str], Any]:
        key = (task.setup, number)
        if key not in self._clients:
            self._clients[key] = self._open(task.setup)
        work: Callable[[str], Any] = getattr(self._clients[key], task.do)
        _check(task, work(task.url))
        return work


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
    busy, began = time.process_time(), time.perf_counter()
    count = work(began + seconds)
    return Found(count, time.process_time() - busy, time.perf_counter() - began)


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
        for answer in await asyncio.gather(*(client.json(task.url) for _ in range(task.in_flight))):
            _check(task, answer)
        gc.collect()
        busy, began = time.process_time(), time.perf_counter()
        work, end, count = client.json, began + task.seconds, 0

        async def place() -> None:
            nonlocal count
            while time.perf_counter() < end:
                await work(task.url)
                count += 1

        await asyncio.gather(*(place() for _ in range(task.in_flight)))
        spent, passed = time.process_time() - busy, time.perf_counter() - began
        return Found(count, spent, passed)


def _check(task: Task, answer: Any) -> None:
    """Refuse to measure a client that did not get what it should."""
    if task.do == "json":
        found, right = (answer if isinstance(answer, dict) else answer[7])["id"], 7
    else:
        found, right = answer, RECEIVED
    if found != right:
        raise RuntimeError(f"{task.url} answered {found}, which should be {right}")


def main(face: str, title: str) -> None:
    """Until there are no more lines."""
    for name in SWAYING & os.environ.keys():
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
