"""The flat keywords of a client, each a short way to an option of a policy or of the connections, and the environment
variables of the same names.

`FLAT` is the whole table: which nested option a keyword sets, how its value is read from a text, and what it means
there. Saying the same thing twice and differently is an error, never a silent choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from rest_api_client.checks import check_whole
from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import MASK
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.redirects import Redirects
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.utils import unknown


def _as_given(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Flat:
    """A flat keyword.

    Attributes:
        nested: the whole whose option it sets, as `APIConfig` calls it.
        option: which one.
        read: makes its value of an environment variable's text; None: no text can say it.
        means: makes the option's value of its own.
    """

    nested: str
    option: str
    read: Callable[[str], Any] | None
    means: Callable[[Any], Any] = _as_given


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError("give true or false")
    return known[text.lower()]


def _boolean_or_text(text: str) -> bool | str:
    try:
        return _boolean(text)
    except ValueError:
        return text


def _attempts(retries: int) -> int:
    check_whole("", 0, max_retries=retries)
    return retries + 1


FLAT: Mapping[str, Flat] = {
    "max_retries": Flat("retry", "max_attempts", int, _attempts),
    "retry_unsafe": Flat("retry", "retry_unsafe", _boolean),
    "rate_limit_calls": Flat("rate_limit", "calls", int),
    "rate_limit_period": Flat("rate_limit", "period", float),
    "follow_redirects": Flat("redirects", "follow", _boolean),
    "max_redirects": Flat("redirects", "max_redirects", int),
    "max_connections": Flat("connection", "max_connections", int),
    "max_connections_per_host": Flat("connection", "max_connections_per_host", int),
    "keepalive_expiry": Flat("connection", "keepalive_expiry", float),
    "http2": Flat("connection", "http2", _boolean),
    "verify": Flat("connection", "verify", _boolean_or_text),
    "cert": Flat("connection", "cert", str),
    "proxy": Flat("connection", "proxy", str),
    "trust_env": Flat("connection", "trust_env", _boolean),
    "uds": Flat("connection", "uds", str),
    "resolver": Flat("connection", "resolver", None),
}
"""Every flat keyword and what it sets."""

_WHOLES: Final[Mapping[str, Callable[..., Any]]] = {
    "retry": RetryConfig,
    "rate_limit": RateLimit,
    "redirects": Redirects,
    "connection": ConnectionOptions,
}

_SECRET = frozenset(option.name for option in fields(ConnectionOptions) if not option.repr)
"""Keywords whose values may hold a password."""

_PLAIN_ENV: Mapping[str, Callable[[str], Any]] = {
    "base_url": str,
    "timeout": float,
    "deadline": float,
    "engine": str,
    "serializer": str,
    "user_agent": str,
    "raise_for_status": _boolean,
    "attempt_headers": _boolean,
}
_FROM_ENV: Mapping[str, Callable[[str], Any]] = {
    **_PLAIN_ENV,
    **{name: flat.read for name, flat in FLAT.items() if flat.read is not None},
}


def refuse_contradictions(given: Mapping[str, Any]) -> None:
    """Raise for a keyword beside the whole that it belongs to, where the two differ."""
    for name, flat in FLAT.items():
        if name not in given or flat.nested not in given:
            continue
        whole = given[flat.nested]
        if whole is None or getattr(whole, flat.option) != flat.means(given[name]):
            raise ConfigurationError(
                f"{name}={_shown(name, given[name])} contradicts {flat.nested}={whole!r}: give one of the two"
            )


def _shown(name: str, value: object) -> str:
    return MASK if name in _SECRET else repr(value)


def wholes_of(flat: Mapping[str, Any], before: object) -> dict[str, Any]:
    """The wholes that these keywords make of those before, by name.

    Args:
        flat: keywords with their values.
        before: has the wholes as attributes, None where one is off.

    Raises:
        ConfigurationError: a value that cannot be, or half a rate limit.
    """
    changes: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        keyword = FLAT[name]
        changes.setdefault(keyword.nested, {})[keyword.option] = keyword.means(value)
    return {name: _change(name, getattr(before, name), options) for name, options in changes.items()}


def _change(name: str, before: Any, options: dict[str, Any]) -> Any:
    if name == "rate_limit" and options.get("calls", 0) is None:
        return None
    if before is not None:
        return replace(before, **options)
    if name == "rate_limit" and len(options) < 2:
        raise ConfigurationError("rate_limit_calls and rate_limit_period make a limit together: give both")
    return _WHOLES[name](**options)


def read_variables(prefix: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The options that these variables set.

    Raises:
        ConfigurationError: one with the prefix that names no option, or a value that cannot be read.
    """
    found = {name: value for name, value in environ.items() if name.startswith(prefix)}
    options = {name: name.removeprefix(prefix).lower() for name in found}
    return {option: _read(option, name, found[name]) for name, option in options.items()}


def _read(option: str, name: str, value: str) -> Any:
    if option not in _FROM_ENV:
        raise ConfigurationError(f"{name}: {unknown('option', option.upper(), [known.upper() for known in _FROM_ENV])}")
    if value.lower() == "none":
        return None
    try:
        return _FROM_ENV[option](value)
    except ValueError as error:
        raise ConfigurationError(f"{name}={value!r} cannot be read: {error}") from error
