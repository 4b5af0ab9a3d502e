"""The policies as decorators, for any function, sync or async.

    @rate_limit(calls=10, period=1)
    @retry(max_attempts=3, on=ConnectionError)
    @log_request
    def fetch(number): ...

Each is a `Guard` of one policy (`guard`), for one function: it has a state of its own, unless the policy was given one.

A thread cannot be interrupted. On a sync function `deadline` tells the clients called inside when to be over, and
refuses to begin when it is too late already; it never claims to stop the function itself.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Hashable
from dataclasses import fields, replace
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast, overload

from rest_api_client.checks import check_above_zero
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.context import Random
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded
from rest_api_client.function_calls import CALL, FunctionCall, finished, is_async, name_of
from rest_api_client.guard import Failures, Guard
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Policy
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.concurrency import AdaptiveConcurrency
from rest_api_client.policies.deadline import (
    AmbientDeadline,
    Deadline,
    ambient_deadline,
    ambient_moment,
    earlier,
)
from rest_api_client.policies.fallback import Fallback
from rest_api_client.policies.hedging import Hedging
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.reasons import OK
from rest_api_client.telemetry import LOGGER
from rest_api_client.utils import unknown

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Decorator(Protocol):
    """What gives a function back with the same signature."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Decorate a function."""
        ...


@overload
def retry(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retry(
    *, on: Failures | None = None, clock: Clock = SYSTEM, random: Random | None = None, **options: Any
) -> Decorator: ...
def retry(
    function: Callable[..., Any] | None = None,
    /,
    *,
    on: Failures | None = None,
    clock: Clock = SYSTEM,
    random: Random | None = None,
    **options: Any,
) -> Any:
    """Call a function again when it fails.

    Writing it says that the function may be called twice. An error that carries a request which is not safe to resend
    ends the retries all the same, unless `retry_unsafe=True`.

    Args:
        function: for `@retry` without arguments.
        on: exceptions that are failures; by default those of this library that another attempt can mend.
        clock: what the waits go by.
        random: the source of jitter.
        options: those of `RetryConfig`: `max_attempts`, `strategy`, ...

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function.
    """
    return _decorator(function, _built(RetryConfig, options), on, clock, random)


def rate_limit(*, clock: Clock = SYSTEM, **options: Any) -> Decorator:
    """Have calls of a function wait for their turn: `rate_limit(calls=10, period=1)`.

    Args:
        clock: what the waits go by.
        options: those of `RateLimit`: `calls` and `period`, or `rate` and `burst`; `max_wait`.

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function. The function itself then raises
            `RateLimitExceeded` where the wait would be too long.
    """
    return cast("Decorator", _decorator(None, _built(RateLimit, options), None, clock, None))


@overload
def circuit_breaker(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def circuit_breaker(*, on: Failures | None = None, clock: Clock = SYSTEM, **options: Any) -> Decorator: ...
def circuit_breaker(
    function: Callable[..., Any] | None = None,
    /,
    *,
    on: Failures | None = None,
    clock: Clock = SYSTEM,
    **options: Any,
) -> Any:
    """Stop calling a function that mostly fails.

    Args:
        function: for `@circuit_breaker` without arguments.
        on: exceptions that are failures; by default those of this library that tell of a failing server.
        clock: what time goes by.
        options: those of `CircuitBreaker`: `failure_ratio`, `min_calls`, `window`, `open_for`, `probes`.

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function. The function itself then raises
            `CircuitOpenError` while the circuit is open.
    """
    return _decorator(function, _built(CircuitBreaker, options), on, clock, None)


def bulkhead(*, clock: Clock = SYSTEM, **options: Any) -> Decorator:
    """Let only so many calls of a function run at once: `bulkhead(limit=5)`; a few more wait in line.

    Args:
        clock: what the waits go by.
        options: those of `Bulkhead`: `limit`, `queue`, `max_wait`.

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function. The function itself then raises
            `BulkheadFull` where there is no room to wait, or no turn in time.
    """
    return cast("Decorator", _decorator(None, _built(Bulkhead, options), None, clock, None))


def adaptive_concurrency(*, on: Failures | None = None, clock: Clock = SYSTEM, **options: Any) -> Decorator:
    """Let as many calls of a function run at once as its latency shows to be good.

    Args:
        on: exceptions that are failures; by default those of this library that tell of a failing server.
        clock: what time goes by.
        options: those of `AdaptiveConcurrency`.

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function. The function itself then raises
            `BulkheadFull` where there is no room to wait, or no turn in time.
    """
    return cast("Decorator", _decorator(None, _built(AdaptiveConcurrency, options), on, clock, None))


def hedge(*, on: Failures | None = None, clock: Clock = SYSTEM, **options: Any) -> Decorator:
    """Call a slow function a second time, and take the first good result: `hedge(delay=0.2)`.

    Writing it says that the function may run twice at once. A thread cannot be stopped: for a sync function
    `hedge_unabortable=True` says that the call that lost may run to its end.

    Args:
        on: exceptions that are failures; by default those of this library that tell of a failing server.
        clock: what the delay goes by.
        options: those of `Hedging`: `delay`, `percentile`, `max_hedges`, ...

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function.
    """
    options["methods"] = {CALL}
    return cast("Decorator", _decorator(None, _built(Hedging, options), on, clock, None))


def fallback(*, on: Failures | None = None, clock: Clock = SYSTEM, **options: Any) -> Decorator:
    """Give something else where a function fails: `fallback(json=[], on=OSError)`, or `fallback(call=function)`.

    Args:
        on: exceptions that are failures; by default those of this library that tell of a failing server.
        clock: what time goes by.
        options: those of `Fallback`: `json` is the result itself, `call` makes it.

    Raises:
        ConfigurationError: an unknown or impossible option, or a generator function.
    """
    return cast("Decorator", _decorator(None, _built(Fallback, options), on, clock, None))


@overload
def coalesce(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def coalesce(*, key: Callable[..., Hashable] | None = None, clock: Clock = SYSTEM) -> Decorator: ...
def coalesce(
    function: Callable[..., Any] | None = None,
    /,
    *,
    key: Callable[..., Hashable] | None = None,
    clock: Clock = SYSTEM,
) -> Any:
    """Have callers that ask the same at the same time share one call of a function, and its result.

    Args:
        function: for `@coalesce` without arguments.
        key: a function of the same arguments says what makes two calls the same; by default all arguments do.
        clock: what time goes by.

    Raises:
        ConfigurationError: a generator function. The function itself then raises `HookError` where what makes two calls
            the same cannot be hashed.
    """

    def identity(request: Request) -> Hashable:
        call = cast("FunctionCall", request)
        if key is not None:
            return key(*call.args, **call.kwargs)
        return (call.args, tuple(sorted(call.kwargs.items())))

    return _decorator(function, Coalesce(identity=identity), None, clock, None)


def deadline(seconds: float, *, clock: Clock = SYSTEM) -> Decorator:
    """Give a function, and every call that our clients make inside it, so many seconds.

    An async function is cancelled when they are over. A sync one is not interrupted: the clients it uses end their
    calls in time. Nested deadlines: the earlier counts.

    Raises:
        ConfigurationError: no seconds above 0, or a generator function. The function itself then raises
            `DeadlineExceeded`, before it begins if a deadline round it has passed already.
    """
    check_above_zero("deadline", hint="as @deadline(10)", seconds=seconds)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if is_async(function):
            return Guard(Deadline(seconds=seconds), clock=clock)(function)
        return _sync_deadline(function, seconds, clock)

    return cast("Decorator", decorate)


def _sync_deadline(function: Callable[..., Any], seconds: float, clock: Clock) -> Callable[..., Any]:
    name = name_of(function)

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        now = clock.monotonic()
        moment = earlier(now + seconds, ambient_moment(clock))
        assert moment is not None
        if moment <= now:
            raise DeadlineExceeded(f"{name}() was not begun: the deadline round it has passed")
        token = ambient_deadline.set(AmbientDeadline(clock, moment))
        try:
            return finished(function(*args, **kwargs), name)
        finally:
            ambient_deadline.reset(token)

    return limited


@overload
def log_request(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def log_request(*, level: int = logging.INFO, clock: Clock = SYSTEM) -> Decorator: ...
def log_request(
    function: Callable[..., Any] | None = None, /, *, level: int = logging.INFO, clock: Clock = SYSTEM
) -> Any:
    """Log each call of a function to the logger `rest_api_client`: its name, how it ended and how long it took.

    Arguments are never logged: they may hold secrets. Where the function returns a `Response`, method, endpoint and
    status go along as `extra` fields. An error is logged as a warning, by its class, and raised as it is.

    Args:
        function: for `@log_request` without arguments.
        level: of calls that end well.
        clock: what the duration goes by.

    Raises:
        ConfigurationError: a generator function.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = name_of(function)
        if is_async(function):

            @functools.wraps(function)
            async def logged_async(*args: Any, **kwargs: Any) -> Any:
                with _Logged(name, level, clock) as record:
                    record.result = await function(*args, **kwargs)
                    return record.result

            return logged_async

        @functools.wraps(function)
        def logged(*args: Any, **kwargs: Any) -> Any:
            with _Logged(name, level, clock) as record:
                record.result = finished(function(*args, **kwargs), name)
                return record.result

        return logged

    return decorate if function is None else decorate(function)


class _Logged:
    """One call of a logged function."""

    def __init__(self, name: str, level: int, clock: Clock) -> None:
        self.name = name
        self.level = level
        self.clock = clock
        self.result: object = None

    def __enter__(self) -> Self:
        self.began = self.clock.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        extra: dict[str, object] = {"duration": self.clock.monotonic() - self.began, "reason": OK}
        if isinstance(self.result, Response):
            extra |= _response_fields(self.result)
        if kind is not None:
            extra["reason"] = kind.__name__
        ended = f"raised {kind.__name__}" if kind is not None else str(extra.get("status", "returned"))
        level = self.level if kind is None else logging.WARNING
        LOGGER.log(level, "%s() %s in %.3f s", self.name, ended, extra["duration"], extra=extra)


def _response_fields(response: Response) -> dict[str, object]:
    found: dict[str, object] = {"status": response.status_code, "retry_count": max(0, len(response.attempts) - 1)}
    if response.request is not None:
        found["method"] = response.request.method
        found["endpoint"] = response.request.template or response.request.url.path
    return found


def _decorator(
    function: Callable[..., Any] | None,
    policy: Policy,
    on: Failures | None,
    clock: Clock,
    random: Random | None,
) -> Any:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        is_async(function)  # refuses what is no function, before a name is asked for
        guard = Guard(_named(policy, name_of(function)), on=on, clock=clock, random=random)
        return guard(function)

    return decorate if function is None else decorate(function)


def _named(policy: Policy, name: str) -> Policy:
    """The policy with a state that goes by the function's name, where it has one of its own."""
    keyed = any(option.name == "key" for option in fields(cast("Any", policy)))
    if not keyed or getattr(policy, "state", None) is not None:
        return policy
    return cast("Policy", replace(cast("Any", policy), key=lambda request: name))


def _built(kind: Callable[..., T], options: dict[str, Any]) -> T:
    """The policy of these options."""
    known = {*(field.name for field in fields(cast("Any", kind)) if field.init), "max_retries"}
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{getattr(kind, '__name__', kind)}: {unknown('option', name, known)}")
    return kind(**options)
