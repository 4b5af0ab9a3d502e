"""No storm of retries: 200 clients of ours, and a server that is gone for 60 virtual seconds."""

from __future__ import annotations

from dataclasses import replace

from tests.outage.crowd import rehearse
from tests.outage.libraries.ours import ours
from tests.outage.measures import measure
from tests.outage.scenarios import SCENARIOS
from tests.prove.figures import Figure, proof

EXTRA = 0.1
"""What retries may add to the load."""
AGAIN = 10.0
"""Seconds after which 99 % must succeed again."""


@proof
def no_storm_in_an_outage() -> list[Figure]:
    """Extra load and time to recover with our defaults; for clients that call more often or less, the load alone."""
    figures = measure(rehearse(SCENARIOS["gone"].with_clients(200), ours, 1))
    recovery = float("inf") if figures.recovery is None else figures.recovery
    return [
        Figure("200 clients, requests per call", figures.load, "requests", 1 + EXTRA),
        Figure("200 clients, repeats per call", figures.repeats, "requests", EXTRA),
        Figure("200 clients, 99 % success again after", recovery, "s", AGAIN),
        Figure("one call in 5 s each, requests per call", _load(5.0), "requests"),
        Figure("5 calls a second each, requests per call", _load(0.2), "requests"),
    ]


def _load(every: float) -> float:
    scenario = replace(SCENARIOS["gone"].with_clients(round(40 * min(1.0, every))), every=every)
    return measure(rehearse(scenario, ours, 1)).load
