"""Races: who wins, when each attempt begins, and that nobody is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from rest_api_client.runtime import current_abort
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.race import Race
from rest_api_client.runtimes.sync import PATIENCE, STRAGGLERS, SyncRuntime
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World

colour: ContextVar[str] = ContextVar("colour", default="none")


class Attempts:
    """Attempts that take so many seconds and end in a result or an error, and a log of what became of them."""

    def __init__(self, world: World[VirtualClock], *plans: tuple[float, object]) -> None:
        self.runtime = world.runtime
        self.log: list[tuple[float, str]] = []
        self.discarded: list[object] = []
        self.starts: list[Callable[[], Awaitable[object]]] = [
            self._start(number, seconds, result) for number, (seconds, result) in enumerate(plans)
        ]

    def _start(self, number: int, seconds: float, result: object) -> Callable[[], Awaitable[object]]:
        async def attempt() -> object:
            self._note(f"begin {number}")
            try:
                await self.runtime.sleep(seconds)
            except BaseException:
                self._note(f"abort {number}")
                raise
            self._note(f"end {number}")
            if isinstance(result, BaseException):
                raise result
            return result

        return attempt

    def _note(self, text: str) -> None:
        self.log.append((self.runtime.now(), text))

    async def discard(self, result: object) -> None:
        self.discarded.append(result)

    async def race(self, *delays: float) -> object:
        return await self.runtime.race(self.starts, delays, lambda result: result != "bad", self.discard)


def test_a_fast_first_attempt_is_alone(world: World[VirtualClock]) -> None:
    """If it ends before the second is due, there is no second."""
    attempts = Attempts(world, (1, "one"), (1, "two"))
    assert world.run(attempts.race, 0, 2) == "one"
    assert attempts.log == [(0, "begin 0"), (1, "end 0")]


def test_a_slow_first_attempt_is_overtaken_aborted_and_joined(world: World[VirtualClock]) -> None:
    """The second begins on time, wins, and the first has ended when the race returns."""
    attempts = Attempts(world, (100, "one"), (1, "two"), (1, "three"))
    assert world.run(attempts.race, 0, 2, 50) == "two"
    assert attempts.log == [(0, "begin 0"), (2, "begin 1"), (3, "end 1"), (3, "abort 0")]
    assert world.clock.monotonic() == 3


def test_the_next_begins_at_once_when_all_have_failed(world: World[VirtualClock]) -> None:
    """A failure is not waited out, be it an error or a result that is not good."""
    attempts = Attempts(world, (1, LookupError("gone")), (1, "bad"), (1, "three"))
    assert world.run(attempts.race, 0, 20, 40) == "three"
    assert world.clock.monotonic() == 3
    assert attempts.discarded == ["bad"]


def test_a_failure_beside_a_running_attempt_waits_for_the_due_time(world: World[VirtualClock]) -> None:
    """As long as one is running the schedule stays."""
    attempts = Attempts(world, (10, "one"), (1, LookupError("gone")), (1, "three"))
    assert world.run(attempts.race, 0, 2, 5) == "three"
    assert (5, "begin 2") in attempts.log


def test_without_a_good_result_the_last_one_counts(world: World[VirtualClock]) -> None:
    """A poor answer is better than an error, and the earlier poor answers are discarded."""
    attempts = Attempts(world, (1, "bad"), (1, "bad"), (1, LookupError("gone")))
    assert world.run(attempts.race, 0, 0, 0) == "bad"
    assert attempts.discarded == ["bad"]


def test_without_any_result_the_last_error_counts(world: World[VirtualClock]) -> None:
    """It is raised as it is, never in a group."""
    attempts = Attempts(world, (1, KeyError("first")), (2, LookupError("last")))
    with pytest.raises(LookupError, match="last"):
        world.run(attempts.race, 0, 0)
    assert world.clock.monotonic() == 2


def test_two_good_results_at_once_leave_one_winner(world: World[VirtualClock]) -> None:
    """The first is returned and the other one discarded, so that nothing stays open."""
    attempts = Attempts(world, (3, "one"), (2, "two"))
    result = world.run(attempts.race, 0, 1)
    assert sorted(map(str, [result, *attempts.discarded])) in (["one"], ["two"], ["one", "two"])


def test_a_race_needs_no_discard(world: World[VirtualClock]) -> None:
    """Results that hold nothing need not be given back."""
    attempts = Attempts(world, (1, "bad"), (1, "two"))

    async def body() -> object:
        return await world.runtime.race(attempts.starts, [0, 5], lambda result: result != "bad")

    assert world.run(body) == "two"


def test_every_attempt_has_a_copy_of_the_context(world: World[VirtualClock]) -> None:
    """Attempts see the caller's context variables and do not change them."""

    async def attempt() -> str:
        before = colour.get()
        colour.set("red")
        return before

    async def body() -> tuple[str, str]:
        colour.set("green")
        return await world.runtime.race([attempt], [0], bool), colour.get()

    assert world.run(body) == ("green", "green")


def test_a_deadline_ends_a_race_and_its_attempts(world: World[VirtualClock]) -> None:
    """All attempts are aborted and joined at the moment of the deadline."""
    attempts = Attempts(world, (100, "one"), (100, "two"))

    async def body() -> None:
        with pytest.raises(TimeoutError), world.runtime.fail_after(5):
            await attempts.race(0, 1)

    world.run(body)
    assert world.clock.monotonic() == 5
    assert sorted(text for moment, text in attempts.log if moment == 5) == ["abort 0", "abort 1"]


def test_a_poor_result_of_a_race_that_is_given_up_is_discarded(world: World[VirtualClock]) -> None:
    """Even a cancelled race gives back what it holds."""
    attempts = Attempts(world, (1, "bad"), (100, "two"))

    async def body() -> None:
        with pytest.raises(TimeoutError), world.runtime.fail_after(5):
            await attempts.race(0, 0)

    world.run(body)
    assert attempts.discarded == ["bad"]


def test_a_race_inside_a_race_is_aborted_with_it(world: World[VirtualClock]) -> None:
    """An abort reaches the attempts of the loser's own races."""
    inner = Attempts(world, (100, "slow"), (100, "slower"))

    async def outer_loser() -> object:
        return await inner.race(0, 1)

    async def winner() -> object:
        await world.runtime.sleep(3)
        return "won"

    async def body() -> object:
        return await world.runtime.race([outer_loser, winner], [0, 0], bool)

    assert world.run(body) == "won"
    assert world.clock.monotonic() == 3
    assert sorted(text for moment, text in inner.log if moment == 3) == ["abort 0", "abort 1"]


def test_more_than_an_exception_ends_the_race(world: World[VirtualClock]) -> None:
    """KeyboardInterrupt and the like come out as they are, and the others are ended first."""
    attempts = Attempts(world, (100, "one"), (1, KeyboardInterrupt()), (1, "bad"))
    with pytest.raises(KeyboardInterrupt):
        world.run(attempts.race, 0, 0, 0)
    assert (1, "abort 0") in attempts.log


def test_an_attempt_that_cancels_itself_has_failed() -> None:
    """A cancellation that nobody asked for, as some engines leak it, does not hang the race."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)

    async def leaks() -> str:
        raise asyncio.CancelledError

    async def works() -> str:
        return "works"

    async def body() -> str:
        return await runtime.race([leaks, works], [0, 10], bool)

    assert clock.run_asyncio(body) == "works"
    assert clock.monotonic() == 0


def test_a_native_cancel_ends_a_race() -> None:
    """task.cancel() of asyncio ends every attempt and comes out as CancelledError."""
    clock = VirtualClock()
    attempts = Attempts(World("asyncio", clock), (100, "one"), (100, "two"))

    async def body() -> None:
        task = asyncio.ensure_future(attempts.race(0, 1))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    clock.run_asyncio(body)
    assert sorted(text for moment, text in attempts.log if moment == 5) == ["abort 0", "abort 1"]


class Deaf:
    """Attempts of which the first blocks its thread so long, whatever anybody asks of it."""

    def __init__(self, seconds: float, end: object = "late") -> None:
        self.clock = VirtualClock()
        self.runtime = SyncRuntime(self.clock)
        self.seconds = seconds
        self.end = end
        self.discarded: list[object] = []

    async def deaf(self) -> object:
        self.clock.sleep(self.seconds)
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end

    async def quick(self) -> object:
        return "quick"

    async def discard(self, result: object) -> None:
        self.discarded.append(result)

    def race(self) -> object:
        return self.runtime.run(self.runtime.race([self.deaf, self.quick], [0, 1], bool, self.discard))


def test_a_loser_that_ends_soon_after_its_abort_is_waited_for() -> None:
    """A thread that ignores its abort is joined where it ends soon, and its late result discarded."""
    race = Deaf(1 + PATIENCE / 2)
    assert race.race() == "quick"
    assert race.discarded == ["late"]
    assert race.runtime.stragglers == 0


@pytest.mark.parametrize("end", ["late", LookupError("gone"), KeyboardInterrupt()], ids=["result", "error", "exit"])
def test_a_loser_that_blocks_does_not_hold_the_race_up(end: object) -> None:
    """T25: what does not obey its abort is left behind, counted while it runs, and tidies up after itself."""
    race = Deaf(100, end)
    with race.clock.hold():
        assert race.race() == "quick"
        assert race.clock.monotonic() == 1 + PATIENCE
        assert race.runtime.stragglers == 1
        assert race.discarded == []
        race.clock.sleep(100)
    assert race.runtime.stragglers == 0
    assert race.discarded == (["late"] if end == "late" else [])


def test_threads_do_not_pile_up() -> None:
    """T25: with too many losers left behind a race has one attempt, in the caller's thread, until they have ended."""
    race = Deaf(100)
    with race.clock.hold():
        for _ in range(STRAGGLERS):
            assert race.race() == "quick"
        assert race.runtime.stragglers == STRAGGLERS
        before = race.clock.monotonic()
        assert race.race() == "late"
        assert race.clock.monotonic() == before + 100
        assert race.runtime.stragglers == 0
        assert race.race() == "quick"
        race.clock.sleep(100)


def test_an_attempt_knows_its_abort() -> None:
    """A transport finds the abort to register with in the thread's context, each attempt its own."""
    clock = VirtualClock()
    runtime = SyncRuntime(clock)
    aborts: list[Any] = []

    async def attempt() -> str:
        aborts.append(current_abort.get())
        await runtime.sleep(len(aborts) * 10)
        return "done"

    async def body() -> str:
        return await runtime.race([attempt, attempt], [0, 1], bool)

    assert runtime.run(body()) == "done"
    assert [abort.aborted for abort in aborts] == [False, True]  # the winner's body may still be on its way
    assert aborts[0] is not aborts[1]
    assert current_abort.get() is None


def test_a_race_without_threads_fails_with_the_systems_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that could not even begin has failed; it is not waited for."""
    runtime = SyncRuntime()

    def start(*args: object, **options: object) -> None:
        raise RuntimeError("can't start new thread")

    async def attempt() -> int:
        return 1

    monkeypatch.setattr(runtime.clock, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        runtime.run(runtime.race([attempt], [0], bool))


def test_a_race_is_decided_without_anybody_waiting() -> None:
    """The state is plain: it can be told what ended and asked who won."""
    race: Race[str] = Race(2, [0, 3], bool, 10.0)
    assert race.pause(10.0) == 0
    assert race.begin() == 0
    assert race.pause(11.0) == 2
    race.succeed("one")
    assert race.over()
    assert race.outcome() == "one"


@pytest.mark.parametrize(
    ("count", "delays", "message"),
    [(0, [], "one delay for each start"), (2, [0], "one delay for each start"), (2, [3, 1], "must not fall")],
)
def test_a_race_that_makes_no_sense_is_refused(count: int, delays: list[float], message: str) -> None:
    """Before anything begins."""
    with pytest.raises(ValueError, match=message):
        Race(count, delays, bool, 0.0)
