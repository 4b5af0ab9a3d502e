"""One call's way through its attempts, and the mark that its second and later ones leave on what they call.

Retries inside retries multiply: three attempts of a function, each making three attempts of its own, are nine requests
where one was asked for. So while a second or later attempt is under way a context variable says so, to whatever retries
inside it, in tasks and threads too that inherit their context. A task that outlives the attempt it was started in is
free again.
"""

from __future__ import annotations

from contextvars import ContextVar

from rest_api_client.context import Context
from rest_api_client.exceptions import APIError
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Outcome
from rest_api_client.policies.backoff import RetryContext
from rest_api_client.policies.budget import Withdraw
from rest_api_client.typing import Proceed


class _Repeat:
    """A second or later attempt. It outlives itself in the context of tasks that were started meanwhile."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


_repeat: ContextVar[_Repeat | None] = ContextVar("repeat", default=None)


def inside_a_repeat() -> bool:
    """Whether the caller is part of somebody's second or later attempt, and need not retry by itself."""
    repeat = _repeat.get()
    return repeat is not None and not repeat.over


class Course:
    """One call's way through its attempts, from the first that needs a decision on.

    Attributes:
        request: what the call sends.
        context: the call's path through the chain.
        attempt: counts from 1.
        delay: seconds waited before this attempt.
        paid: what the budget was asked for before this attempt, if it was.
    """

    __slots__ = ("attempt", "context", "delay", "paid", "request")

    def __init__(self, request: Request, context: Context) -> None:
        self.request = request
        self.context = context
        self.attempt = 1
        self.delay = 0.0
        self.paid: Withdraw | None = None

    @property
    def origin(self) -> str:
        """The name of the server's state."""
        return str(self.request.url.origin)

    def tried(self, result: Response | Exception, outcome: Outcome) -> RetryContext:
        """What a strategy may know of the attempt that ended so."""
        context = self.context
        return RetryContext(
            request=(result.request if isinstance(result, Response | APIError) else None) or self.request,
            response=result if isinstance(result, Response) else None,
            error=result if isinstance(result, Exception) else None,
            outcome=outcome,
            attempt=self.attempt,
            previous_delay=self.delay,
            elapsed=context.runtime.now() - context.call.started,
            history=tuple(context.call.attempts),
            random=context.random,
        )

    async def wait(self, delay: float) -> None:
        """Wait for the next attempt."""
        await self.context.sleep(delay)
        self.attempt, self.delay = self.attempt + 1, delay

    async def again(self, proceed: Proceed) -> Response:
        """Make the next attempt; what retries inside it knows."""
        repeat = _Repeat()
        token = _repeat.set(repeat)
        try:
            return await proceed(self.request, self.context)
        finally:
            repeat.over = True
            _repeat.reset(token)
