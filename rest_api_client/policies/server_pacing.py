"""Keeping the server's own limit: learned from its answers, obeyed before the next 429.

What an answer says is read by dialects (`http.rate_limit_fields`) and learned per origin, unless `key` says otherwise;
`pace` decides from it when the next request fits. After a 429 or 503 with Retry-After nothing goes to that origin until
it has passed, plus a little chance, so that many clients do not come back in the same instant.

A server may have several quotas, and say which one a request fell under (GitHub's core and search, a partition key).
Each is learned apart. Which one the next request will fall under is taken from the first segment of its path, once an
answer has said so; a pause holds for all of them.

Most answers say nothing of limits. They are let through by two short questions to the state, and nothing else.

Waiting goes by the same lines and tokens as the client's own limit.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

from rest_api_client.checks import check_above_zero, check_at_least, check_whole
from rest_api_client.context import Context
from rest_api_client.events import report
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.forecast import Forecast
from rest_api_client.http.rate_limit_fields import Advice, Dialect, Reading, read_fields, silent
from rest_api_client.http.resets import LONGEST, server_now
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind, Outcome, classify_http
from rest_api_client.pipeline import Stage
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.pace import Lesson, Pace, PaceCommand, PaceState
from rest_api_client.policies.quotas import Land
from rest_api_client.policies.server_limits import SPREAD
from rest_api_client.policies.state import State
from rest_api_client.policies.token_queue import TokenQueue
from rest_api_client.reasons import SECONDARY_LIMIT
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME = "ServerPacing"

_MOST_ORIGINS = 1_000
_MOST_SEGMENTS = 64

_Scopes = dict[str, dict[str, str]]
"""By key: which of the server's quotas paths of this first segment fall under."""


@dataclass(frozen=True, kw_only=True)
class ServerPacing:
    """Learns the server's rate limit from its answers, and keeps it.

    Attributes:
        key: what the server limits: each "origin", "host", "route", the whole "client", or each text a function gives.
        max_wait: seconds a request may wait, else it is refused at once; None waits as long as the deadline allows.
        spread: seconds before a reset within which requests are spread over the time left, where they would otherwise
            use it up long before; None lets them go as they come.
        dialects: functions of (header fields, status, the server's wall time) that give `Advice`, or None where an
            answer says nothing that they know. They are asked in order before the known dialects.
        state: where what was learned is kept; give one to share it between clients of one clock.
    """

    key: Key = "origin"
    max_wait: float | None = 60.0
    spread: float | None = 60.0
    dialects: tuple[Dialect, ...] = ()
    state: State[PaceCommand] | None = field(default=None, compare=False, repr=False)
    tokens: TokenQueue | None = field(default=None, init=False, compare=False, repr=False)
    short: PaceState | None = field(default=None, init=False, compare=False, repr=False)
    scopes: _Scopes = field(default_factory=dict, init=False, compare=False, repr=False)
    stage = Stage.RATE_LIMIT

    def __post_init__(self) -> None:
        check_at_least(NAME, 0, off="as long as the deadline allows", max_wait=self.max_wait)
        check_above_zero(NAME, off="never", spread=self.spread)
        check_key(NAME, self.key)
        object.__setattr__(self, "dialects", _functions(self.dialects))
        if self.state is not None:
            object.__setattr__(self, "tokens", TokenQueue(NAME, self.state, self.max_wait))
            object.__setattr__(self, "short", self.state if isinstance(self.state, PaceState) else None)

    def fresh(self) -> Pace:
        """The pure object of one key."""
        return Pace(self.spread)

    def bind(self, runtime: Runtime) -> ServerPacing:
        """The same with a memory of its own, unless it was given one."""
        return self if self.state is not None else replace(self, state=PaceState(self.fresh, runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when the server can be expected to take it.

        Raises:
            RateLimitExceeded: that would be too late; `retry_after` says when.
        """
        tokens, key = self.tokens, request.url.origin_text if self.key == "origin" else key_of(self.key, request)
        if self.scopes:
            key = self._key(request)
        assert tokens is not None, "bind() first: a pipeline does"
        short = self.short
        token = (short.take(key) if short is not None else 0) or await tokens.take(key, request, context)
        try:
            response = await proceed(request, context)
            plain = context.call.classify is classify_http and not self.dialects and silent(response.headers)
            lesson = None if plain else self._lesson(token, request, response, context)
        except BaseException as error:
            await tokens.end(key, token, context, error)
            raise
        if lesson is not None:
            await self._teach(tokens.state, key, request, *lesson)
        elif short is not None:
            short.land(key, token)
        else:
            await tokens.state.apply(key, Land(token))
        if key in tokens.lines.busy:
            tokens.lines.nudge(key)
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether it would let the request through now."""
        assert self.tokens is not None, "bind() first: a pipeline does"
        return await self.tokens.forecast(self._key(request), context)

    def _key(self, request: Request) -> str:
        key = key_of(self.key, request)
        known = self.scopes.get(key)
        scope = None if known is None else known.get(_segment(request))
        return key if scope is None else f"{key} {scope}"

    def _lesson(self, token: int, request: Request, response: Response, context: Context) -> tuple[Lesson, str] | None:
        """What this answer teaches, and about which of the server's quotas; None for the usual one."""
        advice = self._advice(response)
        outcome = context.classify(request, response)
        pause = _pause(outcome, advice) * (1 + SPREAD * context.random.random())
        if not pause and not advice.readings:
            return None
        lesson = Lesson(
            token,
            advice.readings,
            pause,
            growing=outcome.reason == SECONDARY_LIMIT and advice.wait is None,
            fine=outcome.kind is Kind.OK,
            chance=context.random.random(),
        )
        return lesson, advice.scope

    def _advice(self, response: Response) -> Advice:
        headers, status = response.headers, response.status_code
        now = server_now(headers.get("date"), response.received_at)
        for dialect in self.dialects:
            try:
                advice = dialect(headers, status, now)
                if advice is not None:
                    return _sound(advice)
            except Exception as error:
                report(error, dialect, "rate limit dialect failed")
        return read_fields(headers, status, now)

    async def _teach(self, state: State[PaceCommand], key: str, request: Request, lesson: Lesson, scope: str) -> None:
        base = key_of(self.key, request)
        target = f"{base} {scope}" if scope else base
        if scope:
            self._remember(base, request, scope)
        if target != key:
            await state.apply(key, Land(lesson.token))
            lesson = replace(lesson, token=0)
        await state.apply(target, lesson)
        if lesson.pause:
            pause = Lesson(0, pause=lesson.pause, growing=lesson.growing)
            for scope_ in {"", *self.scopes.get(base, {}).values()} - {scope}:
                await state.apply(f"{base} {scope_}" if scope_ else base, pause)

    def _remember(self, base: str, request: Request, scope: str) -> None:
        if base in self.scopes or len(self.scopes) < _MOST_ORIGINS:
            segments = self.scopes.setdefault(base, {})
            if len(segments) < _MOST_SEGMENTS:
                segments[_segment(request)] = scope


def _segment(request: Request) -> str:
    """The first segment of the path: what tells GitHub's /search from the rest."""
    return request.url.path[1:].partition("/")[0]


def _pause(outcome: Outcome, advice: Advice) -> float:
    """Seconds in which nothing may go there."""
    if outcome.kind not in (Kind.THROTTLED, Kind.FAILED):
        return 0.0
    pause = advice.wait if outcome.retry_after is None else outcome.retry_after
    return pause if pause is not None and pause <= LONGEST else 0.0


def _functions(dialects: Any) -> tuple[Dialect, ...]:
    given: tuple[Any, ...] = tuple(dialects) if isinstance(dialects, list | tuple) else (dialects,)
    if not all(callable(dialect) for dialect in given):
        raise ConfigurationError(f"{NAME}(dialects={dialects!r}): give a tuple of functions (headers, status, now)")
    return given


def _sound(advice: Advice) -> Advice:
    """What a user's dialect gave, if it is what it should be."""
    if not isinstance(advice, Advice) or not all(isinstance(reading, Reading) for reading in advice.readings):
        raise ConfigurationError(f"a dialect gives Advice(readings=(Reading(...), ...)) or None, not {advice!r}")
    for reading in advice.readings:
        _check(reading)
    if advice.wait is not None and not 0 <= advice.wait <= LONGEST:
        raise ConfigurationError(f"a dialect gave wait={advice.wait!r}: give seconds, 0 to {LONGEST:.0f}, or None")
    return advice


def _check(reading: Reading) -> None:
    owner = "a dialect gave Reading"
    check_whole(owner, 0, off="what is not said", limit=reading.limit, remaining=reading.remaining)
    check_at_least(owner, 0, unit="a number", off="what is not said", refill=reading.refill)
    check_at_least(owner, 0, off="what is not said", reset=reading.reset, window=reading.window)
    for name, seconds in (("reset", reading.reset), ("window", reading.window)):
        if seconds is not None and seconds > LONGEST:
            raise ConfigurationError(f"{owner}({name}={seconds!r}): give seconds, 0 to {LONGEST:.0f}, or None")
