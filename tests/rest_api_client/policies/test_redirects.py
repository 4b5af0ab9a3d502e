"""Redirects: which are followed, as what, how far, and what makes one an error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.engines.scripted import Arrival, respond
from rest_api_client.events import CredentialsWithheld, Redirected
from rest_api_client.exceptions import APIError, ConfigurationError, RedirectError, TooManyRedirects
from rest_api_client.http.bodies import BytesBody, FactoryBody, OneShotBody
from rest_api_client.http.urls import URL, Origin
from rest_api_client.models import Request, Response
from rest_api_client.policies.redirects import Redirects
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Chunk, End, Head, Script
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

HOME = frozenset({Origin("https", "api.test", 443)})


def to(location: str, status: int = 302, **headers: str) -> Script:
    return respond(status, headers={"location": location} | headers, content=b"moved")


def at_home(**fields: Any) -> Request:
    return a_request(home=HOME, **fields)


class Followed:
    """One call through redirects, in a sync client."""

    def __init__(self, request: Request, *answers: Script, policy: Redirects | None = None, **options: Any) -> None:
        self.chain = Chain(SyncRuntime(VirtualClock()), [policy or Redirects()], answers)
        self.response: Response = run_sync(self.chain.send(request, **options))

    @property
    def requests(self) -> list[Arrival]:
        return self.chain.server.requests

    @property
    def last(self) -> Arrival:
        return self.requests[-1]


@pytest.mark.parametrize(
    ("status", "method", "becomes", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (303, "DELETE", "GET", b""),
        (303, "HEAD", "HEAD", b""),
        (303, "GET", "GET", b""),
        (301, "PUT", "PUT", b"data"),
        (302, "DELETE", "DELETE", b"data"),
        (301, "HEAD", "HEAD", b"data"),
        (302, "GET", "GET", b"data"),
        (307, "POST", "POST", b"data"),
        (308, "POST", "POST", b"data"),
        (308, "PATCH", "PATCH", b"data"),
    ],
)
def test_methods_and_bodies(status: int, method: str, becomes: str, body: bytes) -> None:
    """RFC 9110, section 15.4: what each status makes of method, body and the fields that speak of the body."""
    headers = {"Content-Type": "text/x", "Content-Language": "de", "Idempotency-Key": "k", "Expect": "x", "X-Own": "1"}
    asked = at_home(method=method, headers=headers, body=BytesBody(b"data"))
    last = Followed(asked, to("/next", status), respond(200)).last
    assert (last.request.method, last.body, last.request.url.path) == (becomes, body, "/next")
    assert set(last.request.headers) == ({name.lower() for name in headers} if body else {"x-own"})


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399, 200, 404])
def test_other_answers_are_the_callers(status: int) -> None:
    """A status that is no redirect to follow is given back, whatever its Location: a 300 leaks nothing."""
    followed = Followed(at_home(), to("https://evil.test/", status))
    assert followed.response.status_code == status
    assert len(followed.requests) == 1


@pytest.mark.parametrize(
    ("policy", "options", "count"),
    [
        (Redirects(), {}, 2),
        (Redirects(), {"follow_redirects": False}, 1),
        (Redirects(follow=False), {}, 1),
        (Redirects(follow=False), {"follow_redirects": True}, 2),
    ],
)
def test_following_is_the_calls_choice_then_the_clients(policy: Redirects, options: dict[str, Any], count: int) -> None:
    """An answer that is not followed is no error."""
    assert len(Followed(at_home(), to("/next"), respond(200), policy=policy, **options).requests) == count


def test_the_history_is_kept_oldest_first() -> None:
    """Each answer on the way, with its request, and events that tell of each hop."""
    followed = Followed(at_home(), to("/one?token=t", 301), to("two", 302), respond(200, content=b"here"))
    history = followed.response.history
    assert [(answer.status_code, URL.parse(answer.url).path) for answer in history] == [(301, "/things"), (302, "/one")]
    assert history[1].history == history[:1]
    assert [URL.parse(followed.response.url).path, followed.response.content] == ["/two", b"here"]
    told = [event for event in followed.chain.events if isinstance(event, Redirected)]
    assert [(event.status_code, event.url) for event in told] == [
        (301, "https://api.test/one?token=***"),
        (302, "https://api.test/two"),
    ]
    noted = [[note.reason for note in attempt.notes] for attempt in followed.chain.call.attempts]
    assert noted == [["redirected"], ["redirected"], []]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/next", "https://api.test/next#part"),
        ("/next#own", "https://api.test/next#own"),
        ("?q=2", "https://api.test/a/b?q=2#part"),
        ("../c", "https://api.test/c#part"),
        ("//other.test/x", "https://other.test/x#part"),
        ("  /next  ", "https://api.test/next#part"),
        ("/caf\u00e9".encode().decode("latin-1"), "https://api.test/caf%C3%A9#part"),
        ("/caf\u00e9", "https://api.test/caf%C3%A9#part"),
        ("https://user:pw@api.test/x", "https://api.test/x#part"),
    ],
)
def test_targets_are_resolved(location: str, expected: str) -> None:
    """RFC 3986 references; the fragment is inherited (RFC 9110, section 10.2.2); UTF-8 and latin-1 are read."""
    asked = at_home(url="https://api.test/a/b?q=1#part")
    assert str(Followed(asked, to(location), respond(200)).last.request.url) == expected


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "names no target"),
        ({"location": ""}, "names no target"),
        ([("location", "/a"), ("location", "/b")], "names 2 targets"),
        ({"location": "ftp://api.test/x"}, "cannot be followed"),
        ({"location": "file:///etc/passwd"}, "cannot be followed"),
        ({"location": "javascript:alert(1)"}, "cannot be followed"),
        ({"location": "https://[::1"}, "cannot be followed"),
        ({"location": "https://api.test:99999/"}, "cannot be followed"),
        ({"location": "https://x:secret-pw@[::1/"}, "cannot be followed"),
    ],
)
def test_a_target_that_cannot_be_followed(headers: Any, told: str) -> None:
    """The error has the request and the answer, and shows no password out of a URL."""
    with pytest.raises(RedirectError, match=told) as caught:
        Followed(at_home(), respond(302, headers=headers, content=b"why"))
    assert caught.value.response is not None
    assert (caught.value.response.status_code, caught.value.response.content) == (302, b"why")
    assert caught.value.request is not None
    assert "secret-pw" not in str(caught.value)


def test_the_same_target_twice_is_one() -> None:
    """A Location that is merely repeated is no riddle."""
    answer = respond(302, headers=[("location", "/a"), ("location", "/a")])
    assert Followed(at_home(), answer, respond(200)).last.request.url.path == "/a"


@given(st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=40))
def test_any_location_ends_in_our_tree(location: str) -> None:
    """Whatever a server writes there, the call ends in an answer or in an error of the tree."""
    answers = [Script(Head(302, (("location", location),)), End()), respond(200)]
    with suppress(APIError):
        assert Followed(at_home(), *answers).response.status_code == 200


@pytest.mark.parametrize(("most", "hops"), [(0, 1), (3, 4)])
def test_too_many_redirects(most: int, hops: int) -> None:
    """The limit counts hops; the error has the last answer and what came before it."""
    answers = [to(f"/{i}") for i in range(10)]
    with pytest.raises(TooManyRedirects, match=f"more than {most} redirects") as caught:
        Followed(at_home(), *answers, policy=Redirects(max_redirects=most))
    assert caught.value.response is not None
    assert len(caught.value.response.history) == hops - 1


def test_a_circle_is_seen_before_the_limit() -> None:
    """The same request for the third time is a loop; once more is not, since a server may set a cookie between."""
    assert len(Followed(at_home(), to("/x"), to("/things#other"), respond(200)).requests) == 3
    with pytest.raises(TooManyRedirects, match="third time") as caught:
        Followed(at_home(), *[to("/x"), to("/things")] * 5)
    assert caught.value.response is not None
    assert len(caught.value.response.history) == 3


def test_a_one_shot_body_is_not_sent_again() -> None:
    """T2: a 307 for a body that is used up is an error with the answer in it; made GET by a 303 it is none."""
    asked = at_home(method="POST", body=OneShotBody(iter([b"x"])))
    with pytest.raises(RedirectError, match="read only once"):
        Followed(asked, to("/next", 307))
    asked = at_home(method="POST", body=OneShotBody(iter([b"x"])))
    assert Followed(asked, to("/next", 303), respond(200)).last.body == b""


@pytest.mark.parametrize(
    "make", [lambda: BytesBody(b"x"), lambda: FactoryBody(lambda: [b"x"]), lambda: OneShotBody(iter([b"x"]))]
)
@pytest.mark.parametrize("location", ["https://evil.test/", "http://api.test/", "https://api.test:444/"])
def test_a_body_never_goes_to_another_origin(make: Any, location: str) -> None:
    """A 307 that would carry it there is an error that names the way out."""
    with pytest.raises(RedirectError, match="allow_origins"):
        Followed(at_home(method="POST", body=make()), to(location, 307))


def test_a_bodiless_post_may_go_elsewhere() -> None:
    """Where there is no body, a 307 to another origin sends the method alone."""
    last = Followed(at_home(method="POST"), to("https://other.test/", 307), respond(200)).last
    assert (last.request.method, last.request.url.host) == ("POST", "other.test")


def test_an_allowed_origin_gets_everything() -> None:
    """`allow_origins` makes another origin part of home: body and credentials go there."""
    asked = at_home(method="POST", headers={"X-API-Key": "k"}, body=BytesBody(b"x"))
    asked = asked.replace(home=HOME | {Origin("https", "other.test", 443)})
    last = Followed(asked, to("https://other.test/", 307), respond(200)).last
    assert (last.request.headers["x-api-key"], last.body) == ("k", b"x")


def test_a_detour_costs_only_its_own_hop_the_credentials() -> None:
    """Home, elsewhere, home: the foreign hop goes without, and back home they are there again."""
    asked = at_home(headers={"Authorization": "Bearer t", "X-Own": "1"})
    followed = Followed(asked, to("http://api.test/x"), to("https://api.test/y"), respond(200))
    sent = [arrival.request.headers.get("authorization") for arrival in followed.requests]
    assert sent == ["Bearer t", None, "Bearer t"]
    told = [event for event in followed.chain.events if isinstance(event, CredentialsWithheld)]
    assert [(event.origin, event.names) for event in told] == [("http://api.test:80", ("authorization",))]


def test_what_a_call_gives_to_a_foreign_origin_stays_there() -> None:
    """Fields given for an absolute URL elsewhere follow redirects within that origin, and no further."""
    asked = at_home(url="https://store.test/x", headers={"X-API-Key": "k"}, method="PUT", body=BytesBody(b"x"))
    last = Followed(asked, to("/y", 307), respond(200)).last
    assert (last.request.headers.get("x-api-key"), last.body) == ("k", b"x")
    last = Followed(asked.replace(method="POST"), to("https://evil.test/", 303), respond(200)).last
    assert "x-api-key" not in last.request.headers


def test_a_host_field_goes_with_its_origin() -> None:
    """A Host field set by hand is not sent to another host."""
    asked = at_home(headers={"Host": "virtual.test"})
    same, other = Followed(asked, to("/x"), respond(200)), Followed(asked, to("//other.test/"), respond(200))
    assert same.last.request.headers.get("host") == "virtual.test"
    assert "host" not in other.last.request.headers


class Closing:
    """A stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x"

    async def aclose(self) -> None:
        self.closed = True


def test_a_streamed_call_closes_the_answers_on_the_way(world: World[Any]) -> None:
    """The body of a redirect is given back unread before the next request goes out; the last one is the caller's."""
    streams: list[Closing] = []

    class Server:
        stage = Redirects.stage

        async def __call__(self, request: Request, context: Any) -> Response:
            assert all(stream.closed for stream in streams)
            streams.append(Closing())
            answer = Response(200 if request.url.path == "/end" else 302, stream=streams[-1], request=request)
            answer.headers["location"] = "/end"
            return answer

    chain = Chain(world.runtime, [], Script(Head(200), Chunk(b""), End()))

    async def body() -> Response:
        await chain.send(a_request())
        assert chain.call is not None
        from rest_api_client.context import Context

        return await Redirects()(at_home(), Context(chain.call), Server())

    response = world.run(body)
    assert [stream.closed for stream in streams] == [True, False]
    assert response.stream is streams[1]


@pytest.mark.parametrize("most", [-1, 1.5, "3"])
def test_bad_options_are_refused(most: Any) -> None:
    """A limit that is no whole number from 0 up."""
    with pytest.raises(ConfigurationError, match="max_redirects="):
        Redirects(max_redirects=most)
