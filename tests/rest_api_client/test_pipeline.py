"""The chain: one order, whatever the order given; one binding; nothing that is no policy."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.middleware import Middleware
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Pipeline, Stage, StageDescription
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.reading import Decode, Read
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request


@dataclass(frozen=True)
class Mark:
    """Writes down where it stands in the chain."""

    stage: Stage
    trace: list[Stage] = field(repr=False, compare=False)

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        self.trace.append(self.stage)
        assert (context.exchange is not None) is self.stage.per_attempt
        return await proceed(request, context)


@dataclass
class Counting:
    """A policy with a state: how often it was bound, and asked."""

    state: list[int] | None = None
    stage: Stage = Stage.BULKHEAD
    bound: int = 0

    def bind(self, runtime: Any) -> Counting:
        self.bound += 1
        return Counting(self.state if self.state is not None else [0])

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        assert self.state is not None
        self.state[0] += 1
        return await proceed(request, context)


def pipeline(*policies: Any) -> Pipeline:
    runtime = SyncRuntime(VirtualClock())
    return Pipeline(policies, ScriptedTransport(respond(200)).bind(runtime), runtime)


def go(chain: Pipeline) -> Response:
    async def send() -> Response:
        return await chain(a_request(), Context(Call(SyncRuntime(VirtualClock()), random.Random(1))))

    return run_sync(send())


@given(st.permutations(list(Stage)))
def test_the_order_is_that_of_the_stages(given_order: list[Stage]) -> None:
    """However they are given, policies run in the order of `Stage`, those per attempt below those per call."""
    trace: list[Stage] = []
    chain = pipeline(*(Mark(stage, trace) for stage in given_order))
    assert go(chain).status_code == 200
    assert trace == sorted(Stage)
    assert [line.stage for line in chain.describe()] == [*sorted(Stage), None]


def test_several_of_one_stage_stay_as_given() -> None:
    """Middleware, and limits, may repeat: the first given is the outermost."""
    trace: list[str] = []

    def writing(name: str) -> Any:
        async def write(request: Request, context: Context, proceed: Any) -> Response:
            trace.append(name)
            return await proceed(request, context)

        return write

    go(
        pipeline(
            Middleware(writing("inner"), scope="attempt"), Middleware(writing("b")), Middleware(writing("a")),
            Middleware(writing("innermost"), scope="attempt"),
        )
    )  # fmt: skip
    assert trace == ["b", "a", "inner", "innermost"]


@pytest.mark.parametrize("stage", [Stage.RETRY, Stage.AUTH, Stage.CALL_TELEMETRY])
def test_two_of_a_stage_that_takes_one_are_refused(stage: Stage) -> None:
    """Also when others stand between them in the order given."""
    with pytest.raises(ConfigurationError, match=f"two policies at stage {stage.name}: Mark and Mark"):
        pipeline(Mark(stage, []), Mark(Stage.READ, []), Mark(stage, []))


async def function(request: Request, context: Context, proceed: Any) -> Response:
    return await proceed(request, context)


class NotCallable:
    stage = Stage.RETRY


class WrongStage:
    stage = 8

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        return await proceed(request, context)


@pytest.mark.parametrize("odd", [function, NotCallable(), WrongStage(), None, "retry", object()])
def test_what_is_no_policy_is_refused(odd: Any) -> None:
    """The message says what a policy needs, and where functions go."""
    with pytest.raises(ConfigurationError, match=r"is no policy.*middleware="):
        pipeline(odd)


@pytest.mark.parametrize("scope", ["calls", "", None, 1])
def test_middleware_has_one_of_two_scopes(scope: Any) -> None:
    """Anything else is refused when it is made."""
    with pytest.raises(ConfigurationError, match="'call' or 'attempt'"):
        Middleware(function, scope=scope)


def test_a_policy_is_bound_once_and_keeps_its_state() -> None:
    """Each pipeline has a state of its own, made when it is bound; calls share it."""
    policy = Counting()
    one, other = pipeline(policy), pipeline(policy)
    assert policy.bound == 2
    go(one)
    go(one)
    go(other)
    assert [p.state for p in (*one.policies, *other.policies) if isinstance(p, Counting)] == [[2], [1]]
    assert policy.state is None


def test_a_state_given_by_the_user_is_shared() -> None:
    """Two pipelines with one `state=` count together."""
    shared = [0]
    go(pipeline(Counting(shared)))
    go(pipeline(Counting(shared)))
    assert shared == [2]


@dataclass(frozen=True)
class Described:
    plain: int = 1
    listed: tuple[int, ...] = field(default_factory=tuple)
    needed: str = "?"
    secret: str = field(default="", repr=False)
    stage = Stage.RETRY

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        return await proceed(request, context)


def test_describe_shows_what_is_not_the_default() -> None:
    """Name, level and changed options; nothing that the policy keeps out of its own repr."""
    chain = pipeline(Described(needed="x", secret="hunter2"), Read(), Decode())
    lines = chain.describe()
    assert [str(line) for line in lines] == [
        "call     Described(needed='x')",
        "attempt  Read()",
        "attempt  Decode()",
        "attempt  scripted()",
    ]
    assert lines[0] == StageDescription(Stage.RETRY, "Described", {"needed": "x"})
    assert [str(line) for line in pipeline(PlainPolicy()).describe()] == [
        "attempt  PlainPolicy()",
        "attempt  scripted()",
    ]


def test_describe_knows_defaults_that_are_filled_in_late() -> None:
    """What a policy works out for itself is its default; what a policy must be given is shown, and the rest is not."""
    chain = pipeline(RetryConfig(), RateLimit(calls=3, period=2), CircuitBreaker(probes=2))
    assert [str(line) for line in chain.describe()] == [
        "call     RetryConfig()",
        "attempt  CircuitBreaker(probes=2)",
        "attempt  RateLimit(calls=3, period=2)",
        "attempt  scripted()",
    ]


class PlainPolicy:
    """No dataclass: it has no options to show."""

    stage = Stage.AUTH

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        return await proceed(request, context)


def test_an_empty_chain_sends(world: World[VirtualClock]) -> None:
    """Without any policy the request goes to the transport, in each runtime."""

    async def body() -> tuple[int, int]:
        transport = ScriptedTransport(respond(201)).bind(world.runtime)
        call = Call(world.runtime, random.Random(1))
        response = await Pipeline([], transport, world.runtime)(a_request(), Context(call))
        return response.status_code, len(call.attempts)

    assert world.run(body) == (201, 1)


def test_a_policy_whose_method_was_wrapped_stands_in_the_chain_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer, say, that counts the calls of ours."""
    plain, counted = Decode.__call__, []

    def wrapped(*args: Any, **options: Any) -> Any:
        counted.append(len(args))
        return plain(*args, **options)

    monkeypatch.setattr(Decode, "__call__", wrapped)
    runtime = SyncRuntime()
    chain = Pipeline([Decode(), Read()], ScriptedTransport(respond(200)), runtime)

    async def body() -> Response:
        return await chain(a_request(), Context(Call(runtime, random.Random(1))))

    assert run_sync(body()).status_code == 200
    assert counted == [3]
