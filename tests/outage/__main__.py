"""Rehearse every library in every scenario; print the tables, and write docs/outage.md and docs/outage.svg.

    python -m tests.outage [--seed N] [--only SCENARIO ...]

With `--only`, nothing is written.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from tests.outage.page import page
from tests.outage.picture import picture
from tests.outage.results import Result, as_text, rows, run_one
from tests.outage.scenarios import SCENARIOS
from tests.outage.table import ENTRIES, Entry

DOCS = Path(__file__).parents[2] / "docs"
SEED = 1


def main(arguments: list[str]) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.outage", description="Compare clients in an outage.")
    parser.add_argument("--seed", type=int, default=SEED, help="of all chance; 1 unless given")
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), help="these scenarios; nothing is written")
    options = parser.parse_args(arguments)
    for entry in ENTRIES:
        entry.load()  # what is missing is said before anything is run
    results = rehearse_all(options.only or list(SCENARIOS), options.seed)
    for name in options.only or SCENARIOS:
        print(f"\n{SCENARIOS[name].title}\n\n{as_text(rows(SCENARIOS[name], results))}")
    if not options.only:
        (DOCS / "outage.md").write_text(page(results, made(options.seed)))
        (DOCS / "outage.svg").write_text(picture(results))
        print("\nwritten: docs/outage.md, docs/outage.svg")
    return 0


def rehearse_all(scenarios: list[str], seed: int) -> list[Result]:
    """Every library in every scenario, in processes side by side; in the order of the tables."""
    jobs = [(entry, name) for name in scenarios for entry in ENTRIES]
    done: dict[tuple[str, str], Result] = {}
    started = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[Result], tuple[Entry, str]] = {
            pool.submit(run_one, entry, name, seed): (entry, name) for entry, name in sorted(jobs, key=_slow_first)
        }
        for future in as_completed(waiting):
            entry, name = waiting[future]
            done[entry.title, name] = future.result()
            seconds = time.perf_counter() - started
            print(f"{len(done):3} of {len(jobs)}  {seconds:5.0f} s  {name}: {entry.title}", file=sys.stderr, flush=True)
    return [done[entry.title, name] for entry, name in jobs]


def made(seed: int) -> str:
    """When and with what the figures were made."""
    packages = dict.fromkeys(package for entry in ENTRIES for package in entry.packages)
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"Made on {time.strftime('%Y-%m-%d')} with seed {seed}, Python {platform.python_version()}, {versions}."


def _slow_first(job: tuple[Entry, str]) -> tuple[bool, bool]:
    entry, name = job
    return entry.packages[0] not in {"stamina", "tenacity"}, name != "brownout"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
