"""What a limit is asked, and how it counts what is under way.

A request takes a token (`Take`), for so many units of each dimension of the limit: `costs`. Until its answer or its
error is back (`Land`) nobody knows when it reached the server, only that it did so in between. So a token counts as in
use all that time, and as used at the moment it landed, the latest one possible. Counted like that the bound holds where
it matters, at the server's door, however much the network delays or bunches requests; and at sending as well. A request
that provably never left gives its token back (`Return`). `dimensions` has the limits that count so.

The price: a token is away for the request's own duration too, so that `calls` per period + latency go through, and a
bucket reaches its full rate only with burst >= 1 + rate * latency.

Moments are kept as they were told. What a wait adds up to is never rounded to before the moment itself.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

Costs: TypeAlias = tuple[int, ...]
"""Units of each dimension of a limit, in its order."""


@dataclass(frozen=True, slots=True)
class Take:
    """Give me a token, or tell me how long to wait for one."""

    costs: Costs = (1,)
    ahead: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Peek:
    """How long until I could have a token, at the earliest, with `ahead` others served before me?

    `before` is what those others take together; none where it is empty.
    """

    ahead: int = 0
    costs: Costs = (1,)
    before: Costs = ()


@dataclass(frozen=True, slots=True)
class Land:
    """The request of this token has been answered, or has failed; it cost so much, or what it was taken for (None)."""

    token: int
    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """The request of this token never left."""

    token: int


QuotaCommand: TypeAlias = Take | Peek | Land | Return
TAKE = Take()


def until(moment: float, now: float) -> float:
    """Seconds from now to a moment: 0 if it has come, else never so few that now plus them falls short of it."""
    wait = moment - now
    if wait <= 0:
        return 0.0
    return wait if now + wait >= moment else wait + math.ulp(moment)


def window_wait(
    calls: int, period: float, landed: Sequence[float], flying: Collection[int], ahead: int, now: float
) -> float:
    """Seconds until a token is free for the one behind `ahead` others; a lower bound where it hangs on open answers.

    Args:
        calls: tokens there are.
        period: seconds until a used token is back.
        landed: when tokens were used, in rising order; also longer ago than a period.
        flying: tokens in use.
        ahead: how many are served first.
        now: the present moment.
    """
    start = bisect_right(landed, now, key=lambda moment: moment + period)
    used = len(landed) - start + len(flying)
    free = max(0, calls - used)
    rounds, turn = divmod(ahead, calls)
    if turn < free:
        return rounds * period
    place = start + max(0, used - calls) + turn - free
    back = until(landed[place] + period, now) if place < len(landed) else period
    return back + rounds * period
