"""The catalogue as functions from script to script; what they do on the wire is in tests/mockserver/wire."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.faults import fault
from mockserver.faults.catalogue import CATALOGUE, answer, drip, flood_1xx, huge_header, slow_upload, truncate
from mockserver.faults.fault import usual_effect
from rest_api_client.script import Chunk, Close, Delay, End, Head, Reset, Script, Stall, Step, Upload

NEEDS_NONE = {"reset_before", "early_close", "garbage", "stall_before_head", "unread_upload", "answer"}
SILENT = [Script(Reset()), Script(Delay(1), Close()), Script(Head(103), Stall())]

bodies = st.lists(st.builds(Chunk, st.binary(max_size=20)) | st.builds(Delay, st.integers(0, 3)), max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> Script:
    start: list[Step] = [Upload(5)] if draw(st.booleans()) else []
    start += [Delay(1), Head(103)] if draw(st.booleans()) else []
    head = Head(draw(st.sampled_from([200, 204, 404])), draw(st.sampled_from([(), (("content-length", "3"),)])))
    ending: Step = End() if draw(st.booleans()) else Close()
    return Script(*start, head, *draw(bodies), ending)


@pytest.mark.parametrize("name", CATALOGUE)
@settings(max_examples=30)
@given(script=answers(), other=answers())
def test_a_fault_is_pure_and_gives_a_script_for_any_answer(name: str, script: Script, other: Script) -> None:
    """The same for the same, whatever it was asked in between; and it keeps an upload's pace unless it sets one."""
    fault = CATALOGUE[name]()
    first = fault(script)
    fault(other)
    assert fault(script) == first == CATALOGUE[name]()(script)
    if name not in NEEDS_NONE and isinstance(script.steps[0], Upload) and name != "slow_upload":
        assert first.steps[0] == script.steps[0]


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_a_fault_does_to_the_effect(name: str) -> None:
    """Those that need no answer take the application's place, the others spoil what it said."""
    assert usual_effect(CATALOGUE[name]()) == ("none" if name in NEEDS_NONE else "done")


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - NEEDS_NONE - {"drip", "slow_upload"}))
@pytest.mark.parametrize("script", SILENT)
def test_where_nothing_is_answered_there_is_nothing_to_spoil(name: str, script: Script) -> None:
    """The script stays as it is."""
    assert CATALOGUE[name]()(script) == script


@given(script=answers(), after=st.none() | st.integers(0, 100))
def test_a_truncated_body_is_always_short(script: Script, after: int | None) -> None:
    """Whatever the body and the place of the cut: one byte at least is promised and does not come."""
    cut = truncate(after)(script)
    head = next(step for step in cut.steps if isinstance(step, Head) and step.status >= 200)
    sent = sum(len(step.data) for step in cut.steps if isinstance(step, Chunk))
    assert int(dict(head.headers)["content-length"]) > sent
    assert cut.ending == Close()
    assert after is None or sent <= after


def test_faults_compose() -> None:
    """One after the other, each on what the one before it made."""
    script = Script(Head(200), Chunk(b"0123456789"), End())
    steps = drip(10)(truncate(4)(flood_1xx(1)(script))).steps
    assert [type(step).__name__ for step in steps] == ["Throttle", "Head", "Head", "Chunk", "Close"]
    assert answer(201, (("x", "y"),), "é")(script) == Script(Head(201, (("x", "y"),)), Chunk("é".encode()), End())


@pytest.mark.parametrize(
    ("make", "value"),
    [(truncate, -1), (huge_header, 0), (flood_1xx, 0), (drip, 0), (slow_upload, 0), (truncate, "x")],
)
def test_senseless_arguments_are_refused_with_their_value(make: type, value: object) -> None:
    """When the fault is made, not when it strikes."""
    with pytest.raises(ValueError, match=repr(value)):
        make(value)


@pytest.mark.parametrize(
    "text", ["flood_1xx(count=1000000000)", "huge_header(size=1e9)", "huge_header(size=1000000000)"]
)
def test_a_fault_has_a_bound_whoever_asks_for_it(text: str) -> None:
    """Requests and the command line name faults, too; one must not fill the server's memory."""
    with pytest.raises(ValueError, match="give a whole number from 1 to"):
        fault(text)
