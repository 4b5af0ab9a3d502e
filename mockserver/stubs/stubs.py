"""The stubs of a server, what they have answered, and the states of their scenarios.

A request asks the candidates that the index gives, best first. Matching happens without the lock, on an index that is
never changed but replaced; then the stub that matches is claimed under the lock, in a few lines: its state, `nth` and
`times` are judged and counted there, so that of two requests at once one gets the last answer, and the other goes on to
the next stub. A stub counts for `nth` each request that matches it and meets its scenario in the required state, and
that no better stub has answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Final

from mockserver.matching.matcher import Matcher, Mismatch
from mockserver.matching.patterns import patience
from mockserver.seen import Seen
from mockserver.stubs.index import Index
from mockserver.stubs.near import Near, described
from mockserver.stubs.reply import Reply
from mockserver.stubs.stub import STARTED, Answer, State, Stub
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Script
from rest_api_client.utils import unknown

MOST_SHOWN: Final = 3
"""Stubs that an explanation shows."""


class _Kept:
    """A stub, and what it has done.

    Attributes:
        fixed: the script of a stub that has one and the same for everybody.
        always: it answers each request that matches.
    """

    __slots__ = ("always", "answered", "fixed", "met", "rank", "stub", "when")

    def __init__(self, stub: Stub, order: int) -> None:
        self.stub = stub
        self.when: Matcher = stub.when
        self.rank = (-stub.priority, -order)
        self.fixed = _fixed(stub.answers)
        self.always = stub.state is None and stub.numbers is None and stub.times is None
        self.met = 0
        self.answered = 0


@dataclass(frozen=True)
class Count:
    """What a stub has done: the requests that reached it and matched, and those it answered."""

    met: int
    answered: int


class Stubs:
    """Stubs that can be added, replaced and removed while requests come in; for any number of threads.

    Args:
        stubs: added in this order.
    """

    def __init__(self, stubs: Iterable[Stub] = ()) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._index: Index[_Kept] | None = None
        self._states: dict[str, str] = {}
        self._order = 0
        self.add(*stubs)

    def add(self, *stubs: Stub) -> tuple[str, ...]:
        """Add stubs, the last with the say over those before it of the same priority; all of them or none.

        Returns:
            Their ids.

        Raises:
            ConfigurationError: an id is there already.
        """
        with self._lock:
            kept = dict(self._kept)
            added = tuple(self._keep(kept, stub) for stub in stubs)
            self._take(kept)
        return added

    def _keep(self, kept: dict[str, _Kept], stub: Stub) -> str:
        self._order += 1
        while not stub.id:
            stub = replace(stub, id=f"stub-{self._order}")
            if stub.id in kept:
                self._order += 1
                stub = replace(stub, id="")
        if stub.id in kept:
            raise ConfigurationError(f"a stub with the id {stub.id!r} is there already: replace it, or remove it first")
        kept[stub.id] = _Kept(stub, self._order)
        return stub.id

    def _take(self, kept: dict[str, _Kept]) -> None:
        self._kept = kept
        self._index = None

    def replace(self, stub_id: str, stub: Stub) -> None:
        """Put a stub in the place of another; it keeps id and place, and has answered nothing yet.

        Raises:
            ConfigurationError: no stub has this id.
        """
        with self._lock:
            order = -self._found(stub_id).rank[1]
            self._take({**self._kept, stub_id: _Kept(replace(stub, id=stub_id), order)})

    def remove(self, stub_id: str) -> None:
        """Take a stub away.

        Raises:
            ConfigurationError: no stub has this id.
        """
        with self._lock:
            self._found(stub_id)
            self._take({each: kept for each, kept in self._kept.items() if each != stub_id})

    def clear(self) -> None:
        """Take all stubs away, and forget all states."""
        with self._lock:
            self._take({})
            self._states = {}

    def reset(self) -> None:
        """Begin again: no stub has answered yet, all scenarios are where they begin. The stubs stay."""
        with self._lock:
            self._take({stub_id: _Kept(kept.stub, -kept.rank[1]) for stub_id, kept in self._kept.items()})
            self._states = {}

    def list(self) -> tuple[Stub, ...]:
        """The stubs with their ids, in the order they were added."""
        return tuple(kept.stub for kept in self._kept.values())

    def count(self, stub_id: str) -> Count:
        """What a stub has done.

        Raises:
            ConfigurationError: no stub has this id.
        """
        with self._lock:
            kept = self._found(stub_id)
            return Count(kept.met, kept.answered)

    @property
    def states(self) -> Mapping[str, str]:
        """The scenarios and their states; those that no stub or caller has moved yet are "Started"."""
        with self._lock:
            named = {_state(kept.stub).name: STARTED for kept in self._kept.values() if kept.stub.state is not None}
            return {**named, **self._states}

    def set_state(self, scenario: str, state: str = STARTED) -> None:
        """Move a scenario.

        Raises:
            ConfigurationError: the names are no texts, or no stub has a part in such a scenario.
        """
        if not isinstance(state, str) or not state:
            raise ConfigurationError(f"state {state!r}: give a text")
        known = self.states
        if scenario not in known:
            raise ConfigurationError(unknown("scenario", str(scenario), known))
        with self._lock:
            self._states[scenario] = state

    def _found(self, stub_id: str) -> _Kept:
        if stub_id not in self._kept:
            raise ConfigurationError(unknown("stub", stub_id, self._kept))
        return self._kept[stub_id]

    def answer(self, seen: Seen) -> Script | None:
        """The answer of the best stub that is for this request; None where there is none."""
        items, sure = (self._index or self._indexed()).candidates(seen)
        if not sure:
            with patience:
                return self._answer((kept for kept in items if kept.when(seen)), seen)
        return self._answer(items, seen)

    def _answer(self, matching: Iterable[_Kept], seen: Seen) -> Script | None:
        for kept in matching:
            number = self._claim(kept)
            if number:
                return _play(kept.stub, seen, number) if kept.fixed is None else kept.fixed
        return None

    def _indexed(self) -> Index[_Kept]:
        # Made when the first request asks, so that a thousand stubs added one by one are indexed once.
        with self._lock:
            self._index = index = Index(self._kept.values())
        return index

    def _claim(self, kept: _Kept) -> int:
        """The how manieth answer of the stub this is; 0 where it does not answer."""
        with self._lock:
            if kept.always:
                kept.met += 1
            elif not self._its_turn(kept):
                return 0
            kept.answered += 1
            return kept.answered

    def _its_turn(self, kept: _Kept) -> bool:
        stub = kept.stub
        if not self._in_state(stub):
            return False
        kept.met += 1
        if not _due(stub, kept.met) or (stub.times is not None and kept.answered >= stub.times):
            return False
        if stub.state is not None and _state(stub).next is not None:
            self._states[_state(stub).name] = str(_state(stub).next)
        return True

    def _in_state(self, stub: Stub) -> bool:
        if stub.state is None:
            return True
        name, required, _ = stub.state
        return required is None or self._states.get(name, STARTED) == required

    def near(self, seen: Seen) -> tuple[Near, ...]:
        """The stubs that came nearest to answering, the nearest first; nothing is counted."""
        with patience:
            ranked = nsmallest(MOST_SHOWN, self._kept.values(), key=lambda kept: _distance(kept, seen))
            return tuple(self._near(kept, seen) for kept in ranked)

    def explain(self, seen: Seen) -> str:
        """Why no stub answers this request, field by field against the nearest stubs."""
        return described(seen, self.near(seen), len(self._kept))

    def _near(self, kept: _Kept, seen: Seen) -> Near:
        matched, parts = kept.when.matched(seen)
        lines = kept.when.mismatches(seen) or self._kept_from(kept)
        return Near(id=kept.stub.id, title=str(kept.stub), matched=matched, parts=parts, mismatches=tuple(lines))

    def _kept_from(self, kept: _Kept) -> tuple[Mismatch, ...]:
        """What keeps a stub from answering a request that it is for."""
        stub = kept.stub
        with self._lock:
            if stub.state is not None and not self._in_state(stub):
                name, required, _ = stub.state
                return (Mismatch(f"state {name}", repr(required), repr(self._states.get(name, STARTED))),)
            if stub.times is not None and kept.answered >= stub.times:
                return (Mismatch("times", f"at most {stub.times} answered", f"{kept.answered} answered already"),)
            if stub.numbers is not None:
                wanted = ", ".join(map(str, stub.numbers))
                return (Mismatch("nth", f"request {wanted}", f"{kept.met} so far"),)
        return ()


def _distance(kept: _Kept, seen: Seen) -> tuple[int, float, tuple[int, int]]:
    matched, parts = kept.when.matched(seen)
    return parts - matched, -kept.when.nearness(seen), kept.rank


def _state(stub: Stub) -> State:
    assert isinstance(stub.state, State)  # the stub saw to it
    return stub.state


def _due(stub: Stub, number: int) -> bool:
    return stub.numbers is None or number in stub.numbers


def _fixed(answers: Sequence[Answer]) -> Script | None:
    if len(answers) > 1:
        return None
    answer = answers[0]
    return answer.fixed if isinstance(answer, Reply) else answer if isinstance(answer, Script) else None


def _play(stub: Stub, seen: Seen, number: int) -> Script:
    answers = stub.answers
    place = (number - 1) % len(answers) if stub.cycle else min(number, len(answers)) - 1
    answer = answers[place]
    if isinstance(answer, Script):
        return answer
    if isinstance(answer, Reply):
        return answer.fixed or answer(seen, stub.when.captures(seen), number)
    captures = stub.when.captures(seen)
    script = answer(seen, captures)
    if not isinstance(script, Script):
        raise TypeError(f"{stub}: its answer gave {type(script).__name__}, not a Script")
    return script
