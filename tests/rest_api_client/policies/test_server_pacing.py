"""Server pacing: the server's limit is learned from its answers and kept, so that 429s come only before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.limits import Limit, SlidingWindow, TokenBucket, limit_headers
from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded
from rest_api_client.models import Request
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_limits import MARGIN, SPREAD
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.script import Refuse, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.together import together

AnyWorld = World[Any]


class LimitedServer:
    """A scripted server behind one of the mock server's own limits."""

    def __init__(self, world: AnyWorld, limit: Limit, latencies: list[float], legacy: bool = False) -> None:
        self.world = world
        self.limit = limit
        self.latencies = latencies
        self.legacy = legacy
        self.refused: list[float] = []

    def __call__(self, request: Request, index: int) -> Script:
        now = self.world.clock.monotonic()
        verdict = self.limit.admit(now)
        if not verdict.allowed:
            self.refused.append(now)
        fields = [(name.decode(), value.decode()) for name, value in limit_headers(self.limit, verdict)]
        if self.legacy:
            fields = [field for field in fields if not field[0].startswith("ratelimit")]
        latency = self.latencies[index % len(self.latencies)]
        return respond(200 if verdict.allowed else 429, headers=fields, delay=latency)


def _work_off(world: AnyWorld, server: LimitedServer, workers: int, jobs: int) -> tuple[Chain, float, list[int]]:
    """Have workers send jobs one after the other; when the first answer was there, and every final status."""
    chain = Chain(world.runtime, [RetryConfig(max_attempts=20), ServerPacing(max_wait=None)], server)
    statuses: list[int] = []
    learned = [float("inf")]
    todo = list(range(jobs))

    async def work(number: int) -> None:
        while todo:
            todo.pop()
            response = await chain.send()
            learned[0] = min(learned[0], world.clock.monotonic())
            statuses.append(response.status_code)

    async def body() -> None:
        await together(world.runtime, *((work, number) for number in range(workers)))

    world.run(body)
    return chain, learned[0], statuses


@pytest.mark.parametrize("limit", [SlidingWindow(10, 2.0), TokenBucket(5.0, 10)], ids=["window", "bucket"])
def test_429s_come_only_before_the_limit_was_learned(world: AnyWorld, limit: Limit) -> None:
    """Twenty workers meet a limit of ten: the first answer teaches it, and no request sent after that is refused."""
    server = LimitedServer(world, limit.unused(), [0.02, 0.11, 0.05])
    _, learned, statuses = _work_off(world, server, workers=20, jobs=60)
    assert statuses == [200] * 60
    assert len(server.refused) == 10
    assert max(server.refused) <= learned


@given(
    limit=st.builds(SlidingWindow, st.integers(1, 12), st.sampled_from([1.0, 2.0, 3.5])),
    workers=st.integers(1, 15),
    latencies=st.lists(st.floats(0, 3), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_no_latency_brings_a_429_after_the_limit_was_learned(
    limit: Limit, workers: int, latencies: list[float]
) -> None:
    """Whatever the latencies, whoever was refused had been sent before the first answer was back."""
    world = World("asyncio", VirtualClock())
    server = LimitedServer(world, limit.unused(), latencies)
    _, learned, statuses = _work_off(world, server, workers, jobs=25)
    assert statuses == [200] * 25
    assert all(moment <= learned for moment in server.refused)


def test_old_headers_pace_too(world: AnyWorld) -> None:
    """With X-RateLimit-* alone no more requests are open than remain, and the reset is waited for."""
    server = LimitedServer(world, SlidingWindow(10, 2.0), [0.02, 0.11, 0.05], legacy=True)
    _, _, statuses = _work_off(world, server, workers=20, jobs=60)
    assert statuses == [200] * 60
    assert len(server.refused) < 40


def test_a_retry_after_pauses_every_request_to_that_origin(world: AnyWorld) -> None:
    """T5: one 503 with Retry-After: 30 holds the others back for 30 s and at most a tenth more, other origins not."""
    chain = Chain(
        world.runtime,
        [ServerPacing()],
        lambda request, index: respond(200 if index else 503, headers={} if index else {"retry-after": "30"}),
    )

    async def body() -> None:
        await chain.send()
        await chain.send(a_request(url="https://other.test/"))
        await chain.send()

    world.run(body)
    assert chain.arrivals[:2] == [0, 0]
    assert 30 <= chain.arrivals[2] <= 30 * (1 + SPREAD)


def test_a_retry_after_on_a_refusal_of_this_one_request_pauses_nobody(world: AnyWorld) -> None:
    """A 404 with Retry-After says nothing about other requests."""
    chain = Chain(world.runtime, [ServerPacing()], respond(404, headers={"retry-after": "30"}))

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert chain.arrivals == [0, 0]


def test_a_pause_beyond_patience_or_deadline_is_refused_at_once(world: AnyWorld) -> None:
    """An hour is more than `max_wait`: the next call is told so instead of waiting."""
    chain = Chain(world.runtime, [Deadline(seconds=5), ServerPacing()], respond(429, headers={"retry-after": "3600"}))

    async def body() -> RateLimitExceeded:
        await chain.send()
        with pytest.raises(RateLimitExceeded) as caught:
            await chain.send()
        return caught.value

    refused = world.run(body)
    assert refused.retry_after is not None
    assert 3600 <= refused.retry_after <= 3960
    assert "retry-after" in str(refused)
    assert world.clock.monotonic() == 0


def test_requests_that_fail_or_never_left_do_not_hold_their_place(world: AnyWorld) -> None:
    """A refused connection gives its token back, a cancelled request counts as one that may have arrived."""
    policy = {"ratelimit-policy": '"p";q=1;w=10'}
    scripts = [respond(200, headers=policy), Script(Refuse()), respond(200), Script(Stall()), respond(200)]
    chain = Chain(world.runtime, [RetryConfig(), ServerPacing()], scripts)

    async def body() -> None:
        await chain.send()  # teaches: one in 10 s
        await chain.send()  # is refused a connection, and sent again
        stalled = world.runtime.spawn(chain.send)
        await world.runtime.sleep(15)
        stalled.cancel()
        await world.runtime.sleep(0)
        await chain.send()

    world.run(body)
    refused, again, stalled, last = chain.arrivals[1:]
    assert refused == 10 + MARGIN
    assert again < 20
    assert stalled == pytest.approx(again + 10 + MARGIN)
    assert last == pytest.approx(again + 15 + 10 + MARGIN)


def test_an_impossible_setting_is_refused() -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match=r"max_wait=-1"):
        ServerPacing(max_wait=-1)
    with pytest.raises(ConfigurationError, match=r"key='road'"):
        ServerPacing(key="road")  # type: ignore[arg-type]
