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
from typing import ClassVar, Final, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass

Costs: TypeAlias = tuple[int, ...]
"""Units of each dimension of a limit, in its order."""
ONE: Final[Costs] = (1,)


@dataclass(frozen=True, slots=True)
class Take:
    """Give me a token, or tell me how long to wait for one."""

    costs: Costs = ONE
    ahead: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Peek:
    """How long until I could have a token, at the earliest, with `ahead` others served before me?

    `before` is what those others take together; none where it is empty.
    """

    ahead: int = 0
    costs: Costs = ONE
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
