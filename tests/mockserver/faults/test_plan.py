"""A plan and the line that replays it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.faults import (
    SCENARIOS,
    ConstantLatency,
    EvenLatency,
    FaultRule,
    Faults,
    Latency,
    LogNormalLatency,
    NamedMatcher,
    NormalLatency,
    ParetoLatency,
    Phase,
    Plan,
    Schedule,
    brownout,
    fault,
)
from mockserver.seen import Seen


def is_big(seen: Seen) -> bool:
    return len(seen.path) > 2


numbers = st.floats(0.001, 1e6)
shares = st.floats(0, 1)
latencies = st.one_of(
    st.builds(lambda low, more, most: Latency(p50=low, p95=low + more, p99=low + more + most), *[numbers] * 3),
    st.builds(lambda low, more: EvenLatency(low=low, high=low + more), numbers, numbers),
    st.builds(NormalLatency, mean=numbers, deviation=numbers),
    st.builds(LogNormalLatency, median=numbers, sigma=numbers),
    st.builds(ParetoLatency, low=numbers, alpha=numbers),
    st.builds(ConstantLatency, numbers),
)
faults = st.sampled_from(["reset", "truncate(after=10)", "error(503, retry_after=2)", 'garbage(data=b"\\u00ff")'])
counts = st.integers(1, 10**6)


def rules(*, fading: bool) -> st.SearchStrategy[FaultRule]:
    return st.builds(
        FaultRule,
        faults.map(fault),
        delay=st.none() | latencies,
        when=st.none() | st.just(NamedMatcher("is_big", is_big)),
        method=st.none() | st.sampled_from(["GET", "PURGE"]),
        path=st.none() | st.text(max_size=9).map("/{}".format),
        nth=st.lists(counts, max_size=3).map(tuple),
        first=st.none() | counts,
        every=st.none() | counts,
        per=st.sampled_from(["rule", "route", "call"]),
        probability=shares,
        fading_to=shares if fading else st.none(),
        effect=st.sampled_from(["done", "none", None]),
        name=st.text(max_size=9),
    )


phases = st.builds(
    Phase,
    start=numbers,
    duration=numbers,
    rules=st.lists(rules(fading=True), max_size=2).map(tuple),
    latency=st.none() | latencies,
    limit_share=st.floats(0.01, 1),
    connection=st.sampled_from(["open", "refused", "swallowed"]),
    name=st.text(max_size=9),
)
schedules = st.one_of(
    st.sampled_from(sorted(SCENARIOS)).map(lambda name: SCENARIOS[name](start=2.5)),
    st.lists(phases, max_size=3).map(lambda listed: Schedule(tuple(listed))),
    st.lists(phases, max_size=3).map(lambda listed: Schedule(tuple(listed), repeat=1e9)),
)
plans = st.builds(
    Plan,
    seed=st.integers(),
    rules=st.lists(rules(fading=False), max_size=3).map(tuple),
    schedule=schedules,
    latency=st.none() | latencies,
    zero=st.sampled_from(["first", "start"]),
    caller_faults=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(plans)
def test_a_line_replays_its_plan(plan: Plan) -> None:
    """Whatever the plan, and in one line."""
    line = plan.describe()
    assert "\n" not in line
    if len(line) < 10_000:
        again = Plan.parse(line, matchers={"is_big": is_big})
        assert again == plan
        assert again.describe() == line


def test_a_line_is_short() -> None:
    """What is as usual is not said."""
    plan = Plan(
        seed=7,
        rules=(FaultRule(fault("reset"), path="/orders", nth=(2,), effect="done"),),
        schedule=brownout(duration=30.0),
    )
    assert plan.describe() == (
        'seed=7 scenario=brownout(duration=30.0) rule=rule(fault=reset, path="/orders", nth=(2,), effect="done")'
    )
    assert Plan().describe() == "seed=0"


def test_a_line_may_be_written_by_hand() -> None:
    """Faults stand for rules, durations have units, words need no quotes."""
    plan = Plan.parse("seed=7 zero=start scenario=brownout(duration=30s) fault=reset rule=rule(error(502), method=GET)")
    assert (plan.seed, plan.zero, plan.schedule) == (7, "start", brownout(duration=30.0))
    assert plan.rules == (FaultRule(fault("reset")), FaultRule(fault("error(502)"), method="GET"))


def test_a_replay_strikes_the_same_requests() -> None:
    """With the same ids."""

    def run(faults: Faults) -> list[str | None]:
        asked = [("GET", f"/{path}", "", call, 1) for path in "ab" for call in range(50)]
        strikes = [faults.decide(Seen(method="GET", path=place[1]), place, time) for time, place in enumerate(asked)]
        return [strike and strike.fault_id for strike in strikes]

    faults = Faults(Plan(seed=5, schedule=brownout(duration=200.0, errors=0.3)))
    first = run(faults)
    assert None in first
    assert len(set(first)) > 20
    assert run(Faults.replay(faults.describe())) == first


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sede=1", "unknown setting 'sede'; did you mean 'seed'"),
        ("seed=1 seed=2", "given twice"),
        ("seed=x", "seed must be a whole number"),
        ("rule=rset", "unknown fault 'rset'; did you mean 'reset'"),
        ("rule=(1, 2)", "unknown fault"),
        ("scenario=brownot()", "did you mean 'brownout'"),
        ("scenario=later", "unknown scenario 'later'; known: brownout, flapping, outage"),
        ("scenario=brownot", "unknown scenario 'brownot'; did you mean 'brownout'"),
        ("scenario=none", "unknown scenario 'None'"),
        ("scenario=reset", "'reset' is no scenario but a fault; give one of brownout"),
        ("rule=trunkate(after=1)", "unknown fault 'trunkate'; did you mean 'truncate'"),
        ("rule=rule(trunkate(after=1))", "unknown fault 'trunkate'; did you mean 'truncate'"),
        ("rule=rule(resset, nth=(2,))", "unknown fault 'resset'; did you mean 'reset'"),
        ("rule=rule(fault=resset)", "unknown fault 'resset'; did you mean 'reset'"),
        ("rule=brownout", "'brownout' is no fault but a scenario; give one of answer"),
        ("rule=latency(p50=1)", "'latency' is no fault but a latency"),
        ("latency=pareto", "pareto: missing a required (keyword-only )?argument: 'low'; it is written pareto"),
        ("latency=paretto(low=1)", "unknown latency 'paretto'; did you mean 'pareto'"),
        ("scenario=brownout(length=3)", "it is written brownout"),
        ("rule=rule(reset, when=is_big)", "when"),
        ("latency=3", "latency"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(line: str, said: str) -> None:
    """The message says what there is."""
    with pytest.raises(ValueError, match=said):
        Plan.parse(line)


def test_a_named_condition_is_that_condition() -> None:
    """Its name is for writing it down; what it says is what the function says."""
    plan = Plan.parse("rule=rule(reset, when=is_big)", matchers={"is_big": is_big})
    assert [bool(plan.rules[0].is_for(Seen(method="GET", path=path))) for path in ("/a", "/abc")] == [False, True]


@pytest.mark.parametrize("options", [{"fault": lambda script: script}, {"fault": fault("reset"), "when": is_big}])
def test_what_has_no_name_cannot_be_written_down(options: dict[str, Any]) -> None:
    """The message says that it needs one."""
    with pytest.raises(ValueError, match="give it by its name"):
        Plan(rules=(FaultRule(**options),)).describe()
