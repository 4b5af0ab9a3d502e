"""Where a rule must keep silent, and where exactly it begins to speak."""

import copy
import math
import pickle
from typing import Any

import pytest

from mockserver.journal import Entry
from mockserver.limits import Concurrency, FixedWindow, SlidingWindow, Together, TokenBucket
from mockserver.rules import (
    AmplificationBounded,
    AttemptsBounded,
    BadBehaviour,
    BurstAndRate,
    InAnyWindow,
    InEachWindow,
    LimitKept,
    RetryAfterKept,
    Rules,
    Violation,
    bounds_of,
    check,
    enforce,
    format_violations,
)
from tests.mockserver.rules.traffic import Traffic


def rules_broken(traffic: Traffic, **options: Any) -> list[str]:
    return [each.rule for each in check(traffic.entries, **options)]


@pytest.mark.parametrize(("early", "broken"), [(0.019, []), (0.021, ["retry_after"])])
def test_clocks_have_a_resolution(early: float, broken: list[str]) -> None:
    """Twenty milliseconds too early are none."""
    traffic = Traffic()
    traffic.ask(status=503, retry_after=1.0, call_id="a")
    traffic.wait(1.0 - early)
    traffic.ask(call_id="a")
    assert rules_broken(traffic) == broken


@pytest.mark.parametrize(
    ("after", "rest", "broken"),
    [
        (0.05, {"connection": 2}, []),  # was on its way
        (0.15, {"connection": 2}, ["retry_after"]),
        (0.05, {"connection": 1}, ["retry_after"]),  # whoever sends on a connection has read what came on it
        (0.15, {"connection": 2, "path": "/users/2"}, []),
        (0.15, {"connection": 2, "caller": "another"}, []),
    ],
)
def test_another_call_of_the_caller_must_have_known(after: float, rest: dict[str, Any], broken: list[str]) -> None:
    """Retry-After is for the target; who had sent before it could be read is innocent."""
    traffic = Traffic()
    traffic.ask(status=429, retry_after=1.0, call_id="a")
    traffic.wait(after)
    traffic.ask(**{"call_id": "b"} | rest)
    assert rules_broken(traffic) == broken


@pytest.mark.parametrize(("after", "broken"), [(0.003, []), (0.007, ["retry_after"])])
def test_a_hedge_may_cross_the_answer(after: float, broken: list[str]) -> None:
    """Another attempt of the call, on another connection, a few milliseconds later."""
    traffic = Traffic()
    traffic.ask(status=429, retry_after=1.0, call_id="a", attempt=1)
    traffic.wait(after)
    traffic.ask(call_id="a", attempt=2, connection=2)
    assert rules_broken(traffic) == broken


def test_a_request_that_came_before_the_answer_is_innocent() -> None:
    """It could not know; and a Retry-After nobody would believe can be left out."""
    traffic = Traffic()
    traffic.ask(status=429, retry_after=9.0, at=0.0, took=1.0)
    traffic.ask(at=0.5)
    assert rules_broken(traffic) == []
    traffic.ask(at=2.0)
    assert rules_broken(traffic) == ["retry_after"]
    assert rules_broken(traffic, rules=Rules(retry_after=RetryAfterKept(longest=8.0))) == []


def test_being_refused_is_no_fault() -> None:
    """Sixty requests at once and a limit of ten, then as told: the bound is for who knows it."""
    traffic = Traffic()
    for number in range(60):
        traffic.ask(f"/users/{number}", at=0.001 * number, status=200 if number < 10 else 429)
    for number in range(10, 60):
        traffic.ask(f"/users/{number}", at=2.0 + 0.1001 * number)
    assert rules_broken(traffic, limits=[SlidingWindow(10, 1.0)]) == []
    strict = Rules(limit=LimitKept(told="answer", grace=0.02))
    assert rules_broken(traffic, limits=[SlidingWindow(10, 1.0)], rules=strict) == ["limit"]


def test_every_kind_of_limit_has_its_bound() -> None:
    """What counts running calls bounds no arrivals; a bound may be given by itself."""
    own = InAnyWindow(1, 1.0)
    limits = [Together(SlidingWindow(5, 2.0), TokenBucket(3.0, 4)), FixedWindow(6, 1.0), Concurrency(2), own]
    assert bounds_of(limits) == (InAnyWindow(5, 2.0), BurstAndRate(3.0, 4), InEachWindow(6, 1.0), own)


def test_bounds_find_the_first_run_that_breaks_them() -> None:
    """And allow what is exactly at the bound."""
    window = InAnyWindow(2, 1.0)
    assert window.broken([0.0, 0.5, 1.0, 1.5], 0.0) is None
    assert window.broken([0.0, 0.5, 1.0, 1.2], 0.0) == slice(1, 4)
    assert window.broken([0.0, 0.5, 0.99], 0.02) is None
    bucket = BurstAndRate(1.0, 2)
    assert bucket.broken([0.0, 0.0, 1.0, 2.0], 0.0) is None
    assert bucket.broken([0.0, 9.0, 9.0, 9.5], 0.0) == slice(1, 4)
    fixed = InEachWindow(2, 1.0)
    assert fixed.broken([0.8, 0.9, 1.1, 1.2], 0.0) is None
    assert fixed.broken([0.8, 0.9, 1.1, 1.2, 1.3], 0.0) == slice(2, 5)
    assert "2 requests" in window.says
    assert "1 a second" in bucket.says
    assert "each 1 s" in fixed.says


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"idempotency_key": "k"}, {"idempotency_key": "k"}),
        ({"processed": False}, {}),
        ({"method": "PUT"}, {"method": "PUT"}),
        ({}, {"body_digest": "other"}),
        ({}, {"path": "/elsewhere"}),
    ],
)
def test_some_repeats_are_harmless(first: dict[str, Any], second: dict[str, Any]) -> None:
    """One key, nothing done before, an idempotent method, other work."""
    traffic = Traffic()
    usual: dict[str, Any] = {"path": "/orders", "method": "POST", "call_id": "a", "body_digest": "ab"}
    traffic.ask(**usual | {"status": 503, "processed": True} | first)
    traffic.wait(1.0)
    traffic.ask(**usual | {"status": 201, "processed": True} | second)
    assert rules_broken(traffic) == []


def test_an_unnamed_repeat_after_a_failure_is_assumed_to_be_one() -> None:
    """And the message says that it is an assumption."""
    traffic = Traffic()
    usual: dict[str, Any] = {"path": "/orders", "method": "POST", "body_digest": "ab", "processed": True}
    traffic.ask(**usual, status=None)
    traffic.wait(1.0)
    traffic.ask(**usual, status=201)
    (violation,) = check(traffic.entries)
    assert violation.rule == "repeats"
    assert "assumed" in violation.text


@pytest.mark.parametrize("change", [{"status": 201}, {"caller": "another"}, {"body_digest": "cd"}, {"after": 61.0}])
def test_an_unnamed_repeat_may_be_a_new_call(change: dict[str, Any]) -> None:
    """Where the first went well, or somebody else asked, or for something else, or much later."""
    traffic = Traffic()
    usual: dict[str, Any] = {"path": "/orders", "method": "POST", "body_digest": "ab", "processed": True}
    traffic.ask(**usual, status=change.get("status"))
    traffic.wait(change.get("after", 1.0))
    traffic.ask(**usual | {"status": 201} | {name: each for name, each in change.items() if name != "after"})
    assert rules_broken(traffic) == []


def test_a_crowd_of_equal_requests_stays_a_crowd() -> None:
    """Fifty unnamed clients, three attempts each: no call of a hundred and fifty."""
    traffic = Traffic()
    for attempt in range(3):
        for number in range(50):
            traffic.ask(at=attempt + 0.001 * number, status=503, connection=number + 1)
    assert rules_broken(traffic) == []


def test_hedges_and_redirects_are_no_waits() -> None:
    """A second attempt before the first has ended, a next step elsewhere: nobody came back at once."""
    traffic = Traffic()
    for number in range(25):
        traffic.ask(at=number, took=0.5, status=503, call_id=f"h{number}", attempt=1)
        traffic.ask(at=number + 0.1, took=0.1, call_id=f"h{number}", attempt=2, connection=2)
        traffic.ask(at=number + 0.6, status=302, call_id=f"r{number}", attempt=1)
        traffic.ask("/next", at=number + 0.602, call_id=f"r{number}", attempt=2)
    assert rules_broken(traffic) == []


def test_what_the_server_asked_for_is_no_missing_jitter() -> None:
    """Thirty calls that all wait their Retry-After of one second."""
    traffic = Traffic()
    for number in range(30):
        traffic.ask(f"/{number}", at=0.0, took=0.0, status=503, retry_after=1.0, call_id=str(number))
    for number in range(30):
        traffic.ask(f"/{number}", at=1.0, call_id=str(number))
    assert rules_broken(traffic) == []


def test_connections_in_use_are_no_waste() -> None:
    """Thirty at once, each kept; and those that the server broke."""
    traffic = Traffic()
    for number in range(30):
        traffic.ask(at=number * 0.01, took=1.0, connection=number + 1)
    for number in range(30):
        traffic.ask(at=10.0 + number, status=None, connection=100 + number, path=f"/{number}")
    assert rules_broken(traffic) == []


def test_the_users_own_rule_is_checked_too() -> None:
    """Any function of the entries."""
    traffic = Traffic()
    traffic.ask(method="DELETE")

    def nothing_deleted(entries: tuple[Entry, ...]) -> list[Violation]:
        found = tuple(entry for entry in entries if entry.method == "DELETE")
        return [Violation(rule="own", text="deleted", mend="keep it", entries=found)] if found else []

    assert rules_broken(traffic, rules=Rules(own=(nothing_deleted,))) == ["own"]
    with pytest.raises(TypeError, match="function of entries"):
        Rules(own=("nothing_deleted",))  # type: ignore[arg-type]


def test_senseless_numbers_are_refused() -> None:
    """When the rule is made."""
    with pytest.raises(ValueError, match="most=0"):
        AttemptsBounded(most=0)
    for options in ({"most": 0.5}, {"per": 0.0}, {"calls": 0}, {"most": math.nan}):
        with pytest.raises(ValueError, match="AmplificationBounded"):
            AmplificationBounded(**options)  # type: ignore[arg-type]


def test_enforcing_fails_on_violations_and_not_on_warnings() -> None:
    """The error has them all, lists them, and survives pickling and copying."""
    traffic = Traffic()
    many = tuple(traffic.ask(attempt=1, call_id="a", idempotency_key="k", retry_after=1.0) for _ in range(9))
    warning = Violation(rule="w", text="odd", mend="look", warning=True)
    enforce([warning])
    with pytest.raises(BadBehaviour, match="broken: v") as caught:
        enforce([warning, Violation(rule="v", text="bad", mend="mend", entries=many)])
    message = str(caught.value)
    assert "warning: w" in message
    assert "call a, attempt 1, key k" in message
    assert "Retry-After 1.000 s" in message
    assert "and 3 more" in message
    assert caught.value.violations[1].to_json()["entries"] == list(range(9))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(copy.copy(caught.value)) == message
    assert format_violations([]) == "no rule of good behaviour was broken"


def test_a_message_does_not_drown_its_reader() -> None:
    """A client that hammers for thousands of requests: three of each rule are shown, and judging them takes no time."""
    traffic = Traffic()
    for number in range(4000):
        traffic.ask(status=429, retry_after=60.0, at=number * 0.001, took=0.0005)
    violations = check(traffic.entries)
    assert sum(each.rule == "retry_after" for each in violations) == 3999
    message = format_violations(violations)
    assert "and retry_after 3996 times more" in message
    assert len(message.splitlines()) < 60
