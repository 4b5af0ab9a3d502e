"""Nothing is done twice: neither a request that was processed nor an idempotency key.

A request that is not idempotent (RFC 9110, section 9.2.2: anything but GET, HEAD, OPTIONS, TRACE, PUT and DELETE) and
was processed must not be sent again by the same logical call, unless both bear the same idempotency key. The server
knows what was processed, also where the client saw nothing but a cut connection: that is how a double charge is found.

An idempotency key names one request: with another body it is a mistake of the client
(draft-ietf-httpapi-idempotency-key-header, section 2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mockserver.journal import Entry
from mockserver.rules.calls import Call, calls
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


@dataclass(frozen=True, kw_only=True)
class NothingTwice:
    """What was processed is not sent again without the key that makes it harmless.

    Attributes:
        idempotent: methods that may be repeated.
    """

    idempotent: frozenset[str] = IDEMPOTENT

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation per call."""
        for call in calls(entries):
            yield from self._judge(call)

    def _judge(self, call: Call) -> Iterable[Violation]:
        done: dict[tuple[str, str, str], Entry] = {}
        for entry in call.entries:
            if entry.method in self.idempotent:
                continue
            target = (entry.method, entry.path, entry.query)
            first = done.get(target)
            if first is not None and _same_work(first, entry) and not _same_key(first, entry):
                yield _twice(call, first, entry)
                return
            if entry.processed:
                done.setdefault(target, entry)


@dataclass(frozen=True, kw_only=True)
class OneBodyPerKey:
    """An idempotency key of a caller comes with one body."""

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation per key."""
        first: dict[tuple[str, str], Entry] = {}
        told: set[tuple[str, str]] = set()
        for entry in entries:
            if entry.idempotency_key is None or entry.body_digest is None:
                continue
            key = (entry.caller, entry.idempotency_key)
            before = first.setdefault(key, entry)
            if before.body_digest != entry.body_digest and key not in told:
                told.add(key)
                yield Violation(
                    rule="keys",
                    text=f"the idempotency key {entry.idempotency_key!r} came with two different bodies.",
                    mend="make a new key for each logical call, and send the same bytes with each attempt",
                    entries=(before, entry),
                )


def _same_work(first: Entry, entry: Entry) -> bool:
    return None in (first.body_digest, entry.body_digest) or first.body_digest == entry.body_digest


def _same_key(first: Entry, entry: Entry) -> bool:
    return first.idempotency_key is not None and first.idempotency_key == entry.idempotency_key


def _twice(call: Call, first: Entry, entry: Entry) -> Violation:
    keys = "other idempotency keys" if first.idempotency_key and entry.idempotency_key else "no idempotency key on both"
    return Violation(
        rule="repeats",
        text=f"{call.said} sent {entry.method} {entry.target} again {entry.arrived - first.arrived:.3f} s after one "
        f"that was processed; {keys}.",
        mend=f"do not retry {entry.method} unless it is known not to have been processed, "
        "or give all attempts of a call one Idempotency-Key",
        entries=(first, entry),
    )
