"""docs/wire-faults.md is held to the catalogue, and its column of this library to what happens on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mockserver import MockServer
from mockserver.faults.catalogue import CATALOGUE
from tests.faults.meeting import ours
from tests.faults.page import ours as cell
from tests.faults.rows import Certificates, Row, rows, servers

CERTIFICATES = Certificates()
ROWS = rows(CERTIFICATES)
PAGE = Path(__file__).parents[2] / "docs" / "wire-faults.md"


@pytest.fixture(scope="module")
def running() -> Iterator[dict[bool, MockServer]]:
    with servers(CERTIFICATES) as both:
        yield both


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    CERTIFICATES.authority.cert_pem.write_to_path(str(path))
    return path


def table() -> dict[str, str]:
    """Our column by the fault's name, as the page has it."""
    lines = (line.replace("\\|", "") for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    cells = ([cell.strip() for cell in line.split("|")] for line in lines)
    return {each[1].strip("`"): each[3] for each in cells}


def test_every_fault_has_a_row() -> None:
    """All of the catalogue and of the gate, in the page's order, and nothing else."""
    assert list(table()) == [row.name for row in ROWS]
    assert set(CATALOGUE) <= set(table())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_our_column_is_what_happens(row: Row, running: dict[bool, MockServer], authority: Path) -> None:
    """A Response or one typed exception, on every engine, sync and async; a foreign exception ends the test."""

    def found() -> str:
        return cell(row, ours(row, running[row.group == "TLS"], CERTIFICATES, authority))

    promised = table()[row.name]
    # Under pyreqwest these may come in the very moment of the next request (docs/engines.md), but hardly twice.
    assert found() == promised or (row.name == "extra_bytes" and found() == promised)
