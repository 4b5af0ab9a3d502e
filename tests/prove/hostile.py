"""Proof that hostile replies do no harm: 2,000 of them, each whole, byte by byte and split at random, in every cell."""

from __future__ import annotations

import time
from typing import Any

from tests.prove.figures import Figure, proof
from tests.rest_api_client.cells import CELLS, Cell
from tests.rest_api_client.hostile import HURRIED, SPLITS, Damage, attack, serve
from tests.wire import Server

REPLIES = 2000
PATIENCE = 1.0
"""Seconds beyond the deadline that count as a hang; the machine is busy meanwhile."""


@proof
def hostile_replies_do_no_harm() -> list[Figure]:
    """No foreign exception, no hang, no connection left behind."""
    return [figure for cell in CELLS for figure in _attacked(cell)]


def _attacked(cell: Cell) -> list[Figure]:
    damages: list[Damage] = []
    left: list[int] = []

    async def body() -> None:
        async with cell.client(base_url=server.url, **HURRIED) as client:
            damages.append(await attack(cell, client, range(REPLIES), SPLITS, patience=PATIENCE))
            left.append(await _left_behind(client))

    with Server(serve()) as server:
        cell.run(body)
    damage = damages[0]
    for line in (*damage.foreign, *damage.late):
        print(line)
    return [
        Figure(
            f"{cell}: {damage.answers} answers, {damage.errors} errors; foreign exceptions", len(damage.foreign), "", 0
        ),
        Figure(f"{cell}: hangs", len(damage.late), "", 0),
        Figure(f"{cell}: connections left behind", left[0], "", 0),
        Figure(f"{cell}: slowest beyond the deadline", damage.slowest, "s"),
    ]


async def _left_behind(client: Any) -> int:
    gate = client.transport.gate
    until = time.monotonic() + 5
    while gate.inside and time.monotonic() < until:
        await client.get("/again", deadline=10)
    return int(gate.inside)
