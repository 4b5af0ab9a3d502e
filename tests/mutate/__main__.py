"""Run the mutation tests of all groups, or of those named; exits 1 where less than 90 % are killed."""

from __future__ import annotations

import sys
import time

from tests.mutate.groups import GROUPS
from tests.mutate.run import mutate


def main(words: list[str]) -> int:
    for name in words or GROUPS:
        started = time.perf_counter()
        mutants = mutate(GROUPS[name], show=False)
        killed = sum(mutant.killed for mutant in mutants)
        print(
            f"{name}: {killed} of {len(mutants)} killed, {killed / len(mutants):.1%}, {time.perf_counter() - started:.0f} s"
        )
        for mutant in mutants:
            if not mutant.killed:
                print(f"  {mutant.status} {mutant.module} {mutant.key}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
