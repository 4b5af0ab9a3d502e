"""Hedging: where an answer is slower than nearly all of late, the request is sent a second time, and the first good
answer counts.

A server's slowest answers are mostly slow by chance: a queue, a collection, a lost packet. A second copy of the request
has a new chance, so the slowest hundredth becomes about as slow as delay plus an ordinary answer, for a few percent
more load (Dean and Barroso, "The Tail at Scale", CACM 2013).

The delay is a percentile of the route's own latency lately, taken at the upper end of its error: where answers differ
by less than that, the lower end would hedge ordinary ones. One sample is taken per call: how long its first copy took.
Where a hedge was quicker, the first copy is cut off, and what it had taken by then, more than the delay, counts: left
out, the slow answers would be missing from what is learned, the delay would fall from window to window, and the budget
would be spent on ordinary answers. A hedge that was cut off tells nothing, and neither does a call that was cancelled
or failed.

Hedged is what is safe, methods that only read, bodies that can be sent again, and what has more time left than the
delay. Hedging does not help a server that is ill, so a hedge that is due is given up, for the first of these reasons:

    throttled           a copy of this call was told to come less often
    what a policy says  breaker, limiter or another of the attempt level would hold it back or refuse it now
    budget              hedges, and retries where both share a budget, already add too much load

The winner is the first good answer, not the first: an error of one copy is no end while another runs. Where all fail,
the last failure stands, for retry to judge. Losers are cancelled, in a sync client aborted, their connections closed.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field, replace
from typing import Final, cast

from rest_api_client.attempts import close
from rest_api_client.checks import check_above_zero, check_flag, check_share, check_whole
from rest_api_client.context import Context
from rest_api_client.events import HedgeDecided, HedgeEnded
from rest_api_client.exceptions import CapabilityError, ConfigurationError, HookError
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Note, Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Policy, Stage, bound
from rest_api_client.policies.budget import DEPOSIT, WITHDRAW, BudgetCommand, RetryBudget
from rest_api_client.policies.keys import key_of
from rest_api_client.policies.latency import ERROR, LatencyCommand, Quantile, Sample, latencies
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.state import State
from rest_api_client.reasons import (
    HEDGE,
    HEDGE_LOST,
    HEDGE_WON,
    LATENCY_UNKNOWN,
    NO_BUDGET,
    NO_TIME,
    NOT_SAFE_TO_HEDGE,
    OVERTAKEN,
    PROBE,
    THROTTLED,
)
from rest_api_client.runtime import Runtime
from rest_api_client.transport import Capability, Transport
from rest_api_client.typing import Proceed

NAME: Final = "Hedging"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LEAST_DELAY: Final = 0.001
"""Seconds: below a millisecond a hedge costs more than it can win (Finagle's backup requests have the same floor)."""

_GOOD: Final = frozenset({Kind.OK, Kind.REJECTED})
_OWN_BUDGET: Final = RetryBudget(ratio=0.05, min_per_second=0.0)


@dataclass(frozen=True, kw_only=True)
class Hedging:
    """Sends a slow request again, and takes the first good answer.

    Attributes:
        percentile: the share of answers, lately and on this route, that come before a hedge is sent.
        delay: seconds to wait instead while there are too few samples; None: nothing is hedged until then.
        min_samples: answers of a route, in the last 30 to 60 s, from which on its percentile counts.
        max_hedges: copies beside the first, each one delay after the one before.
        methods: what may be hedged. A server must be able to act on two copies as on one.
        hedge_unabortable: hedge also where the engine cannot abort a copy that lost; it then runs to its end, and holds
            its connection.
        budget: how much load hedges may add, per origin, where no `state` is given.
        state: a budget shared with others, in the first place with retries (`RetryConfig(state=...)`), which then pay
            in for each call; hedges only take out.
        times: where latencies are learned; give one to share them between clients of one clock.
    """

    percentile: float = 0.95
    delay: float | None = None
    min_samples: int = 20
    max_hedges: int = 1
    methods: frozenset[str] = SAFE_METHODS
    hedge_unabortable: bool = False
    budget: RetryBudget = _OWN_BUDGET
    state: State[BudgetCommand] | None = field(default=None, compare=False, repr=False)
    times: State[LatencyCommand] | None = field(default=None, compare=False, repr=False)
    _own: State[BudgetCommand] | None = field(default=None, init=False, compare=False, repr=False)
    stage = Stage.HEDGE

    def __post_init__(self) -> None:
        check_share(NAME, zero=False, percentile=self.percentile)
        check_above_zero(NAME, off="no hedge before latencies are known", delay=self.delay)
        check_whole(NAME, 1, min_samples=self.min_samples)
        check_whole(NAME, 1, most=5, max_hedges=self.max_hedges)
        check_flag(NAME, hedge_unabortable=self.hedge_unabortable)
        if isinstance(self.methods, str) or not all(isinstance(method, str) for method in self.methods):
            raise ConfigurationError(f"{NAME}(methods={self.methods!r}): give a set of methods, as {{'GET', 'HEAD'}}")
        object.__setattr__(self, "methods", frozenset(self.methods))

    def bind(self, runtime: Runtime) -> Hedging:
        """This policy with latencies, and a budget, of its own, unless it was given them."""
        bound = replace(self, times=self.times or latencies(runtime.now))
        if self.state is None:
            object.__setattr__(bound, "_own", self.budget.memory(runtime.now))
        return bound

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request, and once more where the answer is slow.

        Raises:
            CapabilityError: the engine cannot abort a copy that lost; nothing was sent.
        """
        assert context.call.chain is not None, "a pipeline sets it"
        self.check_engine(context.call.chain.transport)
        if not self._safe(request):
            return await proceed(request, context)
        if self._own is not None:
            await self._own.apply(str(request.url.origin), DEPOSIT)
        route = key_of("route", request)
        delay, left = await self._delay(route), context.remaining
        copies = _Copies(self, request, context, proceed, delay or 0.0)
        hedged = delay is not None and (left is None or delay < left)
        result = await (copies.race() if hedged else copies.alone())
        if copies.sample is not None:
            assert self.times is not None
            await self.times.apply(route, Sample(copies.sample))
        if isinstance(result, Exception):
            raise result
        return result

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """When a hedge would be sent, or why none."""
        if not self._safe(request):
            return Forecast(policy=NAME, reason=NOT_SAFE_TO_HEDGE, text=f"a {request.method} is not hedged")
        delay, left = await self._delay(key_of("route", request)), context.remaining
        if delay is None:
            text = f"no hedge is sent until {self.min_samples} answers of this route were timed"
            return Forecast(policy=NAME, reason=LATENCY_UNKNOWN, text=text)
        facts = {"delay": delay, "max_hedges": self.max_hedges}
        if left is not None and delay >= left:
            text = f"no hedge is sent: it would be due in {delay:.3g} s, and {left:.3g} s are left"
            return Forecast(policy=NAME, reason=NO_TIME, text=text, facts=facts)
        return Forecast(policy=NAME, text=f"a hedge is sent if no answer comes in {delay:.3g} s", facts=facts)

    def _safe(self, request: Request) -> bool:
        return request.method in self.methods and request.body.replayable

    def check_engine(self, transport: Transport) -> None:
        """Refuse an engine that cannot abort a copy that lost; a client asks when it is made.

        Raises:
            CapabilityError: it cannot.
        """
        if self.hedge_unabortable or Capability.ABORT in transport.capabilities:
            return
        raise CapabilityError(
            f"hedging needs an engine that can abort a copy that lost, and {transport.name!r} cannot: "
            "choose engine='httpx', or Hedging(hedge_unabortable=True) and let losers run to their end"
        )

    async def _delay(self, route: str) -> float | None:
        """Seconds until the first hedge; None where it is not known."""
        assert self.times is not None, "bind() first: a pipeline does"
        learned = (await self.times.apply(route, Quantile(self.percentile, self.min_samples))).value
        delay = self.delay if learned is None else learned / (1 - ERROR)
        return None if delay is None else max(delay, LEAST_DELAY)

    async def pay(self, request: Request) -> bool:
        """Take a hedge out of the budget."""
        budget = self.state or self._own
        assert budget is not None, "bind() first: a pipeline does"
        return (await budget.apply(str(request.url.origin), WITHDRAW)).verdict == "allow"


def settle_hedging(
    given: Sequence[Policy], policies: Sequence[Policy], transport: Transport, runtime: Runtime
) -> list[Policy]:
    """The policies of a chain, where hedges and retries draw on one budget, unless hedging was given one.

    Args:
        given: the policies as their maker gave them.
        policies: the same, some of them with a state already.
        transport: the chain's end.
        runtime: the chain's.

    Raises:
        CapabilityError: the transport cannot abort a copy that lost.
    """
    settled = list(policies)
    retry = next((n for n, policy in enumerate(policies) if isinstance(policy, RetryConfig)), None)
    for place, policy in enumerate(policies):
        if not isinstance(policy, Hedging):
            continue
        policy.check_engine(transport)
        mine = given[place]
        if retry is None or not isinstance(mine, Hedging) or mine.state is not None:
            continue
        settled[retry] = bound(settled[retry], runtime)
        state = cast("RetryConfig", settled[retry]).state
        if state is not None:
            settled[place] = replace(policy, state=state)
    return settled


@dataclass(eq=False, slots=True)
class _Copy:
    """One copy of the request: its path, and how it ended, if it did.

    `last` says that nothing may follow it: it is good, or no other was running when it ended.
    """

    number: int
    context: Context
    began: float
    result: Response | Exception | None = None
    kind: Kind | None = None
    last: bool = False
    seconds: float = 0.0


class _Copies:
    """All copies of one call. They run in tasks, or in threads: what they share is locked."""

    def __init__(self, policy: Hedging, request: Request, context: Context, proceed: Proceed, delay: float) -> None:
        self._policy = policy
        self._request = request
        self._context = context
        self._proceed = proceed
        self._delay = delay
        self._lock = threading.Lock()
        self._copies: list[_Copy] = []
        self._running = 0
        self._over = False
        self._pushed_back = False
        self._declined: list[str] = []
        self.sample: float | None = None

    async def alone(self) -> Response:
        """Send one copy, in the caller's own thread or task."""
        context = self._context
        first = _Copy(0, context, context.runtime.now())
        response = await self._proceed(self._request, context)
        first.kind = context.classify(self._request, response).kind
        self._take_sample(first)
        return response

    async def race(self) -> Response | Exception:
        """Send the first copy, and further ones when they are due; give what counts."""
        starts: list[Callable[[], Awaitable[_Copy | None]]] = [self._send, *[self._hedge] * self._policy.max_hedges]
        delays = [number * self._delay for number in range(len(starts))]
        try:
            winner = await self._context.runtime.race(starts, delays, _ends, _discard)
        except RuntimeError:  # the system has no thread left
            if self._copies:
                raise
            winner = None
        if winner is None:  # no copy was sent: the first had no thread, and each hedge was declined or had none either
            return await self.alone()
        assert winner.result is not None
        self._settle(winner)
        return winner.result

    async def _hedge(self) -> _Copy | None:
        decision = await self._decide()
        self._context.tell(HedgeDecided, self._request, decision=decision, delay=self._delay)
        if decision == HEDGE:
            return await self._send()
        self._declined.append(decision)
        return None

    async def _decide(self) -> str:
        """HEDGE, or why not."""
        if self._pushed_back:
            return THROTTLED
        for forecast in await self._context.forecast(self._request):
            if forecast.verdict in {"wait", "refuse"} or forecast.reason == PROBE:  # no moment for a second
                return forecast.reason
        return HEDGE if await self._policy.pay(self._request) else NO_BUDGET

    async def _send(self) -> _Copy | None:
        """Send a copy and tell how it ended; None where all was over before it was sent."""
        copy = self._begin()
        if copy is None:
            return None
        context = copy.context
        try:
            result: Response | Exception = await self._proceed(self._request, context)
            kind = context.classify(self._request, result).kind
        except HookError as error:
            result, kind = error, Kind.REJECTED
        except Exception as error:
            result, kind = error, context.classify(self._request, error).kind
        return self._end(copy, result, kind)

    def _begin(self) -> _Copy | None:
        context = Context(self._context.call)
        context.withheld = self._context.withheld
        with self._lock:
            if self._over:
                return None
            copy = _Copy(len(self._copies), context, context.runtime.now())
            self._copies.append(copy)
            self._running += 1
        return copy

    def _end(self, copy: _Copy, result: Response | Exception, kind: Kind) -> _Copy:
        with self._lock:
            self._running -= 1
            self._pushed_back |= kind is Kind.THROTTLED
            copy.last = kind in _GOOD or not self._running
            self._over |= copy.last
            copy.seconds = copy.context.runtime.now() - copy.began
            copy.result, copy.kind = result, kind
        return copy

    def _settle(self, winner: _Copy) -> None:
        """Write down how the copies ended, and take the sample."""
        first, *hedges = self._copies
        self._context.record = winner.context.record
        self._take_sample(first)
        for decision in self._declined:
            self._note(first, decision)
        if not hedges:
            return
        good = winner.kind in _GOOD
        for hedge in hedges:
            self._note(hedge, HEDGE, self._delay)
            if good:
                self._note(hedge, HEDGE_WON if hedge is winner else HEDGE_LOST)
        if good and winner is not first:
            self._note(first, OVERTAKEN)
        self._context.tell(
            HedgeEnded, self._request, copies=len(self._copies), winner=winner.number + 1 if good else None
        )

    def _take_sample(self, first: _Copy) -> None:
        """The first copy's time, less what our own policies held it back; of one cut off, as far as it had come."""
        if isinstance(first.result, Exception) or (first.kind is not None and first.kind not in _GOOD):
            return
        waits = sum(note.wait for note in self._context.call.attempts[first.context.record].notes)
        seconds = first.seconds if first.result is not None else self._context.runtime.now() - first.began
        self.sample = seconds - waits

    def _note(self, copy: _Copy, reason: str, wait: float = 0.0) -> None:
        call, place = self._context.call, copy.context.record
        with call.lock:
            call.attempts[place].notes += (Note(NAME, reason, wait),)


def _ends(copy: _Copy | None) -> bool:
    return copy is not None and copy.last


async def _discard(copy: _Copy | None) -> None:
    if copy is not None and isinstance(copy.result, Response):
        await close(copy.result)
