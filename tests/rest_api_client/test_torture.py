"""Nothing is left behind: no connection, token, permit, lock or part of a file, wherever a call is cut, broken or late.

Here each scene is played at a few points, drawn with a fixed seed; `make prove` plays all of them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from inspect import iscoroutinefunction
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import anyio
import pytest

from rest_api_client import downloads, streamed
from rest_api_client.auth.schemes import RunningFlow
from rest_api_client.engines.scripted import respond
from rest_api_client.outcome import Outcome, classify_http
from rest_api_client.policies import coalesce
from rest_api_client.policies.budget import WITHDRAW
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit import Breaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.door import Door, HeldStream
from rest_api_client.policies.hedging import Hedging
from rest_api_client.policies.priority_queue import PriorityLines
from rest_api_client.policies.state import ALLOW
from rest_api_client.policies.token_queue import TokenQueue
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.transport import Capability
from rest_api_client.virtual.clock import VirtualDeadlock
from tests.rest_api_client.cells import ASYNC_CELLS, QUICK, Cell
from tests.rest_api_client.test_wire_cancel import WAYS, asyncio_tasks_left, nothing_under_way, waits
from tests.rest_api_client.torture import Scene, Set, deadlines, faults, play, strikes, struck
from tests.rest_api_client.torture_checks import leftovers
from tests.rest_api_client.torture_engine import Engine, Fault, OddError, Spy
from tests.rest_api_client.torture_scenes import SCENES, everything, limit, random_scene
from tests.wire import Connection, Received, Server, each

BY_NAME = {scene.name: scene for scene in SCENES}


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_nothing_is_left(runtime_name: str, scene: Scene) -> None:
    """Whether a scene is left alone, or a call is cut, the wire breaks, or the deadline passes at some point of it."""
    chance = random.Random(f"{runtime_name} {scene}")
    plain = play(runtime_name, scene, leftovers)
    assert plain.findings == []
    for strike in chance.sample(list(strikes(runtime_name, scene, plain)), 2):
        assert (strike, struck(runtime_name, scene, leftovers, strike, plain)) == (strike, [])
    fault = chance.choice(list(faults(plain)))
    assert (fault, play(runtime_name, scene, leftovers, fault=fault).findings) == (fault, [])
    deadline = chance.choice(list(deadlines(plain)))
    assert (deadline, play(runtime_name, scene, leftovers, deadline=deadline).findings) == (deadline, [])


def test_a_run_is_the_same_each_time(runtime_name: str) -> None:
    """Or a point would be another one in the next run."""
    first, second = (play(runtime_name, BY_NAME["mixed"], leftovers) for _ in range(2))
    assert (first.points, first.io, first.moments) == (second.points, second.io, second.moments)
    assert [end.how for end in first.ends] == [end.how for end in second.ends]
    assert first.points > 50
    assert first.io > 20


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_left_of_any_scene(runtime_name: str, seed: int) -> None:
    """Random servers, calls and limits, with a cut, perhaps a fault and a deadline at once."""
    scene, chance = random_scene(seed)
    plain = play(runtime_name, scene, leftovers)
    assert plain.findings == []
    strike, fault = chance.choice(list(strikes(runtime_name, scene, plain))), chance.choice([None, *faults(plain)])
    deadline = chance.choice([None, *deadlines(plain)])
    run = play(runtime_name, scene, leftovers, strike=strike, fault=fault, deadline=deadline)
    assert (strike, fault, deadline, run.findings) == (strike, fault, deadline, [])


# ---------------------------------------------------------------------- what it would find


def forgotten_when_cut(method: Any) -> Any:
    """A tidying up that is not done while a cancellation passes."""

    def cut() -> bool:
        return not isinstance(sys.exc_info()[1], Exception | None)

    async def later(*args: Any) -> Any:
        return None if cut() else await method(*args)

    def now(*args: Any) -> Any:
        return None if cut() else method(*args)

    return later if iscoroutinefunction(method) else now


def never_done(method: Any) -> Any:
    """A tidying up that is not done at all."""

    async def later(*args: Any) -> None: ...

    def now(*args: Any) -> None: ...

    return later if iscoroutinefunction(method) else now


def done_twice(method: Any) -> Any:
    """A payment that is made twice."""

    async def mutant(self: Any, request: Any) -> bool:
        await self.state.apply(str(request.url.origin), WITHDRAW)
        return bool(await method(self, request))

    return mutant


def only_clear_ends(method: Any) -> Any:
    """A breaker that does not hear of a call without an outcome."""
    return lambda self, report, now: ALLOW if report.failed is None else method(self, report, now)


MUTANTS: Final[list[tuple[str, Any, str, Callable[[Any], Any]]]] = [
    ("full bulkhead, direct", Door, "leave", forgotten_when_cut),
    ("full bulkhead, direct", PriorityLines, "leave", forgotten_when_cut),
    ("full limiter", TokenQueue, "end", forgotten_when_cut),
    ("full limiter, direct", WaitingLines, "leave", forgotten_when_cut),
    ("retry", TokenQueue, "end", forgotten_when_cut),
    ("probe", Breaker, "_report", only_clear_ends),
    ("retry", coalesce.Flights, "leave", forgotten_when_cut),
    ("hedge wins", Hedging, "pay", done_twice),
    ("stream left", HeldStream, "_end", forgotten_when_cut),
    ("digest, direct", RunningFlow, "aclose", never_done),
    ("download", downloads._Part, "discard", lambda method: lambda part: part.file.close()),
    ("stream left", streamed._Unread, "_close", never_done),
]


@pytest.mark.parametrize(("name", "place", "method", "mutate"), MUTANTS, ids=[f"{m[0]}: {m[2]}" for m in MUTANTS])
def test_a_leak_is_found(
    runtime_name: str,
    name: str,
    place: Any,
    method: str,
    mutate: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each tidying up that is left out shows at some point: these tests can fail."""
    scene = BY_NAME[name]
    plain = play(runtime_name, scene, leftovers)
    points = list(strikes(runtime_name, scene, plain))
    random.Random(3).shuffle(points)
    monkeypatch.setattr(place, method, mutate(getattr(place, method)))
    assert any(found(runtime_name, scene, strike, plain) for strike in points)


def found(runtime: str, scene: Scene, strike: Any, plain: Any) -> bool:
    """Whether a run shows anything; that nobody can ever go on is a finding, too."""
    try:
        return bool(struck(runtime, scene, leftovers, strike, plain))
    except VirtualDeadlock:
        return True


# ---------------------------------------------------------------------- functions of the user's own


class Raises:
    """A function of the user's that raises when it is called for the n-th time in the scene; for 0, each time."""

    def __init__(self, stage: Set, at: int, function: Callable[..., Any]) -> None:
        self._points = stage.world.clock.points
        self._always = at == 0
        self._left = at
        self._function = function

    def __call__(self, *args: Any) -> Any:
        self._left -= self._points.counting
        if self._points.counting and (self._always or self._left == 0):
            raise OddError("a function of the user's")
        return self._function(*args)


def classify(request: Any, result: Any) -> Outcome:
    """The usual one, but not the one that policies know."""
    return classify_http(request, result)


HOOKS: Final[dict[str, Callable[[Callable[[Callable[..., Any]], Any]], dict[str, Any]]]] = {
    "classify": lambda raising: {"classify": raising(classify)},
    "cost": lambda raising: {"rate_limit": replace(limit(), cost=raising(lambda request: {"requests": 1}))},
    "true cost": lambda raising: {"rate_limit": replace(limit(), true_cost=raising(lambda request, response: None))},
    "key": lambda raising: {"bulkhead": Bulkhead(key=raising(lambda request: "key"))},
    "identity": lambda raising: {"coalesce": Coalesce(identity=raising(lambda request: "me"))},
}
COUNTED = ("counted for", "used", "spent")
"""What may differ where an outcome or a price could not be told."""


@pytest.mark.parametrize("name", ["stream read", "download, direct", "learned limit"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_function_that_raises_leaves_nothing(
    runtime_name: str, name: str, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is the caller's, or reported, and what was held is given back, whichever of its calls it is."""
    monkeypatch.setattr(sys, "unraisablehook", lambda told: None)
    scene = BY_NAME[name]
    for at in range(3):

        def options(stage: Set, at: int = at) -> dict[str, Any]:
            return scene.options(stage) | HOOKS[hook](lambda function: Raises(stage, at, function))

        run = play(runtime_name, replace(scene, options=options), leftovers, fault=Fault(0, OddError))
        assert [finding for finding in run.findings if not any(word in finding for word in COUNTED)] == []


# ---------------------------------------------------------------------- on the wire


def shaky(connection: Connection, request: Received) -> None:
    """Answers, says that it is out of order, breaks off, or answers late, in turn."""
    turn = next(_turns) % 4 if request.target != "/plain" else 0
    if turn == 1:
        connection.answer(503, b"out of order")
    elif turn == 3:
        connection.stopped.wait(0.005)
        connection.answer(200, b"late")
    elif turn == 0:
        connection.answer(200, b"ok")
    else:
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal")
        connection.reset()


_turns = count()


async def all_tasks_ended() -> None:
    """Wait for flights that nobody waits for any more: they end a few steps after the last caller has left."""
    with anyio.fail_after(5):
        while asyncio_tasks_left():  # noqa: ASYNC110  a loop has no event for its last task
            await anyio.sleep(0.001)


@pytest.mark.parametrize("cell", ASYNC_CELLS, ids=str)
def test_on_the_wire_with_everything(cell: Cell) -> None:
    """Three calls at once, cut after some steps of the loop or at any moment: gate, tasks and policies are empty."""
    assert cut_on_the_wire(cell, 80) == []


def cut_on_the_wire(cell: Cell, rounds: int) -> list[str]:
    """Cut calls, three at a time, then give what was left behind."""
    chance, ways = random.Random(2), WAYS[cell.runtime]
    stage: Any = Set(cast("Any", cell.world), Path(), None)
    options = everything(stage, bulkhead=Bulkhead(limit=2), rate_limit=limit(100_000), auth=None)
    unabortable = not cell.can(Capability.ABORT)
    options["hedging"] = replace(options["hedging"], delay=0.002, hedge_unabortable=unabortable)
    options["retry"] = replace(options["retry"], strategy=QUICK)
    options |= {"policies": [Spy(stage.passes)], "events": [stage.events.append], "max_connections": 2}

    async def body() -> list[str]:
        async with cell.client(base_url=server.url, **options) as client:
            for turn, wait in enumerate(waits(chance, rounds)):
                await ways[turn // 2 % len(ways)](lambda: client.get(f"/{next(_turns) // 2 % 4}"), wait)
            await nothing_under_way(client)
            await all_tasks_ended()
            found = leftovers(client, stage, Engine(respond(200)))
            assert (await client.get("/plain", max_retries=10)).content == b"ok"
            await nothing_under_way(client)
            return found

    with Server(each(shaky)) as server:
        found = cell.run(body)
    assert sum(seen.status is None for seen in stage.passes) > rounds / 4  # the cuts did meet attempts under way
    return found
