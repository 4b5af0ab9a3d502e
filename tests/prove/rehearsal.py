"""Rehearsals at length: a long outage in little time, one run again and again, thousands of examples, planted bugs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from mockserver.faults import ConstantLatency, outage
from mockserver.rules import AmplificationBounded, Rules
from pytest_plugin.rehearsal import Backstage, FaultSchedule, RehearsalFailed, Workload, fault_schedules, rehearse
from rest_api_client import AsyncAPIClient
from tests.prove.figures import Figure, proof

EXAMPLES = 10_000


def ours(stage: Backstage) -> AsyncAPIClient:
    return AsyncAPIClient(**stage.options())


def untold(stage: Backstage) -> AsyncAPIClient:
    """Ours, and nobody listens to its events."""
    return AsyncAPIClient(**{**stage.options(), "events": []})


@proof
def two_hours_of_outage_with_200_clients() -> list[Figure]:
    """One call of each in 30 virtual seconds, while the server is gone; every call is tried three times at most.

    Clients that call so rarely are not held back by their budgets, which grant each of them a retry per second.
    """
    schedule = FaultSchedule(phases=outage(duration=7200.0).phases, latency=ConstantLatency(0.1))
    rules = Rules(limit=None, connections=None, amplification=AmplificationBounded(most=3.0))
    workload = Workload(callers=200, calls=240, every=30.0, shared=False)
    began = time.perf_counter()
    report = rehearse(untold, schedule, workload=workload, rules=rules)
    took = time.perf_counter() - began
    made = len(report.calls) - workload.callers
    return [
        Figure("two hours of outage, 200 clients", took, "s", 20.0),
        Figure("calls", made, "calls"),
        Figure("requests per call", len(report.entries) / made, "requests"),
        Figure("rules and promises broken", len(report.broken), "violations", 0),
    ]


@proof
def one_seed_is_one_run() -> list[Figure]:
    """Five minutes, an outage in the middle, 20 clients, played 100 times."""
    phases = outage(start=60.0, duration=120.0, how="error").phases
    schedule = FaultSchedule(phases=phases, latency=ConstantLatency(0.2), seed=3)
    workload = Workload(callers=20, calls=10, every=30.0, shared=False)
    logs = [rehearse(ours, schedule, workload=workload).log() for _ in range(100)]
    return [Figure("runs of 100 that differ from the first", sum(log != logs[0] for log in logs), "runs", 0)]


@proof
def our_client_in_ten_thousand_outages() -> list[Figure]:
    """Schedules of every kind, a third of them with five callers at once; new ones in each run."""
    failed: list[str] = []
    several = Workload(callers=5, calls=3, every=2.0)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(fault_schedules(phases=2, cancels=2))
    def rehearsal(schedule: FaultSchedule) -> None:
        played[0] += 1
        workload = several if schedule.seed % 3 == 1 else Workload(calls=4)
        report = rehearse(ours, schedule, workload=workload)
        failed.extend(each.rule for each in report.broken)
        report.raise_()

    played = [0]
    try:
        rehearsal()
    except RehearsalFailed as error:
        print(error)
    return [
        Figure("outages played", played[0], "examples"),
        Figure("rules and promises broken by our client", len(failed), "violations", 0),
    ]


@proof
def planted_bugs_are_found() -> list[Figure]:
    """Examples until each is found, and steps that are left of it; six bugs that people make."""
    from tests.pytest_plugin.rehearsal import clients
    from tests.pytest_plugin.rehearsal.test_planted import CROWD, EXAMPLES, FEW, hunt

    bugs: list[tuple[Callable[[Backstage], Any], Workload]] = [
        (clients.RepeatsPosts, FEW), (clients.CapsRetryAfter, FEW), (clients.NoBudget, CROWD),
        (clients.IgnoresDeadline, FEW), (clients.LeaksOnCancel, FEW), (clients.WedgesBreaker, FEW),
    ]  # fmt: skip
    figures: list[Figure] = []
    for make, workload in bugs:
        report, examples = hunt(make, workload)
        name = getattr(make, "__doc__", "").split("\n")[0]
        figures.append(Figure(f"{name} found after", examples, "examples", EXAMPLES))
        figures.append(Figure(f"{name} shrunk to", len(report.schedule), "steps", 3))
    return figures
