"""A cassette in memory: the recordings, which of them answers a request, and what is being recorded.

Playing is a look-up: each recording stands under a key made of what is compared, so that the ten-thousandth request
costs what the first does. Recordings of one key are given out in the order in which they were made:

    ordered       each once; one more request of that key is a miss
    last_stays    each once, and the last one for ever
    strict        as ordered, and all requests in exactly the order of the recording, whatever their keys

What is recorded takes its place when it begins. Locks are held for a few lines and never across a wait.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from typing import Any, Literal, Protocol, TypeAlias

from cassettes.errors import CassetteError, CassetteMiss
from cassettes.explain import explain_miss
from cassettes.interaction import Asked, Interaction
from cassettes.matching import DEFAULT_MATCHING, Matching
from cassettes.redaction import Bindings, mark
from cassettes.secrets import forget_names
from rest_api_client.clock import Clock

Strictness: TypeAlias = Literal["strict", "ordered", "last_stays"]
_STRICTNESSES = ("strict", "ordered", "last_stays")
_LOOKED_AT = 50
"""Recordings of one key that are compared by their secrets before the oldest is taken."""


class Recording(Protocol):
    """One attempt that is being recorded."""

    @property
    def void(self) -> bool:
        """Whether there is nothing to keep of it."""
        ...

    def interaction(self) -> Interaction:
        """What is known of it by now."""
        ...


class Cassette:
    """Recorded interactions to play, and room for new ones.

    Args:
        interactions: what can be played, in the order of its recording.
        matching: what of a request is compared.
        strictness: "ordered", "strict" or "last_stays".
        about: what else the file said of itself.

    Raises:
        CassetteError: no such strictness.
    """

    def __init__(
        self,
        interactions: Iterable[Interaction] = (),
        *,
        matching: Matching = DEFAULT_MATCHING,
        strictness: Strictness = "ordered",
        about: dict[str, Any] | None = None,
    ) -> None:
        if strictness not in _STRICTNESSES:
            raise CassetteError(f"strictness={strictness!r}: give one of {', '.join(_STRICTNESSES)}")
        forget_names()
        self.interactions = list(interactions)
        self.matching = matching
        self.strictness: Strictness = strictness
        self.about = dict(about or {})
        self.bindings = Bindings()
        self._lock = threading.RLock()  # an own matcher, called under it, may look at the cassette
        self._began: float | None = None
        self._tapes: list[Recording] = []
        self._played: list[int] = []
        self._open: dict[Hashable, deque[int]] | None = None
        self._loose: dict[Hashable, deque[int]] = defaultdict(deque)
        self._last: dict[Hashable, int] = {}
        self._gone: set[int] = set()

    @property
    def reads_bodies(self) -> bool:
        """Whether a request's body is needed to find its recording."""
        return self.matching.reads_bodies

    @property
    def played(self) -> list[Interaction]:
        """What was played, oldest first."""
        with self._lock:
            return [self.interactions[place] for place in self._played]

    @property
    def unplayed(self) -> list[Interaction]:
        """What was never played."""
        with self._lock:
            played = set(self._played)
            return [each for place, each in enumerate(self.interactions) if place not in played]

    @property
    def recorded(self) -> list[Interaction]:
        """What was recorded here so far, in the order in which it began."""
        with self._lock:
            tapes = list(self._tapes)
        return [tape.interaction() for tape in tapes if not tape.void]

    # Recording ---------------------------------------------------------------------------------------------------

    def elapsed(self, clock: Clock) -> float:
        """Seconds since the first attempt."""
        now = clock.monotonic()
        with self._lock:
            if self._began is None:
                self._began = now
            return round(max(0.0, now - self._began), 6)

    def reserve(self, tape: Recording) -> None:
        """Give an attempt its place."""
        with self._lock:
            self._tapes.append(tape)

    # Playing -----------------------------------------------------------------------------------------------------

    def play(self, asked: Asked, *, missing_ok: bool = False) -> Interaction | None:
        """The recording that answers this request; it counts as played.

        Args:
            asked: the request.
            missing_ok: give None where there is none.

        Raises:
            CassetteMiss: there is none, or, where the order is strict, it is not its turn.
        """
        with self._lock:
            place = self._in_turn(asked) if self.strictness == "strict" else self._of_key(asked)
            if place is not None:
                self._played.append(place)
        if place is None:
            if missing_ok:
                return None
            raise CassetteMiss(explain_miss(self, asked))
        return self.bindings.bound(self.interactions[place], asked)

    def _in_turn(self, asked: Asked) -> int | None:
        place = len(self._played)
        if place >= len(self.interactions):
            return None
        recorded, key = self.interactions[place].asked, self.matching.key
        if key(asked) == key(recorded) or key(asked, loose=True) == key(recorded, loose=True):
            return place if self.matching.accepts(asked, recorded) else None
        return None

    def _of_key(self, asked: Asked) -> int | None:
        if self._open is None:
            self._open = self._index()
        key = self.matching.key(asked)
        place = self._choose(self._open.get(key), asked)
        if place is None and self._loose:
            place = self._choose(self._loose.get(loose := self.matching.key(asked, loose=True)), asked)
            key = key if place is None else loose
        if self.strictness != "last_stays":
            return place
        if place is not None:
            self._last[key] = place
        return self._last.get(key, self._last.get(self.matching.key(asked, loose=True)))

    def _index(self) -> dict[Hashable, deque[int]]:
        index: dict[Hashable, deque[int]] = {}
        key = self.matching.key
        for place, each in enumerate(self.interactions):
            index.setdefault(key(each.asked), deque()).append(place)
            if mark(each.asked):
                self._loose[key(each.asked, loose=True)].append(place)
        return index

    def _choose(self, places: deque[int] | None, asked: Asked) -> int | None:
        """The first that was not given out and that own matchers accept; one whose secrets fit goes before others."""
        while places and places[0] in self._gone:
            places.popleft()
        if not places:
            return None
        chosen: int | None = None
        for looked, place in enumerate(places):
            if place in self._gone or not self.matching.accepts(asked, self.interactions[place].asked):
                continue
            chosen = place if chosen is None else chosen
            last = len(places) == 1 or looked >= _LOOKED_AT
            if last or self.bindings.consistent(self.interactions[place].asked, asked):
                chosen = place if looked < _LOOKED_AT else chosen
                break
        if chosen is not None:
            self._gone.add(chosen)
        return chosen

    def __repr__(self) -> str:
        return f"<Cassette, {len(self.interactions)} recorded, {len(self._played)} played, {len(self._tapes)} new>"
