"""The Link header field (RFC 8288): where the next page is, and other relations.

    <https://api.example.com/users?page=2>; rel="next", <https://api.example.com/users?page=9>; rel="last"

Commas may stand inside `<...>` and inside quotes, so the field is cut by one regular expression whose alternatives
start with different characters and never give back what they took: the work grows with the length of the field and no
faster. What does not fit the grammar is skipped, as the RFC's own parsing algorithm does (appendix B.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from rest_api_client.lazy_dataclasses import dataclass

_QUOTED = r'"(?:[^"\\]|\\.)*+"?+'
_PART = re.compile(rf"(?:<[^>]*+>?+|{_QUOTED}|[^<\",])++", re.DOTALL)
_TARGET = re.compile(r"[ \t]*+<([^>]*+)>")
_PARAM = re.compile(
    rf"[ \t]*+;[ \t]*+(?:([!#$&+.^_`|~0-9A-Za-z*'%-]++)[ \t]*+(?:=[ \t]*+({_QUOTED}|[^;\"]*+))?+)?+", re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """One link of an answer.

    Attributes:
        url: the target as written; resolve it against the answer's own URL.
        rel: the relation types, in lower case ("next", "last").
        params: the other parameters by lower-case name, the first of each; `title*` and its like stay encoded (RFC
            8187). A link with an `anchor` speaks of another resource than the answer.
    """

    url: str
    rel: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)


def parse_link_header(value: str) -> list[Link]:
    """The links of a Link field, in order; parts that are malformed or have no relation are left out. Never raises."""
    links = (_link(part[0]) for part in _PART.finditer(value))
    return [link for link in links if link is not None]


def _link(part: str) -> Link | None:
    target = _TARGET.match(part)
    if target is None:
        return None
    params = _params(part, target.end())
    rel = tuple(dict.fromkeys(params.pop("rel", "").lower().split()))
    return Link(target[1].strip(" \t"), rel, params) if rel else None


def _params(part: str, position: int) -> dict[str, str]:
    params: dict[str, str] = {}
    while found := _PARAM.match(part, position):
        position = found.end()
        if found[1]:
            params.setdefault(found[1].lower(), _unquoted(found[2] or ""))
    return params


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text.strip(" \t")
    return _ESCAPE.sub(r"\1", text[1:-1] if text.endswith('"') and len(text) > 1 else text[1:])
