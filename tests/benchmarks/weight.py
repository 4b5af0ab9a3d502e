"""Memory: of a client that is idle, and of a request in flight."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.clients import chosen
from tests.benchmarks.contest import Failed
from tests.benchmarks.figures import Result, Series, Terms, bench, ratio
from tests.benchmarks.processes import LOAD_CORE, spawn
from tests.benchmarks.wire_server import wire

IDLE = 50
TITLES = ("pyreqwest", "ours on pyreqwest", "httpx", "ours on httpx", "httpx2", "ours on httpx2")
PAIRS = (("ours on pyreqwest", "pyreqwest"), ("ours on httpx", "httpx"), ("ours on httpx2", "httpx2"))


IN_FLIGHT, FEWER = 2000, {"httpx": 500, "httpx2": 500}
"""Those with fewer take minutes to have thousands under way; what one of them weighs hardly depends on how many."""
PATIENCE = 120.0
"""Seconds that one process may take."""


@bench
def memory_of_a_client(terms: Terms) -> Result:
    """Many of each, opened and used once."""
    titles = chosen((*TITLES, "requests"), quick=terms.quick)
    found, skipped = _weighed("idle", dict.fromkeys(titles, IDLE), int(terms.pick(3, 1)))
    unit = "KB a client"
    series = {title: Series(title, unit, tuple(each)) for title, each in found.items()}
    text = f"What a process grows by {IDLE} sync clients that are open, each with one connection, for each of them."
    return Result("Memory of an idle client", text, tuple(series.values()), (), tuple(skipped))


@bench
def memory_in_flight(terms: Terms) -> Result:
    """Two thousand requests that wait for their answers."""
    titles = chosen((*TITLES, "aiohttp"), quick=terms.quick)
    counts = {title: int(terms.pick(FEWER.get(title, IN_FLIGHT), 200)) for title in titles}
    found, skipped = _weighed("in-flight", counts, int(terms.pick(3, 1)))
    series = {
        title: Series(f"{title}, {counts[title]:,} in flight", "KB a request", tuple(each))
        for title, each in found.items()
    }
    claims = tuple(
        ratio(f"memory of a request, {ours}, of {bare}'s", series[ours], series[bare], at_most=1.3)
        for ours, bare in PAIRS
        if ours in series and bare in series
    )
    text = """
What a process grows by the requests of one async client, on a connection each, when the server has got all of them and
answered none, for each of them: task, request, connection and buffers. httpx takes minutes to have 2,000 under way; it
is weighed with fewer.
"""
    return Result("Memory of a request in flight", text, tuple(series.values()), claims, tuple(skipped))


def _weighed(what: str, counts: dict[str, int], rounds: int) -> tuple[dict[str, list[float]], list[str]]:
    """Kilobytes, a process for each figure, and who failed."""
    found: dict[str, list[float]] = {title: [] for title in counts}
    skipped: list[str] = []
    with wire() as server:
        for _ in range(rounds):
            for title in list(found):
                try:
                    found[title].append(_one(what, title, counts[title], server.plain))
                except Failed as why:
                    del found[title]
                    skipped.append(str(why))
    return found, skipped


def _one(what: str, title: str, count: int, origin: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.scales", what, title, str(count), origin]
    process = spawn(command, LOAD_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failed(f"{title}: not ready within {PATIENCE:.0f} s") from None
    finally:
        process.kill()
    if process.returncode:
        raise Failed(f"{title}: {errors.decode(errors='replace').strip()[-300:]}")
    return float(out)
