"""The small language of faults: what is written reads as the same, and nothing else gets through."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.faults.text import Call, build, read, read_line, write

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=10)


@given(values)
def test_what_is_written_reads_as_the_same(value: object) -> None:
    """Every kind of plain data."""
    assert read(write(value)) == value


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_otherwise_than_by_saying_so(text: str) -> None:
    """A value, or a ValueError."""
    for reads in (read, read_line):
        with contextlib.suppress(ValueError):
            reads(text)


@given(st.text(alphabet="abc019.,()=\"' -msb\\", max_size=60))
def test_nor_does_one_of_its_own_characters(text: str) -> None:
    """The same, where more texts are nearly right."""
    test_no_text_makes_it_fail_otherwise_than_by_saying_so.hypothesis.inner_test(text)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200ms", 0.2),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("-3", -3),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("TRUE", True),
        ("none", None),
        ("'a b'", "a b"),
        ('b"\\u00ff"', b"\xff"),
        ("b'x'", b"x"),
        ("()", ()),
        ("(1)", (1,)),
        ("(1, (2, 3),)", (1, (2, 3))),
        ("reset", Call("reset", bare=True)),
        ("reset()", Call("reset")),
        ("a(1, b=2s, c=d(e))", Call("a", (1,), (("b", 2.0), ("c", Call("d", (Call("e", bare=True),)))))),
    ],
)
def test_what_can_be_said(text: str, value: object) -> None:
    """With spaces around it, too."""
    assert read(f"  {text}\n") == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a value is missing"),
        ("a(", "a value is missing"),
        ("a(1", r"'\)' is missing"),
        ("a)", "left over"),
        ("a(b=1, 2)", "stands behind one with a name"),
        ("a(b=1, b=2)", "given twice"),
        ("1e999", "too large"),
        ("1e308h", "too large"),
        ("9" * 400, "too large"),
        ("9" * 5000, "too large"),
        ("5parsecs", "a value is missing"),
        ("'abc", "a value is missing"),
        ('"\\q"', "escapes are those of JSON"),
        ('b"\\u0100"', "bytes are below"),
        ("(" * 9 + ")" * 9, "more than 8 parentheses"),
        ("x" * 10_001, "10000 at most"),
        ("__import__('os').system('x')", "left over"),
    ],
)
def test_what_cannot_be_said(text: str, said: str) -> None:
    """The message says what is wrong, and where."""
    with pytest.raises(ValueError, match=said):
        read(text)


def test_a_line_is_made_of_pairs() -> None:
    """A key may come more than once."""
    assert read_line(" seed=7  rule=a(b) rule='c' ") == [
        ("seed", 7),
        ("rule", Call("a", (Call("b", bare=True),))),
        ("rule", "c"),
    ]
    with pytest.raises(ValueError, match="'=' is missing"):
        read_line("seed")
    with pytest.raises(ValueError, match="left over"):
        read_line("seed=7 8")


def test_words_are_looked_up_and_called() -> None:
    """A bare word that is not known is a text; one with parentheses is a mistake."""
    words = {"pair": lambda a, b=2: (a, b), "complex": complex}
    assert build(read("pair(pair(1), b=x)"), words) == ((1, 2), "x")
    assert build(read("pair((complex, y))"), words) == ((0j, "y"), 2)
    with pytest.raises(ValueError, match="unknown fault 'pare'; did you mean 'pair'"):
        build(read("pare(1)"), words, "fault")
    with pytest.raises(ValueError, match=r"it is written pair\(a, b=2\)"):
        build(read("pair()"), words)


@pytest.mark.parametrize("value", [math.inf, math.nan, object(), len])
def test_what_cannot_be_written_says_so(value: object) -> None:
    """Nothing is written that would not be read."""
    with pytest.raises(ValueError, match="by its name"):
        write(value)


def test_a_default_that_cannot_be_written_is_left_out_of_the_hint() -> None:
    """The hint shows dots for it."""
    words = {"f": lambda a=object(): a}  # noqa: B008 - made for this test
    with pytest.raises(ValueError, match=r"f\(a=\.\.\.\)"):
        build(read("f(b=1)"), words)
