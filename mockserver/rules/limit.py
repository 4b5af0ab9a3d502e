"""The limit is kept by the bound of its kind, at arrival, by whoever was told that there is one.

Being refused is no fault: that is how most servers say what their limit is. What is judged comes after: of each caller,
all requests that arrived once its first 429 had been answered (and `grace` seconds more, for those on their way), the
refused among them as well. A client that waits as told stays within the bound; one that goes on hammering does not,
although the server lets no more of it through than before.

`told="answer"` is stricter: for clients that read the RateLimit fields, which are on every answer, the first answer of
any kind counts as being told.

Each caller is judged by itself, and each request counts as one, whatever it costs. Both can only acquit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from mockserver.journal import Entry
from mockserver.rules.bounds import Bound
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LimitKept:
    """No caller exceeds a limit that it was told.

    Attributes:
        bounds: of the limits; `check(limits=...)` adds those of the server.
        told: from which answer on a caller knows: its first "429", or its first "answer" that passed the limiter.
        grace: seconds after that answer in which requests may still be on their way.
        slack: seconds by which arrivals may be closer together than they were sent.
    """

    bounds: tuple[Bound, ...] = ()
    told: Literal["429", "answer"] = "429"
    grace: float = 0.1
    slack: float = 0.02

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation per caller and bound: the first run that broke it."""
        if not self.bounds:
            return
        callers: dict[str, list[Entry]] = {}
        for entry in entries:
            callers.setdefault(entry.caller, []).append(entry)
        for sent in callers.values():
            knows = min(
                (entry.answered for entry in sent if entry.answered is not None and self._tells(entry)), default=None
            )
            if knows is not None:
                yield from self._judge([entry for entry in sent if entry.arrived > knows + self.grace])

    def _tells(self, entry: Entry) -> bool:
        return entry.status == 429 or (self.told == "answer" and entry.accepted)

    def _judge(self, judged: list[Entry]) -> Iterable[Violation]:
        times = [entry.arrived for entry in judged]
        for bound in self.bounds:
            run = bound.broken(times, self.slack)
            if run is not None:
                found = tuple(judged[run])
                yield Violation(
                    rule="limit",
                    text=f"the limit is {bound.says}; {len(found)} came within "
                    f"{found[-1].arrived - found[0].arrived:.3f} s, after this caller had been told.",
                    mend="after a 429 send no more than the limit allows, over all tasks and threads together: "
                    "a rate limit in the client, or one that follows the RateLimit fields",
                    entries=found,
                )
