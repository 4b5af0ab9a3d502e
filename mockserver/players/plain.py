"""Answers that any HTTP server could have given: found out once for each script, and kept ready to be written.

Most scripts are a stub's and are played again and again, so what was found out about the last thousand is remembered,
with the bytes of those that have a small body and no step that takes time.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from rest_api_client.http.framing import bodiless, framing_fields
from rest_api_client.script import Chunk, Delay, End, Head, Script

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_SMALL_BODY = 8_192

RawFields: TypeAlias = list[tuple[bytes, bytes]]


class Plain(NamedTuple):
    """An answer that any server could give: its header fields, and all of it where nothing in it takes time."""

    fields: RawFields
    whole: tuple[bytes, bytes] | None
    size: int


_MOST_KNOWN = 1024
_known: dict[tuple[int, str], tuple[Script, Plain | None]] = {}
"""By the `id` of the script, which stands beside, and by the method it answers."""


def plain(script: Script, method: str) -> Plain | None:
    """How a plain answer goes out; None where it is not plain."""
    key = (id(script), method)
    known = _known.get(key)
    if known is None or known[0] is not script:
        size = sum(len(step.data) for step in script.steps if isinstance(step, Chunk))
        known = script, _found(script, method, size) if is_plain(script, method) else None
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        if size <= _SMALL_BODY:
            _known[key] = known
    return known[1]


def _found(script: Script, method: str, size: int) -> Plain:
    head = next(step for step in script.steps if isinstance(step, Head))
    fields = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in (*head.headers, *framing_fields(method, head, script))
    ]
    names = {name for name, _ in fields}
    lasts = any(isinstance(step, Delay) for step in script.steps)
    if method == "HEAD" or lasts or b"content-length" not in names or b"connection" in names or size > _SMALL_BODY:
        return Plain(fields, None, size)
    lines = [part for name, value in fields for part in (name, b": ", value, b"\r\n")]
    body = [step.data for step in script.steps if isinstance(step, Chunk)]
    return Plain(fields, (STATUS_LINE[head.status], b"".join((*lines, b"\r\n", *body))), size)


def is_plain(script: Script, method: str) -> bool:
    """Whether any HTTP server could have given this answer in this form."""
    head, kinds = None, (Delay, Head, Chunk, End)
    size = 0
    for step in script.steps:
        if type(step) not in kinds:
            return False
        if isinstance(step, Head):
            if step.status < 200 or step.status > 599 or step.reason is not None:
                return False
            head = step
        elif isinstance(step, Chunk):
            size += len(step.data)
    return head is not None and _plainly_framed(head, script, method, size)


def _plainly_framed(head: Head, script: Script, method: str, size: int) -> bool:
    fields = [(name.lower(), value) for name, value in (*head.headers, *framing_fields(method, head, script))]
    if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in fields):
        return False
    framing = [(name, value.lower()) for name, value in fields if name in {"content-length", "transfer-encoding"}]
    if bodiless(method, head.status):
        return method == "HEAD" or (not framing and not size)
    return framing in ([("content-length", str(size))], [("transfer-encoding", "chunked")])
