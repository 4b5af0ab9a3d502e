"""Adaptive concurrency: a bulkhead that learns its limit from how the server answers.

A fixed limit is right for one size of the server, and nobody knows which size it has today. Here the limit starts at
20 and follows latency: while answers come as fast as they usually do it grows, when they slow down together with the
number of calls under way it shrinks, so that calls wait in this client's line, by priority, and not in the server's.
`limiters` has the rules.

Latency is that of the attempt: from its permit to the end of its body, or of its head where it is streamed. An answer
that is an error of the server, or asks for fewer requests, is a drop; an error of the request itself is a sample like
any good answer; what was cancelled, or never left, is nothing. The limit changes at most once per window, and says so
by a `ConcurrencyChanged`.

What stands in the line, and who is shed, is as in `bulkhead`.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final

from rest_api_client.checks import check_above_zero, check_at_least, check_whole
from rest_api_client.context import Context
from rest_api_client.events import ConcurrencyChanged
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded, RefusedError
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.door import Door, HeldStream
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.limiters import Algorithm, Vegas, Window
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import Leave, PermitCommand, Permits
from rest_api_client.policies.state import ALLOW, Decision, State
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

_PATIENT: Final = 2.0
"""Times the quickest answer ever: an attempt that its deadline cut off sooner tells nothing about the server."""


class LearningPermits(Permits):
    """One key's permits, and the rule that sets their limit: pure, told the time."""

    __slots__ = ("_limit", "_quickest", "_rule", "_window", "options")

    def __init__(self, options: AdaptiveConcurrency) -> None:
        super().__init__(options.initial)
        self.options = options
        self._limit = float(options.initial)
        self._rule = options.algorithm.fresh()
        self._window: Window | None = None
        self._quickest = 0.0

    def apply(self, command: PermitCommand, now: float) -> Decision:
        """Carry out a command; the decision tells when the limit changed."""
        if not isinstance(command, Leave):
            return super().apply(command, now)
        inside = self.inside
        if not self.land(command.token, now) or self._says_nothing(command):
            return ALLOW
        window = self._window = self._window or Window(now)
        window.add(None if command.dropped else command.latency, command.dropped, inside)
        return self._learn(window, inside, now) if self._ripe(window, now) else ALLOW

    def _says_nothing(self, leave: Leave) -> bool:
        if leave.latency is None:
            return not leave.dropped
        return leave.dropped and leave.latency < _PATIENT * self._quickest

    def _ripe(self, window: Window, now: float) -> bool:
        if window.samples + window.dropped < self.options.min_samples:
            return False
        shortest = max(self.options.window, 2 * window.least if window.samples else 0.0)
        return now - window.since >= min(shortest, self.options.max_window)

    def _learn(self, window: Window, inside: int, now: float) -> Decision:
        self._window, window.until = Window(now), now
        if window.samples:
            self._quickest = min(window.least, self._quickest or window.least)
        before = self.limit
        learned = self._rule.next(self._limit, window, inside >= before)
        self._limit = min(max(learned, self.options.min_limit), self.options.max_limit)
        self.limit = int(self._limit)
        return ALLOW if before == self.limit else Decision("allow", change=(str(before), str(self.limit)))


@dataclass(frozen=True, kw_only=True)
class AdaptiveConcurrency:
    """How many attempts may be under way at once is learned; who waits is chosen as in `Bulkhead`.

    Attributes:
        initial: attempts at once for each key, before anything was learned.
        min_limit: the least that may be learned.
        max_limit: the most that may be learned.
        algorithm: how it is learned: `Vegas()`, `Gradient2()` or `AIMD()`.
        window: seconds between two changes, at least; and at least twice the quickest answer.
        max_window: seconds that a slow answer stretches the window to, at most.
        min_samples: answers that a window has, at least.
        queue: calls that may wait for one key; 0 refuses at once. Where it is full, the least important makes room for
            a more important one.
        max_wait: seconds a call may wait for its permit, and never more than half of what its deadline leaves; 0
            refuses at once, None sets no other limit.
        key: what has a limit of its own: each "origin", "host" or "route", the whole "client", or each text a function
            gives.
        state: where permits are counted; give one to share it between clients of one clock.
    """

    initial: int = 20
    min_limit: int = 1
    max_limit: int = 200
    algorithm: Algorithm = field(default_factory=Vegas)
    window: float = 1.0
    max_window: float = 30.0
    min_samples: int = 50
    queue: int = 100
    max_wait: float | None = 10.0
    key: Key = "origin"
    state: State[PermitCommand] | None = field(default=None, compare=False, repr=False)
    door: Door | None = field(default=None, init=False, compare=False, repr=False)
    stage = Stage.BULKHEAD

    def __post_init__(self) -> None:
        name = "AdaptiveConcurrency"
        check_whole(name, 1, min_limit=self.min_limit, min_samples=self.min_samples)
        check_whole(name, self.min_limit, max_limit=self.max_limit)
        check_whole(name, self.min_limit, most=self.max_limit, initial=self.initial)
        check_above_zero(name, window=self.window)
        check_at_least(name, self.window, max_window=self.max_window)
        check_whole(name, 0, queue=self.queue)
        check_at_least(name, 0, off="half of what the deadline leaves", max_wait=self.max_wait)
        check_key(name, self.key)
        if isinstance(self.algorithm, type) or not hasattr(self.algorithm, "fresh"):
            raise ConfigurationError(
                f"{name}(algorithm={self.algorithm!r}): give Vegas(), Gradient2(), AIMD(), or what has fresh()"
            )
        if self.state is not None:
            object.__setattr__(self, "door", Door(name, self.state, self.queue, self.max_wait))

    def bind(self, runtime: Runtime) -> AdaptiveConcurrency:
        """This policy with limits of its own, unless it was given a state."""
        if self.state is not None:
            return self
        return replace(self, state=PermitState(lambda: LearningPermits(self), runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when there is a permit for it.

        Raises:
            BulkheadFull: there is none, and no room to wait for one, or no turn came in time.
            LoadShed: its place in the line went to a more important call.
        """
        door, key = self.door, key_of(self.key, request)
        assert door is not None, "bind() first: a pipeline does"
        token = (door.short.take(key) if door.short is not None else 0) or await door.enter(key, request, context)
        began = context.runtime.now()
        try:
            response = await proceed(request, context)
            leave = _ended(token, began, request, context, response)
        except BaseException as error:
            await self._give_up(key, token, began, request, context, error)
            raise
        if response.stream is not None:
            response.stream = HeldStream(response.stream, lambda: self._leave(key, leave, request, context))
            return response
        await self._leave(key, leave, request, context)
        return response

    async def _give_up(
        self, key: str, token: int, began: float, request: Request, context: Context, error: BaseException
    ) -> None:
        leave = Leave(token)  # teaches nothing, where the client's own classify fails
        try:
            leave = _ended(token, began, request, context, error)
        finally:
            await self._leave(key, leave, request, context)

    async def _leave(self, key: str, leave: Leave, request: Request, context: Context) -> None:
        assert self.door is not None
        change = await self.door.leave(key, leave)
        if change is not None:
            before, after = map(int, change)
            context.tell(ConcurrencyChanged, request, key=key, before=before, after=after)

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether it would pass, wait or be refused now."""
        assert self.door is not None, "bind() first: a pipeline does"
        return await self.door.forecast(key_of(self.key, request), context)


def _ended(token: int, began: float, request: Request, context: Context, result: Response | BaseException) -> Leave:
    """What an attempt's end teaches: nothing, if it was never sent, or if its caller gave it up before the deadline."""
    took = context.runtime.now() - began
    if isinstance(result, Response):
        return _answered(token, took, request, context, result)
    sent = context.exchange is not None and context.exchange.handed_over and not context.exchange.unsent
    if not sent or isinstance(result, RefusedError):
        return Leave(token)
    if isinstance(result, Exception) and not isinstance(result, DeadlineExceeded):
        return _answered(token, took, request, context, result)
    return Leave(token, took, dropped=True) if context.remaining == 0 else Leave(token)


def _answered(token: int, took: float, request: Request, context: Context, result: Response | Exception) -> Leave:
    dropped = context.classify(request, result).kind in {Kind.FAILED, Kind.THROTTLED}
    return Leave(token, dropped=True) if dropped else Leave(token, took)
