"""Memory: of a client that is idle, and of a request in flight."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.clients import chosen
from tests.benchmarks.figures import Result, Series, Terms, bench, ratio
from tests.benchmarks.processes import LOAD_CORE, spawn
from tests.benchmarks.wire_server import wire

IDLE = 50
TITLES = ("pyreqwest", "ours on pyreqwest", "httpx", "ours on httpx", "httpx2", "ours on httpx2")
PAIRS = (("ours on pyreqwest", "pyreqwest"), ("ours on httpx", "httpx"), ("ours on httpx2", "httpx2"))


@bench
def memory_of_a_client(terms: Terms) -> Result:
    """Many of each, opened and used once."""
    titles = (*TITLES, "requests")
    found, skipped = _weighed("idle", chosen(titles, quick=terms.quick), IDLE, int(terms.pick(3, 1)))
    unit = "KB a client"
    series = {title: Series(title, unit, tuple(each)) for title, each in found.items()}
    text = f"What a process grows by {IDLE} sync clients that are open, each with one connection, for each of them."
    return Result("Memory of an idle client", text, tuple(series.values()), (), tuple(skipped))


@bench
def memory_in_flight(terms: Terms) -> Result:
    """Two thousand requests that wait for their answers."""
    count = int(terms.pick(2000, 200))
    found, skipped = _weighed(
        "in-flight", chosen((*TITLES, "aiohttp"), quick=terms.quick), count, int(terms.pick(3, 1))
    )
    series = {title: Series(title, "KB a request", tuple(each)) for title, each in found.items()}
    claims = tuple(
        ratio(f"memory of a request, {ours}, of {bare}'s", series[ours], series[bare], at_most=1.3)
        for ours, bare in PAIRS
        if ours in series and bare in series
    )
    text = (
        f"What a process grows by {count:,} requests of one async client, on a connection each, when the server\n"
        "has got all of them and answered none, for each of them: task, request, connection and buffers."
    )
    return Result("Memory of a request in flight", text, tuple(series.values()), claims, tuple(skipped))


def _weighed(what: str, titles: list[str], count: int, rounds: int) -> tuple[dict[str, list[float]], list[str]]:
    """Kilobytes, a process for each figure, and who failed."""
    found: dict[str, list[float]] = {title: [] for title in titles}
    skipped: list[str] = []
    with wire() as server:
        for _ in range(rounds):
            for title in list(found):
                command = [sys.executable, "-m", "tests.benchmarks.scales", what, title, str(count), server.plain]
                process = spawn(command, LOAD_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                out, errors = process.communicate()
                if process.returncode:
                    del found[title]
                    skipped.append(f"{title}: {errors.decode(errors='replace').strip().splitlines()[-1]}")
                else:
                    found[title].append(float(out))
    return found, skipped
