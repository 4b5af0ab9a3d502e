"""`rehearse`: one client, one schedule, one workload; what came of it."""

from __future__ import annotations

import gc
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cassettes import Cassette
from mockserver import MockServer
from mockserver.faults import Schedule
from mockserver.rules import Rules, check
from pytest_plugin.rehearsal.backstage import Backstage
from pytest_plugin.rehearsal.promises import Promises
from pytest_plugin.rehearsal.report import Report
from pytest_plugin.rehearsal.running import Making, Run, run
from pytest_plugin.rehearsal.schedule import FaultSchedule, Step
from pytest_plugin.rehearsal.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cassettes import Interaction
    from mockserver.stubs import Stub

RULES = Rules(limit=None, connections=None)
"""The stage's rules that hold in a rehearsal: a client cannot keep a limit it was not told of, and in process every
request is a connection of its own."""


_GARBAGE = 100_000
"""Objects after which the collector looks for garbage. A long rehearsal keeps all that it saw, and would spend a fifth
of its time on looking at that again and again."""


def rehearse(
    make: Making,
    scenario: FaultSchedule | Schedule | Path | str | Sequence[Step | str] = (),
    *,
    workload: Workload = Workload(),  # noqa: B008  a value
    rules: Rules = RULES,
    promises: Promises = Promises(),  # noqa: B008  a value
    stubs: Sequence[Stub] | None = None,
    resources: Mapping[str, int] | None = None,
    live: bool = False,
) -> Report:
    """What comes of a workload when all this goes wrong on the server.

    In virtual time, whatever the schedule lasts, and the same in every run. With `live=True` on a real socket and in
    real time: scale the schedule before (`schedule.scaled(0.01)`); clock jumps are left out there.

    Args:
        make: makes a client of what it is given, a `Backstage`. Async ones run on an asyncio loop, others in threads.
        scenario: a schedule, its token or line, steps, or a scenario of the stage, `outage(duration=7200)`,
            or the path of a saved rehearsal.
        workload: who calls what.
        rules: of the stage, checked over what the server saw.
        promises: of the client, checked over how its calls ended.
        stubs: what the server answers; 200 and a small body for everything, where neither these nor `resources` are
            given.
        resources: collections of records, as `MockServer` has them.
        live: on a socket.

    Raises:
        ValueError: the scenario says nothing that can go wrong.
    """
    schedule = FaultSchedule.of(scenario)

    def play(tape: Cassette | None = None) -> tuple[Backstage, Run]:
        stage = Backstage(
            schedule, stubs=stubs, resources=resources, live=live, one_request=workload.one_request, tape=tape
        )
        with _staged(stage):
            return stage, run(stage, make, workload, promises.recovery)

    def again() -> list[Interaction]:
        tape = Cassette()
        play(tape)
        return tape.recorded

    stage, result = play()
    entries = tuple(stage.scene.journal)
    limit = schedule.server_limit()
    seen = check(entries, limits=[] if limit is None else [limit], rules=rules)
    violations = [*seen, *promises.check(result, entries)]
    return Report(
        schedule=schedule,
        calls=result.calls,
        entries=entries,
        events=stage.told,
        violations=violations,
        skipped=result.skipped,
        live=live,
        again=None if live else again,
        explain=stage.faults.explain,
    )


@contextmanager
def _staged(stage: Backstage) -> Iterator[None]:
    """The server runs, and chance is that of the schedule, also where a client draws from the process's."""
    state, often = random.getstate(), gc.get_threshold()
    random.seed(stage.seed)
    if often[0]:
        gc.set_threshold(max(often[0], _GARBAGE), *often[1:])
    try:
        with ExitStack() as stack:
            if isinstance(stage.scene, MockServer):
                stack.enter_context(stage.scene)
            yield
    finally:
        gc.set_threshold(*often)
        random.setstate(state)
