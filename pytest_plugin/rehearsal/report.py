"""What a rehearsal found: the calls, what the server saw, what was broken, and how to see it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from mockserver.rules import Violation, format_violations
from pytest_plugin.rehearsal.running import Called
from pytest_plugin.rehearsal.schedule import FaultSchedule
from pytest_plugin.timeline import Arrived, Kind, Served, Timeline, Tried, arrived
from pytest_plugin.timeline import Called as Drawn
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cassettes import Interaction
    from mockserver.journal import Entry
    from rest_api_client.events import Event

_KINDS: dict[str, Kind] = {"answered": "ok", "failed": "failed", "cancelled": "cancelled", "hung": "open"}


class RehearsalFailed(AssertionError):
    """The client broke a rule or a promise. `report` has all of it; the message shows it.

    The message is made when it is asked for: whoever shrinks a schedule raises hundreds of these.
    """

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report

    def __str__(self) -> str:
        return self.report.text()


@dataclass(kw_only=True)
class Report:
    """What a rehearsal found.

    Attributes:
        schedule: what went wrong on the server.
        calls: how each call ended, probes last.
        entries: what the server saw, in order of arrival.
        events: what clients told, where they did.
        violations: what was broken; warnings too.
        skipped: what was asked for and could not be done.
        live: whether it was on a socket, in real time.
        saved: where it is kept, played first next time.
    """

    schedule: FaultSchedule
    calls: Sequence[Called]
    entries: Sequence[Entry]
    events: Sequence[Event] = ()
    violations: Sequence[Violation] = ()
    skipped: Sequence[str] = ()
    live: bool = False
    saved: Path | None = None
    again: Callable[[], list[Interaction]] | None = field(default=None, repr=False)
    explain: Callable[[str], str | None] | None = field(default=None, repr=False)

    @property
    def broken(self) -> list[Violation]:
        """The violations that are no mere warnings."""
        return [each for each in self.violations if not each.warning]

    @property
    def ok(self) -> bool:
        """Whether the client kept to everything."""
        return not self.broken

    @property
    def token(self) -> str:
        """The schedule in one word; `rehearse(make, token)` plays it again."""
        return self.schedule.token

    def raise_(self) -> Report:
        """This report, if all is well.

        Raises:
            RehearsalFailed: a rule or a promise was broken.
        """
        if not self.ok:
            raise RehearsalFailed(self)
        return self

    def timeline(self) -> Timeline:
        """What happened, against time."""
        unit = "seconds" if self.live else "virtual seconds"
        if self.events:
            return Timeline.of(events=self.events, entries=self.entries, explain=self.explain, unit=unit)
        named: dict[str | None, list[Served]] = {f"#{call.ask.number}": [] for call in self.calls}
        requests = [arrived(entry, 0.0, self.explain) for entry in self.entries]
        loose: list[Arrived] = []
        for call_id, attempt, served in requests:
            if call_id in named:
                named[call_id].append(served)
            else:
                loose.append((call_id, attempt, served))
        drawn = [_with(call, named[f"#{call.ask.number}"]) for call in self.calls]
        return Timeline.joined(drawn, loose, unit=unit)

    def text(self, width: int = 100) -> str:
        """All of it for a terminal: what was broken, the schedule, the timeline, and how to play it again."""
        told = [format_violations(self.violations), "", "what went wrong on the server:"]
        told += [f"  {line}" for line in str(self.schedule).splitlines()]
        told += ["", self.timeline().text(width), *(f"skipped: {each}" for each in self.skipped)]
        told += ["", f"again: rehearse(..., {self._named()!r})"]
        return "\n".join([*told, *([] if self.saved is None else [f"saved: {self.saved}, played first next time"])])

    def _named(self) -> str:
        try:
            return self.token
        except ValueError as error:
            return f"no token: {error}"

    def interactions(self) -> list[Interaction]:
        """The same rehearsal once more, recorded: every request of the clients, and what came of it."""
        return [] if self.again is None else self.again()

    def log(self) -> list[tuple[Any, ...]]:
        """What happened, as plain data: two runs of one schedule give the same."""
        calls: list[tuple[Any, ...]] = [
            (each.ask.number, each.started, each.ended, each.outcome, each.status, type(each.error).__name__)
            for each in self.calls
        ]
        seen = [
            (
                each.arrived,
                each.answered,
                each.finished,
                each.method,
                each.path,
                each.attempt,
                each.status,
                each.fault_id,
            )
            for each in self.entries
        ]
        return calls + seen


def _with(call: Called, served: list[Served]) -> Drawn:
    tried = tuple(
        Tried(number=number, start=each.start, end=each.end, kind=each.kind, reason=each.text, served=(each,))
        for number, each in enumerate(served, 1)
    )
    return Drawn(
        label=f"{call.ask.method} {call.ask.path}",
        call_id=f"{'probe ' if call.probe else ''}#{call.ask.number}",
        start=call.started,
        end=call.ended,
        kind=_KINDS[call.outcome],
        outcome=call.how if call.ended is None else f"{call.how}, {call.ended - call.started:.3f} s",
        tried=tried,
    )
