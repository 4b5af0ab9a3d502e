"""Rehearsals: outages made by Hypothesis, a client that goes through them in virtual time, and what it got wrong.

    @given(fault_schedules())
    def test_outages(schedule):
        rehearse(lambda stage: AsyncAPIClient(**stage.options()), schedule).raise_()

schedule      what goes wrong in one rehearsal: a value, a line, a token
strategies    what Hypothesis makes schedules of
workload      who calls what
backstage     what a client is made of: engines, transports of httpx, a clock
running       every call in a task or a thread of its own
promises      what a client is held to, besides the rules of the stage
report        what came of it: violations, timeline, token
rehearse      all of these together
saved         failing schedules as cassettes: played first next time, committed, served on a socket
machine       a state machine for SDKs
"""

import pytest_plugin.rehearsal.extra  # noqa: F401  first
from pytest_plugin.rehearsal.backstage import Backstage
from pytest_plugin.rehearsal.machine import ClientMachine
from pytest_plugin.rehearsal.promises import Promises
from pytest_plugin.rehearsal.rehearse import RULES, rehearse
from pytest_plugin.rehearsal.report import RehearsalFailed, Report
from pytest_plugin.rehearsal.running import Called
from pytest_plugin.rehearsal.saved import rehearsed, save, saved_schedule, stubs_of
from pytest_plugin.rehearsal.schedule import Cancel, ClockJump, FaultSchedule, Step
from pytest_plugin.rehearsal.strategies import (
    broken,
    cancellations,
    clock_jumps,
    fault_schedules,
    fault_steps,
    late,
    latencies,
    limiter_settings,
    phases,
    scripts,
    statuses,
)
from pytest_plugin.rehearsal.workload import Ask, Workload

__all__ = [
    "RULES",
    "Ask",
    "Backstage",
    "Called",
    "Cancel",
    "ClientMachine",
    "ClockJump",
    "FaultSchedule",
    "Promises",
    "RehearsalFailed",
    "Report",
    "Step",
    "Workload",
    "broken",
    "cancellations",
    "clock_jumps",
    "fault_schedules",
    "fault_steps",
    "late",
    "latencies",
    "limiter_settings",
    "phases",
    "rehearse",
    "rehearsed",
    "save",
    "saved_schedule",
    "scripts",
    "statuses",
    "stubs_of",
]
