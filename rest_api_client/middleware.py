"""Middleware: a user's function in the chain, without a class of its own.

`async def (request, context, proceed) -> Response` serves both clients. The sync client takes a plain `def` as well:
its `proceed` runs the rest of the chain and gives the response itself. What a function gives back is looked at once,
in `Middleware`, whichever it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from rest_api_client.context import Context
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.hooks import send
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage, answered
from rest_api_client.runtime import run_sync
from rest_api_client.typing import Proceed

AsyncMiddleware: TypeAlias = Callable[[Request, Context, Proceed], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Middleware:
    """A user's function as a stage: once per "call" below telemetry, or for each "attempt" above authentication."""

    function: AsyncMiddleware
    scope: Literal["call", "attempt"] = "call"

    def __post_init__(self) -> None:
        if self.scope not in {"call", "attempt"}:
            raise ConfigurationError(f"Middleware(scope={self.scope!r}): give 'call' or 'attempt'")

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return Stage.CALL_MIDDLEWARE if self.scope == "call" else Stage.ATTEMPT_MIDDLEWARE

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Call the function.

        Raises:
            HookError: it gave back something that is no response.
        """
        name = getattr(self.function, "__name__", repr(self.function))
        return await answered(f"middleware {name}", self.function(request, context, proceed), request)


MiddlewareTypes: TypeAlias = Middleware | Callable[..., Any]


def as_middleware(given: MiddlewareTypes, which: Literal["sync", "async"]) -> Middleware:
    """A user's function as a stage: an async one for either client, a plain one for the sync client.

    Raises:
        ConfigurationError: a plain function in the async client, or something that cannot be called.
    """
    middleware = given if isinstance(given, Middleware) else Middleware(given)
    if not callable(middleware.function):
        raise ConfigurationError(f"middleware {middleware.function!r} cannot be called: give a function")
    if _is_async(middleware.function):
        return middleware
    if which == "async":
        raise ConfigurationError(f"middleware {middleware.function!r} must be `async def` in AsyncAPIClient")
    return replace(middleware, function=_plain(middleware.function))


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    async def middleware(request: Request, context: Context, proceed: Proceed) -> Any:
        def go_on(request: Request, context: Context = context) -> Response:
            return run_sync(send(proceed, request, context))

        return function(request, context, go_on)

    middleware.__name__ = getattr(function, "__name__", repr(function))
    return middleware
