"""Whose state a request falls under: the whole client's, its host's, its origin's, or what a function says.

A key is short text without secrets: it names a state, stands in events and in error messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Request

Key: TypeAlias = Literal["client", "host", "origin"] | Callable[[Request], str]
"""One state for all requests, one per host, one per scheme, host and port, or one per text the function gives."""


def check_key(owner: str, key: object) -> None:
    """Refuse what is no `Key`.

    Raises:
        ConfigurationError: it names the owner and the value.
    """
    if not callable(key) and key not in ("client", "host", "origin"):
        raise ConfigurationError(f"{owner}(key={key!r}): give 'client', 'host', 'origin', or a function of the request")


def key_of(key: Key, request: Request) -> str:
    """The state's name for this request."""
    if key == "client":
        return "client"
    if key == "origin":
        return str(request.url.origin)
    if key == "host":
        return request.url.host
    return key(request)
