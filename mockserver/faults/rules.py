"""Rules: which requests a fault strikes.

    FaultRule(fault("reset"), path="/orders*", method="POST", nth=(2,))        the second order's answer never comes
    FaultRule(fault("error(503)"), first=3, per="call")                        each call fails three times, then works
    FaultRule(fault("truncate(after=10)"), probability=0.1)                    one answer in ten is cut short

Conditions must all hold. First `when`, `method` and `path` say whether a request is for the rule at all. Then it is
counted, from 1, in the order in which requests arrive (their heads), and `nth`, `first` and `every` look at the number:

    per="rule"     all requests that are for the rule, together
    per="route"    each method and path of its own; the query is no part of it
    per="call"     the attempt that the client says it is (`x-attempt`): nothing is counted, so that no order of arrival
                   matters; without that header each request is a first attempt

A rule counts every request that is for it, also those that another rule struck, and those that its own probability
spared. Which of several concurrent requests arrives first is the one thing here that no seed decides; `per="call"` and
`probability` do not depend on it.

Last comes `probability`, decided by the seed, the rule, and the request's place: method, path, query, which call on
them, which attempt. A miss falls through to the next rule. The first rule that strikes wins.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import KW_ONLY, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from mockserver.faults.fault import Effect, Fault, unchanged, usual_effect
from mockserver.faults.latency import Slowness
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass

Place: TypeAlias = tuple[str, str, str, int, int]
"""Method, path, query, which call on this target (counted from 0), which attempt (counted from 1)."""

Per: TypeAlias = Literal["rule", "route", "call"]

REMEMBERED_ROUTES = 10_000


@dataclass(frozen=True)
class NamedMatcher:
    """A condition on requests that has a name, so that a rule with it can be written down."""

    text: str
    matches: Callable[[Seen], bool] = field(compare=False, repr=False)

    def __call__(self, seen: Seen) -> bool:
        """Whether it holds."""
        return self.matches(seen)


@dataclass(frozen=True)
class FaultRule:
    """A fault, a delay or both, and the requests that they strike.

    Args:
        fault: a function from script to script, `fault("truncate(after=10)")` for instance; None only delays.
        delay: how much later the answer begins, a distribution of seconds.
        when: a condition on the request's head; the body has not been received yet.
        method: only this one.
        path: only those that match: `*` is any text, slashes too, `?` one character.
        nth: only requests with these numbers.
        first: only the first so many.
        every: only each so-manieth: 3 strikes the third, sixth, ninth.
        per: what is counted together; see above.
        probability: the share of the remaining requests that is struck.
        fading_to: in a phase, the probability at its end; it changes evenly.
        effect: "done" if the application acts first and its answer is spoiled, "none" if it never sees the request;
            None for what is usual for the fault.
        name: what the rule is called; its fault's text when empty.

    Raises:
        ValueError: an option makes no sense; the message names it.
    """

    fault: Fault | None = None
    _: KW_ONLY
    delay: Slowness | None = None
    when: Callable[[Seen], bool] | None = None
    method: str | None = None
    path: str | None = None
    nth: tuple[int, ...] = ()
    first: int | None = None
    every: int | None = None
    per: Per = "rule"
    probability: float = 1.0
    fading_to: float | None = None
    effect: Effect | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.fault is None and self.delay is None:
            raise ValueError("FaultRule: give a fault, a delay or both")
        if self.fault is not None and not callable(self.fault):
            raise ValueError(f"FaultRule.fault={self.fault!r}: give a function, fault('reset') for instance")
        if self.delay is not None and not isinstance(self.delay, Slowness):
            raise ValueError(f"FaultRule.delay={self.delay!r}: give ConstantLatency(0.2) or another distribution")
        if self.when is not None and not callable(self.when):
            raise ValueError(f"FaultRule.when={self.when!r}: give a function from a request to True or False")
        for name in ("method", "path", "name"):
            if not isinstance(getattr(self, name) or "", str):
                raise ValueError(f"FaultRule.{name}={getattr(self, name)!r}: give a text")
        if self.method:  # registered methods are upper-case, and are looked for as such in stubs, too
            object.__setattr__(self, "method", self.method.upper())
        if self.path is not None and not self.path.startswith(("/", "*", "?", "[")):
            raise ValueError(f"FaultRule.path={self.path!r}: a path begins with '/', or with '*' for any beginning")
        if not isinstance(self.nth, tuple):
            raise ValueError(f"FaultRule.nth={self.nth!r}: give a tuple, (2,) for the second")
        _check_count("nth", *self.nth)
        _check_count("first", *([] if self.first is None else [self.first]))
        _check_count("every", *([] if self.every is None else [self.every]))
        _check_word("per", self.per, get_args(Per))
        _check_word("effect", self.effect, (None, *get_args(Effect)))
        _check_probability("probability", self.probability)
        _check_probability("fading_to", self.probability if self.fading_to is None else self.fading_to)
        if self.effect == "none" and self.fault is None:
            raise ValueError("FaultRule(effect='none'): without a fault there is nothing else to answer")

    @property
    def title(self) -> str:
        """What the rule is called."""
        return self.name or getattr(self.fault, "text", "") or ("slow" if self.fault is None else "fault")

    @property
    def spoils(self) -> Fault:
        """The fault; the answer as it is where there is none."""
        return unchanged if self.fault is None else self.fault

    @cached_property
    def processed(self) -> bool:
        """Whether the application acts on a request that is struck."""
        return (self.effect or usual_effect(self.spoils)) == "done"

    def is_for(self, seen: Seen) -> bool:
        """Whether the request is one that the rule counts."""
        if self.method is not None and seen.method != self.method:
            return False
        if self.path is not None and not fnmatchcase(seen.path, self.path):
            return False
        return self.when is None or self.when(seen)

    def picks(self, number: int) -> bool:
        """Whether the request with this number is one of those meant."""
        if self.nth and number not in self.nth:
            return False
        if self.first is not None and number > self.first:
            return False
        return self.every is None or number % self.every == 0

    def likelihood(self, share: float) -> float:
        """The probability when this share of the phase has passed."""
        end = self.probability if self.fading_to is None else self.fading_to
        return self.probability + (end - self.probability) * share


class Counting:
    """The numbers of the requests that are for one rule."""

    def __init__(self, per: Per) -> None:
        self.per = per
        self._total = 0
        self._routes: OrderedDict[tuple[str, str], int] = OrderedDict()

    def number(self, place: Place) -> int:
        """Count a request, and say which it is, from 1.

        Of the routes, the 10,000 used last are remembered; one that was forgotten starts anew.
        """
        if self.per == "call":
            return place[4]
        if self.per == "rule":
            self._total += 1
            return self._total
        route = place[:2]
        number = self._routes[route] = self._routes.pop(route, 0) + 1
        if len(self._routes) > REMEMBERED_ROUTES:
            self._routes.popitem(last=False)
        return number


def _check_count(name: str, *numbers: int) -> None:
    for number in numbers:
        if type(number) is not int or number < 1:
            raise ValueError(f"FaultRule.{name}: requests are counted from 1, {number!r} is none of them")


def _check_word(name: str, word: object, known: tuple[object, ...]) -> None:
    if word not in known:
        raise ValueError(f"FaultRule.{name}={word!r}: give one of {', '.join(map(repr, known))}")


def _check_probability(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 or math.isnan(value):
        raise ValueError(f"FaultRule.{name} must lie between 0 and 1, not {value!r}")
