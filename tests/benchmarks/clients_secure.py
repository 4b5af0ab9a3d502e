"""TLS and HTTP/2: small JSON over each."""

from __future__ import annotations

from tests.benchmarks.clients import ASYNC, SYNC, Setup, chosen
from tests.benchmarks.contest import Task, costs, field_of, rates
from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, paired
from tests.benchmarks.peers import Missing
from tests.benchmarks.wire_server import Wire, wire

IN_FLIGHT = 32
PAIRS = (("ours on pyreqwest", "pyreqwest"), ("ours on httpx", "httpx"), ("ours on httpx2", "httpx2"))
SHOWN = tuple(name for pair in PAIRS for name in reversed(pair))


@bench
def over_tls(terms: Terms) -> Result:
    """One request after the other, on one TLS connection."""
    titles = (*SHOWN, "requests", "requests, trust_env off", "niquests")
    return _contest(
        terms,
        titles=[title for title in SYNC if title in titles],
        face="sync",
        setup=Setup(),
        title="Small JSON over TLS",
        text="The same GET, one after the other, on a TLS connection that is kept alive (HTTP/1.1).",
    )


@bench
def over_http2(terms: Terms) -> Result:
    """Many at once on one HTTP/2 connection."""
    return _contest(
        terms,
        titles=[title for title in ASYNC if title in (*SHOWN, "niquests")],
        face="async",
        setup=Setup(connections=IN_FLIGHT, http2=True),
        title=f"HTTP/2, {IN_FLIGHT} requests in flight",
        text="The same GET over TLS and HTTP/2 from asyncio; how many connections they open is for the clients to say.",
        skipped=("aiohttp and requests: they do not speak HTTP/2",),
    )


def _contest(
    terms: Terms, *, titles: list[str], face: str, setup: Setup, title: str, text: str, skipped: tuple[str, ...] = ()
) -> Result:
    with wire() as server, field_of(chosen(titles, quick=terms.quick), face) as entered:
        task = _task(server, setup, terms)
        entered.rounds(task, 1)
        found = entered.rounds(task, int(terms.pick(7, 2)))
    cost = costs(found)
    series = (*cost.values(), *rates(found).values())
    return Result(title, text, series, _claims(cost), (*entered.skipped, *skipped))


def _task(server: Wire, setup: Setup, terms: Terms) -> Task:
    if server.secure is None:
        raise Missing("TLS and HTTP/2: the benchmark's server was built without OpenSSL's headers")
    url = f"{server.secure}/small"
    return Task("json", url, terms.pick(0.6, 0.08), Setup(setup.connections, server.ca, setup.http2), setup.connections)


def _claims(cost: dict[str, Series]) -> tuple[Claim, ...]:
    return tuple(
        paired(f"CPU time of {ours}, of {bare}'s", cost[ours], cost[bare])
        for ours, bare in PAIRS
        if ours in cost and bare in cost
    )
