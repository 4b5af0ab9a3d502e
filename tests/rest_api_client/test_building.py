"""From keywords to a request: what is encoded, what is refused, and what stays at home."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.building import Built, RequestBuilder, fill_template
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import EMPTY
from rest_api_client.http.headers import Headers
from rest_api_client.http.serializers import JSON_SERIALIZER
from rest_api_client.http.urls import URL


def builder(base_url: str | None = "https://api.test/v1", **options: Any) -> RequestBuilder:
    settings: dict[str, Any] = {
        "allow_origins": (), "serializer": JSON_SERIALIZER, "random": random.Random(1), "user_agent": "mine/1",
    }  # fmt: skip
    return RequestBuilder(base_url=base_url, **(settings | options))


def build(
    url: str = "/users", method: str = "GET", *, client: Any = None, params: Any = None, on: Any = None, **options: Any
) -> Built:
    return (on or builder()).build(method, url, options, Headers(client), params)  # type: ignore[arg-type]


def test_a_plain_request() -> None:
    """URL behind the base, our own defaults, no body, at home."""
    built = build()
    request = built.request
    assert (request.method, str(request.url), request.template, request.body) == (
        "GET",
        "https://api.test/v1/users",
        "/users",
        EMPTY,
    )
    assert (request.headers["accept"], request.headers["user-agent"]) == ("*/*", "mine/1")
    assert "gzip" in request.headers["accept-encoding"]
    assert request.at_home
    assert (built.userinfo, built.withheld) == (None, ())
    assert "user-agent" not in build(on=builder(user_agent=None)).request.headers


def test_what_is_nearer_to_the_call_wins() -> None:
    """Call over body over client over default, whatever the case of the names; params stand behind each other."""
    client = {"accept": "client", "content-type": "client", "x-client": "1"}
    options: Any = {"json": {}, "headers": {"ACCEPT": "call"}, "params": {"b": 2}}
    request = builder().build("post", "/users?z=0", options, Headers(client), {"a": 1})
    headers = request.request.headers
    assert (headers["accept"], headers["content-type"], headers["x-client"]) == ("call", "application/json", "1")
    assert headers.get_list("accept") == ["call"]
    assert request.request.url.query == "z=0&a=1&b=2"
    assert request.request.method == "POST"


@pytest.mark.parametrize(
    ("template", "values", "filled"),
    [
        ("/users/{id}", {"id": 7}, "/users/7"),
        ("/a/{x}/b/{y}", {"x": "a b", "y": True}, "/a/a%20b/b/true"),
        ("/a/{x}", {"x": "../../admin?x=1#y"}, "/a/..%2F..%2Fadmin%3Fx%3D1%23y"),
        ("/a/{x}", {"x": "%2e%2e"}, "/a/%252e%252e"),
        ("/a/{x}", {"x": "ü\r\n\x00\\"}, "/a/%C3%BC%0D%0A%00%5C"),
        ("/a/{x}/{x}", {"x": "1"}, "/a/1/1"),
        ("/a", {}, "/a"),
    ],
)
def test_values_fill_one_segment_each(template: str, values: Any, filled: str) -> None:
    """Nothing in a value can end its segment."""
    assert fill_template(template, values) == filled


@given(st.text())
def test_no_value_changes_the_path(value: str) -> None:
    """Whatever it is, it stays one segment between its neighbours, or is refused."""
    try:
        built = build("/a/{x}/b", path_params={"x": value})
    except ConfigurationError:
        assert value in {"", ".", ".."} or any("\ud800" <= char <= "\udfff" for char in value)
        return
    before, after = built.request.url.path.removeprefix("/v1/a/"), "/b"
    assert before.endswith(after)
    assert before.count("/") == 1
    assert built.request.template == "/a/{x}/b"


@pytest.mark.parametrize("value", ["", ".", "..", None, b"x", [1], "\ud800"])
def test_a_value_that_would_change_the_path_is_refused(value: Any) -> None:
    """Empty and dot segments disappear on the way; the rest has no text."""
    with pytest.raises(ConfigurationError):
        fill_template("/a/{x}", {"x": value})


@pytest.mark.parametrize("values", [{}, {"y": 1}, {"x": 1, "y": 2}])
def test_values_and_names_must_fit(values: dict[str, Any]) -> None:
    """A name without a value, or the other way round, is refused by name."""
    with pytest.raises(ConfigurationError, match=r"path_params do not fit.*stands on one side only"):
        fill_template("/a/{x}", values)


@pytest.mark.parametrize(
    ("url", "template"),
    [
        ("users", "/users"), ("/users?x=1#y", "/users"), ("https://api.test/v1/users?x", "/v1/users"), ("", "/"),
        ("https://user:hunter2@api.test/x", "/x"), ("https://api.test", "/"), ("/proxy/https://o/x",
         "/proxy/https://o/x"),
    ],
)  # fmt: skip
def test_the_template_is_the_path_as_written(url: str, template: str) -> None:
    """Metrics count by it: no query, no host, no password."""
    assert build(url).request.template == template


@pytest.mark.parametrize("url", [None, 5, b"/x", URL.parse("https://api.test/")])
def test_a_url_is_text(url: Any) -> None:
    """Anything else is refused with its type."""
    with pytest.raises(ConfigurationError, match=f"got {type(url).__name__}"):
        build(url)


@pytest.mark.parametrize("method", [None, 5, "", "GE T"])
def test_a_method_is_checked(method: Any) -> None:
    """A configuration error, not an attribute error."""
    with pytest.raises(ConfigurationError, match="not a token"):
        build(method=method)


CREDENTIALS = {"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "X-Plain": "1"}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/x",
        "http://api.test/x",
        "https://api.test:8443/x",
        "https://api.test.evil.test/",
        "https://sub.api.test/",
    ],
)
def test_the_clients_credentials_stay_at_home(url: str) -> None:
    """Another host, scheme or port gets the call without them, and their names are told."""
    built = build(url, client=CREDENTIALS, params={"api_key": "hunter2", "page": 1})
    assert "hunter2" not in f"{built.request.headers.multi_items()} {built.request.url!s}"
    assert built.request.headers["x-plain"] == "1"
    assert built.request.url.query == "page=1"
    assert set(built.withheld) == {"authorization", "x-api-key", "api_key"}
    assert not built.request.at_home


def test_at_home_they_are_sent() -> None:
    """To the base's origin, written in any way, to `allow_origins`, and anywhere by a client without a home."""
    for url, on in (
        ("/x", None), ("HTTPS://API.test:443/x", None), ("https://other.test/x",
         builder(allow_origins=["https://other.test"])),
        ("https://any.test/x", builder(base_url=None)),
    ):  # fmt: skip
        built = build(url, client=CREDENTIALS, on=on)
        assert built.request.headers["authorization"] == "Bearer hunter2"
        assert built.withheld == ()
        assert built.request.at_home


def test_what_the_call_itself_gives_is_sent() -> None:
    """Whoever writes a header for one call knows where it goes."""
    built = build("https://other.test/", client=CREDENTIALS, headers={"Authorization": "Bearer own"}, params=None)
    assert built.request.headers["authorization"] == "Bearer own"


def test_userinfo_is_taken_out() -> None:
    """It is handed to authentication, from the call's URL or the base's."""
    built = build("https://ada:pw@api.test/x")
    assert built.userinfo == ("ada", "pw")
    assert "ada" not in str(built.request.url)
    assert builder("https://ada:pw@api.test").base_userinfo == ("ada", "pw")


def test_origins_are_a_list() -> None:
    """A text would be a list of characters; each must be a URL."""
    with pytest.raises(ConfigurationError, match="allow_origins="):
        builder(allow_origins="https://other.test")
    with pytest.raises(ConfigurationError):
        builder(allow_origins=["other.test"])


def test_an_idempotency_key_is_made_or_taken() -> None:
    """True makes one by the given chance, text is sent as it is, nothing sends nothing."""
    on = builder()
    first, second = (build(method="POST", on=on, idempotency_key=True).request.idempotency_key for _ in range(2))
    assert first is not None
    assert len(first) == 32
    assert first != second
    assert build(method="POST", idempotency_key="mine").request.idempotency_key == "mine"
    assert build(method="POST", idempotency_key=False).request.idempotency_key is None
    with pytest.raises(ConfigurationError, match="of type int: give True"):
        build(idempotency_key=5)


def test_cookies_of_one_call() -> None:
    """Behind those of a Cookie header; a value cannot smuggle another cookie in."""
    built = build(cookies={"a": "1", "b": "2"}, headers={"Cookie": "own=0"})
    assert built.request.headers["cookie"] == "own=0; a=1; b=2"
    for cookies in ({"a": "1; admin=1"}, {"a;b": "1"}, {"a": "1\r\nx: y"}):
        with pytest.raises(ConfigurationError):
            build(cookies=cookies)


def test_the_body_and_its_progress() -> None:
    """One of content, json, data and files; progress counts what leaves."""
    told: list[tuple[int, int | None]] = []
    built = build(method="POST", data={"a": 1}, progress=lambda *args: told.append(args))
    assert b"".join(built.request.body.open()) == b"a=1"  # type: ignore[arg-type]
    assert told == [(3, 3)]
    assert built.request.headers["content-type"] == "application/x-www-form-urlencoded"
    with pytest.raises(ConfigurationError, match="exclude"):
        build(method="POST", json=1, content=b"x")
