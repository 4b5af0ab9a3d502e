"""Settings of a wrong kind are refused before anything is made, and the message says what to give."""

from typing import Any

import pytest

from mockserver import MockServer

HOSTILE: tuple[Any, ...] = (
    -1, 1.5, float("nan"), float("inf"), 10**400, True,
    "", "x", "a\nb", "\0", "\udcff", b"x", [1], {"a": "b"}, {1: 1}, object(),
)  # fmt: skip
NUMBERS = {-1, 10**400}


@pytest.mark.parametrize(
    ("argument", "taken"),
    [
        ("resources", set()),
        ("seed", NUMBERS),
        ("limit", set()),
        ("key", set()),
        ("errors", set()),
        ("latency", set()),
        ("outages", set()),
        ("faults", set()),
        ("stubs", set()),
        ("admin", {"", True}),
        ("tls", set()),
        ("host", {"x"}),
        ("port", set()),
        ("http", set()),
        ("loop", set()),
        ("journal_size", set()),
        ("most_spaces", set()),
        ("on_entry", set()),
        ("rules", set()),
        ("identify", set()),
        ("caller", set()),
    ],
)
def test_what_makes_no_sense_is_a_value_error_with_a_way_out(argument: str, taken: set[Any]) -> None:
    """Never a TypeError from somewhere inside, and never only when the server starts."""
    for value in HOSTILE:
        if any(value is each or value == each for each in taken):
            continue
        with pytest.raises(ValueError, match=r"give|must|at least|named by") as raised:
            MockServer(**{argument: value})
        assert argument.rstrip("s") in str(raised.value)
        assert len(str(raised.value)) < 1000


async def tell(entry: object) -> None:
    """A coroutine, which nobody would wait for."""


def test_a_function_that_would_have_to_be_awaited_is_refused() -> None:
    """It would never run."""
    with pytest.raises(ValueError, match="give a plain function"):
        MockServer(on_entry=tell)  # type: ignore[arg-type]


def test_an_address_that_is_nobody_s_says_so() -> None:
    """Another port would not help, so none is recommended."""
    with pytest.raises(OSError, match="give an address of this machine"):
        MockServer(host="192.0.2.1").start()
