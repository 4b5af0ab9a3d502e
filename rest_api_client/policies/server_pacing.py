"""Keeping the server's own limit: learned from its answers, obeyed before the next 429.

Three things are learned, per origin unless `key` says otherwise:

- *The policy*, where the server names its quota and window: `RateLimit-Policy: "default";q=100;w=60`
  (draft-ietf-httpapi-ratelimit-headers). From then on this client keeps at most q requests in any window of w seconds
  itself, counting all it has sent, those before it learned included. At most q in any window passes a sliding window,
  a fixed window and a bucket alike. Where the server counts more than this client sent, others share the quota, and
  what they used counts as used.
- *The remainder*, where only that is named (`RateLimit: "default";r=5;t=30`, or X-RateLimit-Limit, -Remaining and
  -Reset in seconds): no more requests are let through than remain, those in flight counted as not yet seen, until the
  reset.
- *A pause*: after a 429 or 503 with Retry-After nothing goes to that key until it has passed, plus a little chance, so
  that many clients do not come back in the same instant.

What is malformed or unknown is ignored. Waiting goes by the same lines and tokens as the client's own limit.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from rest_api_client.checks import check_at_least
from rest_api_client.context import Context
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.quotas import Peek, QuotaCommand, Return, Take, Tokens, until, window_wait
from rest_api_client.policies.state import ALLOW, Decision, MemoryState, State
from rest_api_client.policies.token_queue import end_token, take_token
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

SPREAD = 0.1
"""A pause is lengthened by up to this share of itself, never shortened."""

MARGIN = 0.01
"""Seconds by which a server's window is kept longer than it says: its clock, and how finely it counts, are its own."""

MEMORY = 10_000
"""Requests remembered per key. A policy with a larger quota is not kept by counting, but by its remainder."""


@dataclass(frozen=True, slots=True)
class Window:
    """A limit as the server states it: `quota` requests in `seconds`, `remaining` of them left (None: not said).

    `reset` is in how many seconds what was used is back.
    """

    quota: int
    seconds: float
    remaining: int | None = None
    reset: float = 0.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one answer teaches.

    Attributes:
        token: the request it answers.
        windows: the policies the server named; empty where it named none.
        remaining: requests left until `reset`, where no window is known.
        reset: seconds.
        quota: requests there are after the reset, where the server says so.
        pause: seconds in which nothing may be sent.
    """

    token: int
    windows: tuple[Window, ...] = ()
    remaining: int | None = None
    reset: float = 0.0
    quota: int | None = None
    pause: float = 0.0


PaceCommand: TypeAlias = QuotaCommand | Lesson


class Pace:
    """What is known of one server's limit: pure, told the time."""

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.landed: deque[float] = deque()
        self.windows: tuple[Window, ...] = ()
        self.left: int | None = None
        self.quota: int | None = None
        self.span = 0.0
        self.reset_at = 0.0
        self.paused_until = 0.0

    def apply(self, command: PaceCommand, now: float) -> Decision:
        """Carry out a command at `now`."""
        if isinstance(command, Take | Peek):
            return self.tokens.answer(command, *self._wait(command.ahead, now))
        if self.tokens.end(command.token) and not isinstance(command, Return):
            self._land(now, told=isinstance(command, Lesson))
        if isinstance(command, Lesson):
            self._learn(command, now)
        return ALLOW

    def _land(self, now: float, *, told: bool) -> None:
        self.landed.append(now)
        if len(self.landed) > MEMORY:
            self.landed.popleft()
        if self.left is not None and not told:
            self.left -= 1

    def _wait(self, ahead: int, now: float) -> tuple[float, str]:
        if self.left is not None and now >= self.reset_at:
            # Nobody has said yet what the new quota is; until an answer does, no more than one goes out.
            self.left, self.reset_at = self.quota, now + self.span
        flying = self.tokens.flying
        waits = [(until(self.paused_until, now), "retry-after")]
        for w in self.windows:
            wait = window_wait(w.quota, w.seconds + MARGIN, self.landed, flying, ahead, now)
            waits.append((wait, "server limit"))
        if self.left is not None and self.left - len(flying) <= ahead:
            waits.append((until(self.reset_at, now), "server limit"))
        return max(waits)

    def _learn(self, lesson: Lesson, now: float) -> None:
        self.paused_until = max(self.paused_until, now + lesson.pause)
        if lesson.windows:
            self.windows, self.left = lesson.windows, None
            for window in lesson.windows:
                self._count_others(window, now)
        elif lesson.remaining is not None:
            same = self.left is not None and now < self.reset_at
            self.left = min(self.left or 0, lesson.remaining) if same else lesson.remaining
            # A quota of 0 is how some servers write "no limit".
            self.quota, self.span, self.reset_at = lesson.quota or None, lesson.reset, now + lesson.reset

    def _count_others(self, window: Window, now: float) -> None:
        """What the server counts beyond our own requests was used by others, and comes back when it says."""
        if window.remaining is None:
            return
        start = bisect_right(self.landed, now - window.seconds)
        ours = len(self.landed) - start + len(self.tokens.flying)
        used = now + min(window.reset, window.seconds) - window.seconds
        for _ in range(window.quota - window.remaining - ours):
            insort(self.landed, used)


def read_lesson(token: int, headers: Headers, pause: float) -> Lesson:
    """What an answer's header fields teach. Malformed fields teach nothing."""
    if not any("ratelimit" in name for name in headers):
        return Lesson(token, pause=pause)
    state = dict(_items(headers.get("ratelimit", "")))
    windows = tuple(_windows(headers.get("ratelimit-policy", ""), state))
    remaining, reset, quota = _remainder(headers, state)
    if remaining is None or reset is None:
        return Lesson(token, windows, pause=pause)
    return Lesson(token, windows, remaining, reset, quota, pause)


def _windows(policy: str, state: dict[str, dict[str, int]]) -> Iterator[Window]:
    for name, numbers in _items(policy):
        quota, seconds = numbers.get("q", 0), numbers.get("w", 0)
        if 0 < quota <= MEMORY and seconds:
            said = state.get(name, {})
            yield Window(quota, seconds, said.get("r"), said.get("t", seconds))


def _remainder(headers: Headers, state: dict[str, dict[str, int]]) -> tuple[int | None, int | None, int | None]:
    """Requests left, seconds until the reset, and requests there are in all, as far as they are said."""
    if state:
        said = min(state.values(), key=lambda numbers: numbers.get("r", MEMORY))
        return said.get("r"), said.get("t"), None
    for prefix in ("x-ratelimit-", "ratelimit-"):
        remaining, reset = (_number(headers.get(prefix + name)) for name in ("remaining", "reset"))
        if remaining is not None and reset is not None and reset < _LONGEST_RESET:
            return remaining, reset, _number(headers.get(prefix + "limit"))
    return None, None, None


_LONGEST_RESET = 7 * 86_400
"""A larger figure is a date, or not in seconds."""
_LONGEST_FIELD = 2000


def _items(value: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Name and whole-number parameters of each item in `"burst";q=100;w=60, "daily";q=1000;w=86400`."""
    for item in value[:_LONGEST_FIELD].split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        pairs = [parameter.partition("=")[::2] for parameter in parameters]
        if name and all(key != "qu" or unit.strip('"') == "requests" for key, unit in pairs):
            yield name.strip('"'), {key: number for key, text in pairs if (number := _number(text)) is not None}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _DIGITS.fullmatch(text) else None


_DIGITS = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, kw_only=True)
class ServerPacing:
    """Learns the server's rate limit from its answers, and keeps it.

    Attributes:
        key: what the server limits: each "origin", "host", the whole "client", or each text a function gives.
        max_wait: seconds a request may wait, else it is refused at once; None waits as long as the deadline allows.
        state: where what was learned is kept; give one to share it between clients of one clock.
    """

    key: Key = "origin"
    max_wait: float | None = 60.0
    state: State[PaceCommand] | None = field(default=None, compare=False, repr=False)
    lines: WaitingLines = field(default_factory=WaitingLines, init=False, compare=False, repr=False)
    stage = Stage.RATE_LIMIT

    def __post_init__(self) -> None:
        check_at_least("ServerPacing", 0, off="as long as the deadline allows", max_wait=self.max_wait)
        check_key("ServerPacing", self.key)

    def bind(self, runtime: Runtime) -> ServerPacing:
        """The same with a memory of its own, unless it was given one."""
        return self if self.state is not None else replace(self, state=MemoryState(Pace, runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when the server can be expected to take it.

        Raises:
            RateLimitExceeded: that would be too late; `retry_after` says when.
        """
        state, key = self.state, key_of(self.key, request)
        assert state is not None, "bind() first: a pipeline does"
        token = await take_token(self.lines, state, key, request, context, self.max_wait)
        try:
            response = await proceed(request, context)
            lesson = read_lesson(token, response.headers, self._pause(request, response, context))
        except BaseException as error:
            await end_token(self.lines, state, key, token, context, error)
            raise
        await state.apply(key, lesson)
        self.lines.nudge(key)
        return response

    def _pause(self, request: Request, response: Response, context: Context) -> float:
        outcome = context.classify(request, response)
        if not outcome.retry_after or outcome.kind not in (Kind.THROTTLED, Kind.FAILED):
            return 0.0
        return outcome.retry_after * (1 + SPREAD * context.random.random())
