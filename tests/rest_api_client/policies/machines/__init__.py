"""State machines that drive a policy's pure object beside a small model of it, and compare every answer.

Each module here has one `Machine`, a Hypothesis `RuleBasedStateMachine`. `make test` runs those of `VITAL` 500 times,
the others 100 times; `make prove` 10,000 and 2,000 times. MACHINE_RUNS in the environment is the most there are.
"""

from __future__ import annotations

import importlib
import os
import pkgutil

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

VITAL = frozenset({"breaker", "budget", "bulkhead", "limiter"})
"""Those that decide for everybody at once: a mistake here stops a client, or lets it flood a server."""


def machines() -> dict[str, type[RuleBasedStateMachine]]:
    """Every machine, by the name of its module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").Machine for name in names}


def drive(machine: type[RuleBasedStateMachine], runs: int) -> None:
    """Run a machine so often; it fails with the shortest sequence of commands that shows a difference."""
    runs = min(runs, int(os.environ.get("MACHINE_RUNS", runs)))
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=runs, stateful_step_count=25, deadline=None, database=None, suppress_health_check=checks
    )
    run_state_machine_as_test(machine, settings=chosen)  # type: ignore[no-untyped-call]
