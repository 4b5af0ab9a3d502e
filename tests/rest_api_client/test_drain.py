"""Answers that nobody wants: what is read of them, for how long, and that it happens before the back-off."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rest_api_client.attempts import DRAIN_SECONDS, DRAINED, drain
from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.http.headers import Headers
from rest_api_client.models import Response
from rest_api_client.pipeline import Pipeline
from rest_api_client.script import Chunk, Close, End, Head, Reset, Script, Stall, Throttle
from rest_api_client.transport import Timeouts
from tests.conftest import World
from tests.rest_api_client.chain import a_request

AnyWorld = World[Any]


async def drained(world: AnyWorld, script: Script, timeouts: Timeouts | None = None) -> tuple[float, str, bool]:
    """How long draining took, how far the exchange got, and whether the answer holds nothing any more."""
    call = Call(world.runtime, random.Random(1))
    pipeline = Pipeline([], ScriptedTransport(script, runtime=world.runtime), world.runtime)
    context = Context(call)
    response = await pipeline(a_request(), context)
    exchange = response.exchange
    assert exchange is not None
    exchange.timeouts = timeouts or exchange.timeouts
    began = world.clock.monotonic()
    await drain(response, context)
    await drain(response, context)
    return world.clock.monotonic() - began, exchange.phase, response.stream is None


CHUNKED = (("transfer-encoding", "chunked"),)


@pytest.mark.parametrize(
    ("script", "phase", "seconds"),
    [
        (Script(Head(503, (("content-length", "4096"),)), Chunk(bytes(DRAINED)), End()), "done", 0),
        (Script(Head(503, (("content-length", "0"),)), End()), "done", 0),
        (Script(Head(503, CHUNKED), Chunk(bytes(DRAINED)), End()), "done", 0),
        (Script(Head(503, (("content-length", "4097"),)), Chunk(bytes(4097)), End()), "read", 0),
        (Script(Head(503, CHUNKED), Chunk(bytes(4097)), End()), "read", 0),
        (Script(Head(503, CHUNKED), Chunk(b"error"), Close()), "read", 0),
        (Script(Head(503, CHUNKED), Chunk(b"error"), Reset()), "read", 0),
        (Script(Head(503, CHUNKED), Chunk(b"error"), Stall()), "read", DRAIN_SECONDS),
        (Script(Head(503, CHUNKED), Throttle(100), Chunk(bytes(999)), End()), "read", DRAIN_SECONDS),
    ],
)  # fmt: skip
def test_a_little_is_read_for_a_little_while(world: AnyWorld, script: Script, phase: str, seconds: float) -> None:
    """T8: at most 4 KiB within 50 ms, drip by drip or in silence; what breaks is no error."""
    took, reached, empty = world.run(drained, world, script)
    assert reached == phase
    assert empty
    assert seconds <= took <= seconds + DRAIN_SECONDS / 5


def test_a_shorter_limit_of_the_callers_holds(world: AnyWorld) -> None:
    """Who gives a read timeout below 50 ms waits no longer than that; None is 50 ms."""
    silent = Script(Head(503, CHUNKED), Stall())
    assert world.run(drained, world, silent, Timeouts(read=0.01))[0] == pytest.approx(0.01)
    assert world.run(drained, world, silent, Timeouts(read=None))[0] == pytest.approx(DRAIN_SECONDS)


class Kept:
    """A body that no engine brought."""

    def __init__(self) -> None:
        self.read = self.closed = False

    def __aiter__(self) -> Any:
        self.read = True
        return self

    async def aclose(self) -> None:
        self.closed = True


def test_what_no_engine_brought_is_closed(world: AnyWorld) -> None:
    """An answer that a policy made, or outside of any chain: nobody knows how to stop its reading."""

    async def body() -> None:
        stream: Any = Kept()
        await drain(Response(503, headers=Headers(), stream=stream), Context(Call(world.runtime, random.Random(1))))
        assert (stream.read, stream.closed) == (False, True)

    world.run(body)
