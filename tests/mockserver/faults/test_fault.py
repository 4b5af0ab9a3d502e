"""Faults by name, and what they do to the effect of a request."""

from __future__ import annotations

import json

import pytest

from mockserver.faults import EMPTY, KNOWN, fault
from mockserver.faults.fault import unchanged, usual_effect
from rest_api_client.script import Chunk, Delay, End, Head, Refuse, Reset, Script

ANSWER = Script(Head(200, (("content-length", "2"),)), Chunk(b"ok"), End())


def test_an_error_is_an_answer_of_its_own() -> None:
    """Problem details, and Retry-After where it is asked for."""
    script = fault("error(429, retry_after=3)")(ANSWER)
    head, body, _ = script.steps
    assert isinstance(head, Head)
    assert isinstance(body, Chunk)
    assert (head.status, dict(head.headers)["retry-after"]) == (429, "3")
    assert json.loads(body.data)["status"] == 429
    assert "retry-after" not in dict(fault("error")(ANSWER).to_dict()["steps"][0]["headers"])


def test_a_status_without_a_phrase_has_a_title() -> None:
    """499 is nobody's."""
    body = fault("error(499)")(ANSWER).steps[1]
    assert isinstance(body, Chunk)
    assert json.loads(body.data)["title"] == "Status 499"


def test_reset_and_refuse_leave_nothing_of_the_answer() -> None:
    """One step each."""
    assert fault("reset")(ANSWER) == Script(Reset())
    assert fault("refuse()")(ANSWER) == Script(Refuse())
    assert unchanged(ANSWER) is ANSWER


def test_faults_written_alike_are_equal() -> None:
    """And show themselves as they are written."""
    assert fault("error( 503 )") == fault("error(503)")
    assert fault("error(503)") != fault("error(500)")
    assert fault("error(status=503,)").text == "error(status=503)"
    assert fault("reset()").text == "reset"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rest", "unknown fault 'rest'; did you mean 'reset'"),
        ("5", "unknown fault '5'"),
        ("error(200)", "status must be one from 400 to 599, not 200; it is written error"),
        ("error(True)", "status"),
        ("error(503, -1)", "retry_after"),
        ("error(503, 0.5)", "retry_after"),
        ("reset(1)", "too many positional arguments"),
        ("bad_status_line(line=5)", "with these arguments it fails"),
        ("error(503", "is missing"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    """When it is named, not when a request is struck."""
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        fault(text)


@pytest.mark.parametrize("name", KNOWN)
def test_a_fault_that_needs_no_answer_lets_nothing_happen(name: str) -> None:
    """If another answer makes no difference, nobody need act for it."""
    named = fault(name)
    other = Script(Head(404, (("content-length", "3"), ("x-a", "b"))), Chunk(b"abc"), End())
    assert usual_effect(named) == ("none" if named(ANSWER) == named(other) else "done")
    assert isinstance(named(EMPTY), Script)


def test_a_function_of_ones_own_is_a_fault() -> None:
    """One that fails on an ordinary answer needs a special one, so its effect is done."""

    def late(script: Script) -> Script:
        return Script(Delay(2), *script.steps)

    def picky(script: Script) -> Script:
        raise LookupError("no such header")

    assert usual_effect(late) == "done"
    assert usual_effect(picky) == "done"
    assert usual_effect(lambda script: ANSWER) == "none"
