"""Cookies in the chain: stored from answers, sent to their own origin, merged with the caller's."""

from __future__ import annotations

from typing import Any

import pytest

from rest_api_client.engines.scripted import respond
from rest_api_client.events import CredentialsWithheld
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.urls import URL, Origin
from rest_api_client.models import Request
from rest_api_client.policies.cookies import MAX_FOREIGN_ORIGINS, Cookies, ForeignJars, merge_cookies
from rest_api_client.policies.redirects import Redirects
from rest_api_client.script import Script
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

HOME = frozenset({Origin("https", "api.test", 443)})


def sets(*cookies: str, status: int = 200, location: str | None = None) -> Script:
    fields = [("set-cookie", cookie) for cookie in cookies]
    return respond(status, headers=[*fields, *([("location", location)] if location else [])])


def ask(url: str = "https://api.test/", home: frozenset[Origin] = HOME, **headers: str) -> Request:
    return a_request(url=url, home=home, headers=headers)


class Browsing:
    """A chain with a jar, and the Cookie field of each request it sent."""

    def __init__(self, world: World[Any], *answers: Script) -> None:
        self.jar = CookieJar()
        self.world = world
        self.chain = Chain(world.runtime, [Redirects(), Cookies(jar=self.jar)], answers)

    def send(self, *requests: Request) -> list[str | None]:
        async def body() -> None:
            for request in requests:
                await self.chain.send(request)

        self.world.run(body)
        return [arrival.request.headers.get("cookie") for arrival in self.chain.server.requests]


def test_a_cookie_comes_back(world: World[Any]) -> None:
    """What an answer sets goes with the next request, until it expires by the client's own clock."""
    browsing = Browsing(world, sets("a=1", "b=2; Max-Age=60"), respond(200), respond(200))
    assert browsing.send(ask(), ask()) == [None, "a=1; b=2"]

    async def later() -> None:
        await world.runtime.sleep(61)
        await browsing.chain.send(ask())

    world.run(later)
    assert browsing.send()[2:] == ["a=1"]


def test_a_cookie_set_by_a_redirect_goes_with_the_next_hop(world: World[Any]) -> None:
    """Each hop stores and sends its own."""
    browsing = Browsing(world, sets("session=s", status=302, location="/in"), respond(200))
    assert browsing.send(ask()) == [None, "session=s"]


def test_the_callers_own_cookies_win(world: World[Any]) -> None:
    """A Cookie field given by hand is merged with the jar's; of one name the given one is sent."""
    browsing = Browsing(world, sets("a=jar", "b=jar"), respond(200))
    assert browsing.send(ask(), ask(Cookie="a=own; c=own")) == [None, "a=own; c=own; b=jar"]


def test_a_given_field_alone_is_sent_as_it_is(world: World[Any]) -> None:
    """Nothing is rewritten where the jar has nothing to add."""
    assert Browsing(world, respond(200)).send(ask(Cookie="a=1;  b=2")) == ["a=1;  b=2"]


@pytest.mark.parametrize(
    "elsewhere", ["https://api.test:444/", "http://api.test/", "https://other.test/", "https://sub.api.test/"]
)
def test_the_jar_of_home_is_closed_to_other_origins(world: World[Any], elsewhere: str) -> None:
    """Cookies of home, even those for the whole domain, go to no foreign origin; an event says so where they would."""
    browsing = Browsing(
        world, sets("host=1", "wide=2; Domain=api.test"), sets(status=302, location=elsewhere), respond(200)
    )
    browsing.jar.set("mine", "3", domain="api.test", subdomains=True)
    assert browsing.send(ask(), ask()) == ["mine=3", "mine=3; host=1; wide=2", None]
    told = [event for event in browsing.chain.events if isinstance(event, CredentialsWithheld)]
    would = "other.test" not in elsewhere
    assert [(event.origin, event.names) for event in told] == [(str(URL.parse(elsewhere).origin), ("cookie",))] * would


def test_a_foreign_origin_gets_its_own_back(world: World[Any]) -> None:
    """What a foreign origin sets goes back to exactly it, and never into the client's jar or to home."""
    browsing = Browsing(
        world,
        sets("session=mine"),
        sets(status=302, location="http://api.test/sso"),
        sets("session=evil", "sso=1; Domain=api.test", status=302, location="http://api.test/again"),
        sets(status=302, location="https://api.test/home"),
        respond(200),
    )
    assert browsing.send(ask(), ask()) == [None, "session=mine", None, "session=evil; sso=1", "session=mine"]
    assert [cookie.value for cookie in browsing.jar] == ["mine"]


def test_an_origin_met_as_foreign_keeps_its_cookies_at_home(world: World[Any]) -> None:
    """Without a base URL: what a redirect's target set is sent, and kept up to date, when the caller goes there."""
    www = frozenset({Origin("https", "www.api.test", 443)})
    browsing = Browsing(
        world,
        sets(status=302, location="https://www.api.test/"),
        sets("session=1"),
        sets("session=2"),
        sets(status=302, location="https://www.api.test/"),
        respond(200),
    )
    direct = ask("https://www.api.test/", www)
    assert browsing.send(ask(), direct, ask()) == [None, None, "session=1", None, "session=2"]


def test_foreign_origins_are_kept_in_bounds() -> None:
    """The origin not met for longest is forgotten first."""
    jars = ForeignJars()
    origins = [Origin("https", f"h{i}.test", 443) for i in range(MAX_FOREIGN_ORIGINS + 1)]
    for origin in origins:
        jars.make(origin)
        jars.make(origins[1])
    assert len(jars) == MAX_FOREIGN_ORIGINS
    assert jars.find(origins[0]) is None
    assert all(jars.find(origin) is not None for origin in origins[1:])


def test_binding_keeps_the_jar_and_the_foreign_ones(world: World[Any]) -> None:
    """A bound policy equals its options, and binding it again keeps what it has learned."""
    options = Cookies(jar=CookieJar())
    bound = options.bind(world.runtime)
    assert bound == options
    assert bound.foreign is not None
    assert bound.bind(world.runtime) is bound


@pytest.mark.parametrize(
    ("fields", "merged"),
    [
        ((), ""),
        (("", ""), ""),
        (("a=1", "a=2; b=3"), "a=1; b=3"),
        (("", "a=1; a=2"), "a=1; a=2"),
        (("a = 1", "a=2"), "a = 1"),
        (("flag", "flag=2"), "flag"),
    ],
)
def test_merging(fields: tuple[str, ...], merged: str) -> None:
    """Earlier fields win by name; the two of one name in one field (two paths) both stay."""
    assert merge_cookies(*fields) == merged
