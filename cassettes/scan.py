"""The last look before a file is written: does a secret stand in it all the same?

It looks at the values, not at the text of the file, where a long line may be folded in the middle of a token;
compressed bodies are looked into, and base64 of a known secret is found. What is found is named by its place, never by
its value.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence

from cassettes.errors import SecretFound
from cassettes.interaction import Fields, Interaction
from cassettes.messages import decoded
from cassettes.redaction import found_in
from cassettes.secrets import TOKENS, has_tokens
from rest_api_client.script import Garbage, Raw


def scan(interactions: Iterable[Interaction], secrets: Sequence[str]) -> list[str]:
    """Where a known secret, or a token of a known form, stands; empty where all is well."""
    wanted = [*secrets, *(_in_base64(value) for value in secrets if len(value) >= _LEAST)]
    places: list[str] = []
    for number, each in enumerate(interactions, 1):
        for where, text in texts(each):
            known = bool(found_in(text, wanted))
            token = TOKENS.search(text) if has_tokens(text) else None
            if known or token is not None:
                what = "a known secret" if known else f"what looks like a {token.lastgroup}" if token else ""
                places.append(f"interaction {number}, {where}: {what}")
    return places


_LEAST = 12


def _in_base64(value: str) -> str:
    """The part of a text's base64 that does not depend on what stands behind it."""
    data = value.encode("utf-8", "replace")
    return base64.b64encode(data[: len(data) // 3 * 3]).decode("ascii")


def check(interactions: Sequence[Interaction], secrets: Sequence[str], path: object) -> None:
    """Raises SecretFound where one stands."""
    places = scan(interactions, secrets)
    if places:
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        raise SecretFound(
            f"{path} was not written, secrets would stand in it: {'; '.join(places[:5])}{more}. "
            "Name what holds them: redaction=Redaction(names=..., values=...)"
        )


def texts(each: Interaction) -> Iterator[tuple[str, str]]:
    """Every text of an interaction and where it stands; bytes as latin-1."""
    yield "url", each.asked.uri
    for name, value in each.asked.headers:
        yield f"request header {name}", value
    yield "request body", _plain(each.asked.headers, each.asked.body)
    head, body = each.head, each.body
    fields = tuple((name.lower(), value) for name, value in head.headers) if head is not None else ()
    for name, value in fields:
        yield f"response header {name}", value
    yield "response body", _plain(fields, body)
    for step in each.script.steps:
        if isinstance(step, Raw | Garbage):
            yield "raw bytes", step.data.decode("latin-1")


def _plain(fields: Fields, body: bytes) -> str:
    plain = decoded(fields, body) if body else b""
    return (body if plain is None else plain).decode("latin-1")
