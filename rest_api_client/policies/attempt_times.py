"""Attempt times: an attempt that cannot finish is not started.

With 50 ms left on a route whose answers take 200 ms, an attempt costs a connection and the server's work, and ends in
the same `DeadlineExceeded` as no attempt, only later. So each route's latency is learned, and where the time left is
less than its median, the call ends at once, chained from the last real error.

The median, because it is wrong in both directions equally often: with less time than that an attempt fails more often
than it succeeds. It counts from 20 answers within the last 30 to 60 s on. A route that is refused brings no samples, so
it is tried again when the window has forgotten.

What is a sample: an attempt that was answered, less the time that our own policies held it back, where they noted it.
Failures and refusals are quick for the wrong reason, and what was cancelled or cut off by a deadline says how long
somebody was willing to wait.

Nearly every call has far more time than any route takes, and is only compared with the longest sample so far; and at
most a hundred samples a second are taken, whatever the traffic. So the usual pass costs well below a microsecond.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import field, replace
from math import inf
from typing import Final

from rest_api_client.checks import check_share, check_whole
from rest_api_client.context import Context
from rest_api_client.events import NotStarted
from rest_api_client.exceptions import DeadlineExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.keys import key_of
from rest_api_client.policies.latency import ERROR, LatencyCommand, Quantile, Sample, latencies
from rest_api_client.policies.state import State
from rest_api_client.reasons import WOULD_NOT_FINISH
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME: Final = "AttemptTimes"
GAP: Final = 0.01
"""Seconds from one sample to the next, at least: a hundred a second are enough for a median."""

_ANSWERED: Final = frozenset({Kind.OK, Kind.REJECTED})


class _Gate:
    """What the usual pass looks at.

    A thread that reads an old value takes a sample too many, or asks once in vain: no lock is needed.

    Attributes:
        next: the moment from which on the next sample is taken.
        enough: seconds that no median can exceed, since no sample did.
    """

    __slots__ = ("enough", "next")

    def __init__(self, enough: float) -> None:
        self.next = 0.0
        self.enough = enough


@dataclass(frozen=True, kw_only=True)
class AttemptTimes:
    """Learns how long attempts take, and does not start one that the deadline would cut off.

    Attributes:
        percentile: the share of answers, lately and on this route, that come within the time that must be left.
        min_samples: answers of a route, in the last 30 to 60 s, from which on its percentile counts.
        times: where latencies are learned; give one to share them between clients of one clock.
    """

    percentile: float = 0.5
    min_samples: int = 20
    times: State[LatencyCommand] | None = field(default=None, compare=False, repr=False)
    _gate: _Gate = field(default_factory=lambda: _Gate(inf), init=False, compare=False, repr=False)
    stage = Stage.ATTEMPT_TELEMETRY

    def __post_init__(self) -> None:
        check_share(NAME, zero=False, percentile=self.percentile)
        check_whole(NAME, 1, min_samples=self.min_samples)

    def bind(self, runtime: Runtime) -> AttemptTimes:
        """This policy with latencies of its own, unless it was given some: then others may learn longer ones."""
        if self.times is not None:
            return self
        bound = replace(self, times=latencies(runtime.now))
        object.__setattr__(bound, "_gate", _Gate(0.0))
        return bound

    def __call__(self, request: Request, context: Context, proceed: Proceed) -> Awaitable[Response]:
        """Make the attempt, and learn how long it takes.

        Raises:
            DeadlineExceeded: at once, where the attempt would not finish in the time left.
        """
        now, deadline, gate = context.runtime.now(), context.call.deadline, self._gate
        if now < gate.next and (deadline is None or deadline - now >= gate.enough):
            return proceed(request, context)
        return self._watched(request, context, proceed, now)

    async def _watched(self, request: Request, context: Context, proceed: Proceed, now: float) -> Response:
        deadline, gate = context.call.deadline, self._gate
        if deadline is not None and deadline - now < gate.enough:
            await self._check(request, context, deadline - now)
        if now < gate.next:
            return await proceed(request, context)
        gate.next = now + GAP
        response = await proceed(request, context)
        if context.classify(request, response).kind in _ANSWERED:
            await self._learn(request, context, context.runtime.now() - now)
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """How long the attempt is expected to take, and whether it would be started."""
        takes, left = await self._takes(request), context.remaining
        if takes is None:
            return Forecast(policy=NAME, text="this route's latency is not known yet")
        if left is not None and takes > left:
            text = f"an attempt takes about {takes:.3g} s, and {left:.3g} s are left"
            return Forecast(policy=NAME, verdict="refuse", reason=WOULD_NOT_FINISH, text=text, takes=takes)
        return Forecast(policy=NAME, text=f"an attempt takes about {takes:.3g} s", takes=takes)

    async def _takes(self, request: Request) -> float | None:
        assert self.times is not None, "bind() first: a pipeline does"
        asked = Quantile(self.percentile, self.min_samples)
        return (await self.times.apply(key_of("route", request), asked)).value

    async def _check(self, request: Request, context: Context, left: float) -> None:
        takes = await self._takes(request)
        if takes is None or takes <= left:
            return
        left = max(0.0, left)
        context.note(NAME, WOULD_NOT_FINISH)
        context.tell(NotStarted, request, takes=takes, left=left, reason=WOULD_NOT_FINISH)
        raise DeadlineExceeded(
            f"{request.label}: not started, an attempt takes about {takes:.3g} s and {left:.3g} s are left",
            request=request,
        ) from context.call.cause()

    async def _learn(self, request: Request, context: Context, seconds: float) -> None:
        assert self.times is not None
        seconds -= sum(note.wait for note in context.notes)
        gate = self._gate
        gate.enough = max(gate.enough, seconds * (1 + 2 * ERROR))
        await self.times.apply(key_of("route", request), Sample(seconds))
