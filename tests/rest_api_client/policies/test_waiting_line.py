"""Waiting lines: first come, first served, whoever is cancelled, nudged or gone."""

from __future__ import annotations

import copy
import os
import pickle
from typing import Any

import pytest

from rest_api_client.policies.waiting_line import Place, WaitingLines
from rest_api_client.runtime import Event, run_sync
from tests.conftest import World
from tests.rest_api_client.collecting import CollectingKey, Never, abandon, uncollected
from tests.rest_api_client.together import together

AnyWorld = World[Any]


async def _stand(world: AnyWorld, lines: WaitingLines, name: int, log: list[int]) -> None:
    place, ahead = lines.enter("k", world.runtime)
    try:
        if ahead:
            await lines.turn(place, world.runtime, None)
        log.append(name)
        await world.runtime.sleep(1)
    finally:
        lines.leave(place)


def test_everybody_is_served_in_the_order_of_arrival(world: AnyWorld) -> None:
    """T12: ten that come one after the other are served one after the other, each when the one before has left."""
    lines, log = WaitingLines(), list[int]()

    async def one(number: int) -> None:
        await world.runtime.sleep(number / 100)
        await _stand(world, lines, number, log)

    async def body() -> None:
        await together(world.runtime, *((one, number) for number in range(10)))

    world.run(body)
    assert log == list(range(10))
    assert world.clock.monotonic() == pytest.approx(10)
    assert lines.before("k")[0] == 0


def test_a_cancelled_waiter_leaves_and_a_cancelled_head_hands_on(world: AnyWorld) -> None:
    """T12: of four, the first (being served) and the third (waiting) are cancelled; the others are served."""
    lines, log = WaitingLines(), list[int]()

    async def body() -> None:
        tasks = []
        for number in range(4):
            tasks.append(world.runtime.spawn(_stand, world, lines, number, log))
            await world.runtime.sleep(0.1)
        tasks[2].cancel()
        tasks[0].cancel()
        await tasks[1].join()
        await tasks[3].join()

    world.run(body)
    assert log == [0, 1, 3]
    assert lines.before("k")[0] == 0


def test_a_waiter_may_give_up_after_a_while(world: AnyWorld) -> None:
    """`turn` says False when its time is over first, and the line goes on without it."""
    lines = WaitingLines()

    async def body() -> bool:
        head, _ = lines.enter("k", world.runtime)
        place, ahead = lines.enter("k", world.runtime)
        assert ahead == 1
        came = await lines.turn(place, world.runtime, 3)
        lines.leave(place)
        lines.leave(head)
        return came

    assert world.run(body) is False
    assert world.clock.monotonic() == 3
    assert lines.before("k")[0] == 0


def test_a_nudge_wakes_the_head_or_is_remembered(world: AnyWorld) -> None:
    """What was given back while the head was not resting yet is not lost: its next rest ends at once, and only that."""
    lines = WaitingLines()

    async def nudge_later() -> None:
        await world.runtime.sleep(2)
        lines.nudge("k")

    async def body() -> list[float]:
        lines.nudge("k")  # nobody is there: nothing happens
        place, _ = lines.enter("k", world.runtime)
        lines.nudge("k")
        moments = []
        await lines.rest(place, world.runtime, 10)
        moments.append(world.runtime.now())
        task = world.runtime.spawn(nudge_later)
        await lines.rest(place, world.runtime, 10)
        moments.append(world.runtime.now())
        await task.join()
        lines.leave(place)
        return moments

    assert world.run(body) == [0, 2]


class GoneEvent:
    """The event of a waiter whose loop is closed."""

    def set(self) -> bool:
        return False

    def is_set(self) -> bool:
        return False


class LiveEvent:
    """An event that is heard."""

    heard = False

    def set(self) -> bool:
        self.heard = True
        return True

    def is_set(self) -> bool:
        return self.heard


class Desk:
    """Gives prepared events."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)

    def event(self) -> Event:
        return self.events.pop(0)


def _line(*events: Event) -> tuple[WaitingLines, list[Place]]:
    lines, desk = WaitingLines(), Desk(LiveEvent(), *events)
    return lines, [lines.enter("k", desk)[0] for _ in range(len(events) + 1)]  # type: ignore[arg-type]


def test_a_waiter_whose_loop_is_gone_is_skipped() -> None:
    """T13: the next one that can be woken becomes head; the gone one may still leave, and nothing happens."""
    live = LiveEvent()
    lines, places = _line(GoneEvent(), GoneEvent(), live)
    lines.leave(places[0])
    assert live.heard
    lines.leave(places[1])
    assert lines.before("k")[0] == 1
    lines.leave(places[3])
    assert lines.before("k")[0] == 0


def test_a_line_of_the_gone_is_empty() -> None:
    """Where nobody can be woken the line ends, and the next to come is its head."""
    lines, places = _line(GoneEvent())
    lines.leave(places[0])
    assert lines.before("k")[0] == 0
    lines.leave(places[1])
    assert lines.enter("k", Desk(LiveEvent()))[1] == 0  # type: ignore[arg-type]


def test_a_head_rests_as_long_as_it_was_told(world: AnyWorld) -> None:
    """From its first rest on, where nothing was given back."""
    lines = WaitingLines()

    async def body() -> None:
        place, _ = lines.enter("k", world.runtime)
        await lines.rest(place, world.runtime, 10)
        lines.leave(place)

    world.run(body)
    assert world.clock.monotonic() == 10


def test_whoever_leaves_from_behind_wakes_nobody() -> None:
    """T12: nor does one that has left already; only a head's place is handed on."""
    events = [LiveEvent() for _ in range(3)]
    lines, desk = WaitingLines(), Desk(*events)
    places = [lines.enter("k", desk)[0] for _ in events]  # type: ignore[arg-type]
    lines.leave(places[1])
    lines.leave(places[1])
    assert [event.heard for event in events] == [False] * 3
    lines.leave(places[0])
    assert [event.heard for event in events] == [False, False, True]


class Watched(Desk):
    """Has a clock, and rests no longer than it takes to say so."""

    moment = 100.0

    def now(self) -> float:
        return self.moment

    async def wait(self, event: Event, seconds: float) -> bool:
        return False


def test_a_head_that_overslept_is_asked_for_by_whoever_comes() -> None:
    """T13: one that rests until 110 s is left alone for a second more; after that, its loop gone, the next is head."""
    live = LiveEvent()
    lines, desk = WaitingLines(), Watched(LiveEvent(), GoneEvent(), live, LiveEvent())
    head, _ = lines.enter("k", desk)  # type: ignore[arg-type]
    run_sync(lines.rest(head, desk, 10))  # type: ignore[arg-type]
    desk.moment = 111.0
    assert lines.enter("k", desk)[1] == 1  # type: ignore[arg-type]
    assert lines.before("k")[0] == 2
    desk.moment = 111.1
    lines.enter("k", desk)  # type: ignore[arg-type]
    assert live.heard
    assert lines.before("k")[0] == 2


def test_a_copy_and_a_pickle_have_no_waiters() -> None:
    """Lines belong to one process and one policy."""
    lines, _ = _line(LiveEvent())
    for other in (copy.copy(lines), copy.deepcopy(lines), pickle.loads(pickle.dumps(lines))):
        assert other.before("k")[0] == 0
    assert lines.before("k")[0] == 2


def test_lines_that_forget_are_empty() -> None:
    """What a forked child does; those who waited may still leave."""
    lines, places = _line(LiveEvent())
    lines.forget()
    assert lines.before("k")[0] == 0
    lines.leave(places[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_with_empty_lines() -> None:
    """T14: those who waited in the parent, and a lock one of their threads held, are not inherited."""
    lines, _ = _line(LiveEvent())
    with lines._lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not follow a child that ends by _exit
            os._exit(0 if lines.before("k")[0] == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lines.before("k")[0] == 2


def test_a_newcomer_is_told_what_those_before_it_want_together() -> None:
    """Whoever leaves, from wherever in the line, takes what it wanted with it."""
    lines, desk = WaitingLines(), Desk(*(LiveEvent() for _ in range(4)))
    assert lines.before("k") == (0, ())
    wanted = [(1, 100), (2, 30), (3, 7), (4, 2)]
    places = [lines.enter("k", desk, each)[0] for each in wanted]  # type: ignore[arg-type]
    assert lines.before("k") == (4, (10, 139))
    lines.leave(places[2])
    assert lines.before("k") == (3, (7, 132))
    lines.leave(places[0])
    lines.leave(places[3])
    assert lines.before("k") == (1, (2, 30))
    assert "k" in lines.busy
    lines.leave(places[1])
    assert "k" not in lines.busy


def test_leaving_from_the_middle_keeps_the_order(world: AnyWorld) -> None:
    """T12: of nine every third gives up; the others are served as they came."""
    lines, log = WaitingLines(), list[int]()

    async def body() -> None:
        tasks = []
        for number in range(9):
            tasks.append(world.runtime.spawn(_stand, world, lines, number, log))
            await world.runtime.sleep(0.01)
        for task in tasks[1::3]:
            task.cancel()
        for number, task in enumerate(tasks):
            if number % 3 != 1:
                await task.join()

    world.run(body)
    assert log == [0, 2, 3, 5, 6, 8]
    assert lines.before("k")[0] == 0


async def _stand_for_ever(lines: WaitingLines) -> None:
    place, _ = lines.enter("k", Desk(LiveEvent()))  # type: ignore[arg-type]
    try:
        await Never()
    finally:
        lines.leave(place)


@pytest.mark.parametrize("lookup", [1, 2])
def test_an_abandoned_head_may_leave_while_another_enters(lookup: int) -> None:
    """The collector ends a call in the midst of the line's own work: nobody hangs, and the next one learns of it."""
    lines, event = WaitingLines(), LiveEvent()

    def enter() -> tuple[Place, int]:
        abandon(_stand_for_ever(lines))
        return lines.enter(CollectingKey("k", lookup), Desk(event))  # type: ignore[arg-type]

    place, ahead = uncollected(enter)
    assert ahead == 0 or event.heard
    assert lines.before("k")[0] == 1
    lines.leave(place)
    assert "k" not in lines.busy
