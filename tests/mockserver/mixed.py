"""One mixed script with much in flight and much going wrong, and what a journal says of it but for wall times."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from mockserver import Entry, Errors, Latency, MockServer
from mockserver.faults import Plan
from mockserver.stubs import stub
from tests.patience import HANGS

AT_ONCE = 50
ATTEMPTS = 4
PLAN = (
    'rule=rule(error(503), path="/users/*", first=1, per="call", probability=0.5) '
    'rule=rule(reset, method="POST", probability=0.3, effect="done") '
    "rule=rule(truncate(after=5), probability=0.2) rule=rule(reset, probability=0.1)"
)
BY_CHANCE_OF_THE_MACHINE = frozenset({"index", "arrived", "answered", "finished", "not_before", "connection", "origin"})
"""What two equal runs may differ in: times, the order of what is in flight at once, ports."""


def run(seed: int) -> list[dict[str, object]]:
    """The journal of one run, in the order of calls and attempts."""
    with MockServer(
        seed=seed,
        faults=Plan.parse(f"seed={seed} {PLAN}"),
        errors=Errors(probability=0.1),
        latency=Latency(p50=0.002, p95=0.006),
        stubs=[stub("GET", "/greeting/{name}", json={"hello": "{path.name}"})],
        rules=None,
    ) as server:
        asyncio.run(_ask_all(server.url))
        server.journal.wait_until_quiet(HANGS)
        return sorted(map(_lasting, server.journal), key=lambda entry: (entry["call_id"], entry["attempt"]))  # type: ignore[arg-type,return-value]


def _lasting(entry: Entry) -> dict[str, object]:
    return {name: value for name, value in entry.to_json().items() if name not in BY_CHANCE_OF_THE_MACHINE}


async def _ask_all(url: str) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=HANGS) as client:
        await asyncio.gather(*(_call(client, number) for number in range(AT_ONCE)))


async def _call(client: httpx.AsyncClient, number: int) -> None:
    method, path, options = _request(number)
    for attempt in range(1, ATTEMPTS + 1):
        headers = {"x-call-id": f"call-{number:02}", "x-attempt": str(attempt)}
        try:
            answer = await client.request(method, path, headers=headers, **options)
        except httpx.TransportError:
            continue
        if answer.status_code < 500:
            return


def _request(number: int) -> tuple[str, str, dict[str, Any]]:
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/users/{number + 1}", {}),
        ("POST", f"/users?from={number}", {"json": {"name": f"nobody {number}"}}),
        ("GET", f"/users?page={number + 1}&per_page=5", {}),
        ("GET", f"/greeting/{number}", {}),
        ("GET", f"/nowhere/{number}", {}),
        ("PUT", f"/echo?of={number}", {"content": b"x" * number}),
    ]
    return kinds[number % len(kinds)]
