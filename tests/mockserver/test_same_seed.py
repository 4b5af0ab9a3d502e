"""The same seed, the same run: what goes wrong does not depend on who comes first."""

from mockserver.faults import Plan
from tests.mockserver.mixed import AT_ONCE, PLAN, run

RUNS = 2


def test_the_same_seed_gives_the_same_journal_whatever_the_order() -> None:
    """Fifty calls in flight, twice: equal entry by entry, but for times, order and ports."""
    first = run(7)
    assert len({entry["call_id"] for entry in first}) == AT_ONCE
    assert {entry["status"] for entry in first} >= {200, 201, 404, 503, None}
    assert any(entry["processed"] and entry["fault_id"] and entry["status"] is None for entry in first)
    assert all(run(7) == first for _ in range(RUNS - 1))


def test_another_seed_gives_another_journal() -> None:
    """Or the seed would decide nothing."""
    assert run(7) != run(8)


def test_the_plan_of_the_run_replays_from_its_line() -> None:
    """One line says what went wrong."""
    plan = Plan.parse(f"seed=7 {PLAN}")
    assert Plan.parse(plan.describe()) == plan
