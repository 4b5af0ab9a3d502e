"""The workload: who calls how often, and what.

    Workload(callers=5, calls=10, every=1.0, methods=("GET", "POST"))

Each caller begins a call every so many seconds, whether its earlier calls have ended or not, as users do. Callers begin
one after the other, spread over that time; with `every=0` all begin at once. Calls are counted from 1 in the order in
which they begin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rest_api_client.lazy_dataclasses import dataclass

BODIED = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call that is to be made.

    Attributes:
        number: which, from 1, of all callers together.
        caller: whose, from 1.
        start: seconds after the rehearsal's beginning.
        method: of HTTP.
        path: of the URL.
        json: the body; None without one.
    """

    number: int
    caller: int
    start: float
    method: str
    path: str
    json: Any = None


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Who calls how often, and what.

    Args:
        callers: how many call beside each other.
        calls: how many calls each makes.
        every: seconds between two calls of one caller.
        methods: taken in turn; POST, PUT and PATCH bring a small body, another one for each call.
        path: of every URL.
        shared: all callers share one client; otherwise each has its own.
        call: makes one call, `call(client, ask)`, sync or async; None asks `client.request(method, path, json=...)`.
        one_request: a call asks for one thing, so that all its requests are attempts at it. False for a `call` of your
            own that makes several requests.
        patience: seconds after which a call that has not ended is given up as hung.

    Raises:
        ValueError: an option makes no sense; the message names it.
    """

    callers: int = 1
    calls: int = 3
    every: float = 1.0
    methods: Sequence[str] = ("GET", "POST")
    path: str = "/things"
    shared: bool = True
    call: Callable[[Any, Ask], Any] | None = None
    one_request: bool = True
    patience: float = 300.0

    def __post_init__(self) -> None:
        for name in ("callers", "calls"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"Workload.{name}={value!r}: give a whole number, 1 or more")
        if not 0 <= self.every < math.inf:
            raise ValueError(f"Workload.every={self.every!r}: give 0 seconds or more")
        if not 0 < self.patience < math.inf:
            raise ValueError(f"Workload.patience={self.patience!r}: give a number of seconds above 0")
        if not self.methods or isinstance(self.methods, str):
            raise ValueError(f"Workload.methods={self.methods!r}: give at least one, ('GET',)")
        if not self.path.startswith("/"):
            raise ValueError(f"Workload.path={self.path!r}: a path begins with a slash")

    def asks(self) -> list[Ask]:
        """All calls, in the order in which they begin."""
        turns = [(turn, caller) for turn in range(self.calls) for caller in range(self.callers)]
        return [self._ask(number, *each) for number, each in enumerate(turns, 1)]

    def probe(self, number: int, caller: int, start: float) -> Ask:
        """One more call, by which is seen whether a client works."""
        return Ask(number=number, caller=caller, start=start, method=self.methods[0], path=self.path, json=None)

    def _ask(self, number: int, turn: int, caller: int) -> Ask:
        method = self.methods[(number - 1) % len(self.methods)]
        return Ask(
            number=number,
            caller=caller + 1,
            start=self.every * (turn + caller / self.callers),
            method=method,
            path=self.path,
            json={"call": number} if method in BODIED else None,
        )


def ask_client(client: Any, ask: Ask) -> Any:
    """Make a call as most clients have it: `client.request(method, path, json=...)`."""
    options = {} if ask.json is None else {"json": ask.json}
    return client.request(ask.method, ask.path, **options)
