"""Which parts of a request are credentials, and what stays behind when it leaves their home.

A request's `home` are the origins its credentials belong to: that of `base_url` and those of `allow_origins`, or, for a
client without a base URL, the one the caller typed. An origin is scheme, host and port: https to http is another one.
Anywhere else (an absolute URL, a redirect, a next-page link) a request goes without them:

    header fields whose name says that they hold a credential      `withhold_headers`
    the client's own query parameters of such names                `withhold_params`
    the same parameters where a Location or Link repeats them      `withhold_echo`
    the auth object, cookies, client certificate                   not put on at all: see `Request.at_home`
    the body, on a redirect                                        never sent there: `redirects`

Names decide, never values. The rule for header fields is wider than the one for logs (`http.redaction`): leaving out a
field too many is seen at once and mended by `allow_origins`, a leak is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote_plus

from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import is_secret_name
from rest_api_client.http.urls import URL, encode_params
from rest_api_client.typing import ParamTypes

_WORD = re.compile(r"[^-_.]+")
# fmt: off
_WORDS = frozenset({
    "auth", "authentication", "authorization", "cookie", "credential", "credentials", "csrf", "dpop", "jwt", "key",
    "login", "otp", "pass", "passwd", "password", "secret", "session", "sessionid", "sid", "signature", "token",
    "username", "xsrf",
})
# fmt: on
_INNOCENT = frozenset({"idempotency-key", "x-idempotency-key", "sec-websocket-key"})


def is_credential_header(name: str) -> bool:
    """Whether a header field of this name may hold a credential: by the rule for logs, or by one of its words."""
    lower = name.lower()
    if lower in _INNOCENT:
        return False
    return (
        is_secret_name(lower) or is_secret_name(lower.removeprefix("x-")) or not _WORDS.isdisjoint(_WORD.findall(lower))
    )


def withhold_headers(headers: Headers) -> tuple[Headers, tuple[str, ...]]:
    """The fields that may go to a foreign origin, and the names of those that may not."""
    names = tuple(name for name in headers if is_credential_header(name))
    return (headers.without(names) if names else headers), names


def withhold_params(params: ParamTypes | None) -> tuple[ParamTypes | None, tuple[str, ...]]:
    """A client's query parameters that may go to a foreign origin, and the names of those that may not."""
    if params is None:
        return None, ()
    pairs = encode_params(params).split("&")
    names = tuple(dict.fromkeys(name for pair in pairs if is_secret_name(name := _name(pair))))
    if not names:
        return params, ()
    if isinstance(params, str):
        return "&".join(pair for pair in pairs if _name(pair) not in names), names
    items = params.items() if isinstance(params, Mapping) else params
    return [(name, value) for name, value in items if name not in names], names


def withhold_echo(url: URL, before: URL) -> tuple[URL, tuple[str, ...]]:
    """A foreign URL without the secret parameters that it repeats from our own URL, value and all.

    A server that redirects to another host often keeps the query. Secret parameters that are the target's own, as in
    the signed URL of an object store, stay: without them it would be useless.
    """
    ours = {(_name(pair), _value(pair)) for pair in before.query.split("&") if is_secret_name(_name(pair))}
    if not ours:
        return url, ()
    echoed = [pair for pair in url.query.split("&") if (_name(pair), _value(pair)) in ours]
    return _without(url, lambda pair: pair in echoed), tuple(dict.fromkeys(_name(pair) for pair in echoed))


def without_parameter(url: URL, name: str) -> URL:
    """The URL without the query parameters of a name."""
    return _without(url, lambda pair: _name(pair) == name)


def _without(url: URL, gone: Callable[[str], bool]) -> URL:
    pairs = url.query.split("&")
    kept = [pair for pair in pairs if not gone(pair)]
    if len(kept) == len(pairs):
        return url
    return replace(url, target=url.path + (f"?{'&'.join(kept)}" if kept else ""))


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _value(pair: str) -> str:
    return unquote_plus(pair.partition("=")[2])
