"""What a limit counts: one or several dimensions at once, each in units of its own.

A request costs so many units of each dimension (1 request, 1,200 tokens, 40,000 bytes). It gets all it costs or
nothing, and pays at the moment it lands, the latest at which it can have reached the server (`quotas` says why). Two
kinds of dimension, both exact:

    Window(amount, period)   at most `amount` units arrive in ANY window of `period` seconds
    Bucket(rate, burst)      at most burst + rate * w units arrive in any window of w seconds

What a request really cost may be known only from its answer. It then lands with that: what was too much is free at
once, what was too little is a debt, for which those who come later wait. A request that costs nothing of a dimension
does not wait for it, debt or not.

Costs are whole numbers, so that a sum never depends on the order of its parts. A wait is a lower bound: exact when
nothing is under way, and never longer than necessary, unless something under way is given back.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from rest_api_client.checks import check_above_zero, check_at_least, check_whole
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.quotas import ONE, Costs, Land, Peek, QuotaCommand, Take, until
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.reasons import COST_TOO_LARGE, OWN_LIMIT


@dataclass(frozen=True, kw_only=True)
class Window:
    """At most `amount` units in any window of `period` seconds.

    Attributes:
        amount: units; a request may cost at most so many.
        period: seconds.
    """

    amount: int
    period: float

    def __post_init__(self) -> None:
        check_whole("Window", 1, amount=self.amount)
        check_above_zero("Window", period=self.period)

    def fresh(self, reason: str) -> Count:
        """An empty count."""
        return WindowCount(self, reason)


SLOWEST: Final = 1e-9
"""Units a second: one in 32 years. With fewer, the moment at which one is back is none that a clock can show."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """`rate` units a second in the long run, `burst` at once after a rest.

    Attributes:
        rate: units a second.
        burst: units; a request may cost at most so many. A second's worth unless given.
    """

    rate: float
    burst: int | None = None

    def __post_init__(self) -> None:
        check_at_least("Bucket", SLOWEST, unit="a number", rate=self.rate)
        check_whole("Bucket", 1, off="a second's worth", burst=self.burst)

    def fresh(self, reason: str) -> Count:
        """A full bucket."""
        return BucketCount(self, reason)


Dimension: TypeAlias = Window | Bucket


class Count(Protocol):
    """What is used of one dimension, by whom it is asked told the time.

    Attributes:
        reason: the fixed words by which it is known where it makes somebody wait.
        most: units there are at once.
        flying: units taken by what is under way.
    """

    reason: str
    most: int
    flying: int

    def wait(self, cost: int, before: int, now: float) -> float:
        """Seconds until `cost` units can be had, after `before` units that others take first."""
        ...

    def use(self, cost: int, now: float) -> None:
        """Count units as used now."""
        ...


class WindowCount:
    """Units come back one period after they were used.

    `_used` has a pair for each moment at which units were used: when they are back, and how many had been used ever,
    they included. So the moment at which the next n units are back is found by halving.
    """

    __slots__ = ("_back", "_ever", "_period", "_used", "flying", "most", "reason")

    def __init__(self, options: Window, reason: str) -> None:
        self.most = options.amount
        self.reason = reason
        self.flying = 0
        self._period = options.period
        self._used: deque[tuple[float, int]] = deque()
        self._ever = 0
        self._back = 0

    def wait(self, cost: int, before: int, now: float) -> float:
        """See `Count`."""
        used = self._used
        while used and used[0][0] <= now:
            self._back = used.popleft()[1]
        taken = self._ever - self._back + self.flying
        if taken + before + cost <= self.most:
            return 0.0
        rounds, turn = divmod(before + cost - 1, self.most)
        short = taken + turn + 1 - self.most
        if short <= 0:
            return rounds * self._period
        place = bisect_left(used, self._back + short, key=_ever_used)
        back = until(used[place][0], now) if place < len(used) else self._period
        return back + rounds * self._period

    def use(self, cost: int, now: float) -> None:
        """See `Count`."""
        if cost:
            self._ever += cost
            self._used.append((now + self._period, self._ever))


def _ever_used(pair: tuple[float, int]) -> int:
    return pair[1]


class BucketCount:
    """A bucket that refills at a steady rate. `_full_at` is when it is full again, or was, if nothing were under way.

    Kept as a moment, as in the generic cell rate algorithm (ITU-T I.371): it does not drift by being looked at.
    """

    __slots__ = ("_full_at", "_rate", "flying", "most", "reason")

    def __init__(self, options: Bucket, reason: str) -> None:
        self.most = options.burst or math.ceil(options.rate)
        self.reason = reason
        self.flying = 0
        self._rate = options.rate
        self._full_at = -math.inf

    def wait(self, cost: int, before: int, now: float) -> float:
        """See `Count`."""
        room = self.most - self.flying - before - cost
        if room >= 0:
            return until(self._full_at - room / self._rate, now)
        return until(max(self._full_at, now) - room / self._rate, now)

    def use(self, cost: int, now: float) -> None:
        """See `Count`."""
        self._full_at = max(now, self._full_at) + cost / self._rate


_NO_ROOM = Decision("refuse", reason=COST_TOO_LARGE)


_tokens = itertools.count(1)
"""No two limits give the same number: a token of one that was forgotten (too many keys, a fork) ends nothing here."""


class Limits:
    """All dimensions of one key: pure, told the time.

    Args:
        dimensions: by name; costs are given in their order.
    """

    def __init__(self, dimensions: Mapping[str, Dimension]) -> None:
        self.counts = [
            dimension.fresh(OWN_LIMIT if name == "requests" else f"{OWN_LIMIT}: {name}")
            for name, dimension in dimensions.items()
        ]
        self._only = self.counts[0] if len(self.counts) == 1 else None
        self.flying: dict[int, Costs] = {}

    def apply(self, command: QuotaCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if isinstance(command, Take):
            token = self.take(now, command.costs)
            return Decision("allow", token=token) if token else self._answer(command.costs, (), now)
        if isinstance(command, Peek):
            return self._answer(command.costs, command.before, now)
        self.land(command.token, now, command.costs if isinstance(command, Land) else ())
        return ALLOW

    def take(self, now: float, costs: Costs = ONE) -> int:
        """The number of a new token, or 0 where one has to wait for it, or waits in vain."""
        only = self._only
        if only is not None:  # the same as below, without the loops: nearly all limits have one dimension
            cost = costs[0]
            if cost and (cost > only.most or only.wait(cost, 0, now)):
                return 0
            only.flying += cost
        else:
            for count, cost in zip(self.counts, costs, strict=True):
                if cost and (cost > count.most or count.wait(cost, 0, now)):
                    return 0
            for count, cost in zip(self.counts, costs, strict=True):
                count.flying += cost
        token = next(_tokens)
        self.flying[token] = costs
        return token

    def land(self, token: int, now: float, used: Costs | None = None) -> None:
        """Take a token back, with what was used: None for what it was taken for, () for nothing.

        Each is counted once, whoever says so how often.
        """
        costs = self.flying.pop(token, None)
        if costs is None:
            return
        if self._only is not None and used is None:
            self._only.flying -= costs[0]
            self._only.use(costs[0], now)
            return
        for count, cost in zip(self.counts, costs, strict=True):
            count.flying -= cost
        for count, cost in zip(self.counts, costs if used is None else used, strict=False):
            count.use(cost, now)

    def _answer(self, costs: Costs, before: Iterable[int], now: float) -> Decision:
        ahead = [*before, *[0] * len(costs)]
        longest, reason = 0.0, ""
        for count, cost, others in zip(self.counts, costs, ahead, strict=False):
            if cost > count.most:
                return _NO_ROOM
            wait = count.wait(cost, others, now) if cost else 0.0
            if wait > longest:
                longest, reason = wait, count.reason
        return Decision("wait", longest, reason) if longest else ALLOW
