"""Retry: what is sent again, when, and what stands at the end."""

from __future__ import annotations

import pickle
import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import RetryDecided
from rest_api_client.exceptions import (
    CircuitOpenError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    HookError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    ServerError,
)
from rest_api_client.forecast import Forecast
from rest_api_client.http.bodies import BytesBody, OneShotBody
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import (
    ExponentialBackoff,
    LinearBackoff,
    Retry,
    RetryContext,
    RetryStrategy,
    Stop,
)
from rest_api_client.policies.budget import DEPOSIT, RetryBudget, Withdraw
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.retry import DECISIONS, SPREAD, RetryConfig
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.script import Chunk, Delay, Garbage, Head, Refuse, Reset, Script, Stall
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

AnyWorld = World[Any]
PLAIN = ExponentialBackoff(jitter="none")


def chain_of(world: AnyWorld, scripts: Any, *more: Any, **options: Any) -> Chain:
    """Retries without jitter over these scripts."""
    return Chain(world.runtime, [RetryConfig(**{"strategy": PLAIN} | options), *more], scripts)


def failing(world: AnyWorld, chain: Chain, request: Request | None = None, **options: Any) -> Exception:
    """Send, and give the error."""

    async def body() -> Exception:
        try:
            await chain.send(request, **options)
        except Exception as error:
            return error
        raise AssertionError("no error")

    return world.run(body)


# ---------------------------------------------------------------------- how often, and how long between


def test_a_503_is_sent_again_and_the_answer_returned(world: AnyWorld) -> None:
    """Two failures and a success make three attempts, with the back-off between them, all on record."""
    chain = chain_of(world, [respond(503), respond(503), respond(200)])
    response = world.run(chain.send)
    assert response.status_code == 200
    assert chain.arrivals == [0, 0.5, 1.5]
    assert chain.decisions == ["retry", "retry", "return"]
    assert [attempt.delay for attempt in chain.call.attempts] == [0.5, 1.0, None]
    told = [(e.attempt, e.decision, e.delay, e.reason) for e in chain.events if isinstance(e, RetryDecided)]
    assert told == [(1, "retry", 0.5, "status 503"), (2, "retry", 1.0, "status 503")]


def test_the_last_answer_is_returned_when_the_attempts_are_used_up(world: AnyWorld) -> None:
    """Three attempts by default; what came last stands."""
    chain = chain_of(world, [respond(503), respond(502), respond(500)])
    assert world.run(chain.send).status_code == 500
    assert chain.decisions == ["retry", "retry", "attempts exhausted"]


def test_the_last_error_is_raised_when_the_attempts_are_used_up(world: AnyWorld) -> None:
    """T26: the real error, of its real class, not a complaint about the retries."""
    chain = chain_of(world, [Script(Refuse()), Script(Reset())], max_attempts=2)
    error = failing(world, chain)
    assert isinstance(error, ReadError)
    assert error.__cause__ is None
    assert chain.decisions == ["retry", "attempts exhausted"]


@pytest.mark.parametrize(("asked", "sent"), [({}, 3), ({"max_retries": 0}, 1), ({"max_retries": 4}, 5)])
def test_a_call_may_choose_its_own_number_of_retries(world: AnyWorld, asked: dict[str, int], sent: int) -> None:
    """`max_attempts = max_retries + 1`, also for one call."""
    chain = chain_of(world, respond(503))
    world.run(lambda: chain.send(**asked))
    assert len(chain.arrivals) == sent


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 501])
def test_what_would_be_refused_again_is_not_sent_again(world: AnyWorld, status: int) -> None:
    """The same request would get the same answer."""
    chain = chain_of(world, respond(status))
    assert world.run(chain.send).status_code == status
    assert chain.decisions == ["not retryable"]


@pytest.mark.parametrize("status", [429, 503])
def test_where_the_server_says_that_it_is_of_no_use_nothing_is_sent_again(world: AnyWorld, status: int) -> None:
    """T28: it stays a failure, for those who count them; the decision says who ended it."""
    chain = chain_of(world, respond(status, headers={"x-should-retry": "false"}))
    assert world.run(chain.send).status_code == status
    assert chain.decisions == ["server says no"]
    assert [attempt.reason for attempt in chain.call.attempts] == [f"status {status}"]


def test_an_error_that_is_not_of_this_library_passes_at_once(world: AnyWorld) -> None:
    """A bug is not retried."""

    def answer(request: Request, index: int) -> Script:
        raise ZeroDivisionError

    chain = chain_of(world, answer)
    assert isinstance(failing(world, chain), ZeroDivisionError)
    assert chain.decisions == ["not retryable"]


def test_cancelling_is_never_retried(world: AnyWorld) -> None:
    """T26: a cancelled call ends in its first attempt."""
    chain = chain_of(world, Script(Stall()))

    async def body() -> None:
        task = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        task.cancel()
        await world.runtime.sleep(1000)

    world.run(body)
    assert len(chain.arrivals) == 1
    assert [attempt.reason for attempt in chain.call.attempts] == ["cancelled"]


def test_an_interrupt_is_never_retried(world: AnyWorld) -> None:
    """T26: Ctrl-C passes at once."""

    async def proceed(request: Request, context: Context) -> Response:
        raise KeyboardInterrupt

    async def body() -> None:
        call = Call(world.runtime, random.Random(1))
        await RetryConfig(budget=None)(a_request(), Context(call), proceed)

    with pytest.raises(KeyboardInterrupt):
        world.run(body)


def test_ten_minutes_of_back_off_cost_no_time(world: AnyWorld) -> None:
    """Under a virtual clock, in all three runtimes."""
    chain = chain_of(world, [respond(503), respond(200)], strategy=LinearBackoff(base=600, cap=600, jitter="none"))
    world.run(chain.send)
    assert chain.arrivals == [0, 600]


# ---------------------------------------------------------------------- what is safe


def post(**fields: Any) -> Request:
    return a_request("POST", body=BytesBody(b"{}"), **fields)


@pytest.mark.parametrize("script", [respond(503), Script(Stall()), Script(Reset()), Script(Garbage(b"x"))])
def test_a_post_that_may_have_been_executed_is_not_sent_again(world: AnyWorld, script: Script) -> None:
    """T6: neither after a 503, nor a timeout, nor a broken connection."""
    chain = chain_of(world, script)

    async def body() -> None:
        with suppress(ReadTimeout, ReadError, RemoteProtocolError):
            await chain.send(post())

    world.run(body)
    assert len(chain.arrivals) == 1
    assert chain.decisions == ["not safe to resend"]


@pytest.mark.parametrize("script", [Script(Refuse()), respond(429), respond(425)])
def test_a_post_that_was_provably_not_executed_is_sent_again(world: AnyWorld, script: Script) -> None:
    """T6: a refused connection, and answers that say the request was not looked at."""
    chain = chain_of(world, [script, respond(201)])
    assert world.run(lambda: chain.send(post())).status_code == 201
    assert chain.decisions == ["retry", "return"]


def test_a_post_with_an_idempotency_key_is_sent_again(world: AnyWorld) -> None:
    """T6: the server recognises the repeat, because the key stays the same."""
    chain = chain_of(world, [respond(503), respond(201)])
    world.run(lambda: chain.send(post(headers={"idempotency-key": "k1"})))
    assert [arrival.request.idempotency_key for arrival in chain.server.requests] == ["k1", "k1"]


@pytest.mark.parametrize(("config", "call"), [({"retry_unsafe": True}, {}), ({}, {"retry_unsafe": True})])
def test_whoever_insists_gets_unsafe_retries(world: AnyWorld, config: dict[str, Any], call: dict[str, Any]) -> None:
    """`retry_unsafe`, in the policy or for one call."""
    chain = chain_of(world, [respond(503), respond(201)], **config)
    assert world.run(lambda: chain.send(post(), **call)).status_code == 201


def test_a_call_may_be_more_careful_than_its_client(world: AnyWorld) -> None:
    """`retry_unsafe=False` for one call."""
    chain = chain_of(world, [respond(503)], retry_unsafe=True)
    assert world.run(lambda: chain.send(post(), retry_unsafe=False)).status_code == 503


def test_a_body_that_is_gone_is_never_sent_again(world: AnyWorld) -> None:
    """Not even with `retry_unsafe`: the server would get an empty one."""
    chain = chain_of(world, [respond(503)], retry_unsafe=True)
    request = a_request("PUT", body=OneShotBody(iter([b"once"])))
    assert world.run(lambda: chain.send(request)).status_code == 503
    assert chain.decisions == ["not safe to resend"]


def test_errors_while_the_body_is_read_count(world: AnyWorld) -> None:
    """The attempt ends with its body."""
    broken = Script(Head(200, {"content-length": "9"}), Chunk(b"half"), Reset())  # type: ignore[arg-type]
    chain = chain_of(world, [broken, respond(200, content=b"the whole")])
    assert world.run(chain.send).content == b"the whole"


def test_a_failed_answer_is_closed_before_the_wait(world: AnyWorld) -> None:
    """T8: a streamed 503 gives its connection back first, and then the back-off begins."""
    closed: list[float] = []

    class Body:
        def __aiter__(self) -> Any:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            closed.append(world.runtime.now())

    async def proceed(request: Request, context: Context) -> Response:
        return Response(200 if closed else 503, stream=Body())

    async def body() -> tuple[Response, float]:
        call = Call(world.runtime, random.Random(1))
        response = await RetryConfig(strategy=PLAIN, budget=None)(a_request(), Context(call), proceed)
        return response, world.runtime.now()

    response, ended = world.run(body)
    assert (closed, ended) == ([0], 0.5)
    assert response.stream is not None


def test_an_answer_is_closed_when_the_strategy_fails(world: AnyWorld) -> None:
    """T8: the error is the strategy's; the connection behind the streamed 503 is given back all the same."""
    closed: list[float] = []

    class Body:
        def __aiter__(self) -> Any:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            closed.append(world.runtime.now())

    class Failing(Eager):
        def get_delay(self, attempt: int) -> float:
            raise ZeroDivisionError

    async def proceed(request: Request, context: Context) -> Response:
        return Response(503, stream=Body())

    async def body() -> None:
        context = Context(Call(world.runtime, random.Random(1)))
        with pytest.raises(ZeroDivisionError):
            await RetryConfig(strategy=Failing(), budget=None)(a_request(), context, proceed)

    world.run(body)
    assert closed == [0]


# ---------------------------------------------------------------------- Retry-After


def test_a_retry_after_is_waited_for_and_a_little_more(world: AnyWorld) -> None:
    """T5: never early, whatever the cap of the back-off; at most a tenth late."""
    config = {"strategy": ExponentialBackoff(cap=1)}
    chain = chain_of(world, [respond(503, headers={"retry-after": "30"}), respond(200)], **config)
    world.run(chain.send)
    assert 30 < chain.arrivals[1] <= 30 * (1 + SPREAD)


def test_a_longer_back_off_wins_over_a_retry_after(world: AnyWorld) -> None:
    """T5: the header is a lower bound."""
    config = {"strategy": LinearBackoff(base=9, jitter="none")}
    chain = chain_of(world, [respond(503, headers={"retry-after": "2"}), respond(200)], **config)
    world.run(chain.send)
    assert chain.arrivals == [0, 9]


def test_a_date_is_counted_from_the_arrival(world: AnyWorld) -> None:
    """T5: an HTTP date 20 s ahead is 20 s; the virtual wall clock starts in 2030."""
    date = "Tue, 01 Jan 2030 00:00:20 GMT"
    chain = chain_of(world, [respond(503, headers={"retry-after": date}), respond(200)])
    world.run(chain.send)
    assert 20 <= chain.arrivals[1] <= 22


@pytest.mark.parametrize(
    "value", ["Sat, 01 Jan 2000 00:00:00 GMT", "nan", "inf", "-5", "soon", "", "1e3", "Tue, 01 Jan 2030"]
)
def test_a_retry_after_that_says_nothing_means_back_off(world: AnyWorld, value: str) -> None:
    """T5: a past date, no number, no date: the strategy's own delay, neither zero nor an error."""
    chain = chain_of(world, [respond(503, headers={"retry-after": value}), respond(200)])
    world.run(chain.send)
    assert chain.arrivals == [0, 0.5]


def test_a_retry_after_beyond_the_limit_stands_at_once(world: AnyWorld) -> None:
    """T5: not min(asked, limit), which would come early: the answer is returned now, and says how long."""
    chain = chain_of(world, respond(429, headers={"retry-after": "61"}))
    response = world.run(chain.send)
    assert world.clock.monotonic() == 0
    assert response.error().retry_after == 61  # type: ignore[attr-defined]
    assert chain.decisions == ["retry-after too long"]


def test_the_limit_is_held_against_what_was_asked_not_against_the_jittered_wait(world: AnyWorld) -> None:
    """T5: exactly the limit is still waited for."""
    chain = chain_of(world, [respond(429, headers={"retry-after": "60"}), respond(200)])
    world.run(chain.send)
    assert 60 <= chain.arrivals[1] <= 66


def test_a_retry_after_can_be_ignored(world: AnyWorld) -> None:
    """`respect_retry_after=False` leaves the back-off alone."""
    chain = chain_of(world, [respond(503, headers={"retry-after": "99"}), respond(200)], respect_retry_after=False)
    world.run(chain.send)
    assert chain.arrivals == [0, 0.5]


# ---------------------------------------------------------------------- what else stands against a retry


def test_a_wait_that_does_not_fit_into_the_deadline_is_not_begun(world: AnyWorld) -> None:
    """T26: the 503 is returned at once instead of a deadline error a second later."""
    chain = chain_of(world, respond(503), Deadline(seconds=1.5))
    assert world.run(chain.send).status_code == 503
    assert chain.arrivals == [0, 0.5]
    assert chain.decisions == ["retry", "deadline"]
    assert world.clock.monotonic() == 0.5


def test_a_passed_deadline_is_not_retried(world: AnyWorld) -> None:
    """However many attempts are left."""
    chain = chain_of(world, Script(Stall()))

    def answer(request: Request, index: int) -> Script:
        raise DeadlineExceeded("some inner policy saw no time left")

    chain = chain_of(world, answer)
    assert isinstance(failing(world, chain), DeadlineExceeded)
    assert chain.decisions == ["deadline"]


def test_an_empty_budget_ends_the_retries(world: AnyWorld) -> None:
    """The answer stands; per origin, so that another one can still retry."""
    chain = chain_of(world, respond(503), budget=RetryBudget(ratio=0, min_per_second=0, burst=1), max_attempts=2)

    async def body() -> None:
        for url in ("https://a.test/", "https://a.test/", "https://b.test/"):
            assert (await chain.send(a_request(url=url))).status_code == 503

    world.run(body)
    assert [arrival.request.url.host for arrival in chain.server.requests] == ["a.test"] * 3 + ["b.test"] * 2
    assert chain.decisions == ["retry", "attempts exhausted"]


def test_vetoes_cost_no_budget(world: AnyWorld) -> None:
    """T19: a retry that does not fit, is unsafe, or is one too many leaves the budget's only token there."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=1)
    chain = chain_of(world, respond(503), Deadline(seconds=None), budget=budget)

    async def body() -> None:
        await chain.send(deadline=0.5)
        assert chain.decisions == ["deadline"]
        await chain.send(post())
        assert chain.decisions == ["not safe to resend"]
        await chain.send(max_retries=0)
        assert chain.decisions == ["attempts exhausted"]
        await chain.send(max_retries=1)
        assert chain.decisions == ["retry", "attempts exhausted"]
        await chain.send(max_retries=1)
        assert chain.decisions == ["budget"]

    world.run(body)


class Ledger:
    """A budget's state that pays for everything and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    async def apply(self, key: str, command: Any) -> Decision:
        self.asked.append((key, command))
        return ALLOW


@pytest.mark.parametrize(
    ("answer", "options", "kind"),
    [
        (respond(503), {}, "transient"),
        (respond(503, headers={"retry-after": "1"}), {}, "transient"),
        (respond(429), {}, "throttled"),
        (respond(429, headers={"retry-after": "1"}), {}, "asked"),
        (respond(429, headers={"retry-after": "1"}), {"respect_retry_after": False}, "throttled"),
        (Script(Refuse()), {}, "transient"),
    ],
)
def test_a_budget_is_told_what_the_retry_is_for(
    world: AnyWorld, answer: Script, options: dict[str, Any], kind: str
) -> None:
    """T19: the call first, then each retry: after a failure, after throttling, or at the moment the server named."""
    ledger = Ledger()
    chain = chain_of(world, [answer, respond(200)], state=ledger, **options)
    world.run(chain.send)
    assert ledger.asked == [("https://api.test:443", DEPOSIT), ("https://api.test:443", Withdraw(kind))]  # type: ignore[arg-type]


def test_each_call_pays_in_once(world: AnyWorld) -> None:
    """T19: with half a retry per call and none saved, every other call is made again; each origin pays for itself."""
    chain = chain_of(
        world, respond(503), budget=RetryBudget(ratio=0.5, min_per_second=0, burst=1), max_attempts=2, strategy=PLAIN
    )

    async def body() -> list[str]:
        made = []
        for host in "aaaabab":
            await chain.send(a_request(url=f"https://{host}.test/"))
            made.append(chain.decisions[0])
        return made

    assert world.run(body) == ["retry", "budget", "retry", "budget", "retry", "retry", "budget"]


def test_a_state_without_a_budget_is_never_asked(world: AnyWorld) -> None:
    """`budget=None` is no limit, whatever state is given beside it; neither a retry nor a forecast asks."""
    ledger = Ledger()
    chain = chain_of(world, [respond(503), respond(200)], budget=None, state=ledger)

    async def body() -> Any:
        await chain.send()
        return (await chain.pipeline.forecast(a_request(), Context(Call(world.runtime, chain.random))))[0]

    forecast = world.run(body)
    assert forecast.facts == {"max_attempts": 3, "safe": True, "budget": None}
    assert ledger.asked == []
    assert chain.decisions == ["retry", "return"]


def test_a_wait_the_server_asked_for_costs_no_budget(world: AnyWorld) -> None:
    """A 429 with Retry-After is traffic control, not overload from retries; a bare 429 is paid for."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=1)
    asked = respond(429, headers={"retry-after": "1"})
    chain = chain_of(world, [asked, asked, respond(429), respond(429)], budget=budget, max_attempts=9)
    assert world.run(chain.send).status_code == 429
    assert chain.decisions == ["retry", "retry", "retry", "budget"]


def test_without_a_budget_only_the_attempts_count(world: AnyWorld) -> None:
    """`budget=None` is no limit."""
    chain = chain_of(world, respond(503), budget=None, max_attempts=40)
    world.run(chain.send)
    assert len(chain.arrivals) == 40


def test_a_circuit_that_opens_between_attempts_does_not_hide_the_error_before(world: AnyWorld) -> None:
    """T26: CircuitOpenError is raised from the refused connection that opened it."""
    chain = chain_of(world, Script(Refuse()), CircuitBreaker(min_calls=1))
    error = failing(world, chain)
    assert isinstance(error, CircuitOpenError)
    assert isinstance(error.__cause__, ConnectError)


def test_a_refusal_before_anything_was_met_has_no_cause(world: AnyWorld) -> None:
    """The circuit was open when the call began."""
    chain = chain_of(world, respond(503), CircuitBreaker(min_calls=1))

    async def body() -> Exception:
        await chain.send(max_retries=0)
        with pytest.raises(CircuitOpenError) as caught:
            await chain.send()
        return caught.value

    assert world.run(body).__cause__ is None


# ---------------------------------------------------------------------- strategies


class OnlyTwice(RetryStrategy):
    """The user's own: 503 alone, two attempts, a fixed delay."""

    def should_retry(self, response: Response | None, attempt: int) -> bool:
        return attempt < 2 and response is not None and response.status_code == 503

    def get_delay(self, attempt: int) -> float:
        return 7.0


def test_a_strategy_of_two_methods_is_enough(world: AnyWorld) -> None:
    """It narrows what is retried: a 502 it does not name is not."""
    chain = chain_of(world, [respond(503), respond(503), respond(502)], strategy=OnlyTwice(), max_attempts=9)

    async def body() -> None:
        await chain.send()
        assert chain.decisions == ["retry", "strategy"]
        await chain.send()
        assert chain.decisions == ["strategy"]

    world.run(body)
    assert chain.arrivals == [0, 7, 7]


class Eager(OnlyTwice):
    """Wants everything again, at once."""

    def should_retry(self, response: Response | None, attempt: int) -> bool:
        return True

    def get_delay(self, attempt: int) -> float:
        return 0.0


def test_a_strategy_cannot_widen_what_is_safe(world: AnyWorld) -> None:
    """T6: neither a POST nor a 404 is sent again because a strategy would like it."""
    chain = chain_of(world, [respond(503), respond(404)], strategy=Eager())

    async def body() -> None:
        await chain.send(post())
        await chain.send()

    world.run(body)
    assert len(chain.arrivals) == 2


class Knowing(Eager):
    """Decides by all it may know."""

    def __init__(self) -> None:
        self.seen: list[RetryContext] = []

    def decide(self, context: RetryContext) -> Retry | Stop:
        self.seen.append(context)
        return Retry(context.previous_delay + 2) if len(self.seen) < 3 else Stop("had enough")


def test_a_richer_strategy_sees_the_whole_story(world: AnyWorld) -> None:
    """Request, answer or error, outcome, delays, time and history; its reason becomes the decision."""
    strategy = Knowing()
    chain = chain_of(world, [respond(503), Script(Delay(1), Reset()), respond(503)], strategy=strategy, max_attempts=9)
    world.run(chain.send)
    first, second, third = strategy.seen
    assert first.response is not None
    assert first.response.status_code == 503
    assert first.error is None
    assert isinstance(second.error, ReadError)
    assert second.response is None
    assert [seen.attempt for seen in strategy.seen] == [1, 2, 3]
    assert [seen.previous_delay for seen in strategy.seen] == [0, 2, 4]
    assert [seen.elapsed for seen in strategy.seen] == [0, 3, 7]
    assert [len(seen.history) for seen in strategy.seen] == [1, 2, 3]
    assert third.outcome.kind is Kind.FAILED
    assert chain.decisions == ["retry", "retry", "had enough"]


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_a_delay_that_is_none_is_an_error_of_the_strategy(world: AnyWorld, delay: float) -> None:
    """The message names strategy and value, instead of a storm or an endless sleep."""

    class Broken(Eager):
        def get_delay(self, attempt: int) -> float:
            return delay

    error = failing(world, chain_of(world, respond(503), strategy=Broken()))
    assert isinstance(error, HookError)
    assert f"Broken gave a delay of {delay!r}" in str(error)
    assert error.request is not None


@pytest.mark.parametrize("delay", [0, 0.0, 1_000_000])
def test_the_shortest_and_the_longest_delay_are_obeyed(world: AnyWorld, delay: float) -> None:
    """From no time at all to eleven days, whole numbers too."""

    class Steady(Eager):
        def get_delay(self, attempt: int) -> float:
            return delay

    chain = chain_of(world, [respond(503), respond(200)], strategy=Steady())
    world.run(chain.send)
    assert chain.arrivals == [0, delay]


@pytest.mark.parametrize(("said", "kind"), [(None, "NoneType"), (7.0, "float"), (True, "bool")])
def test_a_decision_that_is_none_is_an_error_of_the_strategy(world: AnyWorld, said: Any, kind: str) -> None:
    """A `decide` that forgets its `return`, or gives a number, is named, instead of ending the retries in silence."""

    class Forgetful(Eager):
        def decide(self, context: RetryContext) -> Any:
            return said

    error = failing(world, chain_of(world, respond(503), strategy=Forgetful()))
    assert isinstance(error, HookError)
    assert f"Forgetful decided {kind}: give Retry(delay) or Stop()" in str(error)
    assert error.request is not None


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 2.0},
        {"max_retries": -1},
        {"max_retry_after": -1},
        {"max_retry_after": float("inf")},
        {"strategy": ExponentialBackoff},
        {"retry_unsafe": "no"},
        {"retry_nested": 1},
        {"respect_retry_after": None},
    ],
)
def test_an_impossible_option_is_refused(options: dict[str, Any]) -> None:
    """The message names the option."""
    with pytest.raises(ConfigurationError, match=rf"RetryConfig\({next(iter(options))}="):
        RetryConfig(**options)


def test_the_least_of_everything_is_allowed(world: AnyWorld) -> None:
    """No retries, and no patience with a Retry-After."""
    assert RetryConfig(max_retries=0).max_attempts == 1
    chain = chain_of(world, respond(503, headers={"retry-after": "1"}), max_retry_after=0)
    world.run(chain.send)
    assert chain.decisions == ["retry-after too long"]


def test_both_ways_to_count_must_agree() -> None:
    """max_attempts = max_retries + 1, and two figures that say otherwise are an error."""
    assert RetryConfig(max_attempts=3, max_retries=2) == RetryConfig(max_retries=2) == RetryConfig()
    with pytest.raises(ConfigurationError, match="contradict"):
        RetryConfig(max_attempts=3, max_retries=3)


def test_a_config_is_a_value() -> None:
    """It compares, pickles and is replaced, and a bound one keeps its budget."""
    config = RetryConfig(max_retries=4, strategy=LinearBackoff(base=2))
    assert pickle.loads(pickle.dumps(config)) == config
    assert replace(config, max_attempts=7).max_attempts == 7
    assert replace(config, retry_unsafe=True).max_attempts == 5


def test_a_shared_budget_is_kept(world: AnyWorld) -> None:
    """`state=` given: bind changes nothing; without a budget there is nothing to bind."""
    bound = RetryConfig().bind(world.runtime)
    assert bound.bind(world.runtime) is bound
    bare = RetryConfig(budget=None)
    assert bare.bind(world.runtime) is bare


def test_the_words_for_decisions_are_fixed() -> None:
    """Dashboards are built on them."""
    assert set(DECISIONS) == {
        "return",
        "retry",
        "not retryable",
        "server says no",
        "deadline",
        "attempts exhausted",
        "not safe to resend",
        "nested retry",
        "strategy",
        "retry-after too long",
        "budget",
    }


def test_server_errors_are_still_the_clients_to_raise(world: AnyWorld) -> None:
    """The policy returns the 503; its error is made by whoever asks for it."""
    chain = chain_of(world, respond(503), max_attempts=1)
    assert isinstance(world.run(chain.send).error(), ServerError)


# ---------------------------------------------------------------------- what is raised says when to come back


@pytest.mark.parametrize("status", [413, 429, 503])
def test_what_is_raised_says_when_to_come_back(world: AnyWorld, status: int) -> None:
    """T5: `retry_after` is on the error of any status, not on that of a 429 alone."""
    chain = chain_of(world, respond(status, headers={"retry-after": "61"}))
    error = world.run(chain.send).error()
    assert error.retry_after == 61
    assert pickle.loads(pickle.dumps(error)).retry_after == 61


def test_an_error_that_holds_an_answer_counts_as_that_answer(world: AnyWorld) -> None:
    """T5: a hook that raises for a 503 changes neither the wait nor what stands."""
    answers = [respond(503, headers={"retry-after": "5"}), respond(503, headers={"retry-after": "61"})]

    class Raising:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
            response: Response = (await proceed(request, context)).raise_for_status()
            return response

    chain = chain_of(world, answers, Raising())
    error = failing(world, chain)
    assert isinstance(error, ServerError)
    assert error.retry_after == 61
    assert 5 <= chain.arrivals[1] <= 5.5
    assert chain.decisions == ["retry", "retry-after too long"]


# ---------------------------------------------------------------------- retries inside retries


def nested(world: AnyWorld, *, answers: Any = None, **options: Any) -> tuple[Chain, Chain]:
    """A chain whose every attempt is a call of another chain, which retries by itself."""
    inner = chain_of(world, answers or respond(503), budget=None, **options)

    class Within:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
            response = await inner.send()
            await proceed(request, context)
            return response

    return chain_of(world, respond(200), Within(), budget=None), inner


def test_retries_inside_retries_do_not_multiply(world: AnyWorld) -> None:
    """T10: three attempts of three attempts are five requests, not nine."""
    outer, inner = nested(world)
    world.run(outer.send)
    assert len(inner.arrivals) == 5
    assert outer.decisions == ["retry", "retry", "attempts exhausted"]
    assert inner.decisions == ["nested retry"]


def test_whoever_insists_gets_nested_retries(world: AnyWorld) -> None:
    """T10: `retry_nested=True` for an inner client that knows what it does."""
    outer, inner = nested(world, retry_nested=True)
    world.run(outer.send)
    assert len(inner.arrivals) == 9


def test_a_task_that_outlives_a_retry_is_free_again(world: AnyWorld) -> None:
    """T10: what a second attempt started in the background retries by itself once that attempt is over."""
    background = chain_of(world, [respond(503), respond(200)])
    tasks = []

    async def later() -> None:
        await world.runtime.sleep(100)
        await background.send()

    class Starting:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
            tasks.append(world.runtime.spawn(later))
            response: Response = await proceed(request, context)
            return response

    outer = chain_of(world, [respond(503), respond(503)], Starting(), max_attempts=2)

    async def body() -> None:
        await outer.send()
        tasks.pop(0).cancel()
        await tasks.pop().join()

    world.run(body)
    assert background.decisions == ["retry", "return"]


def test_an_error_that_is_called_fine_is_raised_all_the_same(world: AnyWorld) -> None:
    """A classifier that says so ends the retries, and the caller has no answer for it."""
    policy = RetryConfig().bind(world.runtime)

    async def proceed(request: Request, context: Context) -> Response:
        raise ReadError("cut off")

    async def body() -> None:
        call = Call(world.runtime, random.Random(1), classify=lambda request, result: Outcome(Kind.OK, "fine"))
        with pytest.raises(ReadError):
            await policy(a_request(), Context(call), proceed)

    world.run(body)


# ---------------------------------------------------------------------- what would happen


@pytest.mark.parametrize(
    ("request_", "options", "reason", "words"),
    [
        (a_request(), {}, "ok", "at most 2 times"),
        (a_request(), {"max_retries": 0}, "attempts exhausted", "never"),
        (a_request(), {"max_retries": 1}, "ok", "at most once"),
        (post(), {}, "not safe to resend", "POST is not idempotent, and it has no idempotency key"),
        (post(), {"retry_unsafe": True}, "ok", "at most 2 times"),
        (post(headers={"idempotency-key": "k"}), {}, "ok", "at most 2 times"),
        (a_request("PUT", body=OneShotBody(iter([b"x"]))), {}, "not safe to resend", "its body cannot be sent twice"),
    ],
)
def test_a_forecast_says_how_often_and_why_not(
    world: AnyWorld, request_: Request, options: dict[str, Any], reason: str, words: str
) -> None:
    """The reasons are those of the decisions; a retry never keeps a request back."""
    retry = RetryConfig().bind(world.runtime)

    async def body() -> Forecast:
        call = Call(world.runtime, random.Random(1), options=CallOptions(**options))
        return await retry.forecast(request_, Context(call))

    forecast = world.run(body)
    assert (forecast.policy, forecast.verdict, forecast.reason) == ("RetryConfig", "pass", reason)
    assert words in forecast.text
    assert forecast.facts["safe"] == (reason != "not safe to resend")


def test_a_forecast_looks_at_the_budget_and_takes_nothing(world: AnyWorld) -> None:
    """Its share that is left is among the facts; None where there is no budget."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=2)
    retry = RetryConfig(budget=budget, strategy=PLAIN, max_attempts=2).bind(world.runtime)
    chain = Chain(world.runtime, [retry], respond(503))

    async def body() -> list[tuple[str, float | None]]:
        told = []
        for _ in range(3):
            for _ in range(2):
                forecast = (await chain.pipeline.forecast(a_request(), Context(Call(world.runtime, chain.random))))[0]
            told.append((forecast.reason, forecast.facts["budget"]))
            await chain.send()
        bare = await RetryConfig(budget=None).forecast(a_request(), Context(Call(world.runtime, chain.random)))
        return [*told, (bare.reason, bare.facts["budget"])]

    assert world.run(body) == [("ok", 1), ("ok", 0.5), ("budget", 0), ("ok", None)]


def test_a_forecast_within_a_retry_says_so(world: AnyWorld) -> None:
    """T10: the reason is that of the decision."""
    told = []

    async def proceed(request: Request, context: Context) -> Response:
        told.append((await RetryConfig(budget=None).forecast(request, context)).reason)
        return Response(503)

    async def body() -> None:
        await RetryConfig(strategy=PLAIN, budget=None)(
            a_request(), Context(Call(world.runtime, random.Random(1))), proceed
        )

    world.run(body)
    assert told == ["ok", "nested retry", "nested retry"]
