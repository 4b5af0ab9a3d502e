"""What is known of one server's limits, and when the next request fits into all of them: pure, told the time.

`server_limits` has the limits themselves. Here is what stands above them: the tokens, the pause that a server asked
for, and the learning from its answers.

A pause that the server did not measure itself is doubled each time it proves too short. It ends for all who wait at the
same moment; they are let out one after the other, faster and faster. What was learned before a limit was named counts:
each request is remembered from the first on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from rest_api_client.http.rate_limit_fields import Reading
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.quotas import ONE, Costs, Land, Peek, QuotaCommand, Return, Take, until
from rest_api_client.policies.server_limits import NO_WAIT, SPREAD, Sent, ServerLimit, Wait, can_count, kind_of
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.policies.token_state import TokenState
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.reasons import PAUSED

RELEASE: Final = 5.0
"""Seconds in which all who waited for a pause are let out, at most; a tenth of the pause where that is shorter."""

_FIRST_GAP, _SHRINK = 0.1, 0.9
"""The first gap as a share of that time, and each next one as a share of the one before: all together are that time."""

_DOUBLINGS = 4
"""A pause that grows is at most 16 times the first: 16 minutes where that is one."""

_MOST_LIMITS = 16


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one answer teaches.

    Attributes:
        token: the request it answers; 0 where it was counted elsewhere.
        readings: what the server said of its limits.
        pause: seconds in which nothing may be sent.
        growing: whether the pause is only a guess, to be doubled each time it was too short.
        fine: whether the request was let through.
        chance: from 0 to 1, by how much of what is allowed a reset is lengthened.
    """

    token: int
    readings: tuple[Reading, ...] = ()
    pause: float = 0.0
    growing: bool = False
    fine: bool = False
    chance: float = 0.0


PaceCommand: TypeAlias = QuotaCommand | Lesson


class Pace:
    """One server's limit.

    Args:
        spread: seconds before a reset within which what remains may be spread; None never.

    Attributes:
        quiet: whether no limit is known and no pause asked for, so that nobody has to wait.
    """

    def __init__(self, spread: float | None = None) -> None:
        self.spread = spread
        self.sent = Sent()
        self.limits: dict[str, ServerLimit] = {}
        self.paused_until = 0.0
        self.quiet = True
        self._strikes = 0
        self._gap = 0.0
        self._next_at = 0.0
        self._release_end = 0.0

    def apply(self, command: PaceCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if isinstance(command, Take | Peek):
            wait, reason = NO_WAIT if self.quiet else self._wait(command.ahead, now)
            if wait:
                return Decision("wait", wait, reason)
            return ALLOW if isinstance(command, Peek) else Decision("allow", token=self._issue(now))
        if isinstance(command, Return):
            self.sent.flying.discard(command.token)
        elif isinstance(command, Land):
            self.land(command.token, now)
        else:
            self._learn(command, now)
        return ALLOW

    def take(self, now: float, costs: Costs = ONE) -> int:
        """A token for whoever comes now, or 0. Where it is quiet, each gets one."""
        if self.quiet:
            return self.sent.issue()
        return 0 if self._wait(0, now)[0] else self._issue(now)

    def land(self, token: int, now: float) -> None:
        """A request was answered without a word on limits, or has failed."""
        if self.sent.end(token, now):
            for limit in self.limits.values():
                limit.landed()

    def _issue(self, now: float) -> int:
        if not self.quiet:
            self._took(now)
        return self.sent.issue()

    def _took(self, now: float) -> None:
        self.sent.at = now
        for limit in self.limits.values():
            limit.took(now)
        if now < self._release_end:
            self._next_at, self._gap = now + self._gap, self._gap * _SHRINK
        self.quiet = not self.limits and now >= self._release_end

    def _wait(self, ahead: int, now: float) -> Wait:
        paused = until(max(self.paused_until, self._next_at), now), PAUSED
        return max([paused, *(limit.wait(self.sent, ahead, self.spread, now) for limit in self.limits.values())])

    def _learn(self, lesson: Lesson, now: float) -> None:
        self.sent.end(lesson.token, now)
        if lesson.pause:
            self._pause(lesson, now)
        elif lesson.fine and now >= self.paused_until:
            self._strikes = 0
        if any(can_count(reading) for reading in lesson.readings):
            named = {_key(reading) for reading in lesson.readings}
            self.limits = {key: limit for key, limit in self.limits.items() if key in named or not limit.of_requests}
        for reading in lesson.readings:
            self._read(reading, lesson, now)
        self.quiet = not self.limits and now >= self._release_end

    def _pause(self, lesson: Lesson, now: float) -> None:
        if lesson.growing and now >= self.paused_until:
            self._strikes = min(self._strikes + 1, _DOUBLINGS + 1)
        pause = lesson.pause * 2 ** max(0, self._strikes - 1) if lesson.growing else lesson.pause
        if now + pause > self.paused_until:
            self.paused_until = now + pause
            release = min(SPREAD * pause, RELEASE)
            self._gap, self._release_end = _FIRST_GAP * release, self.paused_until + 2 * release

    def _read(self, reading: Reading, lesson: Lesson, now: float) -> None:
        key, kind = _key(reading), kind_of(reading)
        if kind is None:
            return
        limit = self.limits.get(key)
        if not isinstance(limit, kind):
            while len(self.limits) >= _MOST_LIMITS:
                del self.limits[next(iter(self.limits))]
            limit = self.limits[key] = kind()
        limit.learn(self.sent, reading, lesson.token, lesson.chance, now)


class PaceState(TokenState[PaceCommand, WaitingLines]):
    """Pace by key in this process, and the lines to it."""

    def __init__(self, fresh: Callable[[], Pace], now: Callable[[], float]) -> None:
        super().__init__(fresh, now, WaitingLines())


def _key(reading: Reading) -> str:
    return f"{reading.dimension} {reading.name}"
