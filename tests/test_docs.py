"""Every code block of README.md and docs/ runs, in order, as one program per page.

Blocks that are titled as a file of tests (```python title="test_it.py"```) are such files: pytest runs those of a page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine_table import table
from tests.patience import HANGS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SUITE = re.compile(r'^```python title="(test_\w+\.py|conftest\.py)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"`make ([a-z-]+)`")


def program(page: Path) -> str:
    """The page's blocks as one program, at the lines where they stand."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        start = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[start + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_blocks_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    """A reader who types a page's code from the top gets no error and no warning."""
    script = tmp_path / f"page_{page.stem}.py"  # not the name of a package that the page imports
    script.write_text(program(page))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20 * HANGS,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}:\n{done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if SUITE.search(page.read_text())], ids=lambda page: page.name)
def test_the_test_files_of_a_page_pass(page: Path, tmp_path: Path) -> None:
    """A reader who saves them and starts pytest sees them pass, twice, without a warning."""
    for name, text in SUITE.findall(page.read_text()):
        (tmp_path / name).write_text(text)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{page.name}:\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_and_commands_of_a_page_lead_somewhere(page: Path) -> None:
    """Relative links point to files that are there, `make` targets to targets that are there."""
    text = page.read_text()
    targets = (ROOT / "Makefile").read_text()
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []
    assert [name for name in COMMAND.findall(text) if f"\n{name}:" not in targets] == []


def test_the_table_of_engines_is_what_the_engines_say() -> None:
    """docs/engines.md shows the capabilities that `python -m tests.engine_table` prints."""
    assert table() in (ROOT / "docs" / "engines.md").read_text()


def test_every_trap_of_the_page_is_named_by_a_test() -> None:
    """A trap in docs/traps.md that no test names is a promise nobody keeps."""
    named = {n for file in (ROOT / "tests").rglob("test_*.py") for n in re.findall(r"\bT\d+\b", file.read_text())}
    listed = re.findall(r"^\| (T\d+) \|", (ROOT / "docs" / "traps.md").read_text(), re.MULTILINE)
    assert [trap for trap in listed if trap not in named] == []
