"""Faults: everything that decides what goes wrong with a request, on its head alone.

Asked in this order, and the first that strikes wins:

    1. what the caller asks for in its header fields, where the server allows it
    2. a closed door, then the rules, of the phases that are going on
    3. the server's own rules

Nothing is drawn from a stream. A verdict is computed from the seed, the rule and the request's place (method, path,
query, which call, which attempt), so two runs agree request by request whatever the order and the speed. The id of a
strike is computed from the same, so it is the same in every run, too. Only the counts of `nth`, `first` and `every`
depend on the order of arrival; see `rules`.

Waiting is nobody's business here: a strike says how much later the answer begins, `weather` how slow everything is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from mockserver.chance import Chance
from mockserver.faults.answers import problem_script
from mockserver.faults.caller import CallerFaultError, asked_fault
from mockserver.faults.fault import Catalogue, Fault, refuse
from mockserver.faults.known import KNOWN
from mockserver.faults.plan import Plan
from mockserver.faults.rules import Counting, FaultRule, Place
from mockserver.faults.schedule import Door
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass

REMEMBERED_STRIKES = 10_000


@dataclass(frozen=True, slots=True)
class Strike:
    """What goes wrong with one request.

    Attributes:
        fault_id: eight hexadecimal digits, sent as `x-fault-id`; the same in every run.
        name: the rule's.
        fault: from the script of the answer to the one that is played.
        processed: whether the application acts on the request; if not, the fault is given `EMPTY` to spoil.
        delay: seconds by which the answer begins later.
    """

    fault_id: str
    name: str
    fault: Fault
    processed: bool
    delay: float = 0.0


class _Candidate(NamedTuple):
    key: str
    rule: FaultRule
    likelihood: float


class Faults:
    """What goes wrong on a server.

    Args:
        plan: rules, schedule, seed and the rest.
        catalogue: the faults that callers may ask for by name.
    """

    def __init__(self, plan: Plan, *, catalogue: Catalogue = KNOWN) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self._chance = Chance(plan.seed)
        self._first: float | None = None
        self._counts: dict[str, Counting] = {}
        self._told: OrderedDict[str, str] = OrderedDict()

    @classmethod
    def replay(
        cls, line: str, *, catalogue: Catalogue = KNOWN, matchers: Mapping[str, Callable[[Seen], bool]] | None = None
    ) -> Faults:
        """The same faults again, from the line that `describe` gave.

        Raises:
            ValueError: the line is malformed.
        """
        return cls(Plan.parse(line, catalogue=catalogue, matchers=matchers), catalogue=catalogue)

    def describe(self) -> str:
        """One line that replays the run."""
        return self.plan.describe()

    def decide(self, seen: Seen, place: Place, now: float) -> Strike | None:
        """What goes wrong with this request, or None.

        Args:
            seen: its head.
            place: method, path, query, which call on them, which attempt.
            now: seconds since the server's start.
        """
        if self._first is None:
            self._first = now
        try:
            asked = asked_fault(seen, self.catalogue) if self.plan.caller_faults else None
        except CallerFaultError as error:
            return self._malformed(place, str(error))
        return self._first_of(self._candidates(seen, place, asked, self.since(now)), place)

    def weather(self, place: Place, now: float) -> float:
        """Seconds by which every answer begins later: the server's latency, and that of phases."""
        slow = [("latency", self.plan.latency)]
        slow += [(f"latency {number}", phase.latency) for number, phase, _ in self.plan.schedule.at(self.since(now))]
        return sum(each.seconds(self._chance.unit(key, *place)) for key, each in slow if each is not None)

    def limit_share(self, now: float) -> float:
        """The share of each limit's quota that holds."""
        return self.plan.schedule.limit_share(self.since(now))

    def connection(self, now: float) -> Door:
        """What new connections meet. Where time begins with the first request, the door is open until it has come."""
        if self.plan.zero == "first" and self._first is None:
            return "open"
        return self.plan.schedule.connection(self.since(now))

    def next_change(self, now: float) -> float | None:
        """When the schedule changes next, on the clock of `now`; None when it never does, or time has not begun."""
        if self.plan.zero == "first" and self._first is None:
            return None
        later = self.plan.schedule.next_change(self.since(now))
        return None if later is None else now + (later - self.since(now))

    def since(self, now: float) -> float:
        """Seconds since time zero; 0 until the first request where time begins with that."""
        if self.plan.zero == "start":
            return now
        return 0.0 if self._first is None else now - self._first

    def explain(self, fault_id: str) -> str | None:
        """Which rule struck which request, by the id its answer bore. The last 10,000 are remembered."""
        return self._told.get(fault_id)

    def _candidates(self, seen: Seen, place: Place, asked: FaultRule | None, time: float) -> Iterator[_Candidate]:
        """The rules whose conditions hold, in order. All are counted, so go through all of them."""
        if asked is not None:
            yield _Candidate("caller", asked, asked.probability)
        for number, phase, share in self.plan.schedule.at(time):
            if phase.connection != "open":
                yield _Candidate(f"phase {number} door", _CLOSED, 1.0)
            for index, rule in enumerate(phase.rules):
                if self._picks(key := f"phase {number} rule {index}", rule, seen, place):
                    yield _Candidate(key, rule, rule.likelihood(share))
        for index, rule in enumerate(self.plan.rules):
            if self._picks(key := f"rule {index}", rule, seen, place):
                yield _Candidate(key, rule, rule.probability)

    def _picks(self, key: str, rule: FaultRule, seen: Seen, place: Place) -> bool:
        if not rule.is_for(seen):
            return False
        counting = self._counts.get(key) or self._counts.setdefault(key, Counting(rule.per))
        return rule.picks(counting.number(place))

    def _first_of(self, candidates: Iterator[_Candidate], place: Place) -> Strike | None:
        struck = None
        for each in candidates:
            if struck is None and self._chance.unit("strikes", each.key, *place) < each.likelihood:
                struck = each
        return None if struck is None else self._strike(struck, place)

    def _strike(self, struck: _Candidate, place: Place) -> Strike:
        key, rule, likelihood = struck
        delay = 0.0 if rule.delay is None else rule.delay.seconds(self._chance.unit("delay", key, *place))
        strike = Strike(self._chance.name("fault", key, *place), rule.title, rule.spoils, rule.processed, delay)
        self._tell(strike, place, f"{key}, probability {likelihood:g}")
        return strike

    def _malformed(self, place: Place, why: str) -> Strike:
        answer = problem_script(400, why)
        fault_id = self._chance.name("malformed", *place)
        strike = Strike(fault_id, "malformed x-fault", lambda script: answer, processed=False)
        self._tell(strike, place, why)
        return strike

    def _tell(self, strike: Strike, place: Place, why: str) -> None:
        method, path, query, call, attempt = place
        target = f"{path}?{query}" if query else path
        effect = "after the application acted" if strike.processed else "in place of the application"
        self._told[strike.fault_id] = (
            f"fault {strike.fault_id}: {strike.name} ({why}) struck {method} {target}, call {call}, "
            f"attempt {attempt}, {effect}"
        )
        if len(self._told) > REMEMBERED_STRIKES:
            self._told.popitem(last=False)


_CLOSED = FaultRule(refuse(), name="closed door")
