"""Small JSON from clients that block: one thread, then eight."""

from __future__ import annotations

from tests.benchmarks.clients import SYNC, Setup, chosen
from tests.benchmarks.contest import Task, costs, field_of, rates
from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, paired
from tests.benchmarks.wire_server import wire

HOW = """
GET of 160 bytes of JSON on a connection that is kept alive, the answer parsed, one request after the other. Each client
is a process of its own on one core; the server (tests/benchmarks/servers/wire.c, built by gcc) has the other. "Ours"
has every policy on that is on by default, and a rate limit; "bare" has none. CPU time is that of the client's process,
in all its threads, and is the steadier figure where other work disturbs the machine. "Head first" is what pyreqwest
itself takes where the status and the fields are looked at before the body is taken, and each request has a time of its
own, as ours always has.
"""
OURS, BARE, HEAD_FIRST = "ours on pyreqwest", "pyreqwest", "pyreqwest, head first"


@bench
def small_json(terms: Terms) -> Result:
    """All clients that block, in turns."""
    with wire() as server, field_of(chosen(SYNC, quick=terms.quick), "sync") as entered:
        url = f"{server.plain}/small"
        task = Task("json", url, terms.pick(0.15, 0.08), Setup())
        entered.rounds(task, 1)
        found = entered.rounds(task, int(terms.pick(31, 2)))  # short ones, many: other work comes in bursts
    cost = costs(found)
    return Result(
        title="Small JSON, one request after the other",
        text=HOW,
        series=(*cost.values(), *rates(found).values()),
        claims=_claims(cost),
        skipped=tuple(entered.skipped),
        drawn=("us of CPU a request",),
    )


def _claims(cost: dict[str, Series]) -> tuple[Claim, ...]:
    bounds = [
        (OURS, BARE, 1.4),
        (HEAD_FIRST, BARE, None),
        (OURS, HEAD_FIRST, None),
        (OURS, "httpx", 0.28),
        (OURS, "requests, trust_env off", 0.2),
        ("ours on httpx", "httpx", 0.9),
        ("ours on httpx2", "httpx2", None),
    ]
    return tuple(
        paired(f"CPU time of {one}, of {other}'s", cost[one], cost[other], at_most=most)
        for one, other, most in bounds
        if one in cost and other in cost
    )
