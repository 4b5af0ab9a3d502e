"""Redaction: no secret gets into the file, and the recording still plays.

`Redaction` says what counts as a secret. A `Vault` holds the secrets of one cassette while it is saved, and the
placeholder of each. Two passes are made: the first takes secrets out where their name or their form gives them away,
the second wherever else the same values stand. Nothing of a vault is ever written.

While a cassette is played, `Bindings` learns what the placeholders of recorded requests stand for now, from the request
that was matched, and puts that into the answers: a session that echoes its token gets its own one back. A token that an
answer gave out is a placeholder to the client too, which sends it back as it came.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from urllib.parse import quote, quote_plus, unquote

from cassettes.errors import CassetteError
from cassettes.interaction import Asked, Fields, Interaction
from cassettes.messages import changed, changed_script, decoded
from cassettes.secrets import (
    ENCODED_PLACEHOLDER,
    PLACEHOLDER,
    TOKENS,
    WILD,
    forget_names,
    has_tokens,
    is_masked,
    is_secret,
    kind,
    looks_random,
    masked_text,
)
from cassettes.spots import Edit, apply, body_edits, in_fields, in_uri, ordered
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import is_secret_name
from rest_api_client.lazy_dataclasses import dataclass

__all__ = [
    "DEFAULT_REDACTION",
    "PLACEHOLDER",
    "WILD",
    "Bindings",
    "Redaction",
    "Vault",
    "is_secret",
    "mark",
    "masked_text",
]

_MANY = 48
"""Secrets from which on texts are looked through once for all of them, not once for each."""
_GRAM = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """What counts as a secret, beyond names of credentials and tokens that are known by their form.

    Attributes:
        values: secrets themselves; they are found wherever they stand. Not shown in the repr.
        names: more names of header fields, parameters and members that hold secrets.
        keep: names that hold none, although they sound so.
        environment: take the values of environment variables with secret names for secrets, too.
        enabled: False writes everything as it came, except that the file is still scanned.

    Raises:
        CassetteError: a value too short to be looked for.
    """

    values: tuple[str, ...] = field(default=(), repr=False)
    names: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    environment: bool = True
    enabled: bool = True

    def __post_init__(self) -> None:
        if any(len(value) < 4 for value in self.values):
            raise CassetteError(
                "Redaction(values=...): one of them has under 4 characters and would be found everywhere"
            )

    def known(self) -> list[str]:
        """The secrets that are known before anything is read."""
        found = list(self.values)
        if self.environment:
            found += [value for name, value in os.environ.items() if is_secret_name(name) and looks_random(value, 12)]
        return found


DEFAULT_REDACTION = Redaction()


class Vault:
    """The secrets of one cassette, and what stands for each.

    Args:
        redaction: what counts as one.
        bound: placeholders that are taken already, and the secrets they stand for where that is known.
    """

    def __init__(self, redaction: Redaction = DEFAULT_REDACTION, bound: Mapping[str, str] | None = None) -> None:
        forget_names()
        self.redaction = redaction
        self._placeholders = {value: name for name, value in (bound or {}).items()}
        self._numbers: dict[str, int] = {}
        self._everywhere: dict[str, str] = {}
        self._names = {_plain(name) for name in redaction.names}
        self._keep = {_plain(name) for name in redaction.keep}
        self._looking: Callable[[str], Iterable[str]] | None = None

    def scrubbed(self, interactions: Iterable[Interaction]) -> list[Interaction]:
        """The interactions with placeholders in the place of secrets."""
        given = list(interactions)
        if not self.redaction.enabled:
            return given
        for each in given:
            self._count(each)
        for value in self.redaction.known():
            self._remember("secret", value, everywhere=True)
        named = [changed(each, self._uri, self._fields, self._edits) for each in given]
        if not self._everywhere:
            return named
        return [changed(each, self._swept_uri, self._swept_fields, self._swept_edits) for each in named]

    def secrets(self) -> list[str]:
        """What must not be found in the file: every secret that cannot be mistaken for an ordinary word."""
        return list(self._everywhere)

    # By name and by form -----------------------------------------------------------------------------------------

    def _change(self, where: str, name: str, value: str) -> str | None:
        if _plain(name) in self._keep or is_masked(value):
            return None
        scheme_free = where in {"header authorization", "header proxy-authorization"}
        word = "credentials" if scheme_free and self._basic(value) else kind(where, name)
        return self._remember(word, value)

    def _basic(self, value: str) -> bool:
        """Whether this is user and password in base64; the password is a secret of its own then."""
        try:
            user, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            return False
        if colon and password and user.isprintable():
            self._remember("password", password)
        return bool(colon)

    def _remember(self, word: str, value: str, *, everywhere: bool = False) -> str:
        placeholder = self._placeholders.get(value)
        if placeholder is None:
            self._numbers[word] = number = self._numbers.get(word, 0) + 1
            self._placeholders[value] = placeholder = f"<{word}-{number}>"
        if everywhere or looks_random(value):
            self._spread(value, placeholder)
        return placeholder

    def _spread(self, value: str, placeholder: str) -> None:
        if value in self._everywhere:
            return
        encoded = quote(placeholder, safe="")
        self._looking = None
        for written in (quote(value, safe=""), quote_plus(value)):
            self._everywhere[written] = encoded
        for written in (json.dumps(value)[1:-1], json.dumps(value).replace("/", "\\/")[1:-1], _latin(value), value):
            self._everywhere[written] = placeholder

    def _count(self, interaction: Interaction) -> None:
        """Numbers that are taken by placeholders in what was recorded before."""
        texts = [interaction.asked.uri, *(value for _, value in interaction.asked.headers)]
        head = interaction.head
        texts += [value for _, value in head.headers] if head is not None else []
        texts += [interaction.asked.body.decode("latin-1"), interaction.body.decode("latin-1")]
        for text in texts:
            if "-" in text and ("<" in text or "%3" in text):
                for found in (*PLACEHOLDER.finditer(text), *ENCODED_PLACEHOLDER.finditer(text)):
                    word, _, number = found[1].rpartition("-")
                    self._numbers[word] = max(self._numbers.get(word, 0), int(number))

    def _uri(self, uri: str) -> str:
        uri = in_uri(uri, self._change)
        return TOKENS.sub(lambda found: quote(self._token(found), safe=""), uri) if has_tokens(uri) else uri

    def _fields(self, fields: Fields) -> Fields:
        new = in_fields(fields, self._change)
        if self._names:
            new = tuple(
                (name, self._change(name, name, v) or v) if _plain(name) in self._names else (name, v)
                for name, v in new
            )
        return tuple((name, self._formed(value)) for name, value in new)

    def _edits(self, content_type: str, text: str) -> list[Edit]:
        edits = body_edits(content_type, text, self._change)
        if has_tokens(text):
            edits += [(f.start(), f.end(), self._token(f)) for f in TOKENS.finditer(text)]
            edits = ordered(edits)
        return edits

    def _formed(self, text: str) -> str:
        return TOKENS.sub(self._token, text) if has_tokens(text) else text

    def _token(self, found: re.Match[str]) -> str:
        return self._remember(found.lastgroup or "secret", found[0], everywhere=True)

    # Wherever else ----------------------------------------------------------------------------------------------

    def _swept(self, text: str) -> str:
        edits = self._sweep(text)
        return apply(text, edits) if edits else text

    def _swept_uri(self, uri: str) -> str:
        edits = [(begin, end, quote(unquote(new), safe="")) for begin, end, new in self._sweep(uri)]
        return apply(uri, edits) if edits else uri

    def _swept_fields(self, fields: Fields) -> Fields:
        return tuple((name, self._swept(value)) for name, value in fields)

    def _swept_edits(self, content_type: str, text: str) -> list[Edit]:
        return self._sweep(text)

    def _sweep(self, text: str) -> list[Edit]:
        edits: list[Edit] = []
        for value in found_in(text, self._everywhere):
            begin = text.find(value)
            while begin >= 0:
                edits.append((begin, begin + len(value), self._everywhere[value]))
                begin = text.find(value, begin + len(value))
        return _longest(edits)


def _longest(edits: list[Edit]) -> list[Edit]:
    """In order, the longest where two begin at one place: a secret may begin with another."""
    kept: list[Edit] = []
    for edit in sorted(edits, key=lambda e: (e[0], -e[1])):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept


def found_in(text: str, values: Mapping[str, object] | list[str]) -> list[str]:
    """Which of the values stand in the text."""
    if len(values) <= _MANY:
        return [value for value in values if value in text]
    grams = {text[n : n + _GRAM] for n in range(len(text) - _GRAM + 1)}
    return [value for value in values if (len(value) < _GRAM or value[:_GRAM] in grams) and value in text]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _latin(value: str) -> str:
    """How a text in UTF-8 looks where its bytes are read as latin-1."""
    return value.encode("utf-8", "replace").decode("latin-1")


# ---------------------------------------------------------------------- playing


def mark(asked: Asked) -> bool:
    """Whether a recorded request has placeholders."""
    if _holds_one(asked.uri) or any("<" in value and _holds_one(value) for _, value in asked.headers):
        return True
    return bool(asked.body) and _holds_one(asked.body.decode("latin-1"))


def _holds_one(text: str) -> bool:
    if "-" not in text or not ("<" in text or "%3" in text):
        return False
    return PLACEHOLDER.search(text) is not None or ENCODED_PLACEHOLDER.search(text) is not None


def _spots(asked: Asked) -> dict[str, str]:
    """Where a request has secrets, and what they are."""
    found: dict[str, str] = {}

    def note(where: str, name: str, value: str) -> None:
        found.setdefault(where, value)

    in_fields(asked.headers, note)
    in_uri(asked.uri, note)
    if asked.body:
        body = decoded(asked.headers, asked.body) or asked.body
        body_edits(asked.header("content-type") or "", body.decode("latin-1"), note)
    return found


class Bindings:
    """What the placeholders of a cassette stand for while it is played. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}

    def known(self) -> dict[str, str]:
        """Placeholders and their values."""
        with self._lock:
            return dict(self._values)

    def consistent(self, recorded: Asked, asked: Asked) -> bool:
        """Whether the secrets of a request can be those of the recording, as far as they are known."""
        now = _spots(asked)
        known = self.known()
        for where, was in _spots(recorded).items():
            if where in now and now[where] != was and now[where] != known.get(was, now[where]):
                return False
            if where in now and not PLACEHOLDER.fullmatch(was) and now[where] != was:
                return False
        return True

    def bound(self, interaction: Interaction, asked: Asked) -> Interaction:
        """The interaction as it answers this request: with its own secrets where the recording's were."""
        if not mark(interaction.asked):
            return self._filled(interaction)
        now = _spots(asked)
        with self._lock:
            for where, was in _spots(interaction.asked).items():
                new = now.get(where)
                if new and new != was and PLACEHOLDER.fullmatch(was):
                    self._values.setdefault(was, new)
        return self._filled(interaction)

    def _filled(self, interaction: Interaction) -> Interaction:
        if not self._values:
            return interaction
        known = self.known()

        def fill(found: re.Match[str]) -> str:
            return known.get(f"<{found[1]}>", found[0])

        def fields(given: Fields) -> Fields:
            new = tuple(
                (n, ENCODED_PLACEHOLDER.sub(lambda f: _quoted(f, known), PLACEHOLDER.sub(fill, v))) for n, v in given
            )
            return tuple((name, _one_line(value)) for name, value in new)

        def edits(content_type: str, text: str) -> list[Edit]:
            return ordered(
                [
                    (f.start(), f.end(), json.dumps(known[f[0]])[1:-1])
                    for f in PLACEHOLDER.finditer(text)
                    if f[0] in known
                ]
                + [(f.start(), f.end(), _quoted(f, known)) for f in ENCODED_PLACEHOLDER.finditer(text)]
            )

        try:
            script = changed_script(interaction.script, fields, edits)
        except ConfigurationError:
            return interaction
        return interaction if script is interaction.script else replace(interaction, told=script, source=None)


def _quoted(found: re.Match[str], known: Mapping[str, str]) -> str:
    value = known.get(f"<{found[1].lower()}>")
    return found[0] if value is None else quote(value, safe="")


def _one_line(value: str) -> str:
    return value if value.isascii() else value.encode("latin-1", "replace").decode("latin-1")
