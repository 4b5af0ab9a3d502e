"""Which limits a request meets: rules, decided together, told in one dialect.

    Limits(
        [
            LimitRule(limit=TokenBucket(rate=10, burst=20, name="burst"), key=by_header("authorization")),
            LimitRule(limit=FixedWindow(1000, 3600.0, name="hour")),
            LimitRule(limit=Concurrency(4, name="secondary"), when=lambda seen: seen.path == "/search"),
        ],
        dialect=github,
        refusal=forbidden,
    )

A request must be admitted by every rule that is for it, each at its own cost; refused by one, it costs nothing
anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import TypeAlias

from mockserver.faults.answers import problem_script, with_fields
from mockserver.limits.dialects import SECONDARY, Dialect, Fields, standard
from mockserver.limits.perkey import PerKey
from mockserver.limits.together import admit_all
from mockserver.limits.verdict import Limit, Verdict, check_cost, whole_seconds
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Chunk, End, Head, Script


@dataclass(frozen=True, kw_only=True)
class LimitRule:
    """One limit, and the requests that it is for.

    Args:
        limit: its settings; each key has a limit of its own.
        when: whether it is for this request (its head alone); for all when None.
        key: tells clients apart; one limit for all when None.
        cost: what a request costs, or a function that tells it. 0 asks how things stand and takes nothing.
    """

    limit: Limit
    when: Callable[[Seen], bool] | None = None
    key: Callable[[Seen], str] | None = None
    cost: int | Callable[[Seen], int] = 1

    def __post_init__(self) -> None:
        if not isinstance(self.limit, Limit):
            raise ValueError(f"LimitRule.limit={self.limit!r}: give SlidingWindow(50, 1.0) or another limit")
        if not callable(self.cost):
            check_cost(self.cost)

    def cost_of(self, seen: Seen) -> int:
        """What this request costs."""
        return self.cost(seen) if callable(self.cost) else self.cost


Refusal: TypeAlias = Callable[[Verdict], Script]
"""The answer to a refused call, without the limit's fields."""


def too_many(verdict: Verdict) -> Script:
    """429 with problem details (RFC 6585, RFC 9457)."""
    when = f"in {whole_seconds(verdict.retry_after)} s" if math.isfinite(verdict.retry_after) else "later"
    detail = f"limit {verdict.name!r} of {verdict.quota} {verdict.unit} is used up: come back {when}"
    return problem_script(429, detail)


def forbidden(verdict: Verdict) -> Script:
    """403 with a message, as GitHub refuses."""
    message = "API rate limit exceeded."
    if verdict.name == SECONDARY:
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    body = json.dumps({"message": message}).encode()
    fields = (("content-type", "application/json; charset=utf-8"), ("content-length", str(len(body))))
    return Script(Head(403, fields), Chunk(body), End())


@dataclass(slots=True)
class Ruling:
    """What the limits say about one request.

    `release` when the request has ended, however it did; a second time does nothing.
    """

    verdict: Verdict
    dialect: Dialect
    refuse: Refusal
    _held: Sequence[tuple[Limit, int]] = field(default=(), repr=False)

    @property
    def allowed(self) -> bool:
        """Whether it may pass."""
        return self.verdict.allowed

    def fields(self, wall: float) -> Fields:
        """What its answer says of the limits; `wall` is seconds since 1970."""
        return self.dialect(self.verdict, wall)

    def refusal(self, wall: float) -> Script:
        """The answer to a refused request, complete."""
        return with_fields(self.refuse(self.verdict), self.fields(wall))

    def release(self) -> None:
        """The request has ended."""
        held, self._held = self._held, ()
        for limit, cost in held:
            limit.release(cost)


class Limits:
    """All limits of a server.

    Args:
        rules: in any order; all that are for a request count.
        dialect: how answers tell of them; see `dialects`.
        refusal: the answer to a refused request: `too_many` (429) or `forbidden` (403).
    """

    def __init__(self, rules: Iterable[LimitRule], *, dialect: Dialect = standard, refusal: Refusal = too_many) -> None:
        self.rules = tuple(rules)
        self.dialect = dialect
        self.refusal = refusal
        self._limits = [(rule, _Scales(rule)) for rule in self.rules]

    def decide(self, seen: Seen, now: float, *, share: float = 1.0) -> Ruling | None:
        """Ask all limits that are for this request and take its cost if all allow it; None when there is none.

        Args:
            seen: the request; its head is enough.
            now: seconds, on any clock that does not go back.
            share: below 1 only this share of each quota holds, for as long as it is asked so: a phase in which the
                server is stricter. Both the full limit and the smaller one must allow the call.
        """
        asked: list[tuple[Limit, int]] = []
        for rule, scales in self._limits:
            if rule.when is None or rule.when(seen):
                asked += [(limit, rule.cost_of(seen)) for limit in scales.of(seen, share)]
        if not asked:
            return None
        verdict = admit_all(asked, now)
        return Ruling(verdict, self.dialect, self.refusal, asked if verdict.allowed else ())

    def describe(self) -> list[dict[str, object]]:
        """The limits' kinds and settings."""
        return [rule.limit.describe() for rule in self.rules]


class _Scales:
    """A rule's limit per key, at full size and at each smaller share that was asked for."""

    def __init__(self, rule: LimitRule) -> None:
        self.rule = rule
        self._by_share: dict[float, PerKey] = {1.0: PerKey(rule.limit, rule.key)}

    def of(self, seen: Seen, share: float) -> list[Limit]:
        return [self._per_key(each).of(seen) for each in sorted({1.0, share})]

    def _per_key(self, share: float) -> PerKey:
        if share not in self._by_share:
            self._by_share[share] = PerKey(self.rule.limit.scaled(share), self.rule.key)
        return self._by_share[share]
