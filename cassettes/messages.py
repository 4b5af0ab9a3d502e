"""Changing an interaction without changing what it is.

A change of a body takes its length along, in `content-length`, and the places at which its pieces were cut. A body that
is compressed is looked into; where something in it must be changed it is kept decoded, and its `content-encoding` goes.
Digests of a changed body go too: they are functions of what was taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

from cassettes.interaction import Asked, Fields, Interaction
from cassettes.spots import Edit, apply, moved
from rest_api_client.exceptions import APIError
from rest_api_client.http.decoding import Decoder, content_encodings
from rest_api_client.script import Chunk, Garbage, Head, Raw, Script, Step

FieldsChange: TypeAlias = Callable[[Fields], Fields]
TextChange: TypeAlias = Callable[[str], str]
BodyEdits: TypeAlias = Callable[[str, str], list[Edit]]
"""(content type, text) -> edits."""

_DIGESTS = frozenset({"content-md5", "digest", "content-digest", "repr-digest"})


def decoded(fields: Fields, body: bytes) -> bytes | None:
    """A body without its encodings; None where it cannot be decoded."""
    try:
        encodings = content_encodings([value for name, value in fields if name == "content-encoding"])
        if not encodings:
            return body
        decoder = Decoder(encodings)
        plain = b"".join(decoder.decode(body))
        decoder.finish()
    except (APIError, ValueError):
        return None
    return plain


def changed(interaction: Interaction, uri: TextChange, fields: FieldsChange, body: BodyEdits) -> Interaction:
    """The interaction with its texts changed; the very same where nothing was."""
    asked = _asked(interaction.asked, uri, fields, body)
    script = changed_script(interaction.script, fields, body)
    if asked is interaction.asked and script is interaction.script:
        return interaction
    return replace(interaction, asked=asked, told=script, source=None)


def _asked(asked: Asked, uri: TextChange, fields: FieldsChange, body: BodyEdits) -> Asked:
    headers, told = _body(fields(asked.headers), [asked.body], body)
    data = asked.body if told is None else b"".join(told)
    new = Asked(asked.method, uri(asked.uri), headers, data)
    return asked if new == asked else new


def changed_script(script: Script, fields: FieldsChange, body: BodyEdits) -> Script:
    """The script with its texts changed; the very same where nothing was."""
    steps = list(script.steps)
    place = next((n for n, step in enumerate(steps) if isinstance(step, Head) and step.status >= 200), None)
    if place is None:
        return _changed_bytes(script, body)
    head = steps[place]
    assert isinstance(head, Head)
    headers = tuple((name.lower(), value) for name, value in head.headers)
    pieces = [step.data for step in steps if isinstance(step, Chunk)]
    new, told = _body(fields(headers), pieces, body)
    if new == headers and told is None:
        return script
    steps[place] = replace(head, headers=new)
    return Script(*(steps if told is None else _refilled(steps, told)))


def _changed_bytes(script: Script, body: BodyEdits) -> Script:
    """A script whose answer is written byte by byte, and is no head."""
    steps: list[Step] = []
    for step in script.steps:
        edits = body("", step.data.decode("latin-1")) if isinstance(step, Raw | Garbage) else []
        if edits and isinstance(step, Raw | Garbage):
            steps.append(type(step)(_encoded(apply(step.data.decode("latin-1"), edits))))
        else:
            steps.append(step)
    return script if tuple(steps) == script.steps else Script(*steps)


def _body(headers: Fields, pieces: list[bytes], body: BodyEdits) -> tuple[Fields, list[bytes] | None]:
    raw = b"".join(pieces)
    plain = decoded(headers, raw) if raw else b""
    kind = next((value for name, value in headers if name == "content-type"), "")
    text = (raw if plain is None else plain).decode("latin-1")
    edits = body(kind, text) if text else []
    if not edits:
        return headers, None
    data = _encoded(apply(text, edits))
    headers = tuple(field for field in headers if field[0] not in _DIGESTS)
    if plain is not None and plain != raw:
        gone = {"content-encoding"}
        headers = tuple(field for field in headers if field[0] not in gone)
        return _resized(headers, len(raw), len(data)), [data, *[b""] * (len(pieces) - 1)]
    cuts, at = [0], 0
    for piece in pieces:
        at += len(piece)
        cuts.append(moved(at, edits))
    return _resized(headers, len(raw), len(data)), [data[a:b] for a, b in pairwise(cuts)]


def _refilled(steps: list[Step], pieces: list[bytes]) -> list[Step]:
    left = iter(pieces)
    filled = [Chunk(next(left)) if isinstance(step, Chunk) else step for step in steps]
    return [step for step in filled if not isinstance(step, Chunk) or step.data]


def _resized(fields: Fields, before: int, now: int) -> Fields:
    """Only a length that was true is made true again: that of an answer to HEAD, or of a cut body, is another's."""
    return tuple(
        (name, str(now)) if name == "content-length" and value == str(before) else (name, value)
        for name, value in fields
    )


def _encoded(text: str) -> bytes:
    return text.encode("latin-1", "replace")
