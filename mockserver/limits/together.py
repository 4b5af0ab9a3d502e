"""Several limits at once: a call passes if all admit it, and nothing is taken when one refuses.

Taken from those that came first, a refused call would cost quota although it was never served. So all are asked first
and only then is anything taken; between the two nobody else can come, because limits are asked on one loop.

A call refused by some may come when the last of these admits it: none of the others gets tighter by waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mockserver.limits.verdict import Limit, Verdict


def admit_all(asked: Sequence[tuple[Limit, int]], now: float) -> Verdict:
    """Ask several limits about one call, each at its cost, and take from all of them or from none.

    Returns:
        the tightest verdict, with those of all limits as its `parts`; of a single limit, its own.

    Raises:
        ValueError: no limit was given.
    """
    verdict = peek_all(asked, now)
    if verdict.allowed:
        for limit, cost in asked:
            limit.admit(now, cost)
    return verdict


def peek_all(asked: Sequence[tuple[Limit, int]], now: float) -> Verdict:
    """What `admit_all` would say; nothing is taken."""
    if not asked:
        raise ValueError("give at least one limit")
    parts = tuple(limit.peek(now, cost) for limit, cost in asked)
    if not all(part.allowed for part in parts):
        # Whoever would have admitted the call keeps what it would have cost.
        parts = tuple(
            limit.peek(now, 0) if part.allowed else part for part, (limit, _) in zip(parts, asked, strict=True)
        )
    return parts[0] if len(parts) == 1 else replace(_tightest(parts), parts=_each(parts))


def _tightest(parts: tuple[Verdict, ...]) -> Verdict:
    refused = [part for part in parts if not part.allowed]
    if refused:
        return max(refused, key=lambda part: part.retry_after)
    return min(parts, key=lambda part: (part.remaining, -part.reset))


def _each(parts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    return tuple(single for part in parts for single in part.each)


class Together:
    """Several limits as one: ten a second and a thousand an hour."""

    def __init__(self, *limits: Limit) -> None:
        if not limits:
            raise ValueError("Together needs at least one limit")
        self.limits = limits

    @property
    def quota(self) -> int:
        """The smallest quota."""
        return self._smallest.quota

    @property
    def window(self) -> float:
        """The window of the limit with the smallest quota."""
        return self._smallest.window

    @property
    def _smallest(self) -> Limit:
        return min(self.limits, key=lambda limit: limit.quota)

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Take the cost from each limit if all allow it; the verdict has what each says as its `parts`."""
        return admit_all(self._at(cost), now)

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken."""
        return peek_all(self._at(cost), now)

    def _at(self, cost: int) -> list[tuple[Limit, int]]:
        return [(limit, cost) for limit in self.limits]

    def release(self, cost: int = 1) -> None:
        """An allowed call has ended."""
        for limit in self.limits:
            limit.release(cost)

    def unused(self) -> Together:
        """The same limits, unused."""
        return Together(*(limit.unused() for limit in self.limits))

    def scaled(self, share: float) -> Together:
        """That share of each."""
        return Together(*(limit.scaled(share) for limit in self.limits))

    def describe(self) -> dict[str, object]:
        """The kind and the limits."""
        return {"kind": "together", "limits": [limit.describe() for limit in self.limits]}
