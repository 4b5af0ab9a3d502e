"""Places in answers take values of the request, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.seen import Seen
from mockserver.stubs import Reply, Stubs, stub
from rest_api_client.script import Chunk, Head, Script


def request(body: bytes = b"", query: str = "", **rest: Any) -> Seen:
    return Seen(method="POST", path="/users/7", query=query, body=body, **rest)


def sent(script: Script | None) -> bytes:
    assert script is not None
    return b"".join(step.data for step in script.steps if isinstance(step, Chunk))


def test_each_source_gives_its_values() -> None:
    """Path, query, header, cookie, JSON by names and numbers, and the number of the answer."""
    text = "{path.id} {query.q} {header.X-A} {cookie.c} {json.a.0.b} {n}"
    stubs = Stubs([stub("POST", "/users/{id}", text=text)])
    seen = request(b'{"a":[{"b":"deep"}]}', "q=a+b&q=c", fields=(("x-a", "h"), ("cookie", "c=1")))
    assert sent(stubs.answer(seen)) == b"7 a b h 1 deep 1"
    assert sent(stubs.answer(seen)) == b"7 a b h 1 deep 2"


def test_a_place_alone_in_json_keeps_its_type() -> None:
    """Within other text it is text; what is missing is null, or nothing."""
    reply = Reply(
        json={
            "n": "{n}",
            "age": "{json.age}",
            "tags": "{json.tags}",
            "no": "{json.no}",
            "mixed": "is {json.age}{json.no}",
            "x": [1],
        }
    )
    answer = json.loads(sent(reply(request(b'{"age":36,"tags":["a",null]}'), {}, 3)))
    assert answer == {"n": 3, "age": 36, "tags": ["a", None], "no": None, "mixed": "is 36", "x": [1]}


@pytest.mark.parametrize(
    "text",
    [
        "{0}", "{}", "{ path.id }", "{path}", "{path.id!r}", "{path.id:>9}", "{{n.}}", "{path.id.__class__}", "${7*7}",
        "{json.__class__}", "{json.a.__init__.__globals__}", "{query.__dict__}", "{header.__class__.__mro__}",
        "{json.a.-1}", "{json.a.٣}", "{json.a.99999999999999999999}", "{cookie.__doc__}", "<%= 7*7 %>", "{% x %}",
        "%(path)s", "{json.a.0.0.0}",
    ],
)  # fmt: skip
def test_nothing_is_evaluated_and_no_attribute_reached(text: str) -> None:
    """A text that is no place stays as it is; a place that the request has nothing for is empty."""
    answer = sent(Reply(text=text)(request(b'{"a":["x"]}'), {"id": "7"})).decode()
    assert answer in {text, ""}


def test_a_value_cannot_hold_places_of_its_own() -> None:
    """What a request sends is put in once and not read again."""
    assert sent(Reply(text="{query.a}")(request(query="a={path.id}"), {"id": "7"})) == b"{path.id}"


def test_a_header_field_stays_one_field() -> None:
    """Whatever is not printable ASCII is percent-encoded."""
    reply = Reply(headers={"location": "/users/{query.q}"})
    script = reply(request(query="q=a%0d%0ax: y%c3%a9"), {})
    assert next(step for step in script.steps if isinstance(step, Head)).headers == (
        ("location", "/users/a%0D%0Ax: y%C3%A9"),
    )
    assert reply(request(b'{"s":"\\ud800"}'), {})
    assert Reply(headers={"x": "{json.s}"})(request(b'{"s":"\\ud800"}'), {})


def test_a_large_or_deep_value_counts_as_missing() -> None:
    """One request must not blow an answer up."""
    reply = Reply(text="<{json.a}>")
    assert sent(reply(request(json.dumps({"a": "x" * 16_384}).encode()), {})) == b"<" + b"x" * 16_384 + b">"
    assert sent(reply(request(json.dumps({"a": "x" * 16_385}).encode()), {})) == b"<>"
    assert sent(reply(request(json.dumps({"a": ["x"] * 9_000}).encode()), {})) == b"<>"
    assert sent(reply(request(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"), {})) == b"<>"
    assert sent(reply(request(b'{"a":' + b"[" * 9_000), {})) == b"<>"


def test_template_false_leaves_braces_alone() -> None:
    """For bodies that are full of them."""
    assert sent(Reply(text="{path.id} {os.x}", template=False)(request(), {"id": "7"})) == b"{path.id} {os.x}"


@given(st.text(), st.binary(max_size=50), st.text(max_size=20))
def test_any_text_and_any_request_make_an_answer(value: str, body: bytes, query: str) -> None:
    """Filling never fails, and JSON stays JSON."""
    seen = request(body, query.encode("ascii", "ignore").decode(), fields=(("x", value),))
    reply = Reply(json=["{path.id}", "{header.x}!", "{json.a}"], headers={"x": "{header.x}"}, text=None)
    answer = json.loads(sent(reply(seen, {"id": value})))
    if len(value) <= 16_384:
        assert answer[0] == value
