"""The door of a bulkhead: who is let in, who waits, who is turned away, and what gives a permit back.

Permits are counted by a state (`permit_state`), lines are local (`priority_queue`). One rule keeps both together: after
every change, a place taken or a permit given back, as many of the first in line are let in as the state allows
(`admit`). So no permit is ever free while somebody waits for it, a newcomer never overtakes a waiter, and a limit that
grows by three lets three in.

A waiter that is cancelled or gives up in the moment it is let in passes its permit on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import NoReturn

from rest_api_client.context import Context
from rest_api_client.events import WORTH_TELLING, Queued
from rest_api_client.exceptions import BulkheadFull, LoadShed
from rest_api_client.forecast import Forecast, behind
from rest_api_client.http.bodies import finish
from rest_api_client.models import Request
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import ENTER, PEEK, Leave, PermitCommand
from rest_api_client.policies.priority_queue import Place, PriorityLines
from rest_api_client.policies.state import State
from rest_api_client.reasons import BULKHEAD_FULL, QUEUED, SHED
from rest_api_client.transport import ByteStream


class Door:
    """What a policy that limits concurrency has besides its options.

    Args:
        name: the policy's, for notes and forecasts.
        state: counts the permits of each key.
        queue: how many may wait for one key.
        max_wait: seconds they may wait, or None.

    Attributes:
        short: the state, where it has a short way in and out for calls that find a permit.
    """

    __slots__ = ("lines", "max_wait", "name", "queue", "short", "state")

    def __init__(self, name: str, state: State[PermitCommand], queue: int, max_wait: float | None) -> None:
        self.name = name
        self.state = state
        self.queue = queue
        self.max_wait = max_wait
        self.short = state if isinstance(state, PermitState) else None
        self.lines = self.short.lines if self.short is not None else PriorityLines()

    async def enter(self, key: str, request: Request, context: Context) -> int:
        """Give the token of a permit, at once or after a while in line.

        Raises:
            BulkheadFull: there is none, and no place in the line, or no turn came in time.
            LoadShed: the place went to a more important call.
        """
        token = 0 if key in self.lines.busy else (await self.state.apply(key, ENTER)).token
        return token or await self._wait(key, request, context)

    async def _wait(self, key: str, request: Request, context: Context) -> int:
        began, patience = context.runtime.now(), self.patience(context)
        if patience is not None and patience <= 0:
            self._refuse(key, request, context, "no time to wait for one")
        place = self.lines.enter(key, context.options.priority, self.queue, context.runtime)
        if place is None:
            self._refuse(key, request, context, f"{self.queue} calls wait already")
        await self._stand(place, context, patience)
        waited = context.runtime.now() - began
        if not place.token:
            self._turn_away(place, request, context, waited)
        if waited >= WORTH_TELLING:
            context.note(self.name, QUEUED, waited)
            context.tell(Queued, request, key=key, waited=waited, refused=False, reason=QUEUED)
        return place.token

    async def _stand(self, place: Place, context: Context, patience: float | None) -> None:
        try:
            await self.admit(place.key)
            await context.runtime.wait(place.event, patience)
        except BaseException:
            if not self.lines.leave(place) and place.token:
                await self.leave(place.key, Leave(place.token))
            raise
        self.lines.leave(place)

    def patience(self, context: Context) -> float | None:
        """Seconds a call may wait now, or None for any number: at most half of what its deadline leaves.

        The other half is for the answer. Else, in an overload, each call would be let in just before it gives up: all
        permits would work for nobody.
        """
        remaining = context.remaining
        if remaining is None:
            return self.max_wait
        return remaining / 2 if self.max_wait is None else min(remaining / 2, self.max_wait)

    def _turn_away(self, place: Place, request: Request, context: Context, waited: float) -> NoReturn:
        if not place.shed:
            self._refuse(place.key, request, context, f"no turn came within {waited:.3g} s", waited)
        self._tell_refusal(SHED, place.key, request, context, waited)
        raise LoadShed(
            f"{request.label}: after {waited:.3g} s in line for {place.key!r} its place went to a more important call",
            request=request,
        )

    def _refuse(self, key: str, request: Request, context: Context, why: str, waited: float = 0.0) -> NoReturn:
        self._tell_refusal(BULKHEAD_FULL, key, request, context, waited)
        raise BulkheadFull(f"{request.label}: all permits of {key!r} are out, and {why}", request=request)

    def _tell_refusal(self, reason: str, key: str, request: Request, context: Context, waited: float) -> None:
        context.note(self.name, reason, waited)
        context.tell(Queued, request, key=key, waited=waited, refused=True, reason=reason)

    async def leave(self, key: str, command: Leave) -> tuple[str, str] | None:
        """Give a permit back, and let in who may go now. Gives what the state changed by it, as its decision says."""
        decision = await self.state.apply(key, command)
        if key in self.lines.busy:
            await self.admit(key)
        return decision.change

    async def admit(self, key: str) -> None:
        """Let in as many as there is room for."""
        while key in self.lines.busy:
            decision = await self.state.apply(key, ENTER)
            if decision.verdict != "allow":
                return
            if not self.lines.grant(key, decision.token):
                await self.state.apply(key, Leave(decision.token))

    async def forecast(self, key: str, context: Context) -> Forecast:
        """What would happen to a call now."""
        decision, priority = await self.state.apply(key, PEEK), context.options.priority
        ahead = self.lines.ahead(key, priority)
        waiting = ahead + self.lines.behind(key, priority)
        facts = {"key": key, "limit": int(decision.value or 0), "waiting": waiting, "ahead": ahead}
        if decision.verdict == "allow" and not waiting:
            return Forecast(policy=self.name, text=f"a permit of {key!r} is free", facts=facts)
        patience, out = self.patience(context), f"all {facts['limit']} permits of {key!r} are out"
        if ahead >= self.queue or (patience is not None and patience <= 0):
            text = f"{out}, and the call may not wait"
            return Forecast(policy=self.name, verdict="refuse", reason=BULKHEAD_FULL, text=text, facts=facts)
        text = f"{out}, and the call would wait{behind(ahead)}"
        return Forecast(policy=self.name, verdict="wait", reason=QUEUED, text=text, facts=facts)


class HeldStream:
    """A body that keeps a permit until it is read to its end or closed; `give_back` is awaited then, once."""

    def __init__(self, stream: ByteStream, give_back: Callable[[], Awaitable[object]]) -> None:
        self._stream = stream
        self._give_back: Callable[[], Awaitable[object]] | None = give_back
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def _read(self) -> AsyncGenerator[bytes, None]:
        chunks = aiter(self._stream)
        try:
            async for piece in chunks:
                yield piece
        finally:
            try:
                await finish(chunks)
            finally:  # a connection that cannot be closed in peace holds no permit all the same
                await self._end()

    async def aclose(self) -> None:
        """Give back the connection, then the permit. Idempotent."""
        try:
            await self._pieces.aclose()
        finally:
            await self._end()

    async def _end(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            give_back, self._give_back = self._give_back, None
            if give_back is not None:
                await give_back()
