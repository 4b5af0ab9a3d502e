"""The mutation tests' own bookkeeping: nothing in it names what is not there."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from tests.mutate.groups import GROUPS, Group
from tests.mutate.page import ACCEPTED, PAGE, reason
from tests.mutate.run import POLICIES, ROOT, Mutant

REASONS = tomllib.loads(ACCEPTED.read_text())


def functions(module: str) -> set[str]:
    """Functions and methods of a policy's module, by their qualified names."""
    body = ast.parse((ROOT / POLICIES / f"{module}.py").read_text()).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in body:
        if isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{one.name}" for one in inner}
    return names


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_a_groups_modules_and_tests_are_there(group: Group) -> None:
    """Whoever renames one is told here, not by a run that mutates nothing."""
    paths = [f"{POLICIES}/{module}.py" for module in group.modules]
    paths += [f"tests/rest_api_client/{test.partition('::')[0]}" for test in group.tests]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("module", REASONS)
def test_a_reason_is_of_a_function_that_is_there(module: str) -> None:
    """A reason whose function is gone is gone with it."""
    wheres = {where for entry in REASONS[module] for where in entry["where"]}
    assert wheres - functions(module) == set()


def test_a_survivor_without_a_reason_is_shown_as_that() -> None:
    """It is never taken for accepted."""
    assert reason(Mutant("", "retry", "_stand", "return result -> return None", 0)) == "not explained yet"


def test_the_page_shows_a_run_that_passed() -> None:
    """Each group has its line, and at least nine in ten changes were noticed."""
    shares = dict(re.findall(r"^\| \*\*(\w+)\*\* \|.* ([\d.]+) \|$", PAGE.read_text(), re.MULTILINE))
    assert set(shares) == set(GROUPS)
    assert min(float(share) for share in shares.values()) >= 90
