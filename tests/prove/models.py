"""Proofs that the policies decide as their models do, over thousands of runs each."""

from __future__ import annotations

import time

from tests.prove.figures import Figure, proof
from tests.rest_api_client.policies.machines import VITAL, drive, machines


@proof
def state_machines_agree_with_their_models() -> list[Figure]:
    """A difference ends the proof with the commands that show it."""
    return [_driven(name) for name in machines()]


def _driven(name: str) -> Figure:
    runs = 10_000 if name in VITAL else 2_000
    started = time.perf_counter()
    drive(machines()[name], runs)
    return Figure(f"{name}, {runs} runs without a difference", time.perf_counter() - started, "s")
