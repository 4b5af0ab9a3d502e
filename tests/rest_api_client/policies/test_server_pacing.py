"""Server pacing: the server's limit is learned from its answers and kept, so that 429s come only before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.limits import Limit, SlidingWindow, TokenBucket, limit_headers
from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.quotas import Land, Take
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import (
    MARGIN,
    MEMORY,
    SPREAD,
    Lesson,
    Pace,
    ServerPacing,
    Window,
    read_lesson,
)
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


def test_what_others_used_of_the_quota_counts_as_used() -> None:
    """The server counts 8 of 10, this client sent one: two are left, the rest is back when the server says so."""
    pace = Pace()
    first = pace.apply(Take(), 0).token
    pace.apply(Lesson(first, (Window(10, 60, 2, 30),)), 1)
    assert [pace.apply(Take(), 1).verdict for _ in range(3)] == ["allow", "allow", "wait"]
    assert pace.apply(Take(), 1).wait == pytest.approx(30 + MARGIN)


def test_a_remainder_bounds_what_is_open_and_ends_with_the_reset() -> None:
    """Two remain: two may be open; what lands without a word counts; after the reset one whole quota may go out."""
    pace = Pace()
    token = pace.apply(Take(), 0).token
    pace.apply(Lesson(token, remaining=2, reset=30, quota=3), 0)
    first, second = (pace.apply(Take(), 0).token for _ in range(2))
    assert pace.apply(Take(), 0).wait == 30
    pace.apply(Land(first), 1)
    pace.apply(Lesson(second, remaining=0, reset=29, quota=3), 1)
    assert pace.apply(Take(), 2).wait == 28
    assert [pace.apply(Take(), 30).verdict for _ in range(4)] == ["allow"] * 3 + ["wait"]


def test_an_old_answer_does_not_raise_the_remainder() -> None:
    """An answer overtaken on its way says 5 after another said 0: the smaller figure is the newer one."""
    pace = Pace()
    late, early = pace.apply(Take(), 0).token, pace.apply(Take(), 0).token
    pace.apply(Lesson(early, remaining=0, reset=10), 1)
    pace.apply(Lesson(late, remaining=5, reset=10), 1)
    assert pace.apply(Take(), 1).verdict == "wait"


@pytest.mark.parametrize("quota", [None, 0])
def test_after_a_reset_without_a_quota_nothing_is_known(quota: int | None) -> None:
    """Then requests pass until an answer says more; a quota of 0 is none."""
    pace = Pace()
    pace.apply(Lesson(pace.apply(Take(), 0).token, remaining=0, reset=10, quota=quota), 0)
    assert pace.apply(Take(), 5).verdict == "wait"
    assert [pace.apply(Take(), 10).verdict for _ in range(50)] == ["allow"] * 50


def test_memory_is_bounded() -> None:
    """A server that never names a limit costs no more than so many moments."""
    pace = Pace()
    for _ in range(MEMORY + 5):
        pace.apply(Land(pace.apply(Take(), 0).token), 0)
    pace.apply(Land(12345678), 0)
    assert len(pace.landed) == MEMORY


NAMED = {"ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400', "ratelimit": '"burst";r=50;t=30'}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (NAMED, Lesson(0, (Window(100, 60, 50, 30), Window(1000, 86400, None, 86400)), 50, 30)),
        ({"ratelimit": '"default";r=5;t=30'}, Lesson(0, (), 5, 30)),
        (
            {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "7"},
            Lesson(0, (), 3, 7, 10),
        ),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "7"}, Lesson(0, (), 3, 7)),
        ({"ratelimit-policy": '"bytes";q=5;w=1;qu="content-bytes"'}, Lesson(0)),
        ({"ratelimit-policy": '"requests";q=5;w=1;qu="requests"'}, Lesson(0, (Window(5, 1, None, 1),))),
    ],
)
def test_the_fields_are_read(fields: dict[str, str], expected: Lesson) -> None:
    """The draft's own examples, the older names, and units that are not requests."""
    assert read_lesson(0, Headers(fields), 0.0) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"ratelimit-policy": '"p"'},
        {"ratelimit-policy": "p;q=0;w=60"},
        {"ratelimit-policy": "p;q=-1;w=60"},
        {"ratelimit-policy": f"p;q={MEMORY + 1};w=60"},
        {"ratelimit-policy": "p;q=99999999999999999999;w=60"},
        {"ratelimit-policy": "p;q=1.5;w=60"},
        {"ratelimit-policy": "p;q=5"},
        {"ratelimit-policy": ";;;,,,=;q;w"},
        {"ratelimit": "r=5;t"},
        {"ratelimit": '"p";r=\u00b2;t=3'},
        {"x-ratelimit-remaining": "3"},
        {"x-ratelimit-remaining": "3", "x-ratelimit-reset": "1700000000"},
        {"x-ratelimit-remaining": "many", "x-ratelimit-reset": "soon"},
        {"ratelimit-policy": "," * 100_000},
    ],
)
def test_malformed_and_unknown_fields_teach_nothing(fields: dict[str, str]) -> None:
    """They are ignored, never fatal."""
    assert read_lesson(0, Headers(fields), 0.0) == Lesson(0)


def test_an_impossible_setting_is_refused() -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match=r"max_wait=-1"):
        ServerPacing(max_wait=-1)
    with pytest.raises(ConfigurationError, match=r"key='road'"):
        ServerPacing(key="road")  # type: ignore[arg-type]
