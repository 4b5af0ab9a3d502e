"""A scene: one isolated state of a server, and what its user does with it.

Everything that one test could see of another is in here: journal and counters, stubs and their states, what is left of
the limits, the faults' counts, the records. A server has one scene of its own, which is the server itself, and as many
more as there are spaces (see `spaces`). All begin alike, from the server's `Settings`, and go by one clock.

To reset is to begin again: a new stage takes the old one's place. Requests in flight end on the old one, so that none
of them is half forgotten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from mockserver.asgi import Later
from mockserver.faults import Errors, Outage, Plan, Slowness
from mockserver.faults.decide import Faults
from mockserver.journal import Entry, Journal, Scribe
from mockserver.limits import Limit, LimitRule, Limits
from mockserver.resource_names import check_resources
from mockserver.rules import Rules, Violation, check
from mockserver.seen import Seen
from mockserver.stage import Performance, Stage
from mockserver.stage import Stubs as Answering
from mockserver.stubs import Stub, Stubs, stub
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from mockserver.players.in_process import StageTransport
    from mockserver.resources.idempotency import IdempotencyKeys

_P = ParamSpec("_P")


class Time:
    """The clock of a server: that which is given first, for all its scenes."""

    def __init__(self) -> None:
        self._clock: Callable[[], float] | None = None
        self._wall: Callable[[], float] = time.time

    def go_by(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Take the time from here, unless there is a clock already."""
        if self._clock is None:
            self._clock, self._wall = clock, wall

    def now(self) -> float:
        """Seconds since the start."""
        if self._clock is None:
            raise RuntimeError("this server has no clock yet: start it, or give it a client that brings its own")
        return self._clock()

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every scene begins with; see `MockServer`."""

    resources: Mapping[str, int]
    seed: int = 0
    limits: Limits | None = None
    errors: Errors | None = None
    latency: Slowness | None = None
    outages: tuple[Outage, ...] = ()
    faults: Faults | None = None
    stubs: Answering | None = None
    journal_size: int = 10_000
    scribe: Scribe = field(default_factory=Scribe)
    on_entry: Callable[[Entry], None] | None = None
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        check_resources(self.resources)

    def stage(self) -> Stage:
        """A stage on which nothing has happened yet."""
        service = Later(self._service)

        def settled(seen: Seen) -> None:
            # As long as the first answer is on its way, its key is in progress.
            if service.made is not None:
                keys: IdempotencyKeys = service.made.state.idempotency
                keys.settled(seen)

        return Stage(
            application=service,
            journal=Journal(self.journal_size, self.scribe),
            clock=self.time.now,
            wall=self.time.wall,
            seed=self.seed,
            limits=as_limits(self.limits),
            errors=self.errors,
            latency=self.latency,
            outages=self.outages,
            faults=as_faults(self.faults),
            stubs=Stubs(self.stubs.list()) if isinstance(self.stubs, Stubs) else self.stubs,
            settled=settled,
            on_entry=self.on_entry,
        )

    def _service(self) -> Starlette:
        from mockserver.resources import application

        return application(self.resources, self.seed, now=self.time.now, wall=self.time.wall, hold_keys=True)


def _adding(make: Callable[_P, Stub]) -> Callable[Concatenate[Scene, _P], str]:
    """Make a stub and add it, in one call."""

    def add(scene: Scene, /, *arguments: _P.args, **options: _P.kwargs) -> str:
        return scene.stubs.add(make(*arguments, **options))[0]

    add.__doc__ = f"Add a stub, and give its id. {make.__doc__}"
    return add


class Scene:
    """What can be asked of a server, and of each of its spaces.

    Attributes:
        lock: held by players that have several threads.
    """

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.Lock()
        self._settings = settings
        self._stage = settings.stage()
        self._elsewhere: Scene | None = None  # the other origin, where there is one

    @property
    def stage(self) -> Stage:
        """Who decides about requests; another one after `reset`."""
        return self._stage

    @property
    def journal(self) -> Journal:
        """What arrived. After a `reset` it is another one, and empty: ask for it anew."""
        return self._stage.journal

    @property
    def faults(self) -> Faults | None:
        """Rules and phases; None without any. May be set while the server runs: to `Faults`, a `Plan`, or its text.

        What is set counts anew, and its time begins anew with the next request.

        Raises:
            ValueError: on setting; the text is malformed.
        """
        return self._stage.faults

    @faults.setter
    def faults(self, faults: Faults | Plan | str | None) -> None:
        self._stage.faults = as_faults(faults)
        self._changed()

    @property
    def limits(self) -> Limits | None:
        """The rate limits; None without any. May be set while the server runs: to `Limits`, or to a single limit."""
        return self._stage.limits

    @limits.setter
    def limits(self, limits: Limits | Limit | None) -> None:
        self._stage.limits = as_limits(limits)

    @property
    def stubs(self) -> Stubs:
        """Answers made to order, asked before the resources.

        Raises:
            TypeError: the server was given stubs of another kind.
        """
        with self.lock:
            there = self._stage.stubs
            if there is None:
                there = self._stage.stubs = Stubs()
        if not isinstance(there, Stubs):
            raise TypeError(f"this server asks {there!r} for answers: make one with MockServer(stubs=Stubs())")
        return there

    stub = _adding(stub)

    def check(self, rules: Rules | None = None, *, since: int = 0) -> list[Violation]:
        """What the client did wrong, by the rules of good behaviour; empty where it behaved.

        Wait first until nothing is in flight (`journal.wait_until_quiet`). A limit of the server's is a bound for each
        client only where it holds for all requests alike, each at the cost of one.

        Args:
            rules: which are checked; all of ours when None.
            since: a mark of the journal: only what arrived after it was taken is judged.
        """
        elsewhere = () if self._elsewhere is None else self._elsewhere.journal
        return check(self.journal.since(since), limits=self._common_limits(), other_origin=elsewhere, rules=rules)

    def _common_limits(self) -> list[Limit]:
        rules = () if self.limits is None else self.limits.rules
        return [rule.limit for rule in rules if rule.when is None and rule.key is None and rule.cost == 1]

    def now(self) -> float:
        """Seconds since the server started, on the clock of the journal; in process, since its first client did."""
        return self._settings.time.now()

    def reset(self) -> None:
        """Begin again as the server was made: nothing journalled or counted, records, limits, faults, stubs as given.

        What is in flight ends as it would have, unseen by the new journal. The clock goes on.
        """
        self._stage = self._settings.stage()
        self._changed()

    def transport(self) -> StageTransport:
        """This scene as an engine, without a socket: `APIClient(base_url="http://stage", engine=server.transport())`.

        In the time of the client, virtual or not; for a server that is not started. One for each client.
        """
        from mockserver.players.in_process import StageTransport  # the client's side: not for who serves a socket

        return StageTransport(self)

    def _changed(self) -> None:
        """The faults are others. For a server that has a door to open or to close."""

    # For players.

    def go_by(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Take the time from here, unless the server has a clock."""
        self._settings.time.go_by(clock, wall)

    def begin(self, head: Seen) -> Performance:
        """The head of a request has been received; see `Stage.begin`."""
        return self._stage.begin(head)


def as_faults(given: Faults | Plan | str | None) -> Faults | None:
    """Faults that have counted nothing yet.

    Raises:
        ValueError: the text is no plan, or it is something else altogether.
    """
    if isinstance(given, Faults):
        return Faults(given.plan, catalogue=given.catalogue)
    if isinstance(given, str):
        return Faults(Plan.parse(given))
    if given is None or isinstance(given, Plan):
        return None if given is None else Faults(given)
    raise ValueError(f"faults={given!r}: give a Plan(rules=[...]), the Faults of one, or its text")


def as_limits(given: Limits | Limit | None, key: Callable[[Seen], str] | None = None) -> Limits | None:
    """Limits of which nothing is used yet.

    Raises:
        ValueError: it is no limit.
    """
    if isinstance(given, Limits):
        return Limits(given.rules, dialect=given.dialect, refusal=given.refusal)
    if given is None or isinstance(given, Limit):
        return None if given is None else Limits([LimitRule(limit=given, key=key)])
    raise ValueError(f"limit={given!r}: give SlidingWindow(calls, period) or TokenBucket(rate, burst)")
