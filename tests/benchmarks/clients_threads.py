"""Eight threads: on one client, and each on its own."""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.clients import Setup, chosen
from tests.benchmarks.contest import Found, Task, costs, field_of, rates
from tests.benchmarks.figures import Result, Terms, bench, ratio
from tests.benchmarks.wire_server import wire

THREADS = 8
TITLES = ("ours on pyreqwest", "ours on httpx", "ours on httpx2", "pyreqwest", "httpx", "requests")
HOW = f"""
The same GET from {THREADS} threads of one process: on one client that they share, and each on a client of its own,
beside others that do the same. Throughput is that of all threads together.
"""


@bench
def threads(terms: Terms) -> Result:
    """Shared and apart, in turns."""
    with wire() as server, field_of(chosen(TITLES, quick=terms.quick), "sync") as entered:
        url = f"{server.plain}/small"
        seconds = terms.pick(1.0, 0.15)
        shared = Task("json", url, seconds, Setup(connections=THREADS), threads=THREADS)
        apart = replace(shared, shared=False)
        found: dict[str, list[Found]] = {}
        for _ in range(int(terms.pick(5, 2))):
            for task, name in ((shared, "on one client"), (apart, "on 8 clients")):
                for title, rounds in entered.rounds(task, 1).items():
                    found.setdefault(f"{title}, 8 threads {name}", []).extend(rounds)
    rate = rates(found)
    pairs = [(title, f"{title}, 8 threads on one client", f"{title}, 8 threads on 8 clients") for title in TITLES]
    return Result(
        title="Eight threads on one client",
        text=HOW,
        series=(*rate.values(), *costs(found).values()),
        claims=tuple(
            ratio(
                f"{title}: throughput of one client, of 8 clients'",
                rate[one],
                rate[eight],
                at_least=0.95 if title.startswith("ours") else None,
            )
            for title, one, eight in pairs
            if one in rate and eight in rate
        ),
        skipped=tuple(entered.skipped),
    )
