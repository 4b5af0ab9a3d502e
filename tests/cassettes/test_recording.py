"""What was recorded is what is played: each attempt, whatever became of it, for every client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cassettes import CassetteError, load, use_cassette
from rest_api_client.clock import Clock
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import APIError
from rest_api_client.script import Chunk, Close, Delay, End, Head, Refuse, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.faces import any_client

FORMS = (".yaml", ".json", ".jsonl")
LENGTH = (("content-length", "100"),)
EVERYTHING = [
    Script(Stall()),
    respond(503, headers={"retry-after": "7"}),
    respond(200, json={"id": 7}),
    Script(Refuse()),
    Script(Reset()),
    Script(Close()),
    Script(Head(200, LENGTH), Chunk(b"0123456789"), Reset()),
    Script(Head(200), Chunk(b"one"), Delay(0.5), Chunk(b"two"), End()),
    Script(Head(200, LENGTH), Chunk(b"0123456789"), Stall()),
    Script(Head(204), End()),
]


async def one(client: Any, **options: Any) -> str:
    """What a call comes to: its status and body, or the class of its error and whether the request was sent."""
    try:
        response = await client.get("/things", raise_for_status=False, **options)
    except APIError as error:
        return f"{type(error).__name__} {getattr(error, 'processed', '')}"
    return f"{response.status_code} {response.content!r}"


def run(world: World[Any], path: Path, calls: int, **options: Any) -> list[str]:
    """So many calls through a cassette, none of them repeated by the client."""

    async def body() -> list[str]:
        with use_cassette(path, **options) as cassette:
            async with any_client(world, engine=cassette, max_retries=0, deadline=None, circuit_breaker=None) as client:
                return [await one(client) for _ in range(calls)]

    return world.run(body)


@pytest.mark.parametrize("form", FORMS)
def test_every_attempt_comes_back_as_it_was(world: World[VirtualClock], form: str, tmp_path: Path) -> None:
    """Answers, timeouts, refusals, resets and cut bodies: the same statuses, bodies and classes of error, in order."""
    path = tmp_path / f"everything{form}"
    live = run(world, path, len(EVERYTHING), mode="all", inner=ScriptedTransport(EVERYTHING))
    assert live[0] == "ReadTimeout unknown"
    assert live[3] == "ConnectError no"
    assert run(world, path, len(EVERYTHING), mode="none") == live


def test_pauses_are_left_out_or_lived_through(world: World[VirtualClock], tmp_path: Path) -> None:
    """time="off" takes no time, "virtual" as much as the recording; a shorter read timeout strikes when it should."""
    slow = Script(Delay(2), Head(200), Chunk(b"one"), Delay(3), Chunk(b"two"), End())

    async def took(**options: Any) -> tuple[str, float]:
        timeout = options.pop("timeout", 60)
        with use_cassette(tmp_path / "slow.yaml", **options) as cassette:
            async with any_client(world, engine=cassette, max_retries=0) as client:
                began = world.clock.monotonic()
                return await one(client, timeout=timeout), world.clock.monotonic() - began

    async def body() -> None:
        live = await took(mode="all", inner=ScriptedTransport(slow))
        assert live == ("200 b'onetwo'", 5)
        assert await took(mode="none") == ("200 b'onetwo'", 0)
        assert await took(mode="none", time="virtual") == live
        assert await took(mode="none", time="real") == live
        assert await took(mode="none", time="virtual", timeout=2.5) == ("ReadTimeout unknown", 4.5)

    world.run(body)


def test_virtual_time_wants_a_virtual_clock(real_world: World[Clock], tmp_path: Path) -> None:
    """time="virtual" on the real clock is refused, rather than waited for."""
    run(real_world, tmp_path / "a.yaml", 1, mode="all", inner=ScriptedTransport(respond(200)))
    with pytest.raises(CassetteError, match="VirtualClock"):
        run(real_world, tmp_path / "a.yaml", 1, mode="none", time="virtual")


def test_a_stream_passes_through_while_it_is_recorded(world: World[VirtualClock], tmp_path: Path) -> None:
    """The client has each piece when the server sends it, recording or not, and gets the same pieces again."""
    steps = [Chunk(b"event 1\n"), Delay(1), Chunk(b"event 2\n"), Delay(1), Chunk(b"event 3\n")]

    async def pieces(**options: Any) -> list[tuple[float, bytes]]:
        with use_cassette(tmp_path / "stream.jsonl", **options) as cassette:
            async with any_client(world, engine=cassette) as client:
                return [piece async for piece in streamed(world, client)]

    async def body() -> None:
        live = await pieces(mode="all", inner=ScriptedTransport(Script(Head(200), *steps, End())))
        assert live == [(0, b"event 1\n"), (1, b"event 2\n"), (2, b"event 3\n")]
        assert [piece for _, piece in await pieces(mode="none")] == [piece for _, piece in live]
        assert [at - 2 for at, _ in await pieces(mode="none", time="virtual")] == [0, 1, 2]

    world.run(body)


async def streamed(world: World[Any], client: Any) -> AsyncIterator[tuple[float, bytes]]:
    """The pieces of an answer's body, and when they came."""
    if world.name == "sync":
        with client.plain.stream("GET", "/events") as response:
            for piece in response.iter_bytes():
                yield world.clock.monotonic(), piece
    else:
        async with client.stream("GET", "/events") as response:
            async for piece in response.aiter_bytes():
                yield world.clock.monotonic(), piece


def test_more_requests_than_were_recorded_are_a_miss(world: World[VirtualClock], tmp_path: Path) -> None:
    """Nothing is played twice, and the network is not asked."""
    path = tmp_path / "once.yaml"
    run(world, path, 2, mode="all", inner=ScriptedTransport([respond(200, content="1"), respond(200, content="2")]))
    assert run(world, path, 3, mode="none") == ["200 b'1'", "200 b'2'", "CassetteMiss "]
    assert run(world, path, 3, mode="none", strictness="last_stays") == ["200 b'1'", "200 b'2'", "200 b'2'"]


def test_a_deadline_is_recorded_as_what_it_was(world: World[VirtualClock], tmp_path: Path) -> None:
    """The attempt that the call's own deadline ended ends so again, at once or in its time."""
    path = tmp_path / "deadline.yaml"

    async def call(**options: Any) -> tuple[str, float]:
        with use_cassette(path, **options) as cassette:
            async with any_client(world, engine=cassette, max_retries=0, deadline=3) as client:
                began = world.clock.monotonic()
                return await one(client, timeout=60), world.clock.monotonic() - began

    async def body() -> None:
        live = await call(mode="all", inner=ScriptedTransport(Script(Delay(9), Head(200), End())))
        assert live == ("DeadlineExceeded ", 3)
        assert (await call(mode="none"))[0] == live[0]
        assert await call(mode="none", time="virtual") == live

    world.run(body)


def test_an_upload_that_comes_in_pieces_is_kept_whole(world: World[VirtualClock], tmp_path: Path) -> None:
    """Of an iterator, sync or async; one whose source raises is left there by the client, both times."""
    path = tmp_path / "upload.yaml"

    def pieces(broken: bool) -> Any:
        yield b"one"
        if broken:
            raise KeyError("the source")
        yield b"two"

    async def apieces(broken: bool) -> Any:
        for piece in pieces(broken):
            yield piece

    source = pieces if world.name == "sync" else apieces

    async def send(**options: Any) -> None:
        with use_cassette(path, **options) as cassette:
            async with any_client(world, engine=cassette, max_retries=0) as client:
                assert (await client.post("/things", content=source(False))).status_code == 201
                with pytest.raises(KeyError):
                    await client.post("/things", content=source(True))

    async def body() -> None:
        await send(mode="all", inner=ScriptedTransport(respond(201)))
        await send(mode="none", strictness="strict")

    world.run(body)
    found = [(each.asked.body, each.outcome) for each in load(path)[0]]
    assert found == [(b"onetwo", "201"), (b"one", "abandoned")]
