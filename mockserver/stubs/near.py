"""Why a request found no stub: the stubs that came nearest, and what was wrong with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockserver.matching.matcher import Mismatch, shown
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Near:
    """A stub that nearly answered.

    Attributes:
        id: of the stub.
        title: its name, or its condition where it has none.
        matched: how many of its conditions the request meets.
        parts: of how many.
        mismatches: the others, and what kept the stub from answering a request that meets all.
    """

    id: str
    title: str
    matched: int
    parts: int
    mismatches: tuple[Mismatch, ...]

    def __str__(self) -> str:
        head = f"{self.title} (matches {self.matched} of {self.parts})"
        return "\n".join([head, *(f"  {line}" for line in self.mismatches)])

    def to_dict(self) -> dict[str, Any]:
        """The form that JSON has."""
        lines = [line._asdict() for line in self.mismatches]
        return {"id": self.id, "stub": self.title, "matched": self.matched, "parts": self.parts, "mismatches": lines}


def described(seen: Seen, near: Sequence[Near], count: int) -> str:
    """A miss in words."""
    asked = f"no stub answers {shown(seen.method)[1:-1]} {shown(seen.target)[1:-1]}"
    if not near:
        return f"{asked}: there are no stubs"
    which = f"the nearest {len(near)} of {count}" if count > len(near) > 1 else "the nearest"
    return "\n".join([f"{asked}; {which}:", *map(str, near)])
