"""Whose state a request falls under: the whole client's, its host's, origin's or route's, or what a function says.

A key is short text without secrets: it names a state, stands in events and in error messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from rest_api_client.checks import check_function
from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.models import Request

Key: TypeAlias = Literal["client", "host", "origin", "route"] | Callable[[Request], str]
"""One state for all requests, one per host, per scheme, host and port, per route, or per text the function gives.

A route is method, origin and path as the caller wrote it: `client.get("/users/{id}", path_params=...)` is one route,
whatever the id. A path without a template is a route of its own.
"""


def check_key(owner: str, key: object) -> None:
    """Refuse what is no `Key`.

    Raises:
        ConfigurationError: it names the owner and the value.
    """
    if callable(key):
        check_function(owner, key=key)
    elif key not in ("client", "host", "origin", "route"):
        raise ConfigurationError(
            f"{owner}(key={key!r}): give 'client', 'host', 'origin', 'route', or a function of the request"
        )


def key_of(key: Key, request: Request) -> str:
    """The state's name for this request.

    Raises:
        HookError: the function gave no text.
    """
    if key == "origin":
        return request.url.origin_text
    if key == "client":
        return "client"
    if key == "host":
        return request.url.host
    if key == "route":
        return f"{request.method} {request.url.origin_text}{request.template or request.url.path}"
    text: object = key(request)
    if not isinstance(text, str):
        raise HookError(f"{request.label}: key=... gave {text!r}: give text", request=request)
    return text
