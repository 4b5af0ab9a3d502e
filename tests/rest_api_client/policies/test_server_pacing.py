"""Server pacing: the server's limit is learned from its answers and kept, so that 429s come only before."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.limits import Limit, SlidingWindow, TokenBucket, limit_headers
from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import RateLimited
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import Advice, Reading
from rest_api_client.http.resets import LONGEST
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome, classify_http
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.pace import Pace, PaceCommand, PaceState
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_limits import MARGIN, SPREAD
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.policies.state import Decision
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


# --- what a server says, and of what ---


def test_each_resource_has_a_quota_of_its_own(world: AnyWorld) -> None:
    """GitHub's search has nothing left: paths under /search wait, others do not, once an answer told them apart."""

    def answer(request: Request, index: int) -> Script:
        search = request.url.path.startswith("/search")
        return respond(
            headers={
                "x-ratelimit-limit": "30" if search else "5000",
                "x-ratelimit-remaining": "0" if search and not index else "29",
                "x-ratelimit-reset": "40",
                "x-ratelimit-resource": "search" if search else "core",
            }
        )

    chain = Chain(world.runtime, [ServerPacing()], answer)
    paths = ["/search/issues", "/users/ada", "/users/bob", "/search/code"]

    async def body() -> None:
        for path in paths:
            await chain.send(a_request(url=f"https://api.test{path}"))

    world.run(body)
    assert chain.arrivals[:3] == [0, 0, 0]
    assert 40 <= chain.arrivals[3] <= 41


def test_a_pause_holds_for_every_resource(world: AnyWorld) -> None:
    """A secondary limit met by a search holds back the rest, too: it is the account's."""

    def answer(request: Request, index: int) -> Script:
        resource = {"x-ratelimit-resource": request.url.path[1:], "x-ratelimit-remaining": "9"}
        refused = {**resource, "retry-after": "30"}
        return respond(403, headers=refused) if index == 2 else respond(headers={**resource, "x-ratelimit-reset": "60"})

    chain = Chain(world.runtime, [ServerPacing()], answer)

    async def body() -> None:
        for path in ["core", "search", "search", "core", "new"]:
            await chain.send(a_request(url=f"https://api.test/{path}"))

    world.run(body)
    assert chain.arrivals[:3] == [0, 0, 0]
    assert chain.arrivals[3] >= 30
    assert chain.arrivals[4] >= 30


def test_resources_without_end_do_not_fill_the_memory(world: AnyWorld) -> None:
    """So many paths per origin, and so many origins, are remembered; the rest has the quota of the origin."""
    policy = ServerPacing().bind(world.runtime)
    chain = Chain(
        world.runtime,
        [policy],
        lambda request, index: respond(headers={"x-ratelimit-resource": f"r{index}", "x-ratelimit-remaining": "5"}),
    )

    async def body() -> None:
        for number in range(100):
            await chain.send(a_request(url=f"https://api.test/{number}"))
        for number in range(1_100):
            await chain.send(a_request(url=f"https://api{number}.test/"))

    world.run(body)
    assert len(policy.scopes) == 1_000
    assert len(policy.scopes["https://api.test:443"]) == 64


def test_waiters_are_let_out_one_after_the_other(world: AnyWorld) -> None:
    """T5: ten that waited for a pause never come in the same instant, and never before its end."""
    chain = Chain(
        world.runtime,
        [ServerPacing()],
        lambda request, index: respond() if index else respond(429, headers={"retry-after": "10"}),
    )

    async def send(number: int) -> None:
        await chain.send()

    async def body() -> None:
        await chain.send()
        await together(world.runtime, *((send, number) for number in range(10)))

    world.run(body)
    after = chain.arrivals[1:]
    assert after[0] >= 10
    assert all(later > earlier for earlier, later in itertools.pairwise(after))
    assert after[-1] <= 10 * (1 + SPREAD) * (1 + SPREAD)


def test_a_wait_is_noted_and_told(world: AnyWorld) -> None:
    """The attempt's record says who held it back, why and how long; so does an event."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}
    chain = Chain(world.runtime, [ServerPacing()], [respond(headers=headers), respond()])

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert chain.call is not None
    (note,) = chain.call.attempts[0].notes
    assert (note.policy, note.reason) == ("ServerPacing", "server limit")
    assert note.wait >= 5
    assert [event.reason for event in chain.events if isinstance(event, RateLimited)] == ["server limit"]


# --- forecasts ---


def test_a_forecast_says_what_would_happen_and_changes_nothing(world: AnyWorld) -> None:
    """Pass, wait or refuse, with the reason that an event would carry."""
    policy = ServerPacing(max_wait=10).bind(world.runtime)
    chain = Chain(world.runtime, [policy], respond(429, headers={"retry-after": "20"}))

    async def body() -> list[Forecast]:
        told = [await chain.pipeline.forecast(a_request(), _context(world, chain))]
        await chain.send()
        told.append(await chain.pipeline.forecast(a_request(), _context(world, chain)))
        await world.runtime.sleep(15)
        told.append(await chain.pipeline.forecast(a_request(), _context(world, chain)))
        told.append(await chain.pipeline.forecast(a_request(), _context(world, chain, deadline=3)))
        return [forecasts[0] for forecasts in told]

    first, second, third, fourth = world.run(body)
    assert (first.verdict, first.reason, first.wait) == ("pass", "ok", 0)
    assert (second.verdict, second.reason) == ("refuse", "retry-after")
    assert (third.verdict, third.reason) == ("wait", "retry-after")
    assert 5 <= third.wait <= 7
    assert third.text.startswith("the limit of 'https://api.test:443' has room in ")
    assert third.text.endswith(" (retry-after)")
    assert fourth.verdict == "refuse"


def _context(world: AnyWorld, chain: Chain, deadline: float | None = None) -> Context:
    call = Call(world.runtime, chain.random)
    call.deadline = None if deadline is None else world.runtime.now() + deadline
    return Context(call)


# --- dialects of the user's own ---


def _in_minutes(headers: Headers, status: int, now: float) -> Advice | None:
    minutes = headers.get("x-come-back-in-minutes")
    return None if minutes is None else Advice(readings=(Reading(remaining=0, reset=60 * float(minutes)),))


def test_a_dialect_of_the_users_own_is_asked_first(world: AnyWorld) -> None:
    """What it gives is kept; where it gives None the known dialects are read."""
    policy = ServerPacing(max_wait=None, dialects=(_in_minutes,))
    own = respond(headers={"x-come-back-in-minutes": "2", "retry-after": "5"})
    known = respond(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"})
    chain = Chain(world.runtime, [policy], [own, known, respond(), respond()])

    async def body() -> None:
        for _ in range(4):
            await chain.send()

    world.run(body)
    first, second, third, fourth = chain.arrivals
    assert (first, third) != (second, fourth)
    assert 120 <= second <= 121
    assert 7 <= third - second <= 8
    assert third == fourth


def test_a_dialect_gives_the_pause_of_an_answer_that_throttles(world: AnyWorld) -> None:
    """`Advice.wait` is what Retry-After would be."""
    policy = ServerPacing(dialects=(lambda headers, status, now: Advice(wait=12.0),))
    chain = Chain(world.runtime, [policy], [respond(503), respond()])

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert 12 <= chain.arrivals[1] <= 12 * (1 + SPREAD)


@pytest.mark.parametrize(
    "given",
    [
        "soon",
        Advice(readings=("soon",)),  # type: ignore[arg-type]
        Advice(readings=(Reading(remaining=0, reset=float("nan")),)),
        Advice(readings=(Reading(remaining=0, reset=1e9),)),
        Advice(readings=(Reading(remaining=-1, reset=5),)),
        Advice(readings=(Reading(remaining="0", reset=5),)),  # type: ignore[arg-type]
        Advice(wait=-1.0),
        Advice(wait=1e9),
        ZeroDivisionError(),
    ],
)
def test_a_dialect_that_fails_touches_no_call(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported as sinks are, and the known dialects are read instead."""
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    def dialect(headers: Headers, status: int, now: float) -> Any:
        if isinstance(given, Exception):
            raise given
        return given

    world = World("sync", VirtualClock())
    known = respond(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"})
    chain = Chain(world.runtime, [ServerPacing(dialects=(dialect,))], [known, respond()])

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert 7 <= chain.arrivals[1] <= 8
    assert [report.object for report in reported] == [dialect, dialect]


def test_the_clients_own_reading_of_outcomes_counts(world: AnyWorld) -> None:
    """A `classify=` that finds a wait in the body pauses, although no field speaks of limits."""
    policy = ServerPacing().bind(world.runtime)
    chain = Chain(world.runtime, [policy], [respond(503, content=b"wait 9"), respond(), respond()])

    def classify(request: Request, result: Response | BaseException) -> Outcome:
        busy = isinstance(result, Response) and result.content.startswith(b"wait")
        return Outcome(Kind.FAILED, "busy", 9.0) if busy else classify_http(request, result)

    async def send() -> None:
        context = Context(Call(world.runtime, chain.random, classify=classify))
        await chain.pipeline(a_request(), context)

    async def body() -> None:
        await send()
        await send()
        await send()

    world.run(body)
    assert 9 <= chain.arrivals[1] <= 9 * (1 + SPREAD)


class Elsewhere:
    """A state that is not of this process: the same pure object, asked by commands alone."""

    def __init__(self, world: AnyWorld) -> None:
        self.world = world
        self.pace: dict[str, Pace] = {}

    async def apply(self, key: str, command: PaceCommand) -> Decision:
        return self.pace.setdefault(key, Pace()).apply(command, self.world.runtime.now())


def test_a_state_given_is_used(world: AnyWorld) -> None:
    """Two clients with one state keep one limit."""
    state = Elsewhere(world)
    script = [respond(headers={"ratelimit-policy": '"p";q=1;w=10'}), respond(), respond()]
    chains = [Chain(world.runtime, [ServerPacing(state=state)], script) for _ in range(2)]

    async def body() -> None:
        for chain in chains:
            await chain.send()
        await chains[1].send()

    world.run(body)
    assert chains[1].arrivals == [10 + MARGIN, pytest.approx(2 * (10 + MARGIN))]


def test_a_state_that_forgot_takes_no_harm(world: AnyWorld) -> None:
    """A fork, or ten thousand other origins, may come between a request and its answer."""
    policy = ServerPacing().bind(world.runtime)
    assert isinstance(policy.state, PaceState)
    state = policy.state

    def answer(request: Request, index: int) -> Script:
        state.forget()
        return respond()

    chain = Chain(world.runtime, [policy], answer)

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert chain.arrivals == [0, 0]


@given(
    name=st.sampled_from(["ratelimit", "ratelimit-policy", "x-ratelimit-reset", "x-rate-limit-reset", "retry-after",
                          "retry-after-ms", "x-ratelimit-reset-tokens", "x-shopify-shop-api-call-limit", "date"]),
    value=st.binary(max_size=30) | st.text('"pqrtw;=,:0123456789.-msh ', max_size=30).map(str.encode),
    status=st.sampled_from([200, 302, 403, 429, 503]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_bytes_in_any_field_break_a_call_or_stop_it_for_ever(name: str, value: bytes, status: int) -> None:
    """The next request goes out within a week and a tenth, whatever a server writes."""
    world = World("sync", VirtualClock())
    fields = Headers.received([
        (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-remaining-tokens", b"0"), (name.encode(), value),
    ])  # fmt: skip

    class Raw(ServerPacing):
        def _advice(self, response: Response) -> Advice:
            response.headers = fields
            return super()._advice(response)

    policy = Raw(max_wait=None, dialects=(lambda headers, status, now: None,))
    chain = Chain(world.runtime, [policy], [respond(status), respond()])

    async def body() -> None:
        await chain.send()
        await chain.send()

    world.run(body)
    assert chain.arrivals[1] <= LONGEST * (1 + SPREAD)


def test_an_impossible_setting_is_refused() -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match=r"max_wait=-1"):
        ServerPacing(max_wait=-1)
    with pytest.raises(ConfigurationError, match=r"key='road'"):
        ServerPacing(key="road")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"spread=0"):
        ServerPacing(spread=0)
    with pytest.raises(ConfigurationError, match=r"dialects=\('github',\).*give a tuple of functions"):
        ServerPacing(dialects=("github",))  # type: ignore[arg-type]


def test_one_dialect_or_a_list_of_them_is_enough() -> None:
    """They are kept as a tuple."""
    assert ServerPacing(dialects=[_in_minutes]) == ServerPacing(dialects=(_in_minutes,))  # type: ignore[arg-type]
    assert ServerPacing(dialects=_in_minutes).dialects == (_in_minutes,)  # type: ignore[arg-type]


def test_clients_that_share_the_state_share_the_line(world: AnyWorld) -> None:
    """Calls of two clients that wait for the same pause are let out in the order in which they came."""
    policy = ServerPacing().bind(world.runtime)
    one = Chain(world.runtime, [policy], [respond(429, headers={"retry-after": "20"}), *[respond(200)] * 3])
    other = Chain(world.runtime, [ServerPacing(state=policy.state)], respond(200))
    served: list[int] = []

    async def late(number: int) -> None:
        await world.runtime.sleep(1 + number)
        await (other if number == 3 else one).send()
        served.append(number)

    async def body() -> None:
        await one.send()
        await together(world.runtime, *((late, number) for number in range(4)))

    world.run(body)
    assert served == [0, 1, 2, 3]
