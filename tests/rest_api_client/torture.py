"""Torture: a call is cut, broken or timed out at every point there is, and then nothing may be left of it.

A `Scene` is a server and a few calls at once through a client with every policy on (`torture_scenes`). `play` runs it
in virtual time, which makes each run the same, and counts its points: under asyncio each callback of the loop, under
trio each step of a task, under threads each side of each wait. So "cancel at point 17" is one exact moment, also one
between a permit's being granted and its owner's waking up. The same is done with the transport: "fail at I/O 4" is
before or after a send, or before a certain chunk of a body; and with time: a deadline at each moment at which anything
happened, just before it and just after.

What a run leaves behind is looked for in the policies' own pure objects, in the engine, among tasks, threads and files
(`torture_checks`). Each finding is a sentence.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

import anyio
import trio

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import Answer
from rest_api_client.events import Event
from rest_api_client.models import Response
from rest_api_client.runtime import Aborted, Runtime
from tests.conftest import World
from tests.rest_api_client.faces import any_client
from tests.rest_api_client.torture_engine import FAULTS, Engine, Fault, OddInterrupt, Pass, Spy
from tests.rest_api_client.torture_points import PointedClock, PointedRun, Points

# ---------------------------------------------------------------------- scenes


class Set:
    """What one run happens on: the call options, a folder, and everything that was seen.

    Attributes:
        options: what each call is given, a deadline for example.
        folder: for downloads.
        auth_open: flows of authentication that were begun and not ended.
    """

    def __init__(self, world: World[PointedClock], folder: Path, deadline: float | None) -> None:
        self.world = world
        self.folder = folder
        self.deadline = deadline
        self.options: dict[str, Any] = {} if deadline is None else {"deadline": deadline}
        self.passes: list[Pass] = []
        self.events: list[Event] = []
        self.auth_open = 0
        self.memory: dict[str, Any] = {}

    @property
    def runtime(self) -> Runtime:
        """What the scene waits on."""
        return self.world.runtime


Act = Callable[[Any, Set], Coroutine[Any, Any, object]]
"""(client, set) -> the answer."""


@dataclass(frozen=True)
class Call:
    """One of the calls of a scene, `after` seconds later than the first."""

    act: Act
    after: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A server, a client's options, and calls that are made at the same time, in this order.

    Attributes:
        server: makes a server; a fresh one for each run.
        calls: what is done; each may be struck.
        options: the client's, given the set.
        before: is done first, in peace.
        independent: whether a call that is not struck ends as it would have anyway.
    """

    name: str
    server: Callable[[], Answer]
    calls: Sequence[Call]
    options: Callable[[Set], dict[str, Any]]
    before: Act | None = None
    independent: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass
class Ended:
    """How a call ended: its answer, its error, or "cancelled"."""

    result: object = None
    began: float = inf
    at: float = 0.0

    @property
    def how(self) -> str:
        """In a word, to compare runs by."""
        if isinstance(self.result, Response):
            return f"{self.result.status_code} {self.result.content!r}" if self.result.buffered else "unread"
        return type(self.result).__name__ if isinstance(self.result, BaseException) else str(self.result)


CANCELLED: Final = "cancelled"


@dataclass(frozen=True)
class Strike:
    """Which call is cut at which points, and how.

    Attributes:
        at: the points; several for one who is impatient.
        victim: the number of the call, or None for all at once.
        how: "task" (asyncio's own cancel), "scope" (a scope of anyio or trio), "abort" (threads).
    """

    at: tuple[int, ...]
    victim: int | None = 0
    how: str = "scope"

    def meets(self, number: int) -> bool:
        """Whether it is this call that is cut."""
        return self.victim is None or self.victim == number

    def of(self, cuts: Sequence[Callable[[], object]]) -> Callable[[], object]:
        """What is done, given how to cut each call; False where it came too late."""
        if self.victim is not None:
            return cuts[self.victim]

        def all_of_them() -> bool:
            met = [cut() is not False for cut in cuts]
            return any(met)

        return all_of_them


HOW: Final = {"sync": ("abort",), "asyncio": ("task", "scope"), "trio": ("scope",)}
"""The ways to cut a call, by runtime."""


@dataclass
class Run:
    """What a run came to."""

    points: int = 0
    io: int = 0
    moments: list[float] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    struck: bool = False
    findings: list[str] = field(default_factory=list)


Check = Callable[[Any, Set, Engine], list[str]]


def play(
    runtime: str,
    scene: Scene,
    check: Check,
    *,
    strike: Strike | None = None,
    fault: Fault | None = None,
    deadline: float | None = None,
) -> Run:
    """Run a scene once, and look what is left of it."""
    points = Points(strike.at if strike is not None else ())
    clock = PointedClock(points)
    world = World(runtime, clock)
    run = Run()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if "download" in scene.name else Path()
        stage = Set(world, folder, deadline)
        engine = Engine(scene.server(), fault)
        world.run(_body, scene, stage, engine, check, strike, run)
    run.points, run.struck, run.moments = points.count, points.struck, sorted(points.moments)
    run.io = engine.io
    run.findings += [f"a generator was left to the collector: {name}" for name in clock.abandoned]
    run.findings += _unlawful(run, strike, fault, deadline)
    return run


async def _body(scene: Scene, stage: Set, engine: Engine, check: Check, strike: Strike | None, run: Run) -> None:
    clock = stage.world.clock
    census = PointedRun(clock)
    if stage.world.name == "trio":
        trio.lowlevel.add_instrument(census)
    options = scene.options(stage)
    policies = [*options.pop("policies", ()), Spy(stage.passes)]
    async with any_client(
        stage.world,
        APIClient,
        AsyncAPIClient,
        engine=engine,
        events=[stage.events.append],
        policies=policies,
        **options,
    ) as client:
        if scene.before is not None:
            await scene.before(client, stage)
        engine.live = True
        run.ends = await _act(scene, client, stage, strike)
        engine.live = False
        await stage.runtime.sleep(0.001)
        run.findings += check(client, stage, engine)
        run.findings += _left_running(stage, census, client)
        await _lives_on(client, stage, run)
        run.findings += [f"after one more call: {finding}" for finding in check(client, stage, engine)]


async def _lives_on(client: Any, stage: Set, run: Run) -> None:
    await stage.runtime.sleep(1000)
    try:
        response = await client.get("/plain")
    except Exception as error:
        run.findings.append(f"the next call failed: {error!r}")
    else:
        if response.content != b"plain":
            run.findings.append(f"the next call was answered {response!r} {response.content!r}")


def _left_running(stage: Set, census: PointedRun, client: Any) -> list[str]:
    name, clock = stage.world.name, stage.world.clock
    core = (client.plain if name == "sync" else client)._core
    found = [f"still running: {task!r}" for task in core.runtime._spawned]
    if name == "asyncio":
        found += [f"still running: {task!r}" for task in asyncio.all_tasks() - {asyncio.current_task()}]
    elif name == "trio":
        found += [f"{census.alive} tasks still run"] * bool(census.alive)
    else:
        found += [f"still waiting: {who}" for who in clock.parked()]
        found += [f"{core.runtime.stragglers} stragglers"] * bool(core.runtime.stragglers)
    return found


def _unlawful(run: Run, strike: Strike | None, fault: Fault | None, deadline: float | None) -> list[str]:
    """Ends that nobody may be given."""
    from rest_api_client.exceptions import APIError

    found: list[str] = []
    for number, end in enumerate(run.ends):
        result = end.result
        allowed = isinstance(result, Response | APIError | bytes)
        allowed |= fault is not None and fault.foreign and isinstance(result, fault.kind)
        allowed |= result == CANCELLED and strike is not None and strike.meets(number) and run.struck
        if not allowed:
            found.append(f"call {number} ended with {result!r}")
        if deadline is not None and end.at > end.began + deadline + 1e-9:
            found.append(f"call {number} ended {end.at - end.began - deadline:.6f} s after its deadline")
    return found


# ---------------------------------------------------------------------- the calls, at once


async def _act(scene: Scene, client: Any, stage: Set, strike: Strike | None) -> list[Ended]:
    ends = [Ended() for _ in scene.calls]
    if stage.world.name == "sync":
        await _in_threads(scene, client, stage, strike, ends)
    elif strike is not None and strike.how == "task":
        await _in_asyncio(scene, client, stage, strike, ends)
    else:
        await _in_scopes(scene, client, stage, strike, ends)
    stage.world.clock.points.counting = False
    return ends


async def _one(call: Call, client: Any, stage: Set, end: Ended) -> None:
    try:
        await stage.runtime.sleep(call.after)
        end.began = stage.runtime.now()
        end.result = await call.act(client, stage)
    except (Exception, OddInterrupt) as error:
        end.result = error
    finally:
        end.at = stage.runtime.now()


async def _in_threads(scene: Scene, client: Any, stage: Set, strike: Strike | None, ends: list[Ended]) -> None:
    points, clock = stage.world.clock.points, stage.world.clock

    async def one(call: Call, end: Ended) -> None:
        try:
            await _one(call, client, stage, end)
        except Aborted:
            end.result = CANCELLED

    with clock.hold():
        tasks = [stage.runtime.spawn(one, call, end) for call, end in zip(scene.calls, ends, strict=True)]
        if strike is not None:
            points.strike = strike.of([task.cancel for task in tasks])
        points.counting = True
    for task in tasks:
        try:
            await task.join()
        except RuntimeError:  # it was cancelled before it began
            ends[tasks.index(task)].result = ends[tasks.index(task)].result or CANCELLED


async def _in_asyncio(scene: Scene, client: Any, stage: Set, strike: Strike, ends: list[Ended]) -> None:
    points = stage.world.clock.points
    tasks = [asyncio.ensure_future(_one(call, client, stage, end)) for call, end in zip(scene.calls, ends, strict=True)]
    points.strike = strike.of([task.cancel for task in tasks])
    points.counting = True
    await asyncio.wait(tasks)
    for task, end in zip(tasks, ends, strict=True):
        if task.cancelled():
            end.result = CANCELLED


async def _in_scopes(scene: Scene, client: Any, stage: Set, strike: Strike | None, ends: list[Ended]) -> None:
    points = stage.world.clock.points
    in_trio = "trio" in sys.modules and trio.lowlevel.in_trio_run()
    scopes = [trio.CancelScope() if in_trio else anyio.CancelScope() for _ in ends]

    async def one(call: Call, end: Ended, scope: Any) -> None:
        with scope:
            await _one(call, client, stage, end)
            return
        end.result = CANCELLED

    if strike is not None:
        points.strike = strike.of([scope.cancel for scope in scopes])
    async with anyio.create_task_group() as group:
        for call, end, scope in zip(scene.calls, ends, scopes, strict=True):
            group.start_soon(one, call, end, scope)
        points.counting = True


# ---------------------------------------------------------------------- every point


def strikes(runtime: str, scene: Scene, plain: Run) -> Iterator[Strike]:
    """Each call cut at each point, in each way; and cut twice, by one who is impatient."""
    for how in HOW[runtime]:
        for victim in [*range(len(scene.calls)), *[None] * (len(scene.calls) > 1)]:
            for point in range(1, plain.points + 1):
                yield Strike((point,), victim, how)
                yield Strike((point, point + 1, point + 2), victim, how)


def faults(plain: Run, kinds: Sequence[type[BaseException]] = FAULTS) -> Iterator[Fault]:
    """Each I/O point, failing in each way."""
    for at in range(1, plain.io + 1):
        for kind in kinds:
            yield Fault(at, kind)


def deadlines(plain: Run) -> Iterator[float]:
    """Each moment at which anything happened, and just before and after it."""
    for moment in plain.moments:
        for deadline in (moment - NEAR, moment, moment + NEAR):
            if deadline - plain.moments[0] > 0:
                yield deadline - plain.moments[0]


NEAR: Final = 1e-4
"""Seconds that are just before or after."""


def struck(runtime: str, scene: Scene, check: Check, strike: Strike, plain: Run) -> list[str]:
    """Play a scene with a strike; everything that is found, in comparison with the scene in peace."""
    run = play(runtime, scene, check, strike=strike)
    return run.findings + _others(scene, plain, run, strike) + _swallowed(run, strike)


def _others(scene: Scene, plain: Run, run: Run, strike: Strike) -> list[str]:
    """What became of the calls that were not struck."""
    if not scene.independent:
        return []
    both = enumerate(zip(plain.ends, run.ends, strict=True))
    return [
        f"call {number}, not struck, ended with {after.how}, else {before.how}"
        for number, (before, after) in both
        if not strike.meets(number) and before.how != after.how
    ]


def _swallowed(run: Run, strike: Strike) -> list[str]:
    """A cancellation of asyncio's own that met a call under way, and was not heard of again."""
    if strike.how != "task" or not run.struck or strike.victim is None:
        return []
    end = run.ends[strike.victim]
    return [f"the cancel was swallowed: {end.how}"] * (end.result != CANCELLED)
