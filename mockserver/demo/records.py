"""What the client's side notes down: plain values, which the judge holds against the server's journal.

`Witness` is an event sink. It sees the attempts of all calls with the client's clock; the server's clock is another,
so the two are never compared: requests are matched by call id and attempt number.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import field

from rest_api_client.events import AttemptEnded, CallEnded, CallStarted, Event, RetryDecided
from rest_api_client.lazy_dataclasses import dataclass

UNSENT = frozenset({"circuit open", "rate limited"})
"""Reasons of attempts that the chain stopped before they reached the wire."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request of one call, on the client's clock.

    Attributes:
        call: the call's id, as in `x-call-id`.
        number: as in `x-attempt`.
        begun: before any limit could hold it back.
        ended: after all policies of the attempt level have seen its end.
        status: what was answered, or None.
        reason: why it ended so.
    """

    call: str
    number: int
    begun: float
    ended: float
    status: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one piece of work: `error` says how the call ended badly, or what was wrong with its answer."""

    work: str
    call: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One client's run from its own side. Times in seconds.

    Attributes:
        client: "sync" or "async".
        work: what was to be done, in words that `Result.work` repeats.
        results: what came of it.
        attempts: every request, in the order in which they ended.
        durations: of the calls, waits included.
        retries: by the reason that made them.
        waited: spent in back-offs and behind limits, summed over all calls.
        seconds: from the first call to the end of the last.
    """

    client: str
    work: tuple[str, ...]
    results: tuple[Result, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    durations: tuple[float, ...] = ()
    retries: dict[str, int] = field(default_factory=dict)
    waited: float = 0.0
    seconds: float = 0.0


class Witness:
    """Notes every attempt and the end of every call, and says so to `on_change`; safe to call from any thread."""

    def __init__(self, on_change: Callable[[int, Counter[str]], None] = lambda done, retries: None) -> None:
        self.attempts: list[Attempt] = []
        self.durations: list[float] = []
        self.retries: Counter[str] = Counter()
        self._on_change = on_change
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Note an event."""
        with self._lock:
            self._note(event)
            done, retries = len(self.durations), Counter(self.retries)
        self._on_change(done, retries)

    def _note(self, event: Event) -> None:
        match event:
            case CallStarted():
                self._started[event.call_id] = event.at
            case AttemptEnded():
                self.attempts.append(self._attempt(event))
            case RetryDecided() if event.delay is not None:
                self.retries[event.reason] += 1
            case CallEnded():
                self.durations.append(event.duration)
            case _:
                pass

    def _attempt(self, event: AttemptEnded) -> Attempt:
        attempt = event.attempt
        # Either sum is late by what passes until the event is told, never early: the smaller is nearer the truth.
        begun = min(event.at - attempt.elapsed, self._started[event.call_id] + attempt.started)
        return Attempt(
            call=event.call_id,
            number=attempt.number,
            begun=begun,
            ended=event.at,
            status=attempt.status_code,
            reason=attempt.reason,
        )
