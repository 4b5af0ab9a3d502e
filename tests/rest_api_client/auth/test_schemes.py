"""Authentication: each scheme's field, the policy's round trips, and what goes wrong in a plugin."""

from __future__ import annotations

import pickle
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest

from rest_api_client.attempts import MAX_RESENDS
from rest_api_client.auth.schemes import (
    ApiKeyAuth,
    Auth,
    Authentication,
    BasicAuth,
    BearerAuth,
    CallableAuth,
    Flow,
    as_auth,
)
from rest_api_client.context import Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import CredentialsWithheld
from rest_api_client.exceptions import APIError, ClosedError, ConfigurationError, HookError, ReadError
from rest_api_client.http.bodies import BytesBody, OneShotBody
from rest_api_client.http.urls import Origin
from rest_api_client.models import Request, Response
from rest_api_client.script import Chunk, End, Head, Reset, Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

HOME = frozenset({Origin("https", "api.test", 443)})
SECRET = "hunter2-Zq"


def at_home(**fields: Any) -> Request:
    return a_request(home=HOME, **fields)


def sent(world: World[Any], auth: Any, request: Request | None = None) -> Request:
    chain = Chain(world.runtime, [Authentication(auth=auth)], respond(200))
    world.run(chain.send, request or at_home())
    return chain.server.requests[0].request


class Twice(Auth):
    """Sends a first request, and another one after a 401."""

    def __init__(self, again: Callable[[Request], Any] = lambda request: request) -> None:
        self.again = again
        self.closed = 0

    def flow(self, request: Request) -> Flow:
        try:
            response = yield request
            while response.status_code == 401:
                response = yield self.again(request)
        finally:
            self.closed += 1


@pytest.mark.parametrize(
    ("auth", "field", "value"),
    [
        (("Aladdin", "open sesame"), "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (["test", "123\u00a3"], "Authorization", "Basic dGVzdDoxMjPCow=="),
        (BearerAuth("mF_9.B5f-4.1JqM"), "Authorization", "Bearer mF_9.B5f-4.1JqM"),
        (ApiKeyAuth("k1"), "X-API-Key", "k1"),
        (ApiKeyAuth("k1", header="Api-Key"), "Api-Key", "k1"),
        (lambda request: request.with_headers(X_Sign="s"), "X-Sign", "s"),
    ],
)
def test_a_scheme_puts_its_field_on_the_request(world: World[Any], auth: Any, field: str, value: str) -> None:
    """The examples of RFC 7617 and 6750, API keys and a function, as the server sees them."""
    assert sent(world, auth).headers[field] == value


def test_a_key_in_the_query_replaces_one_that_is_there(world: World[Any]) -> None:
    """An API key goes into the query encoded, and once, also after a redirect that repeated it."""
    request = sent(world, ApiKeyAuth("a b&c", query="api_key"), at_home(url="https://api.test/x?q=1&api_key=old"))
    assert request.url.target == "/x?q=1&api_key=a%20b%26c"


def test_the_auth_replaces_a_field_set_by_hand(world: World[Any]) -> None:
    """One Authorization field is sent: the scheme's."""
    request = sent(world, BearerAuth("new"), at_home(headers={"authorization": "Bearer old"}))
    assert request.headers.get_list("authorization") == ["Bearer new"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BasicAuth("a:b", SECRET), "colon"),
        (lambda: BasicAuth("a", f"{SECRET}\n"), "line end"),
        (lambda: BasicAuth(SECRET.encode(), "x"), "bytes"),  # type: ignore[arg-type]
        (lambda: BasicAuth("a", f"{SECRET}\ud800"), "surrogate"),
        (lambda: BearerAuth(f"Bearer {SECRET}"), "leave it out"),
        (lambda: BearerAuth(f"{SECRET}\r\nX: y"), "control character"),
        (lambda: BearerAuth(f"{SECRET} x"), "without spaces"),
        (lambda: BearerAuth(f"{SECRET}\u00e9"), "ASCII"),
        (lambda: BearerAuth(""), "not empty"),
        (lambda: ApiKeyAuth(""), "empty"),
        (lambda: ApiKeyAuth(f"{SECRET}\0"), "control character"),
        (lambda: ApiKeyAuth(f"{SECRET}\u4e00"), "latin-1"),
        (lambda: ApiKeyAuth(SECRET, header="X Y"), "token"),
        (lambda: ApiKeyAuth(SECRET, header="A", query="b"), "one of the two"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_unseen(make: Callable[[], Auth], told: str) -> None:
    """The error comes before anything is sent, says what is wrong, and does not show the credential."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        make()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "auth", [BasicAuth("ada", SECRET), BearerAuth(SECRET), ApiKeyAuth(SECRET), ApiKeyAuth(SECRET, query="key")]
)
def test_a_credential_is_a_value_that_does_not_show_itself(auth: Auth) -> None:
    """repr, str and identity hide it; pickling keeps it; equal credentials are equal."""
    identity = auth.identity()
    assert SECRET not in f"{auth!r} {auth} {Authentication(auth=auth)!r} {identity}"
    assert pickle.loads(pickle.dumps(auth)) == auth
    assert identity == pickle.loads(pickle.dumps(auth)).identity()


def test_identities_tell_credentials_apart() -> None:
    """Another user, another password, and the same letters divided otherwise have other identities."""
    auths = [BasicAuth("ada", "x"), BasicAuth("ada", "y"), BasicAuth("adax", ""), BearerAuth("x"), BearerAuth("y")]
    assert len({auth.identity() for auth in [*auths, ApiKeyAuth("x")]}) == 6
    assert CallableAuth(lambda request: request).identity() is None


class Neither(Auth):
    """Defines nothing."""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (SECRET, "type str"),
        ((SECRET, "b", "c"), "type tuple"),
        (BearerAuth, "is a class"),
        (Neither(), "neither flow"),
        (7, "type int"),
    ],
)
def test_what_is_no_auth_is_refused_unseen(value: object, told: str) -> None:
    """Whatever is given instead of a scheme is named by its type alone."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        as_auth(value)
    assert SECRET not in str(caught.value)


def test_a_scheme_without_a_flow_says_so() -> None:
    """Calling the missing half of a plugin is an error that names it."""
    with pytest.raises(NotImplementedError, match="Neither defines"):
        Neither().flow(at_home())


def test_a_call_may_bring_its_own_auth_or_none(world: World[Any]) -> None:
    """`auth=` of a call replaces the client's; None turns it off."""

    async def body() -> list[str | None]:
        chain = Chain(world.runtime, [Authentication(auth=BearerAuth("client"))], respond(200))
        await chain.send(at_home())
        await chain.send(at_home(), auth=("a", "b"))
        await chain.send(at_home(), auth=None)
        return [arrival.request.headers.get("authorization") for arrival in chain.server.requests]

    assert world.run(body) == ["Bearer client", "Basic YTpi", None]


@pytest.mark.parametrize("options", [{}, {"auth": BearerAuth(SECRET)}])
def test_elsewhere_the_auth_stays_home(world: World[Any], options: dict[str, Any]) -> None:
    """A request to a foreign origin goes without the client's auth and the call's, and an event says so."""
    chain = Chain(world.runtime, [Authentication(auth=BearerAuth(SECRET))], respond(200))
    request = a_request(url="https://evil.test/", home=HOME)
    world.run(lambda: chain.send(request, **options))
    assert chain.server.requests[0].request == request
    withheld = [event for event in chain.events if isinstance(event, CredentialsWithheld)]
    assert [(event.origin, event.names) for event in withheld] == [("https://evil.test:443", ("auth",))]


def test_a_second_round_trip_is_an_attempt_of_its_own(world: World[Any]) -> None:
    """The flow goes on after the answer, by way of the whole attempt level, and is closed once at the end."""
    auth = Twice(lambda request: request.with_headers(X_Try="2"))
    chain = Chain(world.runtime, [Authentication(auth=auth)], [respond(401), respond(200)])
    response = world.run(chain.send, at_home())
    assert response.status_code == 200
    assert [arrival.request.headers.get("x-try") for arrival in chain.server.requests] == [None, "2"]
    assert chain.call is not None
    assert [attempt.status_code for attempt in chain.call.attempts] == [401, 200]
    assert auth.closed == 1


def test_a_401_never_loops(world: World[Any]) -> None:
    """T16: a flow that answers every 401 is stopped after a few round trips, and closed."""
    auth = Twice()
    chain = Chain(world.runtime, [Authentication(auth=auth)], respond(401))
    with pytest.raises(HookError, match="looping"):
        world.run(chain.send, at_home())
    assert len(chain.server.requests) == MAX_RESENDS + 1
    assert auth.closed == 1


def test_a_flow_is_closed_when_the_resend_fails(world: World[Any]) -> None:
    """A connection that breaks between two round trips leaves no flow suspended."""
    auth = Twice()
    chain = Chain(world.runtime, [Authentication(auth=auth)], [respond(401), Script(Reset())])
    with pytest.raises(ReadError):
        world.run(chain.send, at_home())
    assert auth.closed == 1


def test_a_body_that_is_used_up_is_not_sent_again(world: World[Any]) -> None:
    """T2: a flow that wants a one-shot body once more gets an error that says what to give instead."""
    auth = Twice()
    chain = Chain(world.runtime, [Authentication(auth=auth)], respond(401, content="no"))
    with pytest.raises(ClosedError, match="can be read only once") as caught:
        world.run(chain.send, at_home(method="POST", body=OneShotBody(iter([b"x"]))))
    assert caught.value.response is not None
    assert caught.value.response.status_code == 401
    assert [arrival.body for arrival in chain.server.requests] == [b"x"]
    assert auth.closed == 1


def test_a_flow_may_replace_a_used_up_body(world: World[Any]) -> None:
    """A new body in the place of the one-shot one can be sent."""
    auth = Twice(lambda request: request.replace(body=BytesBody(b"anew")))
    chain = Chain(world.runtime, [Authentication(auth=auth)], [respond(401), respond(200)])
    world.run(chain.send, at_home(method="POST", body=OneShotBody(iter([b"x"]))))
    assert [arrival.body for arrival in chain.server.requests] == [b"x", b"anew"]


def failing(request: Request) -> Request:
    raise KeyError(SECRET)


def wrong(request: Request) -> Request:
    return "no request"  # type: ignore[return-value]


def ours(request: Request) -> Request:
    raise APIError("of our tree")


class Silent(Auth):
    """A flow that yields nothing."""

    def flow(self, request: Request) -> Flow:
        yield from ()


class Stillborn(Auth):
    """Fails before there is a flow."""

    def begin(self, request: Request, context: Context) -> Flow:
        raise KeyError(SECRET)


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        (Stillborn(), "Stillborn failed with KeyError"),
        (failing, "failing failed with KeyError"),
        (wrong, "wrong gave str"),
        (Silent(), "Silent yielded no request"),
    ],
)
def test_a_plugin_that_fails_is_a_hook_error(world: World[Any], auth: Any, told: str) -> None:
    """The error names the plugin; what the plugin said, perhaps a secret, is left to the cause."""
    chain = Chain(world.runtime, [Authentication(auth=auth)], respond(200))
    with pytest.raises(HookError, match=told) as caught:
        world.run(chain.send, at_home())
    assert SECRET not in str(caught.value)
    assert not chain.server.requests


def test_an_error_of_our_own_tree_passes_as_it_is(world: World[Any]) -> None:
    """A plugin may raise errors of the tree."""
    chain = Chain(world.runtime, [Authentication(auth=ours)], respond(200))
    with pytest.raises(APIError, match="of our tree") as caught:
        world.run(chain.send, at_home())
    assert caught.value.__cause__ is None


class Waiting(Auth):
    """An async flow, as a token refresh will need it."""

    def __init__(self) -> None:
        self.closed = 0

    async def begin(self, request: Request, context: Context) -> AsyncGenerator[Request, Response]:  # type: ignore[override]
        try:
            await context.runtime.sleep(2)
            response = yield request.with_headers(Authorization="Bearer fetched")
            if response.status_code == 401:
                yield request.with_headers(Authorization="Bearer again")
                raise AssertionError("never asked again")
        finally:
            self.closed += 1


def test_an_async_flow_may_wait_by_the_runtime(world: World[Any]) -> None:
    """`begin` may give an async generator; in a sync client it runs too, since it waits by the runtime alone."""
    auth = Waiting()
    chain = Chain(world.runtime, [Authentication(auth=auth)], respond(200))
    world.run(chain.send, at_home())
    assert chain.arrivals == [2]
    assert auth.closed == 1


def test_an_async_flow_is_closed_with_its_attempt(world: World[Any]) -> None:
    """An async generator that is left suspended by a failing resend is closed, in its own loop."""
    auth = Waiting()
    chain = Chain(world.runtime, [Authentication(auth=auth)], [respond(401), Script(Reset())])
    with pytest.raises(ReadError):
        world.run(chain.send, at_home())
    assert auth.closed == 1


class Stubborn(Auth):
    """Fails while it is closed."""

    def flow(self, request: Request) -> Flow:
        try:
            yield request
            yield request
        finally:
            raise ValueError("in finally")


def test_a_flow_that_fails_while_closing_does_not_hide_the_error(
    world: World[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt's own error is raised; the other goes to `sys.unraisablehook`."""
    seen: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(f"{args.err_msg}: {args.exc_value}"))
    chain = Chain(world.runtime, [Authentication(auth=Stubborn())], [respond(401), Script(Reset())])
    with pytest.raises(ReadError):
        world.run(chain.send, at_home())
    assert seen == ["closing an auth flow failed: in finally"]


class Reader(Auth):
    """Looks at the answer's body."""

    requires_response_body = True

    def __init__(self) -> None:
        self.seen = b""

    def flow(self, request: Request) -> Flow:
        response = yield request
        self.seen = response.content


def test_a_flow_that_reads_bodies_gets_them_from_streams_too(world: World[Any]) -> None:
    """With `requires_response_body` a streamed answer is read before the flow gets it; the caller still has it."""
    auth = Reader()
    chain = Chain(world.runtime, [Authentication(auth=auth)], Script(Head(200), Chunk(b"whole"), End()))
    response = world.run(lambda: chain.send(at_home(), stream=True))
    assert auth.seen == response.content == b"whole"


def test_a_stream_stays_unread_otherwise(world: World[Any]) -> None:
    """Authentication does not touch the body of a streamed answer."""
    chain = Chain(world.runtime, [Authentication(auth=Twice())], Script(Head(200), Chunk(b"whole"), End()))

    async def body() -> tuple[bool, bytes]:
        response = await chain.send(at_home(), stream=True)
        assert isinstance(response.stream, AsyncIterator) or response.stream is not None
        return response.buffered, b"".join([chunk async for chunk in response.stream])

    assert world.run(body) == (False, b"whole")
