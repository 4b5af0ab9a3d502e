"""The policies round any function: sync, asyncio and trio, stacked, with the function's own results and errors."""

from __future__ import annotations

import functools
import inspect
import logging
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from rest_api_client.clock import Clock
from rest_api_client.decorators import (
    adaptive_concurrency,
    bulkhead,
    circuit_breaker,
    coalesce,
    deadline,
    fallback,
    hedge,
    log_request,
    rate_limit,
    retry,
)
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.exceptions import (
    BulkheadFull,
    CapabilityError,
    CircuitOpenError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    HookError,
    NotFoundError,
    RateLimitExceeded,
    ReadError,
    ServerError,
)
from rest_api_client.http.headers import Headers
from rest_api_client.models import Response
from rest_api_client.policies.backoff import ExponentialBackoff, LinearBackoff
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import AmbientDeadline, ambient_deadline
from rest_api_client.script import Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request
from tests.rest_api_client.faces import any_client

AnyWorld = World[Any]
PLAIN = ExponentialBackoff(jitter="none")


class Plays:
    """A function that returns or raises what it is given, in turn, and notes when it was called."""

    def __init__(self, clock: Clock, *results: Any) -> None:
        self.clock = clock
        self.results = list(results)
        self.called: list[float] = []

    def __call__(self, *args: Any) -> Any:
        self.called.append(self.clock.monotonic())
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


def decorated(world: AnyWorld, play: Plays, *decorators: Any) -> Any:
    """`play` as a function of the world's kind below the decorators, and as an async callable for the test."""
    if world.name == "sync":

        def function(*args: Any) -> Any:
            return play(*args)

        plain: Any = function
        for decorator in reversed(decorators):
            plain = decorator(plain)

        async def call(*args: Any) -> Any:
            return plain(*args)

        return call

    async def async_function(*args: Any) -> Any:
        return play(*args)

    wrapped: Any = async_function
    for decorator in reversed(decorators):
        wrapped = decorator(wrapped)
    return wrapped


def test_a_function_is_called_again_when_it_fails(world: AnyWorld) -> None:
    """Errors of this library that another attempt can mend are retried; the result comes back as it is."""
    result = object()
    play = Plays(world.clock, ConnectError("a"), ReadError("b"), result)
    function = decorated(world, play, retry(clock=world.clock, strategy=PLAIN))
    assert world.run(function) is result
    assert play.called == [0, 0.5, 1.5]


def test_other_errors_pass_unless_they_are_named(world: AnyWorld) -> None:
    """`on=` takes a class, several, or a function; what it does not name is not retried then."""
    for on in (KeyError, (KeyError, IndexError), lambda error: isinstance(error, KeyError)):
        play = Plays(world.clock, KeyError("again"), ConnectError("not named"))
        function = decorated(world, play, retry(clock=world.clock, on=on))
        with pytest.raises(ConnectError):
            world.run(function)
        assert len(play.called) == 2
    play = Plays(world.clock, KeyError("a bug"))
    with pytest.raises(KeyError):
        world.run(decorated(world, play, retry(clock=world.clock)))
    assert len(play.called) == 1


def test_the_last_error_is_raised_as_it_is(world: AnyWorld) -> None:
    """The very object, when the attempts are used up."""
    error = ConnectError("down")
    play = Plays(world.clock, error)
    with pytest.raises(ConnectError) as caught:
        world.run(decorated(world, play, retry(clock=world.clock, max_attempts=2)))
    assert caught.value is error
    assert len(play.called) == 2


def test_responses_and_status_errors_are_judged_by_their_status(world: AnyWorld) -> None:
    """A returned or raised 503 is retried, a 404 is not."""
    failed, missing = Response(503, request=a_request()), Response(404, request=a_request())
    play = Plays(world.clock, failed, failed.error(), Response(200))
    function = decorated(world, play, retry(clock=world.clock))
    assert world.run(function).status_code == 200
    play = Plays(world.clock, missing.error())
    with pytest.raises(NotFoundError):
        world.run(decorated(world, play, retry(clock=world.clock)))
    assert len(play.called) == 1


def test_an_unsafe_request_inside_is_not_repeated(world: AnyWorld) -> None:
    """T6: a POST that may have been executed ends the retries of the function round it, unless one insists."""
    error = ReadError("silence", request=a_request("POST"))
    play = Plays(world.clock, error)
    with pytest.raises(ReadError):
        world.run(decorated(world, play, retry(clock=world.clock)))
    assert len(play.called) == 1
    with pytest.raises(ReadError):
        world.run(decorated(world, play, retry(clock=world.clock, retry_unsafe=True)))
    assert len(play.called) == 4


def test_named_errors_keep_what_is_known_of_them(world: AnyWorld) -> None:
    """`on=ServerError`: its Retry-After is obeyed."""
    error = Response(503, request=a_request(), headers=Headers({"retry-after": "30"})).error()
    play = Plays(world.clock, error, "fine")
    function = decorated(world, play, retry(clock=world.clock, on=ServerError, random=random.Random(1)))
    assert world.run(function) == "fine"
    assert play.called[1] >= 30


def test_calls_of_a_function_wait_for_their_turn(world: AnyWorld) -> None:
    """Two per ten seconds."""
    play = Plays(world.clock, "x")
    function = decorated(world, play, rate_limit(calls=2, period=10, clock=world.clock))

    async def body() -> None:
        for number in range(5):
            await function(number)

    world.run(body)
    assert play.called == [0, 0, 10, 10, 20]


def test_a_limited_function_refuses_by_its_name(world: AnyWorld) -> None:
    """The error says which function, and when."""
    function = decorated(world, Plays(world.clock, "x"), rate_limit(rate=1, max_wait=0, clock=world.clock))

    async def body() -> RateLimitExceeded:
        await function()
        with pytest.raises(RateLimitExceeded) as caught:
            await function()
        return caught.value

    error = world.run(body)
    assert "function(): rate limit of" in str(error)
    assert error.retry_after == 1


def test_a_failing_function_is_left_alone(world: AnyWorld) -> None:
    """T11: failures count (async ones when they are awaited), and the circuit opens and closes."""
    play = Plays(world.clock, OSError("down"), OSError("down"), "up")
    function = decorated(world, play, circuit_breaker(min_calls=2, on=OSError, clock=world.clock))

    async def body() -> str:
        for kind in (OSError, OSError, CircuitOpenError):
            with pytest.raises(kind):
                await function()
        await world.runtime.sleep(5)
        await function()
        return await function()

    assert world.run(body) == "up"


def test_decorators_stack(world: AnyWorld) -> None:
    """@rate_limit @retry @log_request: each call of the stack takes one token, its retries none."""
    play = Plays(world.clock, ConnectError("a"), 1, 2)
    function = decorated(
        world,
        play,
        rate_limit(calls=1, period=10, clock=world.clock),
        retry(clock=world.clock, strategy=PLAIN),
        log_request,
    )

    async def body() -> list[Any]:
        return [await function(), await function()]

    assert world.run(body) == [1, 2]
    assert play.called == [0, 0.5, 10.5]


def test_each_decorated_function_has_a_state_of_its_own(world: AnyWorld) -> None:
    """Two functions under one decorator do not share their limit; with `state=` they do."""
    limit = rate_limit(calls=1, period=10, clock=world.clock)
    one, two = (Plays(world.clock, "x") for _ in range(2))
    shared = circuit_breaker(
        min_calls=1, state=CircuitBreaker(min_calls=1).bind(world.runtime).state, clock=world.clock
    )
    bad, good = decorated(world, Plays(world.clock, ConnectError("x")), shared), decorated(world, one, shared)

    async def body() -> None:
        await decorated(world, one, limit)()
        await decorated(world, two, limit)()
        with pytest.raises(ConnectError):
            await bad()
        with pytest.raises(CircuitOpenError):
            await good()

    world.run(body)
    assert (one.called, two.called) == ([0], [0])


# ---------------------------------------------------------------------- deadline


def test_an_async_function_is_cancelled_at_its_deadline(world: AnyWorld) -> None:
    """A sync one is not interrupted: it ends when it ends."""

    if world.name == "sync":

        @deadline(5, clock=world.clock)
        def sleeps() -> str:
            world.clock.sleep(10)
            return "rested"

        assert world.run(lambda: _awaited(sleeps)) == "rested"
        assert world.clock.monotonic() == 10
        return

    @deadline(5, clock=world.clock)
    async def naps() -> str:
        await world.runtime.sleep(10)
        return "rested"

    with pytest.raises(DeadlineExceeded, match=r"naps\(\): the deadline of 5 s was exceeded"):
        world.run(naps)
    assert world.clock.monotonic() == 5


async def _awaited(function: Any) -> Any:
    return function()


def test_clients_inside_obey_the_deadline_round_them(world: AnyWorld) -> None:
    """Sync too: the silent server's call ends after 5 s, not after its own 60."""

    async def body() -> BaseException:
        async with any_client(world, engine=ScriptedTransport(Script(Stall()))) as client:
            if world.name == "sync":
                function: Any = deadline(5, clock=world.clock)(lambda: client.plain.get("/"))
                call: Any = _awaited
            else:

                @deadline(5, clock=world.clock)
                async def function() -> Any:
                    return await client.get("/")

                async def call(function: Any) -> Any:
                    return await function()

            with pytest.raises(DeadlineExceeded) as caught:
                await call(function)
            return caught.value

    world.run(body)
    assert world.clock.monotonic() == 5


def test_of_nested_deadlines_the_earlier_counts(world: AnyWorld) -> None:
    """An inner deadline does not lengthen the outer one, and retries do not outlast it."""
    play = Plays(world.clock, ConnectError("down"))
    inner = decorated(world, play, deadline(100, clock=world.clock))
    again = decorated(world, play, retry(clock=world.clock, strategy=LinearBackoff(base=4, jitter="none")))

    async def work() -> str:
        with pytest.raises(ConnectError):
            await again()
        with pytest.raises(ConnectError):
            await inner()
        return "done"

    if world.name == "sync":
        outer = deadline(3, clock=world.clock)(lambda: _step(work()))
        assert world.run(lambda: _awaited(outer)) == "done"
    else:
        assert world.run(deadline(3, clock=world.clock)(work)) == "done"
    assert play.called == [0, 0]  # a retry after 4 s would not have fitted


def test_a_function_is_not_begun_when_the_deadline_round_it_has_passed(world: AnyWorld) -> None:
    """The clock was turned past it by something that nobody could interrupt."""
    play = Plays(world.clock, "x")
    late = decorated(world, play, deadline(100, clock=world.clock))

    async def too_late() -> str:
        token = ambient_deadline.set(AmbientDeadline(world.clock, world.clock.monotonic()))
        try:
            with pytest.raises(DeadlineExceeded) as caught:
                await late()
        finally:
            ambient_deadline.reset(token)
        return str(caught.value)

    expected = "was not begun" if world.name == "sync" else "before anything was sent"
    assert expected in world.run(too_late)
    assert play.called == []


def _step(coroutine: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def test_a_timeout_error_of_the_function_is_its_own(world: AnyWorld) -> None:
    """It is not turned into DeadlineExceeded."""
    function = decorated(world, Plays(world.clock, TimeoutError("mine")), deadline(5, clock=world.clock))
    with pytest.raises(TimeoutError, match="mine"):
        world.run(function)


# ---------------------------------------------------------------------- logging


def test_a_call_is_logged_without_its_arguments(world: AnyWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Name, end and duration; a response brings method, endpoint and status; an error is a warning by its class."""
    caplog.set_level(logging.INFO, "rest_api_client")
    play = Plays(
        world.clock, "x", Response(200, request=a_request(template="/t/{id}")), Response(204), ValueError("s3cret")
    )
    function = decorated(world, play, log_request(clock=world.clock))

    async def body() -> None:
        for _ in range(3):
            await function("s3cret")
        with pytest.raises(ValueError, match="s3cret"):
            await function("s3cret")

    world.run(body)
    assert [record.levelname for record in caplog.records] == ["INFO"] * 3 + ["WARNING"]
    first, second, third, last = (record.getMessage().partition("function")[2] for record in caplog.records)
    assert first == "() returned in 0.000 s"
    assert second == "() 200 in 0.000 s"
    assert third == "() 204 in 0.000 s"
    assert last == "() raised ValueError in 0.000 s"
    assert (caplog.records[1].method, caplog.records[1].endpoint, caplog.records[1].status) == ("GET", "/t/{id}", 200)  # type: ignore[attr-defined]
    assert caplog.records[3].reason == "ValueError"  # type: ignore[attr-defined]


def test_retries_of_a_function_are_logged_too(world: AnyWorld, caplog: pytest.LogCaptureFixture) -> None:
    """The events of the policy reach the logger, under the function's name."""
    caplog.set_level(logging.INFO, "rest_api_client")
    play = Plays(world.clock, ConnectError("a"), 1)
    world.run(decorated(world, play, retry(clock=world.clock, strategy=PLAIN)))
    assert "retry in 0.500 s after connect error" in caplog.text
    caplog.clear()
    logging.getLogger("rest_api_client").setLevel(logging.CRITICAL)
    play.results = [ConnectError("a"), 1]
    world.run(decorated(world, play, retry(clock=world.clock, strategy=PLAIN)))
    assert caplog.text == ""


# ---------------------------------------------------------------------- what can be decorated


def test_name_signature_and_doc_are_kept() -> None:
    """Sync stays sync, async stays async."""

    @retry
    @circuit_breaker
    @log_request
    @deadline(5)
    @rate_limit(calls=1, period=1)
    def function(number: int, *, word: str = "x") -> str:
        """The doc."""
        return word * number

    assert function.__name__ == "function"
    assert function.__doc__ == "The doc."
    assert str(inspect.signature(function)) == "(number: 'int', *, word: 'str' = 'x') -> 'str'"
    assert function(2, word="y") == "yy"

    @retry(max_attempts=2)
    @circuit_breaker(min_calls=3)
    @log_request(level=logging.DEBUG)
    @deadline(5)
    @rate_limit(calls=1, period=1)
    async def async_function() -> int:
        return 3

    assert inspect.iscoroutinefunction(async_function)


def test_methods_can_be_decorated(world: AnyWorld) -> None:
    """The instance comes along."""

    class Service:
        tries = 0

        @retry(clock=world.clock)
        def fetch(self) -> int:
            self.tries += 1
            if self.tries < 3:
                raise ConnectError("x")
            return self.tries

    service = Service()

    async def body() -> int:
        return service.fetch()

    if world.name == "sync":
        assert world.run(body) == 3


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


class _Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [_generator, _async_generator, functools.partial(_generator), _Generating()])
@pytest.mark.parametrize(
    "decorator",
    [retry, circuit_breaker, log_request, deadline(1), rate_limit(calls=1, period=1)],
    ids=["retry", "circuit_breaker", "log_request", "deadline", "rate_limit"],
)
def test_generator_functions_are_refused(decorator: Any, function: Any) -> None:
    """When they are decorated, not when they are called."""
    with pytest.raises(ConfigurationError, match="generator function"):
        decorator(function)


def test_what_is_no_function_is_refused() -> None:
    """A classmethod object, for instance: the decorator belongs below it."""
    with pytest.raises(ConfigurationError, match="below @classmethod"):
        retry(classmethod(lambda cls: None))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "decorator",
    [retry, circuit_breaker, log_request, deadline(1), rate_limit(calls=1, period=1)],
    ids=["retry", "circuit_breaker", "log_request", "deadline", "rate_limit"],
)
def test_a_sync_function_that_returns_an_awaitable_is_an_error(decorator: Any) -> None:
    """T11: its end could not be seen, and every call would count as a success."""

    async def work() -> int:
        return 1

    function = decorator(lambda: work())
    with pytest.raises(ConfigurationError, match="async def"):
        function()


def test_an_awaitable_that_is_no_coroutine_is_an_error_too() -> None:
    """A future, for instance."""

    class Future:
        def __await__(self) -> Iterator[int]:
            return iter(())

    with pytest.raises(ConfigurationError, match="async def"):
        retry(lambda: Future())()


def test_callable_objects_and_partials_of_async_functions_are_async(world: AnyWorld) -> None:
    """What counts is what the call gives."""
    if world.name == "sync":
        return

    class Service:
        async def __call__(self, number: int) -> int:
            return number

    async def echo(number: int) -> int:
        return number

    for function in (Service(), functools.partial(echo)):
        assert world.run(retry(clock=world.clock)(function), 4) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: retry(max_attemps=3), "did you mean 'max_attempts'"),
        (lambda: rate_limit(qqq=1), "RateLimit: unknown option 'qqq'; known: burst, calls"),
        (lambda: circuit_breaker(lines=1), "CircuitBreaker: unknown option 'lines'"),
        (lambda: retry(max_attempts=0), "max_attempts=0"),
        (lambda: deadline(0), r"deadline\(seconds=0\)"),
        (lambda: rate_limit(), "give calls= and period="),
    ],
)
def test_options_that_cannot_be_are_refused(make: Any, message: str) -> None:
    """When the decorator is made."""
    with pytest.raises(ConfigurationError, match=message):
        make()


# ---------------------------------------------------------------------- concurrency, hedging, coalescing, fallback


def test_a_bulkhead_lets_so_many_calls_run() -> None:
    """The one too many is refused at once; afterwards there is room again."""
    clock = VirtualClock()
    running: list[int] = []

    @bulkhead(limit=1, queue=0, clock=clock)
    def outer() -> str:
        running.append(1)
        if len(running) < 2:
            with pytest.raises(BulkheadFull):
                outer()
        return "done"

    with clock.hold():
        assert outer() == "done"
        running.clear()
        assert outer() == "done"


def test_a_learned_limit_decorates_too() -> None:
    """Where nothing is learned yet, the first limit holds."""
    clock = VirtualClock()

    @adaptive_concurrency(initial=1, queue=0, clock=clock)
    def outer(depth: int = 0) -> str:
        if not depth:
            with pytest.raises(BulkheadFull):
                outer(1)
        return "done"

    with clock.hold():
        assert outer() == "done"


def test_a_slow_call_is_hedged(world: AnyWorld) -> None:
    """The first call sleeps; the second, sent after the delay, gives the result."""
    calls: list[float] = []

    def slow_first() -> float:
        calls.append(world.clock.monotonic())
        return 100 if len(calls) == 1 else 0

    if world.name == "sync":

        @hedge(delay=2, hedge_unabortable=True, clock=world.clock)
        def work() -> str:
            world.clock.sleep(slow_first())
            return "done"

        with world.clock.hold():
            assert work() == "done"
    else:

        @hedge(delay=2, clock=world.clock)
        async def work_async() -> str:
            await world.runtime.sleep(slow_first())
            return "done"

        assert world.run(work_async) == "done"
    assert calls == [0, 2]


def test_a_sync_function_is_hedged_only_on_demand() -> None:
    """A thread cannot be stopped."""
    with pytest.raises(CapabilityError, match="hedge_unabortable"):
        hedge(delay=1)(lambda: None)()


def test_a_fallback_gives_something_else(world: AnyWorld) -> None:
    """A value, or what a function makes of the failure."""
    fails = OSError("down")
    assert world_call(world, fallback(json=[1], on=OSError, clock=world.clock), fails) == [1]
    made = fallback(call=lambda request, error: f"instead of {error}", on=OSError, clock=world.clock)
    assert world_call(world, made, fails) == "instead of down"
    with pytest.raises(KeyError):
        world_call(world, made, KeyError("mine"))


def world_call(world: AnyWorld, decorator: Any, error: Exception) -> Any:
    """Call a decorated function that raises, sync or async."""
    if world.name == "sync":

        @decorator
        def fail() -> None:
            raise error

        with world.clock.hold():
            return fail()

    @decorator
    async def fail_async() -> None:
        raise error

    return world.run(fail_async)


def test_calls_at_once_are_coalesced(world: AnyWorld) -> None:
    """Equal arguments share one call; others have their own; later ones are made anew."""
    calls: list[int] = []

    async def body(work: Any) -> list[int]:
        found: list[int] = []

        async def one(number: int) -> None:
            found.append(await work(number))

        async with anyio.create_task_group() as group:
            for number in (1, 1, 2):
                group.start_soon(one, number)
        return found

    if world.name == "sync":

        @coalesce(clock=world.clock)
        def work(number: int) -> int:
            calls.append(number)
            world.clock.sleep(1)
            return number

        found: list[int] = []
        with world.clock.hold():
            ends = [world.clock.flag() for _ in range(3)]
            for end, number in zip(ends, (1, 1, 2), strict=True):
                world.clock.start(lambda n=number, end=end: (found.append(work(n)), end.set()), name="caller")
            for end in ends:
                end.wait()
        assert sorted(found) == [1, 1, 2]
    else:

        @coalesce(clock=world.clock)
        async def work_async(number: int) -> int:
            calls.append(number)
            await world.runtime.sleep(1)
            return number

        assert sorted(world.run(body, work_async)) == [1, 1, 2]
    assert sorted(calls) == [1, 2]


def test_a_key_says_what_is_the_same() -> None:
    """What is not hashable cannot be told apart, and says so; a key mends it."""

    @coalesce
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    with pytest.raises(HookError, match="identity"):
        total([1, 2])
    assert coalesce(key=tuple)(total.__wrapped__)([1, 2]) == 3  # type: ignore[attr-defined]
