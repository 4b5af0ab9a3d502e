"""Schedules and scenarios, as functions of the time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.faults import (
    SCENARIOS,
    ConstantLatency,
    FaultRule,
    Faults,
    Phase,
    Plan,
    Schedule,
    brownout,
    fault,
    flapping,
    outage,
    rate_limit_storm,
    rolling_restart,
    slow_recovery,
)
from mockserver.seen import Seen

RESET = fault("reset")


def names(schedule: Schedule, time: float) -> list[str]:
    return [phase.name for _, phase, _ in schedule.at(time)]


def fates(schedule: Schedule, time: float, count: int = 2000) -> dict[str | None, float]:
    """The share of requests that each rule strikes at that time."""
    faults, found = Faults(Plan(schedule=schedule, zero="start")), dict[str | None, float]()
    for call in range(count):
        strike = faults.decide(Seen(method="GET", path="/a"), ("GET", "/a", "", call, 1), time)
        name = None if strike is None else strike.name
        found[name] = found.get(name, 0) + 1 / count
    return found


def test_a_phase_has_its_start_but_not_its_end() -> None:
    """And knows which share of it has passed."""
    phase = Phase(start=2, duration=4)
    assert [phase.share(time) for time in (1.9, 2, 5, 6)] == [None, 0.0, 0.75, None]


def test_phases_may_overlap() -> None:
    """The strictest limit holds, and one closed door suffices."""
    schedule = Schedule(
        (
            Phase(start=0, duration=4, limit_share=0.5, name="a"),
            Phase(start=2, duration=4, limit_share=0.1, connection="swallowed", name="b"),
        )
    )
    assert [names(schedule, time) for time in (0, 2, 4, 6)] == [["a"], ["a", "b"], ["b"], []]
    assert [schedule.limit_share(time) for time in (0, 2, 6)] == [0.5, 0.1, 1.0]
    assert [schedule.connection(time) for time in (0, 2, 6)] == ["open", "swallowed", "open"]


def test_a_schedule_may_repeat() -> None:
    """Every ten seconds anew; the next change is the next round's where this one has none left."""
    schedule = Schedule((Phase(start=1, duration=2, name="a"),), repeat=10)
    assert [names(schedule, time) for time in (1, 11, 23, 102.5)] == [["a"], ["a"], [], ["a"]]
    assert [schedule.next_change(time) for time in (0, 1, 3, 25)] == [1, 3, 11, 31]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=5), st.integers(0, 40), st.booleans())
def test_nothing_changes_before_the_next_change(spans: list[tuple[int, int]], time: int, repeat: bool) -> None:
    """A timer set by it misses no change, and there is one when it rings unless two phases meet."""
    schedule = Schedule(
        tuple(Phase(start=start, duration=duration) for start, duration in spans), repeat=32 if repeat else None
    )
    change = schedule.next_change(time)
    until = 80.0 if change is None else change
    now = [number for number, _, _ in schedule.at(time)]
    quarters = [time + step / 4 for step in range(int((until - time) * 4))]
    assert all([number for number, _, _ in schedule.at(each)] == now for each in quarters)
    assert change is None or change > time


def test_a_brownout_is_slow_and_fails_a_little() -> None:
    """A tenth gets 503, half of the rest is slow; before and after all is well."""
    schedule = brownout(start=10, duration=20)
    assert fates(schedule, 5) == fates(schedule, 30) == {None: pytest.approx(1.0)}
    shares = fates(schedule, 15)
    assert shares["overloaded"] == pytest.approx(0.1, abs=0.03)
    assert shares["slow"] == pytest.approx(0.45, abs=0.05)


@pytest.mark.parametrize(("how", "name"), [("refused", "closed door"), ("error", "dead"), ("reset", "dead")])
def test_an_outage_leaves_nobody_unharmed(how: str, name: str) -> None:
    """Whichever way it is dead."""
    schedule = outage(start=10, duration=5, how=how)  # type: ignore[arg-type]
    assert fates(schedule, 12, 20) == {name: pytest.approx(1.0)}
    assert fates(schedule, 15, 20) == {None: pytest.approx(1.0)}
    assert schedule.connection(12) == ("refused" if how == "refused" else "open")


def test_a_rolling_restart_hits_one_instance_after_the_other() -> None:
    """At any time a quarter of the requests, first by resets, then by an answer of the balancer."""
    schedule = rolling_restart(start=2, instances=4, each=5, drain=1)
    for time, name in ((2.5, "instance 1"), (5, "instance 1"), (7.5, "instance 2"), (21.9, "instance 4")):
        assert fates(schedule, time)[name] == pytest.approx(0.25, abs=0.04)
    assert fates(schedule, 22, 50) == {None: pytest.approx(1.0)}
    assert [names(schedule, time) for time in (2, 3, 7)] == [
        ["instance 1 stops"],
        ["instance 1 starts"],
        ["instance 2 stops"],
    ]


def test_a_slow_recovery_gets_better_evenly() -> None:
    """Dead, then nine tenths of errors, then half of that, then none."""
    schedule = slow_recovery(dead=5, duration=10)
    assert fates(schedule, 2, 50) == {"dead": pytest.approx(1.0)}
    assert [fates(schedule, time).get("recovering", 0) for time in (5, 10, 15)] == [
        pytest.approx(0.9, abs=0.04),
        pytest.approx(0.45, abs=0.04),
        0,
    ]


def test_a_rate_limit_storm_cuts_the_limits() -> None:
    """To a tenth, for as long as it lasts."""
    schedule = rate_limit_storm(start=1, duration=2)
    assert [schedule.limit_share(time) for time in (0, 1, 2.9, 3)] == [1.0, 0.1, 0.1, 1.0]


def test_flapping_is_down_and_up_again() -> None:
    """So many times."""
    schedule = flapping(up=2, down=1, times=3)
    assert [bool(names(schedule, time)) for time in (0, 1, 3, 4, 6, 7, 9)] == [True, False] * 3 + [False]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_stands_as_it_is_and_knows_how_it_is_written(name: str) -> None:
    """Without arguments it is complete, ends, and has words on it."""
    schedule = SCENARIOS[name]()
    assert schedule.phases
    assert schedule.text == f"{name}()"
    assert not names(schedule, max(phase.end for phase in schedule.phases))
    assert SCENARIOS[name].__doc__


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Phase(start=-1, duration=1), "start"),
        (lambda: Phase(start=0, duration=0), "duration"),
        (lambda: Phase(start=0, duration=1, limit_share=0), "limit_share"),
        (lambda: Phase(start=0, duration=1, connection="shut"), "connection"),  # type: ignore[arg-type]
        (lambda: Phase(start=0, duration=1, latency=1.0), "latency"),  # type: ignore[arg-type]
        (lambda: Schedule((), repeat=0), "repeat"),
        (lambda: Schedule((Phase(start=0, duration=9, latency=ConstantLatency(1)),), repeat=5), "repeat"),
        (lambda: rolling_restart(instances=0), "instances"),
        (lambda: rolling_restart(instances=10**9), "from 1 to 1000"),
        (lambda: rolling_restart(drain=5, each=5), "drain"),
        (lambda: flapping(times=0), "times"),
        (lambda: flapping(up=0), "up"),
        (lambda: outage(how="slowly"), "how"),  # type: ignore[arg-type]
        (lambda: brownout(errors=2), "probability"),
        (lambda: Phase(start=0, duration=1, rules=(FaultRule(RESET, first=0),)), "first"),
    ],
)
def test_senseless_settings_are_refused_by_name(make: Callable[[], object], named: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()
