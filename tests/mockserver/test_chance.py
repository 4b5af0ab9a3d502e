"""Keyed chance."""

from hypothesis import given
from hypothesis import strategies as st

from mockserver.chance import Chance

about = st.tuples(st.text(), st.integers())


@given(st.integers(), about)
def test_the_same_question_has_the_same_answer(seed: int, question: tuple[str, int]) -> None:
    """Two objects with one seed agree, whatever one of them was asked before."""
    busy = Chance(seed)
    busy.unit("something else")
    assert busy.unit(*question) == Chance(seed).unit(*question)
    assert busy.name(*question) == Chance(seed).name(*question)


@given(st.integers(), about)
def test_a_unit_lies_between_zero_and_one(seed: int, question: tuple[str, int]) -> None:
    """One is never reached, so that `unit < p` always holds for p = 1 and never for p = 0."""
    assert 0 <= Chance(seed).unit(*question) < 1


def test_units_are_evenly_spread() -> None:
    """A tenth of many answers lies in each tenth."""
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(Chance(1).unit("x", number) * 10)] += 1
    assert all(900 <= each <= 1100 for each in tenths)


def test_seed_field_and_borders_matter() -> None:
    """Another seed, another field, or the same letters divided otherwise are other questions."""
    answers = {
        Chance(1).unit("a", "bc"),
        Chance(2).unit("a", "bc"),
        Chance(1).unit("ab", "c"),
        Chance(1).unit("error", "a", "bc"),
    }
    assert len(answers) == 4
