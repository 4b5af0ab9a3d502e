"""Proofs of the pytest plugin: what it costs those who do not use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.prove.figures import Figure, proof

_PROGRAM = """
import contextlib, io, json, time
import pytest

began = time.process_time()
import pytest_plugin.plugin
imported = time.process_time() - began

def run(*options):
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        assert pytest.main(["-q", "-p", "no:cacheprovider", *options, "test_it.py"]) == 0
    return time.process_time() - began

with_it, without = [], []
run()
for _ in range(6):
    without.append(run())
    with_it.append(run("-p", "pytest_plugin.plugin"))
print(json.dumps([imported, min(with_it) - min(without)]))
"""


@proof
def starting_pytest_with_the_plugin() -> list[Figure]:
    """Its import, from bytecode, and what a run of 200 tests that do not use it takes longer with it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(200)))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": f"{folder}/cache", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
        measured = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", _PROGRAM],
                    cwd=folder,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.splitlines()[-1]
            )
            for _ in range(3)
        ][1:]  # the first writes the bytecode
    imported, more = (1000 * min(each[place] for each in measured) for place in (0, 1))
    return [
        Figure("importing the plugin", imported, "ms of CPU", 10),
        Figure(
            "the same, and what a run of 200 tests of others takes longer", imported + max(0.0, more), "ms of CPU", 10
        ),
    ]
