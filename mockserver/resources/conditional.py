"""Validators and preconditions: RFC 9110, sections 8.8 and 13.

A representation has a strong ETag, a digest of its bytes, and a Last-Modified. Preconditions are evaluated in the
order of section 13.2.2: If-Match, else If-Unmodified-Since; then If-None-Match, else (GET and HEAD) If-Modified-Since.

A compressed representation is another one and has another ETag: the same with the coding behind it ("abc-gzip", see
`coding`). Who got that one and sends it back means the same record, so the coding is taken off before comparing.
"""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from mockserver.problems import Problem
from rest_api_client.http.dates import format_http_date, parse_http_date
from rest_api_client.lazy_dataclasses import dataclass

CODINGS = ("gzip", "deflate", "br", "zstd")
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_CODED = re.compile(rf'-(?:{"|".join(CODINGS)})"$')


def tag_of(*parts: bytes) -> str:
    """A strong ETag for a representation made of these parts."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return f'"{digest.hexdigest()}"'


@dataclass(frozen=True)
class Validators:
    """What tells one state of a resource from another.

    Attributes:
        tag: the strong ETag, with its quotes.
        modified: seconds since 1970; None without a Last-Modified.
    """

    tag: str
    modified: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        """As header fields."""
        dated = {} if self.modified is None else {"last-modified": format_http_date(int(self.modified))}
        return {"etag": self.tag, **dated}

    def check(self, request: Request) -> Response | None:
        """A 304 where the client has this state already; None to go on.

        Raises:
            Problem: 412, the client asked for another state than this.
        """
        if not self._wanted(request):
            raise Problem(412, "the resource is not in the state you ask for: read it again", self.headers)
        if not self._known(request):
            return None
        if request.method not in ("GET", "HEAD"):
            raise Problem(412, "If-None-Match: there is a resource already", self.headers)
        # The tag of the representation that the client has, which may be a compressed one.
        tags = [tag for tag in _tags(request, "if-none-match") if _plain(tag) == self.tag]
        return Response(
            status_code=304, headers={**self.headers, "etag": tags[0].removeprefix("W/") if tags else self.tag}
        )

    def _wanted(self, request: Request) -> bool:
        if "if-match" in request.headers:
            tags = _tags(request, "if-match")
            return tags == ["*"] or self.tag in [_plain(tag) for tag in tags if not tag.startswith("W/")]
        since = self._date(request, "if-unmodified-since")
        return since is None or self.modified is None or int(self.modified) <= since

    def _known(self, request: Request) -> bool:
        if "if-none-match" in request.headers:
            tags = _tags(request, "if-none-match")
            return tags == ["*"] or self.tag in map(_plain, tags)
        if request.method not in ("GET", "HEAD"):
            return False
        since = self._date(request, "if-modified-since")
        return since is not None and self.modified is not None and int(self.modified) <= since

    def ranges_hold(self, request: Request) -> bool:
        """Whether If-Range, if there is one, names exactly this state (section 13.1.5): strong tag, or same date."""
        given = request.headers.get("if-range")
        if given is None or given.strip() == self.tag:
            return True
        return self.modified is not None and parse_http_date(given) == int(self.modified)

    @staticmethod
    def _date(request: Request, name: str) -> float | None:
        given = request.headers.get(name)
        return None if given is None else parse_http_date(given)


def _tags(request: Request, name: str) -> list[str]:
    text = ", ".join(request.headers.getlist(name)).strip()
    return ["*"] if text == "*" else _TAG.findall(text)


def _plain(tag: str) -> str:
    return _CODED.sub('"', tag.removeprefix("W/"))
