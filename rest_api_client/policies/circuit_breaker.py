"""The circuit breaker: a server that mostly fails is left alone for a while, and then asked carefully.

    closed      every call passes; outcomes are counted over a sliding window
    open        every call is refused at once, with the time after which to ask again
    half-open   a few probes pass, the rest is refused

`TRANSITIONS` is the whole machine. An outcome counts only for the state that admitted its call: a slow failure from
before the breaker opened says nothing about the server after it. A probe that is cancelled, or refused further down,
gives its permit back, so that nothing but an answer or a failure ends the half-open state.

A failure is what the classifier calls "failed". 429 and other 4xx are answers of a server that works. Refusals of this
client's own policies count as nothing, and so does an attempt that was cancelled before its deadline; one that the
deadline cut off while it was on the wire is a failure.

The ratio over a time window follows Polly's and resilience4j's breakers; the window is kept in ten buckets.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, TypeAlias

from rest_api_client.checks import check_above_zero, check_share, check_whole
from rest_api_client.context import Context
from rest_api_client.events import CircuitChanged
from rest_api_client.exceptions import APIError, CircuitOpenError, DeadlineExceeded
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.state import ALLOW, Decision, MemoryState, State
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed


class Circuit(StrEnum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Change(StrEnum):
    """What moves a breaker from one state to another."""

    TRIPPED = "too many failures"
    RESTED = "open long enough"
    PROBE_FAILED = "a probe failed"
    PROBES_PASSED = "all probes passed"


TRANSITIONS: Final[Mapping[Circuit, Mapping[Change, Circuit]]] = {
    Circuit.CLOSED: {Change.TRIPPED: Circuit.OPEN},
    Circuit.OPEN: {Change.RESTED: Circuit.HALF_OPEN},
    Circuit.HALF_OPEN: {Change.PROBE_FAILED: Circuit.OPEN, Change.PROBES_PASSED: Circuit.CLOSED},
}


@dataclass(frozen=True, slots=True)
class Enter:
    """May a call pass?"""


@dataclass(frozen=True, slots=True)
class Report:
    """A call that passed has an outcome: `failed`, or None where it says nothing about the server."""

    token: int
    failed: bool | None


BreakerCommand: TypeAlias = Enter | Report
ENTER: Final = Enter()

BUCKETS: Final = 10


class FailureWindow:
    """Calls and failures of the last `seconds`, in ten buckets: exact to a tenth of the window."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[tuple[int, int, int]] = deque()
        self.calls = 0
        self.failures = 0

    def count(self, failed: bool, now: float) -> None:
        """Add one outcome."""
        index = self.forget(now)
        calls, failures = 0, 0
        if self._buckets and self._buckets[-1][0] == index:
            _, calls, failures = self._buckets.pop()
        self._buckets.append((index, calls + 1, failures + failed))
        self.calls += 1
        self.failures += failed

    def forget(self, now: float) -> int:
        """Drop what is too old, and give the number of the present bucket."""
        index = math.floor(now / self._width)
        while self._buckets and self._buckets[0][0] <= index - BUCKETS:
            _, calls, failures = self._buckets.popleft()
            self.calls -= calls
            self.failures -= failures
        return index


class Breaker:
    """One key's breaker: pure, told the time. A change of state is told by the decision that brought it."""

    def __init__(self, options: CircuitBreaker) -> None:
        self.options = options
        self.state = Circuit.CLOSED
        self.epoch = 0
        self.since = 0.0
        self.window = FailureWindow(options.window)
        self.probing = 0
        self.passed = 0

    def apply(self, command: BreakerCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        before = self.state
        verdict = self._enter(now) if isinstance(command, Enter) else self._report(command, now)
        return verdict if before is self.state else replace(verdict, change=(before, self.state))

    def _enter(self, now: float) -> Decision:
        if self.state is Circuit.OPEN:
            rest = self.since + self.options.open_for - now
            if rest > 0:
                return Decision("refuse", rest, self.state)
            self._change(Change.RESTED, now)
        if self.state is Circuit.HALF_OPEN:
            if self.probing + self.passed >= self.options.probes:
                return Decision("refuse", reason=self.state)
            self.probing += 1
        return Decision("allow", token=self.epoch)

    def _report(self, command: Report, now: float) -> Decision:
        if command.token == self.epoch:
            if self.state is Circuit.HALF_OPEN:
                self._probe_ended(command.failed, now)
            elif command.failed is not None:
                self._count(command.failed, now)
        return ALLOW

    def _count(self, failed: bool, now: float) -> None:
        self.window.count(failed, now)
        calls, failures = self.window.calls, self.window.failures
        if failed and calls >= self.options.min_calls and failures >= self.options.failure_ratio * calls:
            self._change(Change.TRIPPED, now)

    def _probe_ended(self, failed: bool | None, now: float) -> None:
        self.probing -= 1
        if failed:
            self._change(Change.PROBE_FAILED, now)
        elif failed is False:
            self.passed += 1
            if self.passed >= self.options.probes:
                self._change(Change.PROBES_PASSED, now)

    def _change(self, change: Change, now: float) -> None:
        self.state = TRANSITIONS[self.state][change]
        self.epoch += 1
        self.since = now
        self.window = FailureWindow(self.options.window)
        self.probing = self.passed = 0


@dataclass(frozen=True, kw_only=True)
class CircuitBreaker:
    """Stops calling a server that mostly fails.

    Attributes:
        failure_ratio: the share of failures, above 0 to 1, that opens the circuit.
        min_calls: outcomes within the window below which it stays closed.
        window: seconds over which outcomes are counted.
        open_for: seconds without any call, before probes are sent.
        probes: calls that must succeed, one after the other or together, to close it again.
        key: what has a breaker of its own: each "origin" or "host", the whole "client", or each text a function gives.
        state: where the breakers are kept; give one to share them between clients of one clock.
    """

    failure_ratio: float = 0.5
    min_calls: int = 20
    window: float = 30.0
    open_for: float = 5.0
    probes: int = 1
    key: Key = "origin"
    state: State[BreakerCommand] | None = field(default=None, compare=False, repr=False)
    stage = Stage.CIRCUIT_BREAKER

    def __post_init__(self) -> None:
        check_share("CircuitBreaker", zero=False, failure_ratio=self.failure_ratio)
        check_whole("CircuitBreaker", 1, min_calls=self.min_calls, probes=self.probes)
        check_above_zero("CircuitBreaker", window=self.window, open_for=self.open_for)
        check_key("CircuitBreaker", self.key)

    def bind(self, runtime: Runtime) -> CircuitBreaker:
        """This policy with breakers of its own, unless it was given some."""
        return self if self.state is not None else replace(self, state=MemoryState(lambda: Breaker(self), runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request unless the circuit is open.

        Raises:
            CircuitOpenError: it is; `retry_after` says for how long, where that is known.
        """
        key = key_of(self.key, request)
        token = await self._enter(key, request, context)
        failed: bool | None = None
        try:
            response = await proceed(request, context)
            failed = context.classify(request, response).kind is Kind.FAILED
        except BaseException as error:
            failed = _failed(request, context, error)
            raise
        finally:
            await self._ask(key, Report(token, failed), request, context)
        return response

    async def _enter(self, key: str, request: Request, context: Context) -> int:
        decision = await self._ask(key, ENTER, request, context)
        if decision.verdict == "allow":
            return decision.token
        wait = f"for {decision.wait:.3g} s more" if decision.wait else "until a probe has passed"
        error = CircuitOpenError(f"{request.label}: the circuit of {key!r} is open {wait}", request=request)
        error.retry_after = decision.wait or None
        raise error

    async def _ask(self, key: str, command: BreakerCommand, request: Request, context: Context) -> Decision:
        assert self.state is not None, "bind() first: a pipeline does"
        decision = await self.state.apply(key, command)
        if decision.change is not None:
            before, after = decision.change
            context.tell(CircuitChanged, request, key=key, before=before, after=after)
        return decision


def _failed(request: Request, context: Context, error: BaseException) -> bool | None:
    """Whether an error is the server's failure; None where it says nothing about the server."""
    if isinstance(error, Exception) and not isinstance(error, DeadlineExceeded):
        failed = context.classify(request, error).kind is Kind.FAILED
        answered = isinstance(error, APIError) and error.response is not None
        return True if failed else False if answered else None
    on_the_wire = context.exchange is not None and context.exchange.handed_over
    return True if on_the_wire and context.remaining == 0 else None
