"""How much load retries add: attempts of one call, and requests per call in any few seconds.

Amplification is what turns an outage into a longer one: each layer that retries multiplies what the server gets when it
can bear it least. It is judged where there is a crowd: in any `per` seconds with at least `calls` named calls. Only
named calls count (`x-call-id`, or the journal's `identify`), because assumed ones rest on the repeats themselves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from mockserver.journal import Entry
from mockserver.rules.calls import Call, calls
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AttemptsBounded:
    """No call is tried more than `most` times.

    Attributes:
        most: attempts on one target; redirects and pages are others.
    """

    most: int = 10

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"AttemptsBounded(most={self.most!r}): must be at least 1")

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation per call."""
        for call in calls(entries):
            if len(call.entries) > self.most:
                yield from self._judge(call)

    def _judge(self, call: Call) -> Iterable[Violation]:
        targets = Counter((entry.method, entry.path, entry.query) for entry in call.entries)
        target, times = targets.most_common(1)[0]
        if times > self.most:
            yield Violation(
                rule="attempts",
                text=f"{call.said} was tried {times} times; {self.most} is the most.",
                mend="bound the attempts of a call, and its time by a deadline",
                entries=tuple(each for each in call.entries if (each.method, each.path, each.query) == target),
            )


@dataclass(frozen=True, kw_only=True)
class AmplificationBounded:
    """Retries do not multiply the load.

    Attributes:
        most: requests per call.
        per: seconds over which both are counted.
        calls: fewer calls in that time are not judged.
    """

    most: float = 2.0
    per: float = 10.0
    calls: int = 20

    def __post_init__(self) -> None:
        if not (self.most >= 1 and self.per > 0 and self.calls >= 1):
            raise ValueError(f"{self!r}: most must be at least 1, per above 0 seconds, calls at least 1")

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """The worst stretch of time, if it is too bad."""
        window: deque[Entry] = deque()
        requests: Counter[str] = Counter()
        worst = self.most
        found: tuple[Entry, ...] = ()
        for entry in entries:
            if entry.call_id is None:
                continue
            window.append(entry)
            requests[entry.call_id] += 1
            while entry.arrived - window[0].arrived >= self.per:
                gone = window.popleft().call_id
                assert gone is not None
                requests[gone] -= 1
                if not requests[gone]:
                    del requests[gone]
            if len(requests) >= self.calls and len(window) / len(requests) > worst:
                worst, found = len(window) / len(requests), tuple(window)
        if found:
            yield Violation(
                rule="amplification",
                text=f"{len(found)} requests for {len({each.call_id for each in found})} calls within "
                f"{found[-1].arrived - found[0].arrived:.3f} s: {worst:.1f} for each; {self.most:g} is the most.",
                mend="give retries a budget that all calls share (a share of the calls, not a number per call), "
                "and retry in one layer only",
                entries=found,
            )
