"""A limit for each client: PerKey(limit, key) has one of its own for every key that requests bring."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from mockserver.limits.verdict import Limit, check_whole
from mockserver.seen import Seen

REMEMBERED_KEYS = 10_000


class PerKey:
    """One limit per key, made when the key is first seen.

    Args:
        limit: the settings; each key gets an unused limit like it.
        key: tells clients apart, `by_header("authorization")` for instance; one limit for all when None.
        most: keys that are remembered. Beyond it the one longest unused is forgotten, and starts anew when it returns.

    Hold on to what `of` returns until the call has ended, and release that: its key may have been forgotten by then.
    """

    def __init__(self, limit: Limit, key: Callable[[Seen], str] | None = None, *, most: int = REMEMBERED_KEYS) -> None:
        self.limit = limit
        self.key = key
        self.most = check_whole("most", most)
        self._limits: OrderedDict[str, Limit] = OrderedDict()

    def of(self, seen: Seen) -> Limit:
        """The limit of this request's client."""
        key = "" if self.key is None else self.key(seen)
        limit = self._limits.get(key) or self._limits.setdefault(key, self.limit.unused())
        self._limits.move_to_end(key)
        if len(self._limits) > self.most:
            self._limits.popitem(last=False)
        return limit

    def __len__(self) -> int:
        return len(self._limits)


def by_header(name: str) -> Callable[[Seen], str]:
    """A key: the value of a header field, "" for all requests without it."""
    name = name.lower()

    def key(seen: Seen) -> str:
        return seen.header(name) or ""

    return key


def by_client(seen: Seen) -> str:
    """A key: the address a request came from."""
    return seen.client
