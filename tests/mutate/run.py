"""Runs mutmut over one group, in a copy of the tree, and reads what became of each mutant.

mutmut keeps all mutants of a function beside it in one module, picks one by an environment variable, and forks a worker
per mutant that runs only those tests that call the function. A mutant is killed if a test fails, or if the tests take
several times as long as they should.

Tests that run under each runtime run under the sync one alone: what is changed is the same code under all of them.

What keeps two runs alike: hashes are not random, and neither is what Hypothesis draws (`tool`). The machines make fewer
runs. Mutants that never stop and eat memory meet a limit.
"""

from __future__ import annotations

import difflib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutate.groups import Group

ROOT = Path(__file__).parents[2]
POLICIES = "rest_api_client/policies"
MEMORY = 4 << 30

SETTINGS = """
[tool.mutmut]
source_paths = ["rest_api_client"]
also_copy = ["mockserver"]
only_mutate = {modules}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = [
  "-p", "no:cacheprovider",
  "-p", "no:xdist",
  "-k", "not asyncio and not trio",
  "-W", "ignore::pytest.PytestAssertRewriteWarning",
]
timeout_constant = 2.0
timeout_multiplier = 6.0
use_git_change_detection = false
process_isolation = "forkserver"
"""


@dataclass(frozen=True)
class Mutant:
    """One change. `change` is what became of which line of `where`; `name` is the tool's for it."""

    name: str
    module: str
    where: str
    change: str
    status: int | None

    @property
    def killed(self) -> bool:
        """Whether the tests noticed: one failed (1, 3), or all took far too long (signals 24 and 9)."""
        return self.status in (1, 3, 24, -24, 152, -9, 36)


def mutate(group: Group) -> list[Mutant]:
    """Run all mutants of a group."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        root = Path(folder)
        _copy(root, group)
        command = [sys.executable, "tests/mutate/tool.py", "run", "--max-children", str(os.cpu_count() or 2)]
        environment = {**os.environ, "MACHINE_RUNS": "50", "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            preexec_fn=_limit_memory,
        )
        if done.returncode != 0:
            raise SystemExit(f"mutmut failed:\n{(done.stdout or '')[-4000:]}")
        return [mutant for module in group.modules for mutant in _read(root, module)]


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _copy(root: Path, group: Group) -> None:
    for name in ("rest_api_client", "mockserver", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = SETTINGS.format(
        modules=json.dumps([f"{POLICIES}/{module}.py" for module in group.modules]),
        tests=json.dumps([f"tests/rest_api_client/{test}" for test in group.tests]),
    )
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings)


# ---------------------------------------------------------------------- what became of them


def _read(root: Path, module: str) -> Iterator[Mutant]:
    path = root / "mutants" / POLICIES / f"{module}.py"
    codes = json.loads(path.with_suffix(".py.meta").read_text())["exit_code_by_key"]
    spans = json.loads(path.with_suffix(".py.spans").read_text())["spans"]
    lines = path.read_text().splitlines()
    for name, code in codes.items():
        function = name.rpartition(".")[2]
        original = function.rpartition("_")[0] + "_orig"
        before, after = (_source(lines, *spans[which]) for which in (original, function))
        yield Mutant(function, module, _where(function), _change(before, after), code)


def _source(lines: list[str], start: int, end: int) -> list[str]:
    return [line.strip() for line in lines[start - 1 : end] if "def x" not in line]


def _change(before: list[str], after: list[str]) -> str:
    lines = [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]
    gone = " ".join(line[2:] for line in lines if line[0] == "-")
    come = " ".join(line[2:] for line in lines if line[0] == "+")
    return f"{gone} -> {come}"


def _where(function: str) -> str:
    """`xǁTurnǁcome__mutmut_3` is `Turn.come`, `x_until__mutmut_1` is `until`."""
    return function.rpartition("__mutmut")[0].removeprefix("x").strip("ǁ").replace("ǁ", ".").removeprefix("_")
