"""Schedules as values, as lines and as tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from mockserver import FaultRule, Phase, SlidingWindow, fault
from mockserver.faults import ConstantLatency, EvenLatency, Latency, brownout, outage
from mockserver.limits import Concurrency
from pytest_plugin.rehearsal import (
    Cancel,
    ClockJump,
    FaultSchedule,
    Step,
    broken,
    fault_schedules,
    fault_steps,
    limiter_settings,
    scripts,
    statuses,
)

quick = settings(max_examples=150, database=None, derandomize=True, deadline=None)


@quick
@given(fault_schedules(phases=2))
def test_a_schedule_reads_back_from_its_line_and_from_its_token(schedule: FaultSchedule) -> None:
    """Whatever Hypothesis makes can be pasted somewhere else and is the same there."""
    assert FaultSchedule.parse(schedule.describe()) == schedule
    assert FaultSchedule.of(schedule.token) == schedule


@quick
@given(fault_schedules())
def test_equal_schedules_have_one_token_and_one_plan(schedule: FaultSchedule) -> None:
    """A token is canonical, and the stage is told the same."""
    again = FaultSchedule.parse(schedule.describe())
    assert again.token == schedule.token
    assert again.plan().describe() == schedule.plan().describe()


@quick
@given(fault_schedules(), st.data())
def test_a_token_that_was_mistyped_is_refused(schedule: FaultSchedule, data: st.DataObject) -> None:
    """One other character, one less: a ValueError that says so, and never another schedule."""
    token = schedule.token
    place = data.draw(st.integers(3, len(token) - 1))
    other = data.draw(st.sampled_from([each for each in "AZaz09-_" if each != token[place]]))
    for wrong in (token[:place] + other + token[place + 1 :], token[:place]):
        try:
            read = FaultSchedule.from_token(wrong)
        except ValueError:
            continue
        assert read == schedule  # the last character has bits that mean nothing


def test_a_token_of_another_release_is_refused_by_name() -> None:
    """The version stands in front."""
    with pytest.raises(ValueError, match="begin with 'r1'"):
        FaultSchedule.from_token("r9.abc")


def test_a_small_token_stays_small() -> None:
    """It is pasted into messages: a reset of a POST that was done has fewer than eighty characters."""
    assert len(FaultSchedule(steps=["ok", "step(reset_before, effect=done)"]).token) < 80


def test_steps_may_be_written_as_text() -> None:
    """A fault by its name, `ok`, and `step` with what is particular; what is fine at the end is left out."""
    schedule = FaultSchedule(steps=["ok", "error(503, retry_after=2)", "step(reset, late=2, effect=done)", "ok"])
    assert schedule.moves == (Step(), Step("error(503, retry_after=2)"), Step("reset", 2, "done"))
    assert len(schedule) == 2


def test_equal_steps_are_one_rule() -> None:
    """The stage is asked for each request how it is struck: fewer rules, less to ask."""
    (rule,) = FaultSchedule(steps=["reset", "ok", "reset"]).plan().rules
    assert rule.nth == (1, 3)


def test_scenarios_of_the_stage_are_schedules() -> None:
    """`outage()` is taken as it is."""
    schedule = FaultSchedule.of(outage(duration=30.0))
    assert schedule.phases == outage(duration=30.0).phases
    assert schedule.end == 30.0
    assert FaultSchedule.of(["reset"]) == FaultSchedule(steps=("reset",))
    assert FaultSchedule.of("step=ok step=reset") == FaultSchedule(steps=("ok", "reset"))


def test_a_schedule_in_words() -> None:
    """One thing that goes wrong in a line."""
    schedule = FaultSchedule(
        steps=["ok", "reset"],
        limit="window(3, 1.0)",
        latency=ConstantLatency(0.5),
        cancels=(Cancel(call=2, after=1.0),),
        jumps=(ClockJump(at=1.0, seconds=-60.0),),
        seed=7,
    )
    assert str(schedule).splitlines() == [
        "request 1: ok",
        "request 2: step(reset)",
        "limit window(3, 1.0)",
        "latency constant(wait=0.5)",
        "cancel cancel(call=2, after=1.0)",
        "jump jump(at=1.0, seconds=-60.0)",
        "seed 7",
    ]
    assert str(FaultSchedule()) == "nothing goes wrong"
    assert len(schedule) == 5


def test_a_scaled_schedule_takes_less_time() -> None:
    """For a socket, where time is real."""
    scaled = FaultSchedule(
        steps=[Step(late=10.0)],
        phases=outage(start=10.0, duration=20.0).phases,
        limit=SlidingWindow(5, 10.0),
        latency=EvenLatency(low=1.0, high=2.0),
        cancels=(Cancel(call=1, after=5.0),),
        jumps=(ClockJump(at=10.0, seconds=60.0),),
    ).scaled(0.1)
    assert scaled.moves == (Step(late=1.0),)
    assert (scaled.phases[0].start, scaled.phases[0].duration) == (1.0, 2.0)
    assert scaled.limit == "window(5, 1.0)"
    assert scaled.latency == EvenLatency(low=0.1, high=0.2)
    assert scaled.cancels == (Cancel(call=1, after=0.5),)
    assert scaled.jumps == (ClockJump(at=1.0, seconds=60.0),)
    assert FaultSchedule(limit="bucket(1, 5)", latency=ConstantLatency(1)).scaled(0.1) == FaultSchedule(
        limit="bucket(10.0, 5)", latency=ConstantLatency(0.1)
    )
    with pytest.raises(ValueError, match="cannot be scaled"):
        FaultSchedule(latency=Latency(p50=1.0)).scaled(0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": ["rest"]}, "rest"),
        ({"steps": [5]}, "give a Step"),
        ({"steps": ["7"]}, "step '7': give a Step, 'ok'"),
        ({"phases": ("dead",)}, "is no Phase"),
        ({"cancels": (1,)}, "is no Cancel"),
        ({"limit": "reset"}, "window"),
        ({"limit": Concurrency(3)}, "window"),
        ({"seed": "x"}, "whole number"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(options: dict[str, object], said: str) -> None:
    """When it is made, with the name of what is wrong."""
    with pytest.raises(ValueError, match=said):
        FaultSchedule(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step("nothing_known"),
        lambda: Step(late=-1),
        lambda: Step(effect="done"),
        lambda: Cancel(call=0),
        lambda: Cancel(call=1, after=-1),
        lambda: ClockJump(at=-1, seconds=1),
        lambda: FaultSchedule.parse("colour=red"),
        lambda: FaultSchedule.parse("seed=1 seed=2"),
        lambda: FaultSchedule.of(7),  # type: ignore[arg-type]
        lambda: FaultSchedule(phases=(Phase(start=0, duration=1, rules=(FaultRule(lambda x: x),)),)).describe(),
    ],
)
def test_parts_that_make_no_sense_are_refused(make: object) -> None:
    """Each with a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        make()  # type: ignore[operator]


def test_a_path_of_no_rehearsal_is_refused(tmp_path: Path) -> None:
    """`of` reads saved rehearsals; what is none says so."""
    with pytest.raises(ValueError, match="cannot read"):
        FaultSchedule.of(tmp_path / "none.yaml")


def test_a_phase_with_a_distribution_is_written() -> None:
    """Brownouts have log-normal latencies, and read back."""
    schedule = FaultSchedule.of(brownout(duration=5.0))
    assert FaultSchedule.of(schedule.token) == schedule


found = settings(
    max_examples=2000, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_steps_shrink_to_what_people_understand_first() -> None:
    """Fine before an error, an error before lateness, lateness before a broken connection; and few of them."""
    assert find(fault_steps(), lambda step: True, settings=found) == Step()
    assert find(fault_steps(), lambda step: not step.ok, settings=found) == Step("error(503)")
    assert find(fault_steps(), lambda step: bool(step.late), settings=found) == Step(late=1.0)
    assert find(fault_steps(), lambda step: step.effect == "done", settings=found) == Step(
        "reset_before", effect="done"
    )
    assert find(broken(), lambda step: True, settings=found) == Step("reset_before")
    assert find(scripts(), lambda steps: any(step.late for step in steps), settings=found) == (Step(late=1.0),)
    assert find(limiter_settings(), lambda limit: limit is not None, settings=found) == "window(1, 1.0)"


def test_statuses_can_be_chosen() -> None:
    """Only those named, and Retry-After where one has a meaning."""
    assert find(statuses([500], [3]), lambda step: True, settings=found) == Step("error(500)")
    asked = find(statuses([429], [3]), lambda step: "retry" in step.fault, settings=found)
    assert asked == Step("error(429, retry_after=3)")


def test_every_fault_of_the_strategies_is_one_of_the_stage() -> None:
    """They are written by name; each name is known."""
    from pytest_plugin.rehearsal.strategies import BROKEN

    assert all(fault(each) for each in BROKEN)


def test_parts_can_be_left_out() -> None:
    """Steps alone, for instance."""

    @quick
    @given(fault_schedules(phases=0, limits=False, slow=False, cancels=0, jumps=0))
    def only_steps(schedule: FaultSchedule) -> None:
        assert schedule == FaultSchedule(steps=schedule.steps, seed=schedule.seed)

    only_steps()
