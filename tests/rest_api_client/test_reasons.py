"""One vocabulary: what decisions are called in the code, and what the docs say of it."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

import rest_api_client
from rest_api_client import events, reasons, telemetry
from rest_api_client.policies.circuit import Change

PACKAGE = Path(rest_api_client.__file__).parent
PAGE = PACKAGE.parent / "docs" / "observability.md"
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "reasons.py"]
PLACES = {"Forecast": 3, "Decision": 2, "Stop": 0, "Outcome": 1, "Note": 1, "note": 1}
"""What takes a reason, and which of its arguments that is where it is not named."""
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and kind.__base__ is events.Event]
EVENTS = {kind.__name__: kind for kind in KINDS}


def _meanings() -> dict[str, str]:
    """Each word of `reasons` with what is written below it."""
    body = ast.parse(Path(reasons.__file__).read_text()).body
    return {
        ast.literal_eval(word.value): ast.literal_eval(text.value)
        for word, text in pairwise(body)
        if isinstance(word, ast.AnnAssign) and word.value is not None and isinstance(text, ast.Expr)
    }


def _rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading of the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]:
        yield row.split(" | ")


def test_every_word_has_one_meaning() -> None:
    """And no word stands there twice."""
    words = [value for name, value in vars(reasons).items() if name.isupper()]
    assert len(words) == len(set(words))
    assert set(words) == set(_meanings())
    assert all(_meanings().values())


def test_the_docs_have_every_word() -> None:
    """With the meaning that the code gives it; and the changes of a circuit."""
    told = {word.strip("`"): meaning for word, meaning in _rows("Every reason")}
    assert told == _meanings() | {str(change): "moved a circuit" for change in Change}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_word_is_made_up_on_the_way(path: Path) -> None:
    """A reason in the code is one of the vocabulary by name, never a text written where it is used."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            place = PLACES.get(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
            if place is not None:
                named = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                given = [*node.args[place : place + 1], *named]
                words = [word.value for word in given if isinstance(word, ast.Constant)]
                assert not any(isinstance(word, str) for word in words), f"{path.name}:{node.lineno}"


def test_the_docs_have_every_event() -> None:
    """With its fields, in their order, and the level of its line in the log; only a call's start has none."""
    rows = list(_rows("Events"))
    told = {name.strip("`"): re.findall(r"`(\w+)`", cells) for name, _, cells, _ in rows}
    common = [field.name for field in fields(events.Event)]
    known = {name: [field.name for field in fields(kind)][len(common) :] for name, kind in EVENTS.items()}
    assert told == known
    levels = {kind.__name__: logging.getLevelName(level) for kind, (level, _) in telemetry._LOGGED.items()}
    assert {name.strip("`"): level for name, level, _, _ in rows} == {"CallStarted": "none"} | levels
