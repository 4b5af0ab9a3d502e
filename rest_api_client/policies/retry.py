"""Retry: which failed attempts are made again, when, and for how long.

An attempt is made again only if nothing speaks against it. The vetoes, in the order they are asked:

    not retryable            the outcome is neither "failed" nor "throttled"
    deadline                 the call's time is up
    attempts exhausted       it was the last one
    not safe to resend       the server may have acted on a request that is not idempotent and has no key, or the body
                             cannot be sent twice; `retry_unsafe` lifts the first, nothing the second
    strategy                 the strategy says no; it may narrow what is retried, never widen it
    retry-after too long     the server asks for more than `max_retry_after`
    deadline                 the wait would not leave any time
    budget                   retries already add too much load; asked last, so that only real retries are paid for

What stands at the end is always the real result: the last answer is returned, the last error raised, never a
complaint about the retries. A refusal of this client between two attempts (limit, breaker) is chained from that result.

How long to wait is the strategy's to say (`backoff`). A Retry-After is a lower bound: it may be exceeded by a little
chance, so that not everybody comes back at once, and is never undercut. A failed answer is closed before the wait.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from typing import Final

from rest_api_client.attempts import drain
from rest_api_client.checks import check_at_least, check_flag, check_whole
from rest_api_client.context import Context
from rest_api_client.events import RetryDecided
from rest_api_client.exceptions import APIError, ConfigurationError, DeadlineExceeded, HookError, RefusedError
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import BY_STRATEGY, ExponentialBackoff, Retry, RetryContext, RetryStrategy, Stop
from rest_api_client.policies.budget import DEPOSIT, WITHDRAW, BudgetCommand, RetryBudget
from rest_api_client.policies.state import State
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed, Unset

RETURN: Final = "return"
RETRY: Final = "retry"
NOT_RETRYABLE: Final = "not retryable"
EXHAUSTED: Final = "attempts exhausted"
NOT_SAFE: Final = "not safe to resend"
TOO_LONG: Final = "retry-after too long"
NO_TIME: Final = "deadline"
NO_BUDGET: Final = "budget"

DECISIONS: Final = (RETURN, RETRY, NOT_RETRYABLE, NO_TIME, EXHAUSTED, NOT_SAFE, BY_STRATEGY, TOO_LONG, NO_BUDGET)
"""Every word that `Attempt.decision` and `RetryDecided.decision` can be, a strategy's own reasons apart."""

SPREAD: Final = 0.1
"""A Retry-After is exceeded by up to this share of itself."""


DEFAULT_ATTEMPTS: Final = 3
LONGEST_DELAY: Final = 1_000_000.0
"""Seconds, eleven days: what a strategy asks beyond that is a mistake, and no system waits so long."""


@dataclass(frozen=True, kw_only=True)
class RetryConfig:
    """The retry policy of a client.

    Attributes:
        max_attempts: attempts in all, the first included; 3 unless given. `max_retries=n` says n + 1.
        strategy: when to try again.
        retry_unsafe: whether a request may be sent again although the server may have acted on it.
        respect_retry_after: whether a Retry-After is waited for; without it the back-off alone counts.
        max_retry_after: seconds; what asks for more is not waited for, its answer or error stands at once.
        budget: how much load retries may add, per origin; None is no limit.
        state: where the budget is kept; give one to share it between clients of one clock.
    """

    max_attempts: int | None = None
    max_retries: InitVar[int | None] = None
    strategy: RetryStrategy = field(default_factory=ExponentialBackoff)
    retry_unsafe: bool = False
    respect_retry_after: bool = True
    max_retry_after: float = 60.0
    budget: RetryBudget | None = field(default_factory=RetryBudget)
    state: State[BudgetCommand] | None = field(default=None, compare=False, repr=False)
    stage = Stage.RETRY

    def __post_init__(self, max_retries: int | None) -> None:
        check_whole("RetryConfig", 1, off=f"{DEFAULT_ATTEMPTS}", max_attempts=self.max_attempts)
        check_whole("RetryConfig", 0, off="what max_attempts says", max_retries=max_retries)
        if self.max_attempts is not None and max_retries is not None and self.max_attempts != max_retries + 1:
            raise ConfigurationError(
                f"RetryConfig(max_attempts={self.max_attempts}, max_retries={max_retries}) contradict each other: "
                "max_attempts = max_retries + 1; give one of them"
            )
        attempts = DEFAULT_ATTEMPTS if self.max_attempts is None else self.max_attempts
        object.__setattr__(self, "max_attempts", attempts if max_retries is None else max_retries + 1)
        if not isinstance(self.strategy, RetryStrategy):
            raise ConfigurationError(
                f"RetryConfig(strategy={self.strategy!r}): give a RetryStrategy, an object, not a class"
            )
        check_at_least("RetryConfig", 0, max_retry_after=self.max_retry_after)
        check_flag("RetryConfig", retry_unsafe=self.retry_unsafe, respect_retry_after=self.respect_retry_after)

    def bind(self, runtime: Runtime) -> RetryConfig:
        """This policy with a budget of its own, unless it was given one or has none."""
        if self.budget is None or self.state is not None:
            return self
        return replace(self, state=self.budget.memory(runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request until its result stands."""
        if self.state is not None:
            await self.state.apply(str(request.url.origin), DEPOSIT)
        attempt, previous_delay = 1, 0.0
        while True:
            result: Response | Exception
            try:
                result = await proceed(request, context)
            except Exception as error:
                result = error
            try:
                step = await self._decide(request, context, result, attempt, previous_delay)
                _note(request, context, step, result, attempt)
            except BaseException:
                await _discard(result, context)
                raise
            if isinstance(step, Stop):
                return _stand(result, context)
            await _discard(result, context)
            del result
            await context.sleep(step.delay)
            attempt, previous_delay = attempt + 1, step.delay

    async def _decide(
        self, request: Request, context: Context, result: Response | Exception, attempt: int, previous_delay: float
    ) -> Retry | Stop:
        outcome = context.classify(request, result)
        veto = self._veto(request, context, result, outcome, attempt)
        if veto is not None:
            return Stop(veto)
        step = self._ask_strategy(request, context, result, outcome, attempt, previous_delay)
        if isinstance(step, Stop):
            return step
        return await self._fit(request, context, outcome, step)

    def _veto(
        self, request: Request, context: Context, result: Response | Exception, outcome: Outcome, attempt: int
    ) -> str | None:
        if outcome.kind is Kind.OK:
            return RETURN
        if outcome.kind is Kind.REJECTED:
            return NOT_RETRYABLE
        if isinstance(result, DeadlineExceeded):
            return NO_TIME
        if attempt >= self._attempts(context):
            return EXHAUSTED
        sent = (result.request if isinstance(result, Response | APIError) else None) or request
        return None if self._safe(sent, context, outcome) else NOT_SAFE

    def _attempts(self, context: Context) -> int:
        asked = context.options.max_retries
        assert self.max_attempts is not None
        return self.max_attempts if isinstance(asked, Unset) else asked + 1

    def _safe(self, request: Request, context: Context, outcome: Outcome) -> bool:
        asked = context.options.retry_unsafe
        unsafe = self.retry_unsafe if isinstance(asked, Unset) else asked
        repeatable = request.idempotent or request.idempotency_key is not None or outcome.processed == "no"
        return request.body.replayable and (repeatable or unsafe)

    def _ask_strategy(
        self,
        request: Request,
        context: Context,
        result: Response | Exception,
        outcome: Outcome,
        attempt: int,
        previous_delay: float,
    ) -> Retry | Stop:
        step = self.strategy.decide(
            RetryContext(
                request=request,
                response=result if isinstance(result, Response) else None,
                error=result if isinstance(result, Exception) else None,
                outcome=outcome,
                attempt=attempt,
                previous_delay=previous_delay,
                elapsed=context.runtime.now() - context.call.started,
                history=tuple(context.call.attempts),
                random=context.random,
            )
        )
        name = type(self.strategy).__name__
        if not isinstance(step, Retry | Stop):
            raise HookError(f"{name} decided {type(step).__name__}: give Retry(delay) or Stop()", request=request)
        if isinstance(step, Retry) and not (isinstance(step.delay, int | float) and 0 <= step.delay <= LONGEST_DELAY):
            raise HookError(
                f"{name} gave a delay of {step.delay!r}: seconds, 0 to {LONGEST_DELAY:.0f}", request=request
            )
        return step

    async def _fit(self, request: Request, context: Context, outcome: Outcome, step: Retry) -> Retry | Stop:
        """Hold the delay against Retry-After, the deadline and, last, the budget."""
        asked = outcome.retry_after if self.respect_retry_after else None
        if asked is not None:
            if asked > self.max_retry_after:
                return Stop(TOO_LONG)
            step = Retry(max(step.delay, asked * (1 + SPREAD * context.random.random())))
        left = context.remaining
        if left is not None and step.delay >= left:
            return Stop(NO_TIME)
        # A throttled request that was told when to come back adds no load that the server did not ask for.
        if self.state is None or (outcome.kind is Kind.THROTTLED and asked is not None):
            return step
        paid = await self.state.apply(str(request.url.origin), WITHDRAW)
        return step if paid.verdict == "allow" else Stop(NO_BUDGET)


async def _discard(result: Response | Exception, context: Context) -> None:
    if isinstance(result, Response):
        await drain(result, context)


def _note(request: Request, context: Context, step: Retry | Stop, result: Response | Exception, attempt: int) -> None:
    """Write the decision into the attempt's record, which says "return" already, and tell listeners."""
    decision, delay = (RETRY, step.delay) if isinstance(step, Retry) else (step.reason, None)
    if decision == RETURN:
        return
    records = context.call.attempts
    if 0 <= context.record < len(records):
        records[context.record] = replace(records[context.record], decision=decision, delay=delay)
    if context.emit is not None:
        reason = context.classify(request, result).reason
        context.tell(RetryDecided, request, attempt=attempt, decision=decision, delay=delay, reason=reason)


def _stand(result: Response | Exception, context: Context) -> Response:
    """Return or raise the result; a refusal of our own is raised from what was met before it."""
    if isinstance(result, Response):
        return result
    cause = context.call.cause() if isinstance(result, RefusedError) else None
    if cause is not None:
        raise result from cause
    raise result
