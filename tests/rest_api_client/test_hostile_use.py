"""Policies in the hands of a careless programmer, and before a server that means no good.

What is given is wrong in kind, in size or in its moment. What comes back must be one of our errors, raised as early as
it can be, that says what to do; and never somebody else's answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from rest_api_client import (
    AdaptiveConcurrency,
    APIClient,
    AsyncLimiter,
    BearerAuth,
    Bulkhead,
    CircuitBreaker,
    Coalesce,
    ConfigurationError,
    DeadlineHeader,
    Fallback,
    Guard,
    HookError,
    Limiter,
    RateLimit,
    Response,
    RetryConfig,
    ServerPacing,
    Window,
    deadline,
    retry,
)
from rest_api_client.clock import SYSTEM, SystemClock
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import ServerError
from rest_api_client.http.rate_limit_fields import Advice, Reading
from rest_api_client.models import Request
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.policies.budget import RetryQuota
from rest_api_client.policies.dimensions import Bucket
from rest_api_client.policies.quota_state import QuotaState
from rest_api_client.script import Script
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.faces import any_client
from tests.rest_api_client.together import together

AnyWorld = World[Any]
REPLICA = "https://eu.api.test"


def bearer_of(request: Request, number: int) -> Script:
    """A server that says whose request it got."""
    return respond(200, json=request.headers.get("authorization"), delay=5)


async def who(client: Any, runtime: Any, *auths: Any) -> list[Any]:
    """What callers with these credentials of their own are told, who ask the same at the same time."""

    async def ask(options: dict[str, Any]) -> Any:
        return (await client.get("/me", **options)).json()

    return await together(runtime, *((ask, options) for options in auths))


# ---------------------------------------------------------------------- whose answer


def test_no_identity_mixes_up_the_credentials_of_two_calls(world: AnyWorld) -> None:
    """An `identity=` that is too coarse shares no answer between calls that were given different credentials."""
    own: Any = [{"auth": BearerAuth("anna")}, {"auth": BearerAuth("bert")}, {"auth": None}, {}]

    async def body() -> tuple[list[Any], int]:
        engine = ScriptedTransport(bearer_of)
        coalesce = Coalesce(identity=lambda request: "tenant")
        async with any_client(world, engine=engine, coalesce=coalesce, auth=BearerAuth("client")) as client:
            told = await who(client, world.runtime, *own, *own)
            return told, len(engine.requests)

    told, sent = world.run(body)
    assert told == ["Bearer anna", "Bearer bert", None, "Bearer client"] * 2
    assert sent == 4


def test_a_credential_without_a_name_is_the_users_to_tell_apart(world: AnyWorld) -> None:
    """A function that signs has no name: there `identity=` says whose the request is, and answers are shared."""

    def sign(request: Request) -> Request:
        return request.with_headers(authorization="signed")

    async def body() -> tuple[list[Any], int]:
        engine = ScriptedTransport(bearer_of)
        async with any_client(world, engine=engine, coalesce=Coalesce(identity=lambda request: "me")) as client:
            return await who(client, world.runtime, {"auth": sign}, {"auth": sign}), len(engine.requests)

    assert world.run(body) == (["signed", "signed"], 1)


def failing_but_for_the_replica(request: Request, number: int) -> Script:
    """Every server but the replica is down."""
    return respond(200, json="replica") if request.url.host == "eu.api.test" else respond(503)


@pytest.mark.parametrize("when", [None, lambda request, result: True])
def test_a_replica_answers_for_nobody_elses_resources(world: AnyWorld, when: Any) -> None:
    """`/me` of a foreign server is another thing than `/me` here: it fails, and our replica is not asked, nor told."""

    async def body() -> tuple[list[str], Any, str]:
        engine = ScriptedTransport(failing_but_for_the_replica)
        options: Any = {"fallback": Fallback(replica=REPLICA, when=when), "retry": None, "allow_origins": [REPLICA]}
        async with any_client(world, engine=engine, auth=BearerAuth("secret"), **options) as client:
            foreseen = client.explain("GET", "https://other.test/me")
            foreseen = await foreseen if world.name != "sync" else foreseen
            with pytest.raises(ServerError):
                await client.get("https://other.test/me")
            answer = (await client.get("/me")).json()
            return [arrival.request.url.host for arrival in engine.requests], answer, str(foreseen)

    hosts, answer, foreseen = world.run(body)
    assert hosts == ["other.test", "api.test", "eu.api.test"]
    assert answer == "replica"
    assert "if the call fails" not in foreseen


def test_a_replica_with_a_secret_in_it_is_refused_without_showing_it() -> None:
    """The message masks what it shows."""
    with pytest.raises(ConfigurationError) as refused:
        Fallback(replica="https://user:hunter2@eu.api.test/?api_key=hunter2")
    assert "hunter2" not in str(refused.value)


def test_an_answer_that_is_kept_and_given_to_all_is_nobodys_own(world: AnyWorld) -> None:
    """A `call=` that always gives the same object: each caller has a copy, with its own request and record."""
    kept = Response(200, content=b"[1]")

    async def body() -> list[Any]:
        fallback = Fallback(call=lambda request, result: kept)
        async with any_client(world, engine=ScriptedTransport([respond(503)] * 2), fallback=fallback, retry=None) as c:
            return [await c.get("/a"), await c.get("/b")]

    one, other = world.run(body)
    one.headers["x"] = "mine"
    assert (one.url, other.url) == ("https://api.test/a", "https://api.test/b")
    assert "x" not in other.headers
    assert (kept.request, kept.attempts) == (None, ())


def test_a_call_that_gives_the_failed_answer_back_gives_that_one(world: AnyWorld) -> None:
    """Nothing is copied or closed under the caller's hands."""

    async def body() -> Any:
        fallback = Fallback(call=lambda request, result: result)
        options: Any = {"fallback": fallback, "retry": None, "raise_for_status": False}
        async with any_client(world, engine=ScriptedTransport(respond(503, json="busy")), **options) as client:
            return (await client.get("/a")).json()

    assert world.run(body) == "busy"


# ---------------------------------------------------------------------- values of wrong kinds and sizes


@pytest.mark.parametrize(
    "make",
    [
        lambda value: RateLimit(calls=value, period=1),
        lambda value: RateLimit(rate=1, burst=value),
        lambda value: Window(amount=value, period=1),
        lambda value: Bucket(rate=1, burst=value),
        lambda value: RetryConfig(max_attempts=value),
        lambda value: RetryConfig(max_retries=value),
        lambda value: RetryQuota(capacity=value),
        lambda value: CircuitBreaker(min_calls=value),
        lambda value: Bulkhead(limit=value),
        lambda value: AdaptiveConcurrency(max_limit=value),
    ],
)
@pytest.mark.parametrize("value", [10**400, 1e308, True, "5", Decimal(5), float("nan")])
def test_a_count_that_no_float_holds_is_no_count(make: Callable[[Any], object], value: Any) -> None:
    """It would be an OverflowError in the midst of a call; it is refused when the option is made."""
    with pytest.raises(ConfigurationError, match="give a whole number"):
        make(value)


@pytest.mark.parametrize("rate", [5e-324, 1e-10, 0, -1, float("nan")])
def test_a_rate_whose_next_token_no_clock_can_show_is_refused(rate: float) -> None:
    """A wait that has no end would be waited for in vain, again and again."""
    for make in (lambda: RateLimit(rate=rate), lambda: Bucket(rate=rate)):
        with pytest.raises(ConfigurationError, match=r"rate=.*give a number, 1e-09 or more"):
            make()


def test_a_price_beyond_all_bounds_is_refused_and_does_no_harm() -> None:
    """Neither a cost, nor a true cost, nor what a block settles for; the limit works on."""
    limiter = Limiter(RateLimit(rate=2), clock=VirtualClock())
    with pytest.raises(ConfigurationError, match="give a whole number"), limiter.hold() as permit:
        permit.settle(10**400)
    assert limiter.try_acquire()
    limit = RateLimit(rate=2, true_cost=lambda request, response: 10**400)
    with APIClient(base_url="https://a.test", engine=ScriptedTransport(respond(200)), rate_limit=limit) as client:
        for _ in range(2):
            with pytest.raises(HookError, match="true_cost"):
                client.get("/")


def test_limits_are_those_that_were_given() -> None:
    """A dict that its owner changes later changes no limit."""
    limits: dict[str, Any] = {"tokens": Window(amount=10, period=1)}
    limiter = Limiter(RateLimit(limits=limits, cost={"tokens": 5}), clock=VirtualClock())
    limits["bytes"] = limits.pop("tokens")
    assert limiter.try_acquire(key="new")
    assert list(limiter.limit.dimensions()) == ["tokens"]


@pytest.mark.parametrize("key", [None, 5, ["a"]])
def test_a_limiters_key_is_text(key: Any) -> None:
    """What is not is refused before anything is taken, whichever way it is asked for."""
    limiter = Limiter(RateLimit(calls=1, period=1), clock=VirtualClock())
    for ask in (limiter.acquire, limiter.try_acquire, limiter.wait_time):
        with pytest.raises(ConfigurationError, match=r"key=.*give text"):
            ask(key=key)


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "grpc"])
def test_a_deadline_without_end_can_be_told(world: AnyWorld, unit: Any) -> None:
    """At most three years are told: eight digits, what gRPC takes."""

    async def body() -> str:
        engine = ScriptedTransport(respond(200))
        header = DeadlineHeader(name="time-left", unit=unit)
        async with any_client(world, engine=engine, deadline=1e307, deadline_header=header) as client:
            await client.get("/")
            return str(engine.requests[0].request.headers["time-left"])

    assert world.run(body) in {"99999999.000", "99999999000", "99999999S"}


@pytest.mark.parametrize("seconds", [1e10, 1e308, float("inf")])
def test_a_thread_can_wait_longer_than_the_system_can_count(seconds: float) -> None:
    """It is woken as ever; it would be an OverflowError before it even began to wait."""
    flag = SYSTEM.flag()
    timer = threading.Timer(0.01, flag.set)
    timer.start()
    assert flag.wait(seconds)
    timer.join()


def test_a_sleep_longer_than_the_system_can_count_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `time.sleep` is asked for is what it can do."""
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    SYSTEM.sleep(1e308)
    assert 0 < asked[0] <= threading.TIMEOUT_MAX / 2


# ---------------------------------------------------------------------- functions of the user's


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "reading",
    [
        Reading(limit=10.0, remaining=3.0, window=60),  # type: ignore[arg-type]
        Reading(limit=10, remaining=2.5, reset=5),  # type: ignore[arg-type]
        Reading(limit=Decimal(10), remaining=Decimal(3), window=Decimal(60)),  # type: ignore[arg-type]
        Reading(limit=10**400, remaining=0, reset=1),
        Reading(limit=True, remaining=1, reset=1),
        Reading(limit=10, remaining=0, window=60, reset="5"),  # type: ignore[arg-type]
        Reading(limit=10, remaining=0, reset=1e9),
        Reading(limit=10, remaining=0, refill=float("nan")),
    ],
)
def test_a_dialect_that_reads_nonsense_stops_nobody(
    world: AnyWorld, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, the known dialects are asked, and every answer arrives."""
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    async def body() -> list[int]:
        pacing = ServerPacing(dialects=(lambda headers, status, now: Advice(readings=(reading,)),))
        async with any_client(world, engine=ScriptedTransport([respond(200)] * 3), pacing=pacing) as client:
            return [(await client.get("/")).status_code for _ in range(3)]

    assert world.run(body) == [200, 200, 200]
    assert world.clock.monotonic() == 0
    assert [isinstance(one.exc_value, ConfigurationError) for one in reported] == [True] * 3


@pytest.mark.parametrize("wrong", [{"kind": "failed"}, {"kind": None}, {"retry_after": "5"}, {"retry_after": [5]}])
def test_an_outcome_of_wrong_kinds_is_none(world: AnyWorld, wrong: dict[str, Any]) -> None:
    """A `classify=` that gives one ends the call by an error that says what to give."""

    def classify(request: Request, result: Any) -> Outcome:
        return Outcome(**{"kind": Kind.FAILED, "reason": "odd"} | wrong)

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(respond(503)), classify=classify) as client:
            with pytest.raises(ConfigurationError, match=rf"Outcome\({next(iter(wrong))}=.*give "):
                await client.get("/")

    world.run(body)


@pytest.mark.parametrize("on", ["ValueError", [ValueError], (ValueError, "x"), ValueError("x"), 5, int, True])
def test_what_no_exception_can_be_is_refused_as_on(on: Any) -> None:
    """At once, not when the first error comes."""
    with pytest.raises(ConfigurationError, match=r"on=.*give an exception's class"):
        retry(on=on)(int)
    with pytest.raises(ConfigurationError, match=r"on=.*give an exception's class"):
        Guard(RetryConfig(), on=on)


async def later(*asked: Any) -> bool:
    """What a question asked without an await never gets an answer from."""
    return False


@pytest.mark.parametrize(
    "make",
    [
        lambda function: Fallback(json=[], when=function),
        lambda function: Coalesce(identity=function),
        lambda function: Guard(RetryConfig(), on=function),
        lambda function: Bulkhead(key=function),
    ],
)
def test_a_question_that_is_asked_without_an_await_takes_no_async_function(make: Callable[[Any], object]) -> None:
    """Its coroutine would count as True, always."""
    with pytest.raises(ConfigurationError, match="is async: give a plain function"):
        make(later)


@pytest.mark.parametrize("seconds", [None, len, "5", 0, float("nan")])
def test_a_deadline_of_a_function_is_seconds(seconds: Any) -> None:
    """None too: a function without a deadline needs no decorator."""
    with pytest.raises(ConfigurationError, match=r"deadline\(seconds=.*as @deadline\(10\)"):
        deadline(seconds)


def test_options_without_their_names_are_shown_how_to_be_written() -> None:
    """`@retry(3)` is what a newcomer writes first."""
    with pytest.raises(ConfigurationError, match=r"3 is no function.*@retry\(max_attempts=3\)"):
        retry(3)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [RetryConfig, Bulkhead, Coalesce, Fallback])
def test_the_class_of_a_policy_is_no_policy(kind: Any) -> None:
    """Brackets forgotten: said by one of our errors."""
    with pytest.raises(ConfigurationError, match="is no policy"):
        Guard(kind)
    with pytest.raises(ConfigurationError, match="is no policy"):
        APIClient(policies=[kind], engine=ScriptedTransport(respond(200)))


def test_a_token_of_a_limit_that_was_forgotten_ends_no_other() -> None:
    """What was held at a fork, or under a key that had to make room, ends there and not where it has no place."""
    limiter = Limiter(RateLimit(calls=1, period=1000), clock=VirtualClock())
    state = limiter.limit.state
    assert isinstance(state, QuotaState)
    with limiter.hold() as before:
        before.cancel()
        state.forget()  # as a forked child does
        held = limiter.hold()
        held.__enter__()
    assert not limiter.try_acquire()
    held.__exit__(None, None, None)


# ---------------------------------------------------------------------- loops that end in the midst of a wait


class SystemTurned(SystemClock):
    """The system's clock, but that its hands are turned by the test alone."""

    at = 0.0

    def __init__(self) -> None:
        self.monotonic = lambda: self.at


def leave_waiting(limiter: AsyncLimiter, many: int) -> list[asyncio.Task[float]]:
    """Tasks that stand in line when their loop is closed; whoever keeps them keeps their places."""
    loop = asyncio.new_event_loop()

    async def begin() -> list[asyncio.Task[float]]:
        tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(many)]
        await asyncio.sleep(0)
        return tasks

    try:
        return loop.run_until_complete(begin())
    finally:
        loop.close()


def bury(tasks: list[asyncio.Task[float]]) -> None:
    """Have the left-over tasks collected without a word: that they are left over is the test's own doing."""
    for task in tasks:
        with suppress(RuntimeError):  # anyio misses the loop
            task.get_coro().close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_newcomer_finds_that_the_loop_of_a_lines_head_is_gone() -> None:
    """Who sleeps in a closed loop sleeps for ever; whoever comes after it was due does not stand behind it."""
    clock = SystemTurned()
    limit = Limiter(RateLimit(calls=1, period=10, max_wait=60), clock=clock).limit
    limiter, elsewhere = Limiter(limit, clock=clock), AsyncLimiter(limit, clock=clock)
    assert limit.tokens is not None
    limiter.acquire()
    tasks = leave_waiting(elsewhere, 3)
    assert limit.tokens.lines.before("client")[0] == 3
    clock.at = 20.0
    assert limiter.acquire() == 0.0
    assert "client" not in limit.tokens.lines.busy
    bury(tasks)


def test_what_is_given_back_finds_that_the_loop_of_a_lines_head_is_gone() -> None:
    """It would wake the head; the line goes on without it at once."""
    limit = Limiter(RateLimit(calls=1, period=10)).limit
    with Limiter(limit).hold():
        tasks = leave_waiting(AsyncLimiter(limit), 3)
    assert limit.tokens is not None
    assert "client" not in limit.tokens.lines.busy
    bury(tasks)
