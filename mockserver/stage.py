"""The stage: what the server does with a request, decided in plain code.

It is told the time and never waits; whatever takes time stands in the script it gives back, so that one stage serves a
real socket and virtual time alike. A player (see `players`) brings it requests and plays its scripts:

    performance = stage.begin(head)          the head is here: journalled; limits and faults are decided on it alone
    script = performance.answer(body)        a stub or the application acts, and the fault changes what it says
    performance.answered()                   before the first byte of the answer goes out
    performance.ended()                      nothing more will go out; always called

In this order, outermost first:

    control    /health and /__journal: never limited, faulted or journalled
    journal    takes the entry down
    outage     a dead gateway, or a closed door: nothing behind it sees the request, the rate limit does not count it
    limits     429. What they refuse is not processed, and costs no quota
    latency    a delay before the answer
    faults     rules, then errors: in place of the service, or done to its answer; either has cost quota
    service    stubs, then the application

Limits stand before errors and latency because real gateways do: a service that fails has been called, and a refusal
comes at once. Limits and journal use one and the same arrival time, so that what the journal shows is exactly what the
limits judged.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mockserver.asgi import perform, processed, status_of
from mockserver.chance import Chance
from mockserver.faults import Errors, Outage, Slowness
from mockserver.faults.answers import problem_script, with_fields
from mockserver.faults.decide import Faults, Strike
from mockserver.faults.fault import EMPTY
from mockserver.journal import Entry, Journal
from mockserver.limits import Limits, Ruling
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Delay, Head, Raw, Refuse, Reset, Script, Upload

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEALTH_PATH = "/health"
JOURNAL_PATH = "/__journal"

MOST_BODY = 8 << 20
"""Bytes of a request's body that are kept; a longer one is answered 413."""

GONE = 499
"""The journal's status for a client that went away before its body was complete (nginx's number)."""

_LOG = logging.getLogger("mockserver")
_LENGTH = len("retry-after")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([2-9][0-9][0-9])\b")


@runtime_checkable
class Stubs(Protocol):
    """Answers made to order, before the application is asked."""

    def answer(self, seen: Seen) -> Script | None:
        """The answer of the stub that is for this request; None where there is none."""
        ...


@runtime_checkable
class Explaining(Protocol):
    """Stubs that can tell why none of them answered."""

    def explain(self, seen: Seen) -> str:
        """Which came nearest, and what was wrong."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was decided on the head."""

    instead: Script | None = None
    strike: Strike | None = None
    ruling: Ruling | None = None
    delay: float = 0.0
    upload: float | None = None
    refused: bool = False


_NOTHING = _Plan()


class Stage:
    """Decides about every request.

    Args:
        application: an ASGI application that `perform` can play.
        journal: takes down what arrives.
        clock: seconds since the start, never going back; None for that of the first client that plays in process.
        wall: seconds since 1970, for dates in header fields.
        seed: decides everything that looks like chance.
        limits: rate limits.
        errors: 5xx in place of the service.
        latency: how long answers take.
        outages: dead periods, counted from the first request.
        faults: rules and phases by which requests are struck; asked before `errors`.
        stubs: asked before the application.
        settled: called with each request that was processed, when nothing more of its answer will go out.
        on_entry: called with each journal entry when its answer is complete.

    A stage is asked by one thread at a time: players that have several hold its `lock`.
    """

    def __init__(
        self,
        *,
        application: ASGIApp,
        journal: Journal,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
        seed: int = 0,
        limits: Limits | None = None,
        errors: Errors | None = None,
        latency: Slowness | None = None,
        outages: Iterable[Outage] = (),
        faults: Faults | None = None,
        stubs: Stubs | None = None,
        settled: Callable[[Seen], object] | None = None,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self.journal = journal
        self.clock: Callable[[], float] = _no_clock if clock is None else clock
        self.wall = wall
        self.lock = threading.Lock()
        self.seed = seed
        self.limits = limits
        self.errors = errors
        self.latency = latency
        self.outages = tuple(outages)
        self.faults = faults
        self.stubs = stubs
        self.settled = settled
        self.on_entry = on_entry
        self._application = application
        self._chance = Chance(seed)
        self._first: float | None = None

    def go_by(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Take the time from here, unless the stage has a clock."""
        if self.clock is _no_clock:
            self.clock, self.wall = clock, wall

    def begin(self, head: Seen) -> Performance:
        """The head of a request has been received. The performance must be ended, whatever happens."""
        if head.path in (HEALTH_PATH, JOURNAL_PATH):
            return Performance(self, head, None, _Plan())
        entry = self.journal.entry(head, self.clock())
        self.journal.open(entry)
        try:
            plan = self._plan(head, entry)
        except Exception as error:  # a rule, a key or a limit of the user's own
            plan = _Plan(instead=_crash(head, error))
        return Performance(self, head, entry, plan)

    def turn_away(self, head: Seen, answer: Script) -> Performance:
        """A request that is nobody's: it is answered so, and not journalled."""
        return Performance(self, head, None, _Plan(instead=answer))

    def serve(self, seen: Seen) -> Script:
        """What the service answers, stub or application; nothing is journalled and nothing goes wrong."""
        stubbed = None if self.stubs is None else self.stubs.answer(seen)
        if stubbed is not None:
            return stubbed
        script = perform(self._application, seen)
        if isinstance(self.stubs, Explaining) and status_of(script) == 404:
            return problem_script(404, self.stubs.explain(seen))
        return script

    def answer_control(self, seen: Seen) -> Script:
        """What health and journal answer."""
        return perform(self._control, seen)

    @cached_property
    def _control(self) -> ASGIApp:
        from mockserver.control import control

        return control(self.journal, self.seed, lambda: self.limits)

    def _plan(self, seen: Seen, entry: Entry) -> _Plan:
        outage = self._outage(entry.arrived)
        if outage is not None:
            entry.accepted = False
            entry.fault_id = self._chance.name("outage", entry.index)
            return _Plan(instead=_dead(outage))
        faults, now = self.faults, entry.arrived
        if faults is not None and faults.connection(now) != "open":
            entry.accepted = False
            entry.fault_id = self._chance.name("door", entry.index)
            return _Plan(instead=Script(Reset()))  # new connections meet the gate; one that stands is cut
        share = 1.0 if faults is None else faults.limit_share(now)
        ruling = None if self.limits is None else self.limits.decide(seen, now, share=share)
        if ruling is not None and not ruling.allowed:
            entry.accepted = False
            return _Plan(instead=ruling.refusal(self.wall()))
        if self.latency is not None:
            entry.delay = self.latency.seconds(self._chance.unit("latency", *entry.place))
        strike = None
        if faults is not None:
            entry.delay += faults.weather(entry.place, now)
            strike = faults.decide(seen, entry.place, now)
        if strike is not None:
            entry.fault_id = strike.fault_id
            entry.delay += strike.delay
        instead = self._error(entry) if strike is None else None
        if instead is None and strike is None and ruling is None and not entry.delay:
            return _NOTHING
        # A fault is pure: what it makes of one answer tells how it treats the upload before any.
        trial = None if strike is None else strike.fault(EMPTY)
        return _Plan(
            instead=instead,
            strike=strike,
            ruling=ruling,
            delay=entry.delay,
            upload=None if trial is None else _upload(trial),
            refused=trial is not None and isinstance(trial.ending, Refuse),
        )

    def _outage(self, now: float) -> Outage | None:
        if self._first is None:
            self._first = now
        since = now - self._first
        return next((each for each in self.outages if each.covers(since)), None)

    def _error(self, entry: Entry) -> Script | None:
        errors = self.errors
        if errors is None or self._chance.unit("error", *entry.place) >= errors.probability:
            return None
        entry.fault_id = self._chance.name("error", *entry.place)
        fields = () if errors.retry_after is None else (("retry-after", str(errors.retry_after)),)
        return problem_script(errors.status, "an error injected by the mock server", fields)


class Performance:
    """One request on its way. Made by `Stage.begin`.

    Attributes:
        entry: its entry in the journal; None for health and journal themselves.
        wants_body: whether the answer depends on the body; otherwise it may be left unread.
        upload: bytes per second at which the body is to be read (0: not at all), None for as fast as it comes.
        readdress: done to what the service answers, before any fault; set by whoever stands in front of the stage.
    """

    def __init__(self, stage: Stage, head: Seen, entry: Entry | None, plan: _Plan) -> None:
        self.entry = entry
        self._stage = stage
        self._head = head
        self._plan = plan
        self._script: Script | None = None
        self._done: Seen | None = None
        self.readdress: Callable[[Script], Script] | None = None
        self.upload = plan.upload
        # A fault in place of the application waits for the body all the same: it strikes an answer, and whether a
        # client that is still sending hears of it depends on its machine.
        self.wants_body = plan.instead is None and plan.upload != 0 and not plan.refused

    def received(self, size: int) -> None:
        """So many bytes of the body have come."""
        if self.entry is not None:
            self.entry.bytes_in += size

    def answer(self, body: bytes) -> Script:
        """Act on the request, and say how it is answered. Asked once.

        Args:
            body: all of it; what there is of it where it is longer than `MOST_BODY`; empty where it was not wanted.
        """
        seen = replace(self._head, body=body) if body else self._head
        if self.entry is not None and self.wants_body:
            self._stage.journal.body(self.entry, body)
        try:
            self._script = self._answer(seen)
        except Exception as error:  # a stub, an application or a fault of the user's own
            self._script = _crash(seen, error)
        return self._script

    def _answer(self, seen: Seen) -> Script:
        if self.entry is None:
            return self._stage.answer_control(seen) if self._plan.instead is None else self._plan.instead
        plan = self._plan
        script = self._serve(seen, self.entry)
        if plan.strike is not None:
            script = plan.strike.fault(script)
        fields = [] if plan.ruling is None else plan.ruling.fields(self._stage.wall())
        if self.entry.fault_id is not None:
            fields = [*fields, ("x-fault-id", self.entry.fault_id)]
        return _late(with_fields(script, fields) if fields else script, plan.delay)

    def _serve(self, seen: Seen, entry: Entry) -> Script:
        plan = self._plan
        if plan.instead is not None:
            return plan.instead
        if plan.strike is not None and not plan.strike.processed:
            return EMPTY
        if len(seen.body) > MOST_BODY:
            return problem_script(413, f"the body has more than {MOST_BODY} bytes", (("connection", "close"),))
        script = self._stage.serve(seen)
        if self.readdress is not None:
            script = self.readdress(script)
        entry.processed = processed(script)
        self._done = seen if entry.processed else None
        return script

    def answered(self) -> None:
        """The first byte of the answer is about to go out. A second time does nothing."""
        if self.entry is None or self._script is None or self.entry.answered is not None:
            return
        status, retry_after = _announced(self._script)
        if status is not None:
            self._stage.journal.answer(self.entry, status, self._stage.clock())
            if retry_after:
                self._stage.journal.ask_to_wait(self.entry, retry_after, self._stage.wall())

    def refuse(self, detail: str) -> Script:
        """The player cannot show this script: what is answered instead, saying so."""
        self._script = problem_script(500, f"this answer cannot be played: {detail}")
        return self._script

    def sent(self, size: int) -> None:
        """So many bytes of the answer's body have gone out."""
        if self.entry is not None:
            self.entry.bytes_out += size

    def gone(self) -> None:
        """The client went away before its body was complete: nobody is answered."""
        if self.entry is not None:
            self._stage.journal.answer(self.entry, GONE, self._stage.clock())

    def ended(self) -> None:
        """Nothing more will be sent. A second time does nothing."""
        if self.entry is None or self.entry.finished is not None:
            return
        if self._plan.ruling is not None:
            self._plan.ruling.release()
        if self._done is not None and self._stage.settled is not None:
            self._stage.settled(self._done)
        self._stage.journal.close(self.entry, self._stage.clock())
        if self._stage.on_entry is not None:
            self._stage.on_entry(self.entry)


def _no_clock() -> float:
    raise RuntimeError("this stage has no clock yet: give it one, or a client that brings its own")


def _announced(script: Script) -> tuple[int | None, str]:
    """The status that a client reads, and its Retry-After; None and empty where there is none."""
    for step in script.steps:
        if isinstance(step, Head) and step.status >= 200:
            return step.status, _retry_after(step)
        if isinstance(step, Raw) and (line := _STATUS_LINE.match(step.data)):
            return int(line[1]), ""
    return None, ""


def _retry_after(head: Head) -> str:
    found = ""
    for name, value in head.headers:
        if len(name) == _LENGTH and name.lower() == "retry-after":
            found = value
    return found


def _dead(outage: Outage) -> Script:
    return Script(Reset()) if outage.reset else problem_script(outage.status, "a dead period of the mock server")


def _upload(script: Script) -> float | None:
    first = script.steps[0]
    return first.bytes_per_second if isinstance(first, Upload) else None


def _late(script: Script, seconds: float) -> Script:
    if not seconds or isinstance(script.ending, Refuse):  # nobody waits for a connection that is refused
        return script
    start = 1 if isinstance(script.steps[0], Upload) else 0
    return Script(*script.steps[:start], Delay(seconds), *script.steps[start:])


def _crash(seen: Seen, error: Exception) -> Script:
    _LOG.error("%s %s: the mock server failed", seen.method, seen.target, exc_info=error)
    return problem_script(500, f"the mock server itself failed: {error!r}")
