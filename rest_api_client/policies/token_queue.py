"""Getting a token in one's turn: what the client's own limit, the server's and a limiter alone have in common.

Whoever finds the line empty and quota left has its token at once, and stands in no line. Others learn first how long
it would take, and are told now what they would have to be told later. Only then do they stand in line.
"""

from __future__ import annotations

from typing import Any

from rest_api_client.context import Context
from rest_api_client.events import RateLimited
from rest_api_client.exceptions import RateLimitExceeded, RefusedError
from rest_api_client.models import Request
from rest_api_client.policies.quotas import TAKE, Land, Peek, Return, Take
from rest_api_client.policies.state import Decision, State
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.runtime import Runtime

_SHORTEST = 1e-6
"""Seconds the head of a line rests at least, so that rounding in a loop's timers never makes it spin."""

WORTH_TELLING = 0.001
"""Seconds: a shorter wait is a turn in the line, nothing that held a call back."""


class Turn:
    """One caller's way to a token. `reason` is what it waited for last."""

    __slots__ = ("_began", "_deadline", "_key", "_lines", "_max_wait", "_runtime", "_state", "_take", "reason")

    def __init__(
        self,
        lines: WaitingLines,
        state: State[Any],
        key: str,
        runtime: Runtime,
        max_wait: float | None,
        deadline: float | None,
        take: Take = TAKE,
    ) -> None:
        self._lines = lines
        self._state = state
        self._key = key
        self._take = take
        self._runtime = runtime
        self._max_wait = max_wait
        self._deadline = deadline
        self._began = runtime.now()
        self.reason = "queued"

    @property
    def waited(self) -> float:
        """Seconds since it came."""
        return self._runtime.now() - self._began

    async def come(self) -> Decision:
        """Wait for the token and give it; without a token, it would come too late ("wait") or never ("refuse")."""
        decision = await self._ask()
        if decision.token or self._over(decision):
            return decision
        place, ahead = self._lines.enter(self._key, self._runtime, self._take.costs)
        try:
            if ahead and not await self._lines.turn(place, self._runtime, self._left()):
                return await self._state.apply(self._key, Peek(costs=self._take.costs))
            decision = await self._state.apply(self._key, self._take)
            while not (decision.token or self._over(decision)):
                await self._lines.rest(place, self._runtime, max(decision.wait, _SHORTEST))
                decision = await self._state.apply(self._key, self._take)
        finally:
            self._lines.leave(place)
        return decision

    async def _ask(self) -> Decision:
        """Take a token if nobody is overtaken, else ask how long it may take."""
        ahead, before = self._lines.before(self._key) if any(self._take.costs) else (0, ())
        return await self._state.apply(self._key, Peek(ahead, self._take.costs, before) if ahead else self._take)

    def _over(self, decision: Decision) -> bool:
        """Whether waiting is in vain."""
        self.reason = decision.reason or self.reason
        if decision.verdict == "refuse" or self._max_wait == 0:
            return True
        late = self._deadline is not None and decision.wait >= self._deadline - self._runtime.now()
        return late or (self._max_wait is not None and self.waited + decision.wait > self._max_wait)

    def _left(self) -> float | None:
        """Seconds it may still wait, or None for any number."""
        patience = None if self._max_wait is None else self._max_wait - self.waited
        time_left = None if self._deadline is None else self._deadline - self._runtime.now()
        return min((limit for limit in (patience, time_left) if limit is not None), default=None)

    def refusal(self, decision: Decision, label: str, request: Request | None = None) -> RateLimitExceeded:
        """What says when it would have gone through, and what it would have had to fit into."""
        time_left = None if self._deadline is None else max(0.0, self._deadline - self._runtime.now())
        bounds = {"max_wait": self._max_wait, "deadline": time_left}
        shown = " and ".join(f"{name} {value:.3g} s" for name, value in bounds.items() if value is not None)
        wait = f"{self.reason} of {self._key!r} asks to wait {decision.wait:.3g} s"
        error = RateLimitExceeded(f"{label}: {wait}, too long for {shown}", request=request)
        error.retry_after = decision.wait
        return error

    def tell(self, policy: str, decision: Decision, request: Request, context: Context) -> None:
        """Write it into the attempt's record and to listeners, if there was a wait at all, or a refusal."""
        waited, refused = self.waited, not decision.token
        if refused or waited >= WORTH_TELLING:
            context.note(policy, self.reason, waited)
            context.tell(RateLimited, request, waited=waited, refused=refused, reason=self.reason)


async def take_token(
    lines: WaitingLines,
    state: State[Any],
    key: str,
    request: Request,
    context: Context,
    max_wait: float | None,
    policy: str,
) -> int:
    """Wait in line for a token, and give its number.

    Raises:
        RateLimitExceeded: the token would come later than `max_wait` or the deadline; at once, not after waiting.
    """
    turn = Turn(lines, state, key, context.runtime, max_wait, context.call.deadline)
    decision = await turn.come()
    turn.tell(policy, decision, request, context)
    if not decision.token:
        raise turn.refusal(decision, request.label, request)
    return decision.token


async def end_token(
    lines: WaitingLines, state: State[Any], key: str, token: int, context: Context, error: BaseException
) -> None:
    """After a failed attempt: give the token back if nothing was sent, else count it as used now."""
    exchange = context.exchange
    assert exchange is not None, "limits stand at the attempt level"
    never_sent = isinstance(error, RefusedError) or not exchange.handed_over or exchange.unsent
    await state.apply(key, Return(token) if never_sent else Land(token))
    lines.nudge(key)
