"""A chain of policies round any function, sync or async: the client's resilience without the client.

    guard = Guard(RetryConfig(), CircuitBreaker(), RateLimit(calls=10, period=1), on=ConnectionError)

    guard.call(fetch, 7)            # once
    await guard.call(fetch_async, 7)

    @guard                          # or for good
    def fetch(number): ...

They are the policies of the client's chain, in its order, not copies: a call of the function is run as one call with
its attempts, at whose end stands the function instead of an engine. What it returns comes back as it is; a `Response`
is judged like any answer. What it raises is judged too: errors of this library by what they mean, others only where
`on=` names them.

State belongs to the guard. A policy keyed by "client" has one for all its functions; keyed by "origin", "host" or
"route", one per function, by its name. One guard serves threads, tasks and event loops alike.

Guards work on what a call does; a generator's call does nothing yet, so generator functions are refused. A thread
cannot be interrupted: on a sync function a `Deadline` bounds the waits, the retries and the clients called inside, and
never claims to stop the function itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random, SystemRandom  # noqa: TID251  the default source of chance; rehearsals give their own
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from rest_api_client.checks import check_function
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.events import Sink, fan_out
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.function_calls import FunctionRunner, is_async
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Classify, Kind, Outcome, classify_http
from rest_api_client.pipeline import Policy, bound
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime

P = ParamSpec("P")
R = TypeVar("R")

Failures: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which exceptions of a function are failures: classes, or a function that says so."""


class Guard:
    """Policies round functions.

    Args:
        policies: in any order; each takes its place in the chain.
        on: exceptions that are failures, worth another try and counted by the breaker; by default those of this
            library that tell of a failing server.
        events: sinks for events.
        clock: what the waits go by.
        random: the source of jitter.

    Raises:
        ConfigurationError: something that is no policy, or two where one place takes only one.
    """

    def __init__(
        self,
        *policies: Policy,
        on: Failures | None = None,
        events: Sequence[Sink] = (),
        clock: Clock = SYSTEM,
        random: Random | None = None,
    ) -> None:
        runtime = SyncRuntime(clock)
        self.policies = tuple(bound(policy, runtime) for policy in policies)
        self._runners = [
            FunctionRunner(self.policies, served, _classifier(on), random or SystemRandom(), fan_out(events))
            for served in (runtime, AsyncRuntime(clock))
        ]

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function through the policies; of an async function, this gives what is to be awaited.

        Raises:
            ConfigurationError: no function, or a generator function.
            RefusedError: a policy did not let it through.
            Exception: what the function raised in the end.
        """
        runner = self._runners[is_async(function)]
        return cast("R", runner.call(function, args, kwargs))

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """The function, with the policies round it."""
        runner = self._runners[is_async(function)]
        if is_async(function):

            @functools.wraps(function)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                return await runner.call(function, args, kwargs)

            return cast("Callable[P, R]", guarded_async)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return runner.call(function, args, kwargs)

        return cast("Callable[P, R]", guarded)

    def __repr__(self) -> str:
        return f"Guard({', '.join(map(repr, self.policies))})"


def _classifier(on: Failures | None) -> Classify:
    _check_failures(on)

    def classify(request: Request, result: Response | BaseException) -> Outcome:
        outcome = classify_http(request, result)
        if on is None or not isinstance(result, Exception):
            return outcome
        if not _is_failure(result, on):
            return replace(outcome, kind=Kind.REJECTED)
        failed = outcome.kind in (Kind.FAILED, Kind.THROTTLED)
        return outcome if failed else replace(outcome, kind=Kind.FAILED, reason=type(result).__name__)

    return classify


def _check_failures(on: object) -> None:
    classes = on if isinstance(on, tuple) else (on,)
    named = all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in classes)
    if not (on is None or named or (callable(on) and not isinstance(on, type))):
        raise ConfigurationError(
            f"on={on!r}: give an exception's class, a tuple of such classes, or a function of the exception"
        )
    if not named and on is not None:
        check_function("", on=on)


def _is_failure(error: Exception, on: Failures) -> bool:
    return isinstance(error, on) if isinstance(on, type | tuple) else on(error)
