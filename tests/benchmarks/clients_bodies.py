"""Large bodies: a megabyte of JSON, and a hundred of bytes, down and up, with what memory it takes."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.clients import Setup, chosen
from tests.benchmarks.contest import Found, Task, costs, field_of
from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, paired
from tests.benchmarks.wire_server import Wire, wire

TITLES = (
    "pyreqwest",
    "ours on pyreqwest",
    "httpx",
    "ours on httpx",
    "httpx2",
    "ours on httpx2",
    "requests",
    "niquests",
)
PAIRS = (("ours on pyreqwest", "pyreqwest"), ("ours on httpx", "httpx"), ("ours on httpx2", "httpx2"))
GROWTH = 20.0
"""Megabytes by which a process may grow while a hundred pass through it."""


@dataclass(frozen=True)
class Kind:
    """What is moved.

    Attributes:
        name: for tables.
        do: as a client knows it.
        path: on the server.
        judged: whether a bound is promised.
    """

    name: str
    do: str
    path: str
    judged: bool


KINDS = (
    Kind("a JSON of 1 MB", "json", "/large", judged=False),
    Kind("a download of 100 MiB", "download", "/download", judged=True),
    Kind("a download of 100 MiB to a file", "save", "/download", judged=True),
    Kind("an upload of 100 MiB", "upload", "/upload", judged=True),
)
HOW = """
A list of 5,000 things in JSON, read whole and parsed; 100 MiB in chunks of 64 KiB, read as they come and let go; the
same written to a file (ours by `download`, which also waits until the disk has it; the others in a loop of their own,
which do not); and as many bytes sent from a generator. What a process grows is its greatest size during a round, above
its size before that; the greatest of all rounds counts.
"""


@bench
def large_bodies(terms: Terms) -> Result:
    """Each kind from each client, in turns."""
    series: list[Series] = []
    claims: list[Claim] = []
    with wire() as server, field_of(chosen(TITLES, quick=terms.quick), "sync") as entered:
        for kind in KINDS:
            found = entered.rounds(_task(server, kind, terms), int(terms.pick(15, 2)))
            cost = costs(found, f"ms of CPU for {kind.name}", scale=1e-3)
            series += cost.values()
            claims += _cost_claims(kind, cost)
            if kind.judged:
                grown = {title: _grown(title, kind, rounds) for title, rounds in found.items()}
                series += grown.values()
                claims += _growth_claims(kind, grown)
    drawn = tuple(f"ms of CPU for {kind.name}" for kind in KINDS if kind.judged)
    return Result("Large bodies", HOW, tuple(series), tuple(claims), tuple(entered.skipped), drawn)


def _task(server: Wire, kind: Kind, terms: Terms) -> Task:
    seconds = 0.0 if kind.judged else terms.pick(0.5, 0.1)
    return Task(kind.do, server.plain + kind.path, seconds, Setup())


def _grown(title: str, kind: Kind, rounds: list[Found]) -> Series:
    return Series(title, f"MB grown by {kind.name}", (max(one.grown for one in rounds),))


def _cost_claims(kind: Kind, cost: dict[str, Series]) -> list[Claim]:
    most = 1.1 if kind.judged else None
    return [
        paired(f"CPU time of {kind.name}, {ours}, of {bare}'s", cost[ours], cost[bare], at_most=most)
        for ours, bare in PAIRS
        if ours in cost and bare in cost
    ]


def _growth_claims(kind: Kind, grown: dict[str, Series]) -> list[Claim]:
    return [
        Claim(f"greatest growth by {kind.name}, {ours}", grown[ours].median, "MB", at_most=GROWTH)
        for ours, _ in PAIRS
        if ours in grown
    ]
