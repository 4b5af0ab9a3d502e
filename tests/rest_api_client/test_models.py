"""Requests and responses as values: what they refuse, what they read, and how they travel."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ClosedError, ConfigurationError, DecodeError, NotFoundError, RateLimitError
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.content_types import charset, media_type
from rest_api_client.http.headers import Headers
from rest_api_client.http.problems import Problem, one_line
from rest_api_client.http.serializers import FastJSON, orjson_serializer
from rest_api_client.http.urls import URL
from rest_api_client.models import Attempt, Request, Response

URL_1 = URL.parse("https://api.test/users?page=1")
GET = Request(method="GET", url=URL_1)
LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=60)


class Unread:
    """A body nobody has read."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x"

    async def aclose(self) -> None:
        """Nothing is held."""


def received(status: int = 200, content: bytes = b"", request: Request | None = GET, **fields: str) -> Response:
    headers = Headers.received(
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()
    )
    return Response(status, headers=headers, content=content, request=request)


# Requests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "GÉT", "GET/", None, 5, b"GET", "\x00"])
def test_a_method_is_a_token(method: Any) -> None:
    """Whatever could end the request line early is refused."""
    with pytest.raises(ConfigurationError, match="not a token"):
        Request(method=method, url=URL_1)


@pytest.mark.parametrize("change", [{"url": "https://x/"}, {"headers": {"a": "b"}}, {"body": b"x"}, {"url": None}])
def test_a_field_of_a_wrong_type_is_refused_at_once(change: dict[str, Any]) -> None:
    """A hook that puts text where a URL belongs learns it there, not in the engine."""
    with pytest.raises(ConfigurationError, match=rf"Request\({next(iter(change))}="):
        GET.replace(**change)


def test_replace_changes_a_copy() -> None:
    """The original stays as it was; unchanged parts are equal."""
    changed = GET.replace(method="PURGE", body=BytesBody(b"x"))
    assert (changed.method, changed.url, GET.method) == ("PURGE", URL_1, "GET")
    with pytest.raises(TypeError):
        GET.replace(colour="red")
    with pytest.raises(AttributeError):
        GET.method = "PUT"  # type: ignore[misc]


def test_with_headers_sets_fields() -> None:
    """An underscore stands for a hyphen, and values are checked."""
    request = GET.with_headers(x_call_id="1").with_headers(X_Call_Id="2")
    assert request.headers.get_list("x-call-id") == ["2"]
    assert "x-call-id" not in GET.headers
    with pytest.raises(ConfigurationError):
        GET.with_headers(a="b\r\nc: d")


def test_what_a_request_says_of_itself() -> None:
    """Home, idempotency and a label without secrets."""
    at_home = GET.replace(home=frozenset({URL_1.origin}))
    assert at_home.at_home
    assert not GET.at_home
    assert [GET.replace(method=m).idempotent for m in ("PUT", "DELETE", "QUERY", "POST", "PATCH", "get")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert GET.idempotency_key is None
    assert GET.with_headers(idempotency_key="k").idempotency_key == "k"
    secret = GET.replace(url=URL.parse("https://h/?token=hunter2"))
    assert secret.label == "GET https://h/?token=***"
    assert "hunter2" not in repr(secret)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_requests_and_attempts_travel(duplicate: Callable[[Any], Any]) -> None:
    """Equal after copying and pickling."""
    request = GET.replace(headers=Headers({"a": "b"}), body=BytesBody(b"x"), home=frozenset({URL_1.origin}))
    assert duplicate(request) == request
    attempt = Attempt(number=1, started=0.0, elapsed=1.0, url="https://h/")
    assert duplicate(attempt) == attempt


def test_an_attempt_shows_its_url_masked() -> None:
    """Written out when somebody reads it; "" where nothing was sent yet."""
    attempt = Attempt.begun(1, 0.0)
    assert attempt.url == ""
    attempt = Attempt.begun(2, 0.0)
    attempt.sent_to = URL.parse("https://api.test/?token=secret")
    assert attempt.url == "https://api.test/?token=***"
    with pytest.raises(AttributeError, match="'Attempt' object has no attribute 'uri'"):
        _ = attempt.uri  # type: ignore[attr-defined]


# Bodies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "data"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("APPLICATION/JSON ; charset=x", b"[]", []),
        ("application/vnd.api+json; v=1", b"1", 1),
        ("text/html; charset=latin-1", b"\xfc", "ü"),
        ("text/plain", b"\xfc", "�"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/octet-stream", b"\xff", b"\xff"),
        ("application/json, text/html", b"[]", b"[]"),
        ("", b"{}", b"{}"),
        ("application/json", b"", None),
    ],
)
def test_data_is_what_the_content_type_says(kind: str, content: bytes, data: Any) -> None:
    """JSON is parsed, text is decoded, the rest stays bytes, nothing is None."""
    assert received(content=content, content_type=kind).data == data


def test_data_is_none_for_204_and_head() -> None:
    """Whatever bytes a server may send there."""
    assert received(204, b"{}", content_type="application/json").data is None
    assert received(200, b"{}", GET.replace(method="HEAD"), content_type="application/json").data is None


def test_data_is_parsed_once_and_again_when_refilled() -> None:
    """The same object each time, until a hook puts other content in."""
    response = received(content=b"[1]", content_type="application/json")
    assert response.data is response.data
    response.fill(b"[2]")
    assert response.data == [2]


def test_what_the_serializer_writes_is_data_too() -> None:
    """A serializer of another format reads its own content type."""
    response = received(content=b"a,b", content_type="text/x-list; v=1")
    response.serializer = FastJSON(lambda value: b"", lambda data: data.decode().split(","), "text/x-list")
    assert response.data == ["a", "b"]
    assert response.json() == ["a", "b"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"nope", b"[" * 100_000, b"9" * 5000])
def test_broken_json_raises_where_it_is_asked_for(content: bytes) -> None:
    """Not on arrival; the error carries the answer and shows how the body starts."""
    response = received(content=content, content_type="application/json")
    for ask in (lambda: response.data, response.json):
        with pytest.raises(DecodeError, match=r"GET https://api.test.*no JSON.*starts with") as refused:
            ask()
        assert refused.value.response is response
        assert refused.value.request is GET
        assert len(str(refused.value)) < 1000


def test_an_unread_body_is_a_closed_error() -> None:
    """Content, text and data of a stream say how to read it."""
    response = Response(200, stream=Unread())
    assert not response.buffered
    for ask in (lambda: response.content, lambda: response.text, lambda: response.data, response.json):
        with pytest.raises(ClosedError, match=r"read\(\)"):
            ask()
    assert response.problem is None
    response.fill(b"x")
    assert (response.buffered, response.content, response.stream) == (True, b"x", None)


@given(LATIN_1, st.binary(max_size=60))
def test_no_content_type_makes_reading_fail(kind: str, content: bytes) -> None:
    """Whatever a server names, text comes out, and data raises nothing but a DecodeError."""
    response = received(content=content, content_type=kind)
    assert isinstance(response.text, str)
    with suppress(DecodeError):
        assert isinstance(response.data, str | bytes | dict | list | int | float | None)
    assert response.problem is None or isinstance(response.problem, Problem)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (None, "utf-8"), ("", "utf-8"), ("text/plain; charset=ISO-8859-1", "iso-8859-1"), ('a/b; charset="UTF-16"',
         "utf-16"),
        ("a/b;charset=zip", "utf-8"), ("a/b; charset=rot13", "utf-8"), ("a/b; charset=no-such", "utf-8"),
        ("a/b; charset=utf-7", "utf-8"), ("a/b; charset=" + "x" * 100_000, "utf-8"), ("a/b" + ";" * 100_000, "utf-8"),
        ("a/b; charset=latin-1; charset=utf-8", "latin-1"), ("a/b; xcharset=latin-1", "utf-8"),
    ],
)  # fmt: skip
def test_the_charset_is_one_that_python_can_read(field: str | None, name: str) -> None:
    """Compressors, ciphers and quadratic codecs are not taken from a stranger."""
    assert charset(field) == name


def test_the_media_type_has_no_parameters() -> None:
    """Lower case, without spaces."""
    assert media_type(" Text/HTML ; x=y") == "text/html"
    assert media_type(None) == ""


# Header fields -------------------------------------------------------------------------------------------------------


def test_links_are_absolute() -> None:
    """Relative targets are resolved against the answer's own URL; the first of a relation counts."""
    response = received(
        link='</users?page=2>; rel="next prev", <?page=9>; rel=last, <https://o/x>; rel=next, <../y>; rel=up'
    )
    assert {name: link.url for name, link in response.links.items()} == {
        "next": "https://api.test/users?page=2",
        "prev": "https://api.test/users?page=2",
        "last": "https://api.test/users?page=9",
        "up": "https://api.test/y",
    }


def test_links_that_lead_nowhere_stay_as_written() -> None:
    """No scheme but http is resolved, and nothing raises; another resource's links are left out."""
    response = received(link='<javascript:x>; rel=next, <http://[>; rel=bad, </a>; rel=up; anchor="#other"')
    assert {name: link.url for name, link in response.links.items()} == {"next": "javascript:x", "bad": "http://["}
    assert received(request=None, link="</a>; rel=next").links["next"].url == "/a"


@given(LATIN_1, LATIN_1, LATIN_1)
def test_hostile_fields_never_raise(link: str, cookie: str, after: str) -> None:
    """Links, cookies, Retry-After and redirects of any server can be asked for."""
    response = received(429, link=link, set_cookie=cookie, retry_after=after, location=link)
    assert isinstance(response.links, dict)
    assert isinstance(response.cookies, dict)
    assert response.retry_after is None or response.retry_after >= 0
    assert isinstance(response.error(), RateLimitError)


def test_cookies_are_names_and_values() -> None:
    """One per field; attributes are left out, and what has no `=` is no cookie."""
    headers = Headers(
        [("Set-Cookie", "a=1; Path=/"), ("set-cookie", "b=x=y"), ("set-cookie", "odd"), ("set-cookie", "a=2")]
    )
    assert Response(200, headers=headers).cookies == {"a": "2", "b": "x=y"}


def test_retry_after_counts_from_the_arrival() -> None:
    """Seconds as they are; a date relative to when the answer came."""
    response = received(503, retry_after="Thu, 01 Jan 1970 00:01:40 GMT")
    response.received_at = 40.0
    assert response.retry_after == 60.0
    assert received(503, retry_after="7").retry_after == 7.0
    assert received(503).retry_after is None


def test_redirects_need_a_location() -> None:
    """A 304 or a 302 without a target is not followed."""
    assert received(302, location="/x").is_redirect
    assert not received(302).is_redirect
    assert not received(304, location="/x").is_redirect
    assert not received(300, location="/x").is_redirect


# Failures ------------------------------------------------------------------------------------------------------------


def test_raise_for_status() -> None:
    """Below 400 the response itself; from 400 the error of its class, with everything in it."""
    assert received(399).raise_for_status().ok
    response = received(404, b'{"title": "None here"}', content_type="application/problem+json")
    response.attempts = (Attempt(number=1, started=0.0, elapsed=0.0, url=""),)
    with pytest.raises(NotFoundError, match=r"^GET https://api.test/users\?page=1: 404: None here$") as refused:
        response.raise_for_status()
    assert (refused.value.response, refused.value.request, refused.value.attempts) == (response, GET, response.attempts)
    assert not response.ok
    assert (response.side, received(500).side) == ("ours", "server")


def test_a_hostile_problem_makes_a_harmless_message() -> None:
    """Line ends, terminal commands and a megabyte of detail do not reach a log."""
    detail = "\x1b[2J\r\nINFO forged line " + "x" * 1_000_000
    content = json.dumps({"detail": detail}).encode()
    response = received(500, content, content_type="application/problem+json")
    response.reason = "Bad\x1b[31m\nNews"
    message = str(response.error())
    assert len(message) < 1500
    assert message.isprintable()
    assert "\x1b" not in repr(response)
    assert one_line("a\u2028b\ud800c") == "a b c"


@pytest.mark.parametrize("content", [b"[]", b"{", b"5", b"\xff", b"[" * 100_000, b""])
def test_a_problem_that_is_none(content: bytes) -> None:
    """Anything but an object is no problem, and raises nothing."""
    assert received(400, content, content_type="application/problem+json").problem is None
    assert isinstance(received(400, content, content_type="application/problem+json").error(), Exception)


def test_a_problem_ignores_members_of_wrong_types() -> None:
    """RFC 9457, section 3.1: they are as good as absent; unknown ones are extensions."""
    problem = Problem.read({"type": 5, "title": [], "status": True, "detail": None, "instance": {}, "balance": 30})
    assert problem == Problem(extensions={"balance": 30})
    assert Problem.read({"type": "t", "title": "T", "status": 400, "detail": "d", "instance": "/i"}) == Problem(
        type="t", title="T", status=400, detail="d", instance="/i"
    )
    assert Problem.read({"type": ""}) == Problem(type="about:blank")
    assert received(400, b'{"title": "x"}', content_type="application/json").problem is None


# Travel --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_response_travels(duplicate: Callable[[Response], Response]) -> None:
    """Everything but the unread body goes along, the serializer too."""
    response = received(503, b"{}", content_type="application/json", retry_after="3")
    response.serializer = orjson_serializer()
    response.history = (received(302, location="/x"),)
    response.elapsed, response.raw_size, response.received_at = 1.5, 2, 7.0
    assert response.data == {}
    twin = duplicate(response)
    assert (twin.status_code, twin.content, twin.data, twin.headers) == (503, b"{}", {}, response.headers)
    assert (twin.elapsed, twin.raw_size, twin.received_at, twin.retry_after) == (1.5, 2, 7.0, 3.0)
    assert (twin.request, twin.history[0].status_code, twin.serializer) == (GET, 302, response.serializer)
    unread = duplicate(Response(200, stream=Unread()))
    assert unread.stream is None
    with pytest.raises(ClosedError):
        _ = unread.content


def test_a_response_made_by_hand() -> None:
    """Everything has a default; the label says what it can."""
    response = Response(200)
    assert (response.content, response.data, response.url, response.headers) == (b"", None, "", Headers())
    assert repr(response) == "<Response response: 200>"
    assert received().url == str(URL_1)
    assert (
        repr(Response(404, reason="Not Found", request=GET))
        == "<Response GET https://api.test/users?page=1: 404 Not Found>"
    )
