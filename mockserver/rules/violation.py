"""What a rule says when it was broken, for people: which requests, when, which rule, and what to change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

from mockserver.journal import Entry
from rest_api_client.lazy_dataclasses import dataclass

_SHOWN = 6
"""Requests that a message lists; of more, the first and the number of the others."""

_TIMES = 3
"""Violations of one rule that a message lists."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule was broken.

    Attributes:
        rule: its name, as `Rules` calls it.
        text: what was seen, in a sentence or two.
        mend: what to change in the client.
        entries: the requests that show it, in order of arrival.
        warning: worth knowing, and no reason to fail.
    """

    rule: str
    text: str
    mend: str
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    warning: bool = False

    def to_json(self) -> dict[str, object]:
        """Plain data; requests by their index."""
        return {
            "rule": self.rule,
            "text": self.text,
            "mend": self.mend,
            "warning": self.warning,
            "entries": [entry.index for entry in self.entries],
        }


class BadBehaviour(AssertionError):
    """The client broke rules. `violations` has them; the message lists them."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(format_violations(violations))
        self.violations = tuple(violations)

    def __reduce__(self) -> tuple[type[BadBehaviour], tuple[tuple[Violation, ...]]]:
        return BadBehaviour, (self.violations,)


def enforce(violations: Iterable[Violation]) -> None:
    """Do nothing where there are none but warnings.

    Raises:
        BadBehaviour: with all of them, warnings too.
    """
    found = tuple(violations)
    if any(not each.warning for each in found):
        raise BadBehaviour(found)


def format_violations(violations: Iterable[Violation]) -> str:
    """A message for an assertion: each violation with its requests, line by line."""
    found = list(violations)
    if not found:
        return "no rule of good behaviour was broken"
    broken = len({each.rule for each in found if not each.warning})
    lines = ["a rule of good behaviour was broken" if broken == 1 else f"{broken} rules of good behaviour were broken"]
    by_rule: dict[str, list[Violation]] = {}
    for each in found:
        by_rule.setdefault(each.rule, []).append(each)
    for rule, same in by_rule.items():
        for each in same[:_TIMES]:
            lines += ["", *_lines(each)]
        if len(same) > _TIMES:
            lines += ["", f"and {rule} {len(same) - _TIMES} times more"]
    return "\n".join(lines)


def _lines(violation: Violation) -> Iterable[str]:
    yield f"{'warning' if violation.warning else 'broken'}: {violation.rule}"
    yield f"  {violation.text}"
    yield from (f"    {say(entry)}" for entry in violation.entries[:_SHOWN])
    if len(violation.entries) > _SHOWN:
        yield f"    ... and {len(violation.entries) - _SHOWN} more"
    yield f"  mend: {violation.mend}"


def say(entry: Entry) -> str:
    """One request in a line."""
    named = [] if entry.call_id is None else [f"call {entry.call_id}"]
    if entry.attempt is not None:
        named.append(f"attempt {entry.attempt}")
    if entry.idempotency_key is not None:
        named.append(f"key {entry.idempotency_key}")
    ended = "in flight" if entry.finished is None else "cut off" if entry.status is None else str(entry.status)
    done = ", processed" if entry.processed else ""
    wait = f", Retry-After {wait_asked(entry):.3f} s" if entry.not_before is not None else ""
    told = "" if entry.answered is None else f" at {entry.answered:.3f} s"
    name = f" ({', '.join(named)})" if named else ""
    return (
        f"#{entry.index} {entry.method} {entry.target}{name}: arrived {entry.arrived:.3f} s, {ended}{told}{wait}{done}"
    )


def wait_asked(entry: Entry) -> float:
    """Seconds that the answer asked the client to stay away; 0 where it did not."""
    if entry.not_before is None or entry.answered is None:
        return 0.0
    return entry.not_before - entry.answered
