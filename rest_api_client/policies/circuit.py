"""A circuit: the rules by which it opens and closes again, its states, and the machine, told the time.

    closed      every call passes; outcomes are counted over a sliding window
    open        every call is refused at once, with the time after which to ask again
    half-open   a few probes pass, the rest is refused
    isolated    shut by hand, until it is reset by hand

`TRANSITIONS` is the whole machine. Three things open a closed circuit, each by itself: too large a share of failures,
too many failures one after the other, too large a share of slow calls; the change says which. An outcome counts only
for the state that admitted its call: a slow failure from before the breaker opened says nothing about the server after
it. A probe that ends without an outcome gives its permit back, so that nothing but an answer or a failure ends the
half-open state.

The ratio over a time window follows Polly's and resilience4j's breakers, the slow-call ratio resilience4j's, the
failures in a row Finagle's and Envoy's; the rest that grows with each opening is Envoy's (base times openings, capped).

What counts as a failure, and what becomes of a call that is refused, is for the chain to say: see `circuit_breaker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from rest_api_client.checks import check_above_zero, check_at_least, check_share, check_whole
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.failure_windows import CountWindow, FailureWindow, TimeWindow
from rest_api_client.policies.state import ALLOW, Decision, MemoryState
from rest_api_client.reasons import CIRCUIT_HALF_OPEN, CIRCUIT_ISOLATED, CIRCUIT_OPEN, PROBE


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

REFUSED: Final = {
    Circuit.OPEN: CIRCUIT_OPEN,
    Circuit.HALF_OPEN: CIRCUIT_HALF_OPEN,
    Circuit.ISOLATED: CIRCUIT_ISOLATED,
}
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


@dataclass(frozen=True, kw_only=True)
class CircuitRules:
    """When a circuit opens, and how it closes again.

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

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.failure_ratio is not None:
            check_share(name, zero=False, failure_ratio=self.failure_ratio)
        check_share(name, zero=False, slow_ratio=self.slow_ratio)
        check_whole(name, 1, off="no such limit", consecutive_failures=self.consecutive_failures)
        check_whole(name, 1, off="all of the window", window_calls=self.window_calls)
        check_whole(name, 1, min_calls=self.min_calls, probes=self.probes)
        check_above_zero(name, off="30, or no limit beside window_calls", window=self.window)
        check_above_zero(name, off="no measuring", slow_after=self.slow_after)
        check_above_zero(name, open_for=self.open_for)
        check_at_least(name, self.open_for, off=f"always {self.open_for:g}", max_open_for=self.max_open_for)
        self._check_together(name)
        if self.window is None and self.window_calls is None:
            object.__setattr__(self, "window", 30.0)

    def _check_together(self, name: str) -> None:
        if self.failure_ratio is None and self.consecutive_failures is None and self.slow_after is None:
            raise ConfigurationError(
                f"{name}(failure_ratio=None) would never open: give failure_ratio, consecutive_failures or slow_after"
            )
        if self.window_calls is not None and self.min_calls > self.window_calls:
            raise ConfigurationError(
                f"{name}(min_calls={self.min_calls}, window_calls={self.window_calls}): so many calls are never in the "
                f"window; give min_calls={self.window_calls} or less"
            )

    def new_window(self) -> FailureWindow:
        """An empty window of the kind chosen."""
        if self.window_calls is not None:
            return CountWindow(self.window_calls, self.window)
        assert self.window is not None
        return TimeWindow(self.window)

    def memory(self, now: Callable[[], float]) -> Circuits:
        """Circuits of these rules, to give as `state=` to the policies of several clients.

        `await state.apply(key, ISOLATE)` shuts the circuit of a key by hand, `RESET` closes it and forgets.

        Args:
            now: the clock of all these clients, as `SYSTEM.monotonic`.
        """
        return Circuits(lambda: Breaker(self), now)


class Breaker:
    """One key's breaker: pure. A change of state is told by the decision that brought it."""

    def __init__(self, rules: CircuitRules) -> None:
        self.rules = rules
        self.openings = self.streak = self.probing = self.passed = 0
        self.epoch = -1
        self._told, self._untold = -inf, 0
        self._begin(Circuit.CLOSED, 0.0)

    def apply(self, command: BreakerCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if isinstance(command, Report):
            return self._report(command, now)
        if isinstance(command, Enter):
            return self._enter(now)
        if isinstance(command, Peek):
            return self._look(now)
        return self._change(Change.ISOLATED if isinstance(command, Isolate) else Change.RESET, now)

    def _look(self, now: float) -> Decision:
        if self.state is Circuit.CLOSED:
            return Decision("allow", token=self.epoch)
        if self.state is Circuit.OPEN:
            rest = self.since + self.rest - now
            return Decision("refuse", rest, REFUSED[self.state]) if rest > 0 else Decision("allow", reason=PROBE)
        if self.state is Circuit.HALF_OPEN and self.probing + self.passed < self.rules.probes:
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
        rules, window = self.rules, self.window
        if failed and rules.consecutive_failures is not None and self.streak >= rules.consecutive_failures:
            return Change.IN_A_ROW
        if window.calls < rules.min_calls:
            return None
        ratio = rules.failure_ratio
        if failed and ratio is not None and window.failures >= ratio * window.calls:
            return Change.FAILURES
        return Change.SLOW_CALLS if slow and window.slow >= rules.slow_ratio * window.calls else None

    def _probe_ended(self, failed: bool | None, slow: bool, now: float) -> Decision:
        self.probing -= 1
        if failed is None:
            return ALLOW
        if failed or slow:
            return self._change(Change.PROBE_FAILED if failed else Change.PROBE_SLOW, now)
        self.passed += 1
        return self._change(Change.PROBES_PASSED, now) if self.passed >= self.rules.probes else ALLOW

    def _change(self, change: Change, now: float) -> Decision:
        before, after = self.state, TRANSITIONS[self.state][change]
        self._begin(after, now)
        return Decision("allow", reason=change, change=(before, after))

    def _begin(self, state: Circuit, now: float) -> None:
        self.epoch += 1
        self.state = state
        self.since = now
        self.window = self.rules.new_window()
        self.streak = self.probing = self.passed = 0
        if state is Circuit.OPEN:
            self.openings += 1
        elif state is Circuit.CLOSED:
            self.openings = 0

    @property
    def rest(self) -> float:
        """Seconds that this opening lasts."""
        rules = self.rules
        if rules.max_open_for is None:
            return rules.open_for
        return min(rules.open_for * self.openings, rules.max_open_for)


class Circuits(MemoryState[BreakerCommand]):
    """The breakers of this process, by key."""

    _objects: Any

    def closed(self, key: str) -> Breaker | None:
        """The key's breaker, if it is closed and lets every call pass; else None: ask.

        Nothing is locked: should the circuit open meanwhile, what is reported is of a state that has gone, and not
        counted.
        """
        breaker: Breaker | None = self._objects.get(key)
        return breaker if breaker is not None and breaker.state is Circuit.CLOSED else None

    def succeeded(self, breaker: Breaker, key: str, epoch: int) -> None:
        """Count the quick success of a call that a closed circuit let pass: the usual end, which changes no state."""
        self._lock.acquire()
        try:
            if breaker.epoch == epoch and self._objects.get(key) is breaker:
                breaker.streak = 0
                breaker.window.count(False, False, self._now())
                if len(self._objects) > 1:
                    self._objects.move_to_end(key)
        finally:
            self._lock.release()
