"""The proofs of `make prove` can be run; what they measure is not asserted here."""

from __future__ import annotations

import pytest

from tests.prove.figures import PROOFS, Figure, load


def test_a_proof_gives_figures() -> None:
    """A proof measures, and says what, in which unit, and within which bound."""
    load()
    figures = PROOFS["a clients back off of ten minutes costs under a millisecond"]()
    assert [figure.what.split(",")[0] for figure in figures] == ["sync", "asyncio", "trio"]
    assert all(figure.bound for figure in figures)


@pytest.mark.parametrize(("value", "bound", "holds"), [(1.0, 2.0, True), (3.0, 2.0, False), (3.0, None, True)])
def test_a_figure_holds_within_its_bound(value: float, bound: float | None, holds: bool) -> None:
    """Beyond its bound a figure makes `make prove` fail; without one it is only reported."""
    assert Figure("x", value, "s", bound).holds is holds
