"""`Bulkhead` with everything under it beside a sorted list: who is let in, who waits, who is shed.

The calls are coroutines that the machine steps by hand, so that a waiter may be cancelled, or give up, between the
moment it is let in and the moment it runs.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.exceptions import BulkheadFull, LoadShed
from rest_api_client.models import Request, Response
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import PEEK, Permits
from rest_api_client.runtime import run_sync
from tests.rest_api_client.chain import a_request

LIMIT, QUEUE, KEYS = 2, 3, ("/a", "/b")
REQUESTS = {key: a_request(url=f"https://api.test{key}") for key in KEYS}


class Cancelled(BaseException):
    """What a loop would throw."""


class Park:
    """Suspends a coroutine until the machine steps it."""

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class Flag:
    """An event."""

    def __init__(self) -> None:
        self.up = False

    def set(self) -> bool:
        """Say that somebody heard."""
        self.up = True
        return True


class Stepped:
    """A runtime whose waits end when the machine says so."""

    def now(self) -> float:
        """No time passes."""
        return 0.0

    def event(self) -> Flag:
        """A fresh one."""
        return Flag()

    async def wait(self, event: Flag, timeout: float | None = None) -> bool:
        """Until set, or until the machine says that the time is over."""
        if not event.up:
            await Park()
        return event.up


@dataclass(eq=False)
class Caller:
    """One call, in the chain and in the model."""

    key: str
    priority: int
    order: int
    state: str = "new"
    outcome: str = ""
    coroutine: Any = None


@dataclass
class Model:
    """One key: a list of those inside, and a sorted list of those who wait."""

    inside: list[Caller] = field(default_factory=list)
    line: list[Caller] = field(default_factory=list)

    def arrive(self, caller: Caller) -> None:
        """Let in, put in line, or turned away."""
        if not self.line and len(self.inside) < LIMIT:
            self.inside.append(caller)
            caller.state = "inside"
            return
        if len(self.line) >= QUEUE:
            victims = sorted(
                (c for c in self.line if c.priority < caller.priority), key=lambda c: (c.priority, -c.order)
            )
            if not victims:
                caller.state = "refused"
                return
            self.line.remove(victims[0])
            victims[0].state = "shed"
        caller.state = "waiting"
        self.line.append(caller)
        self.admit()

    def admit(self) -> None:
        """The most important, and of those the oldest, goes in."""
        self.line.sort(key=lambda c: (-c.priority, c.order))
        while self.line and len(self.inside) < LIMIT:
            caller = self.line.pop(0)
            caller.state = "granted"
            self.inside.append(caller)

    def leave(self, caller: Caller) -> None:
        """Give up what it has: nothing, where its place went to another."""
        if caller.state == "shed":
            return
        if caller in self.line:
            self.line.remove(caller)
            return
        if caller in self.inside:
            self.inside.remove(caller)
        self.admit()


class Machine(RuleBasedStateMachine):
    """Calls come, are answered, cancelled, and give up; now and then all permits are forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.state: Any = PermitState(lambda: Permits(LIMIT), lambda: 0.0)
        self.policy = Bulkhead(limit=LIMIT, queue=QUEUE, key=lambda request: request.url.target, state=self.state)
        self.models = {key: Model() for key in KEYS}
        self.callers: list[Caller] = []
        self.orders = 0

    @rule(key=st.sampled_from(KEYS), priority=st.integers(0, 4))
    def arrive(self, key: str, priority: int) -> None:
        """A call comes."""
        self.orders += 1
        caller = Caller(key, priority, self.orders)
        caller.coroutine = self._call(caller)
        self.models[key].arrive(caller)
        self._step(caller)
        if caller.outcome in {"", "inside"}:
            self.callers.append(caller)
        assert (caller.outcome == "refused") == (caller.state == "refused")

    async def _call(self, caller: Caller) -> None:
        call = Call(Stepped(), random.Random(0), options=CallOptions(priority=caller.priority))  # type: ignore[arg-type]

        async def proceed(request: Request, context: Context) -> Response:
            caller.outcome = "inside"
            await Park()
            return Response(200)

        try:
            await self.policy(REQUESTS[caller.key], Context(call), proceed)
        except LoadShed:
            caller.outcome = "shed"
        except BulkheadFull:
            caller.outcome = "refused"

    def _step(self, caller: Caller, error: BaseException | None = None) -> None:
        try:
            caller.coroutine.throw(error) if error is not None else caller.coroutine.send(None)
        except (StopIteration, Cancelled):
            return

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """A call runs: one inside is answered, one let in begins, one shed hears it, one that waits gives up."""
        caller = data.draw(st.sampled_from(self.callers))
        expected = {"granted": "inside", "shed": "shed", "waiting": "refused", "inside": "inside"}[caller.state]
        began = caller.outcome == "inside"
        self._step(caller)
        assert caller.outcome == expected
        if expected == "inside" and not began:
            return
        self.callers.remove(caller)
        self.models[caller.key].leave(caller)

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A call is cancelled, wherever it is."""
        caller = data.draw(st.sampled_from(self.callers))
        self._step(caller, Cancelled())
        self.callers.remove(caller)
        self.models[caller.key].leave(caller)

    @rule()
    def forget(self) -> None:
        """The state forgets its keys; what it had given is not missed when it comes back."""
        self.state.forget()
        for model in self.models.values():
            model.inside.clear()

    @rule(key=st.sampled_from(KEYS))
    def look(self, key: str) -> None:
        """The state is asked how many are inside; not always, since it may count them only when it is asked."""
        self._look(key)

    def _look(self, key: str) -> None:
        run_sync(self.state.apply(key, PEEK))
        assert self.state._objects[key].inside == len(self.models[key].inside)

    @invariant()
    def all_are_where_the_model_has_them(self) -> None:
        """Places are taken by those in line, and by nobody else."""
        for key, model in self.models.items():
            lines = self.policy.door.lines  # type: ignore[union-attr]
            assert lines.ahead(key, 0) == len(model.line)
            assert (key in lines.busy) == bool(model.line)

    def teardown(self) -> None:
        """Whatever happened, in the end every permit is back."""
        while self.callers:
            caller = self.callers.pop()
            self._step(caller, Cancelled())
            self.models[caller.key].leave(caller)
        for key in KEYS:
            self._look(key)
