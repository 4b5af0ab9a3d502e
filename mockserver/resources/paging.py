"""Three ways to read a long list, each with a Link header (RFC 8288).

    page, per_page     first, prev, next, last
    offset, limit      first, prev, next, last
    cursor, limit      first, next; `?cursor=` begins

A cursor says behind which record to go on, by its sort fields and its id, not how many were read: records inserted or
deleted meanwhile neither repeat nor hide others. It is opaque, belongs to one filter and one order, and carries a MAC,
so that an invented, changed or borrowed one is a 400. The key is the server's seed: good against accidents in a test,
not against an attacker who knows the seed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import cast

from starlette.datastructures import URL, QueryParams

from mockserver.problems import Problem
from mockserver.resources.bodies import whole_number
from rest_api_client.lazy_dataclasses import dataclass

MOST_PER_PAGE = 100
STYLES = ({"page", "per_page"}, {"offset", "limit"}, {"cursor", "limit"})
PARAMETERS = frozenset[str]().union(*STYLES)
_MAC_SIZE = 12
_MOST_CURSOR = 8192

Position = list[object]


@dataclass(frozen=True)
class Slice:
    """Part of a list.

    Attributes:
        ids: of the records in it.
        links: relation and query parameters of other parts.
        cursor: that goes on behind it, where the client reads by cursor and there is more.
    """

    ids: Sequence[int]
    links: dict[str, dict[str, object]]
    cursor: str | None = None

    def link(self, url: URL) -> str:
        """The Link header."""
        return ", ".join(f'<{url.include_query_params(**to)}>; rel="{rel}"' for rel, to in self.links.items())


class Cursors:
    """Seals and opens cursors."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.blake2b(repr(("cursor", seed)).encode(), digest_size=32).digest()

    def seal(self, about: str, position: Position) -> str:
        """A cursor behind this position of the list `about`."""
        content = json.dumps(position, ensure_ascii=False, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(about, content) + content).decode().rstrip("=")

    def open(self, about: str, cursor: str) -> Position:
        """The position. Raises Problem 400 for a cursor that was not sealed here for this list."""
        try:
            if len(cursor) > _MOST_CURSOR or not cursor.isascii():
                raise ValueError
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError:
            sealed = b""
        mac, content = sealed[:_MAC_SIZE], sealed[_MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(about, content)):
            raise Problem(
                400, "cursor: none that this list gave; take one from its Link header, or begin with ?cursor="
            )
        return cast("Position", json.loads(content))

    def _mac(self, about: str, content: bytes) -> bytes:
        return hashlib.blake2b(about.encode() + b"\0" + content, key=self._key, digest_size=_MAC_SIZE).digest()


@dataclass(frozen=True)
class Listed:
    """A whole list, sorted, of which a part is to be cut.

    Attributes:
        ids: of all records in it.
        about: what list it is: a cursor of another one is refused.
        position: where a record stands in it.
        after: how many of `ids` stand behind a position: those from this index on.
    """

    ids: Sequence[int]
    about: str
    position: Callable[[int], Position]
    after: Callable[[Position], int]


def cut(listed: Listed, query: QueryParams, cursors: Cursors) -> Slice:
    """The part that the query asks for; the first page of 20 when it does not say. Beyond the end it is empty.

    Raises:
        Problem: 400 for a number out of bounds, a bad cursor, or two ways at once.
    """
    given = PARAMETERS & set(query)
    if not any(given <= style for style in STYLES):
        raise Problem(
            400, f"{', '.join(sorted(given))}: read by page and per_page, or offset and limit, or cursor and limit"
        )
    if "cursor" in given:
        return _by_cursor(listed, query, cursors)
    return _by_offset(listed, query) if given & {"offset", "limit"} else _by_page(listed, query)


def _by_page(listed: Listed, query: QueryParams) -> Slice:
    page = whole_number("page", query.get("page", "1"), 1, 10**9)
    size = _size("per_page", query)
    last = max(1, -(-len(listed.ids) // size))
    pages = {"first": 1, "prev": min(page - 1, last), "next": page + 1, "last": last}
    links = {rel: {"page": at, "per_page": size} for rel, at in pages.items() if 1 <= at <= last}
    return Slice(listed.ids[(page - 1) * size : page * size], cast("dict[str, dict[str, object]]", links))


def _by_offset(listed: Listed, query: QueryParams) -> Slice:
    offset = whole_number("offset", query.get("offset", "0"), 0, 10**9)
    size = _size("limit", query)
    last = max(0, (len(listed.ids) - 1) // size * size)
    offsets = {"first": 0, "last": last}
    if offset > 0:
        offsets["prev"] = min(max(0, offset - size), last)
    if offset + size < len(listed.ids):
        offsets["next"] = offset + size
    links = {rel: {"offset": at, "limit": size} for rel, at in offsets.items()}
    return Slice(listed.ids[offset : offset + size], cast("dict[str, dict[str, object]]", links))


def _by_cursor(listed: Listed, query: QueryParams, cursors: Cursors) -> Slice:
    size = _size("limit", query)
    cursor = query["cursor"]
    start = listed.after(cursors.open(listed.about, cursor)) if cursor else 0
    ids = listed.ids[start : start + size]
    links: dict[str, dict[str, object]] = {"first": {"cursor": "", "limit": size}}
    if start + size >= len(listed.ids):
        return Slice(ids, links)
    behind = cursors.seal(listed.about, listed.position(ids[-1]))
    return Slice(ids, {**links, "next": {"cursor": behind, "limit": size}}, behind)


def _size(name: str, query: QueryParams) -> int:
    return whole_number(name, query.get(name, "20"), 1, MOST_PER_PAGE)
