"""What every limit is asked, and what it answers. Limits are pure objects which are told the time and never wait.

`admit(now, cost)` decides about one call arriving at `now` (seconds, never going back) and takes its cost if, and only
if, it was allowed: a refused call costs nothing. `peek` says what `admit` would, and takes nothing.

The answer says when to come back. `retry_after` is the earliest moment at which this call would be allowed if nobody
else came first: asked then it is allowed, asked earlier it is not. `reset` is the time until more quota than
`remaining` is to be had, so for a call of cost 1 that was refused both are equal. (The common mistake is to say "now +
period" although the window slides.) Where nobody can know, because a running call must end first or because no quota
will ever be that large, both are infinite, and no header says anything.

A limit belongs to one server and is asked on its loop: there is no lock.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a limit says about one call. Times are seconds from now.

    Attributes:
        allowed: whether the call may pass.
        remaining: units left after it, whole ones.
        retry_after: 0 when allowed; infinite when nobody knows.
        reset: until more than `remaining` is left; infinite when nobody knows.
        quota: units that a rested client may spend at once.
        window: seconds in which a spent quota is whole again; 0 where time alone does not bring it back.
        name: the limit's.
        unit: what is counted: "requests", "tokens", "input-tokens" ...
        parts: where several limits were asked together, what each of them says; this verdict is then the tightest.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset: float
    quota: int = 0
    window: float = 0.0
    name: str = "default"
    unit: str = "requests"
    parts: tuple[Verdict, ...] = ()

    @property
    def each(self) -> tuple[Verdict, ...]:
        """The verdicts of single limits: the parts, or this one alone."""
        return self.parts or (self,)


@runtime_checkable
class Limit(Protocol):
    """What the server asks of a limit, of whatever kind."""

    @property
    def quota(self) -> int:
        """How many units a rested client may spend at once."""
        ...

    @property
    def window(self) -> float:
        """In how many seconds a spent quota is whole again; 0 where time alone does not bring it back."""
        ...

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Decide about a call arriving at `now`, and take its cost if allowed."""
        ...

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken. A cost of 0 asks how things stand."""
        ...

    def release(self, cost: int = 1) -> None:
        """An allowed call has ended. Only what counts running calls cares."""
        ...

    def unused(self) -> Limit:
        """A new limit with the same settings which has seen no call yet."""
        ...

    def scaled(self, share: float) -> Limit:
        """A new limit of the same kind with this share of the quota, 1 at least."""
        ...

    def describe(self) -> dict[str, object]:
        """The kind and its settings, for the journal."""
        ...


@dataclass(frozen=True, slots=True)
class Label:
    """What a limit is called and what it counts, and the verdicts and descriptions that say so."""

    name: str
    unit: str
    quota: int
    window: float

    def verdict(self, *, allowed: bool, remaining: int, wait: float, reset: float) -> Verdict:
        """A verdict that bears the label."""
        return Verdict(
            allowed=allowed,
            remaining=remaining,
            retry_after=0.0 if allowed else wait,
            reset=reset,
            quota=self.quota,
            window=self.window,
            name=self.name,
            unit=self.unit,
        )

    def describe(self, kind: str, **settings: object) -> dict[str, object]:
        """The kind and its settings; name and unit where they are not the usual ones."""
        told = {"name": self.name, "unit": self.unit}
        usual = {"name": "default", "unit": "requests"}
        return {"kind": kind, **settings, **{key: value for key, value in told.items() if value != usual[key]}}


def seconds_until(moment: float, now: float) -> float:
    """The least wait after which a clock that shows `now` has reached `moment`, in spite of rounding."""
    wait = moment - now
    while now + wait < moment:
        wait = math.nextafter(wait, math.inf)
    return wait


def whole_seconds(seconds: float) -> int:
    """Rounded up, so that whoever waits that long has waited long enough: rounded down, he would be refused again."""
    return math.ceil(seconds)


def check_whole(name: str, value: int) -> int:
    """A whole number of at least 1.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def check_positive(name: str, value: float) -> float:
    """A finite number above 0.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return float(value)


def check_cost(cost: int) -> None:
    """A whole number, 0 or more.

    Raises:
        ValueError: it is none.
    """
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 0:
        raise ValueError(f"cost must be a whole number, 0 or more, not {cost!r}")


def check_share(share: float) -> None:
    """A share above 0, at most 1.

    Raises:
        ValueError: it is none.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie above 0 and be at most 1, not {share!r}")
