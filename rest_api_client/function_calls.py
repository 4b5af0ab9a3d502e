"""A call of any function as one call of the chain: with attempts, records, events, and policies round it.

At the end of the chain stands the function instead of an engine, and in the request's place its name. What it returns
travels up inside a `Returned`, unless it is a `Response` itself.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random, SystemRandom  # noqa: TID251  the default source of chance; rehearsals give their own
from typing import Any, Final, TypeAlias, TypeVar

from rest_api_client.attempts import AttemptLevel
from rest_api_client.context import Call, Context
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Classify
from rest_api_client.pipeline import Policy, Stateful
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import ambient_moment
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.runtime import Runtime
from rest_api_client.telemetry import LOGGER, log_event

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall(Request):
    """What stands in a request's place: the function, by its name."""

    @property
    def label(self) -> str:
        """The function's name, for people."""
        return f"{self.template}()"

    @property
    def idempotent(self) -> bool:
        """Whoever decorates a function says that it may be called again."""
        return True


class Returned(Response):
    """What a function returned, on its way up through the policies."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(200)
        self.value = value


_NOWHERE: Final = URL(scheme="function", host="", port=0, target="/")

Work: TypeAlias = Callable[[Context], Awaitable[Any]]


class FunctionRunner:
    """Runs calls of one function through one policy."""

    def __init__(
        self,
        policy: Policy,
        runtime: Runtime,
        function: Callable[..., Any],
        classify: Classify,
        random: Random | None,
    ) -> None:
        name = name_of(function)
        if isinstance(policy, RateLimit | CircuitBreaker) and policy.state is None:
            policy = replace(policy, key=lambda request: name)
        self.policy = policy.bind(runtime) if isinstance(policy, Stateful) else policy
        self.runtime = runtime
        self.request = FunctionCall(method="CALL", url=_NOWHERE, template=name)
        self.classify = classify
        self.random = random or SystemRandom()

    async def run(self, work: Work) -> Any:
        """One call: the function's own result, or its own error."""

        async def end(request: Request, context: Context) -> Response:
            assert context.exchange is not None
            context.exchange.handed_over = True
            result = await work(context)
            return result if isinstance(result, Response) else Returned(result)

        emit = log_event if LOGGER.isEnabledFor(logging.WARNING) else None
        call = Call(self.runtime, self.random, classify=self.classify, emit=emit)
        call.deadline = ambient_moment(self.runtime.clock)
        response = await self._through(end, Context(call))
        return response.value if isinstance(response, Returned) else response

    def _through(self, end: Callable[[Request, Context], Awaitable[Response]], context: Context) -> Awaitable[Response]:
        if not self.policy.stage.per_attempt:
            return self.policy(self.request, context, AttemptLevel(end))

        def attempt(request: Request, context: Context) -> Awaitable[Response]:
            return self.policy(request, context, end)

        return AttemptLevel(attempt)(self.request, context)


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in messages, keys and logs."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function is async.

    Raises:
        ConfigurationError: it is no function, or a generator function.
    """
    if not callable(function):
        raise ConfigurationError(f"{function!r} is no function: put this decorator below @classmethod and @property")
    routine = inspect.isroutine(function) or isinstance(function, functools.partial)
    asked: Any = function if routine else type(function).__call__
    if inspect.isgeneratorfunction(asked) or inspect.isasyncgenfunction(asked):
        raise ConfigurationError(
            f"{name_of(function)} is a generator function: its call does nothing yet. Decorate the function that makes "
            "the request inside it, or collect the items and return a list"
        )
    return inspect.iscoroutinefunction(asked)


def finished(result: T, name: str) -> T:
    """A sync function's result, unless it is something that still has to be awaited."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(f"{name}() returned an awaitable: write it as `async def`, so that its end is seen")
    return result
