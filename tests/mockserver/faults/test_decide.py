"""Who is struck: rules, counts, chance, and the order in which they are asked."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.faults import (
    ConstantLatency,
    EvenLatency,
    FaultRule,
    Faults,
    Phase,
    Place,
    Plan,
    Schedule,
    Strike,
    fault,
    outage,
)
from mockserver.faults.rules import REMEMBERED_ROUTES, Counting
from mockserver.seen import Seen
from rest_api_client.script import Chunk, End, Head, Refuse, Script

RESET = fault("reset")
ANSWER = Script(Head(200, (("content-length", "2"),)), Chunk(b"ok"), End())


def ask(
    faults: Faults, path: str = "/a", *, method: str = "GET", call: int = 0, attempt: int = 1, now: float = 0.0,
    **fields: str,
) -> Strike | None:  # fmt: skip
    named = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return faults.decide(Seen(method=method, path=path, fields=named), (method, path, "", call, attempt), now)


def struck(rule: FaultRule, count: int = 10, **asked: Any) -> list[int]:
    """Which of so many requests are struck, counted from 1."""
    faults = Faults(Plan(rules=(rule,)))
    return [number for number in range(1, count + 1) if ask(faults, call=number, **asked)]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"nth": (2, 5)}, [2, 5]),
        ({"first": 3}, [1, 2, 3]),
        ({"every": 4}, [4, 8]),
        ({"every": 2, "first": 5}, [2, 4]),
        ({"nth": (2, 4), "every": 4}, [4]),
        ({"method": "GET"}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"method": "POST"}, []),
        ({"path": "/*"}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"path": "/b"}, []),
        ({"when": lambda seen: seen.path == "/b"}, []),
        ({"probability": 0.0}, []),
        ({"first": 3, "per": "call"}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"nth": (2,), "per": "call"}, []),
    ],
)
def test_conditions_must_all_hold(options: dict[str, Any], numbers: list[int]) -> None:
    """Ten requests, all first attempts at one route."""
    assert struck(FaultRule(RESET, **options)) == numbers


def test_routes_are_counted_apart() -> None:
    """Each method and path has a first request of its own; all share one where the rule counts for itself."""
    faults = Faults(Plan(rules=(FaultRule(RESET, first=1, per="route"),)))
    assert [bool(ask(faults, path, method=method)) for path, method in (("/a", "GET"), ("/b", "GET"), ("/a", "PUT"))]
    assert not ask(faults, "/a")
    faults = Faults(Plan(rules=(FaultRule(RESET, first=1),)))
    assert [bool(ask(faults, path)) for path in ("/a", "/b")] == [True, False]


def test_of_calls_the_attempt_is_the_number() -> None:
    """Nothing is counted, so that no order of arrival matters."""
    faults = Faults(Plan(rules=(FaultRule(RESET, first=2, per="call"),)))
    assert [bool(ask(faults, attempt=attempt)) for attempt in (3, 1, 2, 3, 1)] == [False, True, True, False, True]


def test_only_so_many_routes_are_remembered() -> None:
    """The one longest unused starts anew."""
    counting = Counting("route")
    places: list[Place] = [("GET", f"/{number}", "", 0, 1) for number in range(REMEMBERED_ROUTES + 1)]
    counting.number(places[0])
    counting.number(places[1])
    counting.number(places[0])
    for place in places[2:]:
        counting.number(place)
    assert counting.number(places[0]) == 3
    assert counting.number(places[1]) == 1


def test_a_miss_falls_through_to_the_next_rule() -> None:
    """Probability is decided after matching; the first rule that strikes wins."""
    rules = (
        FaultRule(fault("error(500)"), probability=0.0),
        FaultRule(fault("error(502)"), name="second"),
        FaultRule(RESET),
    )
    strike = ask(Faults(Plan(rules=rules)))
    assert strike is not None
    assert strike.name == "second"


def test_a_rule_counts_what_another_rule_struck() -> None:
    """Its numbers do not depend on its neighbours."""
    first, second = FaultRule(fault("error(500)"), nth=(1,)), FaultRule(RESET, nth=(2,))
    faults = Faults(Plan(rules=(first, second)))
    names = [strike.name if (strike := ask(faults)) else None for _ in range(3)]
    assert names == ["error(500)", "reset", None]


@given(st.integers(), st.floats(0, 1), st.integers(0, 2**32))
def test_verdicts_depend_on_the_seed_and_the_request_alone(seed: int, probability: float, shuffle: int) -> None:
    """In any order of arrival each request meets the same fate, with the same id and the same delay."""
    rules = (
        FaultRule(RESET, probability=probability / 2),
        FaultRule(fault("error"), delay=EvenLatency(low=0, high=1), probability=probability),
    )
    asked = [(path, call, attempt) for path in "ab" for call in range(4) for attempt in (1, 2)]
    mixed = random.Random(shuffle).sample(asked, len(asked))
    one, other = Faults(Plan(seed=seed, rules=rules)), Faults(Plan(seed=seed, rules=rules))
    fates = {each: ask(one, each[0], call=each[1], attempt=each[2]) for each in asked}
    assert {each: ask(other, each[0], call=each[1], attempt=each[2]) for each in mixed} == fates


def test_probability_is_the_share_that_is_struck() -> None:
    """Of many, about as many; another attempt of one call has another chance."""
    faults = Faults(Plan(rules=(FaultRule(RESET, probability=0.3),)))
    assert 0.27 < sum(bool(ask(faults, call=call)) for call in range(5000)) / 5000 < 0.33
    assert {bool(ask(faults, attempt=attempt)) for attempt in range(1, 30)} == {True, False}


def test_a_strike_tells_whether_the_application_acts() -> None:
    """As is usual for the fault, or as the rule says."""
    rules = {
        ("reset", None): False,
        ("truncate(after=1)", None): True,
        ("reset", "done"): True,
        ("truncate(after=1)", "none"): False,
    }
    for (text, effect), processed in rules.items():
        strike = ask(Faults(Plan(rules=(FaultRule(fault(text), effect=effect),))))  # type: ignore[arg-type]
        assert strike is not None
        assert strike.processed is processed


def test_a_rule_may_only_delay() -> None:
    """The answer is left as it is, and comes later."""
    strike = ask(Faults(Plan(rules=(FaultRule(delay=ConstantLatency(0.5)),))))
    assert strike is not None
    assert (strike.name, strike.delay, strike.processed, strike.fault(ANSWER)) == ("slow", 0.5, True, ANSWER)


def test_a_fault_without_a_name_has_a_title() -> None:
    """A function of one's own."""
    assert FaultRule(lambda script: script).title == "fault"


def test_an_id_tells_what_happened() -> None:
    """In words; of an id that was never given nothing is known."""
    faults = Faults(Plan(seed=3, rules=(FaultRule(fault("truncate(after=1)"), nth=(2,)),)))
    ask(faults)
    strike = ask(faults, "/orders", call=4, attempt=2)
    assert strike is not None
    told = faults.explain(strike.fault_id)
    assert told is not None
    for part in (strike.fault_id, "truncate(after=1)", "rule 0", "GET /orders", "call 4", "attempt 2", "acted"):
        assert part in told
    assert faults.explain("00000000") is None


def test_ids_are_remembered_up_to_a_number() -> None:
    """The oldest is forgotten."""
    faults = Faults(Plan(rules=(FaultRule(RESET),)))
    first = ask(faults)
    assert first is not None
    for call in range(1, 10_001):
        ask(faults, call=call)
    assert faults.explain(first.fault_id) is None


# --- time ---


def test_time_begins_with_the_first_request() -> None:
    """Or with the server's start, as the plan says; before the first request the door stands open."""
    schedule = outage(start=0, duration=2)
    faults = Faults(Plan(schedule=schedule))
    assert (faults.connection(50.0), faults.next_change(50.0), faults.limit_share(50.0)) == ("open", None, 1.0)
    strike = ask(faults, now=100.0)
    assert strike is not None
    assert strike.fault(ANSWER) == Script(Refuse())
    assert (faults.connection(101.0), faults.next_change(101.0)) == ("refused", 102.0)
    assert ask(faults, now=102.0) is None
    started = Faults(Plan(schedule=schedule, zero="start"))
    assert (started.connection(0.0), started.next_change(0.5)) == ("refused", 2.0)
    assert ask(started, now=100.0) is None


def test_phases_come_before_the_servers_own_rules() -> None:
    """And before both what the caller asks for."""
    phase = Phase(start=0, duration=10, rules=(FaultRule(fault("error(500)"), name="phase", nth=(1, 2)),))
    plan = Plan(rules=(FaultRule(RESET, name="own"),), schedule=Schedule((phase,)), caller_faults=True)
    faults = Faults(plan)
    asked = ask(faults, x_fault="error(502)")
    assert asked is not None
    assert asked.name == "asked by the caller"
    assert [strike.name for _ in range(2) if (strike := ask(faults))] == ["phase", "own"]


def test_a_probability_fades_over_its_phase() -> None:
    """From nine tenths to none, evenly."""
    rule = FaultRule(RESET, probability=0.9, fading_to=0.0)
    faults = Faults(Plan(schedule=Schedule((Phase(start=0, duration=100, rules=(rule,)),)), zero="start"))
    shares = [
        sum(bool(ask(faults, call=call, now=time)) for call in range(2000)) / 2000 for time in (0.0, 50.0, 99.0, 100.0)
    ]
    assert shares == [pytest.approx(0.9, abs=0.04), pytest.approx(0.45, abs=0.04), pytest.approx(0.01, abs=0.01), 0]


def test_the_weather_is_the_servers_latency_and_that_of_phases() -> None:
    """Every answer is slower; the same request equally in every run."""
    phase = Phase(start=5, duration=5, latency=ConstantLatency(1.0))
    faults = Faults(Plan(latency=EvenLatency(low=0.1, high=0.2), schedule=Schedule((phase,)), zero="start"))
    place: Place = ("GET", "/a", "", 0, 1)
    calm = faults.weather(place, 0.0)
    assert 0.1 <= calm <= 0.2
    assert faults.weather(place, 5.0) == pytest.approx(calm + 1.0)
    assert Faults(Plan()).weather(place, 0.0) == 0
    assert faults.weather(("GET", "/a", "", 0, 2), 0.0) != calm


# --- by the caller ---


def allowed() -> Faults:
    return Faults(Plan(caller_faults=True))


def test_callers_are_not_heard_unless_they_may_speak() -> None:
    """The server decides that."""
    assert ask(Faults(Plan()), x_fault="reset") is None
    assert ask(allowed()) is None


def test_a_caller_chooses_a_fault() -> None:
    """Its name, a status, a delay, the effect."""
    strike = ask(allowed(), x_fault="truncate(after=1)", x_fault_delay="200ms", x_fault_effect="none")
    assert strike is not None
    assert (strike.delay, strike.processed) == (0.2, False)
    assert strike.fault(ANSWER) == fault("truncate(after=1)")(ANSWER)
    only_late = ask(allowed(), x_fault_delay="0.2")
    assert only_late is not None
    assert (only_late.delay, only_late.fault(ANSWER)) == (0.2, ANSWER)
    status = ask(allowed(), x_fault_status="502")
    assert status is not None
    assert status.fault(ANSWER) == fault("error(502)")(ANSWER)


def test_a_callers_probability_may_miss() -> None:
    """Then the server's own rules are asked."""
    faults = Faults(Plan(caller_faults=True, rules=(FaultRule(RESET, name="own"),)))
    strike = ask(faults, x_fault="error(500)", x_fault_probability="0")
    assert strike is not None
    assert strike.name == "own"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"x_fault": "rest"}, "did you mean 'reset'"),
        ({"x_fault": "truncate(before=1)"}, "it is written truncate(after=none)"),
        ({"x_fault": "huge_header(size=100000000)"}, "numbers up to 250000"),
        ({"x_fault": "reset", "x_fault_status": "503"}, "not both"),
        ({"x_fault_status": "200"}, "status must be one from 400 to 599"),
        ({"x_fault_status": "503.5"}, "x-fault-status"),
        ({"x_fault_delay": "long"}, "is no number"),
        ({"x_fault_delay": "2h"}, "does not lie between 0 and 3600"),
        ({"x_fault_delay": "-1"}, "does not lie between"),
        ({"x_fault": "reset", "x_fault_probability": "true"}, "is no number"),
        ({"x_fault": "reset", "x_fault_effect": "maybe"}, "give done"),
        ({"x_fault_effect": "done"}, "give a fault, a delay or both"),
        ({"x_fault_delay": "1", "x_fault_effect": "none"}, "without a fault"),
        ({"x_faults": "reset"}, "there is no field x-faults"),
    ],
)
def test_a_caller_who_is_not_understood_is_told_so(fields: dict[str, str], said: str) -> None:
    """400, problem details that say what there is, and the application does not act."""
    faults = allowed()
    strike = ask(faults, **fields)
    assert strike is not None
    head, body, _ = strike.fault(ANSWER).steps
    assert isinstance(head, Head)
    assert isinstance(body, Chunk)
    assert (head.status, strike.processed) == (400, False)
    assert said in body.data.decode().replace('\\"', '"')
    assert "malformed" in (faults.explain(strike.fault_id) or "")


# --- settings ---


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FaultRule(), "give a fault, a delay or both"),
        (lambda: FaultRule("reset"), r"fault\('reset'\)"),  # type: ignore[arg-type]
        (lambda: FaultRule(delay=0.2), "ConstantLatency"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, when=True), "when"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, path=5), "path"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, nth=2), "give a tuple"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, nth=(0,)), "nth"),
        (lambda: FaultRule(RESET, first=0), "first"),
        (lambda: FaultRule(RESET, every=True), "every"),
        (lambda: FaultRule(RESET, per="client"), "per"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, effect="some"), "effect"),  # type: ignore[arg-type]
        (lambda: FaultRule(RESET, probability=1.5), "probability"),
        (lambda: FaultRule(RESET, probability=math.nan), "probability"),
        (lambda: FaultRule(RESET, fading_to=-1), "fading_to"),
        (lambda: FaultRule(delay=ConstantLatency(1), effect="none"), "effect='none'"),
        (lambda: Plan(seed="7"), "seed"),  # type: ignore[arg-type]
        (lambda: Plan(zero="now"), "zero"),  # type: ignore[arg-type]
        (lambda: Plan(caller_faults="yes"), "caller_faults"),  # type: ignore[arg-type]
        (lambda: Plan(latency=0.5), "latency"),  # type: ignore[arg-type]
        (lambda: Plan(rules=(FaultRule(RESET, fading_to=0.0),)), "rules of a phase"),
    ],
)
def test_senseless_settings_are_refused_by_name(make: Callable[[], object], named: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=named):
        make()


def test_no_two_requests_share_an_id() -> None:
    """Among a few hundred; ids are quoted by people."""
    faults = Faults(Plan(rules=(FaultRule(RESET),)))
    ids = {
        strike.fault_id
        for path, call, attempt in itertools.product("abc", range(20), range(1, 5))
        if (strike := ask(faults, path, call=call, attempt=attempt))
    }
    assert len(ids) == 240


def test_a_rules_method_is_taken_in_any_case() -> None:
    """As in stubs: `method=post` is for POST, and would otherwise never strike."""
    assert FaultRule(fault("reset"), method="post").is_for(Seen(method="POST", path="/"))


def test_a_path_that_no_request_can_have_is_refused() -> None:
    """A pattern begins with a slash, or with what stands for one."""
    with pytest.raises(ValueError, match=r"FaultRule.path='orders\*': a path begins with '/'"):
        FaultRule(fault("reset"), path="orders*")
    for path in ("/orders*", "*orders", "?orders", "[/]orders"):
        assert FaultRule(fault("reset"), path=path).is_for(Seen(method="GET", path="/orders"))
