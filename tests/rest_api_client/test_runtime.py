"""The runtime: one body under threads, asyncio and trio, and what happens when somebody gives up."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.runtime import (
    Abort,
    Aborted,
    SuspensionError,
    Task,
    TaskCancelled,
    current_abort,
    iterate_sync,
    run_sync,
)
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import GRACE, SyncRuntime
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World

LOOPS = ["asyncio", "trio"]
colour: ContextVar[str] = ContextVar("colour", default="none")


async def answer() -> int:
    return 42


# ---------------------------------------------------------------------- the runner


def test_run_sync_returns_the_result() -> None:
    """A coroutine that does not wait ends at once."""
    assert run_sync(answer()) == 42


def test_run_sync_lets_errors_through_as_they_are() -> None:
    """The type, and the traceback down to the line, are the coroutine's own."""

    async def body() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone") as caught:
        run_sync(body())
    assert caught.traceback[-1].name == "body"


def test_a_coroutine_that_waits_is_refused_by_name() -> None:
    """The error names the function that waited, not the library, and says what is allowed."""
    closed: list[str] = []

    async def policy() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append("policy")

    async def body() -> None:
        await policy()

    with pytest.raises(SuspensionError, match=r"policy \(.*test_runtime\.py:\d+\) waits .* only await `proceed`"):
        run_sync(body())
    assert closed == ["policy"]


def test_a_coroutine_that_waits_again_while_it_is_closed_is_refused_too() -> None:
    """A second mistake does not hide the first one."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    with pytest.raises(SuspensionError, match="stubborn"):
        run_sync(stubborn())


def test_a_wait_inside_a_generator_is_named() -> None:
    """Generators and awaitables of other kinds are looked into as far as they can be."""

    class Odd:
        def __await__(self) -> Any:
            yield

    async def body() -> None:
        await Odd()

    with pytest.raises(SuspensionError, match="__await__"):
        run_sync(body())


def test_a_wait_inside_a_body_is_named() -> None:
    """An async generator is looked into as well, and closed properly."""
    closed: list[str] = []

    async def body() -> AsyncIterator[int]:
        try:
            await asyncio.sleep(0)
            yield 1
        finally:
            closed.append("body")

    with pytest.raises(SuspensionError, match=r"body \(.*test_runtime\.py:\d+\) waits"):
        list(iterate_sync(body()))
    assert closed == ["body"]


def test_a_policy_that_catches_everything_does_not_catch_the_refusal() -> None:
    """The broken coroutine ends at the place where it waited, without a second try."""
    tries: list[int] = []

    async def retry() -> None:
        for number in range(3):
            try:
                tries.append(number)
                await asyncio.sleep(0)
            except Exception:
                pass

    with pytest.raises(SuspensionError, match="retry"):
        run_sync(retry())
    assert tries == [0]


def test_a_clean_up_that_fails_is_the_cause_of_the_refusal() -> None:
    """Its error is kept beside ours."""

    async def body() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            raise LookupError("while ending")

    with pytest.raises(SuspensionError) as caught:
        run_sync(body())
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_coroutine_that_shows_no_frames_is_refused_all_the_same() -> None:
    """Compiled coroutines hide where they wait."""

    class Compiled:
        def send(self, value: None) -> None:
            """Wait."""

        def throw(self, error: BaseException) -> None:
            raise error

    with pytest.raises(SuspensionError, match="a coroutine waits"):
        run_sync(Compiled())  # type: ignore[arg-type]


def test_a_sync_client_may_run_inside_a_loop() -> None:
    """The runner neither needs nor disturbs a running loop."""

    async def body() -> int:
        return run_sync(answer())

    assert asyncio.run(body()) == 42


# ---------------------------------------------------------------------- sync iteration


async def numbers(log: list[str]) -> AsyncIterator[int]:
    try:
        for number in range(3):
            yield number
    finally:
        log.append("closed")


def test_an_async_generator_is_iterated_to_its_end() -> None:
    """Every item arrives, and the generator is closed."""
    log: list[str] = []
    assert list(iterate_sync(numbers(log))) == [0, 1, 2]
    assert log == ["closed"]


def test_an_iteration_that_is_given_up_closes_its_source() -> None:
    """A caller who leaves after the first item leaves nothing open."""
    log: list[str] = []
    iterator = iterate_sync(numbers(log))
    assert next(iterator) == 0
    iterator.close()
    assert log == ["closed"]


def test_an_iterator_without_aclose_is_iterated() -> None:
    """Closing is for those who can be closed."""

    class Countdown:
        left = 2

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> int:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    assert list(iterate_sync(Countdown())) == [1, 0]


@pytest.mark.parametrize("clock", [SYSTEM, VirtualClock()])
def test_the_sync_runtime_runs_and_iterates(clock: Clock) -> None:
    """Calls and bodies go through the same runner, on either clock."""
    runtime, log = SyncRuntime(clock), list[str]()
    assert runtime.run(answer()) == 42
    assert list(runtime.iterate(numbers(log))) == [0, 1, 2]


# ---------------------------------------------------------------------- abort


def test_an_abort_calls_what_was_registered_once() -> None:
    """Callbacks run when it happens, late ones at once, and those taken back never."""
    abort, log = Abort(), list[str]()
    abort.register(lambda: log.append("first"))
    forget = abort.register(lambda: log.append("taken back"))
    forget()
    assert not abort.aborted
    abort.abort()
    abort.abort()
    abort.register(lambda: log.append("late"))()
    forget()
    assert abort.aborted
    assert log == ["first", "late"]


@pytest.mark.parametrize("wait", ["sleep", "wait"])
def test_an_abort_ends_a_sync_wait(wait: str) -> None:
    """The thread wakes at the moment of the abort, and no `except Exception` stops it."""
    clock = VirtualClock()
    runtime, abort = SyncRuntime(clock), Abort()

    async def body() -> None:
        try:
            if wait == "sleep":
                await runtime.sleep(100)
            else:
                await runtime.wait(runtime.event())
        except Exception as error:
            pytest.fail(f"caught {error!r}")

    def work() -> float:
        current_abort.set(abort)
        with pytest.raises(Aborted, match="aborted"):
            runtime.run(body())
        return clock.monotonic()

    with clock:
        thread = clock.thread(work)
        clock.sleep(3)
        abort.abort()
        assert thread.join() == 3


def test_a_wait_that_ends_well_forgets_the_abort() -> None:
    """Nothing is left registered with a long-lived abort."""
    clock = VirtualClock()
    runtime, abort = SyncRuntime(clock), Abort()
    token = current_abort.set(abort)
    try:
        runtime.run(runtime.sleep(1))
    finally:
        current_abort.reset(token)
    assert abort._callbacks == []


# ---------------------------------------------------------------------- time and events


def test_a_back_off_is_exact(world: World[VirtualClock]) -> None:
    """Ten minutes pass on the clock, to the second."""

    async def body() -> None:
        for seconds in (20, 40, 80, 160, 300, 0, -1):
            await world.runtime.sleep(seconds)

    world.run(body)
    assert world.runtime.now() == world.clock.monotonic() == 600
    assert world.runtime.time() == world.clock.time()


def test_real_time_is_the_clocks_own(real_world: World[Clock]) -> None:
    """No loop's own zero is ever seen."""

    async def body() -> None:
        before = SYSTEM.monotonic()
        await real_world.runtime.sleep(0)
        assert before <= real_world.runtime.now() <= SYSTEM.monotonic()

    real_world.run(body)


def test_an_event_waits_until_its_timeout(world: World[VirtualClock]) -> None:
    """An event that nobody sets costs the timeout and says False."""

    async def body() -> None:
        event = world.runtime.event()
        assert await world.runtime.wait(event, 0) is False
        assert world.runtime.now() == 0
        assert await world.runtime.wait(event, 7) is False
        assert world.runtime.now() == 7

    world.run(body)


def test_an_event_that_is_set_does_not_wait(world: World[VirtualClock]) -> None:
    """Once set it stays set, and setting it again does no harm."""

    async def body() -> None:
        event = world.runtime.event()
        assert not event.is_set()
        assert event.set()
        assert event.set()
        assert event.is_set()
        assert await world.runtime.wait(event)
        assert await world.runtime.wait(event, 5)
        assert world.runtime.now() == 0

    world.run(body)


@pytest.mark.parametrize("timeout", [None, 100])
def test_an_event_is_set_by_another_task(world: World[VirtualClock], timeout: float | None) -> None:
    """The waiter goes on at the moment of the set."""
    runtime = world.runtime

    async def body() -> None:
        event = runtime.event()

        async def later() -> None:
            await runtime.sleep(5)
            event.set()

        runtime.spawn(later)
        assert await runtime.wait(event, timeout)
        assert runtime.now() == 5

    world.run(body)


def test_an_event_is_set_by_a_real_thread(real_world: World[Clock]) -> None:
    """On the SYSTEM clock too a thread wakes a thread, an asyncio loop and a trio run."""

    async def body() -> bool:
        event = real_world.runtime.event()
        threading.Thread(target=event.set).start()
        return await real_world.runtime.wait(event, 30)

    assert real_world.run(body)


@pytest.mark.parametrize("backend", LOOPS)
def test_an_event_says_that_its_loop_is_gone(backend: str) -> None:
    """A setter learns that nobody will wake, so that it can wake the next one."""
    runtime = AsyncRuntime()

    async def body() -> Any:
        return runtime.event()

    event = anyio.run(body, backend=backend)
    assert event.set() is False
    assert event.is_set()


def test_a_foreign_event_is_refused(world: World[VirtualClock]) -> None:
    """An event of another runtime cannot be waited for here."""

    async def body() -> None:
        with pytest.raises(TypeError, match=r"take events from runtime\.event"):
            await world.runtime.wait(threading.Event())  # type: ignore[arg-type]

    world.run(body)


@pytest.mark.parametrize("backend", LOOPS)
def test_an_event_of_another_loop_is_refused(backend: str) -> None:
    """Waiting for it would hang: nobody would wake this loop."""
    runtime = AsyncRuntime()

    async def make() -> Any:
        return runtime.event()

    async def body() -> None:
        await runtime.wait(event)

    event = anyio.run(make, backend=backend)
    with pytest.raises(RuntimeError, match="another event loop"):
        anyio.run(body, backend=backend)


@pytest.mark.parametrize("timeout", [None, 100])
def test_a_native_cancel_ends_a_wait(timeout: float | None) -> None:
    """task.cancel() of asyncio goes through `wait` unchanged, and the event may still be set."""
    runtime = AsyncRuntime()

    async def body() -> None:
        event = runtime.event()
        task = asyncio.ensure_future(runtime.wait(event, timeout))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert event.set()

    asyncio.run(body())


# ---------------------------------------------------------------------- deadlines


def test_a_deadline_ends_a_sleep_on_the_moment(world: World[VirtualClock]) -> None:
    """The block ends with TimeoutError at the deadline, not at the end of the sleep."""

    async def body() -> None:
        with pytest.raises(TimeoutError), world.runtime.fail_after(5):  # noqa: PT012 - the block is what is tested
            assert world.runtime.deadline() == 5
            await world.runtime.sleep(100)
        assert world.runtime.now() == 5
        assert world.runtime.deadline() is None

    world.run(body)


def test_a_deadline_ends_a_wait_on_the_moment(world: World[VirtualClock]) -> None:
    """An event's own timeout counts if it is earlier, the deadline otherwise."""

    async def body() -> None:
        with pytest.raises(TimeoutError), world.runtime.fail_after(5):  # noqa: PT012 - as above
            assert await world.runtime.wait(world.runtime.event(), 2) is False
            await world.runtime.wait(world.runtime.event())
        assert world.runtime.now() == 5

    world.run(body)


def test_a_block_that_ends_in_time_is_left_alone(world: World[VirtualClock]) -> None:
    """Neither its result nor its own errors change."""

    async def body() -> None:
        with world.runtime.fail_after(5):
            await world.runtime.sleep(4)
        with pytest.raises(LookupError), world.runtime.fail_after(10):
            raise LookupError
        await world.runtime.sleep(100)

    world.run(body)
    assert world.clock.monotonic() == 104


def test_no_deadline_is_no_limit(world: World[VirtualClock]) -> None:
    """None lets the block run as long as it likes, an outer deadline apart."""

    async def body() -> None:
        with world.runtime.fail_after(None):
            assert world.runtime.deadline() is None
            await world.runtime.sleep(1000)
        with world.runtime.fail_after(2000), world.runtime.fail_after(None):
            assert world.runtime.deadline() == 2000

    world.run(body)


def test_a_deadline_that_has_passed_fails_at_once(world: World[VirtualClock]) -> None:
    """The block is not entered."""

    async def body() -> None:
        await world.runtime.sleep(5)
        with pytest.raises(TimeoutError), world.runtime.fail_after(5):
            pytest.fail("entered")

    world.run(body)


@pytest.mark.parametrize(("outer", "inner"), [(5, 50), (50, 5), (5, 5)])
def test_the_tightest_of_nested_deadlines_counts(world: World[VirtualClock], outer: float, inner: float) -> None:
    """Only the block whose deadline passed ends with TimeoutError, whichever way they nest."""
    ended: list[str] = []

    async def body() -> None:
        try:
            with world.runtime.fail_after(outer):
                try:
                    with world.runtime.fail_after(inner):
                        assert world.runtime.deadline() == 5
                        await world.runtime.sleep(100)
                except TimeoutError:
                    ended.append("inner")
                    raise
        except TimeoutError:
            ended.append("outer")

    world.run(body)
    assert world.clock.monotonic() == 5
    assert ended[-1] == "outer"
    assert ("inner" in ended) == (inner < outer) or inner == outer


def test_an_async_deadline_does_not_bind_a_sync_client_inside() -> None:
    """A sync call in an async block blocks for its own time, and no foreign abort comes out of it."""
    clock = VirtualClock()
    outside, inside = AsyncRuntime(clock), SyncRuntime(clock)

    async def body() -> None:
        with pytest.raises(TimeoutError), outside.fail_after(5):  # noqa: PT012 - as above
            inside.run(inside.sleep(10))
            await outside.sleep(1)

    clock.run_asyncio(body)
    assert clock.monotonic() == 10


# ---------------------------------------------------------------------- spawned tasks


def test_a_spawned_task_gives_its_result_to_all_who_join(world: World[VirtualClock]) -> None:
    """Before and after its end, as often as asked."""
    runtime = world.runtime

    async def work(number: int) -> int:
        await runtime.sleep(number)
        return number

    async def body() -> None:
        task = runtime.spawn(work, 5)
        assert "running" in repr(task)
        assert await task.join() == 5
        assert runtime.now() == 5
        assert await task.join() == 5
        assert "work: done" in repr(task)

    world.run(body)


def test_a_spawned_task_gives_its_error_to_all_who_join(world: World[VirtualClock]) -> None:
    """And to nobody else: the run goes on."""

    async def work() -> None:
        raise LookupError("gone")

    async def body() -> None:
        task = world.runtime.spawn(work)
        await world.runtime.sleep(1)
        for _ in range(2):
            with pytest.raises(LookupError, match="gone"):
                await task.join()

    world.run(body)


def test_a_spawned_task_has_the_context_but_not_the_deadline(world: World[VirtualClock]) -> None:
    """It sees the context variables of its caller, and outlives the caller's deadline."""
    runtime = world.runtime

    async def work() -> tuple[str, float | None]:
        await runtime.sleep(50)
        return colour.get(), runtime.deadline()

    async def body() -> None:
        colour.set("green")
        tasks: list[Task[tuple[str, float | None]]] = []
        with pytest.raises(TimeoutError), runtime.fail_after(5):  # noqa: PT012 - as above
            tasks.append(runtime.spawn(work))
            await tasks[0].join()
        assert runtime.now() == 5
        assert await tasks[0].join() == ("green", None)
        assert runtime.now() == 50

    world.run(body)


def test_a_cancelled_task_says_so(world: World[VirtualClock]) -> None:
    """Who joins a cancelled task gets an ordinary error, not a cancellation of its own."""
    runtime = world.runtime

    async def body() -> None:
        task = runtime.spawn(runtime.sleep, 1000)
        await runtime.sleep(1)
        task.cancel()
        with pytest.raises(TaskCancelled, match="sleep was cancelled"):
            await task.join()
        assert runtime.now() == 1

    world.run(body)


def test_a_task_cancelled_before_its_first_step_says_so(world: World[VirtualClock]) -> None:
    """Joining does not hang when the task never ran."""
    runtime = world.runtime

    async def body() -> None:
        task = runtime.spawn(runtime.sleep, 1000)
        task.cancel()
        with pytest.raises(TaskCancelled):
            await task.join()

    world.run(body)


def test_closing_ends_what_was_spawned(world: World[VirtualClock]) -> None:
    """aclose cancels, waits for the end, and nothing new can begin."""
    runtime, ended = world.runtime, list[str]()

    async def work(name: str) -> None:
        try:
            await runtime.sleep(1000)
        finally:
            ended.append(name)

    async def body() -> None:
        for name in ("a", "b"):
            runtime.spawn(work, name)
        await runtime.sleep(1)
        await runtime.aclose()
        assert ended == ["a", "b"]
        assert runtime.now() == 1
        with pytest.raises(RuntimeError, match="closed"):
            runtime.spawn(work, "c")

    world.run(body)


def test_an_error_of_a_spawned_task_does_not_disturb_closing(world: World[VirtualClock]) -> None:
    """A task that fails while it is being cancelled is still only joined."""
    runtime = world.runtime

    async def work() -> None:
        try:
            await runtime.sleep(1000)
        finally:
            raise LookupError

    async def body() -> None:
        runtime.spawn(work)
        await runtime.sleep(1)
        await runtime.aclose()

    world.run(body)
    assert world.clock.monotonic() == 1


def test_closing_leaves_a_thread_that_obeys_nobody() -> None:
    """A daemon thread stuck in foreign code delays closing by the grace time only."""
    clock = VirtualClock()
    runtime = SyncRuntime(clock)

    async def deaf() -> None:
        clock.sleep(1000)

    async def body() -> None:
        runtime.spawn(deaf)
        await runtime.aclose()
        assert clock.monotonic() == GRACE

    runtime.run(body())


def test_cancelling_a_joiner_leaves_the_task(world: World[VirtualClock]) -> None:
    """A joiner that is given up does not take the work of the others with it."""
    runtime = world.runtime

    async def work() -> str:
        await runtime.sleep(10)
        return "done"

    async def body() -> None:
        task = runtime.spawn(work)
        joiner = runtime.spawn(task.join)
        await runtime.sleep(1)
        joiner.cancel()
        with pytest.raises(TaskCancelled):
            await joiner.join()
        assert runtime.now() == 1
        assert await task.join() == "done"

    world.run(body)


def test_a_native_cancel_of_a_joiner_leaves_the_task() -> None:
    """asyncio's own task.cancel() included."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)

    async def work() -> str:
        await runtime.sleep(10)
        return "done"

    async def body() -> None:
        task = runtime.spawn(work)
        joiner = asyncio.ensure_future(task.join())
        await asyncio.sleep(1)
        joiner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joiner
        gc.collect()
        assert await task.join() == "done"

    clock.run_asyncio(body)


def test_a_task_is_joined_and_cancelled_from_another_loop() -> None:
    """A task of one loop can be awaited in another one and cancelled from a thread."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)
    made: list[Any] = []

    async def work() -> str:
        await runtime.sleep(10)
        return "done"

    async def owner() -> None:
        made.extend([runtime.spawn(work), runtime.spawn(runtime.sleep, 1000)])
        await runtime.sleep(20)

    async def joiner() -> None:
        await runtime.sleep(1)
        made[1].cancel()
        with pytest.raises(TaskCancelled):
            await made[1].join()
        assert clock.monotonic() == 1
        assert await made[0].join() == "done"

    for start, join in ((clock.run_asyncio, clock.run_trio), (clock.run_trio, clock.run_asyncio)):
        begin = clock.monotonic()
        clock._now = 0.0
        made.clear()
        with clock:
            threads: list[Any] = [clock.thread(start, owner), clock.thread(join, joiner)]
            for thread in threads:
                thread.join()
        assert begin in (0, 20)


def test_closing_elsewhere_only_cancels() -> None:
    """What runs in another loop is told to end, but not waited for: that loop may have stopped."""
    clock = VirtualClock()
    runtime = AsyncRuntime(clock)
    ended: list[float] = []

    async def owner() -> None:
        async def work() -> None:
            try:
                await runtime.sleep(1000)
            finally:
                ended.append(clock.monotonic())

        runtime.spawn(work)
        await runtime.sleep(5)

    async def closer() -> None:
        await runtime.sleep(2)
        await runtime.aclose()

    with clock:
        threads: list[Any] = [clock.thread(clock.run_trio, owner), clock.thread(clock.run_asyncio, closer)]
        for thread in threads:
            thread.join()
    assert ended == [2]


@pytest.mark.parametrize("backend", LOOPS)
def test_the_end_of_the_loop_ends_a_spawned_task(backend: str) -> None:
    """A client that was never closed does not keep its loop, and cancelling later does no harm."""
    runtime = AsyncRuntime()
    made: list[Any] = []

    async def body() -> None:
        made.append(runtime.spawn(anyio.sleep_forever))
        await anyio.lowlevel.checkpoint()

    anyio.run(body, backend=backend)
    assert "done" in repr(made[0])
    made[0].cancel()


def test_a_system_without_threads_refuses_to_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets the system's own error, and closing has nothing to wait for."""
    runtime = SyncRuntime()

    def start(*args: object, **options: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(runtime.clock, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        runtime.spawn(answer)
    run_sync(runtime.aclose())


def test_more_than_an_exception_in_a_thread_reaches_who_joins() -> None:
    """A spawned thread that exits does not leave its joiners waiting."""
    runtime = SyncRuntime(VirtualClock())

    async def leave() -> None:
        raise SystemExit(3)

    async def body() -> None:
        await runtime.spawn(leave).join()

    with pytest.raises(SystemExit):
        runtime.run(body())
