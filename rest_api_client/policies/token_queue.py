"""Getting a token in one's turn: what the client's own limit and the server's have in common."""

from __future__ import annotations

from typing import Any, NoReturn

from rest_api_client.context import Context
from rest_api_client.events import RateLimited
from rest_api_client.exceptions import RateLimitExceeded, RefusedError
from rest_api_client.models import Request
from rest_api_client.policies.quotas import TAKE, Land, Peek, Return
from rest_api_client.policies.state import Decision, State
from rest_api_client.policies.waiting_line import Place, WaitingLines

_SHORTEST = 1e-6
"""Seconds the head of a line rests at least, so that rounding in a loop's timers never makes it spin."""


WORTH_TELLING = 0.001
"""Seconds: a shorter wait is a turn in the line, nothing that held a call back."""


async def take_token(
    lines: WaitingLines, state: State[Any], key: str, request: Request, context: Context, max_wait: float | None
) -> int:
    """Wait in line for a token, and give its number.

    Raises:
        RateLimitExceeded: the token would come later than `max_wait` or the deadline; at once, not after waiting.
    """
    wait = _Wait(request, context, key, max_wait)
    place, ahead = lines.enter(key, context.runtime)
    try:
        if ahead:
            await wait.stand(lines, state, place, ahead)
        decision = await state.apply(key, TAKE)
        while decision.verdict == "wait":
            wait.check(decision)
            await lines.rest(place, context.runtime, max(decision.wait, _SHORTEST))
            decision = await state.apply(key, TAKE)
    finally:
        lines.leave(place)
    wait.report()
    return decision.token


class _Wait:
    """One request's wait: since when, for what, and how long it may last."""

    def __init__(self, request: Request, context: Context, key: str, max_wait: float | None) -> None:
        self.request = request
        self.context = context
        self.key = key
        self.max_wait = max_wait
        self.began = context.runtime.now()
        self.reason = "queued"

    @property
    def waited(self) -> float:
        return self.context.runtime.now() - self.began

    @property
    def left(self) -> float | None:
        """Seconds it may still wait, or None for any number."""
        limits = [self.context.remaining, None if self.max_wait is None else self.max_wait - self.waited]
        return min((limit for limit in limits if limit is not None), default=None)

    async def stand(self, lines: WaitingLines, state: State[Any], place: Place, ahead: int) -> None:
        """Wait to become the head of the line."""
        self.check(await state.apply(self.key, Peek(ahead)))
        if not await lines.turn(place, self.context.runtime, self.left):
            self.refuse(await state.apply(self.key, Peek()))

    def check(self, decision: Decision) -> None:
        """Refuse now what would have to be refused later."""
        self.reason = decision.reason or self.reason
        remaining = self.context.remaining
        late = remaining is not None and decision.wait >= remaining
        if late or (self.max_wait is not None and self.waited + decision.wait > self.max_wait):
            self.refuse(decision)

    def refuse(self, decision: Decision) -> NoReturn:
        """Say when it would have gone through, and what it would have had to fit into."""
        self.context.tell(RateLimited, self.request, waited=self.waited, refused=True, reason=self.reason)
        bounds = {"max_wait": self.max_wait, "deadline": self.context.remaining}
        shown = " and ".join(f"{name} {value:.3g} s" for name, value in bounds.items() if value is not None)
        wait = f"{self.reason} of {self.key!r} asks to wait {decision.wait:.3g} s"
        error = RateLimitExceeded(f"{self.request.label}: {wait}, too long for {shown}", request=self.request)
        error.retry_after = decision.wait
        raise error

    def report(self) -> None:
        """Tell listeners, if there was a wait at all."""
        if self.context.emit is not None and self.waited >= WORTH_TELLING:
            self.context.tell(RateLimited, self.request, waited=self.waited, refused=False, reason=self.reason)


async def end_token(
    lines: WaitingLines, state: State[Any], key: str, token: int, context: Context, error: BaseException
) -> None:
    """After a failed attempt: give the token back if nothing was sent, else count it as used now."""
    exchange = context.exchange
    assert exchange is not None, "limits stand at the attempt level"
    never_sent = isinstance(error, RefusedError) or not exchange.handed_over or exchange.unsent
    await state.apply(key, Return(token) if never_sent else Land(token))
    lines.nudge(key)
