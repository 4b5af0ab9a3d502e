"""A plan: everything that goes wrong on a server, as one value and as one line of text.

    seed=7 scenario=brownout(duration=30.0) rule=rule(reset, path="/orders", nth=(2,), effect="done")

`describe` writes the line, `parse` reads it: printed where a test failed, it replays the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, Literal, TypeAlias

from mockserver.faults.fault import Catalogue, naming
from mockserver.faults.known import KNOWN
from mockserver.faults.latency import LATENCIES, Slowness
from mockserver.faults.rules import FaultRule, NamedMatcher
from mockserver.faults.scenarios import SCENARIOS
from mockserver.faults.schedule import Phase, Schedule
from mockserver.faults.text import Call, Vocabulary, build, read_line, write
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

Zero: TypeAlias = Literal["first", "start"]

_WORDS: Final[Mapping[type, str]] = {
    **{kind: name for name, kind in LATENCIES.items() if isinstance(kind, type)},
    FaultRule: "rule",
    Phase: "phase",
    Schedule: "schedule",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Rules, a schedule, and the seed.

    Args:
        seed: decides everything that looks like chance.
        rules: asked in this order.
        schedule: phases in time.
        latency: of every answer.
        zero: whether the schedule's time begins with the "first" request or with the server's "start".
        caller_faults: whether requests may ask for faults by `x-fault` header fields.

    Raises:
        ValueError: an option makes no sense; the message names it.
    """

    seed: int = 0
    rules: tuple[FaultRule, ...] = ()
    schedule: Schedule = field(default_factory=Schedule)
    latency: Slowness | None = None
    zero: Zero = "first"
    caller_faults: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if type(self.seed) is not int:
            raise ValueError(f"seed must be a whole number, not {self.seed!r}")
        if self.zero not in ("first", "start"):
            raise ValueError(f"zero={self.zero!r}: give 'first' (request) or 'start' (of the server)")
        if type(self.caller_faults) is not bool:
            raise ValueError(f"caller_faults must be True or False, not {self.caller_faults!r}")
        if self.latency is not None and not isinstance(self.latency, Slowness):
            raise ValueError(f"latency={self.latency!r}: give Latency(p50=0.05) or another distribution")
        fading = [rule for rule in self.rules if rule.fading_to is not None]
        if fading:
            raise ValueError(f"{fading[0].title}: fading_to is for the rules of a phase, nothing else has an end")

    def describe(self) -> str:
        """One line that `parse` reads.

        Raises:
            ValueError: a rule has a fault or a condition without a name.
        """
        told = [f"seed={self.seed}"]
        if self.zero != "first":
            told.append(f"zero={self.zero}")
        if self.caller_faults:
            told.append("caller_faults=true")
        if self.latency is not None:
            told.append(f"latency={write(self.latency, _WORDS)}")
        if self.schedule.text:
            told.append(f"scenario={self.schedule.text}")
        elif self.schedule != Schedule():
            told.append(f"schedule={write_schedule(self.schedule)}")
        return " ".join([*told, *(f"rule={write(rule, _WORDS)}" for rule in self.rules)])

    @classmethod
    def parse(
        cls, line: str, *, catalogue: Catalogue = KNOWN, matchers: Mapping[str, Callable[[Seen], bool]] | None = None
    ) -> Plan:
        """The plan that a line describes.

        Args:
            line: from `describe`, or written by hand.
            catalogue: the faults that it may name.
            matchers: the conditions that it may name.

        Raises:
            ValueError: the line is malformed; the message says what is known.
        """
        words = vocabulary(catalogue, matchers)
        found: dict[str, Any] = {}
        rules: list[FaultRule] = []
        for key, term in read_line(line):
            name = {"scenario": "schedule", "fault": "rule"}.get(key, key)
            if name not in (*_KEYS, "rule"):
                raise ValueError(unknown("setting", key, [*_KEYS, "rule", "scenario"]))
            _check_kind(name, term, catalogue)
            value = build(term, words, _KINDS.get(name, key))
            if name == "rule":
                rules.append(value if isinstance(value, FaultRule) else FaultRule(value))
            elif name in found:
                raise ValueError(f"{key} is given twice")
            else:
                found[name] = value
        return cls(**found, rules=tuple(rules))


_KEYS: Final = ("seed", "schedule", "latency", "zero", "caller_faults")
_KINDS: Final = {"rule": "fault", "schedule": "scenario", "latency": "latency"}
"""What the word that a value begins with must be."""


def vocabulary(
    catalogue: Catalogue = KNOWN, matchers: Mapping[str, Callable[[Seen], bool]] | None = None
) -> Vocabulary:
    """The words of a plan: faults, latencies, scenarios, rule, phase, schedule, and the matchers given."""
    named = {name: _giving(NamedMatcher(name, matches)) for name, matches in (matchers or {}).items()}
    own: dict[str, Callable[..., Any]] = {"rule": _rules(catalogue), "phase": Phase, "schedule": Schedule}
    return {**SCENARIOS, **LATENCIES, **naming(catalogue), **named, **own}


def write_schedule(schedule: Schedule) -> str:
    """A schedule as text: the scenario that made it, or all its phases."""
    return write(schedule, _WORDS)


def _rules(catalogue: Catalogue) -> Callable[..., FaultRule]:
    """What makes rules: in a text, a word in the place of a fault is one that is not known."""

    @functools.wraps(FaultRule, updated=())
    def rule(*arguments: Any, **options: Any) -> FaultRule:
        fault = arguments[0] if arguments else options.get("fault")
        if isinstance(fault, str):
            raise ValueError(unknown("fault", fault, catalogue))
        return FaultRule(*arguments, **options)

    return rule


def _check_kind(name: str, term: object, catalogue: Catalogue) -> None:
    """Refuse a word of another kind than the setting has, and one of no kind, by what was probably meant."""
    kind = _KINDS.get(name)
    if kind is None or (name == "latency" and term is None):
        return
    known = {"fault": {*catalogue, "rule"}, "scenario": {*SCENARIOS, "schedule"}, "latency": {*LATENCIES}}
    word = term.name if isinstance(term, Call) else str(term)
    if word in known[kind]:
        return
    for other, words in known.items():
        if word in words:
            raise ValueError(f"{word!r} is no {kind} but a {other}; give one of {', '.join(sorted(known[kind]))}")
    raise ValueError(unknown(kind, word, known[kind]))


def _giving(value: NamedMatcher) -> Callable[[], NamedMatcher]:
    return lambda: value
