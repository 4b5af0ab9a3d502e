"""Answers of the server's own making, as scripts."""

from __future__ import annotations

import http
import json
from collections.abc import Iterable

from rest_api_client.script import Chunk, End, Head, Script


def problem_script(status: int, detail: str, fields: Iterable[tuple[str, str]] = ()) -> Script:
    """Problem details as RFC 9457 has them, with more header fields where wanted."""
    body = json.dumps({"type": "about:blank", "title": _phrase(status), "status": status, "detail": detail}).encode()
    framing = (("content-type", "application/problem+json"), ("content-length", str(len(body))))
    return Script(Head(status, (*framing, *fields)), Chunk(body), End())


def with_fields(script: Script, fields: Iterable[tuple[str, str]]) -> Script:
    """The same answer with more header fields behind those of its final head."""
    steps = [
        Head(step.status, (*step.headers, *fields), step.reason)
        if isinstance(step, Head) and step.status >= 200
        else step
        for step in script.steps
    ]
    return Script(*steps)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
