"""A call of any function as one call of the chain: with attempts, records, events, and policies round it.

At the end of the chain stands the function instead of an engine, and in the request's place its name and arguments.
What it returns travels up inside a `Returned`, unless it is a `Response` itself.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from contextvars import Token
from dataclasses import field
from typing import Any, Final, TypeVar

from rest_api_client.context import Call, Context, Random
from rest_api_client.events import Sink, fan_out
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.urls import URL
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Classify
from rest_api_client.pipeline import Pipeline, Policy
from rest_api_client.policies.deadline import AmbientDeadline, ambient_deadline, ambient_moment
from rest_api_client.runtime import Runtime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.telemetry import LOGGER, log_event
from rest_api_client.transport import Capability, Exchange

T = TypeVar("T")

CALL: Final = "CALL"
"""The method of a function's call, where a policy goes by methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall(Request):
    """What stands in a request's place: the function by its name, and what it is called with."""

    function: Callable[..., Any] = field(repr=False)
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """The function's name, for people."""
        return f"{self.template}()"

    @property
    def idempotent(self) -> bool:
        """Whoever guards a function says that it may be called again."""
        return True


class Returned(Response):
    """What a function returned, on its way up through the policies."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(200)
        self.value = value


class _Functions:
    """What stands where a client has its transport. An async function can be told to stop, a thread cannot."""

    name = "function"

    def __init__(self, runtime: Runtime) -> None:
        sync = isinstance(runtime, SyncRuntime)
        self.capabilities = frozenset[Capability]() if sync else frozenset({Capability.ABORT})

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Call the function.

        Raises:
            Exception: what it raises.
        """
        assert isinstance(request, FunctionCall)
        exchange.handed_over = True
        token = _publish(exchange)
        try:
            result = request.function(*request.args, **request.kwargs)
            result = await result if is_async(request.function) else finished(result, name_of(request.function))
        finally:
            if token is not None:
                ambient_deadline.reset(token)
        return result if isinstance(result, Response) else Returned(result)

    async def aclose(self) -> None:
        """There is nothing to close."""


def _publish(exchange: Exchange) -> Token[AmbientDeadline | None] | None:
    """Have the clients inside the function obey its deadline."""
    if exchange.deadline is None:
        return None
    return ambient_deadline.set(AmbientDeadline(exchange.clock, exchange.deadline))


class FunctionRunner:
    """Runs calls of functions through policies."""

    def __init__(
        self,
        policies: Sequence[Policy],
        runtime: Runtime,
        classify: Classify,
        random: Random,
        emit: Sink | None = None,
    ) -> None:
        functions = _Functions(runtime)

        async def end(request: Request, context: Context) -> Response:
            assert context.exchange is not None
            return await functions.send(request, context.exchange)

        self.pipeline = Pipeline(policies, functions, runtime, end)
        self.runtime = runtime
        self.classify = classify
        self.random = random
        self.emit = fan_out((emit, log_event)) if emit is not None else log_event

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call: the function's own result, or its own error; of an async function, what is to be awaited."""
        work = self._run(function, args, kwargs)
        return self.runtime.run(work) if isinstance(self.runtime, SyncRuntime) else work

    async def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = name_of(function)
        url = URL(scheme="function", host=name, port=0, target="/")
        request = FunctionCall(method=CALL, url=url, template=name, function=function, args=args, kwargs=kwargs)
        call = Call(self.runtime, self.random, classify=self.classify, emit=self._audience())
        call.deadline = ambient_moment(self.runtime.clock)
        response = await self.pipeline(request, Context(call))
        return response.value if isinstance(response, Returned) else response

    def _audience(self) -> Sink | None:
        return self.emit if self.emit is not log_event or LOGGER.isEnabledFor(logging.WARNING) else None


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in messages, keys and logs."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function is async.

    Raises:
        ConfigurationError: it is no function, or a generator function.
    """
    if not callable(function):
        raise ConfigurationError(
            f"{function!r} is no function: give options by their names, as @retry(max_attempts=3), "
            "and put decorators below @classmethod and @property"
        )
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
