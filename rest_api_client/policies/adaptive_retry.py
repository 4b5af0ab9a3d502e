"""Adaptive retry: a retry policy that also finds the rate which the server takes, and keeps to it.

Back-off slows down the calls that failed. Where a server's limit is known to nobody, and throttled calls are many, the
others should slow down too, before they are refused as well: so all attempts to one origin, the first ones included,
pass one bucket. Its rate is measured, the first throttling puts it in force, each further one cuts it, and a cubic
curve brings it back (`cubic`). Until a server throttles nothing is held back.

Who waits stands in a line, first come first served; waiting counts against the deadline, and a call that cannot have
its turn in time is refused at once, chained from what it met before. A cancelled waiter takes nothing with it, and an
attempt that this client itself refused gives back what it took.

"Throttled" is a 429 (and what else the client's classifier calls so, a request of the same idempotency key in progress
apart), and a 503 that says when to come back. An error without an answer says nothing about the rate.

Where the server tells its limit in its answers, `ServerPacing` keeps it before it meets a 429; the two go together.
"""

from __future__ import annotations

from dataclasses import field, replace
from functools import partial
from typing import Final

from rest_api_client.attempts import close
from rest_api_client.checks import check_at_least
from rest_api_client.context import Context
from rest_api_client.events import RateCut
from rest_api_client.exceptions import RefusedError
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.policies.cubic import Answered, ClientRate, RateCommand
from rest_api_client.policies.quotas import Return
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.state import MemoryState, State
from rest_api_client.policies.token_queue import TokenQueue
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.reasons import IN_PROGRESS, RATE_CUT
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME: Final = "AdaptiveRetry"


class RateState(MemoryState[RateCommand]):
    """Rates by origin in this process, and the lines to them: one belongs to the other."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(ClientRate, runtime.now)
        self.lines = WaitingLines()


@dataclass(frozen=True, kw_only=True)
class AdaptiveRetry(RetryConfig):
    """`RetryConfig`, whose attempts also keep to a rate that is learned from the server's throttling.

    Attributes:
        max_wait: seconds an attempt may wait for its turn, else it is refused at once; None waits as long as the
            deadline allows.
        rates: where rates are learned; give one to share it between clients of one clock.
    """

    max_wait: float | None = None
    rates: State[RateCommand] | None = field(default=None, compare=False, repr=False)
    tokens: TokenQueue | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self, max_retries: int | None) -> None:
        super().__post_init__(max_retries)
        check_at_least(NAME, 0, off="as long as the deadline allows", max_wait=self.max_wait)
        if self.rates is not None:
            object.__setattr__(self, "tokens", TokenQueue(NAME, self.rates, self.max_wait))

    def bind(self, runtime: Runtime) -> RetryConfig:
        """This policy with a budget and rates of its own, unless it was given them."""
        bound = super().bind(runtime)
        assert isinstance(bound, AdaptiveRetry)
        return bound if bound.rates is not None else replace(bound, rates=RateState(runtime))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request until its result stands, each time when its turn has come.

        Raises:
            RateLimitExceeded: its turn would come later than `max_wait` or the deadline; `retry_after` says when.
        """
        return await super().__call__(request, context, partial(self._in_turn, proceed))

    async def _in_turn(self, proceed: Proceed, request: Request, context: Context) -> Response:
        tokens, key = self.tokens, str(request.url.origin)
        assert tokens is not None, "bind() first: a pipeline does"
        token = await tokens.take(key, request, context)
        try:
            response = await proceed(request, context)
        except RefusedError:
            await tokens.state.apply(key, Return(token))
            tokens.lines.nudge(key)
            raise
        except Exception as error:
            if getattr(error, "response", None) is not None:
                await self._learn(request, context, token, context.classify(request, error))
            raise
        try:
            await self._learn(request, context, token, context.classify(request, response))
        except BaseException:
            await close(response)
            raise
        return response

    async def _learn(self, request: Request, context: Context, token: int, outcome: Outcome) -> None:
        assert self.tokens is not None
        key = str(request.url.origin)
        learned = await self.tokens.state.apply(key, Answered(token, _throttled(outcome)))
        self.tokens.lines.nudge(key)
        if learned.reason == RATE_CUT and learned.value is not None:
            context.note(NAME, RATE_CUT)
            context.tell(RateCut, request, key=key, rate=learned.value)

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """What `RetryConfig` says, and whether the request would have to wait for its turn."""
        assert self.tokens is not None, "bind() first: a pipeline does"
        foreseen = await super().forecast(request, context)
        turn = await self.tokens.forecast(str(request.url.origin), context)
        if turn.verdict == "pass":
            return foreseen
        text = f"{turn.text}; {foreseen.text}"
        return replace(foreseen, verdict=turn.verdict, reason=turn.reason, wait=turn.wait, text=text)


def _throttled(outcome: Outcome) -> bool:
    """Whether the server wants fewer requests, not only this one later."""
    if outcome.kind is Kind.FAILED:
        return outcome.retry_after is not None
    return outcome.kind is Kind.THROTTLED and outcome.reason != IN_PROGRESS
