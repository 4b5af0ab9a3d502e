"""A state machine for clients: calls, faults, time, cancellations and clock jumps, in whatever order Hypothesis likes.

    class MySdk(ClientMachine):
        def make_client(self, stage):
            return Sdk(httpx.AsyncClient(base_url=stage.url, transport=stage.async_httpx_transport()))

        @rule(item=st.integers(1, 3))
        def order(self, item):
            self.begin("order", lambda client: client.order(item))

    TestMySdk = MySdk.TestCase

A rule begins something and returns; what it began goes on while time passes in other rules. Nothing moves the clock but
`time_passes`, and the end: there all calls may end, the trouble is over, and a probe is made. The rules of the stage
and the promises of the client are checked after each step, and once more at the end.

One loop, or one set of threads, lives as long as the machine, and the clock is held meanwhile: virtual time stands
still between two steps.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import pytest_plugin.rehearsal.extra  # noqa: F401  first
from mockserver.rules import Rules, check
from mockserver.stubs import Stub
from pytest_plugin.rehearsal.backstage import CALL, Backstage, JumpingClock
from pytest_plugin.rehearsal.promises import Promises
from pytest_plugin.rehearsal.rehearse import RULES
from pytest_plugin.rehearsal.report import RehearsalFailed, Report
from pytest_plugin.rehearsal.running import Called, Run
from pytest_plugin.rehearsal.schedule import ClockJump, FaultSchedule, Step
from pytest_plugin.rehearsal.strategies import fault_steps
from pytest_plugin.rehearsal.workload import BODIED, Ask, ask_client

if TYPE_CHECKING:
    from mockserver.faults import Faults

PATIENCE = 600.0


class ClientMachine(RuleBasedStateMachine):
    """Extend it with `make_client`, and with rules for what your client can do; run its `TestCase`.

    Attributes:
        promises: of the client.
        stage_rules: of the stage.
        methods: of the calls that `call` makes; () for rules of your own alone.
        path: of their URL.
        stubs: what the server answers; None for 200 everywhere.
        resources: collections of the server, as `MockServer` has them.
        one_request: a call is one request, and its attempts.
    """

    promises: Promises = Promises()
    stage_rules: Rules = RULES
    methods: Sequence[str] = ("GET", "POST")
    path: str = "/things"
    stubs: Sequence[Stub] | None = None
    resources: Mapping[str, int] | None = None
    one_request: bool = True

    def __init__(self) -> None:
        super().__init__()
        self._state = random.getstate()
        random.seed(0)
        self.stage = Backstage(
            FaultSchedule(), stubs=self.stubs, resources=self.resources, one_request=self.one_request
        )
        assert isinstance(self.stage.clock, JumpingClock)
        self._clock = self.stage.clock
        self._clock.__enter__()
        self._steps: list[Step] = []
        self._jumps: list[ClockJump] = []
        self._faults = [self.stage.faults]
        self._broken = False
        self.client = self.make_client(self.stage)
        self.run = Run(clients=[self.client])
        self._face: _Tasks | _Threads = _Tasks(self._clock) if self._is_async() else _Threads(self._clock)

    def make_client(self, stage: Backstage) -> Any:
        """Your client, made of what `stage` offers."""
        raise NotImplementedError(f"{type(self).__name__} needs make_client(self, stage): return a client")

    def _is_async(self) -> bool:
        request = getattr(self.client, "request", None)
        return inspect.iscoroutinefunction(request) or hasattr(self.client, "__aenter__")

    def begin(self, what: str, call: Callable[[Any], Any], method: str = "", path: str = "") -> Called:
        """Begin a call; it goes on while time passes.

        Args:
            what: it is called in messages.
            call: makes it, of the client; sync or async.
            method: of HTTP, where one tells it.
            path: the same.
        """
        number = len(self.run.calls) + 1
        now = self._clock.monotonic()
        ask = Ask(number=number, caller=1, start=now, method=method or what, path=path)
        called = Called(ask=ask, started=now)
        self.run.calls.append(called)
        self._face.begin(called, lambda: call(self.client))
        return called

    # What happens ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.methods))
    @rule(which=st.integers(0, 7))
    def call(self, which: int) -> None:
        """A call begins, by one of the methods."""
        method = self.methods[which % len(self.methods)]
        json = {"call": len(self.run.calls) + 1} if method in BODIED else None
        ask = Ask(number=0, caller=1, start=0.0, method=method, path=self.path, json=json)
        self.begin(method, lambda client: ask_client(client, ask), method, self.path)

    @rule(step=fault_steps().filter(lambda step: not step.ok))
    def fault(self, step: Step) -> None:
        """The next request that arrives meets this; more of them queue up."""
        seen = self.stage.scene.journal.counts["requests"]
        self._steps += [Step()] * (seen - len(self._steps))
        self._steps.append(step)
        ahead = FaultSchedule(steps=self._steps[seen:])
        self.stage.scene.faults = ahead.plan()
        self._faults.append(cast("Faults", self.stage.scene.stage.faults))

    @rule(seconds=st.sampled_from((1.0, 0.1, 5.0, 30.0, 120.0)))
    def time_passes(self, seconds: float) -> None:
        """So many seconds go by."""
        self._face.wait(seconds)

    @rule(seconds=st.sampled_from((60.0, -60.0, 3600.0, -3600.0)))
    def clock_jumps(self, seconds: float) -> None:
        """The wall clock is set."""
        self._jumps.append(ClockJump(at=self._clock.monotonic(), seconds=seconds))
        self._clock.jump(seconds)

    @precondition(lambda self: self._face.running())
    @rule()
    def cancel(self) -> None:
        """The caller that has waited longest gives up."""
        self._face.cancel()

    # What must hold -------------------------------------------------------------------------------------------------

    @invariant()
    def behaves(self) -> None:
        """Nothing is broken so far."""
        self._judge(replace(self.stage_rules, in_flight=None), ended=False)

    def teardown(self) -> None:
        """Let all calls end, end the trouble, make a probe, and judge all of it."""
        try:
            if not self._broken:
                self._end()
        finally:
            self._face.close(self.client)
            self._clock.__exit__(None, None, None)
            random.setstate(self._state)

    def _end(self) -> None:
        self._face.finish(PATIENCE)
        self.run.quiet = self._clock.monotonic()
        asked = [each.not_before for each in self.stage.scene.journal if each.not_before is not None]
        self.stage.calm()
        if self.promises.recovery is not None and self.methods:
            self._face.wait(max([self.run.quiet, *asked]) + self.promises.recovery - self.run.quiet)
            probe = Ask(number=0, caller=1, start=0.0, method=self.methods[0], path=self.path)
            self.begin("probe", lambda client: ask_client(client, probe), probe.method, probe.path).probe = True
            self._face.finish(PATIENCE)
        self._judge(self.stage_rules, ended=True)

    def _judge(self, rules: Rules, *, ended: bool) -> None:
        entries = tuple(self.stage.scene.journal)
        violations = check(entries, rules=rules)
        over = [call for call in self.run.calls if ended or call.ended is not None]
        promises = self.promises if ended else replace(self.promises, held=None)
        violations += promises.check(replace(self.run, calls=over), entries)
        report = Report(
            schedule=FaultSchedule(steps=self._steps, jumps=tuple(self._jumps)),
            calls=self.run.calls,
            entries=entries,
            events=self.stage.told,
            violations=violations,
            explain=self._explain,
        )
        if not report.ok:
            self._broken = True
            raise RehearsalFailed(report)

    def _explain(self, fault_id: str) -> str | None:
        return next((told for each in self._faults if (told := each.explain(fault_id)) is not None), None)


def _answered(called: Called, answer: Any, now: float) -> None:
    called.ended, called.outcome = now, "answered"
    status = getattr(answer, "status_code", None)
    called.status = status if isinstance(status, int) else None


class _Tasks:
    """Calls as tasks of one asyncio loop, which runs only while time passes."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self._runner = asyncio.Runner(loop_factory=clock.new_event_loop)
        self._open: list[tuple[Called, asyncio.Task[None]]] = []

    def begin(self, called: Called, call: Callable[[], Any]) -> None:
        async def start() -> None:
            CALL.set((called.ask.number, called.ask.caller))
            self._open.append((called, asyncio.create_task(self._one(called, call))))
            await asyncio.sleep(0)

        self._runner.run(start())

    async def _one(self, called: Called, call: Callable[[], Any]) -> None:
        try:
            answer = call()
            _answered(called, await answer if inspect.isawaitable(answer) else answer, self._clock.monotonic())
        except asyncio.CancelledError:
            called.ended, called.outcome = self._clock.monotonic(), "cancelled"
            raise
        except Exception as error:
            called.ended, called.outcome, called.error = self._clock.monotonic(), "failed", error

    def running(self) -> bool:
        """Whether a call goes on."""
        self._open = [each for each in self._open if not each[1].done()]
        return bool(self._open)

    def cancel(self) -> None:
        """Cancel the oldest."""
        called, task = self._open[0]
        called.cancelled = self._clock.monotonic()
        task.cancel()
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._runner.run(asyncio.sleep(seconds))

    def finish(self, patience: float) -> None:
        """Let all calls end, as long as patience lasts."""

        async def end() -> None:
            await asyncio.wait([task for _, task in self._open], timeout=patience)

        if self.running():
            self._runner.run(end())

    def close(self, client: Any) -> None:
        """Close the client, and the loop."""
        closing = getattr(client, "aclose", None)
        with self._runner:
            if closing is not None:
                self._runner.run(closing())


class _Threads:
    """Calls in threads of the clock; nobody can cancel them."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self._open: list[Any] = []

    def begin(self, called: Called, call: Callable[[], Any]) -> None:
        """Begin a call in a thread."""
        done = self._clock.flag()
        context = copy_context()
        context.run(CALL.set, (called.ask.number, called.ask.caller))

        def one() -> None:
            try:
                _answered(called, call(), self._clock.monotonic())
            except Exception as error:
                called.ended, called.outcome, called.error = self._clock.monotonic(), "failed", error
            finally:
                done.set()

        self._open.append(done)
        self._clock.start(lambda: context.run(one), name=called.said)
        self._clock.sleep(1e-9)

    def running(self) -> bool:
        """Nothing that could be cancelled goes on."""
        return False

    def cancel(self) -> None:
        """Never asked for."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.sleep(seconds)

    def finish(self, patience: float) -> None:
        """Let all calls end, as long as patience lasts."""
        until = self._clock.monotonic() + patience
        for done in self._open:
            done.wait(max(0.0, until - self._clock.monotonic()))

    def close(self, client: Any) -> None:
        """Close the client."""
        closing = getattr(client, "close", None)
        if closing is not None:
            closing()
