"""The circuit breaker in the chain. Its decisions beside a model: `machines.breaker`."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import CircuitChanged, CircuitRefused
from rest_api_client.exceptions import CircuitOpenError, ConfigurationError, DecodeError
from rest_api_client.http.bodies import BytesBody
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.circuit import (
    ENTER,
    ISOLATE,
    RESET,
    TRANSITIONS,
    Breaker,
    Circuit,
    Circuits,
    Enter,
    Peek,
    Report,
    Reset,
)
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.runtime import run_sync
from rest_api_client.script import Close, Delay, Refuse, Script, Stall
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

AnyWorld = World[Any]
OK, FAIL = respond(200), respond(503)


def test_the_transitions_name_every_state_and_no_dead_end() -> None:
    """From each state something leads on, and what it leads to has transitions too."""
    assert set(TRANSITIONS) == set(Circuit)
    assert all(set(moves.values()) <= set(Circuit) and moves for moves in TRANSITIONS.values())


def breaking(world: AnyWorld, scripts: Any, *more: Any, **options: Any) -> Chain:
    """A breaker that opens after two failures and rests for 5 s."""
    return Chain(world.runtime, [CircuitBreaker(**{"min_calls": 2} | options), *more], scripts)


async def outcome(chain: Chain, request: Request | None = None, **options: Any) -> Any:
    """The status, or the error."""
    try:
        return (await chain.send(request, **options)).status_code
    except Exception as error:
        return type(error).__name__


def changes(chain: Chain) -> list[tuple[str, str]]:
    return [(event.before, event.after) for event in chain.events if isinstance(event, CircuitChanged)]


def test_failures_open_it_a_rest_and_a_probe_close_it(world: AnyWorld) -> None:
    """Two 503 open the circuit; 5 s later one probe passes, and all is well again."""
    chain = breaking(world, [FAIL, FAIL, OK, OK])

    async def body() -> list[Any]:
        results = [await outcome(chain) for _ in range(3)]
        await world.runtime.sleep(5)
        return results + [await outcome(chain) for _ in range(2)]

    assert world.run(body) == [503, 503, "CircuitOpenError", 200, 200]
    assert changes(chain) == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    assert chain.arrivals == [0, 0, 5, 5]


def test_a_failure_that_must_not_be_retried_is_one_all_the_same(world: AnyWorld) -> None:
    """T28: `x-should-retry: false` is an order to retry; the server has failed, and the circuit opens."""
    chain = breaking(world, respond(503, headers={"x-should-retry": "false"}), RetryConfig())

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(3)]

    assert world.run(body) == [503, 503, "CircuitOpenError"]
    assert len(chain.arrivals) == 2


def test_a_refusal_says_when_to_come_back(world: AnyWorld) -> None:
    """`retry_after` is what is left of the rest; the message names the origin."""
    chain = breaking(world, FAIL)

    async def body() -> CircuitOpenError:
        await chain.send()
        await chain.send()
        await world.runtime.sleep(2)
        with pytest.raises(CircuitOpenError) as caught:
            await chain.send()
        return caught.value

    error = world.run(body)
    assert error.retry_after == 3
    assert "https://api.test:443" in str(error)
    assert error.request is not None


def test_a_failed_probe_opens_it_again(world: AnyWorld) -> None:
    """And the rest begins anew."""
    chain = breaking(world, FAIL)

    async def body() -> list[Any]:
        results = [await outcome(chain), await outcome(chain)]
        await world.runtime.sleep(5)
        results += [await outcome(chain), await outcome(chain)]
        await world.runtime.sleep(4.9)
        return [*results, await outcome(chain)]

    assert world.run(body) == [503, 503, 503, "CircuitOpenError", "CircuitOpenError"]


def test_several_probes_must_all_pass(world: AnyWorld) -> None:
    """With `probes=2` one success is not enough, and a failure after it opens the circuit again."""
    chain = breaking(world, [FAIL, FAIL, OK, FAIL, OK, OK], probes=2)

    async def body() -> list[Any]:
        results = [await outcome(chain), await outcome(chain)]
        for _ in range(2):
            await world.runtime.sleep(5)
            results += [await outcome(chain), await outcome(chain)]
        return results

    assert world.run(body) == [503, 503, 200, 503, 200, 200]
    assert changes(chain)[-3:] == [("half-open", "open"), ("open", "half-open"), ("half-open", "closed")]


def test_while_a_probe_is_on_its_way_others_are_refused(world: AnyWorld) -> None:
    """Nobody knows how long; `retry_after` is None."""
    chain = breaking(world, [FAIL, FAIL, respond(200, delay=2), OK])

    async def body() -> tuple[CircuitOpenError, Any]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        probe = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        with pytest.raises(CircuitOpenError) as caught:
            await chain.send()
        await probe.join()
        return caught.value, await outcome(chain)

    error, after = world.run(body)
    assert error.retry_after is None
    assert "probe" in str(error)
    assert after == 200


def test_a_cancelled_probe_gives_its_permit_back(world: AnyWorld) -> None:
    """T11: the circuit is not wedged half-open; the next call is the probe."""
    chain = breaking(world, [FAIL, FAIL, Script(Stall()), OK])

    async def body() -> list[Any]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        probe = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        refused = await outcome(chain)
        probe.cancel()
        await world.runtime.sleep(0.1)
        return [refused, await outcome(chain)]

    assert world.run(body) == ["CircuitOpenError", 200]


def test_a_probe_that_the_own_limiter_refuses_gives_its_permit_back(world: AnyWorld) -> None:
    """T11: refusals from further down say nothing about the server."""
    chain = breaking(world, [FAIL, FAIL, OK], RateLimit(calls=2, period=7, max_wait=0))

    async def body() -> list[Any]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        refused = await outcome(chain)
        await world.runtime.sleep(2)
        return [refused, await outcome(chain)]

    assert world.run(body) == ["RateLimitExceeded", 200]


@pytest.mark.parametrize("status", [429, 400, 404, 501])
def test_answers_of_a_server_that_works_are_no_failures(world: AnyWorld, status: int) -> None:
    """T11: 429 is traffic control, 4xx is ours."""
    chain = breaking(world, respond(status))

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(10)]

    assert world.run(body) == [status] * 10


@pytest.mark.parametrize("script", [Script(Refuse()), Script(Stall())])
def test_connections_that_fail_and_timeouts_count(world: AnyWorld, script: Script) -> None:
    """Transport errors are failures like a 503."""
    chain = breaking(world, script, window=100)

    async def body() -> Any:
        for _ in range(2):
            await outcome(chain)
        return await outcome(chain)

    assert world.run(body) == "CircuitOpenError"


def test_an_attempt_cut_off_by_the_deadline_on_the_wire_is_a_failure(world: AnyWorld) -> None:
    """A server that hangs longer than any call may last must not look healthy, in any runtime."""
    chain = breaking(world, Script(Stall()), Deadline(seconds=3))

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(3)]

    assert world.run(body) == ["DeadlineExceeded", "DeadlineExceeded", "CircuitOpenError"]


def test_a_deadline_that_passes_before_anything_was_sent_says_nothing(world: AnyWorld) -> None:
    """Time spent inside this client is not the server's failure."""

    class Slow:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await context.runtime.sleep(100)
            return await proceed(request, context)

    chain = breaking(world, OK, Deadline(seconds=3), Slow(), min_calls=1)

    async def body() -> list[Any]:
        return [await outcome(chain), await outcome(chain)]

    assert world.run(body) == ["DeadlineExceeded"] * 2
    assert changes(chain) == []


def test_an_answer_that_cannot_be_read_shows_that_the_server_lives(world: AnyWorld) -> None:
    """A probe answered with something undecodable closes the circuit; a bug of ours leaves it as it is."""

    def answer(request: Request, index: int) -> Script:
        if index < 2:
            return FAIL
        if index == 2:
            raise ZeroDivisionError
        raise DecodeError("odd", response=Response(200))

    chain = breaking(world, answer)

    async def body() -> list[Any]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        return [await outcome(chain) for _ in range(3)]

    assert world.run(body) == ["ZeroDivisionError", "DecodeError", "DecodeError"]
    assert changes(chain)[-1] == ("half-open", "closed")


def test_a_classifier_that_fails_does_not_wedge_the_circuit(world: AnyWorld) -> None:
    """T11: the probe's permit comes back whatever happens."""
    chain = breaking(world, [FAIL, FAIL, OK, OK])
    broken = [False]

    class Judge:
        stage = Stage.DEADLINE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            plain = context.call.classify

            def classify(request: Request, result: Any) -> Any:
                return 1 / 0 if broken[0] else plain(request, result)

            context.call.classify = classify
            return await proceed(request, context)

    chain = breaking(world, [FAIL, FAIL, OK, OK], Judge())

    async def body() -> list[Any]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        broken[0] = True
        first = await outcome(chain)
        broken[0] = False
        return [first, await outcome(chain)]

    assert world.run(body) == ["ZeroDivisionError", 200]


def test_an_outcome_counts_only_for_the_state_that_admitted_its_call(world: AnyWorld) -> None:
    """A slow failure from before the circuit opened does not fail the probes sent after it."""
    chain = breaking(world, [respond(503, delay=9), FAIL, FAIL, respond(200, delay=6), OK])

    async def body() -> Any:
        slow = world.runtime.spawn(chain.send)
        await world.runtime.sleep(0.1)
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        probe = world.runtime.spawn(chain.send)
        await slow.join()
        await probe.join()
        return await outcome(chain)

    assert world.run(body) == 200
    assert changes(chain)[-1] == ("half-open", "closed")


def test_origins_break_apart(world: AnyWorld) -> None:
    """One origin's failures leave the others alone; `key='host'` joins those of a host."""
    chain = breaking(world, lambda request, index: FAIL if request.url.host == "bad.test" else OK)

    async def body() -> list[Any]:
        bad, good = a_request(url="https://bad.test/"), a_request(url="https://good.test/")
        return [await outcome(chain, request) for request in (bad, bad, bad, good)]

    assert world.run(body) == [503, 503, "CircuitOpenError", 200]


def test_old_failures_are_forgotten(world: AnyWorld) -> None:
    """One failure every 31 s never opens a circuit with a window of 30 s."""
    chain = breaking(world, FAIL)

    async def body() -> list[Any]:
        results = []
        for _ in range(5):
            results.append(await outcome(chain))
            await world.runtime.sleep(31)
        return results

    assert world.run(body) == [503] * 5


def test_listeners_may_call_the_client(world: AnyWorld) -> None:
    """T11: the event of a change is told outside the lock, so that a listener that asks the breaker does not hang."""
    chain = breaking(world, [FAIL, FAIL])
    breaker = next(policy for policy in chain.pipeline.policies if isinstance(policy, CircuitBreaker))
    asked: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, CircuitChanged):
            assert breaker.state is not None
            coroutine = breaker.state.apply(event.key, Enter())
            with pytest.raises(StopIteration) as stop:
                coroutine.send(None)
            asked.append(stop.value.value.verdict)

    chain.events = _Calls(listen)

    async def body() -> None:
        for _ in range(2):
            await outcome(chain)

    world.run(body)
    assert asked == ["refuse"]


class _Calls(list[Any]):
    """A list that hands each item to a function instead of keeping it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.append = function


def test_a_shared_state_breaks_for_all(world: AnyWorld) -> None:
    """`state=` given: another client sees the same circuit."""
    bound = CircuitBreaker(min_calls=1).bind(world.runtime)
    one = Chain(world.runtime, [bound], FAIL)
    other = Chain(world.runtime, [replace(bound)], OK)

    async def body() -> list[Any]:
        return [await outcome(one), await outcome(other)]

    assert world.run(body) == [503, "CircuitOpenError"]


def reasons(chain: Chain) -> list[str]:
    return [event.reason for event in chain.events if isinstance(event, CircuitChanged)]


def notes(chain: Chain) -> list[str]:
    """What the breaker wrote into the latest attempt's record."""
    assert chain.call is not None
    return [note.reason for note in chain.call.attempts[-1].notes if note.policy == "CircuitBreaker"]


def test_failures_in_a_row_open_it_whatever_the_share(world: AnyWorld) -> None:
    """Two hundred good answers before do not help; a good one in between does."""
    chain = breaking(world, [*[OK] * 20, FAIL, FAIL, OK, FAIL, FAIL, FAIL], consecutive_failures=3)

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(27)]

    assert world.run(body)[-4:] == [503, 503, 503, "CircuitOpenError"]
    assert reasons(chain) == ["failures in a row"]


def test_a_server_that_answers_well_but_slowly_is_left_alone(world: AnyWorld) -> None:
    """Half of the calls slow; the change says that it was that. A slow probe opens it again, a quick one closes it."""
    slow = respond(200, delay=2)
    chain = breaking(world, [OK, slow, OK, slow, slow, OK], slow_after=2.0, min_calls=4)

    async def body() -> list[Any]:
        results = [await outcome(chain) for _ in range(5)]
        for _ in range(2):
            await world.runtime.sleep(5)
            results.append(await outcome(chain))
        return results

    assert world.run(body) == [200, 200, 200, 200, "CircuitOpenError", 200, 200]
    rested = "open long enough"
    assert reasons(chain) == ["slow calls", rested, "a probe was slow", rested, "all probes passed"]


def test_an_error_that_took_long_is_a_slow_call_too(world: AnyWorld) -> None:
    """A quick one is not: the third call breaks off at once, the fourth after 3 s, and half of all were slow then."""
    quick, late = Script(Close()), Script(Delay(3), Close())
    chain = breaking(world, [late, OK, quick, late], slow_after=2.0, min_calls=4, failure_ratio=1.0, slow_ratio=0.5)

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(5)]

    assert world.run(body) == [
        "RemoteProtocolError",
        200,
        "RemoteProtocolError",
        "RemoteProtocolError",
        "CircuitOpenError",
    ]
    (opened,) = [event for event in chain.events if isinstance(event, CircuitChanged)]
    assert (opened.reason, opened.key) == ("slow calls", "https://api.test:443")


def test_without_a_measure_no_call_is_slow(world: AnyWorld) -> None:
    """A third of failures is below the ratio, and counts for nothing else."""
    chain = breaking(world, [FAIL, OK, OK] * 4, failure_ratio=0.9, slow_ratio=0.1, min_calls=3)

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(12)]

    assert world.run(body) == [503, 200, 200] * 4


def test_a_classifier_sees_the_request_of_an_error(world: AnyWorld) -> None:
    """Whoever says that a refused connection is no failure of a PUT is believed, for a PUT alone."""

    class Judge:
        stage = Stage.DEADLINE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            plain = context.call.classify

            def classify(request: Request, result: Any) -> Any:
                outcome = plain(request, result)
                return replace(outcome, kind=Kind.REJECTED) if request.method == "PUT" else outcome

            context.call.classify = classify
            return await proceed(request, context)

    chain = breaking(world, Script(Refuse()), Judge())

    async def body() -> list[Any]:
        put = a_request(method="PUT")
        return [await outcome(chain, put) for _ in range(3)] + [await outcome(chain) for _ in range(3)]

    assert world.run(body) == ["ConnectError"] * 5 + ["CircuitOpenError"]


def test_what_this_client_held_back_makes_no_call_slow(world: AnyWorld) -> None:
    """Seconds that a policy below notes as its own wait are not the server's."""

    class Held:
        stage = Stage.ATTEMPT_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await context.runtime.sleep(9)
            context.note("Held", "queued", 9.0)
            return await proceed(request, context)

    chain = breaking(world, respond(200, delay=1), Held(), slow_after=2.0, min_calls=1)

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(3)]

    assert world.run(body) == [200] * 3


def test_a_window_by_count_forgets_by_count(world: AnyWorld) -> None:
    """The last four calls, however long ago: a call an hour opens it, where by time it never would."""
    chain = breaking(world, [FAIL, OK, OK, OK, FAIL, FAIL, OK], window_calls=4, min_calls=4)

    async def body() -> list[Any]:
        results = []
        for _ in range(6):
            await world.runtime.sleep(3600)
            results.append(await outcome(chain))
        return [*results, await outcome(chain)]

    assert world.run(body) == [503, 200, 200, 200, 503, 503, "CircuitOpenError"]
    assert reasons(chain) == ["failure ratio"]


def test_a_window_by_count_may_also_grow_old() -> None:
    """Of the last four, those of the last 10 s: a failure from before does not count."""
    breaker = Breaker(CircuitBreaker(window_calls=4, window=10, min_calls=2, failure_ratio=1.0))
    for moment, failed, state in [(0, True, "closed"), (20, True, "closed"), (21, True, "open")]:
        breaker.apply(Report(breaker.epoch, failed), moment)
        assert breaker.state == state


def test_each_opening_in_a_row_lasts_longer_up_to_a_limit(world: AnyWorld) -> None:
    """5, 10, 12, 12 s while the probes fail; after a success it is 5 s again."""
    chain = breaking(world, FAIL, consecutive_failures=1, max_open_for=12.0)

    async def open_for() -> float:
        with pytest.raises(CircuitOpenError) as caught:
            await chain.send()
        assert caught.value.retry_after is not None
        await world.runtime.sleep(caught.value.retry_after)
        return caught.value.retry_after

    async def body() -> list[float]:
        rests = []
        for _ in range(4):
            await outcome(chain)
            rests.append(await open_for())
        chain.server._answer = lambda request, index: OK
        await outcome(chain)
        chain.server._answer = lambda request, index: FAIL
        await outcome(chain)
        return [*rests, await open_for()]

    assert world.run(body) == [5, 10, 12, 12, 5]


def test_it_is_shut_and_reset_by_hand(world: AnyWorld) -> None:
    """Isolated, it refuses a server that works, without saying for how long; reset, all is as new."""
    options = CircuitBreaker()
    state = options.memory(world.runtime.now)
    chain = Chain(world.runtime, [replace(options, state=state)], OK)
    key = "https://api.test:443"

    async def body() -> list[Any]:
        results = [await outcome(chain)]
        await state.apply(key, ISOLATE)
        await world.runtime.sleep(1000)
        with pytest.raises(CircuitOpenError, match="isolated until it is reset") as caught:
            await chain.send()
        assert caught.value.retry_after is None
        results.append(notes(chain))
        await state.apply(key, Reset())
        return [*results, await outcome(chain)]

    assert world.run(body) == [200, ["circuit isolated"], 200]


def test_what_was_under_way_says_nothing_after_a_reset(world: AnyWorld) -> None:
    """A slow failure from before counts for no state that came after."""
    options = CircuitBreaker(consecutive_failures=1)
    state = options.memory(world.runtime.now)
    chain = Chain(world.runtime, [replace(options, state=state)], [respond(503, delay=3), OK])

    async def body() -> Any:
        slow = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        await state.apply("https://api.test:443", RESET)
        await slow.join()
        return await outcome(chain)

    assert world.run(body) == 200


def test_a_thousand_refusals_are_told_once_a_second(world: AnyWorld) -> None:
    """Each event says how many were not told since the last; the records of the calls have them all."""
    chain = breaking(world, FAIL, consecutive_failures=1)

    async def body() -> None:
        await outcome(chain)
        for _ in range(3):
            assert [await outcome(chain) for _ in range(10)] == ["CircuitOpenError"] * 10
            assert notes(chain) == ["circuit open"]
            await world.runtime.sleep(1)

    world.run(body)
    told = [event for event in chain.events if isinstance(event, CircuitRefused)]
    assert [(event.at, event.suppressed) for event in told] == [(0, 0), (1, 9), (2, 9)]
    assert [(event.reason, event.retry_after, event.key) for event in told[:1]] == [
        ("circuit open", 5.0, "https://api.test:443")
    ]


def test_nothing_is_told_where_nobody_listens(world: AnyWorld) -> None:
    """Opened, refused, probed, closed: without a sink no event is built."""
    chain = breaking(world, [FAIL, FAIL, OK])
    policy: Any = next(policy for policy in chain.pipeline.policies if isinstance(policy, CircuitBreaker))

    async def body() -> list[Any]:
        results = []
        for _ in range(4):
            context = Context(Call(world.runtime, chain.random))
            try:
                results.append((await chain.pipeline(a_request(), context)).status_code)
            except CircuitOpenError:
                results.append(policy.state._objects["https://api.test:443"].state)
                await world.runtime.sleep(5)
        return results

    assert world.run(body) == [503, 503, "open", 200]
    assert chain.events == []


def test_a_probe_is_named_in_its_record(world: AnyWorld) -> None:
    """`attempt.notes` says "probe"; a call through a closed circuit says nothing."""
    chain = breaking(world, [FAIL, FAIL, OK, OK])

    async def body() -> list[list[str]]:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        noted = []
        for _ in range(2):
            await outcome(chain)
            noted.append(notes(chain))
        return noted

    assert world.run(body) == [["probe"], []]


def test_it_foretells_what_a_call_would_meet(world: AnyWorld) -> None:
    """Closed, open, before a probe, during one; asking admits nobody."""
    chain = breaking(world, [FAIL, FAIL, respond(200, delay=1), OK])
    policy: Any = next(policy for policy in chain.pipeline.policies if isinstance(policy, CircuitBreaker))

    async def told() -> tuple[str, str, float]:
        forecast = await policy.forecast(a_request(), Context(Call(world.runtime, chain.random)))
        assert forecast.facts == {"key": "https://api.test:443"}
        assert forecast.text
        return forecast.verdict, forecast.reason, forecast.wait

    async def body() -> list[Any]:
        seen = [await told()]
        for _ in range(2):
            await outcome(chain)
        seen.append(await told())
        await world.runtime.sleep(5)
        seen += [await told(), await told()]
        probe = world.runtime.spawn(chain.send)
        await world.runtime.sleep(0.5)
        seen.append(await told())
        await probe.join()
        return [*seen, await told()]

    assert world.run(body) == [
        ("pass", "ok", 0),
        ("refuse", "circuit open", 5),
        ("pass", "probe", 0),
        ("pass", "probe", 0),
        ("refuse", "circuit half-open", 0),
        ("pass", "ok", 0),
    ]


class Remote:
    """A store that is not in this process: it is only asked, and gives values."""

    def __init__(self, options: CircuitBreaker, now: Any) -> None:
        self.breaker = Breaker(options)
        self.now = now
        self.asked: list[Any] = []

    async def apply(self, key: str, command: Any) -> Any:
        self.asked.append(command)
        return pickle.loads(pickle.dumps(self.breaker.apply(pickle.loads(pickle.dumps(command)), self.now())))


def test_a_store_elsewhere_is_asked_before_and_after(world: AnyWorld) -> None:
    """Commands and decisions are plain data, and nothing but `apply` is relied on."""
    options = CircuitBreaker(min_calls=2)
    store = Remote(options, world.runtime.now)
    chain = Chain(world.runtime, [replace(options, state=store)], [OK, FAIL, OK])

    async def body() -> list[Any]:
        results = [await outcome(chain) for _ in range(3)]
        forecast = await replace(options, state=store).forecast(a_request(), Context(Call(world.runtime, chain.random)))
        await store.apply("", ISOLATE)
        await store.apply("", RESET)
        return [*results, forecast.reason, await outcome(chain)]

    assert world.run(body) == [200, 503, "CircuitOpenError", "circuit open", 200]
    assert store.asked[:2] == [Enter(), Report(0, False)]


def test_routes_break_apart(world: AnyWorld) -> None:
    """One endpoint's failures leave the others of its origin alone."""
    chain = breaking(world, lambda request, index: FAIL if request.url.path == "/bad" else OK, key="route")

    async def body() -> list[Any]:
        bad, good = a_request(url="https://api.test/bad"), a_request(url="https://api.test/good")
        return [await outcome(chain, request) for request in (bad, bad, bad, good)]

    assert world.run(body) == [503, 503, "CircuitOpenError", 200]


@pytest.mark.parametrize(
    "options",
    [
        {"failure_ratio": 0},
        {"failure_ratio": 1.5},
        {"slow_ratio": 0},
        {"slow_after": 0},
        {"consecutive_failures": 0},
        {"window_calls": 0},
        {"min_calls": 0},
        {"probes": True},
        {"window": 0},
        {"open_for": float("inf")},
        {"max_open_for": 4.9},
        {"key": "road"},
        {"failure_ratio": None},
        {"min_calls": 20, "window_calls": 19},
    ],
)
def test_an_impossible_breaker_is_refused(options: dict[str, Any]) -> None:
    """The message names the option."""
    with pytest.raises(ConfigurationError, match=rf"CircuitBreaker\({next(iter(options))}="):
        CircuitBreaker(**options)


def test_the_window_is_thirty_seconds_unless_calls_are_counted() -> None:
    """What was not given is filled in, so that options that mean the same are equal."""
    assert CircuitBreaker() == CircuitBreaker(window=30.0)
    assert CircuitBreaker(window_calls=50).window is None


def test_the_decision_that_moves_a_breaker_says_so() -> None:
    """From where to where; every other decision says nothing, a refusal only why."""
    breaker = Breaker(CircuitBreaker(min_calls=1, open_for=5))
    admitted = breaker.apply(Enter(), 0.0)
    assert (admitted.verdict, admitted.change) == ("allow", None)
    assert breaker.apply(Report(admitted.token, True), 0.0).change == (Circuit.CLOSED, Circuit.OPEN)
    refused = breaker.apply(Enter(), 1.0)
    assert (refused.verdict, refused.wait, refused.reason, refused.change) == ("refuse", 4.0, "circuit open", None)
    probe = breaker.apply(Enter(), 5.0)
    assert (probe.verdict, probe.reason, probe.change) == ("allow", "probe", (Circuit.OPEN, Circuit.HALF_OPEN))
    assert breaker.apply(Report(probe.token, False), 5.0).change == (Circuit.HALF_OPEN, Circuit.CLOSED)


def test_an_unbound_breaker_is_a_value() -> None:
    """It compares and pickles."""
    breaker = CircuitBreaker(open_for=7)
    assert pickle.loads(pickle.dumps(breaker)) == breaker != CircuitBreaker()


def test_attempts_count_as_the_calls_they_are(world: AnyWorld) -> None:
    """A POST that fails once is one failure, and the breaker stands below the retry."""
    chain = breaking(world, FAIL)

    async def body() -> list[Any]:
        request = a_request("POST", body=BytesBody(b"x"))
        return [await outcome(chain, request) for _ in range(3)]

    assert world.run(body) == [503, 503, "CircuitOpenError"]


@pytest.mark.parametrize("window_calls", [None, 4])
@pytest.mark.parametrize(("moment", "state"), [(9.99, "open"), (10.0, "closed")])
def test_an_outcome_counts_for_the_window_and_no_longer(window_calls: int | None, moment: float, state: str) -> None:
    """Two failures 10 s apart never meet in a window of 10 s, those a little closer do."""
    breaker = Breaker(CircuitBreaker(window=10, window_calls=window_calls, min_calls=2))
    breaker.apply(Report(breaker.epoch, True), 0.0)
    breaker.apply(Report(breaker.epoch, True), moment)
    assert breaker.state == state


def tripped(**options: Any) -> Breaker:
    """Opened by one failure at 0 s, for 5 s."""
    breaker = Breaker(CircuitBreaker(consecutive_failures=1, **options))
    breaker.apply(Report(breaker.epoch, True), 0.0)
    return breaker


def test_probes_under_way_and_probes_passed_are_counted_together() -> None:
    """Of three probes one has passed and two are under way: the fourth call is refused, and told so beforehand."""
    breaker = tripped(probes=3)
    first = breaker.apply(Enter(), 5.0)
    assert breaker.apply(Report(first.token, False), 5.0).change is None
    seen = [breaker.apply(Peek(), 5.0), breaker.apply(Enter(), 5.0), breaker.apply(Enter(), 5.0)]
    assert [(decision.verdict, decision.reason, decision.token) for decision in seen] == [
        ("allow", "probe", first.token)
    ] * 3
    assert [breaker.apply(command, 5.0).verdict for command in (Peek(), Enter())] == ["refuse", "refuse"]


def test_a_probe_without_an_outcome_makes_room_for_one_more_and_no_more() -> None:
    """Two are under way, one of them is given up: one call may take its place, the next may not."""
    breaker = tripped(probes=2)
    given_up = breaker.apply(Enter(), 5.0)
    breaker.apply(Enter(), 5.0)
    breaker.apply(Report(given_up.token, None), 5.0)
    assert [breaker.apply(Enter(), 5.0).verdict for _ in range(2)] == ["allow", "refuse"]


@pytest.mark.parametrize(
    ("failed", "slow", "reason"), [(True, False, "a probe failed"), (False, True, "a probe was slow")]
)
def test_a_probe_that_went_wrong_says_how(failed: bool, slow: bool, reason: str) -> None:
    """The change bears the reason; a failure that was slow as well is a failure."""
    breaker = tripped()
    token = breaker.apply(Enter(), 5.0).token
    assert breaker.apply(Report(token, failed, slow), 5.0).reason == reason


def test_a_state_knows_when_it_began() -> None:
    """`since` is the moment of the change, whatever brought it: a rest, a probe, or somebody's hand."""
    breaker = tripped()
    moments = [(Enter(), 5.0), (Report(2, False), 6.0), (ISOLATE, 7.0), (RESET, 8.0)]
    for command, moment in moments:
        breaker.apply(command, moment)
        assert breaker.since == moment


def test_a_success_through_a_closed_circuit_is_no_command(world: AnyWorld) -> None:
    """The short way. The first call of a key, a failure, and a call of an open circuit ask as ever."""
    options = CircuitBreaker(consecutive_failures=1)
    state = options.memory(world.runtime.now)
    asked: list[str] = []
    plain = state.apply

    async def apply(key: str, command: Any) -> Any:
        asked.append(type(command).__name__)
        return await plain(key, command)

    state.apply = apply  # type: ignore[method-assign]
    chain = Chain(world.runtime, [replace(options, state=state)], [OK, OK, FAIL])

    async def body() -> list[Any]:
        return [await outcome(chain) for _ in range(4)]

    assert world.run(body) == [200, 200, 503, "CircuitOpenError"]
    assert asked == ["Enter", "Report", "Report", "Enter"]


def test_a_late_success_does_not_count_for_the_next_state(world: AnyWorld) -> None:
    """Neither for a circuit that has opened and closed since, nor for one that was forgotten."""
    state = CircuitBreaker(consecutive_failures=2).memory(world.runtime.now)
    world.run(partial(state.apply, "key", ENTER))
    circuit = state.closed("key")
    assert circuit is not None
    epoch = circuit.epoch
    state.succeeded(circuit, "key", epoch)
    assert circuit.window.calls == 1
    world.run(partial(state.apply, "key", ISOLATE))
    world.run(partial(state.apply, "key", RESET))
    state.succeeded(circuit, "key", epoch)
    assert circuit.window.calls == 0
    state.forget()
    state.succeeded(circuit, "key", circuit.epoch)
    assert (circuit.window.calls, state.closed("key")) == (0, None)


def test_a_success_ends_a_row_of_failures() -> None:
    """Told by a command, as a shared store is: the row begins anew, at nothing."""
    breaker = Breaker(CircuitBreaker(consecutive_failures=2))
    for failed in (True, False, True):
        breaker.apply(Report(breaker.epoch, failed), 0.0)
    assert breaker.state is Circuit.CLOSED
    breaker.apply(Report(breaker.epoch, True), 0.0)
    assert breaker.state is Circuit.OPEN


def test_what_it_tells_names_the_circuit(world: AnyWorld) -> None:
    """Each change by its key, each refusal with its request."""
    chain = breaking(world, [FAIL, FAIL, OK])

    async def body() -> CircuitOpenError:
        await outcome(chain)
        await outcome(chain)
        with pytest.raises(CircuitOpenError) as caught:
            await chain.send(a_request(method="PUT"))
        await world.runtime.sleep(5)
        await outcome(chain)
        return caught.value

    refused = world.run(body).request
    assert refused is not None
    assert refused.method == "PUT"
    told = [event for event in chain.events if isinstance(event, CircuitChanged)]
    assert [event.key for event in told] == ["https://api.test:443"] * 3


def test_its_forecast_says_in_words_what_is_the_matter(world: AnyWorld) -> None:
    """Closed, open and for how long, about to be probed: each in a sentence of its own."""
    chain = breaking(world, [FAIL, FAIL, OK])
    policy: Any = next(policy for policy in chain.pipeline.policies if isinstance(policy, CircuitBreaker))

    async def told() -> str:
        forecast = await policy.forecast(a_request(), Context(Call(world.runtime, chain.random)))
        assert forecast.policy == "CircuitBreaker"
        return str(forecast.text)

    async def body() -> list[str]:
        seen = [await told()]
        for _ in range(2):
            await outcome(chain)
        seen.append(await told())
        await world.runtime.sleep(5)
        return [*seen, await told()]

    key = "'https://api.test:443'"
    assert world.run(body) == [
        f"the circuit of {key} is closed",
        f"the circuit of {key} is open for 5 s more",
        f"the request would be a probe of {key}",
    ]


def test_a_success_keeps_its_circuit_from_being_forgotten() -> None:
    """Where too many servers are called, the one forgotten is the one not called for longest."""
    rules = CircuitBreaker()
    circuits = Circuits(lambda: Breaker(rules), lambda: 0.0, max_keys=2)
    for key in ("a", "b"):
        run_sync(circuits.apply(key, ENTER))
    breaker = circuits.closed("a")
    assert breaker is not None
    circuits.succeeded(breaker, "a", breaker.epoch)
    run_sync(circuits.apply("c", ENTER))
    assert [circuits.closed(key) is not None for key in ("a", "b", "c")] == [True, False, True]


def test_one_call_may_be_the_whole_window() -> None:
    """The least of everything: one call counted, one needed, any share of it."""
    breaker = Breaker(CircuitBreaker(window_calls=1, min_calls=1, failure_ratio=1, slow_ratio=1, probes=1))
    assert breaker.apply(Report(0, True), 0.0).reason == "failure ratio"


def test_a_probe_that_no_answer_reached_leaves_the_circuit_half_open(world: AnyWorld) -> None:
    """Refused below and never sent: nothing is known of the server, so the next call is a probe again."""
    chain = breaking(world, [FAIL, FAIL, OK], RateLimit(calls=2, period=7, max_wait=0))

    async def body() -> None:
        for _ in range(2):
            await outcome(chain)
        await world.runtime.sleep(5)
        await outcome(chain)

    world.run(body)
    assert changes(chain) == [("closed", "open"), ("open", "half-open")]
