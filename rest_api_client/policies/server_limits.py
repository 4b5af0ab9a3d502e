"""The limits a server can have, each kept in its own way: pure, told the time, asked how long the next one must wait.

    ServerWindow   so many in any window of so many seconds: counted, others' requests included
    Remainder      so many until the reset: no more are open or sent than remain
    Refill         so many now, and so many more each second
    Stop           what cannot be counted here (tokens, bytes): nothing passes while none is left, or less than the
                   cheapest of the last few requests used

What remains is spread over the time left only when it would otherwise be burnt long before the reset: when this
client, at the pace it had in the last window, would use more than twice of it. So whoever uses up to two thirds of a
quota at once, or any quota evenly, is never slowed.

A token's number says when it was taken: an answer to a request that was sent after the newest figure was learned is
newer than that. Of answers that overtook one another the smaller figure is the newer one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final, Protocol, TypeAlias

from rest_api_client.http.rate_limit_fields import REQUESTS, Reading
from rest_api_client.http.resets import LONGEST
from rest_api_client.policies.quotas import until
from rest_api_client.reasons import EVENLY, SERVER_LIMIT

SPREAD: Final = 0.1
"""A pause is lengthened by up to this share of itself, never shortened."""

LATEST: Final = 1.0
"""Seconds by which a reset is lengthened at most: it may be an hour away."""

MARGIN: Final = 0.01
"""Seconds by which a server's window is kept longer than it says: its clock, and how finely it counts, are its own."""

MEMORY: Final = 10_000
"""Requests remembered per key. A limit with a larger quota is not kept by counting, but by its remainder."""


Wait: TypeAlias = tuple[float, str]
"""Seconds, and a reason; 0 seconds for none."""
NO_WAIT: Final[Wait] = (0.0, "")

_USES = 8


class Sent:
    """Which requests are open, and when the others were sent, at the latest."""

    def __init__(self) -> None:
        self.flying: set[int] = set()
        self.landed: deque[float] = deque(maxlen=MEMORY)
        self.others: list[float] = []
        self.last = 0
        self.at = 0.0

    def issue(self) -> int:
        """A new token. Each has a higher number than those before it."""
        self.last += 1
        self.flying.add(self.last)
        return self.last

    def end(self, token: int, now: float) -> bool:
        """A request is over; False if it was already."""
        if token not in self.flying:
            return False
        self.flying.remove(token)
        if self.landed and now < self.landed[-1]:  # two threads ended, and the later one came first
            self._insert(now)
        else:
            self.landed.append(now)
        return True

    def _insert(self, moment: float) -> None:
        if len(self.landed) == MEMORY:
            self.landed.popleft()
        insort(self.landed, moment)

    def since(self, moment: float) -> int:
        """How many requests, ours and others', landed after a moment."""
        return len(self.landed) - bisect_right(self.landed, moment)

    def ours_since(self, moment: float) -> int:
        """How many of our own are open or landed after a moment."""
        return self.since(moment) + len(self.flying) - (len(self.others) - bisect_right(self.others, moment))

    def count_others(self, number: int, moment: float) -> None:
        """Take so many requests of others as sent then."""
        for _ in range(number):
            self._insert(moment)
            insort(self.others, moment)
        del self.others[:-MEMORY]


def _evenly(sent: Sent, left: int, time_left: float, span: float, spread: float | None, ahead: int, now: float) -> Wait:
    """Wait so that `left` last for `time_left`, where our pace of the last `span` would use more than twice of them."""
    if spread is None or not 0 < time_left <= spread or sent.ours_since(now - span) * time_left <= 2 * left * span:
        return NO_WAIT
    return until(sent.at + (ahead + 1) * time_left / left, now), EVENLY


def _later(reset: float, chance: float) -> float:
    """A reset, a little later than said: many clients wait for the same one."""
    return reset + min(SPREAD * reset, LATEST) * chance


class ServerLimit(Protocol):
    """One limit of a server's."""

    @property
    def of_requests(self) -> bool:
        """Whether it limits requests."""
        ...

    def wait(self, sent: Sent, ahead: int, spread: float | None, now: float) -> Wait:
        """Seconds until it lets the one behind `ahead` others through, and why; changes nothing."""
        ...

    def took(self, now: float) -> None:
        """A request goes out."""
        ...

    def landed(self) -> None:
        """A request was answered without a word on limits."""
        ...

    def learn(self, sent: Sent, reading: Reading, token: int, chance: float, now: float) -> None:
        """Take in what the answer to the request of a token says of it."""
        ...


def can_count(reading: Reading) -> bool:
    """Whether a limit can be kept by counting requests."""
    whole = reading.limit is not None and 0 < reading.limit <= MEMORY
    return reading.dimension == REQUESTS and whole and bool(reading.window)


def kind_of(reading: Reading) -> type[ServerWindow | Refill | Remainder | Stop] | None:
    """What keeps the limit of a reading; None where too little is said of it."""
    if can_count(reading):
        return ServerWindow
    if reading.remaining is None:
        return None
    if reading.dimension == REQUESTS and reading.refill and reading.limit:
        return Refill
    if reading.reset is None:
        return None
    return Remainder if reading.dimension == REQUESTS else Stop


class ServerWindow:
    """So many in any window of so many seconds."""

    of_requests = True

    def __init__(self) -> None:
        self.quota = 0
        self.seconds = 0.0

    def wait(self, sent: Sent, ahead: int, spread: float | None, now: float) -> Wait:
        """Until enough of those sent fall out of the window."""
        wait = _window_wait(self.quota, self.seconds + MARGIN, sent.landed, sent.flying, ahead, now)
        if wait:
            return wait, SERVER_LIMIT
        start = bisect_right(sent.landed, now - self.seconds)
        left = self.quota - (len(sent.landed) - start) - len(sent.flying)
        first = sent.landed[start] if start < len(sent.landed) else now
        return _evenly(sent, left, first + self.seconds - now, self.seconds, spread, ahead, now)

    def took(self, now: float) -> None:
        """It counts once it has landed."""

    def landed(self) -> None:
        """Counted with all that landed."""

    def learn(self, sent: Sent, reading: Reading, token: int, chance: float, now: float) -> None:
        """What the server counts beyond ours was used by others, and is back when it says."""
        limit, window = reading.limit, reading.window
        assert limit is not None
        assert window is not None
        self.quota, self.seconds = limit, window
        if reading.remaining is None:
            return
        known = sent.since(now - self.seconds) + len(sent.flying)
        reset = self.seconds if reading.reset is None else min(reading.reset, self.seconds)
        sent.count_others(self.quota - reading.remaining - known, now + reset - self.seconds)


def _window_wait(
    calls: int, period: float, landed: Sequence[float], flying: Collection[int], ahead: int, now: float
) -> float:
    """Seconds until a token is free for the one behind `ahead` others; a lower bound where it hangs on open answers.

    Args:
        calls: tokens there are.
        period: seconds until a used token is back.
        landed: when tokens were used, in rising order; also longer ago than a period.
        flying: tokens in use.
        ahead: how many are served first.
        now: the present moment.
    """
    start = bisect_right(landed, now, key=lambda moment: moment + period)
    used = len(landed) - start + len(flying)
    free = max(0, calls - used)
    rounds, turn = divmod(ahead, calls)
    if turn < free:
        return rounds * period
    place = start + max(0, used - calls) + turn - free
    back = until(landed[place] + period, now) if place < len(landed) else period
    return back + rounds * period


class Remainder:
    """So many until the reset; then a whole quota, as often as the server says nothing else."""

    of_requests = True

    def __init__(self) -> None:
        self.left: int | None = None
        self.quota: int | None = None
        self.span = 0.0
        self.reset_at = 0.0
        self.basis = 0

    def wait(self, sent: Sent, ahead: int, spread: float | None, now: float) -> Wait:
        """Until the reset, when no more remain than are open."""
        over = now >= self.reset_at
        left, reset_at = (self.quota, now + self.span) if over else (self.left, self.reset_at)
        if left is None:
            return NO_WAIT
        free = left - len(sent.flying)
        if free <= ahead:
            return until(reset_at, now), SERVER_LIMIT
        return _evenly(sent, free, reset_at - now, self.span, spread, ahead, now)

    def took(self, now: float) -> None:
        """Begin a new quota after the reset."""
        if now >= self.reset_at:
            # Nobody has said yet what the new quota is; until an answer does, it is taken for the last one.
            self.left, self.reset_at = self.quota, now + self.span

    def landed(self) -> None:
        """One less remains."""
        if self.left is not None:
            self.left -= 1

    def learn(self, sent: Sent, reading: Reading, token: int, chance: float, now: float) -> None:
        """What remains, unless a newer answer said so already."""
        assert reading.remaining is not None
        assert reading.reset is not None
        if self.left is None or now >= self.reset_at or token > self.basis:
            self.left, self.basis = reading.remaining, sent.last
        else:
            self.left = min(self.left, reading.remaining)
        # A quota of 0 is how some servers write "no limit".
        self.quota = reading.limit or None
        self.span, self.reset_at = max(self.span, reading.reset), now + _later(reading.reset, chance)


class Refill:
    """So many now, and so many more each second."""

    of_requests = True

    def __init__(self) -> None:
        self.level = 0.0
        self.at = 0.0
        self.refill = 1.0
        self.size = 0
        self.basis = -1

    def wait(self, sent: Sent, ahead: int, spread: float | None, now: float) -> Wait:
        """Until enough have come back."""
        missing = 1 + ahead + len(sent.flying) - self._now(now)
        return (min(missing / self.refill, LONGEST), SERVER_LIMIT) if missing > _DUST else NO_WAIT

    def _now(self, now: float) -> float:
        return min(self.size, self.level + (now - self.at) * self.refill)

    def took(self, now: float) -> None:
        """It counts once it has landed."""

    def landed(self) -> None:
        """One less is there."""
        self.level -= 1

    def learn(self, sent: Sent, reading: Reading, token: int, chance: float, now: float) -> None:
        """How many are there now, unless a newer answer said so already."""
        assert reading.remaining is not None
        assert reading.limit is not None
        assert reading.refill is not None
        if self.basis < 0 or token > self.basis:
            level, self.basis = float(reading.remaining), sent.last
        else:
            level = min(self._now(now), reading.remaining)
        self.level, self.at, self.size, self.refill = level, now, reading.limit, reading.refill


_DUST = 1e-9
"""Parts of a request that are only rounding."""


class Stop:
    """Nothing passes while none of what we cannot count is left, or less than any request uses."""

    of_requests = False

    def __init__(self) -> None:
        self.left = 0
        self.reset_at = 0.0
        self.stopped_until = 0.0
        self.basis = -1
        self.uses: deque[int] = deque(maxlen=_USES)

    def wait(self, sent: Sent, ahead: int, spread: float | None, now: float) -> Wait:
        """Until the reset, when there is too little left."""
        return until(self.stopped_until, now), SERVER_LIMIT

    def took(self, now: float) -> None:
        """What it uses is not known."""

    def landed(self) -> None:
        """What it used is not known."""

    def learn(self, sent: Sent, reading: Reading, token: int, chance: float, now: float) -> None:
        """What is left, unless a newer answer said so already, and what the last request used."""
        assert reading.remaining is not None
        assert reading.reset is not None
        if self.basis >= token and reading.remaining >= self.left and now < self.reset_at:
            return  # it was overtaken on its way
        if now < self.reset_at and reading.remaining < self.left:
            self.uses.append(self.left - reading.remaining)
        self.left, self.basis, self.reset_at = reading.remaining, sent.last, now + _later(reading.reset, chance)
        too_little = len(self.uses) == _USES and self.left < min(self.uses)
        self.stopped_until = self.reset_at if self.left == 0 or too_little else 0.0
