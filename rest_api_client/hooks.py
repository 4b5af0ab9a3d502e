"""The template hooks: methods of a client that a subclass overrides.

`prepare_request`, `process_response` and `handle_error` run once per call; `check_rate_limit` and `send_request` once
per attempt. They are `def` in `APIClient` and `async def` in `AsyncAPIClient`; the class statement itself is refused
where they are not. A hook that is not overridden is not in the chain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from rest_api_client.context import Context
from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.typing import Proceed

T = TypeVar("T")

HOOKS = ("prepare_request", "process_response", "handle_error", "check_rate_limit", "send_request")

_REST: ContextVar[tuple[Proceed, Context]] = ContextVar("rest_of_the_attempt")


async def settle(value: Any) -> Any:
    """What a hook gave back, awaited where it is a coroutine."""
    return await value if inspect.isawaitable(value) else value


def check_hooks(kind: type[Any], *, asynchronous: bool) -> None:
    """Refuse a client class whose hooks are of the other kind.

    Raises:
        ConfigurationError: when the class is made.
    """
    wanted = "async def" if asynchronous else "def"
    for name in HOOKS:
        # Looked up as a call will find it, so that a mixin's hook is checked too.
        if inspect.iscoroutinefunction(getattr(kind, name, None)) is not asynchronous:
            raise ConfigurationError(f"{kind.__name__}.{name} must be `{wanted}` in this client")


def overridden(client: object, face: type[Any], name: str) -> Callable[[Any], Any] | None:
    """The client's own version of a hook, or None where it has the face's."""
    return getattr(client, name) if getattr(type(client), name) is not getattr(face, name) else None


@dataclass(frozen=True)
class CheckRateLimit:
    """Runs `check_rate_limit` before the client's limiter."""

    hook: Callable[[Request], Any]
    stage = Stage.RATE_LIMIT

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Call the hook, then go on."""
        await settle(self.hook(request))
        return await proceed(request, context)


@dataclass(frozen=True)
class SendRequest:
    """Runs `send_request` round the rest of the attempt."""

    hook: Callable[[Request], Any]
    stage = Stage.ATTEMPT_MIDDLEWARE

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Call the hook; `super().send_request(request)` inside it goes on."""
        token = _REST.set((proceed, context))
        try:
            response = await settle(self.hook(request))
        finally:
            _REST.reset(token)
        return checked(response, Response, "send_request")


def rest_of_attempt() -> tuple[Proceed, Context]:
    """The rest of the attempt that is running, for the default `send_request`.

    Raises:
        HookError: no attempt is running.
    """
    try:
        return _REST.get()
    except LookupError:
        raise HookError("send_request() belongs inside an attempt: call request(), get() or post() instead") from None


async def send(proceed: Proceed, request: Request, context: Context) -> Response:
    """The rest of the chain as a coroutine, for a sync function that goes on by running it."""
    return await proceed(request, context)


def attempt_hooks(client: object, face: type[Any]) -> list[Policy]:
    """The stages for the per-attempt hooks that the client overrides."""
    check, send = overridden(client, face, "check_rate_limit"), overridden(client, face, "send_request")
    return [*([CheckRateLimit(check)] if check else []), *([SendRequest(send)] if send else [])]


def checked(value: object, kind: type[T], hook: str) -> T:
    """What a hook gave back, if it is what it must be.

    Raises:
        HookError: it is something else, most often None for want of a `return`.
    """
    if not isinstance(value, kind):
        raise HookError(f"{hook} must return a {kind.__name__}, got {type(value).__name__}: is a `return` missing?")
    return value
