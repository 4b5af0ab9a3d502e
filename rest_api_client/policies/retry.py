"""Retry: which failed attempts are made again, when, and for how long.

An attempt is made again only if nothing speaks against it. The vetoes, in the order they are asked:

    not retryable            the outcome is neither "failed" nor "throttled"
    server says no           the answer says that another try is of no use
    deadline                 the call's time is up
    attempts exhausted       it was the last one
    not safe to resend       the server may have acted on a request that is not idempotent and has no key, or the body
                             cannot be sent twice; `retry_unsafe` lifts the first, nothing the second
    nested retry             the call is itself part of another one's second or later attempt
    strategy                 the strategy says no; it may narrow what is retried, never widen it
    retry-after too long     the server asks for more than `max_retry_after`
    deadline                 the wait would not leave any time
    budget                   retries already add too much load; asked last, so that only real retries are paid for

What stands at the end is always the real result: the last answer is returned, the last error raised, never a
complaint about the retries. A refusal of this client between two attempts (limit, breaker) is chained from that result.

How long to wait is the strategy's to say (`backoff`). A Retry-After is a lower bound: it may be exceeded by a little
chance, so that not everybody comes back at once, and is never undercut. A failed answer is closed before the wait.

Retries inside retries multiply. While a second or later attempt is under way, whatever retries inside it (a client in a
function that is retried itself) makes one attempt only: three and one and one instead of nine. See `course`.
"""

from __future__ import annotations

from dataclasses import InitVar, field, replace
from typing import Final

from rest_api_client.attempts import drain
from rest_api_client.checks import check_at_least, check_flag, check_whole
from rest_api_client.context import Context
from rest_api_client.events import RetryDecided
from rest_api_client.exceptions import (
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    HookError,
    RefusedError,
)
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import ExponentialBackoff, Retry, RetryContext, RetryStrategy, Stop
from rest_api_client.policies.budget import (
    DEPOSIT,
    FAILED,
    LOOK,
    SUCCEEDED,
    Budget,
    BudgetCommand,
    BudgetState,
    Ended,
    RetryBudget,
    Withdraw,
)
from rest_api_client.policies.course import Course, inside_a_repeat
from rest_api_client.policies.state import State
from rest_api_client.reasons import (
    BY_STRATEGY,
    EXHAUSTED,
    NESTED,
    NO_BUDGET,
    NO_TIME,
    NOT_RETRYABLE,
    NOT_SAFE,
    OK,
    RETRY,
    RETURN,
    SERVER_SAYS_NO,
    TOO_LONG,
)
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed, Unset

DECISIONS: Final = (
    RETURN,
    RETRY,
    NOT_RETRYABLE,
    SERVER_SAYS_NO,
    NO_TIME,
    EXHAUSTED,
    NOT_SAFE,
    NESTED,
    BY_STRATEGY,
    TOO_LONG,
    NO_BUDGET,
)
"""Every word that `Attempt.decision` and `RetryDecided.decision` can be, a strategy's own reasons and those of
`PredictiveRetry` apart."""

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
        retry_nested: whether a call that is part of another one's second or later attempt may retry by itself.
        respect_retry_after: whether a Retry-After is waited for; without it the back-off alone counts.
        max_retry_after: seconds; what asks for more is not waited for, its answer or error stands at once.
        budget: how much load retries may add, per origin; None is no limit.
        state: where the budget is kept (`budget.memory(now)`); give one to share it between clients of one clock.
    """

    max_attempts: int | None = None
    max_retries: InitVar[int | None] = None
    strategy: RetryStrategy = field(default_factory=ExponentialBackoff)
    retry_unsafe: bool = False
    retry_nested: bool = False
    respect_retry_after: bool = True
    max_retry_after: float = 60.0
    budget: Budget | None = field(default_factory=RetryBudget)
    state: State[BudgetCommand] | None = field(default=None, compare=False, repr=False)
    _listens: bool = field(default=False, init=False, compare=False, repr=False)
    _ends: State[BudgetCommand] | None = field(default=None, init=False, compare=False, repr=False)
    _deposits: State[BudgetCommand] | None = field(default=None, init=False, compare=False, repr=False)
    _short: BudgetState | None = field(default=None, init=False, compare=False, repr=False)
    stage = Stage.RETRY

    def __post_init__(self, max_retries: int | None) -> None:
        name = type(self).__name__
        check_whole(name, 1, off=f"{DEFAULT_ATTEMPTS}", max_attempts=self.max_attempts)
        check_whole(name, 0, off="what max_attempts says", max_retries=max_retries)
        if self.max_attempts is not None and max_retries is not None and self.max_attempts != max_retries + 1:
            raise ConfigurationError(
                f"{name}(max_attempts={self.max_attempts}, max_retries={max_retries}) contradict each other: "
                "max_attempts = max_retries + 1; give one of them"
            )
        attempts = DEFAULT_ATTEMPTS if self.max_attempts is None else self.max_attempts
        object.__setattr__(self, "max_attempts", attempts if max_retries is None else max_retries + 1)
        if not isinstance(self.strategy, RetryStrategy):
            raise ConfigurationError(
                f"{name}(strategy={self.strategy!r}): give a RetryStrategy, an object, not a class"
            )
        if self.budget is not None and (isinstance(self.budget, type) or not isinstance(self.budget, Budget)):
            raise ConfigurationError(f"{name}(budget={self.budget!r}): give RetryBudget(), another budget, or None")
        check_at_least(name, 0, max_retry_after=self.max_retry_after)
        flags = ("retry_unsafe", "retry_nested", "respect_retry_after")
        check_flag(name, **{flag: getattr(self, flag) for flag in flags})
        hears = None if self.budget is None else self.budget.hears
        object.__setattr__(self, "_listens", hears == "ends")
        object.__setattr__(self, "_ends", self.state if hears == "ends" else None)
        object.__setattr__(self, "_deposits", self.state if hears == "calls" else None)
        object.__setattr__(self, "_short", self._deposits if isinstance(self._deposits, BudgetState) else None)

    def bind(self, runtime: Runtime) -> RetryConfig:
        """This policy with a budget of its own, unless it was given one or has none."""
        if self.budget is None or self.state is not None:
            return self
        return replace(self, state=self.budget.memory(runtime.now))

    # ------------------------------------------------------------------ the loop

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request until its result stands."""
        if self._deposits is not None:
            origin, short = request.url.origin_text, self._short
            if short is None or not short.deposit(origin):
                await self._deposits.apply(origin, DEPOSIT)
        course: Course | None = None
        while True:
            result: Response | Exception
            try:
                result = await (proceed(request, context) if course is None else course.again(proceed))
            except Exception as error:
                result = error
            try:
                outcome = context.classify(request, result)
                if outcome.kind is Kind.OK and not self._listens:
                    return result if isinstance(result, Response) else _stand(result, context)
                course = course or Course(request, context)
                decided = await self._judge(course, course.tried(result, outcome))
                _note(course, decided, outcome)
            except BaseException:
                await _discard(result, context)
                raise
            if isinstance(decided, Stop):
                return _stand(result, context)
            await _discard(result, context)
            del result
            await course.wait(decided.delay)

    async def _judge(self, course: Course, tried: RetryContext) -> Retry | Stop:
        if self._listens:
            await self._hear(course, tried)
        veto = self._veto(course, tried)
        if veto is not None:
            return Stop(veto)
        step = self._ask_strategy(tried)
        if isinstance(step, Retry):
            step = self._fit(course, tried, step)
        if isinstance(step, Stop):
            return step
        doubt = await self._doubt(course, tried, step.delay)
        if doubt is not None:
            return Stop(doubt)
        return step if await self._pay(course, tried) else Stop(NO_BUDGET)

    async def _hear(self, course: Course, tried: RetryContext) -> None:
        """Tell the budget how an attempt ended: well, or in a way that may be retried."""
        kind = tried.outcome.kind
        if self._ends is None or kind is Kind.REJECTED or _never_taken_up(tried):
            return
        succeeded = SUCCEEDED if course.paid is None else Ended(True, course.paid)
        await self._ends.apply(course.origin, succeeded if kind is Kind.OK else FAILED)

    async def _doubt(self, course: Course, tried: RetryContext, delay: float) -> str | None:
        """What was learned and speaks against a retry after this delay: nothing here; see `PredictiveRetry`."""
        return None

    # ------------------------------------------------------------------ the vetoes

    def _veto(self, course: Course, tried: RetryContext) -> str | None:
        kind = tried.outcome.kind
        if kind is Kind.OK:
            return RETURN
        if kind is Kind.REJECTED:
            return NOT_RETRYABLE
        if tried.outcome.final:
            return SERVER_SAYS_NO
        if isinstance(tried.error, DeadlineExceeded):
            return NO_TIME
        if tried.attempt >= self._attempts(course.context):
            return EXHAUSTED
        if self._unsafe(tried.request, course.context, tried.outcome) is not None:
            return NOT_SAFE
        return NESTED if not self.retry_nested and inside_a_repeat() else None

    def _attempts(self, context: Context) -> int:
        asked = context.options.max_retries
        assert self.max_attempts is not None
        return self.max_attempts if isinstance(asked, Unset) else asked + 1

    def _unsafe(self, request: Request, context: Context, outcome: Outcome | None = None) -> str | None:
        """Why a request must not be sent again, or None; without an outcome, whatever may come."""
        if not request.body.replayable:
            return "its body cannot be sent twice"
        asked = context.options.retry_unsafe
        unsafe = self.retry_unsafe if isinstance(asked, Unset) else asked
        repeatable = request.idempotent or request.idempotency_key is not None
        if repeatable or unsafe or (outcome is not None and outcome.processed == "no"):
            return None
        return f"{request.method} is not idempotent, and it has no idempotency key"

    def _ask_strategy(self, tried: RetryContext) -> Retry | Stop:
        step = self.strategy.decide(tried)
        name = type(self.strategy).__name__
        if not isinstance(step, Retry | Stop):
            raise HookError(f"{name} decided {type(step).__name__}: give Retry(delay) or Stop()", request=tried.request)
        if isinstance(step, Retry) and not (isinstance(step.delay, int | float) and 0 <= step.delay <= LONGEST_DELAY):
            raise HookError(
                f"{name} gave a delay of {step.delay!r}: seconds, 0 to {LONGEST_DELAY:.0f}", request=tried.request
            )
        return step

    def _fit(self, course: Course, tried: RetryContext, step: Retry) -> Retry | Stop:
        """Hold the delay against Retry-After and the deadline."""
        asked = tried.outcome.retry_after if self.respect_retry_after else None
        if asked is not None:
            if asked > self.max_retry_after:
                return Stop(TOO_LONG)
            step = Retry(max(step.delay, asked * (1 + SPREAD * tried.random.random())))
        left = course.context.remaining
        return Stop(NO_TIME) if left is not None and step.delay >= left else step

    async def _pay(self, course: Course, tried: RetryContext) -> bool:
        if self.state is None or self.budget is None:
            return True
        throttled = tried.outcome.kind is Kind.THROTTLED
        asked = self.respect_retry_after and tried.outcome.retry_after is not None
        course.paid = Withdraw("transient" if not throttled else "asked" if asked else "throttled")
        return (await self.state.apply(course.origin, course.paid)).verdict == "allow"

    # ------------------------------------------------------------------ what would happen

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """How often the request would be sent again if it failed, and why not more; a retry never keeps it back."""
        attempts, unsafe = self._attempts(context), self._unsafe(request, context)
        look = None
        if self.budget is not None and self.state is not None:
            look = await self.state.apply(str(request.url.origin), LOOK)
        facts = {"max_attempts": attempts, "safe": unsafe is None, "budget": None if look is None else look.value}
        reason, text = OK, _times(attempts - 1)
        if attempts == 1:
            reason, text = EXHAUSTED, "the request is never sent again"
        elif unsafe is not None:
            reason, text = NOT_SAFE, f"the request is not sent again once the server may have acted on it: {unsafe}"
        elif not self.retry_nested and inside_a_repeat():
            reason, text = NESTED, "the request is not sent again: it is part of a retry already"
        elif look is not None and look.verdict == "refuse":
            reason, text = NO_BUDGET, "the request is not sent again: the budget of retries is spent"
        return Forecast(policy=type(self).__name__, reason=reason, text=text, facts=facts)


def _times(retries: int) -> str:
    return f"the request is sent again at most {'once' if retries == 1 else f'{retries} times'} if it fails"


def _never_taken_up(tried: RetryContext) -> bool:
    """Whether a connection stood and the server provably left the request alone: nobody's failure."""
    refused = tried.outcome.kind is Kind.FAILED and tried.outcome.processed == "no"
    return refused and not isinstance(tried.error, ConnectError | ConnectTimeout)


async def _discard(result: Response | Exception, context: Context) -> None:
    if isinstance(result, Response):
        await drain(result, context)


def _note(course: Course, step: Retry | Stop, outcome: Outcome) -> None:
    """Write the decision into the attempt's record, which says "return" already, and tell listeners.

    A retry that was refused before it had a record of its own leaves the one before as it is.
    """
    decision, delay = (RETRY, step.delay) if isinstance(step, Retry) else (step.reason, None)
    if decision == RETURN:
        return
    context = course.context
    records = context.call.attempts
    if 0 <= context.record < len(records) and records[context.record].decision == RETURN:
        records[context.record].decision, records[context.record].delay = decision, delay
    if context.emit is not None:
        told = {"attempt": course.attempt, "decision": decision, "delay": delay, "reason": outcome.reason}
        context.tell(RetryDecided, course.request, **told)


def _stand(result: Response | Exception, context: Context) -> Response:
    """Return or raise the result; a refusal of our own is raised from what was met before it."""
    if isinstance(result, Response):
        return result
    cause = context.call.cause() if isinstance(result, RefusedError) else None
    if cause is not None:
        raise result from cause
    raise result
