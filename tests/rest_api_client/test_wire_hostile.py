"""Hostile replies end in an answer or in an error of ours, and cost the client nothing; how fast: `make prove`."""

from __future__ import annotations

import time

from tests.patience import HANGS
from tests.rest_api_client.cells import Cell, every_cell
from tests.rest_api_client.hostile import HURRIED, SPLITS, attack, reply_number, serve
from tests.wire import Server

SAMPLE = range(120)


@every_cell
def test_hostile_replies_do_no_harm(cell: Cell) -> None:
    """No foreign exception, nothing left behind, and the client goes on working."""

    async def body() -> None:
        async with cell.client(base_url=server.url, **HURRIED) as client:
            damage = await attack(cell, client, SAMPLE, SPLITS, patience=HANGS)
            assert damage.foreign == []
            assert damage.late == []
            assert damage.answers
            assert damage.errors
            assert (await client.get("/still-there", deadline=HANGS)).text == "ok"
            gate = client.transport.gate
            until = time.monotonic() + HANGS
            while gate.inside and time.monotonic() < until:  # pyreqwest gives a permit back when Rust is done
                await client.get("/again", deadline=HANGS)
            assert gate.inside == 0

    with Server(serve()) as server:
        cell.run(body)


def test_a_reply_is_the_same_for_the_same_number() -> None:
    """So that one that does harm can be looked at again."""
    assert reply_number(7) == reply_number(7)
    assert len({reply_number(n).data for n in range(2000)}) > 1900
