"""Traffic written down as the server would have seen it, on a clock that the writer moves."""

from __future__ import annotations

from typing import Any

from mockserver.journal import Entry, Journal


class Traffic:
    """Entries, one after the other; `now` is the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.entries: list[Entry] = []

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ask(
        self,
        path: str = "/users/1",
        *,
        method: str = "GET",
        status: int | None = 200,
        at: float | None = None,
        took: float = 0.001,
        retry_after: float | None = None,
        **rest: Any,
    ) -> Entry:
        """One request, answered after `took` seconds. Without `at`, now, and the time then is when it was answered."""
        arrived = self.now if at is None else at
        ended = arrived + took
        fields: dict[str, Any] = {"caller": "127.0.0.1 test", "connection": 1, "body_digest": ""} | rest
        entry = Entry(index=len(self.entries), arrived=arrived, method=method, path=path, **fields)
        entry.status, entry.finished = status, ended
        entry.answered = None if status is None else ended
        if retry_after is not None:
            entry.not_before = ended + retry_after
        if at is None:
            self.now = ended
        self.entries.append(entry)
        return entry

    def calls(self, count: int, waits: list[list[float]], status: int = 503) -> None:
        """So many named calls that fail at the same moment, each with waits of its own between attempts."""
        began = self.now
        for number in range(count):
            at = began
            for attempt, wait in enumerate([0.0, *waits[number % len(waits)]], 1):
                at += wait
                self.ask(at=at, took=0.0, status=status, call_id=f"c{number}", attempt=attempt, connection=number + 1)
        self.entries.sort(key=lambda entry: entry.arrived)
        for index, entry in enumerate(self.entries):
            entry.index = index

    def journal(self) -> Journal:
        """The same as a journal."""
        journal = Journal()
        for entry in self.entries:
            journal.open(entry)
        return journal
