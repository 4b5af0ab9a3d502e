"""The total deadline: one moment at which a call is over, with its waits, retries, redirects and body.

A timeout limits one phase; a server that sends one byte now and then never meets it. The deadline is a moment, set once
per call, and everybody below obeys it: waits are not begun that would outlast it, engines cut every phase to the time
left, and what waits all the same is cancelled (in a thread: its wait ends) when it comes.

The error says what was going on: how many attempts there were and how the last one ended, and it is chained from that
attempt's own error, so that a deadline never hides the 503 behind it.

`DeadlineHeader` tells the server how much time is left, so that it need not work on what nobody waits for any more.

`ambient_deadline` is set by the `deadline` decorator round any function: all calls inside obey it too, whichever comes
first. It travels with the context, so tasks and threads that copy their context inherit it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, Literal, NamedTuple, NoReturn

from rest_api_client.checks import check_above_zero
from rest_api_client.clock import Clock
from rest_api_client.context import Context
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.http.headers import Headers
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.reasons import NO_TIME, WOULD_NOT_FINISH
from rest_api_client.typing import UNSET, Proceed


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
        moment = self.moment(context)
        if call.deadline is not None:
            moment = earlier(call.deadline, moment)
        if moment is None:
            return await proceed(request, context)
        call.deadline = moment
        own: TimeoutError | None = None
        try:
            with context.runtime.fail_after(moment):
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

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """How much time the call has, or has left where it has begun."""
        moment = earlier(context.call.deadline, self.moment(context))
        if moment is None:
            return Forecast(policy="Deadline", text="the call has no deadline")
        left = moment - context.runtime.now()
        if left <= 0:
            return Forecast(policy="Deadline", verdict="refuse", reason=NO_TIME, text="the deadline has passed")
        return Forecast(policy="Deadline", text=f"the whole call has {left:.3g} s", facts={"left": left})

    def moment(self, context: Context) -> float | None:
        """When the call is to be over, by its own wish or by what surrounds it; None for no limit."""
        options = context.options
        seconds = options.deadline
        if seconds is UNSET:
            seconds = None if options.stream else self.seconds
        else:
            check_above_zero("", off="no deadline", deadline=seconds)
        own = None if seconds is None else context.call.started + seconds
        return own if ambient_deadline.get() is None else earlier(own, ambient_moment(context.runtime.clock))


def _raise_exceeded(request: Request, context: Context, moment: float, error: TimeoutError) -> NoReturn:
    call = context.call
    how = "would be" if context.runtime.now() < moment else "was"
    raised = DeadlineExceeded(
        f"{request.label}: the deadline of {moment - call.started:.3g} s {how} exceeded {_story(context)}",
        request=request,
    )
    raised.attempts = tuple(call.attempts)
    raise raised from (call.cause() or error)


def _story(context: Context) -> str:
    """How far the call had got."""
    reasons = [_reason(attempt) for attempt in context.call.attempts]
    if not reasons:
        return "before anything was sent"
    shown = ["..."] * (len(reasons) > _SHOWN) + reasons[-_SHOWN:]
    return f"after {len(reasons)} attempt{'s' * (len(reasons) > 1)} ({', '.join(shown)})"


def _reason(attempt: Attempt) -> str:
    not_started = any(note.reason == WOULD_NOT_FINISH for note in attempt.notes)
    return WOULD_NOT_FINISH if not_started else attempt.reason


_SHOWN = 4


LONGEST_TOLD: Final = 99_999_999.0
"""Seconds, three years: the most that gRPC's eight digits hold, and no less than for ever."""


def _grpc(left: float) -> str:
    milliseconds = int(left * 1000)
    return f"{milliseconds}m" if milliseconds < 10**8 else f"{int(left)}S"


_UNITS: Final[Mapping[str, Callable[[float], str]]] = {
    "seconds": lambda left: f"{int(left * 1000) / 1000:.3f}",
    "milliseconds": lambda left: f"{int(left * 1000)}",
    "grpc": _grpc,
}


@dataclass(frozen=True, kw_only=True)
class DeadlineHeader:
    """Sends the time left along with each attempt: as the attempt begins, after any wait for limiter and bulkhead.

    There is no standard for it: ask which field and unit the server reads, for example `x-envoy-expected-rq-timeout-ms`
    in milliseconds, or `grpc-timeout` as gRPC writes it. The time is rounded down. It is a length, not a moment, so
    that no two clocks need agree; the way to the server is not taken off. A call without a deadline sends nothing, and
    neither does a request to a foreign origin: a redirect's target need not know.

    Attributes:
        name: the field.
        unit: "seconds" ("1.250"), "milliseconds" ("1250") or "grpc" ("1250m").
    """

    name: str
    unit: Literal["seconds", "milliseconds", "grpc"] = "seconds"
    stage = Stage.ATTEMPT_MIDDLEWARE

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise ConfigurationError(f"DeadlineHeader(unit={self.unit!r}): give one of {', '.join(_UNITS)}")
        Headers({self.name: "0"})  # refuses what is no field name

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Hand on, with the time left in the header."""
        left = context.remaining
        if left is not None and request.at_home:
            request = request.with_headers({self.name: _UNITS[self.unit](min(left, LONGEST_TOLD))})
        return await proceed(request, context)
