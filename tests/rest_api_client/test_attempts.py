"""The attempt level: each pass is recorded, resends end, and nothing stays open."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rest_api_client.attempts import MAX_RESENDS, AttemptLevel
from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.events import AttemptEnded, Event
from rest_api_client.exceptions import (
    APIError,
    CircuitOpenError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    HookError,
    ReadError,
    ReadTimeout,
)
from rest_api_client.http.bodies import OneShotBody
from rest_api_client.middleware import Middleware
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.outcome import Outcome
from rest_api_client.pipeline import Pipeline, Stage
from rest_api_client.policies.reading import Read
from rest_api_client.runtime import Aborted
from rest_api_client.script import Chunk, Head, Refuse, Reset, Script, Stall
from rest_api_client.transport import Timeouts
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

BROKEN = Script(Head(200, (("content-length", "9"),)), Chunk(b"half"), Reset())


class Auth:
    """Asks for the request again, marked, as often as it is told to."""

    stage = Stage.AUTH

    def __init__(self, times: int) -> None:
        self.times = times

    async def __call__(self, request: Request, context: Context, proceed: Any) -> Response:
        response = await proceed(request, context)
        count = int(request.headers.get("x-round", "0"))
        if count < self.times:
            context.resend(request.with_headers(x_round=str(count + 1)))
        return response


class Crowded(list[Attempt]):
    """A record into which another thread of the call writes first, whenever one is about to."""

    def append(self, record: Attempt) -> None:
        super().append(Attempt.begun(len(self) + 1, 0.0))
        super().append(record)


def test_threads_that_begin_at_once_have_numbers_of_their_own(world: World[VirtualClock]) -> None:
    """Two hedges of a sync call: each writes into its own record, and is counted where it stands."""

    async def body() -> Call:
        chain = Chain(world.runtime, [], respond(204))
        call = Call(world.runtime, chain.random)
        call.attempts = Crowded()
        await chain.pipeline(a_request(), Context(call))
        return call

    other, own = world.run(body).attempts
    assert (other.number, other.status_code) == (1, None)
    assert (own.number, own.status_code) == (2, 204)


def test_an_answer_is_recorded(world: World[VirtualClock]) -> None:
    """Number, times, status, masked URL, bytes, peer and protocol of the one request."""

    async def body() -> Chain:
        chain = Chain(world.runtime, [], respond(201, delay=0.25))
        response = await chain.send(a_request(url="https://api.test/x?token=hunter2"))
        assert response.request is not None
        assert (response.received_at - response.sent_at) == pytest.approx(0.25)
        return chain

    chain = world.run(body)
    assert chain.call is not None
    [attempt] = chain.call.attempts
    assert (attempt.number, attempt.status_code, attempt.error, attempt.reason) == (1, 201, None, "ok")
    assert (attempt.started, attempt.elapsed) == (0.0, 0.25)
    assert attempt.url == "https://api.test/x?token=***"
    assert attempt.sent > 0
    assert (attempt.peer, attempt.http_version) == ("api.test", "HTTP/1.1")
    assert [event.attempt for event in chain.events if isinstance(event, AttemptEnded)] == [attempt]


@pytest.mark.parametrize(
    ("script", "kind", "reason", "processed"),
    [
        (Script(Refuse()), ConnectError, "connect error", "no"),
        (Script(Reset()), ReadError, "read error", "unknown"),
        (BROKEN, ReadError, "read error", "unknown"),
        (Script(Stall()), ReadTimeout, "read timeout", "unknown"),
    ],
)
def test_a_failure_is_recorded(
    world: World[VirtualClock], script: Script, kind: type[APIError], reason: str, processed: str
) -> None:
    """The error has the request in it, says whether the server can have acted, and its name stands in the record."""

    async def body() -> tuple[Chain, Any]:
        chain = Chain(world.runtime, [], script)
        with pytest.raises(kind) as failed:
            await chain.send(timeouts=Timeouts(read=5))
        return chain, failed.value

    chain, error = world.run(body)
    assert chain.call is not None
    [attempt] = chain.call.attempts
    assert (attempt.error, attempt.reason, attempt.status_code) == (
        kind.__name__,
        reason,
        None if error.response is None else 200,
    )
    assert error.request is not None
    assert error.processed == processed
    assert chain.call.last is error


def test_a_resend_is_an_attempt_of_its_own(world: World[VirtualClock]) -> None:
    """The changed request is sent next, under the next number; the first answer is given back."""

    async def body() -> Chain:
        chain = Chain(world.runtime, [Auth(2)], respond(200, content=b"x"))
        response = await chain.send(attempt_headers=True)
        assert response.request is not None
        assert response.request.headers["x-round"] == "2"
        return chain

    chain = world.run(body)
    assert chain.call is not None
    assert [attempt.number for attempt in chain.call.attempts] == [1, 2, 3]
    sent = [arrival.request.headers for arrival in chain.server.requests]
    assert [headers["x-attempt"] for headers in sent] == ["1", "2", "3"]
    assert {headers["x-call-id"] for headers in sent} == {chain.call.id}


def test_a_loop_of_resends_ends(world: World[VirtualClock]) -> None:
    """An authentication that is never content is stopped, and the error says so."""

    async def body() -> Chain:
        chain = Chain(world.runtime, [Auth(10**6)], respond(401))
        with pytest.raises(HookError, match="looping") as failed:
            await chain.send()
        assert failed.value.request is not None
        return chain

    assert len(world.run(body).server.requests) == MAX_RESENDS + 1


class Kept:
    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("script", [respond(200), Script(Refuse())])
def test_what_a_policy_kept_is_given_back(world: World[VirtualClock], script: Script) -> None:
    """Once, after the last resend or the error; it was the same for all passes."""
    kept = Kept()
    seen: list[Any] = []

    async def keep(request: Request, context: Context, proceed: Any) -> Response:
        context.keep("mine", (context.memory or {}).get("mine", kept))
        assert context.memory is not None
        seen.append(context.memory["mine"])
        return await proceed(request, context)

    async def body() -> None:
        chain = Chain(world.runtime, [Middleware(keep, scope="attempt"), Auth(1)], script)
        try:
            await chain.send()
        except ConnectError:
            assert len(seen) == 1
        else:
            assert seen == [kept, kept]

    world.run(body)
    assert kept.closed == 1


def raising(error: BaseException) -> Middleware:
    async def middleware(request: Request, context: Context, proceed: Any) -> Response:
        raise error

    return Middleware(middleware, scope="attempt")


@pytest.mark.parametrize(
    ("error", "name", "reason", "counted"),
    [
        (CircuitOpenError(), "CircuitOpenError", "circuit open", False),
        (DeadlineExceeded(), "DeadlineExceeded", "deadline", False),
        (ValueError("bug"), "ValueError", "error", True),
        (Aborted(), "Cancelled", "cancelled", False),
        (KeyboardInterrupt(), "Cancelled", "cancelled", False),
    ],
)
def test_every_end_is_recorded(error: BaseException, name: str, reason: str, counted: bool) -> None:
    """Refusals, bugs and cancellations too; only what came from beyond a refusal becomes `last`."""
    world = World("sync", VirtualClock())

    async def body() -> Chain:
        chain = Chain(world.runtime, [raising(error)], respond(200))
        with pytest.raises(type(error)):
            await chain.send()
        return chain

    chain = world.run(body)
    assert chain.call is not None
    [attempt] = chain.call.attempts
    assert (attempt.error, attempt.reason, attempt.sent) == (name, reason, 0)
    assert (chain.call.last is error) is counted


def test_a_cut_at_the_deadline_is_recorded_as_one() -> None:
    """Cancelled because the call's time is up: the record says deadline, whatever class the runtime cancels with."""
    world = World("sync", VirtualClock())

    async def body() -> list[Any]:
        call = Call(world.runtime, random.Random(1))
        call.deadline = world.runtime.now()
        transport = ScriptedTransport(respond(200)).bind(world.runtime)
        with pytest.raises(Aborted):
            await Pipeline([raising(Aborted())], transport, world.runtime)(a_request(), Context(call))
        return call.attempts

    [attempt] = world.run(body)
    assert (attempt.error, attempt.reason) == ("DeadlineExceeded", "deadline")


class Stream:
    closed = False

    async def aclose(self) -> None:
        self.closed = True


def test_a_classifier_that_raises_leaves_no_connection_open() -> None:
    """The user's own `classify=` may be wrong; the answer is given back all the same."""
    stream = Stream()

    async def chain(request: Request, context: Context) -> Response:
        return Response(200, stream=stream)  # type: ignore[arg-type]

    def broken(request: Request, result: object) -> Outcome:
        raise ZeroDivisionError

    world = World("sync", VirtualClock())

    async def body() -> None:
        call = Call(world.runtime, random.Random(1), classify=broken)
        with pytest.raises(ZeroDivisionError):
            await AttemptLevel(chain)(a_request(), Context(call))

    world.run(body)
    assert stream.closed


def test_hedged_attempts_are_numbered_one_by_one() -> None:
    """Threads that begin at the same moment do not share a record."""
    world = World("sync", VirtualClock())

    async def body() -> Call:
        chain = Pipeline([Read()], ScriptedTransport(respond(200, delay=1)).bind(world.runtime), world.runtime)
        call = Call(world.runtime, random.Random(1), options=CallOptions(attempt_headers=True))

        async def one() -> Response:
            return await chain(a_request(), Context(call))

        await world.runtime.race([one] * 8, [0.0] * 8, lambda response: False)
        return call

    call = world.run(body)
    assert sorted(attempt.number for attempt in call.attempts) == list(range(1, 9))
    assert all(attempt.reason == "ok" for attempt in call.attempts)


def test_an_api_error_of_the_engine_carries_the_request(world: World[VirtualClock]) -> None:
    """Also one that is no transport error: no script is left, the exchange was aborted."""

    async def body() -> Any:
        chain = Chain(world.runtime, [], [])
        with pytest.raises(ConfigurationError) as failed:
            await chain.send()
        return failed.value.request

    assert world.run(body) is not None


def test_events_come_after_the_record(world: World[VirtualClock]) -> None:
    """A sink that looks at the call sees what the event tells."""
    told: list[Event] = []

    async def body() -> None:
        call = Call(world.runtime, random.Random(1), emit=told.append)
        transport = ScriptedTransport(respond(404)).bind(world.runtime)
        await Pipeline([Read()], transport, world.runtime)(a_request(template="/things/{id}"), Context(call))
        [event] = told
        assert isinstance(event, AttemptEnded)
        assert event.attempt is call.attempts[0]
        assert (event.endpoint, event.call_id, event.attempt.reason) == ("/things/{id}", call.id, "status 404")

    world.run(body)


def test_closed_errors_are_api_errors() -> None:
    """What a used-up body raises inside the engine gets its request like the rest."""
    world = World("sync", VirtualClock())

    async def body() -> Any:
        chain = Chain(world.runtime, [], respond(200))
        used = OneShotBody(iter([b"x"]))
        list(used.open())  # type: ignore[arg-type]
        with pytest.raises(ClosedError) as failed:
            await chain.send(a_request("POST", body=used))
        return failed.value.request

    assert world.run(body) is not None
