"""Schemes written for httpx, driven by our chain."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any

import httpx
import httpx2
import pytest

from rest_api_client.auth.schemes import Authentication, HttpxAuth, as_auth
from rest_api_client.engines.scripted import Arrival, respond
from rest_api_client.exceptions import ClosedError, ConfigurationError, HookError
from rest_api_client.http.bodies import Body, BytesBody, FactoryBody, FileBody, OneShotBody
from rest_api_client.http.urls import Origin
from rest_api_client.models import Request
from rest_api_client.script import Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

HOME = frozenset({Origin("https", "api.test", 443)})
CHALLENGE = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
HttpxFlow = Generator[httpx.Request, httpx.Response, None]


def at_home(**fields: Any) -> Request:
    return a_request(home=HOME, **fields)


def sent(world: World[Any], auth: Any, request: Request, *answers: Script, **options: Any) -> list[Arrival]:
    chain = Chain(world.runtime, [Authentication(auth=auth)], answers or [respond(200)])
    world.run(lambda: chain.send(request, **options))
    return chain.server.requests


@pytest.mark.parametrize("auth", [httpx.BasicAuth("a", "b"), httpx2.BasicAuth("a", "b")])
def test_a_simple_scheme_sets_its_field(world: World[Any], auth: Any) -> None:
    """httpx's and httpx2's schemes work alike; nothing else of the request changes."""
    request = at_home(headers={"X-Own": "1", "Cookie": "a=b"}, url="https://api.test/x?q=1", template="/x")
    (arrival,) = sent(world, auth, request)
    assert arrival.request.headers["authorization"] == "Basic YTpi"
    assert arrival.request.headers.without(["authorization"]) == request.headers
    assert (arrival.request.url, arrival.request.template) == (request.url, "/x")
    assert arrival.request.home == HOME


def test_httpx_digest_makes_its_two_round_trips(world: World[Any]) -> None:
    """A flow that needs an answer gets it, and the body is sent with each request."""
    request = at_home(method="POST", body=BytesBody(b"payload"))
    arrivals = sent(world, httpx.DigestAuth("u", "p"), request, respond(401, headers=CHALLENGE), respond(200))
    assert [arrival.body for arrival in arrivals] == [b"payload", b"payload"]
    assert 'nonce="n"' in arrivals[1].request.headers["authorization"]


def test_fields_the_engine_sets_are_left_to_it(world: World[Any]) -> None:
    """Host and Content-Length, which httpx adds by itself, stay out unless the caller set them."""
    (plain,) = sent(world, httpx.BasicAuth("a", "b"), at_home(method="POST", body=BytesBody(b"xyz")))
    assert set(plain.request.headers) == {"authorization"}
    (given,) = sent(world, httpx.BasicAuth("a", "b"), at_home(headers={"Host": "other.test"}))
    assert given.request.headers["host"] == "other.test"
    streamed = at_home(headers={"Host": "other.test"}, method="POST", body=OneShotBody(iter([b"x"])))
    (given,) = sent(world, httpx.BasicAuth("a", "b"), streamed)
    assert given.request.headers.get_list("host") == ["other.test"]


@pytest.mark.parametrize(
    "make", [lambda: FileBody(io.BytesIO(b"streamed")), lambda: OneShotBody(iter([b"stre", b"amed"]))]
)
def test_a_streamed_body_is_handed_on_unread(world: World[Any], make: Callable[[], Body]) -> None:
    """A scheme that does not look at the body leaves it the caller's own object."""
    body = make()
    (arrival,) = sent(world, httpx.BasicAuth("a", "b"), at_home(method="POST", body=body))
    assert arrival.request.body is body
    assert arrival.body == b"streamed"


class Signing(httpx.Auth):
    """Signs the body's length and the Host field."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> HttpxFlow:
        request.headers["X-Signed"] = f"{len(request.content)} {request.headers['host']}"
        yield request


@pytest.mark.parametrize(
    "make",
    [
        lambda: BytesBody(b"12345"),
        lambda: OneShotBody(iter([b"12", b"345"])),
        lambda: FactoryBody(lambda: [b"123", b"45"]),
    ],
)
def test_a_scheme_may_ask_for_the_body(world: World[Any], make: Callable[[], Body]) -> None:
    """`requires_request_body` reads it, a one-shot one too, and what was read is sent."""
    (arrival,) = sent(world, Signing(), at_home(method="POST", body=make()))
    assert arrival.request.headers["x-signed"] == "5 api.test"
    assert arrival.body == b"12345"


async def chunks() -> AsyncIterator[bytes]:
    yield b"12"
    yield b"345"


def test_an_async_body_is_read_in_the_async_client_alone(world: World[Any]) -> None:
    """A sync client cannot read an async iterator and says which client can."""
    request = at_home(method="POST", body=OneShotBody(chunks()))
    if world.name == "sync":
        with pytest.raises(ConfigurationError, match="AsyncAPIClient"):
            sent(world, Signing(), request)
    else:
        assert sent(world, Signing(), request)[0].body == b"12345"


class Token(httpx.Auth):
    """Fetches a token first, from its own place."""

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> HttpxFlow:
        answer = yield httpx.Request("POST", "https://login.test/token", data={"grant": "x"})
        request.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield request


@pytest.mark.parametrize("stream", [False, True])
def test_a_scheme_may_send_requests_of_its_own(world: World[Any], stream: bool) -> None:
    """A request to another place goes as the scheme made it; the call's own body waits for its turn."""
    request = at_home(method="PUT", body=BytesBody(b"mine"), template="/things")
    arrivals = sent(world, Token(), request, respond(200, json={"token": "t"}), respond(200), stream=stream)
    fetch, own = arrivals
    assert (fetch.request.method, str(fetch.request.url), fetch.body) == (
        "POST",
        "https://login.test/token",
        b"grant=x",
    )
    assert fetch.request.template is None
    assert (own.request.method, own.body, own.request.headers["authorization"]) == ("PUT", b"mine", "Bearer t")


def test_an_encoded_answer_is_not_decoded_twice(world: World[Any]) -> None:
    """The scheme gets the decoded body without the fields that would make httpx decode it again."""
    seen: list[bytes] = []

    class Looking(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> HttpxFlow:
            answer = yield request
            seen.append(answer.content)

    encoded = respond(200, content=gzip.compress(b"plain", mtime=0), headers={"content-encoding": "gzip"})
    (arrival,) = sent(world, Looking(), at_home(), encoded)
    assert arrival.request.url.path == "/things"
    assert seen[0] == gzip.compress(b"plain", mtime=0)  # this chain does not decode; httpx must not either


def test_a_streamed_answer_stays_the_callers(world: World[Any]) -> None:
    """A scheme that reads a streamed answer without saying so gets an error that says how to."""

    class Reading(httpx.Auth):
        def sync_auth_flow(self, request: httpx.Request) -> HttpxFlow:
            (yield request).read()

        async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
            await (yield request).aread()

    with pytest.raises(ClosedError, match="requires_response_body"):
        sent(world, Reading(), at_home(), respond(200, content=b"x"), stream=True)


class Both(httpx.Auth):
    """Differs by the client's kind, and says which flow was closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def sync_auth_flow(self, request: httpx.Request) -> HttpxFlow:
        try:
            request.headers["X-Kind"] = "sync"
            yield request
        finally:
            self.closed.append("sync")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            request.headers["X-Kind"] = "async"
            yield request
        finally:
            self.closed.append("async")


def test_a_scheme_is_driven_by_the_clients_kind(world: World[Any]) -> None:
    """Sync clients drive `sync_auth_flow`, async ones `async_auth_flow`; either is closed."""
    auth = Both()
    (arrival,) = sent(world, auth, at_home())
    kind = "sync" if world.name == "sync" else "async"
    assert arrival.request.headers["x-kind"] == kind
    assert auth.closed == [kind]


def test_a_scheme_may_put_a_stream_in_place_of_the_body(world: World[Any]) -> None:
    """A body that the scheme made is sent, once."""

    class Streaming(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> HttpxFlow:
            yield httpx.Request(request.method, request.url, content=iter([b"its ", b"own"]))

    (arrival,) = sent(world, Streaming(), at_home(method="post", body=BytesBody(b"mine")))
    assert arrival.body == b"its own"
    assert arrival.request.method == "post"
    assert not arrival.request.body.replayable


def test_a_field_that_cannot_be_sent_is_refused(world: World[Any]) -> None:
    """A scheme cannot smuggle a line end past the check of header fields."""

    class Evil(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> HttpxFlow:
            request.headers["X-Evil"] = "a\r\nX-Other: b"
            yield request

    with pytest.raises(ConfigurationError, match="control character"):
        sent(world, Evil(), at_home())


def test_a_scheme_that_fails_is_named(world: World[Any]) -> None:
    """The error names httpx's class, not our wrapper."""

    class Broken(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> HttpxFlow:
            raise OSError("disk")
            yield request

    with pytest.raises(HookError, match="Broken failed with OSError"):
        sent(world, Broken(), at_home())


def test_an_httpx_auth_is_recognised_and_hidden() -> None:
    """`as_auth` wraps it; repr shows nothing of it."""
    auth = as_auth(httpx.BasicAuth("ada", "hunter2"))
    assert isinstance(auth, HttpxAuth)
    assert repr(auth) == "HttpxAuth(***)"
