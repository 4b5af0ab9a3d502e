"""Virtual time: one order for threads, asyncio loops and trio runs, exact moments, and no silent hang."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio
import trio._core._run as trio_run

from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.virtual.clock import VirtualClock, VirtualDeadlock

LOOPS = ["asyncio", "trio"]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def run_loop(clock: VirtualClock, backend: str, body: Callable[..., Any], *args: Any) -> Any:
    return clock.run_asyncio(body, *args) if backend == "asyncio" else clock.run_trio(body, *args)


# ---------------------------------------------------------------------- the time


def test_a_plain_sync_caller_needs_no_ceremony(clock: VirtualClock) -> None:
    """A test that just sleeps in its main thread is exact."""
    for seconds in (1, 2, 4, 600):
        clock.sleep(seconds)
    assert clock.monotonic() == 607
    assert clock.jumps == 4


def test_a_sleep_of_nothing_does_not_jump(clock: VirtualClock) -> None:
    """Zero and negative delays return at once."""
    clock.sleep(0)
    clock.sleep(-5)
    assert (clock.monotonic(), clock.jumps) == (0, 0)


def test_a_sleep_of_nan_is_refused(clock: VirtualClock) -> None:
    """A broken computation must not stop time for ever."""
    with pytest.raises(ValueError, match="seconds=nan"):
        clock.sleep(float("nan"))


def test_the_wall_clock_starts_at_a_fixed_date_and_follows() -> None:
    """HTTP dates, cookies and expiry see the same timeline."""
    clock = VirtualClock()
    assert datetime.fromtimestamp(clock.time(), UTC) == datetime(2030, 1, 1, tzinfo=UTC)
    clock.sleep(3600)
    assert datetime.fromtimestamp(clock.time(), UTC) == datetime(2030, 1, 1, 1, tzinfo=UTC)


def test_a_start_without_a_zone_is_refused() -> None:
    """Nobody can say which moment a naive datetime means."""
    with pytest.raises(ValueError, match="time zone"):
        VirtualClock(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point


def test_repr_tells_the_state(clock: VirtualClock) -> None:
    """A failing test shows where the time stands."""
    clock.sleep(2)
    assert repr(clock) == "<VirtualClock at 2 s, 0 running, 1 jumps>"


@pytest.mark.parametrize("backend", LOOPS)
def test_ten_years_of_timers_pass(clock: VirtualClock, backend: str) -> None:
    """A timer is due even where a float has lost the nanoseconds."""
    year = timedelta(days=365).total_seconds()

    async def body() -> None:
        for _ in range(10):
            await anyio.sleep(year)
            await anyio.sleep(0.1)

    run_loop(clock, backend, body)
    assert clock.monotonic() == pytest.approx(10 * year + 1)


# ---------------------------------------------------------------------- one order


def mixed_run() -> tuple[list[tuple[float, str]], VirtualClock]:
    """Two threads, one asyncio loop and one trio run, each with several tasks that want the same moments."""
    clock = VirtualClock()
    log: list[tuple[float, str]] = []

    def sync(name: str, *delays: float) -> None:
        for delay in delays:
            clock.sleep(delay)
            log.append((clock.monotonic(), name))

    async def waits(name: str, *delays: float) -> None:
        for delay in delays:
            await anyio.sleep(delay)
            log.append((clock.monotonic(), name))

    async def tasks(kind: str) -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(waits, f"{kind}-{number}", 100, 100, 100 + number)

    with clock:
        threads = [clock.thread(sync, "thread-0", 600), clock.thread(sync, "thread-1", 1, 99, 100, 100)]
        loops = [clock.thread(clock.run_asyncio, tasks, "asyncio"), clock.thread(clock.run_trio, tasks, "trio")]
        for thread in threads + loops:
            thread.join()
    return log, clock


def test_a_mixed_run_has_one_order() -> None:
    """Fifty runs of threads, asyncio and trio tasks together give the identical log."""
    first, clock = mixed_run()
    assert clock.monotonic() == 600
    assert [name for moment, name in first if moment == 100] == [
        *("asyncio-0", "asyncio-1", "asyncio-2"),
        *("trio-0", "trio-1", "trio-2"),
        "thread-1",
    ]
    assert all(mixed_run()[0] == first for _ in range(49))


def test_waking_is_serial(clock: VirtualClock) -> None:
    """Participants that want the same moment run one after the other, in the order in which they asked."""
    running, log = 0, list[tuple[int, int]]()

    def body(number: int) -> None:
        nonlocal running
        clock.sleep(5)
        running += 1
        log.append((number, running))
        clock.flag().wait(0)
        running -= 1

    with clock:
        for thread in [clock.thread(body, number) for number in range(5)]:
            thread.join()
    assert log == [(number, 1) for number in range(5)]


def test_holding_the_clock_lets_participants_start_together(clock: VirtualClock) -> None:
    """While the clock is held the first one cannot run away from the second."""
    starts: list[float] = []

    def body() -> None:
        starts.append(clock.monotonic())
        clock.sleep(10)

    with clock.hold():
        threads = [clock.thread(body) for _ in range(3)]
    for thread in threads:
        thread.join()
    assert starts == [0, 0, 0]
    assert clock.monotonic() == 10


def test_run_counts_the_calling_thread(clock: VirtualClock) -> None:
    """Between two waits of a participant nobody else's deadline passes."""

    def body(other: str) -> str:
        thread = clock.thread(clock.sleep, 10)
        assert clock.monotonic() == 0
        clock.sleep(3)
        assert clock.monotonic() == 3
        thread.join()
        return other

    assert clock.run(body, "done") == "done"
    assert clock.monotonic() == 10


def test_trio_gets_its_own_order_back(clock: VirtualClock) -> None:
    """The private switch is set for the run only, also when two runs overlap."""
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r
    inside: list[object] = []

    async def body(seconds: float) -> None:
        await trio.sleep(seconds)
        inside.append(trio_run._ALLOW_DETERMINISTIC_SCHEDULING)

    with clock:
        for thread in [clock.thread(clock.run_trio, body, seconds) for seconds in (1, 2)]:
            thread.join()
    assert inside == [True, True]
    assert (trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r) == before


def test_trio_still_obeys_the_private_switch(clock: VirtualClock) -> None:
    """Contract with trio: with the switch on, tasks that are ready together run in the order of their age.

    Without it trio turns each batch round with a chance of one half, so 20 ordered batches do not happen by chance.
    """
    assert hasattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING"), "trio dropped the switch: see virtual_trio.FixedOrder"
    assert hasattr(trio_run, "_r"), "trio dropped its source of chance: see virtual_trio.FixedOrder"
    log: list[int] = []

    async def task(number: int) -> None:
        for _ in range(20):
            await trio.sleep(1)
            log.append(number)

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(task, number)

    clock.run_trio(body)
    assert log == [0, 1, 2, 3] * 20


# ---------------------------------------------------------------------- waking one another


def test_a_flag_wakes_a_thread_at_the_moment_it_is_set(clock: VirtualClock) -> None:
    """Time does not jump to the waiter's own timeout while it is being woken."""
    flag = clock.flag()

    def waiter(timeout: float | None) -> tuple[bool, float]:
        return flag.wait(timeout), clock.monotonic()

    with clock:
        threads = [clock.thread(waiter, timeout) for timeout in (None, 100, 1)]
        clock.sleep(5)
        flag.set()
        assert [thread.join() for thread in threads] == [(True, 5), (True, 5), (False, 1)]
    assert flag.is_set()
    assert flag.wait(7)
    assert clock.monotonic() == 5


def test_a_flag_asked_without_patience_only_looks(clock: VirtualClock) -> None:
    """A timeout of zero returns the state and lets no time pass."""
    assert clock.flag().wait(0) is False
    assert clock.monotonic() == 0


@pytest.mark.parametrize("backend", LOOPS)
def test_a_thread_wakes_a_loop(clock: VirtualClock, backend: str) -> None:
    """An event set from a thread ends the wait of a task there and then."""
    runtime = AsyncRuntime(clock)

    async def body() -> tuple[bool, float]:
        event = runtime.event()

        def setter() -> None:
            clock.sleep(5)
            assert event.set()

        clock.thread(setter)
        return await runtime.wait(event, 100), runtime.now()

    assert run_loop(clock, backend, body) == (True, 5)


@pytest.mark.parametrize("backend", LOOPS)
def test_a_loop_is_woken_between_looking_and_parking(clock: VirtualClock, backend: str) -> None:
    """Work that comes in while the loop is still running is not slept over."""
    runtime = AsyncRuntime(clock)

    async def body() -> tuple[bool, float]:
        event = runtime.event()
        setter = threading.Thread(target=event.set)  # the clock does not know this one: it runs beside the loop
        setter.start()
        setter.join()
        return await runtime.wait(event, 100), runtime.now()

    assert run_loop(clock, backend, body) == (True, 0)


def test_loops_wake_one_another(clock: VirtualClock) -> None:
    """asyncio wakes trio wakes a thread, all within one virtual moment."""
    async_runtime, sync_runtime = AsyncRuntime(clock), SyncRuntime(clock)
    chain: dict[str, Any] = {"thread": sync_runtime.event()}
    log: list[tuple[str, float]] = []

    async def in_trio() -> None:
        chain["trio"] = async_runtime.event()
        await async_runtime.wait(chain["trio"], 100)
        log.append(("trio", clock.monotonic()))
        chain["thread"].set()

    async def in_asyncio() -> None:
        await async_runtime.sleep(7)
        log.append(("asyncio", clock.monotonic()))
        chain["trio"].set()

    def in_thread() -> None:
        sync_runtime.run(sync_runtime.wait(chain["thread"], 100))
        log.append(("thread", clock.monotonic()))

    with clock:
        threads = [clock.thread(clock.run_trio, in_trio), clock.thread(clock.run_asyncio, in_asyncio)]
        threads.append(clock.thread(in_thread))
        for thread in threads:
            thread.join()
    assert log == [("asyncio", 7), ("trio", 7), ("thread", 7)]


def test_a_blocking_sleep_in_a_loops_thread_is_not_cut_short(clock: VirtualClock) -> None:
    """Work handed to a loop whose thread sleeps in sync code waits, as it would in real time."""
    log: list[tuple[str, float]] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()

        def poke() -> None:
            clock.sleep(2)
            loop.call_soon_threadsafe(lambda: log.append(("poked", clock.monotonic())))

        clock.thread(poke)
        clock.sleep(10)
        log.append(("slept", clock.monotonic()))
        await asyncio.sleep(0)

    clock.run_asyncio(body)
    assert log == [("slept", 10), ("poked", 10)]


def test_ctrl_c_ends_a_wait_and_leaves_the_clock_usable(clock: VirtualClock) -> None:
    """A thread that is interrupted while it waits counts as running again."""
    heard, checked, main = threading.Event(), threading.Event(), threading.get_ident()

    def handle(number: int, frame: object) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def is_parked() -> bool:
        frame = sys._current_frames()[main]
        return frame.f_code.co_name == "take_turn" and frame.f_lineno >= frame.f_code.co_firstlineno + 3

    def interrupt() -> None:
        while not is_parked():
            time.sleep(0)
        while not heard.is_set():  # a signal that comes just before the lock's system call is heard after it
            signal.pthread_kill(main, signal.SIGINT)
            heard.wait(0.01)
        checked.wait()

    before = signal.signal(signal.SIGINT, handle)
    try:
        with clock:
            clock.thread(interrupt)
            with pytest.raises(KeyboardInterrupt):
                clock.flag().wait(1000)
            assert clock.monotonic() == 0
            checked.set()
            clock.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert clock.monotonic() == 5


def test_ctrl_c_that_comes_with_the_turn_counts_the_thread_once(clock: VirtualClock) -> None:
    """An interrupt may meet a thread that was let go on at the same moment."""

    class Interrupted:
        def acquire(self) -> None:
            raise KeyboardInterrupt

    with clock:
        waiter = clock.park(0, lambda: "a turn that comes at once")
        waiter.gate = Interrupted()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            clock.take_turn(waiter)
        assert "1 running" in repr(clock)


# ---------------------------------------------------------------------- joining


def test_join_returns_the_result_or_raises_the_error(clock: VirtualClock) -> None:
    """A thread's failure is not lost."""
    assert clock.thread(divmod, 7, 2).join() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        clock.thread(divmod, 7, 0).join()


def test_join_times_out_in_virtual_time(clock: VirtualClock) -> None:
    """The joiner's patience is measured on the same clock."""
    with clock:
        thread = clock.thread(clock.sleep, 10)
        with pytest.raises(TimeoutError, match="after 3 virtual seconds"):
            thread.join(3)
        assert thread.is_alive()
        thread.join()
    assert not thread.is_alive()
    assert clock.monotonic() == 10


# ---------------------------------------------------------------------- worker threads


def test_an_executor_job_counts_until_its_result_arrives(clock: VirtualClock) -> None:
    """The loop's own timers do not run ahead of a job, and the job may wait on the clock itself."""

    async def body() -> list[float]:
        async def timer() -> float:
            await asyncio.sleep(3)
            return clock.monotonic()

        def job() -> float:
            clock.sleep(2)
            return clock.monotonic()

        return await asyncio.gather(timer(), *(asyncio.to_thread(job) for _ in range(40)))

    assert clock.run_asyncio(body) == [3, *[2] * 40]


def test_an_executor_job_raises_in_its_awaiter(clock: VirtualClock) -> None:
    """An error of the job is the error of the await."""

    async def body() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)

    clock.run_asyncio(body)


def test_an_abandoned_job_is_waited_for_at_the_end(clock: VirtualClock) -> None:
    """A run does not end, as asyncio.run does not, before its worker threads have."""
    done: list[float] = []

    def job() -> None:
        clock.sleep(10)
        done.append(clock.monotonic())

    async def body() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(job), 1)

    clock.run_asyncio(body)
    assert done == [10]


def test_a_job_cancelled_before_its_first_turn_is_not_run(clock: VirtualClock) -> None:
    """Cancelling works as it does for a queued job of an executor."""
    ran: list[int] = []

    async def body() -> None:
        job = asyncio.get_running_loop().run_in_executor(None, ran.append, 1)
        job.cancel()
        await asyncio.sleep(1)

    clock.run_asyncio(body)
    assert ran == []


def test_a_foreign_executor_is_refused(clock: VirtualClock) -> None:
    """The clock says what to use instead of threads it cannot see."""

    async def body() -> None:
        with pytest.raises(RuntimeError, match=r"pass None, or use asyncio\.to_thread"):
            await asyncio.get_running_loop().run_in_executor(object(), print)  # type: ignore[arg-type]

    clock.run_asyncio(body)


@pytest.mark.parametrize("backend", LOOPS)
def test_time_stands_still_while_anyio_works_in_a_thread(clock: VirtualClock, backend: str) -> None:
    """A timer of the loop cannot fire while a worker of to_thread computes."""
    seen: list[float] = []

    async def body() -> None:
        async def timer() -> None:
            await anyio.sleep(1)
            seen.append(clock.monotonic())

        def work() -> float:
            anyio.from_thread.run_sync(seen.append, -1.0)
            return clock.monotonic()

        async with anyio.create_task_group() as group:
            group.start_soon(timer)
            seen.append(await anyio.to_thread.run_sync(work))

    run_loop(clock, backend, body)
    assert seen == [-1.0, 0, 1]


@pytest.mark.parametrize("backend", LOOPS)
@pytest.mark.parametrize("cancelled", [False, True])
def test_a_worker_of_to_thread_may_not_wait_on_the_clock(clock: VirtualClock, backend: str, cancelled: bool) -> None:
    """Instead of a hang, since its loop holds the clock, there is an error that says what to use."""
    errors: list[str] = []

    def work() -> None:
        try:
            clock.sleep(1)
        except RuntimeError as error:
            errors.append(str(error))

    async def body() -> None:
        async with anyio.create_task_group() as group:
            scope = group.cancel_scope

            def cancel_and_work() -> None:
                if cancelled:
                    anyio.from_thread.run_sync(scope.cancel)
                work()

            await anyio.to_thread.run_sync(cancel_and_work)

    run_loop(clock, backend, body)
    (error,) = errors
    assert "asyncio.to_thread or clock.thread" in error


def test_other_threads_may_wait_while_a_worker_works(clock: VirtualClock) -> None:
    """The refusal hits workers of to_thread only; whoever else waits just waits until the worker has ended."""
    started, release = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        release.wait()

    async def body() -> None:
        await anyio.to_thread.run_sync(work)

    loop = clock.thread(clock.run_asyncio, body)
    started.wait()
    other = threading.Thread(target=clock.sleep, args=(1,))
    other.start()
    release.set()
    other.join()
    loop.join()
    assert clock.monotonic() == 1


def test_workers_are_counted_without_sniffio(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """anyio does without sniffio where only asyncio is installed."""
    monkeypatch.setattr("anyio._core._eventloop.sniffio", None)
    monkeypatch.setitem(sys.modules, "sniffio", None)

    async def body() -> float:
        await anyio.to_thread.run_sync(int)
        await asyncio.sleep(4)
        return clock.monotonic()

    assert clock.run_asyncio(body) == 4


def test_a_loop_does_without_anyio(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock does not import what the program has not imported."""
    for name in ("anyio", "anyio.from_thread", "trio.from_thread"):
        monkeypatch.delitem(sys.modules, name)

    async def body() -> float:
        await asyncio.sleep(4)
        return clock.monotonic()

    assert clock.run_asyncio(body) == 4
    assert "anyio" not in sys.modules


# ---------------------------------------------------------------------- deadlocks


def test_a_thread_alone_that_waits_for_nobody_is_told(clock: VirtualClock) -> None:
    """A flag that nobody can set is an error, not a hang."""
    with pytest.raises(VirtualDeadlock, match=r"MainThread: a flag, timeout=None"):
        clock.flag().wait()
    clock.sleep(1)
    assert clock.monotonic() == 1


def test_a_deadlock_reaches_every_participant(clock: VirtualClock) -> None:
    """Threads, asyncio and trio all get the report, and it lists them all."""
    reports: list[str] = []

    async def stuck_in_a_loop() -> None:
        await anyio.Event().wait()

    def guarded(function: Callable[..., object], *args: Any) -> None:
        with pytest.raises(VirtualDeadlock) as caught:
            function(*args)
        reports.append(str(caught.value))

    with clock:
        threads = [
            clock.thread(guarded, clock.flag().wait),
            clock.thread(guarded, clock.run_asyncio, stuck_in_a_loop),
            clock.thread(guarded, clock.run_trio, stuck_in_a_loop),
        ]
        clock.sleep(1)
        guarded(clock.flag().wait)
        for thread in threads:
            thread.join()
    assert len(reports) == 4
    assert len(set(reports)) == 1
    assert "at 1 virtual seconds" in reports[0]
    assert reports[0].count("a flag, timeout=None") == 2
    assert "an asyncio loop\n      Task-" in reports[0]
    assert "a trio run\n      " in reports[0]
    assert reports[0].count("stuck_in_a_loop") >= 2


def test_a_deadlock_report_names_each_line_that_waits(clock: VirtualClock) -> None:
    """Threads, tasks of asyncio and tasks of trio are each told with the program's own line, and what it called."""
    runtime = SyncRuntime(clock)

    def a_thread() -> None:
        clock.flag().wait()

    async def through_the_library() -> None:
        await runtime.wait(runtime.event())

    async def a_task() -> None:
        await asyncio.Event().wait()

    async def two_tasks() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(a_task(), name="reader")
            group.create_task(a_task(), name="writer")

    async def two_of_one_name() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    def guarded(function: Callable[..., object], *args: Any) -> str:
        with pytest.raises((VirtualDeadlock, BaseExceptionGroup)) as caught:
            function(*args)
        return str(caught.value)

    with clock:
        threads = [
            clock.thread(guarded, a_thread),
            clock.thread(guarded, runtime.run, through_the_library()),
            clock.thread(guarded, clock.run_asyncio, two_tasks),
            clock.thread(guarded, clock.run_trio, two_of_one_name),
        ]
        with pytest.raises(VirtualDeadlock):
            clock.flag().wait()
        text = threads[0].join()
    lines = text.splitlines()
    file = re.escape(__file__)
    assert re.search(rf"guarded: a flag, timeout=None\n      at \S*a_thread \({file}:\d+\)\n", text)
    assert re.search(rf"      at \S*through_the_library \({file}:\d+\), in SyncRuntime\._wait \(", text)
    assert [line.split()[0] for line in lines if ".a_task (" in line] == ["reader", "writer"]
    assert sum(line.startswith("      trio.sleep_forever at ") for line in lines) == 2


def test_a_run_of_anyio_meets_a_deadlock_as_an_internal_error(clock: VirtualClock) -> None:
    """Where trio is started by somebody else, its own error carries the report as its cause."""
    with pytest.raises(trio.TrioInternalError) as caught:
        anyio.run(anyio.sleep_forever, backend="trio", backend_options=clock.backend_options("trio"))
    assert "VirtualDeadlock" in repr(caught.value.__cause__)


def test_a_thread_outside_the_clock_may_still_wake_somebody(clock: VirtualClock) -> None:
    """As long as the thread that made the clock runs outside it, an idle participant is no deadlock."""
    flag = clock.flag()
    thread = clock.thread(flag.wait)
    while "0 running" not in repr(clock):
        time.sleep(0)
    assert thread.is_alive()
    flag.set()
    assert thread.join() is True


def test_a_dead_owner_wakes_nobody() -> None:
    """If the thread that made the clock has ended, the others are told."""
    made: list[VirtualClock] = []
    owner = threading.Thread(target=lambda: made.append(VirtualClock()))
    owner.start()
    owner.join()
    with pytest.raises(VirtualDeadlock):
        made[0].flag().wait()


def test_trios_other_internal_errors_stay(clock: VirtualClock) -> None:
    """Only our own report replaces trio's error."""

    async def crash() -> None:
        raise ValueError("boom")

    async def body() -> None:
        trio.lowlevel.spawn_system_task(crash)
        await trio.sleep(1)

    with pytest.raises(trio.TrioInternalError):
        clock.run_trio(body)


# ---------------------------------------------------------------------- sockets, loops of others


async def _touch_a_socket() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        await anyio.wait_readable(left)


async def _write_to_a_full_socket() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        while True:
            try:
                left.send(b"x" * 65536)
            except BlockingIOError:
                break
        await anyio.wait_writable(left)


@pytest.mark.parametrize("backend", LOOPS)
@pytest.mark.parametrize("body", [_touch_a_socket, _write_to_a_full_socket])
def test_a_loop_refuses_to_watch_a_socket(clock: VirtualClock, backend: str, body: Callable[..., Any]) -> None:
    """Virtual time would run ahead of it, and every timeout be false."""
    with pytest.raises(RuntimeError, match="use a scripted or in-process transport"):
        run_loop(clock, backend, body)


@pytest.mark.parametrize("backend", LOOPS)
def test_anyio_runs_in_virtual_time(clock: VirtualClock, backend: str) -> None:
    """The options plug the clock into anyio.run and anyio's pytest plugin, for several runs."""
    options = clock.backend_options(backend)
    for _ in range(2):
        anyio.run(anyio.sleep, 300, backend=backend, backend_options=options)
    assert clock.monotonic() == 600


def test_an_unknown_backend_is_refused(clock: VirtualClock) -> None:
    """The message names the ones there are."""
    with pytest.raises(ValueError, match=r"backend='curio'.*'asyncio' and 'trio'"):
        clock.backend_options("curio")


@pytest.mark.parametrize("use", ["sleep", "event", "fail_after", "race", "spawn"])
def test_a_foreign_loop_is_refused(clock: VirtualClock, use: str) -> None:
    """A runtime in virtual time on a loop in real time would wait for real: it says how to start the loop."""
    runtime = AsyncRuntime(clock)

    async def body() -> None:
        match use:
            case "sleep":
                await runtime.sleep(1)
            case "event":
                runtime.event()
            case "fail_after":
                with runtime.fail_after(1):
                    pass
            case "race":
                await runtime.race([anyio.sleep_forever], [0], bool)
            case _:
                runtime.spawn(anyio.sleep_forever)

    with pytest.raises(RuntimeError, match=r"clock\.run_asyncio"):
        asyncio.run(body())
