"""Proof that nothing is left behind: every scene, cut, broken, late at every point; a random soak; wires.

What a point is, and what is looked for, is told in `tests/rest_api_client/torture.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, NamedTuple

from tests.prove.figures import Figure, proof
from tests.rest_api_client.cells import ASYNC_CELLS
from tests.rest_api_client.test_torture import cut_on_the_wire
from tests.rest_api_client.torture import HOW, deadlines, faults, play, strikes, struck
from tests.rest_api_client.torture_checks import leftovers
from tests.rest_api_client.torture_scenes import SCENES, random_scene

SOAK: Final = 3_000
"""Random scenes for each runtime, each with a random cut."""
ROUNDS: Final = 700
"""Of three cuts each, for each engine and runtime."""


class Tally(NamedTuple):
    """How many runs of each kind there were, and what was found."""

    runs: Counter[str]
    findings: list[str]


@proof
def nothing_is_left_at_any_point() -> list[Figure]:
    """Each scene with each cut, fault and deadline."""
    return _figures([(runtime, number) for runtime in HOW for number in range(len(SCENES))])


@proof
def nothing_is_left_of_random_scenes() -> list[Figure]:
    """Random servers and calls, each cut at a random point."""
    return _figures([(runtime, -1 - seed) for runtime in HOW for seed in range(0, SOAK, SLICE)])


@proof
def nothing_is_left_on_the_wire() -> list[Figure]:
    """Real sockets: gates, tasks and policies are empty after each storm of cuts."""
    return [
        Figure(f"{cell}: {3 * ROUNDS} calls cut; things left behind", len(cut_on_the_wire(cell, ROUNDS)), "", 0)
        for cell in ASYNC_CELLS
    ]


SLICE: Final = 100


def _figures(tasks: list[tuple[str, int]]) -> list[Figure]:
    total = {runtime: Tally(Counter(), []) for runtime in HOW}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for (runtime, _), tally in zip(tasks, pool.map(_work, tasks), strict=True):
            total[runtime].runs.update(tally.runs)
            total[runtime].findings.extend(tally.findings)
    for tally in total.values():
        print(*tally.findings, sep="\n")
    return [
        Figure(f"{runtime}: {_told(tally.runs)}; things left behind", len(tally.findings), "", 0)
        for runtime, tally in total.items()
    ]


def _told(runs: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in runs.items())


def _work(task: tuple[str, int]) -> Tally:
    runtime, number = task
    return _every_point(runtime, number) if number >= 0 else _soak(runtime, range(-1 - number, -1 - number + SLICE))


def _every_point(runtime: str, number: int) -> Tally:
    scene = SCENES[number]
    plain = play(runtime, scene, leftovers)
    tally = Tally(Counter(), [f"{runtime} {scene}: {finding}" for finding in plain.findings])

    def note(kind: str, point: object, findings: list[str]) -> None:
        tally.runs[kind] += 1
        tally.findings.extend(f"{runtime} {scene} {point}: {finding}" for finding in findings)

    for strike in strikes(runtime, scene, plain):
        note("cuts", strike, struck(runtime, scene, leftovers, strike, plain))
    for fault in faults(plain):
        note("faults", fault, play(runtime, scene, leftovers, fault=fault).findings)
    for deadline in deadlines(plain):
        note("deadlines", deadline, play(runtime, scene, leftovers, deadline=deadline).findings)
    return tally


def _soak(runtime: str, seeds: range) -> Tally:
    tally = Tally(Counter(), [])
    for seed in seeds:
        scene, chance = random_scene(seed)
        plain = play(runtime, scene, leftovers)
        strike, fault = chance.choice(list(strikes(runtime, scene, plain))), chance.choice([None, *faults(plain)])
        deadline = chance.choice([None, *deadlines(plain)])
        run = play(runtime, scene, leftovers, strike=strike, fault=fault, deadline=deadline)
        tally.runs["random scenes"] += 1
        what = f"{runtime} random scene {seed} {strike} {fault} {deadline}"
        tally.findings.extend(f"{what}: {finding}" for finding in [*plain.findings, *run.findings])
    return tally
