"""Getting a token in one's turn: what the client's own limit, the server's, a learned rate and a limiter alone share.

Tokens are counted by a state, lines are local (`waiting_line`). Whoever finds the line empty and quota left has its
token at once, and stands in no line. Others learn first how long it would take, and are told now what they would have
to be told later. Only then do they stand in line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from rest_api_client.context import Context
from rest_api_client.events import WORTH_TELLING, RateLimited
from rest_api_client.exceptions import RateLimitExceeded, RefusedError
from rest_api_client.forecast import Forecast, behind
from rest_api_client.models import Request
from rest_api_client.policies.quotas import TAKE, Costs, Land, Peek, Return, Take
from rest_api_client.policies.state import Decision, State
from rest_api_client.policies.waiting_line import lines_of
from rest_api_client.reasons import QUEUED
from rest_api_client.runtime import Runtime

_SHORTEST = 1e-6
"""Seconds the head of a line rests at least, so that rounding in a loop's timers never makes it spin."""

TooLarge: TypeAlias = Callable[[str, Costs, Request | None], RateLimitExceeded]
"""What to raise, by label, costs and request, where no wait helps."""


class TokenQueue:
    """What a policy that keeps a limit has besides its options.

    Args:
        name: the policy's, for notes and forecasts.
        state: counts the tokens of each key.
        max_wait: seconds a call may wait for one, or None.
        too_large: says why a call is refused for good; only for a state that does so.
    """

    __slots__ = ("lines", "max_wait", "name", "state", "too_large")

    def __init__(self, name: str, state: State[Any], max_wait: float | None, too_large: TooLarge | None = None) -> None:
        self.name = name
        self.state = state
        self.max_wait = max_wait
        self.too_large = too_large
        self.lines = lines_of(state)

    async def take(self, key: str, request: Request, context: Context, take: Take = TAKE) -> int:
        """Wait in line for a token, and give its number.

        Raises:
            RateLimitExceeded: the token would come later than `max_wait` or the deadline, or never; at once, not after
                waiting.
        """
        turn = Turn(self, key, context.runtime, self.max_wait, context.call.deadline, take)
        decision = await turn.come()
        turn.tell(decision, request, context)
        if not decision.token:
            raise turn.refusal(decision, request.label, request)
        return decision.token

    async def end(self, key: str, token: int, context: Context, error: BaseException) -> None:
        """After a failed attempt: give the token back if nothing was sent, else count it as used now."""
        exchange = context.exchange
        assert exchange is not None, "limits stand at the attempt level"
        never_sent = isinstance(error, RefusedError) or not exchange.handed_over or exchange.unsent
        await self.state.apply(key, Return(token) if never_sent else Land(token))
        self.lines.nudge(key)

    async def peek(self, key: str, costs: Costs = TAKE.costs) -> tuple[Decision, int]:
        """What a newcomer would be told, and how many it would stand behind."""
        ahead, before = self.lines.before(key) if any(costs) else (0, ())
        return await self.state.apply(key, Peek(ahead, costs, before)), ahead

    async def forecast(
        self, key: str, context: Context, costs: Costs = TAKE.costs, facts: Mapping[str, object] | None = None
    ) -> Forecast:
        """Whether a call would go now, wait or be refused; nothing is taken and no line entered."""
        decision, ahead = await self.peek(key, costs)
        facts = {"key": key, **(facts or {}), "ahead": ahead}
        if decision.verdict == "refuse":
            text = f"it costs more than the limit of {key!r} ever lets through"
            return Forecast(policy=self.name, verdict="refuse", reason=decision.reason, text=text, facts=facts)
        if decision.verdict == "allow" and not ahead:
            return Forecast(policy=self.name, text=f"the limit of {key!r} has room", facts=facts)
        wait, reason = decision.wait, decision.reason or QUEUED
        return Forecast(
            policy=self.name,
            verdict="refuse" if self._too_long(wait, context.remaining) else "wait",
            reason=reason,
            text=f"the limit of {key!r} has room in {wait:.3g} s{behind(ahead)} ({reason})",
            wait=wait,
            facts=facts,
        )

    def _too_long(self, wait: float, time_left: float | None) -> bool:
        late = time_left is not None and wait >= time_left
        return late or self.max_wait == 0 or (self.max_wait is not None and wait > self.max_wait)


class Turn:
    """One caller's way to a token. `reason` is what it waited for last."""

    __slots__ = ("_began", "_deadline", "_key", "_max_wait", "_queue", "_runtime", "_take", "reason")

    def __init__(
        self,
        queue: TokenQueue,
        key: str,
        runtime: Runtime,
        max_wait: float | None,
        deadline: float | None,
        take: Take,
    ) -> None:
        self._queue = queue
        self._key = key
        self._take = take
        self._runtime = runtime
        self._max_wait = max_wait
        self._deadline = deadline
        self._began = runtime.now()
        self.reason = QUEUED

    @property
    def waited(self) -> float:
        """Seconds since it came."""
        return self._runtime.now() - self._began

    async def come(self) -> Decision:
        """Wait for the token and give it; without a token, it would come too late ("wait") or never ("refuse")."""
        lines, state = self._queue.lines, self._queue.state
        decision = await self._ask()
        if decision.token or self._over(decision):
            return decision
        place, ahead = lines.enter(self._key, self._runtime, self._take.costs)
        try:
            if ahead and not await lines.turn(place, self._runtime, self._left()):
                return await state.apply(self._key, Peek(costs=self._take.costs))
            decision = await state.apply(self._key, self._take)
            while not (decision.token or self._over(decision)):
                await lines.rest(place, self._runtime, max(decision.wait, _SHORTEST))
                decision = await state.apply(self._key, self._take)
        finally:
            lines.leave(place)
        return decision

    async def _ask(self) -> Decision:
        """Take a token if nobody is overtaken, else ask how long it may take."""
        if any(self._take.costs) and self._key in self._queue.lines.busy:
            return (await self._queue.peek(self._key, self._take.costs))[0]
        return await self._queue.state.apply(self._key, self._take)

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
        """What says when it would have gone through, and what it would have had to fit into; or that it never will."""
        if decision.verdict == "refuse" and self._queue.too_large is not None:
            return self._queue.too_large(label, self._take.costs, request)
        time_left = None if self._deadline is None else max(0.0, self._deadline - self._runtime.now())
        bounds = {"max_wait": self._max_wait, "deadline": time_left}
        shown = " and ".join(f"{name} {value:.3g} s" for name, value in bounds.items() if value is not None)
        wait = f"{self.reason} of {self._key!r} asks to wait {decision.wait:.3g} s"
        error = RateLimitExceeded(f"{label}: {wait}, too long for {shown}", request=request)
        error.retry_after = decision.wait
        return error

    def tell(self, decision: Decision, request: Request, context: Context) -> None:
        """Write it into the attempt's record and to listeners, if there was a wait at all, or a refusal."""
        waited, refused = self.waited, not decision.token
        if refused or waited >= WORTH_TELLING:
            context.note(self._queue.name, self.reason, waited)
            context.tell(RateLimited, request, waited=waited, refused=refused, reason=self.reason)
