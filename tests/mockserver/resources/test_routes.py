"""The small routes."""

import json

import pytest

from tests.mockserver.conftest import Stage


def test_echo_tells_what_arrived(stage: Stage) -> None:
    """Method, path, repeated query and header fields, and the body."""
    answer = stage.ask("PUT", "/echo?a=1&a=2", content="hällo", headers=[("x-a", "1"), ("x-a", "2")]).json()
    assert (answer["method"], answer["path"], answer["body"]) == ("PUT", "/echo", "hällo")
    assert answer["query"] == [["a", "1"], ["a", "2"]]
    assert [value for name, value in answer["headers"] if name == "x-a"] == ["1", "2"]


def test_echo_shows_bytes_that_are_no_text(stage: Stage) -> None:
    """As base64."""
    assert stage.ask("POST", "/echo", content=b"\xff\x00").json()["body_base64"] == "/wA="


@pytest.mark.parametrize("code", [200, 204, 304, 404, 418, 503, 599])
def test_status_answers_the_one_asked_for(stage: Stage, code: int) -> None:
    """For any method, with an empty body."""
    answer = stage.ask("POST", f"/status/{code}")
    assert (answer.status_code, answer.content) == (code, b"")


@pytest.mark.parametrize("path", ["/status/100", "/status/600", "/status/x", "/delay/x", "/delay/-1", "/delay/nan",
                                  "/delay/301", "/sse?count=x", "/sse?interval=61", "/ndjson?count=10001"])  # fmt: skip
def test_nonsense_is_a_400(stage: Stage, path: str) -> None:
    """Never a 500."""
    assert stage.get(path).status_code == 400


def test_delay_says_how_long_it_waited(stage: Stage) -> None:
    """A time of zero is one, too."""
    assert stage.get("/delay/0.001").json() == {"waited": 0.001}


def test_ndjson_has_one_object_per_line(stage: Stage) -> None:
    """As many as asked for."""
    answer = stage.get("/ndjson?count=3")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_sse_has_events_with_ids(stage: Stage) -> None:
    """Separated by empty lines."""
    answer = stage.get("/sse?count=2")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == 'id: 1\ndata: {"n": 1}\n\nid: 2\ndata: {"n": 2}\n\n'
