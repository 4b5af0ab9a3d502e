"""Idempotency keys: how a server tells a repeat from a second order.

A request that is not idempotent may have been carried out although no answer came. With a key in it the server knows
the repeat, and answers it with what the first one did. So a key is made once per call, stays the same for every
attempt, redirect and authentication round trip of that call, and no other call ever gets it; 128 random bits see to
that.

Servers differ in the field's name and in its form. The IETF draft (draft-ietf-httpapi-idempotency-key-header) makes it
a structured string, that is, in double quotes (RFC 9651, section 3.3.3); most payment interfaces want the bare key.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from rest_api_client.context import Random
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.headers import Headers
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import IDEMPOTENCY_KEY

KeyStyle: TypeAlias = Literal["plain", "quoted"]
"""Whether the key is sent as it is, or as a structured string in double quotes."""

LONGEST_KEY: Final = 255
"""Characters; what the strictest of the well-known servers take."""

_SENDABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A key, and how it is sent: `client.post(..., idempotency_key=IdempotencyKey(header="X-Request-Token"))`.

    Attributes:
        value: printable ASCII, at most 255 characters; None has one made for each call.
        header: the name of the field that the server looks for it in.
        style: "plain" or "quoted"; None leaves it to the client (`idempotency_key_style`).

    Raises:
        ConfigurationError: a key, a name or a style that cannot be sent.
    """

    value: str | None = None
    header: str = IDEMPOTENCY_KEY
    style: KeyStyle | None = None

    def __post_init__(self) -> None:
        if self.value is not None:
            _check_value(self.value)
        if self.style is not None:
            check_key_style("IdempotencyKey: style=", self.style)
        Headers({self.header: "checked"})

    def written(self, random: Random, style: KeyStyle) -> str:
        """The field's value for one call.

        Args:
            random: makes the key where none was given.
            style: the client's, where the key has none of its own.
        """
        value = f"{random.getrandbits(128):032x}" if self.value is None else self.value
        if (self.style or style) == "plain":
            return value
        if len(value) > 1 and value[0] == value[-1] == '"':
            raise ConfigurationError(f"idempotency_key={value!r} has quotes already: leave them out, style adds them")
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_MADE: Final = IdempotencyKey()


def as_key(given: object) -> IdempotencyKey | None:
    """What a call said of its key: True or None of its own, a text, or the whole of it.

    Raises:
        ConfigurationError: something else, or a text that cannot be sent.
    """
    if given is None or given is False:
        return None
    if given is True:
        return _MADE
    if isinstance(given, IdempotencyKey):
        return given
    if not isinstance(given, str):
        raise ConfigurationError(
            f"idempotency_key of type {type(given).__name__}: give True to have one made, a str, or an IdempotencyKey"
        )
    return replace(_MADE, value=given)


def check_key_style(label: str, style: object) -> None:
    """Refuse what is no style; `label` begins the message."""
    if style not in get_args(cast("Any", KeyStyle)):
        raise ConfigurationError(f"{label}{style!r}: give 'plain' or 'quoted'")


def _check_value(value: object) -> None:
    if not isinstance(value, str) or not _SENDABLE.fullmatch(value):
        shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:60]}..."
        raise ConfigurationError(
            f"idempotency_key={shown}: give printable ASCII without spaces round it, or True to have one made"
        )
    if len(value) > LONGEST_KEY:
        raise ConfigurationError(
            f"idempotency_key has {len(value)} characters, more than {LONGEST_KEY}: send a hash of it"
        )
