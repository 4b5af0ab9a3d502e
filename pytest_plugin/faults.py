"""http_faults: what goes wrong on a test's mock server, said in marks or while the test runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver import FaultRule, Plan, fault

if TYPE_CHECKING:
    from mockserver.scene import Scene
    from pytest_plugin.rehearsal.schedule import FaultSchedule

_LINE = re.compile(r"[a-z_]+=")
_TOKEN = re.compile(r"r[0-9]+\.")


def _schedule_of(what: str | Path) -> FaultSchedule:
    """A rehearsal's schedule, from its token or from the file in which it was saved."""
    from pytest_plugin.rehearsal.saved import saved_schedule
    from pytest_plugin.rehearsal.schedule import FaultSchedule

    return saved_schedule(what) if isinstance(what, Path) else FaultSchedule.from_token(what)


class HttpFaults:
    """What goes wrong on a server. What is added counts from then on.

        http_faults.add("error(503, retry_after=2)", first=2)
        http_faults.add("reset", method="POST", effect="done")

    Args:
        server: on which it goes wrong.
        seed: of the plan.
        replay: a plan's line, or the token of a rehearsal, that takes the place of whatever is asked for.
    """

    def __init__(self, server: Scene, seed: int, replay: str | None = None) -> None:
        self._server = server
        self._fixed = replay is not None
        if replay is not None:
            self._put(Plan.parse(replay) if _LINE.match(replay) else _schedule_of(replay))
        elif server.faults is None:
            server.faults = Plan(seed=seed)

    @property
    def plan(self) -> Plan:
        """All that goes wrong."""
        faults = self._server.faults
        return Plan() if faults is None else faults.plan

    def add(self, what: str | FaultRule | Plan | Path, **options: Any) -> None:
        """Have something go wrong, besides what does already.

        Args:
            what: a fault by its name, with its arguments; or a rule. A plan, its line, the token of a rehearsal and the
                path of a saved one take the place of all.
            options: of `FaultRule`, for a fault given by its name.

        Raises:
            ValueError: there is no such fault or option; the message says which there are.
            CassetteError: the file cannot be read, or is no rehearsal.
        """
        if not self._fixed:
            self._put(self._with(what, options))

    def _put(self, what: Plan | FaultSchedule) -> None:
        if isinstance(what, Plan):
            self._server.faults = what
        else:
            self._server.faults, self._server.limits = what.plan(), what.server_limit()

    def _with(self, what: str | FaultRule | Plan | Path, options: dict[str, Any]) -> Plan | FaultSchedule:
        if isinstance(what, str) and not _LINE.match(what) and not _TOKEN.match(what):
            return replace(self.plan, rules=(*self.plan.rules, FaultRule(fault(what), **options)))
        if options:
            raise ValueError(f"options {', '.join(options)} are for a fault given by its name, not for {what!r}")
        if isinstance(what, FaultRule):
            return replace(self.plan, rules=(*self.plan.rules, what))
        if isinstance(what, str):
            return Plan.parse(what) if _LINE.match(what) else _schedule_of(what)
        if isinstance(what, Path):
            return _schedule_of(what)
        if isinstance(what, Plan):
            return what
        raise ValueError(f"{what!r}: give a fault's name, 'error(503)' for instance, a FaultRule, a Plan or a Path")

    def clear(self) -> None:
        """Have nothing go wrong any more."""
        self._server.faults = Plan(seed=self.plan.seed)

    def describe(self) -> str:
        """One line that replays all of it: `--api-fault-replay`."""
        return self.plan.describe()

    def __repr__(self) -> str:
        return f"<HttpFaults {self.plan!r}>"
