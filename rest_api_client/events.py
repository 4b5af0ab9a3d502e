"""What a call tells while it runs: typed events, for logs, metrics, timelines and tests.

Sinks are plain callables that take an event. They run in the caller's thread or task, never under a lock; what a sink
raises is reported through `sys.unraisablehook` and never touches the call. Nothing is built when nobody listens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events carry.

    Attributes:
        call_id: names the logical call; the same in each of its events and in `x-call-id`.
        at: monotonic seconds of the client's clock.
        method: the request's method.
        endpoint: the path as the caller wrote it, without values filled in: fit for a metric's label.
    """

    call_id: str
    at: float
    method: str
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """A call began."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """A call is over: answered, failed or cancelled."""

    url: str
    duration: float
    status_code: int | None
    error: str | None
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """One request is over; `attempt` is the record that `response.attempts` will hold."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecided(Event):
    """The retry policy chose: `decision` "retry" with `delay` seconds to wait, or the reason why not."""

    attempt: int
    decision: str
    delay: float | None
    reason: str


WORTH_TELLING = 0.001
"""Seconds: a shorter wait is a turn in a line, nothing that held a call back; no event tells of it, and no note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryProbed(Event):
    """A retry is made although such retries rarely succeed of late, so that better times are noticed."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(Event):
    """An attempt was not started: it takes about `takes` seconds on this route, and the deadline leaves `left`."""

    takes: float
    left: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(Event):
    """The client's own limiter made the call wait so many seconds, or refused it."""

    waited: float
    refused: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCut(Event):
    """The server of `key` asked for fewer requests: from now on at most `rate` a second are sent to it, for a start."""

    key: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Event):
    """The limit of concurrency of `key` made the attempt wait so many seconds, or refused it."""

    key: str
    waited: float
    refused: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyChanged(Event):
    """The learned limit of concurrency of `key` went from one number to another."""

    key: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanged(Event):
    """The circuit breaker of `key` went from one state to another."""

    key: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRefused(Event):
    """The circuit of `key` refused a call. Told at most once a second; `suppressed` others were refused since the last.

    `retry_after` is None where nobody knows: probes are on their way, or the circuit was isolated by hand.
    """

    key: str
    reason: str
    retry_after: float | None
    suppressed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBack(Event):
    """A call that failed (`reason`) was answered by its fallback: a "value", a "function" or a "replica".

    `error` is the class of the error by which the fallback failed too, so that the first failure stands, or None.
    """

    how: str
    reason: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesced(Event):
    """The call shares the request of another one that is under way: that of the call `leader`."""

    leader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected(Event):
    """An answer of this status sent the call on, to `url`."""

    status_code: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsWithheld(Event):
    """A request goes to an origin that credentials do not belong to, and without them: `names` of fields and params."""

    origin: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeDecided(Event):
    """A hedge was due after `delay` seconds without an answer: `decision` "hedge", or the reason why none was sent."""

    decision: str
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeEnded(Event):
    """A request that was sent more than once is over: how many `copies`, and which won, from 1; None: all failed."""

    copies: int
    winner: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadResumed(Event):
    """An answer came that was to go on with a download.

    Attributes:
        what: "continued", "started anew", "was complete", or "does not fit": then the next attempt starts anew.
        at_byte: where it goes on, 0 where it starts anew.
    """

    what: str
    at_byte: int


Sink: TypeAlias = Callable[[Event], object]


def fan_out(sinks: Sequence[Sink]) -> Sink | None:
    """One sink for many, or None for none."""
    if not sinks:
        return None

    def emit(event: Event) -> None:
        for sink in sinks:
            try:
                sink(event)
            except Exception as error:
                report(error, sink, "event sink failed")

    return emit


# What the default hook insists on. The class has no public name, though it is a tuple of five that anybody may make.
_UnraisableHookArgs: Any = next(kind for kind in tuple.__subclasses__() if kind.__name__ == "UnraisableHookArgs")


def report(error: Exception, culprit: object, message: str) -> None:
    """Report an error that must not touch the call, as Python does with those nobody can catch."""
    sys.unraisablehook(_UnraisableHookArgs((type(error), error, error.__traceback__, message, culprit)))
