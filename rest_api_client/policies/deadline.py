"""The total deadline: one moment at which a call is over, with its waits, retries, redirects and body.

A timeout limits one phase; a server that sends one byte now and then never meets it. The deadline is a moment, set once
per call, and everybody below obeys it: waits are not begun that would outlast it, engines cut every phase to the time
left, and what waits all the same is cancelled (in a thread: its wait ends) when it comes.

The error says what was going on: how many attempts there were and how the last one ended, and it is chained from that
attempt's own error, so that a deadline never hides the 503 behind it.

`ambient_deadline` is set by the `deadline` decorator round any function: all calls inside obey it too, whichever comes
first. It travels with the context, so tasks and threads that copy their context inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from rest_api_client.checks import check_above_zero
from rest_api_client.clock import Clock
from rest_api_client.context import Context
from rest_api_client.exceptions import DeadlineExceeded
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.typing import Proceed, Unset


class AmbientDeadline(NamedTuple):
    """A moment, and the clock that it is a moment of."""

    clock: Clock
    at: float


ambient_deadline: ContextVar[AmbientDeadline | None] = ContextVar("ambient_deadline", default=None)
"""What the functions round a call allow it; set by `deadline`, obeyed by every client."""


def ambient_moment(clock: Clock) -> float | None:
    """The ambient deadline as a moment of this clock, or None. Another clock's is converted by the time left on it."""
    ambient = ambient_deadline.get()
    if ambient is None or ambient.clock is clock:
        return None if ambient is None else ambient.at
    return clock.monotonic() + ambient.at - ambient.clock.monotonic()


def earlier(one: float | None, other: float | None) -> float | None:
    """The earlier of two moments; None is no limit."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """Ends a call after so many seconds.

    Attributes:
        seconds: for the whole call; None leaves only what the call itself or its surroundings ask for. A streaming call
            has none unless it is given one itself.
    """

    seconds: float | None = 60.0
    stage = Stage.DEADLINE

    def __post_init__(self) -> None:
        check_above_zero("Deadline", off="no deadline", seconds=self.seconds)

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request, and be over in time.

        Raises:
            DeadlineExceeded: the time was up, or was up before anything was sent.
        """
        call = context.call
        call.deadline = moment = earlier(call.deadline, self._moment(context))
        if moment is None:
            return await proceed(request, context)
        own: TimeoutError | None = None
        try:
            async with context.runtime.fail_after(moment):
                try:
                    return await proceed(request, context)
                except TimeoutError as error:
                    own = error
                    raise
        except TimeoutError as error:
            if error is own and not isinstance(error, DeadlineExceeded):
                raise  # a phase's timeout, or one of the user's: not this deadline
            _raise_exceeded(request, context, moment, error)
        finally:
            call.last = None  # breaks the cycle error > traceback > call > error

    def _moment(self, context: Context) -> float | None:
        asked = context.options.deadline
        if isinstance(asked, Unset):
            seconds = None if context.options.stream else self.seconds
        else:
            check_above_zero("", off="no deadline", deadline=asked)
            seconds = asked
        own = None if seconds is None else context.call.started + seconds
        return earlier(own, ambient_moment(context.runtime.clock))


def _raise_exceeded(request: Request, context: Context, moment: float, error: TimeoutError) -> NoReturn:
    call = context.call
    raised = DeadlineExceeded(
        f"{request.label}: the deadline of {moment - call.started:.3g} s was exceeded {_story(context)}",
        request=request,
    )
    raised.attempts = tuple(call.attempts)
    raise raised from (call.cause() or error)


def _story(context: Context) -> str:
    """How far the call had got."""
    reasons = [attempt.reason for attempt in context.call.attempts]
    if not reasons:
        return "before anything was sent"
    shown = ["..."] * (len(reasons) > _SHOWN) + reasons[-_SHOWN:]
    return f"after {len(reasons)} attempt{'s' * (len(reasons) > 1)} ({', '.join(shown)})"


_SHOWN = 4
