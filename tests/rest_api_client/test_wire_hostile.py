"""Hostile replies end in an answer or in an error of ours, in time, and cost the client nothing."""

from __future__ import annotations

import time

from tests.rest_api_client.cells import Cell, every_cell
from tests.rest_api_client.hostile import HURRIED, SPLITS, attack, reply_number, serve
from tests.wire import Server

SAMPLE = range(120)


@every_cell
def test_hostile_replies_do_no_harm(cell: Cell) -> None:
    """No foreign exception, nothing left behind, and the client goes on working."""

    async def body() -> None:
        async with cell.client(base_url=server.url, **HURRIED) as client:
            damage = await attack(cell, client, SAMPLE, SPLITS, patience=5.0)
            assert damage.foreign == []
            assert damage.late == []
            assert damage.answers
            assert damage.errors
            assert (await client.get("/still-there", deadline=10)).text == "ok"
            gate = client.transport.gate
            until = time.monotonic() + 5
            while gate.inside and time.monotonic() < until:  # pyreqwest gives a permit back when Rust is done
                await client.get("/again", deadline=10)
            assert gate.inside == 0

    with Server(serve()) as server:
        cell.run(body)


def test_a_reply_is_the_same_for_the_same_number() -> None:
    """So that one that does harm can be looked at again."""
    assert reply_number(7) == reply_number(7)
    assert len({reply_number(n).data for n in range(2000)}) > 1900
