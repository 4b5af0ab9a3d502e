"""The same calls give the same decisions, trace for trace, in sync, asyncio and trio."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.engines.scripted import respond
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.script import Chunk, Delay, Head, Refuse, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.together import together

SCRIPTS = st.sampled_from(
    [
        respond(200),
        respond(200, delay=0.3),
        respond(200, delay=7),
        respond(503),
        respond(503, headers={"retry-after": "2"}),
        respond(429, headers={"retry-after": "1", "ratelimit-policy": '"p";q=3;w=4'}),
        respond(404),
        Script(Refuse()),
        Script(Delay(0.1), Reset()),
        Script(Stall()),
        Script(Head(200, (("content-length", "9"),)), Chunk(b"half"), Delay(0.2), Reset()),
    ]
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 5.0]), st.sampled_from(["GET", "POST"]), st.sampled_from([2.5, 10.0, 60.0])
    ),
    min_size=1,
    max_size=6,
)


def _trace(name: str, scripts: list[Script], calls: list[tuple[float, str, float]], at_once: bool) -> list[Any]:
    """Everything that can be seen from outside: results, events with their moments, arrivals."""
    world = World(name, VirtualClock())
    policies = [
        Deadline(),
        RetryConfig(max_attempts=4),
        CircuitBreaker(min_calls=4),
        ServerPacing(),
        RateLimit(calls=3, period=1),
    ]
    chain = Chain(world.runtime, policies, lambda request, index: scripts[index % len(scripts)])

    async def one(call: tuple[float, str, float]) -> Any:
        pause, method, deadline = call
        await world.runtime.sleep(pause)
        try:
            response = await chain.send(a_request(method), deadline=deadline)
        except Exception as error:
            return type(error).__name__, str(error), type(error.__cause__).__name__
        return response.status_code

    async def body() -> list[Any]:
        if at_once:
            return await together(world.runtime, *((one, call) for call in calls))
        return [await one(call) for call in calls]

    results = world.run(body)
    return [results, chain.events, chain.arrivals, world.clock.monotonic()]


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=8), calls=CALLS)
@settings(max_examples=60, deadline=None)
def test_calls_one_after_the_other_leave_the_same_trace_everywhere(scripts: Any, calls: Any) -> None:
    """Results, causes, events with their moments and arrivals are equal in the three runtimes."""
    sync = _trace("sync", scripts, calls, at_once=False)
    assert _trace("asyncio", scripts, calls, at_once=False) == sync
    assert _trace("trio", scripts, calls, at_once=False) == sync


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=8), calls=CALLS)
@settings(max_examples=30, deadline=None)
def test_calls_at_once_leave_the_same_trace_each_time(scripts: Any, calls: Any) -> None:
    """Threads and tasks take turns in one fixed order: a second run is the first one again."""
    for name in ("sync", "asyncio", "trio"):
        assert _trace(name, scripts, calls, at_once=True) == _trace(name, scripts, calls, at_once=True)
