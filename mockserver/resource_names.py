"""What collections may be called, and how large they may be: checked at once, while they are made when asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MOST_RECORDS: Final = 100_000

# fmt: off
RESERVED: Final = frozenset({
    "anything", "api-key", "base64", "basic-auth", "bearer", "brotli", "bytes", "cache", "cookies", "deflate",
    "delay", "delete", "digest-auth", "drip", "echo", "encoding", "etag", "get", "gzip", "headers", "health",
    "html", "image", "ip", "json", "links", "ndjson", "oauth", "patch", "post", "put", "range", "redirect",
    "redirect-loop", "redirect-to", "response-headers", "sse", "status", "stream", "upload", "user-agent", "uuid",
    "xml", "zstd",
})
# fmt: on
"""The first segments of the paths that are there anyway."""

REFERENCES: Mapping[str, Mapping[str, str]] = {
    "orders": {"userId": "users"},
    "posts": {"userId": "users"},
    "todos": {"userId": "users"},
    "comments": {"postId": "posts"},
}
"""Which field of a resource refers to which other one that must be there. Orders name a product if there are any."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def check_resources(sizes: Mapping[str, int]) -> None:
    """Refuse a senseless name or size, a name that is taken, or one that refers to what is not there, or empty.

    Raises:
        ValueError: it names what is wrong.
    """
    for name, size in sizes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"a resource is named by small letters, digits, - and _, not {name!r}; "
                f"taken are {', '.join(sorted(RESERVED))}"
            )
        if type(size) is not int or not 0 <= size <= MOST_RECORDS:
            raise ValueError(f"resource {name} must have from 0 to {MOST_RECORDS} records, not {size!r}")
        for other in REFERENCES.get(name, {}).values():
            if size and not sizes.get(other):
                raise ValueError(f"{name} refer to {other}: add a resource {other} with at least one record")
