"""Running a workload: every call in a task or a thread of its own, on one clock, and how each of them ended.

An asyncio loop where the client is async, threads where it is not. Both go by the clock of the stage; a virtual one
wakes one participant after the other, so the same schedule gives the same run.

When all calls have ended, or patience is over, the trouble is ended too and time passes until a client that works must
work again; then every caller makes one more call, the probe (one for all, where they share a client that was told of
a limit).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from contextvars import copy_context
from dataclasses import field
from typing import Any, Literal, TypeAlias

import httpx

from pytest_plugin.rehearsal.backstage import CALL, Backstage
from pytest_plugin.rehearsal.workload import Ask, Workload, ask_client
from rest_api_client.exceptions import APIError
from rest_api_client.lazy_dataclasses import dataclass

Outcome: TypeAlias = Literal["answered", "failed", "cancelled", "hung"]
Making: TypeAlias = Callable[[Backstage], Any]

CLOSING = 60.0
"""Seconds that a client has to close."""


@dataclass(slots=True, kw_only=True)
class Called:
    """One call, and how it ended.

    Attributes:
        ask: what was called, and when.
        started: seconds after the rehearsal's beginning.
        ended: the same; None where it never ended.
        outcome: "answered", "failed" (by an error), "cancelled" as the schedule had it, or "hung".
        status: of the answer, where it has one.
        error: that it ended in.
        cancelled: when its caller gave up, where it did.
        probe: made when the trouble was over.
    """

    ask: Ask
    started: float
    ended: float | None = None
    outcome: Outcome = "hung"
    status: int | None = None
    error: BaseException | None = None
    cancelled: float | None = None
    probe: bool = False

    @property
    def said(self) -> str:
        """What to call it in a message."""
        name = "the probe" if self.probe else f"call {self.ask.number}"
        return f"{name} ({self.ask.method} {self.ask.path}, caller {self.ask.caller}, begun at {self.started:.3f} s)"

    @property
    def how(self) -> str:
        """How it ended, in a word or two."""
        if self.outcome == "failed":
            return type(self.error).__name__
        return f"answered {self.status}" if self.outcome == "answered" and self.status else self.outcome


@dataclass
class Run:
    """What came of a workload.

    Attributes:
        calls: in the order in which they began, probes last.
        clients: as they were made.
        quiet: when the workload was over, before the probes.
        skipped: what was asked for and could not be done.
    """

    calls: list[Called] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)
    quiet: float = 0.0
    skipped: list[str] = field(default_factory=list)


def run(stage: Backstage, make: Making, workload: Workload, recovery: float | None) -> Run:
    """Make the clients, have all calls made, and see how they end."""
    one = make(stage)
    if _is_async(one, workload):
        return _drive(stage, _Loop(stage, make, one, workload, recovery).run)
    return _Threads(stage, make, one, workload, recovery).run()


def _is_async(client: Any, workload: Workload) -> bool:
    call = workload.call
    if call is not None and (inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)):
        return True
    request = getattr(client, "request", None)
    return inspect.iscoroutinefunction(request) or (hasattr(client, "__aenter__") and not hasattr(client, "__enter__"))


def _drive(stage: Backstage, main: Callable[[], Awaitable[Run]]) -> Run:
    from rest_api_client.virtual.clock import VirtualClock

    async def body() -> Run:
        return await main()

    return stage.clock.run_asyncio(body) if isinstance(stage.clock, VirtualClock) else asyncio.run(body())


class _Crowd:
    """What both faces share: who calls when, and what is kept of it."""

    def __init__(self, stage: Backstage, make: Making, first: Any, workload: Workload, recovery: float | None) -> None:
        self.stage = stage
        self.workload = workload
        self.recovery = recovery
        self.result = Run()
        self._made = [first] + [make(stage) for _ in range(0 if workload.shared else workload.callers - 1)]
        self._call = workload.call or ask_client
        self._began = stage.clock.monotonic()
        self._cancels: dict[int, float] = {}
        for cancel in stage.schedule.cancels:
            self._cancels.setdefault(cancel.call, cancel.after)

    def now(self) -> float:
        return self.stage.clock.monotonic() - self._began

    def client(self, ask: Ask) -> Any:
        clients = self.result.clients
        return clients[0 if self.workload.shared else ask.caller - 1]

    def probes(self) -> Iterator[Ask]:
        first = self.workload.callers * self.workload.calls + 1
        # A client that was told of a limit keeps to it though the server has dropped it: it may refuse a second probe.
        limited = self.workload.shared and self.stage.schedule.limit is not None
        for place in range(1 if limited else self.workload.callers):
            yield self.workload.probe(first + place, place + 1, self.now())

    def wait_for_calm(self) -> float:
        """Seconds until a client that works must work again: faults are over, and so is every Retry-After."""
        assert self.recovery is not None
        self.result.quiet = self.now()
        asked = [each.not_before for each in self.stage.scene.journal if each.not_before is not None]
        over = max([self.result.quiet, self.stage.schedule.end, *asked])
        self.stage.calm()
        return over + self.recovery - self.now()

    def note(self, called: Called, answer: Any) -> None:
        called.ended, called.outcome = self.now(), "answered"
        status = getattr(answer, "status_code", None)
        called.status = status if isinstance(status, int) else None

    def note_error(self, called: Called, error: BaseException) -> None:
        called.ended, called.outcome, called.error = self.now(), "failed", light(error)


class _Loop(_Crowd):
    """Async clients, on one asyncio loop."""

    async def run(self) -> Run:
        async with AsyncExitStack() as stack:
            for client in self._made:
                entered = await stack.enter_async_context(client) if hasattr(client, "__aenter__") else client
                self.result.clients.append(entered)
            await self._all([(each, self._at(each)) for each in self.workload.asks()])
            if self.recovery is not None:
                await asyncio.sleep(self.wait_for_calm())
                await self._all([(each, 0.0) for each in self.probes()], probe=True)
            self.result.quiet = self.result.quiet or self.now()
            await self._close(stack)
        return self.result

    def _at(self, ask: Ask) -> float:
        return ask.start

    async def _all(self, asks: list[tuple[Ask, float]], *, probe: bool = False) -> None:
        tasks: list[asyncio.Task[None]] = []
        began = self.now()
        loop = asyncio.get_running_loop()
        for ask, start in asks:
            wait = began + start - self.now()
            if wait > 0:
                await asyncio.sleep(wait)
            called = Called(ask=ask, started=self.now(), probe=probe)
            self.result.calls.append(called)
            CALL.set((ask.number, ask.caller))
            task = asyncio.create_task(self._one(called))
            tasks.append(task)
            after = None if probe else self._cancels.get(ask.number)
            if after is not None:
                loop.call_later(after, self._give_up, task, called)
        CALL.set(None)
        await self._finish(tasks)

    def _give_up(self, task: asyncio.Task[None], called: Called) -> None:
        if not task.done():
            called.cancelled = self.now()
            task.cancel()
            task.add_done_callback(lambda task: self._gave_up(task, called))

    def _gave_up(self, task: asyncio.Task[None], called: Called) -> None:
        if task.cancelled():  # be it before its first step
            called.ended, called.outcome = self.now(), "cancelled"

    async def _one(self, called: Called) -> None:
        try:
            answer = self._call(self.client(called.ask), called.ask)
            self.note(called, await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:
            self.note_error(called, error)

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait as long as patience lasts; what has not ended then is cut off, and stays `hung`."""
        left = [task for task in tasks if not task.done()]
        if left:
            await asyncio.wait(left, timeout=self.workload.patience)
        stuck = [task for task in left if not task.done()]
        for task in stuck:
            task.cancel()
        if stuck:
            await asyncio.wait(stuck, timeout=CLOSING)

    async def _close(self, stack: AsyncExitStack) -> None:
        closing = asyncio.ensure_future(stack.aclose())
        done, _ = await asyncio.wait([closing], timeout=CLOSING)
        if not done:
            closing.cancel()
            self.result.skipped.append(f"a client did not close within {CLOSING:g} s")
        elif (error := closing.exception()) is not None:
            self.result.skipped.append(f"closing a client failed: {error!r}")


class _Threads(_Crowd):
    """Sync clients, each call in a thread of the clock."""

    def run(self) -> Run:
        if self._cancels:
            self.result.skipped.append("cancels: a call in a thread cannot be cancelled")
        with self.stage.clock.hold(), ExitStack() as stack:
            for client in self._made:
                entered = stack.enter_context(client) if hasattr(client, "__enter__") else client
                self.result.clients.append(entered)
            self._all(self.workload.asks())
            if self.recovery is not None:
                self.stage.clock.sleep(self.wait_for_calm())
                self._all(list(self.probes()), probe=True)
            self.result.quiet = self.result.quiet or self.now()
        return self.result

    def _all(self, asks: list[Ask], *, probe: bool = False) -> None:
        clock = self.stage.clock
        flags: list[Any] = []
        for ask in asks:
            clock.sleep(0 if probe else ask.start - self.now())
            called = Called(ask=ask, started=self.now(), probe=probe)
            self.result.calls.append(called)
            done = clock.flag()
            flags.append(done)
            context = copy_context()
            context.run(CALL.set, (ask.number, ask.caller))
            clock.start(_in(context, self._one, called, done), name=called.said)
        until = clock.monotonic() + self.workload.patience
        for done in flags:
            done.wait(max(0.0, until - clock.monotonic()))

    def _one(self, called: Called, done: Any) -> None:
        try:
            self.note(called, self._call(self.client(called.ask), called.ask))
        except Exception as error:
            if called.outcome == "hung":
                self.note_error(called, error)
        finally:
            done.set()


def light(error: BaseException) -> BaseException:
    """The error without the frames it went through, where it is a client's own: thousands are kept, and frames are
    heavy."""
    link: BaseException | None = error
    while link is not None and isinstance(error, APIError | httpx.HTTPError):
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _in(context: Any, function: Callable[..., object], *arguments: Any) -> Callable[[], object]:
    return lambda: context.run(function, *arguments)
