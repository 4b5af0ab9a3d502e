"""Bugs planted in small clients: each is found, and shrunk to a schedule that says what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mockserver.rules import AmplificationBounded, Rules
from pytest_plugin.rehearsal import (
    RULES,
    Backstage,
    FaultSchedule,
    Promises,
    RehearsalFailed,
    Report,
    Workload,
    fault_schedules,
    rehearse,
)
from tests.pytest_plugin.rehearsal import clients

EXAMPLES = 500
CROWD = Workload(callers=25, calls=2, every=5.0, methods=("GET",))
FEW = Workload(calls=4, every=6.0)
PROMISES = Promises(deadline=clients.DEADLINE, held=lambda client: client.held)


def settled(examples: int = EXAMPLES) -> Any:
    """The same examples in every run, on every machine."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def hunt(make: Callable[[Backstage], Any], workload: Workload = FEW, rules: Rules = RULES) -> tuple[Report, int]:
    """The shrunk failure, and how many examples it took to find the first."""
    tried: list[bool] = []

    @settled()
    @given(fault_schedules())
    def rehearsal(schedule: FaultSchedule) -> None:
        report = rehearse(make, schedule, workload=workload, rules=rules, promises=PROMISES)
        tried.append(report.ok)
        report.raise_()

    with pytest.raises(RehearsalFailed) as failed:
        rehearsal()
    return failed.value.report, tried.index(False) + 1


@pytest.mark.parametrize(
    ("make", "rule", "workload"),
    [
        (clients.RepeatsPosts, "repeats", FEW),
        (clients.CapsRetryAfter, "retry_after", FEW),
        (clients.NoBudget, "amplification", CROWD),
        (clients.IgnoresDeadline, "deadline", FEW),
        (clients.LeaksOnCancel, "held", FEW),
        (clients.WedgesBreaker, "recovery", FEW),
    ],
)
def test_a_planted_bug_is_found_and_shrunk_to_three_steps(
    make: Callable[[Backstage], Any], rule: str, workload: Workload
) -> None:
    """Within 500 examples; the schedule that is left has three steps at most, and the rule named is what it breaks."""
    rules = Rules(limit=None, connections=None, amplification=AmplificationBounded(most=2.0))
    report, examples = hunt(make, workload, rules)
    assert examples <= EXAMPLES
    assert len(report.schedule) <= 3
    assert {each.rule for each in report.broken} == {rule}
    print(f"\n{make.__name__}: {examples} examples, {report.schedule.describe()}")


@settled(150)
@given(fault_schedules())
def test_a_careful_client_breaks_nothing(schedule: FaultSchedule) -> None:
    """The client in which the bugs are planted has none without them."""
    rehearse(clients.Careful, schedule, workload=FEW, promises=PROMISES).raise_()


@settled(20)
@given(fault_schedules())
def test_a_crowd_of_a_careful_client_breaks_nothing(schedule: FaultSchedule) -> None:
    """Nor where 25 callers share it."""
    rehearse(clients.Careful, schedule, workload=CROWD, promises=PROMISES).raise_()
