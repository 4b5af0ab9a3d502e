"""The same call gives the same decisions in sync, asyncio and trio, event for event, to the virtual nanosecond."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.events import Event
from rest_api_client.exceptions import APIError
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.script import Chunk, Close, Delay, End, Garbage, Head, Refuse, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.faces import any_client

WORLDS = ("sync", "asyncio", "trio")

_HEAD = Head(200, {"content-length": "6"})
_ENDS = st.sampled_from([Reset(), Close(), Stall(), Garbage(b"\x80\x81\x82\x83")])


def _slow(script: Script, seconds: float) -> Script:
    return script if isinstance(script.steps[0], Refuse) else Script(Delay(seconds), *script.steps)


SCRIPTS = st.builds(
    _slow,
    st.one_of(
        st.builds(
            respond,
            st.sampled_from([200, 204, 301, 404, 429, 500, 503]),
            headers=st.one_of(
                st.none(),
                st.builds(lambda seconds: {"retry-after": str(seconds)}, st.integers(0, 90)),
                st.builds(
                    lambda left, reset: {"ratelimit-policy": '"d";q=2;w=9', "ratelimit": f'"d";r={left};t={reset}'},
                    st.integers(0, 2),
                    st.integers(0, 20),
                ),
            ),
        ),
        st.builds(lambda end: Script(end), _ENDS),
        st.builds(lambda end: Script(_HEAD, Chunk(b"abc"), end), _ENDS),
        st.builds(lambda gap: Script(_HEAD, Chunk(b"abc"), Delay(gap), Chunk(b"def"), End()), st.floats(0, 40)),
        st.just(Script(Refuse())),
    ),
    st.sampled_from([0.0, 0.25, 3.0, 31.0]),
)
CALLS = st.lists(
    st.tuples(st.sampled_from(["GET", "POST", "PUT"]), st.booleans(), st.sampled_from([None, 5.0, 60.0])),
    min_size=1,
    max_size=6,
)


def trace(name: str, scripts: list[Script], calls: list[tuple[str, bool, float | None]]) -> list[Any]:
    """Everything that can be seen of these calls under one runtime."""
    world = World(name, VirtualClock())
    seen: list[Any] = []

    def note(event: Event) -> None:
        seen.append((type(event).__name__, asdict(event)))

    def answer(request: object, index: int) -> Script:
        return scripts[index % len(scripts)]

    async def body() -> None:
        async with any_client(
            world,
            APIClient,
            AsyncAPIClient,
            engine=ScriptedTransport(answer),
            events=[note],
            rate_limit_calls=4,
            rate_limit_period=10,
            circuit_breaker=CircuitBreaker(min_calls=3),
        ) as client:
            for method, key, deadline in calls:
                try:
                    response = await client.request(method, "/x", idempotency_key=key, deadline=deadline)
                    seen.append((response.status_code, response.elapsed, response.content))
                except APIError as error:
                    seen.append((type(error).__name__, str(error), [asdict(a) for a in error.attempts]))
                seen.append(world.runtime.now())

    world.run(body)
    return seen


@settings(max_examples=150, deadline=None)
@given(st.lists(SCRIPTS, min_size=1, max_size=6), CALLS)
def test_three_runtimes_one_trace(scripts: list[Script], calls: list[tuple[str, bool, float | None]]) -> None:
    """T27: whatever a server does, the three runtimes send, wait, decide and report the same at the same moments."""
    sync, *others = (trace(name, scripts, calls) for name in WORLDS)
    for other in others:
        assert other == sync
