"""Retry budgets: what each pays for, alone and among the vetoes of a retry."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError, PoolTimeout
from rest_api_client.models import Request
from rest_api_client.policies.backoff import ConstantBackoff
from rest_api_client.policies.budget import (
    DEPOSIT,
    FAILED,
    LOOK,
    SUCCEEDED,
    WITHDRAW,
    Budget,
    BudgetBucket,
    Deposit,
    Ended,
    QuotaPurse,
    RetryBudget,
    RetryQuota,
    RetryThrottle,
    ThrottleCount,
    Withdraw,
)
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Refuse, Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain

AnyWorld = World[Any]
PAUSE = ConstantBackoff(base=1, jitter="none")


def paid(purse: Any, command: Any = WITHDRAW, moment: float = 0.0) -> bool:
    """Whether a retry is paid for."""
    return purse.apply(command, moment).verdict == "allow"


# ---------------------------------------------------------------------- a share of the calls


def test_the_floor_pays_a_client_without_traffic() -> None:
    """T19: time pays in too, so that a client which sends little can retry."""
    bucket = BudgetBucket(RetryBudget(ratio=0.1, min_per_second=1, burst=1))
    assert [paid(bucket, moment=moment) for moment in (0, 0.5, 1, 2)] == [True, False, True, True]


def test_steady_failure_adds_a_tenth_and_the_floor() -> None:
    """T19: over 100 s of 10 failing requests a second, retries are 10 % of them, one in 20 s and what was saved."""
    bucket = BudgetBucket(RetryBudget())
    made = 0
    for step in range(1000):
        bucket.apply(Deposit(), step / 10)
        made += paid(bucket, moment=step / 10)
    assert 104 <= made <= 109


def test_without_a_floor_nobody_knows_when_the_next_retry_is_paid() -> None:
    """The refusal then tells no wait."""
    bucket = BudgetBucket(RetryBudget(min_per_second=0, burst=1))
    bucket.apply(WITHDRAW, 0)
    assert bucket.apply(WITHDRAW, 100).wait == 0


def test_no_deposit_is_lost_between_threads(world: AnyWorld) -> None:
    """T19: the ledger is locked: 4 threads of 500 calls pay for exactly 200 retries."""
    state = RetryBudget(ratio=0.1, min_per_second=0, burst=1000).memory(world.runtime.now)

    async def spend() -> int:
        made = 0
        while (await state.apply("k", WITHDRAW)).verdict == "allow":
            made += 1
        return made

    assert not state.deposit("k")
    assert world.run(spend) == 1000
    threads = [threading.Thread(target=lambda: [state.deposit("k") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.run(spend) == 200


def test_a_new_client_has_its_savings_and_nothing_more() -> None:
    """The burst at once; the clock pays from the first question on, and calls in full tenths."""
    bucket = BudgetBucket(RetryBudget(ratio=0.5, min_per_second=1, burst=2))
    assert [paid(bucket, moment=100) for _ in range(3)] == [True, True, False]
    assert bucket.apply(LOOK, 100).value == 0
    for _ in range(2):
        bucket.apply(DEPOSIT, 100)
    assert bucket.apply(LOOK, 100).value == 0.5


def test_a_share_of_a_retry_pays_for_none() -> None:
    """Looking tells what a withdrawal would be told: refused, the share that is left, and when one is paid."""
    bucket = BudgetBucket(RetryBudget(ratio=0.5, min_per_second=0.25, burst=4))
    shares = []
    for _ in range(4):
        look = bucket.apply(LOOK, 0)
        shares.append((look.verdict, look.value, look.wait, look.reason))
        assert paid(bucket)
    bucket.apply(DEPOSIT, 0)
    look, asked = bucket.apply(LOOK, 0), bucket.apply(WITHDRAW, 0)
    assert shares == [("allow", share, 0, "") for share in (1, 0.75, 0.5, 0.25)]
    assert (look.verdict, look.value, look.wait, look.reason) == ("refuse", 0.125, 2, "budget")
    assert (asked.verdict, asked.value, asked.wait, asked.reason) == ("refuse", None, 2, "budget")


def test_a_question_of_earlier_pays_no_time_twice() -> None:
    """Threads may ask a moment out of order: the seconds in between count once."""
    bucket = BudgetBucket(RetryBudget(min_per_second=1, burst=1))
    assert [paid(bucket, moment=moment) for moment in (0, 10, 9.5, 10.5, 11)] == [True, True, False, False, True]


# ---------------------------------------------------------------------- a purse for bad times


def test_a_full_quota_pays_for_35_retries_in_a_row() -> None:
    """500 / 14 of them after failures, 500 / 5 after throttling, as in botocore."""
    purse, other = QuotaPurse(RetryQuota()), QuotaPurse(RetryQuota())
    assert sum(paid(purse) for _ in range(200)) == 35
    assert sum(paid(other, Withdraw("throttled")) for _ in range(200)) == 100


def test_success_brings_back_what_the_retry_cost() -> None:
    """The cost of the last retry where there was one, else 1; failure and a full purse bring nothing."""
    purse = QuotaPurse(RetryQuota(capacity=20))
    purse.apply(SUCCEEDED, 0)
    assert [paid(purse), purse.left] == [True, 6]
    purse.apply(FAILED, 0)
    purse.apply(SUCCEEDED, 0)
    assert [paid(purse), purse.left] == [False, 7]
    purse.apply(Ended(True, Withdraw("throttled")), 0)
    assert purse.left == 12
    purse.apply(Ended(True, WITHDRAW), 0)
    assert purse.left == 20


def test_a_call_settles_with_its_quota(world: AnyWorld) -> None:
    """Two retries were paid, and the success brings back what the last one cost; a rejected answer brings nothing."""
    quota = RetryQuota(capacity=100)
    state = quota.memory(world.runtime.now)
    scripts = [respond(503), respond(429), respond(200), respond(404), respond(200)]
    chain = Chain(world.runtime, [RetryConfig(strategy=PAUSE, budget=quota, state=state)], scripts)

    async def body() -> list[float]:
        left = []
        for _ in range(3):
            await chain.send()
            look = await state.apply("https://api.test:443", LOOK)
            assert look.value is not None
            left.append(look.value * 100)
        return left

    assert world.run(body) == pytest.approx([100 - 14 - 5 + 5, 86, 87])


def test_a_purse_says_what_is_left_and_whether_it_is_enough() -> None:
    """For a retry after a failure: 14 of 28 pay for one more, and 0 for none. The least cost is one."""
    purse = QuotaPurse(RetryQuota(capacity=28))
    seen = []
    for _ in range(3):
        look = purse.apply(LOOK, 0)
        seen.append((look.verdict, look.value, look.reason, purse.apply(WITHDRAW, 0).reason))
    assert seen == [("allow", 1, "", ""), ("allow", 0.5, "", ""), ("refuse", 0, "budget", "budget")]
    assert RetryQuota(capacity=1, transient=1, throttled=1).cost(WITHDRAW) == 1


# ---------------------------------------------------------------------- failures against successes


def test_a_throttle_stops_retries_at_half_of_its_tokens() -> None:
    """5 failures of 10 tokens; one success more than half opens it again, with three decimals."""
    count = ThrottleCount(RetryThrottle())
    for _ in range(4):
        count.apply(FAILED, 0)
    assert [paid(count), paid(count)] == [True, True]
    count.apply(FAILED, 0)
    assert not paid(count)
    count.apply(SUCCEEDED, 0)
    assert paid(count)
    assert ThrottleCount(RetryThrottle(token_ratio=0.1234)).apply(LOOK, 0).value == 1


def test_a_throttle_says_how_far_it_is_above_half() -> None:
    """Whole, half of the way, at half: there both a look and a withdrawal are refused. It never falls below nothing."""
    count = ThrottleCount(RetryThrottle(max_tokens=4, token_ratio=1))
    seen = []
    for _ in range(3):
        look = count.apply(LOOK, 0)
        seen.append((look.verdict, look.value, look.reason, count.apply(WITHDRAW, 0).reason))
        count.apply(FAILED, 0)
    assert seen == [("allow", 1, "", ""), ("allow", 0.5, "", ""), ("refuse", 0, "budget", "budget")]
    for _ in range(9):
        count.apply(FAILED, 0)
    assert count.left == 0


def test_a_call_counts_each_attempt_that_failed(world: AnyWorld) -> None:
    """After five failed attempts of whatever call there are no retries any more, until successes have come."""
    answers = iter([503] * 6 + [200] * 21 + [503, 200])
    chain = Chain(
        world.runtime,
        [RetryConfig(strategy=PAUSE, budget=RetryThrottle())],
        lambda request, index: respond(next(answers)),
    )

    async def body() -> list[str]:
        decisions = []
        for _ in range(3):
            await chain.send()
            decisions.append(chain.decisions[-1])
        for _ in range(21):
            await chain.send()
        await chain.send()
        return [*decisions, *chain.decisions]

    assert world.run(body) == ["attempts exhausted", "budget", "budget", "retry", "return"]


def test_an_answer_that_is_no_failure_of_the_server_counts_as_nothing(world: AnyWorld) -> None:
    """Ten requests for what is not there leave every retry to the call that needs one."""
    answers = iter([404] * 10 + [503, 200])
    chain = Chain(
        world.runtime,
        [RetryConfig(strategy=PAUSE, budget=RetryThrottle())],
        lambda request, index: respond(next(answers)),
    )

    async def body() -> list[str]:
        for _ in range(11):
            await chain.send()
        return chain.decisions

    assert world.run(body) == ["retry", "return"]


@pytest.mark.parametrize(("nobody", "sent"), [(False, 5), (True, 20)])
def test_a_request_that_was_never_taken_up_is_no_failure(world: AnyWorld, nobody: bool, sent: int) -> None:
    """No free connection, or a refused stream, speaks not against the server; a refused connection does."""

    def answer(request: Request, index: int) -> Script:
        if nobody:
            raise PoolTimeout("all in use")
        return Script(Refuse())

    retry = RetryConfig(strategy=PAUSE, budget=RetryThrottle(), max_attempts=20)
    chain = Chain(world.runtime, [retry], answer)

    async def body() -> int:
        with pytest.raises(Exception, match=r"in use|refused"):
            await chain.send()
        assert chain.call is not None
        return len(chain.call.attempts)

    assert world.run(body) == sent


# ---------------------------------------------------------------------- all of them


BUDGETS: tuple[Any, ...] = (RetryBudget(), RetryQuota(), RetryThrottle())


@pytest.mark.parametrize("budget", BUDGETS)
def test_each_budget_ends_the_retries_of_an_outage(world: AnyWorld, budget: Budget) -> None:
    """T19: of 300 calls within a second that all fail, few are made again, and the record says why not the others."""
    chain = Chain(world.runtime, [RetryConfig(strategy=ConstantBackoff(base=1e-3), budget=budget)], respond(503))

    async def body() -> None:
        for _ in range(300):
            await chain.send()

    world.run(body)
    assert 300 < len(chain.arrivals) <= 341
    assert chain.decisions == ["budget"]


@pytest.mark.parametrize("budget", BUDGETS)
def test_all_answer_the_same_commands(world: AnyWorld, budget: Budget) -> None:
    """So that hedges, which withdraw like a retry, share any of them with retries."""
    state = budget.memory(world.runtime.now)

    async def body() -> list[str]:
        commands = (DEPOSIT, WITHDRAW, FAILED, SUCCEEDED, LOOK)
        return [(await state.apply("https://a.test:443", command)).verdict for command in commands]

    assert world.run(body) == ["allow"] * 5


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (RetryBudget, {"ratio": -0.1}),
        (RetryBudget, {"ratio": 2}),
        (RetryBudget, {"min_per_second": -1}),
        (RetryBudget, {"burst": 0}),
        (RetryQuota, {"capacity": 13}),
        (RetryQuota, {"transient": 0}),
        (RetryQuota, {"throttled": 0}),
        (RetryQuota, {"first_success": -1}),
        (RetryThrottle, {"max_tokens": 0}),
        (RetryThrottle, {"max_tokens": 1001}),
        (RetryThrottle, {"token_ratio": 0}),
    ],
)
def test_an_impossible_budget_is_refused(kind: Any, options: dict[str, float]) -> None:
    """The message names the option and its value."""
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigurationError, match=re.escape(f"{kind.__name__}({name}={value}")):
        kind(**options)


@pytest.mark.parametrize(
    ("kind", "options", "give"),
    [
        (RetryBudget, {"min_per_second": -1}, "a number, 0 or more"),
        (RetryBudget, {"burst": 0.5}, "a number, 1 or more; with less no retry is ever paid"),
        (RetryQuota, {"capacity": 13}, "a whole number, 14 or more; with less than a retry costs none is ever paid"),
        (RetryThrottle, {"token_ratio": 0}, "a number, 0.001 or more"),
    ],
)
def test_the_refusal_of_an_option_says_what_to_give(kind: Any, options: dict[str, float], give: str) -> None:
    """In what unit, how much at least, and why where a range alone explains too little."""
    with pytest.raises(ConfigurationError, match=rf": give {re.escape(give)}$"):
        kind(**options)


def test_the_largest_throttle_is_a_thousand() -> None:
    """Tokens, as in the proposal."""
    assert RetryThrottle(max_tokens=1000).max_tokens == 1000


@pytest.mark.parametrize("budget", [RetryBudget, 0.1, object()])
def test_what_is_no_budget_is_refused(budget: Any) -> None:
    """A class, a number."""
    with pytest.raises(ConfigurationError, match=r"RetryConfig\(budget="):
        RetryConfig(budget=budget)
