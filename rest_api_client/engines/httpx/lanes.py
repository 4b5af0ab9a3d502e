"""Lanes: one connection each, and the stock of those that wait for their next exchange.

A lane belongs to the loop it was made in, to one origin, one proxy and one TLS identity, and never serves another.
The latest one given back is taken first, so that spare ones grow old and are closed when `keepalive_expiry` has passed
(looked at whenever a lane is taken or given back). To stay within the connection limit a new lane pushes out the oldest
idle one of another origin.

Loops are held weakly: when one is closed or collected, its idle connections are closed with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from rest_api_client.engines.httpx.network import Backend
from rest_api_client.engines.httpx.wire import Wire
from rest_api_client.engines.proxies import Proxy
from rest_api_client.http.urls import Origin
from rest_api_client.lazy_dataclasses import dataclass

MAX_STREAMS = 100
"""Exchanges on one HTTP/2 connection at once; also what httpcore announces."""


class LaneKey(NamedTuple):
    """What a lane can serve."""

    origin: Origin
    proxy: Proxy | None
    shows_cert: bool


@dataclass(eq=False, slots=True, weakref_slot=True)
class Lane:
    """An httpx transport with one connection.

    `users` is how many exchanges it carries: one, or several where it turned out to be HTTP/2 and may be shared.

    Attributes:
        key: what it can serve.
        home: the loop it belongs to, held weakly: a lane in the stock must not keep its loop alive.
        transport: the httpx transport.
        backend: what made its connection.
        idle_since: when it was given back.
        on_end: called when an exchange on it ends; only where it may be shared.
    """

    key: LaneKey
    home: weakref.ref[Any]
    transport: Any
    backend: Backend
    idle_since: float = 0.0
    users: int = 1
    on_end: Callable[[], object] | None = None

    @property
    def usable(self) -> bool:
        """Whether its connection stands, as far as we know."""
        wire = self.backend.wire
        return wire is not None and not wire.closed

    @property
    def shared(self) -> bool:
        """Whether several exchanges may use it at once."""
        return self.backend.wire is not None and self.backend.wire.shared

    def drop(self) -> None:
        """Close its connection, at once, from anywhere."""
        if self.backend.wire is not None:
            self.backend.wire.close()

    def shut_down(self) -> None:
        """Wake whoever uses it; they find it broken."""
        if self.backend.wire is not None:
            self.backend.wire.shut_down()

    def abandon(self) -> None:
        """Close this process's copy of the socket after a fork: the parent's connection goes on."""
        if self.backend.wire is not None:
            self.backend.wire.abandon()


class _Shelf:
    """The idle lanes of one loop, oldest first."""

    def __init__(self) -> None:
        self.lanes: dict[Lane, None] = {}
        self.by_key: dict[LaneKey, list[Lane]] = {}
        self.shared: dict[LaneKey, list[Lane]] = {}

    def unshare(self, lane: Lane) -> None:
        self.shared[lane.key] = [other for other in self.shared.pop(lane.key, ()) if other is not lane]

    def add(self, lane: Lane) -> None:
        self.lanes[lane] = None
        self.by_key.setdefault(lane.key, []).append(lane)

    def remove(self, lane: Lane) -> None:
        del self.lanes[lane]
        same = self.by_key[lane.key]
        if same[-1] is lane:  # nearly always: the latest is taken first
            same.pop()
        else:
            same.remove(lane)
        if not same:
            del self.by_key[lane.key]

    def oldest(self) -> Lane:
        return next(iter(self.lanes))

    def clear(self) -> None:
        for lane in list(self.lanes):
            lane.drop()
        self.lanes.clear()
        self.by_key.clear()


class Stock:
    """The idle lanes of one engine.

    Args:
        expiry: seconds an idle lane is kept.
        limit: connections open at once, those in use included, or None.
    """

    def __init__(self, expiry: float, limit: int | None) -> None:
        self._expiry = expiry
        self._limit = limit
        self._shelves: weakref.WeakKeyDictionary[Any, _Shelf] = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()
        self._due = inf  # when the first idle lane will have expired

    def __len__(self) -> int:
        with self._lock:
            return sum(len(shelf.lanes) for shelf in self._shelves.values())

    def take(self, home: object, key: LaneKey, now: float) -> Lane | None:
        """A lane for this key, shared or idle, or None."""
        with self._lock:
            self._sweep(now)
            shelf = self._shelves.get(home)
            if shelf is None:
                return None
            for lane in shelf.shared.get(key, ()):
                if lane.users < MAX_STREAMS and lane.usable:
                    lane.users += 1
                    return lane
            same = shelf.by_key.get(key)
            if not same:
                return None
            lane = same[-1]
            shelf.remove(lane)
            lane.users = 1
            if lane.shared:
                shelf.shared.setdefault(key, []).append(lane)
            return lane

    def share(self, home: object, lane: Lane, wire: Wire) -> None:
        """Let others in this loop use this lane as well, while it is in use."""
        with self._lock:
            wire.shared = True
            self._shelf(home).shared.setdefault(lane.key, []).append(lane)

    def release(self, lane: Lane, *, keep: bool) -> bool:
        """One exchange less; say whether it was the last one. A lane that is not to be kept gets no new ones."""
        home = lane.home()
        with self._lock:
            lane.users -= 1
            shelf = self._shelves.get(home) if home is not None else None
            if shelf is not None and not (keep and lane.users):
                shelf.unshare(lane)
            return lane.users == 0

    def _shelf(self, home: object) -> _Shelf:
        shelf = self._shelves.get(home)
        if shelf is None:
            shelf = self._shelves[home] = _Shelf()
            weakref.finalize(home, shelf.clear)
        return shelf

    def make_room(self, in_use: int) -> None:
        """Close the oldest idle lanes until one more connection fits."""
        if self._limit is None:
            return
        with self._lock:
            while len(self) and len(self) + in_use > self._limit:
                shelf = min(
                    (shelf for shelf in self._shelves.values() if shelf.lanes),
                    key=lambda shelf: shelf.oldest().idle_since,
                )
                lane = shelf.oldest()
                shelf.remove(lane)
                lane.drop()

    def give_back(self, lane: Lane, now: float) -> None:
        """Keep a lane for the next exchange of its loop."""
        lane.idle_since = now
        home = lane.home()
        if home is None:
            lane.drop()
            return
        with self._lock:
            self._shelf(home).add(lane)
            self._due = min(self._due, now + self._expiry)
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        if now < self._due and len(self._shelves) == 1:  # nothing is old, and no loop but the one that asks
            return
        self._due = inf
        for home, shelf in list(self._shelves.items()):
            if getattr(home, "is_closed", _never)():
                shelf.clear()
            while shelf.lanes and shelf.oldest().idle_since + self._expiry <= now:
                lane = shelf.oldest()
                shelf.remove(lane)
                lane.drop()
            if shelf.lanes:
                self._due = min(self._due, shelf.oldest().idle_since + self._expiry)

    def clear(self) -> None:
        """Close every idle lane."""
        with self._lock:
            for shelf in list(self._shelves.values()):
                shelf.clear()

    def abandon(self) -> None:
        """Forget every lane after a fork, in the child."""
        shelves, self._shelves = list(self._shelves.values()), weakref.WeakKeyDictionary()
        self._lock = threading.RLock()
        for shelf in shelves:
            for lane in shelf.lanes:
                lane.abandon()
            shelf.lanes.clear()
            shelf.by_key.clear()


def _never() -> bool:
    return False
