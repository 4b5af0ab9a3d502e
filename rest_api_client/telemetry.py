"""What a call tells about itself: events, log records, counters.

`Telemetry` is the outermost stage. It asks once per call whether anybody listens: the sinks given to the client, and
the logger `rest_api_client` where its level lets something through. Where nobody does, no event is ever built.

Log records carry what a log store wants to search by, as `extra` fields: `call_id`, `method`, `endpoint` (the path as
the caller wrote it, so that ids do not become labels), `duration`, `status`, `retry_count`, `decision`, `reason`,
`notes`. URLs are masked.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import field

from rest_api_client.context import Context
from rest_api_client.events import (
    AttemptEnded,
    CallEnded,
    CallStarted,
    CircuitChanged,
    CircuitRefused,
    Coalesced,
    ConcurrencyChanged,
    CredentialsWithheld,
    DownloadResumed,
    Event,
    FellBack,
    HedgeDecided,
    HedgeEnded,
    NotStarted,
    Queued,
    RateCut,
    RateLimited,
    Redirected,
    RetryDecided,
    RetryProbed,
    Sink,
    fan_out,
)
from rest_api_client.forks import in_child
from rest_api_client.http.redaction import redact_url
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.reasons import (
    CANCELLED,
    COALESCED,
    CONCURRENCY_CHANGED,
    FALLBACK_FAILED,
    FELL_BACK,
    HEDGE_ENDED,
    RATE_CUT,
    REDIRECTED,
    WITHHELD,
)
from rest_api_client.typing import Proceed

LOGGER = logging.getLogger("rest_api_client")
LOGGER.addHandler(logging.NullHandler())  # a library prints nothing of its own accord


@dataclass(frozen=True)
class Telemetry:
    """Emits the events of a call to the client's sinks and the log."""

    sinks: tuple[Sink, ...] = ()
    stage = Stage.CALL_TELEMETRY
    _emit: Sink = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_emit", fan_out((*self.sinks, log_event)))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Hand on, and tell how the call began and ended."""
        # Who listens, and to what: everything, or, where only the log's warnings can be wanted, just those.
        only = None if self.sinks or LOGGER.isEnabledFor(logging.INFO) else _WARNINGS
        context.call.only = only
        context.emit = context.call.emit = self._emit
        if only is None:
            context.tell(CallStarted, request, url=redact_url(str(request.url)))
        if context.withheld:
            context.tell(CredentialsWithheld, request, origin=str(request.url.origin), names=context.withheld)
        try:
            response = await proceed(request, context)
        except BaseException as error:
            _tell_end(request, context, error)
            raise
        if only is None or response.status_code >= 500:
            _tell_end(request, context, response)
        return response


def _tell_end(request: Request, context: Context, result: Response | BaseException) -> None:
    call = context.call
    response = result if isinstance(result, Response) else None
    interrupted = response is None and not isinstance(result, Exception)
    context.tell(
        CallEnded,
        request,
        url=redact_url(str(request.url)),
        duration=call.runtime.now() - call.started,
        status_code=response.status_code if response is not None else None,
        error=type(result).__name__ if response is None else None,
        reason=CANCELLED if interrupted else context.classify(request, result).reason,
        attempts=len(call.attempts),
    )


def log_event(event: Event) -> None:
    """A sink that writes events to the logger `rest_api_client`."""
    described = _LOGGED.get(type(event))
    if described is None:
        return
    level, describe = described
    if isinstance(event, CallEnded) and event.reason != CANCELLED and (event.error or (event.status_code or 0) >= 500):
        level = logging.WARNING
    if LOGGER.isEnabledFor(level):
        text, fields = describe(event)
        common = {"call_id": event.call_id, "method": event.method, "endpoint": event.endpoint}
        LOGGER.log(level, "%s %s: %s", event.method, event.endpoint, text, extra=common | fields)


def describe(event: Event) -> str:
    """What the log says of an event, without its method and path; "" of a kind it does not tell."""
    described = _LOGGED.get(type(event))
    return "" if described is None else described[1](event)[0]


_Described = tuple[str, dict[str, object]]


def _call_ended(event: Event) -> _Described:
    assert isinstance(event, CallEnded)
    result = event.error or f"{event.status_code}"
    return f"{result} in {event.duration:.3f} s, {event.attempts} attempt(s)", {
        "url": event.url,
        "duration": event.duration,
        "status": event.status_code,
        "retry_count": max(0, event.attempts - 1),
        "reason": event.reason,
    }


def _attempt_ended(event: Event) -> _Described:
    assert isinstance(event, AttemptEnded)
    attempt = event.attempt
    notes = [note.reason for note in attempt.notes]
    noted = f" ({', '.join(notes)})" if notes else ""
    return f"attempt {attempt.number} ended: {attempt.reason} in {attempt.elapsed:.3f} s{noted}", {
        "notes": notes,
        "url": attempt.url,
        "duration": attempt.elapsed,
        "status": attempt.status_code,
        "retry_count": attempt.number - 1,
        "reason": attempt.reason,
    }


def _retry_decided(event: Event) -> _Described:
    assert isinstance(event, RetryDecided)
    wait = f" in {event.delay:.3f} s" if event.delay is not None else ""
    return f"{event.decision}{wait} after {event.reason}", {
        "decision": event.decision,
        "reason": event.reason,
        "retry_count": event.attempt,
    }


def _retry_probed(event: Event) -> _Described:
    assert isinstance(event, RetryProbed)
    return f"a retry after attempt {event.attempt} is made as a probe", {"reason": event.reason}


def _not_started(event: Event) -> _Described:
    assert isinstance(event, NotStarted)
    return f"not started: takes {event.takes:.3f} s, {event.left:.3f} s left", {"reason": event.reason}


def _rate_limited(event: Event) -> _Described:
    assert isinstance(event, RateLimited)
    return ("refused" if event.refused else f"held back {event.waited:.3f} s") + f" by {event.reason}", {
        "reason": event.reason,
        "duration": event.waited,
    }


def _rate_cut(event: Event) -> _Described:
    assert isinstance(event, RateCut)
    return f"{event.key} asks for fewer requests: {event.rate:.3g} a second", {"reason": RATE_CUT}


def _queued(event: Event) -> _Described:
    assert isinstance(event, Queued)
    how = "refused after" if event.refused else "waited"
    return f"{how} {event.waited:.3f} s in line for {event.key}: {event.reason}", {
        "reason": event.reason,
        "duration": event.waited,
    }


def _concurrency_changed(event: Event) -> _Described:
    assert isinstance(event, ConcurrencyChanged)
    return f"concurrency of {event.key}: {event.before} to {event.after}", {"reason": CONCURRENCY_CHANGED}


def _hedge_decided(event: Event) -> _Described:
    assert isinstance(event, HedgeDecided)
    return f"no answer in {event.delay:.3f} s: {event.decision}", {"reason": event.decision, "duration": event.delay}


def _hedge_ended(event: Event) -> _Described:
    assert isinstance(event, HedgeEnded)
    ended = f"copy {event.winner} of {event.copies} won" if event.winner else f"all {event.copies} copies failed"
    return ended, {"reason": HEDGE_ENDED}


def _circuit_changed(event: Event) -> _Described:
    assert isinstance(event, CircuitChanged)
    told = f"circuit of {event.key}: {event.before} to {event.after}, {event.reason}"
    return told, {"reason": event.reason}


def _circuit_refused(event: Event) -> _Described:
    assert isinstance(event, CircuitRefused)
    more = f", and {event.suppressed} more since the last such line" if event.suppressed else ""
    return f"refused by the circuit of {event.key}{more}", {"reason": event.reason}


def _fell_back(event: Event) -> _Described:
    assert isinstance(event, FellBack)
    failed = f" failed too with {event.error}" if event.error else ""
    return f"fallback to a {event.how} after {event.reason}{failed}", {
        "decision": FALLBACK_FAILED if event.error else FELL_BACK,
        "reason": event.reason,
    }


def _coalesced(event: Event) -> _Described:
    assert isinstance(event, Coalesced)
    return f"shares the request of call {event.leader}", {"reason": COALESCED}


def _redirected(event: Event) -> _Described:
    assert isinstance(event, Redirected)
    return f"{event.status_code} leads to {event.url}", {
        "url": event.url,
        "status": event.status_code,
        "reason": REDIRECTED,
    }


def _withheld(event: Event) -> _Described:
    assert isinstance(event, CredentialsWithheld)
    return f"credentials withheld from {event.origin}: {', '.join(event.names)}", {"reason": WITHHELD}


def _resumed(event: Event) -> _Described:
    assert isinstance(event, DownloadResumed)
    return f"download {event.what} at byte {event.at_byte}", {"reason": event.what}


_LOGGED: dict[type[Event], tuple[int, Callable[[Event], _Described]]] = {
    CallEnded: (logging.INFO, _call_ended),
    AttemptEnded: (logging.DEBUG, _attempt_ended),
    RetryDecided: (logging.INFO, _retry_decided),
    RetryProbed: (logging.INFO, _retry_probed),
    NotStarted: (logging.INFO, _not_started),
    RateLimited: (logging.INFO, _rate_limited),
    RateCut: (logging.INFO, _rate_cut),
    Queued: (logging.INFO, _queued),
    ConcurrencyChanged: (logging.DEBUG, _concurrency_changed),
    HedgeDecided: (logging.INFO, _hedge_decided),
    HedgeEnded: (logging.DEBUG, _hedge_ended),
    CircuitChanged: (logging.WARNING, _circuit_changed),
    CircuitRefused: (logging.INFO, _circuit_refused),
    FellBack: (logging.WARNING, _fell_back),
    Coalesced: (logging.DEBUG, _coalesced),
    Redirected: (logging.DEBUG, _redirected),
    CredentialsWithheld: (logging.WARNING, _withheld),
    DownloadResumed: (logging.INFO, _resumed),
}

_WARNINGS: frozenset[type[Event]] = frozenset({CallEnded, CircuitChanged, CredentialsWithheld, FellBack})
"""What the log tells at its usual level: calls that failed or fell back, changed breakers, credentials withheld."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds: the bucket bounds that OpenTelemetry recommends for `http.client.request.duration`."""


class MetricsCollector:
    """A sink that counts. Give it as `events=[collector]`, to one client or to many, and read it at any time.

    Attributes:
        calls: calls by (method, endpoint, status or error class).
        attempts: requests on the wire by reason ("ok", "status 503", "read timeout").
        retries: retries by the reason that made them.
        refused: retries not made, by what vetoed them.
        waited: seconds calls were held back by the client's own limits.
        durations: calls by duration; entry n counts those of at most `BUCKETS[n]` seconds, the last all longer ones.
    """

    def __init__(self) -> None:
        self._renew_lock()
        in_child(self._renew_lock)
        self._reset()

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.attempts: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.waited = 0.0
        self.durations = [0] * (len(BUCKETS) + 1)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case CallEnded():
                self.calls[event.method, event.endpoint, event.error or str(event.status_code)] += 1
                self.durations[bisect_left(BUCKETS, event.duration)] += 1
            case AttemptEnded():
                self.attempts[event.attempt.reason] += 1
            case RetryDecided() if event.delay is not None:
                self.retries[event.reason] += 1
                self.waited += event.delay
            case RetryDecided():
                self.refused[event.decision] += 1
            case RateLimited() | Queued():
                self.waited += event.waited
            case _:
                pass

    def __repr__(self) -> str:
        return f"<MetricsCollector of {sum(self.calls.values())} calls, {sum(self.attempts.values())} attempts>"

    def snapshot(self) -> dict[str, object]:
        """Everything counted so far, as plain data that JSON can hold."""
        with self._lock:
            return {
                "calls": {" ".join(key): count for key, count in self.calls.items()},
                "attempts": dict(self.attempts),
                "retries": dict(self.retries),
                "refused": dict(self.refused),
                "waited": self.waited,
                "durations": dict(zip([*map(str, BUCKETS), "+Inf"], self.durations, strict=True)),
            }
