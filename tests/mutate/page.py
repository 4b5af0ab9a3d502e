"""Writes docs/mutation.md: what was found, and each survivor with the reason why nobody has to notice it."""

from __future__ import annotations

import platform
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutate.groups import GROUPS
from tests.mutate.run import ROOT, Mutant

PAGE = ROOT / "docs" / "mutation.md"
ACCEPTED = Path(__file__).with_name("accepted.toml")
UNEXPLAINED = "not explained yet"

HEAD = """# Mutation tests

A test suite can run every line and notice little. So the policies that decide about every request are changed, one
small change at a time (`<` to `<=`, `and` to `or`, `+` to `-`, 1 to 2, an argument to None), and their tests have to
fail. A change that no test notices survives. Each survivor is listed here, with the reason why it is accepted.

```sh
make mutate
```

It works in a copy of the tree, took {minutes:.0f} minutes on {cores} cores, fails where less than {least:.0%} of a
group are killed, and writes this page. The tool is mutmut {tool}; what follows is its run on Python {python}, {day}.

* The tests of a group are those of the policy itself, named in `tests/mutate/groups.py`, not the rest of the suite.
* Tests that run under each runtime run under the sync one alone: what is changed is the same code under all of them.
* Hypothesis draws the same examples in each run, and the state machines make 50 runs each instead of 500.
* A change that keeps the tests running for many times as long as they should is killed: it would hang.
* Texts are left alone: a literal with a blank in it is for people, and no test is to repeat it.
* mutmut changes what is inside functions and methods, not defaults in class bodies, tables and properties.
"""


@dataclass(frozen=True)
class Found:
    """What a run gave: the mutants of each group, and how long it took."""

    mutants: Mapping[str, list[Mutant]]
    seconds: float
    cores: int
    tool: str
    least: float


def share(mutants: Iterable[Mutant]) -> tuple[int, int, float]:
    """How many there are, how many of them were killed, and what share that is."""
    fates = [mutant.killed for mutant in mutants]
    return len(fates), sum(fates), sum(fates) / max(1, len(fates))


def write(found: Found) -> list[Mutant]:
    """Write the page; the survivors that nobody has explained."""
    reasons = {mutant: reason(mutant) for mutants in found.mutants.values() for mutant in mutants if not mutant.killed}
    PAGE.write_text("\n".join(_lines(found, reasons)) + "\n")
    return [mutant for mutant, why in reasons.items() if why == UNEXPLAINED]


def reason(mutant: Mutant) -> str:
    """Why a survivor is accepted: the first entry of its module that names its function and a part of its change."""
    for entry in tomllib.loads(ACCEPTED.read_text()).get(mutant.module, []):
        if mutant.where in entry["where"] and any(part in mutant.change for part in entry["change"]):
            return str(entry["why"])
    return UNEXPLAINED


def _lines(found: Found, reasons: Mapping[Mutant, str]) -> Iterator[str]:
    yield HEAD.format(
        minutes=max(1, found.seconds / 60),
        cores=found.cores,
        least=found.least,
        tool=found.tool,
        python=platform.python_version(),
        day=time.strftime("%Y-%m-%d"),
    )
    yield from _table(found)
    for group in found.mutants:
        yield f"\n## Survivors: {group}"
        for module in GROUPS[group].modules:
            mine = [mutant for mutant in reasons if mutant.module == module]
            yield from _survivors(module, mine, reasons)


def _table(found: Found) -> Iterator[str]:
    yield "| group | module | changes | killed | survived | killed, % |"
    yield "|---|---|---:|---:|---:|---:|"
    for group, mutants in found.mutants.items():
        yield _row(f"**{group}**", "", mutants)
        for module in GROUPS[group].modules:
            yield _row("", f"`{module}`", [mutant for mutant in mutants if mutant.module == module])


def _row(group: str, module: str, mutants: list[Mutant]) -> str:
    made, killed, part = share(mutants)
    return f"| {group} | {module} | {made} | {killed} | {made - killed} | {100 * part:.1f} |"


def _survivors(module: str, mutants: list[Mutant], reasons: Mapping[Mutant, str]) -> Iterator[str]:
    if not mutants:
        return
    yield f"\n### `{module}`\n"
    for mutant in mutants:
        before, _, after = mutant.change.partition(" -> ")
        yield f"* `{mutant.where}`: `{before}` became `{after}`: {reasons[mutant]}"
