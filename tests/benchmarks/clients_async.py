"""Small JSON from async clients: 1, 32, 256 and 2,000 requests in flight."""

from __future__ import annotations

from tests.benchmarks.clients import ASYNC, Setup, chosen
from tests.benchmarks.contest import Field, Found, Task, costs, field_of, rates
from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, ratio
from tests.benchmarks.wire_server import Wire, wire

HOW = """
The same GET from asyncio's own loop: so many tasks, each with one request at a time, on as many connections, but at
most 100, which is what most clients allow unless told otherwise. A round ends when every task has its last answer.
Whoever has fewer than 500 answers a second with 256 in flight is not asked for 2,000: httpx then gives up requests that
have waited 30 seconds for a connection.
"""
LEVELS, QUICK = (1, 32, 256, 2000), (32, 256)
CONNECTIONS = 100
SLOW = 500.0
"""Requests a second with 256 in flight, below which a client is not asked for 2,000."""

Levels = dict[int, dict[str, list[Found]]]


@bench
def in_flight(terms: Terms) -> Result:
    """All async clients at each level, in turns."""
    found: Levels = {}
    with wire() as server, field_of(chosen(ASYNC, quick=terms.quick), "async") as entered:
        for level in QUICK if terms.quick else LEVELS:
            found[level] = _level(server, entered, level, terms)
            if level == LEVELS[-2] and not terms.quick:
                _leave_out_the_slow(entered, found[level])
    skipped = ["1 and 2,000 in flight, on quick terms"] if terms.quick else []
    return Result(
        title="Small JSON, many requests in flight",
        text=HOW,
        series=tuple(one for level in found for kind in (_rates, _costs) for one in kind(found, level).values()),
        claims=_claims(found),
        skipped=(*entered.skipped, *skipped),
        drawn=tuple(f"requests a second with {level:,} in flight" for level in (32, 256)),
    )


def _level(server: Wire, entered: Field, level: int, terms: Terms) -> dict[str, list[Found]]:
    url = f"{server.plain}/small"
    setup = Setup(connections=min(level, CONNECTIONS))
    task = Task("json", url, terms.pick(0.5, 0.08), setup, in_flight=level)
    return entered.rounds(task, int(terms.pick(7 if level == 32 else 4, 2)))


def _leave_out_the_slow(entered: Field, found: dict[str, list[Found]]) -> None:
    slow = {title for title, each in rates(found).items() if each.median < SLOW}
    entered.contestants = [each for each in entered.contestants if each.title not in slow]
    entered.skipped += [f"{title} with 2,000 in flight: fewer than {SLOW:.0f} a second with 256" for title in slow]


def _rates(found: Levels, level: int) -> dict[str, Series]:
    return rates(found[level], f"requests a second with {level:,} in flight")


def _costs(found: Levels, level: int) -> dict[str, Series]:
    return costs(found[level], f"us of CPU a request with {level:,} in flight")


BOUNDS = (
    ("ours on pyreqwest", 32, "aiohttp", 32, 1.65),
    ("ours on pyreqwest", 32, "httpx", 32, 18.0),
    ("ours on pyreqwest", 32, "pyreqwest", 32, None),
    ("ours on pyreqwest", 32, "pyreqwest, head first", 32, None),
    ("pyreqwest", 32, "aiohttp", 32, None),
    ("pyreqwest, head first", 32, "aiohttp", 32, None),
    ("ours on httpx", 32, "httpx", 32, 2.5),
    ("ours on httpx", 256, "httpx", 256, 3.5),
    ("ours on httpx", 256, "ours on httpx", 32, 0.8),
    ("ours on httpx2", 32, "httpx2", 32, None),
    ("ours on httpx2", 256, "httpx2", 256, None),
)


def _claims(found: Levels) -> tuple[Claim, ...]:
    return tuple(
        ratio(
            f"requests a second of {one} with {level}, of {other}'s with {others}",
            _rates(found, level)[one],
            _rates(found, others)[other],
            at_least=least,
        )
        for one, level, other, others, least in BOUNDS
        if one in found[level] and other in found[others]
    )
