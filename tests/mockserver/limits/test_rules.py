"""Which limits a request meets."""

from __future__ import annotations

import json

import pytest

from mockserver.limits import (
    Concurrency,
    FixedWindow,
    LimitRule,
    Limits,
    PerKey,
    SlidingWindow,
    admit_all,
    by_client,
    by_header,
    forbidden,
)
from mockserver.limits.dialects import github, silent, structured
from mockserver.seen import Seen
from rest_api_client.script import Chunk, Head, Script


def seen(path: str = "/", client: str = "10.0.0.1", **fields: str) -> Seen:
    return Seen(method="GET", path=path, client=client, fields=tuple(fields.items()))


def head(script: Script) -> Head:
    step = script.steps[0]
    assert isinstance(step, Head)
    return step


def body(script: Script) -> str:
    return b"".join(step.data for step in script.steps if isinstance(step, Chunk)).decode()


def test_each_key_has_a_limit_of_its_own() -> None:
    """One client's calls are not another's; without a key all share one."""
    limits = PerKey(SlidingWindow(1, 60.0), by_header("Authorization"))
    assert limits.of(seen(authorization="a")).admit(0.0).allowed
    assert not limits.of(seen(authorization="a")).admit(0.0).allowed
    assert limits.of(seen(authorization="b")).admit(0.0).allowed
    assert limits.of(seen()) is limits.of(seen())
    shared = PerKey(SlidingWindow(1, 60.0))
    assert shared.of(seen(authorization="a")) is shared.of(seen(authorization="b"))


def test_only_so_many_keys_are_remembered() -> None:
    """The longest unused is forgotten; a call that still runs is given back to the limit that admitted it."""
    limits = PerKey(Concurrency(1), by_client, most=2)
    first = limits.of(seen(client="1"))
    first.admit(0.0)
    for client in ("2", "1", "3"):
        limits.of(seen(client=client))
    assert len(limits) == 2
    assert limits.of(seen(client="1")) is first
    limits.of(seen(client="2"))
    limits.of(seen(client="3"))
    assert limits.of(seen(client="1")) is not first
    first.release()


def test_rules_are_decided_together_each_at_its_cost() -> None:
    """A request that one rule refuses costs nothing under the other."""
    limits = Limits(
        [
            LimitRule(limit=FixedWindow(10, 60.0, name="points"), cost=lambda seen: len(seen.path)),
            LimitRule(limit=SlidingWindow(1, 1.0, name="search"), when=lambda seen: seen.path == "/se"),
        ],
        dialect=structured,
    )
    admitted = limits.decide(seen("/se"), 0.0)
    assert admitted is not None
    assert ("ratelimit", '"points";r=7;t=60, "search";r=0;t=1') in admitted.fields(0.0)
    refused = limits.decide(seen("/se"), 0.0)
    assert refused is not None
    assert not refused.allowed
    other = limits.decide(seen("/1234567"), 0.0)
    assert other is not None
    assert not other.allowed
    fits = limits.decide(seen("/123456"), 0.0)
    assert fits is not None
    assert fits.verdict.remaining == 0


def test_a_request_that_no_rule_is_for_is_not_limited() -> None:
    """None: nothing is said in the answer, either."""
    limits = Limits([LimitRule(limit=SlidingWindow(1, 1.0), when=lambda seen: seen.path == "/a")])
    assert limits.decide(seen("/b"), 0.0) is None
    with pytest.raises(ValueError, match="at least one"):
        admit_all([], 0.0)


def test_a_refusal_is_a_whole_answer() -> None:
    """429, problem details that say when to come back, and the limit's fields."""
    limits = Limits([LimitRule(limit=SlidingWindow(1, 60.0))])
    limits.decide(seen(), 0.0)
    ruling = limits.decide(seen(), 0.5)
    assert ruling is not None
    script = ruling.refusal(0.0)
    assert head(script).status == 429
    assert ("retry-after", "60") in head(script).headers
    assert "come back in 60 s" in json.loads(body(script))["detail"]


def test_a_refusal_without_a_known_end_says_later() -> None:
    """No Retry-After where nobody knows."""
    limits = Limits([LimitRule(limit=Concurrency(1))])
    limits.decide(seen(), 0.0)
    ruling = limits.decide(seen(), 0.0)
    assert ruling is not None
    assert "come back later" in body(ruling.refusal(0.0))
    assert "retry-after" not in dict(head(ruling.refusal(0.0)).headers)


def test_a_running_call_is_given_back_once() -> None:
    """Release after the end, and again: the place is free once; a refused call gives back nothing."""
    limits = Limits([LimitRule(limit=Concurrency(1))], dialect=silent)
    first, second = limits.decide(seen(), 0.0), limits.decide(seen(), 0.0)
    assert first is not None
    assert second is not None
    second.release()
    assert not second.allowed
    first.release()
    first.release()
    third = limits.decide(seen(), 0.0)
    assert third is not None
    assert third.allowed


@pytest.mark.parametrize(("name", "said"), [("default", "API rate limit exceeded"), ("secondary", "secondary rate")])
def test_github_refuses_with_403(name: str, said: str) -> None:
    """The message tells which limit it was."""
    limits = Limits([LimitRule(limit=SlidingWindow(1, 60.0, name=name))], dialect=github, refusal=forbidden)
    limits.decide(seen(), 0.0)
    ruling = limits.decide(seen(), 0.0)
    assert ruling is not None
    assert head(ruling.refusal(0.0)).status == 403
    assert said in json.loads(body(ruling.refusal(0.0)))["message"]


def test_a_stricter_phase_takes_from_both_the_full_limit_and_the_smaller_one() -> None:
    """A tenth of twenty holds; what passed still counts afterwards, and the answer tells of the smaller limit."""
    limits = Limits([LimitRule(limit=SlidingWindow(20, 60.0))], dialect=structured)
    for _ in range(2):
        ruling = limits.decide(seen(), 0.0, share=0.1)
        assert ruling is not None
        assert ruling.allowed
    refused = limits.decide(seen(), 0.0, share=0.1)
    assert refused is not None
    assert not refused.allowed
    assert dict(refused.fields(0.0))["ratelimit-policy"] == '"default";q=2;w=60'
    after = limits.decide(seen(), 0.0)
    assert after is not None
    assert after.verdict.remaining == 17


def test_what_the_limits_are() -> None:
    """For the journal."""
    limits = Limits([LimitRule(limit=SlidingWindow(20, 60.0, unit="tokens"))])
    assert limits.describe() == [{"kind": "window", "calls": 20, "period": 60.0, "unit": "tokens"}]


def test_senseless_rules_are_refused() -> None:
    """The message says what to give."""
    with pytest.raises(ValueError, match="give SlidingWindow"):
        LimitRule(limit=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cost"):
        LimitRule(limit=SlidingWindow(1, 1.0), cost=-1)
