"""Schedules: what goes wrong when. Phases in time, each with rules, a latency, a stricter limit, a closed door.

A schedule is a pure function of the time. Phases may overlap: their rules are asked in the order in which the phases
are written, the latencies add up, the strictest limit holds, and one closed door suffices. A phase lasts from `start`,
included, to `start + duration`, not included. Time zero is the first request or the server's start, as the server is
told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import field
from typing import Literal, TypeAlias, get_args

from mockserver.faults.latency import Slowness
from mockserver.faults.rules import FaultRule
from rest_api_client.lazy_dataclasses import dataclass

Door: TypeAlias = Literal["open", "refused", "swallowed"]
"""What new connections meet: a listener, nobody, or silence."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A span of time in which something is wrong.

    Args:
        start: seconds after time zero.
        duration: how many seconds it lasts.
        rules: asked before the server's own.
        latency: added to every answer.
        limit_share: below 1 only this share of each limit's quota holds.
        connection: "refused" or "swallowed": no new connection comes about, and no request is answered.
        name: for the journal and the timeline.

    Raises:
        ValueError: an option makes no sense; the message names it.
    """

    start: float
    duration: float
    rules: tuple[FaultRule, ...] = ()
    latency: Slowness | None = None
    limit_share: float = 1.0
    connection: Door = "open"
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise ValueError(f"Phase.start must be at least 0 seconds, not {self.start!r}")
        if not 0 < self.duration < math.inf:
            raise ValueError(f"Phase.duration must be above 0 seconds, not {self.duration!r}")
        if not 0 < self.limit_share <= 1:
            raise ValueError(f"Phase.limit_share must lie above 0 and be at most 1, not {self.limit_share!r}")
        if self.connection not in get_args(Door):
            raise ValueError(f"Phase.connection={self.connection!r}: give one of {', '.join(get_args(Door))}")
        if self.latency is not None and not isinstance(self.latency, Slowness):
            raise ValueError(f"Phase.latency={self.latency!r}: give ConstantLatency(0.2) or another distribution")

    @property
    def end(self) -> float:
        """Seconds after time zero at which it is over."""
        return self.start + self.duration

    def share(self, time: float) -> float | None:
        """Which share of it has passed, or None when it is not going on."""
        return (time - self.start) / self.duration if self.start <= time < self.end else None


@dataclass(frozen=True)
class Schedule:
    """Phases.

    Args:
        phases: in any order; what is written first is asked first.
        repeat: seconds after which all begins anew; None plays it once.
        text: how a scenario that made it is written.

    Raises:
        ValueError: a phase ends after the schedule begins anew.
    """

    phases: tuple[Phase, ...] = ()
    repeat: float | None = None
    text: str = field(default="", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", tuple(self.phases))
        if self.repeat is not None and not 0 < self.repeat < math.inf:
            raise ValueError(f"Schedule.repeat must be above 0 seconds, not {self.repeat!r}")
        late = [phase for phase in self.phases if self.repeat is not None and phase.end > self.repeat]
        if late:
            raise ValueError(f"Schedule.repeat={self.repeat!r}: {late[0]!r} ends after that")

    def at(self, time: float) -> Iterator[tuple[int, Phase, float]]:
        """The phases that are going on: their number, themselves, and the share of each that has passed."""
        local = self._local(time)
        for number, phase in enumerate(self.phases):
            share = phase.share(local)
            if share is not None:
                yield number, phase, share

    def limit_share(self, time: float) -> float:
        """The share of each limit's quota that holds."""
        return min((phase.limit_share for _, phase, _ in self.at(time)), default=1.0)

    def connection(self, time: float) -> Door:
        """What new connections meet."""
        for _, phase, _ in self.at(time):
            if phase.connection != "open":
                return phase.connection
        return "open"

    def next_change(self, time: float) -> float | None:
        """The next moment at which a phase begins or ends, for whoever sets a timer; None when there is none."""
        local = self._local(time)
        edges = {edge for phase in self.phases for edge in (phase.start, phase.end)}
        later = min((edge for edge in edges if edge > local), default=None)
        if later is not None:
            return time + (later - local)
        return None if self.repeat is None or not edges else time + (self.repeat - local) + min(edges)

    def _local(self, time: float) -> float:
        return time if self.repeat is None or time < 0 else math.fmod(time, self.repeat)
