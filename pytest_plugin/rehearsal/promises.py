"""What a client promises, checked over how its calls ended; what the server saw is for the rules of the stage.

ended      every call ends, in an answer or in one error, and a cancelled one soon after it was cancelled
typed      that error is one that callers can be told to catch
deadline   no call lasts longer
held       nothing is held when all is quiet: no permit, no token
recovery   when the trouble is over, so is the client's: a call to a healthy server is answered
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

from mockserver.rules import Violation
from pytest_plugin.rehearsal.running import Called, Run
from rest_api_client.exceptions import APIError, ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from mockserver.journal import Entry

TYPED: tuple[type[BaseException], ...] = (APIError, httpx.HTTPError)
PROMPT = 1.0
"""Seconds in which a cancelled call ends."""

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Promises:
    """What a client is held to, besides the rules of the stage.

    Args:
        deadline: seconds that a call may last; None asks the client (`client.config.deadline`), where it says one.
        tolerance: seconds by which a call may end later than that.
        errors: what a call may end in.
        recovery: seconds after the end of all trouble in which a client works again; None for no such probe. A
            Retry-After that the server sent is waited for besides.
        held: asked of every client when all is quiet: how many permits, tokens or connections are in use, as a number
            or by name; None for nothing to ask.

    Raises:
        ValueError: an option makes no sense; the message names it.
    """

    deadline: float | None = None
    tolerance: float = 0.05
    errors: tuple[type[BaseException], ...] = TYPED
    recovery: float | None = 60.0
    held: Callable[[Any], int | Mapping[str, int]] | None = None

    def __post_init__(self) -> None:
        for name in ("deadline", "recovery"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Promises.{name}={value!r}: give seconds above 0, or None")
        if not self.tolerance >= 0:
            raise ValueError(f"Promises.tolerance={self.tolerance!r}: give 0 seconds or more")

    def check(self, run: Run, entries: Sequence[Entry]) -> Iterator[Violation]:
        """What was not kept."""
        made = [call for call in run.calls if not call.probe]
        for rule in (self._ended, self._typed):
            yield from rule(made)
        yield from self._in_time(made, self._deadline(run))
        yield from self._held(run)
        yield from self._recovered([call for call in run.calls if call.probe], entries)

    def _deadline(self, run: Run) -> float | None:
        if self.deadline is not None:
            return self.deadline
        said = getattr(getattr(run.clients[0], "config", None), "deadline", None) if run.clients else None
        return said if isinstance(said, int | float) else None

    def _ended(self, calls: Iterable[Called]) -> Iterator[Violation]:
        hung = [call for call in calls if call.outcome == "hung" and call.cancelled is None]
        if hung:
            yield Violation(
                rule="ended",
                text=f"{_said(hung)} never ended.",
                mend="give every wait a limit: connect, read, write and pool timeouts, and a deadline for the call",
            )
        late = [call for call in calls if call.cancelled is not None and not _prompt(call, call.cancelled)]
        if late:
            yield Violation(
                rule="ended",
                text=f"{_said(late)} was cancelled, and went on for more than {PROMPT:g} s.",
                mend="let a cancellation pass: catch it to give back what is held, and raise it again",
            )

    def _typed(self, calls: Iterable[Called]) -> Iterator[Violation]:
        odd = [each for each in calls if each.outcome == "failed" and not self._may_raise(each.error)]
        if odd:
            error = odd[0].error
            yield Violation(
                rule="typed",
                text=f"{_said(odd)} ended in {error!r}.",
                mend="raise one of the client's own errors from it, or name it in Promises(errors=...)",
            )

    def _may_raise(self, error: BaseException | None) -> bool:
        return isinstance(error, self.errors) and not isinstance(error, ConfigurationError)

    def _in_time(self, calls: Iterable[Called], deadline: float | None) -> Iterator[Violation]:
        if deadline is None:
            return
        most = deadline + self.tolerance
        late = [each for each in calls if each.ended is not None and each.ended - each.started > most]
        if late:
            worst = max(late, key=_lasted)
            yield Violation(
                rule="deadline",
                text=f"{worst.said} lasted {_lasted(worst):.3f} s; its deadline is {deadline:g} s.",
                mend="cut every wait and every attempt to the time that is left",
            )

    def _held(self, run: Run) -> Iterator[Violation]:
        if self.held is None:
            return
        for client in run.clients:
            found = self.held(client)
            named = found if isinstance(found, Mapping) else {"held": found}
            left = {name: number for name, number in named.items() if number}
            if left:
                yield Violation(
                    rule="held",
                    text=f"when all was quiet, the client still held {left}.",
                    mend="give back in `finally` what was taken, also where the call is cancelled",
                )

    def _recovered(self, probes: Sequence[Called], entries: Sequence[Entry]) -> Iterator[Violation]:
        lost = [each for each in probes if each.outcome != "answered" or (each.status or 0) >= 500]
        if lost:
            asked = f" ({lost[0].error})" if lost[0].error is not None else ""
            yield Violation(
                rule="recovery",
                text=f"{len(lost)} of {len(probes)} calls to a healthy server failed, {self.recovery:g} s after all "
                f"trouble was over: {lost[0].how}{asked}.",
                mend="whatever a failure takes (a permit, a probe of the breaker, a place in the pool) must come back",
                entries=tuple(entries[-_SHOWN:]),
            )


def _said(calls: Sequence[Called]) -> str:
    told = ", ".join(each.said for each in calls[:_SHOWN])
    return told if len(calls) <= _SHOWN else f"{told} and {len(calls) - _SHOWN} more"


def _prompt(call: Called, cancelled: float) -> bool:
    return call.ended is not None and call.ended - cancelled <= PROMPT


def _lasted(call: Called) -> float:
    return 0.0 if call.ended is None else call.ended - call.started
