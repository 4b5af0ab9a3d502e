"""What a server says about its failure: problem details (RFC 9457), and its words made fit for a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, cast

from rest_api_client.lazy_dataclasses import dataclass

_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LONGEST_LINE = 500


def one_line(text: str) -> str:
    """What a server wrote, fit for a message: one line, no terminal commands, of bounded length."""
    shown = _UNPRINTED.sub(" ", text[: _LONGEST_LINE + 1])
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Problem details of an answer (RFC 9457). `extensions` holds the members the RFC does not name."""

    type: str = "about:blank"
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, data: object) -> Problem | None:
        """Problem details out of parsed JSON; members of a wrong type are ignored, as the RFC asks (section 3.1)."""
        if not isinstance(data, dict):
            return None
        members = cast("dict[str, Any]", data)

        def text(name: str) -> str | None:
            value = members.get(name)
            return value if isinstance(value, str) else None

        status = members.get("status")
        named = {"type", "title", "status", "detail", "instance"}
        return cls(
            type=text("type") or "about:blank",
            title=text("title"),
            status=status if isinstance(status, int) and not isinstance(status, bool) else None,
            detail=text("detail"),
            instance=text("instance"),
            extensions={name: value for name, value in members.items() if name not in named},
        )
