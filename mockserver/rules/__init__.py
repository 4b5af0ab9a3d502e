"""Rules of good behaviour, checked over what the server saw.

    violations = check(server.journal, limits=[SlidingWindow(50, 1.0)])
    enforce(violations)

A rule is a function of entries, in order of arrival, that gives violations. Ours are small frozen dataclasses, whose
fields are their numbers; the user's own is any callable:

    def no_delete(entries):
        for entry in entries:
            if entry.method == "DELETE":
                yield Violation(rule="no_delete", text="...", mend="...", entries=(entry,))

    check(server.journal, rules=Rules(own=(no_delete,), jitter=None, attempts=AttemptsBounded(most=3)))

All are made so that they rather acquit: a rule that is on without being asked must not fail an innocent test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, fields, replace
from typing import TypeAlias

from mockserver.journal import Entry
from mockserver.limits import Limit
from mockserver.rules.bounds import Bound, BurstAndRate, InAnyWindow, InEachWindow, bounds_of
from mockserver.rules.connections import ConnectionsReused, NothingLeftInFlight
from mockserver.rules.gaps import WaitsDiffer, WaitsGrow
from mockserver.rules.limit import LimitKept
from mockserver.rules.load import AmplificationBounded, AttemptsBounded
from mockserver.rules.origins import CredentialsKept
from mockserver.rules.repeats import NothingTwice, OneBodyPerKey
from mockserver.rules.retry_after import RetryAfterKept
from mockserver.rules.violation import BadBehaviour, Violation, enforce, format_violations, say
from rest_api_client.lazy_dataclasses import dataclass

Rule: TypeAlias = Callable[[Sequence[Entry]], Iterable[Violation]]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which rules are checked. None switches one off; another instance changes its numbers.

    Attributes:
        retry_after: no request before its Retry-After.
        limit: the limit is kept by the bound of its kind.
        repeats: nothing that was processed is sent again without its idempotency key.
        keys: no idempotency key with two bodies.
        attempts: attempts per call.
        amplification: requests per call.
        backoff: waits do not shrink and are not nothing.
        jitter: waits differ.
        credentials: none goes to another origin.
        in_flight: nothing is left in flight.
        connections: connections are used again (a warning).
        own: the user's rules, checked after these.
    """

    retry_after: RetryAfterKept | None = field(default_factory=RetryAfterKept)
    limit: LimitKept | None = field(default_factory=LimitKept)
    repeats: NothingTwice | None = field(default_factory=NothingTwice)
    keys: OneBodyPerKey | None = field(default_factory=OneBodyPerKey)
    attempts: AttemptsBounded | None = field(default_factory=AttemptsBounded)
    amplification: AmplificationBounded | None = field(default_factory=AmplificationBounded)
    backoff: WaitsGrow | None = field(default_factory=WaitsGrow)
    jitter: WaitsDiffer | None = field(default_factory=WaitsDiffer)
    credentials: CredentialsKept | None = field(default_factory=CredentialsKept)
    in_flight: NothingLeftInFlight | None = field(default_factory=NothingLeftInFlight)
    connections: ConnectionsReused | None = field(default_factory=ConnectionsReused)
    own: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for each in self:
            if not callable(each):
                raise TypeError(f"a rule is a function of entries, or None to switch one off; not {each!r}")

    def __iter__(self) -> Iterator[Rule]:
        """The rules that are on."""
        for each in fields(self):
            if each.name != "own" and getattr(self, each.name) is not None:
                yield getattr(self, each.name)
        yield from self.own


def check(
    entries: Iterable[Entry],
    *,
    limits: Iterable[Limit | Bound] = (),
    other_origin: Iterable[Entry] = (),
    rules: Rules | None = None,
) -> list[Violation]:
    """What a client did wrong, in the order of the rules; empty where it behaved.

    Args:
        entries: what arrived: a journal, or entries in order of arrival. What a journal's ring has lost is not judged.
        limits: the server's; `InAnyWindow`, `BurstAndRate` and `InEachWindow` are bounds to be given directly.
        other_origin: what arrived at another origin, which must not see this one's credentials.
        rules: which are checked; all of ours when None.
    """
    chosen = Rules() if rules is None else rules
    if chosen.limit is not None:
        chosen = replace(chosen, limit=replace(chosen.limit, bounds=(*chosen.limit.bounds, *bounds_of(limits))))
    if chosen.credentials is not None:
        elsewhere = (*chosen.credentials.elsewhere, *other_origin)
        chosen = replace(chosen, credentials=replace(chosen.credentials, elsewhere=elsewhere))
    seen = tuple(entries)
    return [violation for rule in chosen for violation in rule(seen)]


__all__ = [
    "AmplificationBounded",
    "AttemptsBounded",
    "BadBehaviour",
    "Bound",
    "BurstAndRate",
    "ConnectionsReused",
    "CredentialsKept",
    "InAnyWindow",
    "InEachWindow",
    "LimitKept",
    "NothingLeftInFlight",
    "NothingTwice",
    "OneBodyPerKey",
    "RetryAfterKept",
    "Rule",
    "Rules",
    "Violation",
    "WaitsDiffer",
    "WaitsGrow",
    "bounds_of",
    "check",
    "enforce",
    "format_violations",
    "say",
]
