"""Run the mutation tests and write docs/mutation.md; exits 1 where a group falls short.

Named groups alone are run and shown, without writing the page.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time

from tests.mutate.groups import GROUPS
from tests.mutate.page import PAGE, Found, reason, share, write
from tests.mutate.run import Mutant, mutate

LEAST = 0.9
"""The share of changes that the tests of each group have to notice."""


def main(words: list[str]) -> int:
    """Run all groups, or those named; the exit status."""
    started = time.perf_counter()
    mutants = {name: _run(name) for name in words or GROUPS}
    if words:
        for mutant in (one for group in mutants.values() for one in group if not one.killed):
            print(f"{mutant.module}: {mutant.where}: {mutant.change}\n    {reason(mutant)}")
    else:
        found = Found(
            mutants, time.perf_counter() - started, os.cpu_count() or 1, importlib.metadata.version("mutmut"), LEAST
        )
        unexplained = write(found)
        print(f"{PAGE.name} is written; {len(unexplained)} survivors have no reason in tests/mutate/accepted.toml")
    return 1 if any(share(group)[2] < LEAST for group in mutants.values()) else 0


def _run(name: str) -> list[Mutant]:
    started = time.perf_counter()
    mutants = mutate(GROUPS[name])
    made, killed, part = share(mutants)
    took = time.perf_counter() - started
    verdict = "ok    " if part >= LEAST else "FAILED"
    print(f"{verdict} {name}: {killed} of {made} changes noticed, {part:.1%}, in {took:.0f} s", flush=True)
    return mutants


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
