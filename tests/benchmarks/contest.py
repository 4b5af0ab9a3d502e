"""Clients that take turns: each in a process of its own on one core, told to do one round, then the next one's round.

The order turns with every round, so that none always comes after the same other. A client that fails is left out,
with what it said.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.clients import Setup
from tests.benchmarks.figures import Series
from tests.benchmarks.niquests_folder import installed
from tests.benchmarks.processes import LOAD_CORE, spawn

PATIENCE = 40.0
"""Seconds that a round may take."""


@dataclass(frozen=True)
class Task:
    """A round.

    Attributes:
        do: "json", "download" or "upload".
        url: of what.
        seconds: how long; a round has at least one request in each place.
        setup: what the client is opened for.
        in_flight: for an async client, how many requests at once.
        threads: for a client that blocks, how many use it; 0 for none but the main one.
        shared: whether the threads share one client.
    """

    do: str
    url: str
    seconds: float
    setup: Setup
    in_flight: int = 1
    threads: int = 0
    shared: bool = True

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Task:
        """What `to_json` wrote."""
        data = json.loads(line)
        return cls(**{**data, "setup": Setup(**data["setup"])})


@dataclass(frozen=True)
class Found:
    """What a round gave.

    Attributes:
        requests: answered.
        cpu: seconds of CPU time, in all threads of the process.
        wall: seconds.
        grown: megabytes by which the process grew at most, from before the client was opened for this.
    """

    requests: int
    cpu: float
    wall: float
    grown: float = 0.0

    @property
    def cost(self) -> float:
        """Microseconds of CPU time a request."""
        return self.cpu / self.requests * 1e6

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.wall

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))


class Failed(Exception):
    """A client could not do a round; says why."""


class Contestant:
    """A client's process."""

    def __init__(self, title: str, face: str) -> None:
        self.title = title
        command = [sys.executable, "-m", "tests.benchmarks.driver", face, title]
        self._process = spawn(command, LOAD_CORE, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        self._answer()

    def round(self, task: Task) -> Found:
        """Do one.

        Raises:
            Failed: it could not.
        """
        assert self._process.stdin is not None
        if self._process.poll() is None:
            self._process.stdin.write(task.to_json().encode() + b"\n")
            self._process.stdin.flush()
        return Found(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            self.end()
            raise Failed(f"{self.title}: a round was not over within {PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise Failed(f"{self.title}: {answer['error']}")
        return answer

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


@dataclass
class Field:
    """Those who take part, and what became of it.

    Attributes:
        contestants: still in.
        skipped: why others are not.
    """

    contestants: list[Contestant]
    skipped: list[str] = field(default_factory=list)

    def rounds(self, task: Task, count: int, only: Iterable[str] | None = None) -> dict[str, list[Found]]:
        """So many rounds of each (or only of some), in turns; of those who could do all of them."""
        chosen = [each for each in self.contestants if only is None or each.title in only]
        found: dict[str, list[Found]] = {each.title: [] for each in chosen}
        for number in range(count):
            for each in chosen if number % 2 else reversed(chosen):
                if each.title in found:
                    self._one(each, task, found)
        return found

    def _one(self, each: Contestant, task: Task, found: dict[str, list[Found]]) -> None:
        try:
            found[each.title].append(each.round(task))
        except Failed as why:
            del found[each.title]
            if str(why) not in self.skipped:
                self.skipped.append(str(why))


@contextmanager
def field_of(titles: Iterable[str], face: str) -> Iterator[Field]:
    """Their processes, for the block."""
    with ExitStack() as running:
        entered = Field([])
        for title in titles:
            if title == "niquests" and not installed():
                entered.skipped.append("niquests: pip cannot install it here")
                continue
            try:
                entered.contestants.append(Contestant(title, face))
            except Failed as why:
                entered.skipped.append(str(why))
            else:
                running.callback(entered.contestants[-1].end)
        yield entered


def costs(found: dict[str, list[Found]], unit: str = "us of CPU a request", scale: float = 1.0) -> dict[str, Series]:
    """CPU time a request, the cheapest first, in microseconds times `scale`."""
    series = {title: Series(title, unit, tuple(one.cost * scale for one in rounds)) for title, rounds in found.items()}
    return dict(sorted(series.items(), key=lambda pair: pair[1].median))


def rates(found: dict[str, list[Found]], unit: str = "requests a second") -> dict[str, Series]:
    """Requests a second, the most first."""
    series = {title: Series(title, unit, tuple(one.rate for one in rounds)) for title, rounds in found.items()}
    return dict(sorted(series.items(), key=lambda pair: -pair[1].median))
