"""Run the proofs: all of them, or those whose name contains a word given on the command line.

Exits 1 where one falls short. Each runs in a process of its own, so that memory and threads of one do not blur another.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time

from tests.prove.figures import PROOFS, Figure, load


def main(words: list[str]) -> int:
    """Run and print; the exit status."""
    load()
    chosen = [name for name in PROOFS if not words or any(word in name for word in words)]
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {time.strftime('%Y-%m-%d')}\n"
    )
    short = sum(not _show(name) for name in chosen)
    print(f"\n{len(chosen) - short} passed, {short} failed")
    return 1 if short else 0


def _show(name: str) -> bool:
    started = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-c", f"import tests.prove.figures as p; p.run_one({name!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"FAILED {name}\n{done.stderr}")
        return False
    figures = [Figure(**entry) for entry in json.loads(done.stdout.splitlines()[-1])]
    for figure in figures:
        print(f"{'ok    ' if figure.holds else 'FAILED'} {name}: {figure}", flush=True)
    print(f"       {time.perf_counter() - started:.1f} s")
    return all(figure.holds for figure in figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
