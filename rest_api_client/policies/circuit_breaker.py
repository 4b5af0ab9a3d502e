"""The circuit breaker: a server that mostly fails is left alone for a while, and then asked carefully.

    closed      every call passes; outcomes are counted over a sliding window
    open        every call is refused at once, with the time after which to ask again
    half-open   a few probes pass, the rest is refused
    isolated    shut by hand, until it is reset by hand

`TRANSITIONS` is the whole machine. Three things open a closed circuit, each by itself: too large a share of failures,
too many failures one after the other, too large a share of slow calls; the change says which. An outcome counts only
for the state that admitted its call: a slow failure from before the breaker opened says nothing about the server after
it. A probe that is cancelled, or refused further down, gives its permit back, so that nothing but an answer or a
failure ends the half-open state.

A failure is what the classifier calls "failed". 429 and other 4xx are answers of a server that works. Refusals of this
client's own policies count as nothing, and so does an attempt that was cancelled before its deadline; one that the
deadline cut off while it was on the wire is a failure. How long a call took is counted without what this client's own
policies held it back.

The ratio over a time window follows Polly's and resilience4j's breakers, the slow-call ratio resilience4j's, the
failures in a row Finagle's and Envoy's; the rest that grows with each opening is Envoy's (base times openings, capped).

A call that passes a closed circuit of this process costs one question to the state, at its end: `Circuits` shows a
closed one without being asked. A shared store is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from rest_api_client.checks import check_above_zero, check_at_least, check_share, check_whole
from rest_api_client.context import Context
from rest_api_client.events import CircuitChanged, CircuitRefused
from rest_api_client.exceptions import APIError, CircuitOpenError, ConfigurationError, DeadlineExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.failure_windows import CountWindow, FailureWindow, TimeWindow
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.state import ALLOW, Decision, MemoryState, State
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME: Final = "CircuitBreaker"
PROBE: Final = "probe"


class Circuit(StrEnum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    ISOLATED = "isolated"


class Change(StrEnum):
    """What moves a breaker from one state to another."""

    FAILURES = "failure ratio"
    IN_A_ROW = "failures in a row"
    SLOW_CALLS = "slow calls"
    RESTED = "open long enough"
    PROBE_FAILED = "a probe failed"
    PROBE_SLOW = "a probe was slow"
    PROBES_PASSED = "all probes passed"
    ISOLATED = "isolated by hand"
    RESET = "reset by hand"


_BY_HAND: Final = {Change.ISOLATED: Circuit.ISOLATED, Change.RESET: Circuit.CLOSED}
TRANSITIONS: Final[Mapping[Circuit, Mapping[Change, Circuit]]] = {
    Circuit.CLOSED: _BY_HAND | dict.fromkeys((Change.FAILURES, Change.IN_A_ROW, Change.SLOW_CALLS), Circuit.OPEN),
    Circuit.OPEN: _BY_HAND | {Change.RESTED: Circuit.HALF_OPEN},
    Circuit.HALF_OPEN: _BY_HAND
    | {
        Change.PROBE_FAILED: Circuit.OPEN,
        Change.PROBE_SLOW: Circuit.OPEN,
        Change.PROBES_PASSED: Circuit.CLOSED,
    },
    Circuit.ISOLATED: _BY_HAND,
}

REFUSED: Final = {state: f"circuit {state}" for state in Circuit}
"""The reason of a refusal, by the state that refuses."""


@dataclass(frozen=True, slots=True)
class Enter:
    """May a call pass?"""


@dataclass(frozen=True, slots=True)
class Peek:
    """What would `Enter` be told? Nothing is admitted, nothing counted."""


class Report(NamedTuple):
    """A call that passed has an outcome: `failed`, or None where it says nothing about the server."""

    token: int
    failed: bool | None
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Isolate:
    """Refuse every call until `Reset`."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Be closed, and forget what was counted."""


BreakerCommand: TypeAlias = Enter | Peek | Report | Isolate | Reset
ENTER: Final = Enter()
PEEK: Final = Peek()
ISOLATE: Final = Isolate()
RESET: Final = Reset()

TELL_EVERY: Final = 1.0
"""Seconds between two events about refused calls of one key: an outage refuses thousands."""


class Breaker:
    """One key's breaker: pure, told the time. A change of state is told by the decision that brought it."""

    def __init__(self, options: CircuitBreaker) -> None:
        self.options = options
        self.openings = self.streak = self.probing = self.passed = 0
        self.epoch = -1
        self._told, self._untold = -inf, 0
        self._begin(Circuit.CLOSED, 0.0)

    def apply(self, command: BreakerCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if type(command) is Report:
            return self._report(command, now)
        if command is ENTER:
            return self._enter(now)
        if command is PEEK:
            return self._look(now)
        if isinstance(command, Isolate | Reset):
            return self._change(Change.ISOLATED if isinstance(command, Isolate) else Change.RESET, now)
        return self._enter(now) if isinstance(command, Enter) else self._look(now)

    def _look(self, now: float) -> Decision:
        if self.state is Circuit.CLOSED:
            return Decision("allow", token=self.epoch)
        if self.state is Circuit.OPEN:
            rest = self.since + self.rest - now
            return Decision("refuse", rest, REFUSED[self.state]) if rest > 0 else Decision("allow", reason=PROBE)
        if self.state is Circuit.HALF_OPEN and self.probing + self.passed < self.options.probes:
            return Decision("allow", reason=PROBE, token=self.epoch)
        return Decision("refuse", reason=REFUSED[self.state])

    def _enter(self, now: float) -> Decision:
        decision = self._look(now)
        if decision.verdict == "refuse":
            return self._tell(decision, now)
        if decision.reason != PROBE:
            return decision
        rested = self._change(Change.RESTED, now) if self.state is Circuit.OPEN else ALLOW
        self.probing += 1
        return Decision("allow", reason=PROBE, token=self.epoch, change=rested.change)

    def _tell(self, refusal: Decision, now: float) -> Decision:
        """The refusal; once a second it bears the number of those since the last that did."""
        if now - self._told < TELL_EVERY:
            self._untold += 1
            return refusal
        untold, self._told, self._untold = self._untold, now, 0
        return replace(refusal, value=float(untold))

    def _report(self, report: Report, now: float) -> Decision:
        token, failed, slow = report
        if token != self.epoch:
            return ALLOW
        if self.state is Circuit.HALF_OPEN:
            return self._probe_ended(failed, slow, now)
        if failed is None:
            return ALLOW
        self.window.count(failed, slow, now)
        if failed:
            self.streak += 1
        else:
            self.streak = 0
            if not slow:
                return ALLOW
        change = self._tripped(failed, slow)
        return ALLOW if change is None else self._change(change, now)

    def _tripped(self, failed: bool, slow: bool) -> Change | None:
        options, window = self.options, self.window
        if failed and options.consecutive_failures is not None and self.streak >= options.consecutive_failures:
            return Change.IN_A_ROW
        if window.calls < options.min_calls:
            return None
        ratio = options.failure_ratio
        if failed and ratio is not None and window.failures >= ratio * window.calls:
            return Change.FAILURES
        return Change.SLOW_CALLS if slow and window.slow >= options.slow_ratio * window.calls else None

    def _probe_ended(self, failed: bool | None, slow: bool, now: float) -> Decision:
        self.probing -= 1
        if failed is None:
            return ALLOW
        if failed or slow:
            return self._change(Change.PROBE_FAILED if failed else Change.PROBE_SLOW, now)
        self.passed += 1
        return self._change(Change.PROBES_PASSED, now) if self.passed >= self.options.probes else ALLOW

    def _change(self, change: Change, now: float) -> Decision:
        before, after = self.state, TRANSITIONS[self.state][change]
        self._begin(after, now)
        return Decision("allow", reason=change, change=(before, after))

    def _begin(self, state: Circuit, now: float) -> None:
        self.epoch += 1
        self.state = state
        self.since = now
        self.window = self.options.new_window()
        self.streak = self.probing = self.passed = 0
        if state is Circuit.OPEN:
            self.openings += 1
        elif state is Circuit.CLOSED:
            self.openings = 0
        self.success = Report(self.epoch, False)

    @property
    def rest(self) -> float:
        """Seconds that this opening lasts."""
        options = self.options
        if options.max_open_for is None:
            return options.open_for
        return min(options.open_for * self.openings, options.max_open_for)


class Circuits(MemoryState[BreakerCommand]):
    """The breakers of this process, by key."""

    _objects: Any

    def closed(self, key: str) -> Report | None:
        """What to report of a call that is let pass and succeeds, if the key's circuit is closed; else None: ask.

        Nothing is locked: should the circuit open meanwhile, the report is of a state that has gone, and not counted.
        """
        breaker: Breaker | None = self._objects.get(key)
        if breaker is None:
            return None
        success = breaker.success
        return success if breaker.state is Circuit.CLOSED else None


@dataclass(frozen=True, kw_only=True)
class CircuitBreaker:
    """Stops calling a server that mostly fails.

    Attributes:
        failure_ratio: the share of failures, above 0 to 1, that opens the circuit; None leaves that to the others.
        consecutive_failures: so many failures with no other answer between them open it, whatever the share.
        slow_after: seconds from which on a call counts as slow, answered well or not; None measures nothing.
        slow_ratio: the share of slow calls, above 0 to 1, that opens it.
        min_calls: outcomes within the window below which no share opens it.
        window: seconds over which outcomes are counted: 30, or no limit where `window_calls` is given.
        window_calls: how many of the last outcomes are counted; None counts all of the window. Both may be given.
        open_for: seconds without any call, before probes are sent.
        max_open_for: lets the n-th opening without a success between last n times as long, up to so many seconds.
        probes: calls that must succeed, one after the other or together, to close it again.
        key: what has a breaker of its own: each "origin", "host" or "route", the whole "client", or each text a
            function gives.
        state: where the breakers are kept; give one to share them between clients of one clock (`memory`).
    """

    failure_ratio: float | None = 0.5
    consecutive_failures: int | None = None
    slow_after: float | None = None
    slow_ratio: float = 0.5
    min_calls: int = 20
    window: float | None = None
    window_calls: int | None = None
    open_for: float = 5.0
    max_open_for: float | None = None
    probes: int = 1
    key: Key = "origin"
    state: State[BreakerCommand] | None = field(default=None, compare=False, repr=False)
    stage = Stage.CIRCUIT_BREAKER

    def __post_init__(self) -> None:
        if self.failure_ratio is not None:
            check_share(NAME, zero=False, failure_ratio=self.failure_ratio)
        check_share(NAME, zero=False, slow_ratio=self.slow_ratio)
        check_whole(NAME, 1, off="no such limit", consecutive_failures=self.consecutive_failures)
        check_whole(NAME, 1, off="all of the window", window_calls=self.window_calls)
        check_whole(NAME, 1, min_calls=self.min_calls, probes=self.probes)
        check_above_zero(NAME, off="30, or no limit beside window_calls", window=self.window)
        check_above_zero(NAME, off="no measuring", slow_after=self.slow_after)
        check_above_zero(NAME, open_for=self.open_for)
        check_at_least(NAME, self.open_for, off=f"always {self.open_for:g}", max_open_for=self.max_open_for)
        check_key(NAME, self.key)
        self._check_together()
        if self.window is None and self.window_calls is None:
            object.__setattr__(self, "window", 30.0)

    def _check_together(self) -> None:
        if self.failure_ratio is None and self.consecutive_failures is None and self.slow_after is None:
            raise ConfigurationError(
                f"{NAME}(failure_ratio=None) would never open: give failure_ratio, consecutive_failures or slow_after"
            )
        if self.window_calls is not None and self.min_calls > self.window_calls:
            raise ConfigurationError(
                f"{NAME}(min_calls={self.min_calls}, window_calls={self.window_calls}): so many calls are never in the "
                f"window; give min_calls={self.window_calls} or less"
            )

    def new_window(self) -> FailureWindow:
        """An empty window of the kind chosen."""
        if self.window_calls is not None:
            return CountWindow(self.window_calls, self.window)
        assert self.window is not None
        return TimeWindow(self.window)

    def memory(self, now: Callable[[], float]) -> Circuits:
        """Breakers with these options, to give as `state=` to the policies of several clients.

        `await state.apply(key, ISOLATE)` shuts the circuit of a key by hand, `RESET` closes it and forgets.

        Args:
            now: the clock of all these clients, as `SYSTEM.monotonic`.
        """
        return Circuits(lambda: Breaker(self), now)

    def bind(self, runtime: Runtime) -> CircuitBreaker:
        """This policy with breakers of its own, unless it was given some."""
        return self if self.state is not None else replace(self, state=self.memory(runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request unless the circuit is open.

        Raises:
            CircuitOpenError: it is; `retry_after` says for how long, where that is known.
        """
        state = self.state
        assert state is not None, "bind() first: a pipeline does"
        key = key_of(self.key, request)
        success = state.closed(key) if isinstance(state, Circuits) else None
        if success is None:
            success = await self._enter(state, key, request, context)
        began = 0.0 if self.slow_after is None else context.runtime.now()
        failed: bool | None = None
        try:
            response = await proceed(request, context)
            failed = context.classify(request, response).kind is Kind.FAILED
        except BaseException as error:
            failed = _failed(request, context, error)
            raise
        finally:
            report = success
            if failed is not False or self.slow_after is not None:
                report = Report(success.token, failed, self._slow(context, began))
            decision = await state.apply(key, report)
            if decision.change is not None:
                _tell_change(decision, key, request, context)
        return response

    def _slow(self, context: Context, began: float) -> bool:
        if self.slow_after is None:
            return False
        held = sum(note.wait for note in context.notes)
        return context.runtime.now() - began - held >= self.slow_after

    async def _enter(self, state: State[BreakerCommand], key: str, request: Request, context: Context) -> Report:
        """The report of a success, once the state has let the call pass."""
        decision = await state.apply(key, ENTER)
        if decision.change is not None:
            _tell_change(replace(decision, reason=Change.RESTED), key, request, context)
        if decision.reason:
            context.note(NAME, decision.reason)
        if decision.verdict != "allow":
            self._refuse(decision, key, request, context)
        return Report(decision.token, False)

    def _refuse(self, decision: Decision, key: str, request: Request, context: Context) -> NoReturn:
        retry_after = decision.wait or None
        if decision.value is not None and context.emit is not None:
            context.tell(
                CircuitRefused,
                request,
                key=key,
                reason=decision.reason,
                retry_after=retry_after,
                suppressed=int(decision.value),
            )
        error = CircuitOpenError(f"{request.label}: the circuit of {key!r} is {_until(decision)}", request=request)
        error.retry_after = retry_after
        raise error

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether the circuit would let the request pass now."""
        assert self.state is not None, "bind() first: a pipeline does"
        key = key_of(self.key, request)
        decision = await self.state.apply(key, PEEK)
        passes = decision.verdict == "allow"
        text = f"the circuit of {key!r} is " + ("closed" if passes else _until(decision))
        return Forecast(
            policy=NAME,
            verdict="pass" if passes else "refuse",
            reason=decision.reason or "ok",
            text=f"the request would be a probe of {key!r}" if decision.reason == PROBE else text,
            wait=decision.wait,
            facts={"key": key},
        )


def _until(refusal: Decision) -> str:
    """In which state a circuit is that refuses, and until when, for people."""
    if refusal.wait:
        return f"open for {refusal.wait:.3g} s more"
    if refusal.reason == REFUSED[Circuit.ISOLATED]:
        return "isolated until it is reset"
    return "open until a probe has passed"


def _tell_change(decision: Decision, key: str, request: Request, context: Context) -> None:
    if decision.change is not None and context.emit is not None:
        before, after = decision.change
        context.tell(CircuitChanged, request, key=key, before=before, after=after, reason=decision.reason)


def _failed(request: Request, context: Context, error: BaseException) -> bool | None:
    """Whether an error is the server's failure; None where it says nothing about the server."""
    if isinstance(error, Exception) and not isinstance(error, DeadlineExceeded):
        failed = context.classify(request, error).kind is Kind.FAILED
        answered = isinstance(error, APIError) and error.response is not None
        return True if failed else False if answered else None
    on_the_wire = context.exchange is not None and context.exchange.handed_over
    return True if on_the_wire and context.remaining == 0 else None
