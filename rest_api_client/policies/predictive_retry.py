"""Predictive retry: a retry that will lose is not made, and not waited for.

A retry costs its caller the back-off and the attempt, and the server one more request in bad times. Much of what
decides over it is known beforehand. After the vetoes of `RetryConfig`, before the budget pays, this is asked, each for
the moment when the wait will be over:

    would not finish      an attempt of this route takes longer, in the median of those that were answered lately, than
                          the deadline will leave
    what a policy says    the breaker will still refuse it, or the limiter will let it through too late: the reason is
                          the one that the policy itself would give ("circuit open", "rate limit")
    unlikely to succeed   of the retries of this route in the last 30 to 60 s, fewer than `min_success` succeeded; one
                          in `1 / probe` is made all the same, so that better times are noticed
    budget low            less than a quarter of the budget is left, and it is kept for routes where at least every
                          second retry succeeds

The result stands at once then; the reason is its record's decision, and is told as an event, like every other veto.
What is not known speaks against nothing: a route begins with the benefit of the doubt.

First attempts are not judged here; `AttemptTimes` keeps back those that cannot finish.
"""

from __future__ import annotations

from dataclasses import field, replace
from math import inf
from typing import Final

from rest_api_client.checks import check_share, check_whole
from rest_api_client.context import Context
from rest_api_client.events import RetryProbed
from rest_api_client.exceptions import RefusedError
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request
from rest_api_client.outcome import Kind
from rest_api_client.policies.backoff import RetryContext
from rest_api_client.policies.budget import LOOK
from rest_api_client.policies.course import Course
from rest_api_client.policies.keys import key_of
from rest_api_client.policies.latency import ROUTES, LatencyCommand, Quantile, Sample, latencies
from rest_api_client.policies.odds import Bet, Odds, OddsCommand, Retried, RetryOdds
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.state import MemoryState, State
from rest_api_client.reasons import CIRCUIT_ISOLATED, LOW_BUDGET, OK, PROBE, UNLIKELY, WOULD_NOT_FINISH
from rest_api_client.runtime import Runtime

NAME: Final = "PredictiveRetry"
LOW: Final = 0.25
"""The share of the budget that is kept for likely retries."""
LIKELY: Final = 0.5
"""The share of retries that succeeded, from which on one is likely."""

_ANSWERED: Final = frozenset({Kind.OK, Kind.REJECTED})
_LASTING: Final = frozenset({WOULD_NOT_FINISH, CIRCUIT_ISOLATED})
"""Reasons of refusals that last, although they name no time. Others that name none may be over by then."""


@dataclass(frozen=True, kw_only=True)
class PredictiveRetry(RetryConfig):
    """`RetryConfig` that does not start what learned latency, odds, breaker, limiter or budget say will lose.

    Attributes:
        min_success: the share of this route's retries that must have succeeded lately, 0 to 1; 0 asks for none.
        probe: the share of retries with poorer odds that are made all the same, above 0.
        min_samples: answers of a route from which on its median latency counts, and half as many retries from which
            on its odds do, in the last 30 to 60 s.
        times: where latencies are learned; give one to share them, as with `AttemptTimes` and `Hedging`.
        odds: where the success of retries is learned; give one to share it.
    """

    min_success: float = 0.1
    probe: float = 0.1
    min_samples: int = 20
    times: State[LatencyCommand] | None = field(default=None, compare=False, repr=False)
    odds: State[OddsCommand] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self, max_retries: int | None) -> None:
        super().__post_init__(max_retries)
        check_share(NAME, zero=True, min_success=self.min_success)
        check_share(NAME, zero=False, probe=self.probe)
        check_whole(NAME, 2, min_samples=self.min_samples)
        object.__setattr__(self, "_listens", True)

    def bind(self, runtime: Runtime) -> RetryConfig:
        """This policy with a budget and knowledge of its own, unless it was given them."""
        bound = super().bind(runtime)
        assert isinstance(bound, PredictiveRetry)
        odds = bound.odds or MemoryState(RetryOdds, runtime.now, ROUTES)
        return replace(bound, times=bound.times or latencies(runtime.now), odds=odds)

    async def _hear(self, course: Course, tried: RetryContext) -> None:
        """Learn how long the attempt took, and whether a retry was worth it; and tell the budget."""
        await super()._hear(course, tried)
        assert self.times is not None, "bind() first: a pipeline does"
        assert self.odds is not None
        route, kind = key_of("route", course.request), tried.outcome.kind
        record = course.context.record
        answered = tried.response is not None and kind in _ANSWERED
        if answered and 0 <= record < len(tried.history):
            attempt = tried.history[record]
            own = sum(note.wait for note in attempt.notes)
            await self.times.apply(route, Sample(attempt.elapsed - own))
        if tried.attempt > 1 and not isinstance(tried.error, RefusedError):
            await self.odds.apply(route, Retried(answered))

    async def _doubt(self, course: Course, tried: RetryContext, delay: float) -> str | None:
        """Why a retry after this delay would lose, or None."""
        takes = await self._takes(course.request) or 0.0
        left = inf if course.context.remaining is None else course.context.remaining
        if delay + takes > left:
            return WOULD_NOT_FINISH
        for forecast in await course.context.forecast(course.request):
            late = forecast.verdict == "wait" and forecast.wait + takes > left
            if late or (forecast.verdict == "refuse" and (forecast.wait > delay or forecast.reason in _LASTING)):
                return forecast.reason
        return await self._poor_odds(course)

    async def _takes(self, request: Request) -> float | None:
        assert self.times is not None, "bind() first: a pipeline does"
        return (await self.times.apply(key_of("route", request), Quantile(0.5, self.min_samples))).value

    async def _poor_odds(self, course: Course) -> str | None:
        assert self.odds is not None
        route, retries = key_of("route", course.request), self.min_samples // 2
        if await self._low(course.origin):
            bet, reason = Bet(max(self.min_success, LIKELY), retries, self.probe), LOW_BUDGET
        else:
            bet, reason = Bet(self.min_success, retries, self.probe), UNLIKELY
        decision = await self.odds.apply(route, bet)
        if decision.reason == PROBE:
            course.context.note(NAME, PROBE)
            course.context.tell(RetryProbed, course.request, attempt=course.attempt, reason=PROBE)
        return reason if decision.verdict == "refuse" else None

    async def _low(self, origin: str) -> bool:
        if self.budget is None or self.state is None:
            return False
        left = (await self.state.apply(origin, LOOK)).value
        return left is not None and left < LOW

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """What `RetryConfig` says, with the learned latency and odds of the route."""
        foreseen, takes = await super().forecast(request, context), await self._takes(request)
        assert self.odds is not None
        chance = (await self.odds.apply(key_of("route", request), Odds(self.min_samples // 2))).value
        facts = {**foreseen.facts, "chance": chance}
        if foreseen.reason == OK and chance is not None and chance < self.min_success:
            text = f"the request is rarely sent again: {chance:.0%} of this route's retries succeeded lately"
            return replace(foreseen, reason=UNLIKELY, text=text, takes=takes, facts=facts)
        return replace(foreseen, takes=takes, facts=facts)
