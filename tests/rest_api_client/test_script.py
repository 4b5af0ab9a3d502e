"""Scripts: what is written can be played, is kept exactly, and what cannot be played is refused by its step."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import (
    Chunk,
    Close,
    Delay,
    End,
    Garbage,
    Head,
    Raw,
    Refuse,
    Reset,
    Script,
    Stale,
    Stall,
    Step,
    Throttle,
    Trailers,
    Upload,
)

LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=8)
PAIRS = st.lists(st.tuples(LATIN, LATIN), max_size=3).map(tuple)
WAITS = st.lists(st.builds(Delay, st.floats(0, 1e9)) | st.builds(Throttle, st.floats(1e-9, 1e9)), max_size=2)
RAW = st.builds(Raw, st.binary(max_size=20))
BODY = st.lists(st.builds(Chunk, st.binary(max_size=20)) | RAW | st.builds(Delay, st.integers(0, 9)), max_size=4)
INTERIM = st.lists(st.builds(Head, st.integers(100, 199), PAIRS), max_size=2)
BROKEN = st.sampled_from([Reset(), Close(), Close(half=True), Stall()]) | st.builds(Garbage, st.binary(max_size=20))


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Any script that keeps the grammar."""
    upload = [Upload(draw(st.floats(0, 1e9)))] if draw(st.booleans()) else []
    start = [*upload, *draw(WAITS), *draw(INTERIM)]
    if draw(st.booleans()):
        return Script(*start, draw(BROKEN))
    if draw(st.booleans()):
        return Script(*start, draw(RAW), *draw(BODY), draw(BROKEN | st.sampled_from([End(), Stale()])))
    head = Head(draw(st.integers(200, 999)), draw(PAIRS), draw(st.none() | LATIN))
    trailers = [Trailers(draw(PAIRS))] if draw(st.booleans()) else []
    return Script(*start, head, *draw(BODY), *trailers, draw(BROKEN | st.sampled_from([End(), Stale()])))


@given(scripts())
def test_a_script_survives_its_file(script: Script) -> None:
    """What `to_dict` writes is JSON, and `from_dict` reads the equal script from it."""
    read = Script.from_dict(json.loads(json.dumps(script.to_dict())))
    assert read == script
    assert hash(read) == hash(script)
    assert read.ending == script.steps[-1]


@given(scripts())
def test_a_script_travels(script: Script) -> None:
    """Pickling and copying give an equal script."""
    assert pickle.loads(pickle.dumps(script)) == copy.deepcopy(script) == copy.copy(script) == script


def test_the_form_in_files() -> None:
    """Version, lower-case step names, and base64 for bytes."""
    script = Script(Head(200, {"content-length": 2}), Delay(1), Chunk(b"hi"), Trailers({"x": "y"}), End())  # type: ignore[arg-type, dict-item]
    assert script.to_dict() == {
        "version": 1,
        "steps": [
            {"step": "head", "status": 200, "headers": [["content-length", "2"]], "reason": None},
            {"step": "delay", "seconds": 1},
            {"step": "chunk", "data": "aGk="},
            {"step": "trailers", "headers": [["x", "y"]]},
            {"step": "end"},
        ],
    }
    assert Script(Upload(0), Raw(b"hi"), Close(half=True)).to_dict()["steps"] == [
        {"step": "upload", "bytes_per_second": 0},
        {"step": "raw", "data": "aGk="},
        {"step": "close", "half": True},
    ]
    assert Script.from_dict({"version": 1, "steps": [{"step": "close"}]}) == Script(Close())
    assert Script(Refuse()).to_dict() == {"version": 1, "steps": [{"step": "refuse"}]}


HEAD = Head(200)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "a script ends in one of"),
        ((HEAD,), "a script ends in one of"),
        ((HEAD, Chunk(b"x")), "a script ends in one of"),
        ((End(),), "step 1: End needs a final Head"),
        ((Chunk(b"x"), HEAD, End()), "step 1: Chunk needs a final Head"),
        ((Head(103), Chunk(b"x"), End()), "step 2: Chunk needs a final Head"),
        ((Head(100), End()), "step 2: End needs a final Head"),
        ((Trailers(()), HEAD, End()), "step 1: Trailers needs a final Head"),
        ((HEAD, Head(200), End()), "step 2: a second Head"),
        ((HEAD, Head(100), End()), "step 2: a second Head"),
        ((HEAD, Delay(1), Chunk(b"x"), HEAD, End()), "step 4: a second Head"),
        ((HEAD, End(), Chunk(b"x"), End()), "step 2: .* ends the script, but 2 more follow"),
        ((HEAD, Reset(), End()), "step 2: Reset.* 1 more"),
        ((Refuse(), End()), "step 1: Refuse.* ends the script"),
        ((Delay(1), Refuse()), "Refuse stands alone"),
        ((HEAD, Refuse()), "Refuse stands alone"),
        ((HEAD, Trailers(()), Chunk(b"x"), End()), "step 3: Chunk behind Trailers"),
        ((HEAD, Trailers(()), Trailers(()), End()), "step 3: Trailers behind Trailers"),
        ((Delay(1), Upload(5), HEAD, End()), "step 2: Upload stands first"),
        ((Upload(5), Upload(5), Close()), "step 2: Upload stands first"),
        ((Upload(5), Refuse()), "Refuse stands alone"),
        ((Stale(),), "step 1: Stale needs a final Head"),
        ((HEAD, Stale(), End()), "step 2: Stale.* 1 more"),
        ((Raw(b"x"), Trailers(()), End()), "step 2: Trailers needs a final Head"),
        ((HEAD, "chunk", End()), "step 2: 'chunk' is not a step"),
        ((HEAD, Chunk, End()), "step 2: .* is not a step"),
        ((HEAD, End), "a script ends in one of"),
        ((None,), "a script ends in one of"),
    ],
)
def test_steps_that_cannot_be_played_are_refused(steps: tuple[Any, ...], message: str) -> None:
    """The message names the place and the step."""
    with pytest.raises(ConfigurationError, match=message):
        Script(*steps)


def test_interim_heads_may_stand_before_the_final_one() -> None:
    """A server may send any number of 1xx heads first (RFC 9110, section 15.2), and break off between them."""
    steps: list[Step] = [Head(100), Delay(1), Head(103, (("link", "</a>"),)), Head(200), End()]
    assert Script(*steps).steps == tuple(steps)
    assert Script(Head(100), Reset()).ending == Reset()


@pytest.mark.parametrize("seconds", [-1, -0.1, float("nan"), float("inf"), "1", None, True])
def test_a_delay_is_a_finite_number(seconds: Any) -> None:
    """No negative, endless or textual delay is taken; `Stall` is the endless one."""
    with pytest.raises(ConfigurationError, match=r"Delay\(seconds="):
        Delay(seconds)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_a_throttle_is_above_0(rate: Any) -> None:
    """A rate of 0 would stall for ever: there is a step for that."""
    with pytest.raises(ConfigurationError, match=r"Throttle\(bytes_per_second="):
        Throttle(rate)


@pytest.mark.parametrize("status", [99, 1000, -200, 200.5, "200", None, True, float("nan")])
def test_a_status_has_three_digits(status: Any) -> None:
    """Whole numbers from 100 to 999; odd ones such as 299 or 999 may be rehearsed."""
    with pytest.raises(ConfigurationError, match=r"Head\(status="):
        Head(status)
    assert (Head(299).status, Head(999).status) == (299, 999)


@pytest.mark.parametrize("reason", ["a\r\nx: y", "a\nb", "€", 5, b"OK"])
def test_a_reason_is_one_line(reason: Any) -> None:
    """A line end in the reason would be another header on the wire."""
    with pytest.raises(ConfigurationError, match=r"Head\(reason="):
        Head(200, reason=reason)


@pytest.mark.parametrize("kind", [lambda fields: Head(200, fields), Trailers])
@pytest.mark.parametrize(
    "fields",
    ["ab", ["ab"], [("a",)], [("a", "b", "c")], 5, None, [None], {"a": None}, {"a": b"x"}, {b"a": "x"},
    {"a": "b\r\nc: d"},
     {"a\n": "b"}, {"a": "€"}],
)  # fmt: skip
def test_fields_are_pairs_of_lines(kind: Any, fields: Any) -> None:
    """Anything else would be played differently on the wire and in virtual time."""
    with pytest.raises(ConfigurationError, match=r"(Head|Trailers)\(headers="):
        kind(fields)


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf"), "1", None, True])
def test_an_upload_is_read_at_some_rate(rate: Any) -> None:
    """From 0, which reads nothing."""
    with pytest.raises(ConfigurationError, match=r"Upload\(bytes_per_second="):
        Upload(rate)


@pytest.mark.parametrize("half", [1, None, "yes"])
def test_a_close_is_half_or_not(half: Any) -> None:
    """Nothing else is taken for a truth value."""
    with pytest.raises(ConfigurationError, match=r"Close\(half="):
        Close(half)


def test_raw_bytes_may_stand_anywhere() -> None:
    """They may be the head themselves, or stand between chunks, or behind trailers; they end nothing."""
    whole = Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
    for steps in [
        (whole, Chunk(b"ok"), End()),
        (whole, Stale()),
        (Head(100), Raw(b""), Reset()),
        (HEAD, Chunk(b"x"), Raw(b"x"), Chunk(b"y"), Trailers(()), Raw(b"z"), Close()),
    ]:
        assert Script(*steps).steps == steps


@pytest.mark.parametrize("kind", [Chunk, Garbage, Raw])
@pytest.mark.parametrize("data", ["text", None, 5, bytearray(b"x"), ["x"]])
def test_data_is_bytes(kind: Any, data: Any) -> None:
    """Text is refused when the step is made, not when it is played."""
    with pytest.raises(ConfigurationError, match="give bytes"):
        kind(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "a script is an object"),
        ([], "a script is an object"),
        ("{}", "a script is an object"),
        ({}, "version None"),
        ({"version": 2, "steps": []}, "version 2: this release reads version 1"),
        ({"version": "1", "steps": []}, "version '1'"),
        ({"version": True, "steps": []}, "version True"),
        ({"version": 1}, "a list of `steps`"),
        ({"version": 1, "steps": "x"}, "a list of `steps`"),
        ({"version": 1, "steps": {}}, "a list of `steps`"),
        ({"version": 1, "steps": [], "channel": "x"}, "no member 'channel'"),
        ({"version": 1, "steps": []}, "ends in one of"),
    ],
)
def test_a_file_of_another_kind_is_refused(data: Any, message: str) -> None:
    """Another version, or members an old reader does not know: it never plays half of a script."""
    with pytest.raises(ConfigurationError, match=message):
        Script.from_dict(data)


@pytest.mark.parametrize(
    "step",
    [
        None, 5, "end", [], {}, {"step": None}, {"step": "explode"}, {"step": ["end"]}, {"step": "End"},
        {"step": "script"},
        {"step": "end", "extra": 1}, {"step": "chunk"}, {"step": "chunk", "data": "not base64!"},
        {"step": "chunk", "data": 5}, {"step": "chunk", "data": None}, {"step": "chunk", "data": "é"},
        {"step": "delay", "seconds": "1"}, {"step": "delay", "seconds": float("nan")}, {"step": "delay"},
        {"step": "head", "status": 200, "headers": None}, {"step": "head", "status": 200, "headers": ["ab"]},
        {"step": "head", "status": 200, "headers": [["a"]]}, {"step": "head", "status": "200"}, {"step": "head", 5: 5},
        {"step": "trailers", "headers": 5}, {"step": "throttle", "bytes_per_second": 0},
    ],
)  # fmt: skip
def test_a_bad_step_in_a_file_is_named(step: Any) -> None:
    """The message gives the step's place, what it is, and the version."""
    with pytest.raises(ConfigurationError, match=r"^step 2: .* is not a step of script version 1"):
        Script.from_dict({"version": 1, "steps": [{"step": "head", "status": 200}, step, {"step": "end"}]})


def test_a_huge_bad_step_makes_no_huge_message() -> None:
    """A megabyte of data is not quoted whole."""
    with pytest.raises(ConfigurationError) as refused:
        Script.from_dict({"version": 1, "steps": [{"step": "chunk", "data": "!" * 1_000_000}]})
    assert len(str(refused.value)) < 500


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_a_script_or_refused(data: Any) -> None:
    """No JSON value makes the reader fail in another way."""
    for wrapped in (data, {"version": 1, "steps": data}, {"version": 1, "steps": [data]}):
        with suppress(ConfigurationError):
            assert Script.from_dict(wrapped).steps
