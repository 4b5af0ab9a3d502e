"""Concurrency(calls): at most `calls` at once, however long they take."""

from __future__ import annotations

import math

from mockserver.limits.verdict import Label, Verdict, check_cost, check_positive, check_share, check_whole


class Concurrency:
    """So many calls may run at once; each is given back when it has ended (`release`).

    Args:
        calls: units that may be taken at once.
        retry_after: what a refused call is told, in seconds. Nobody can know when a running call ends, so this is a
            guess as real servers make it; None says nothing.
        name: the limit's, for headers that name it.
        unit: what is counted.
    """

    def __init__(
        self, calls: int, *, retry_after: float | None = None, name: str = "default", unit: str = "requests"
    ) -> None:
        self.calls = check_whole("calls", calls)
        self.retry_after = None if retry_after is None else check_positive("retry_after", retry_after)
        self._label = Label(name, unit, self.calls, 0.0)
        self._taken = 0

    @property
    def quota(self) -> int:
        """Units that may be taken at once."""
        return self.calls

    @property
    def window(self) -> float:
        """0: time alone brings nothing back."""
        return 0.0

    def admit(self, now: float, cost: int = 1) -> Verdict:
        """Decide about a call, and take its cost if allowed; `release` gives it back."""
        verdict = self.peek(now, cost)
        if verdict.allowed:
            self._taken += cost
        return verdict

    def peek(self, now: float, cost: int = 1) -> Verdict:
        """What `admit` would say; nothing is taken."""
        check_cost(cost)
        allowed = self._taken + cost <= self.calls
        spent = self._taken + (cost if allowed else 0)
        wait = math.inf if self.retry_after is None or cost > self.calls else self.retry_after
        reset = 0.0 if not spent else math.inf if allowed else wait
        return self._label.verdict(allowed=allowed, remaining=self.calls - spent, wait=wait, reset=reset)

    def release(self, cost: int = 1) -> None:
        """A call has ended.

        Raises:
            RuntimeError: more was given back than taken.
        """
        if cost > self._taken:
            raise RuntimeError(f"release({cost}) of a limit of which {self._taken} is taken: release each call once")
        self._taken -= cost

    def unused(self) -> Concurrency:
        """The same settings, nothing running."""
        return self.scaled(1)

    def scaled(self, share: float) -> Concurrency:
        """That share of the calls."""
        check_share(share)
        calls = max(1, math.floor(self.calls * share))
        return Concurrency(calls, retry_after=self.retry_after, name=self._label.name, unit=self._label.unit)

    def describe(self) -> dict[str, object]:
        """The kind and its settings."""
        return self._label.describe("concurrency", calls=self.calls, retry_after=self.retry_after)
