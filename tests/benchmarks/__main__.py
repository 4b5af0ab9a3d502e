"""Run the benchmarks: all of them, or those whose name contains one of the words given.

    python -m tests.benchmarks [--quick] [WORD ...]

Prints the tables, and writes docs/performance.md and docs/performance.json; with `--quick` it writes nothing. Exits 1
where a claim does not hold; not with `--quick`, whose rounds are too short to judge by.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.benchmarks.figures import BENCHES, Result, Terms, load
from tests.benchmarks.page import as_text, keep, machine, record
from tests.benchmarks.peers import Missing

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str]) -> int:
    """Run and print; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="run the benchmarks whose names contain it")
    parser.add_argument("--quick", action="store_true", help="short rounds; nothing is written, nothing judged")
    options = parser.parse_args(arguments)
    load()
    chosen = [name for name in BENCHES if not options.words or any(word in name for word in options.words)]
    if not chosen:
        parser.error(f"no benchmark has {' or '.join(options.words)} in its name: there are {', '.join(BENCHES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that whoever serves is ended too
    print(f"{machine()}\n")
    terms = Terms(quick=options.quick)
    held = True
    for name in chosen:
        started = time.perf_counter()
        try:
            result = BENCHES[name](terms)
        except Missing as why:
            print(f"Not measured: {name}: {why}\n", flush=True)
            continue
        seconds = time.perf_counter() - started
        print(f"{as_text(result)}\n{name}: {seconds:.0f} s\n", flush=True)
        held = held and _holds(result)
        if not options.quick:  # one by one: a run that is cut short has not been in vain
            keep(DOCS, [record(name, _command(arguments), seconds, result)])
    if not options.quick:
        print("written: docs/performance.md, docs/performance.json")
    return 0 if held or options.quick else 1


def _command(arguments: list[str]) -> str:
    return "make bench" if not arguments else " ".join(["python -m tests.benchmarks", *arguments])


def _holds(result: Result) -> bool:
    return all(claim.holds for claim in result.claims)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
