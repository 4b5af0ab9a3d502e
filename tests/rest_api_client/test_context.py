"""What travels down the chain: ids by chance, waits within the deadline, events only for those who listen."""

from __future__ import annotations

import random

import pytest

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.events import AttemptEnded, CallStarted, Event
from rest_api_client.exceptions import DeadlineExceeded, ServerError
from rest_api_client.models import Response
from rest_api_client.outcome import Kind
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request


def test_an_id_is_made_once_and_by_the_given_chance(world: World[VirtualClock]) -> None:
    """32 hex digits; the same seed gives the same, another call another."""
    call, again = (Call(world.runtime, random.Random(1)) for _ in range(2))
    assert call.id == call.id == again.id
    assert len(call.id) == 32
    assert int(call.id, 16) >= 0
    assert Call(world.runtime, random.Random(2)).id != call.id


def test_a_wait_that_does_not_fit_is_refused_at_once(world: World[VirtualClock]) -> None:
    """Also one that would end at the very deadline; a shorter one is waited for."""

    async def body() -> tuple[float, float | None]:
        context = Context(Call(world.runtime, random.Random(1)))
        await context.sleep(100)
        context.call.deadline = world.runtime.now() + 10
        await context.sleep(4)
        began = world.runtime.now()
        for seconds in (6, 60, float("inf")):
            with pytest.raises(DeadlineExceeded, match="does not fit"):
                await context.sleep(seconds)
        return world.runtime.now() - began, context.remaining

    assert world.run(body) == (0, 6)


def test_the_time_left_is_never_below_0(world: World[VirtualClock]) -> None:
    """None without a deadline."""

    async def body() -> list[float | None]:
        context = Context(Call(world.runtime, random.Random(1)))
        before = context.remaining
        context.call.deadline = world.runtime.now() - 5
        return [before, context.remaining]

    assert world.run(body) == [None, 0.0]


def test_events_go_to_those_who_listen(world: World[VirtualClock]) -> None:
    """Nothing is built where nobody does, or nobody to this kind."""
    told: list[Event] = []
    silent = Context(Call(world.runtime, random.Random(1)))
    silent.tell(CallStarted, a_request(), no_such_detail=1)
    call = Call(world.runtime, random.Random(1), emit=told.append)
    Context(call).tell(CallStarted, a_request(url="https://h/a/b?c"), url="u")
    call.only = frozenset({AttemptEnded})
    Context(call).tell(CallStarted, a_request(), no_such_detail=1)
    [event] = told
    assert (event.call_id, event.method, event.endpoint, event.at) == (call.id, "GET", "/a/b", world.runtime.now())


def test_the_classifier_is_the_calls(world: World[VirtualClock]) -> None:
    """What an end means is asked of the call, whatever path it was on."""
    call = Call(world.runtime, random.Random(1), options=CallOptions(stream=True))
    assert Context(call).classify(a_request(), Response(429)).kind is Kind.THROTTLED
    assert Context(call).options.stream
    context = Context(call)
    context.resend(a_request("PUT"))
    assert context.again is not None
    assert context.again.method == "PUT"


def test_the_cause_is_what_went_wrong_beyond_this_client(world: World[VirtualClock]) -> None:
    """The error of a failed answer, the error itself, or nothing."""
    call = Call(world.runtime, random.Random(1))
    assert call.cause() is None
    call.last = Response(200)
    assert call.cause() is None
    call.last = Response(503)
    cause = call.cause()
    assert isinstance(cause, ServerError)
    call.last = cause
    assert call.cause() is cause
