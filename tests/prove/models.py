"""Proofs that the policies decide as their models do, over ten thousand runs each."""

from __future__ import annotations

import time

from tests.prove.figures import Figure, proof
from tests.rest_api_client.policies.machines import drive, machines

RUNS = 10_000


@proof
def state_machines_agree_with_their_models() -> list[Figure]:
    """A difference ends the proof with the commands that show it."""
    return [_driven(name) for name in machines()]


def _driven(name: str) -> Figure:
    started = time.perf_counter()
    drive(machines()[name], RUNS)
    return Figure(f"{name}, {RUNS} runs without a difference", time.perf_counter() - started, "s")
