"""No credential crosses an origin: every code, every kind of target, every carrier, in the chain of the policies.

Each cell sends one request that carries every credential there is, is redirected, and looks at what the second server
received: at home all of it, elsewhere none, whatever part of the request it would have travelled in. Class of
vulnerability: credentials over redirects.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

import pytest

from rest_api_client.auth.schemes import ApiKeyAuth, Auth, Authentication, BasicAuth, Flow
from rest_api_client.engines.scripted import Arrival, respond
from rest_api_client.events import CredentialsWithheld
from rest_api_client.exceptions import RedirectError
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from rest_api_client.policies.cookies import Cookies
from rest_api_client.policies.redirects import Redirects
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Script
from rest_api_client.virtual.clock import VirtualClock
from tests.rest_api_client.chain import Chain

SECRET = "S3cr3t-value"
CODES = [300, 301, 302, 303, 307, 308]
START = "https://api.test/start?api_key=" + SECRET

AT_HOME = {
    "same origin, relative": "/next",
    "same origin, absolute": "https://api.test/next",
    "same origin, port said": "https://api.test:443/next",
    "same origin, other case": "HTTPS://API.Test/next",
    "same origin, userinfo": "https://evil.test@api.test/next",
    "same origin, userinfo with a backslash": "https://evil.test\\@api.test/next",
}
ELSEWHERE = {
    "other port": "https://api.test:8443/next",
    "other host": "https://evil.test/next",
    "other host, scheme-relative": "//evil.test/next",
    "subdomain": "https://sub.api.test/next",
    "longer name": "https://api.test.evil.test/next",
    "trailing dot": "https://api.test./next",
    "https to http": "http://api.test/next",
    "https to http, same port": "http://api.test:443/next",
    "userinfo": "https://api.test@evil.test/next",
    "userinfo with port": "https://api.test:443@evil.test/next",
    "IPv6": "https://[::1]/next",
    "IPv4": "https://127.0.0.1/next",
    "IDN": "https://\u00e4pi.test/next",
    "IDN in raw UTF-8": "https://\u00e4pi.test/next".encode().decode("latin-1"),
    "punycode": "https://xn--pi-via.test/next",
    "query repeated": "https://evil.test/next?api_key=" + SECRET,
    "query repeated encoded": "https://evil.test/next?x=1&api%5Fkey=" + SECRET,
}


class PluginAuth(Auth):
    """An auth that sets a field of an innocent name."""

    def flow(self, request: Request) -> Flow:
        yield request.with_headers(X_Who=SECRET)


HEADERS = ["Authorization", "Cookie", "Proxy-Authorization", "X-API-Key", "Api-Key", "X-Auth-Token"]
CARRIERS = [*HEADERS, "auth object", "auth plugin's field", "auth query key", "query key", "jar cookie", "body"]
AUTHS: dict[str, Auth] = {
    "auth object": BasicAuth("user", SECRET),
    "auth plugin's field": PluginAuth(),
    "auth query key": ApiKeyAuth(SECRET, query="key"),
}


def carried(carrier: str, arrival: Arrival) -> bool:
    """Whether the secret is anywhere in what a server received."""
    request = arrival.request
    parts = [str(request.url), *(value for _, value in request.headers.multi_items()), arrival.body.decode()]
    if carrier == "auth object":
        parts += [base64.b64decode(value[6:]).decode() for value in parts if value.startswith("Basic ")]
    return SECRET in unquote(" ".join(parts))


class Cell:
    """One request with one credential, redirected once."""

    def __init__(self, code: int, location: str, carrier: str) -> None:
        start = URL.parse(START if carrier == "query key" else "https://api.test/start")
        request = Request(method="POST" if carrier == "body" else "GET", url=start, home=frozenset({start.origin}))
        if carrier in HEADERS:
            request = request.replace(headers=request.headers.merged({carrier: f"a={SECRET}"}))
        if carrier == "body":
            request = request.replace(body=BytesBody(SECRET.encode()))
        jar = CookieJar()
        if carrier == "jar cookie":
            jar.set("session", SECRET, domain="api.test", subdomains=True)
        policies: list[Any] = [Redirects(), Cookies(jar=jar), Authentication(auth=AUTHS.get(carrier))]
        self.carrier = carrier
        self.error: RedirectError | None = None
        self.chain = Chain(SyncRuntime(VirtualClock()), policies, self._serve(code, location))
        try:
            run_sync(self.chain.send(request))
        except RedirectError as error:
            self.error = error

    @staticmethod
    def _serve(code: int, location: str) -> Any:
        def serve(request: Request, index: int) -> Script:
            return respond(200) if index else respond(code, headers={"location": location})

        return serve

    @property
    def carried(self) -> list[bool]:
        return [carried(self.carrier, arrival) for arrival in self.chain.server.requests]

    @property
    def withheld(self) -> list[str]:
        return [name for event in self.chain.events if isinstance(event, CredentialsWithheld) for name in event.names]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("code", CODES)
def test_at_home_everything_arrives(code: int, carrier: str) -> None:
    """At home each credential reaches the second request, but for a body that the code itself drops."""
    for location in AT_HOME.values():
        target = f"{location}?api_key={SECRET}" if carrier == "query key" else location
        cell = Cell(code, target, carrier)
        arrives = carrier != "body" or code >= 307
        assert cell.carried == ([True] if code == 300 else [True, arrives]), location
        assert cell.error is None
        assert cell.withheld == []


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("code", CODES)
def test_elsewhere_nothing_arrives(code: int, carrier: str) -> None:
    """In every other cell no credential leaves: the second request goes without, or not at all."""
    for kind, location in ELSEWHERE.items():
        if carrier != "query key" and kind.startswith("query"):
            continue
        cell = Cell(code, location, carrier)
        assert cell.carried[0], "the credential did not even reach home: this cell proves nothing"
        assert cell.carried[1:] in ([], [False]), kind
        if carrier == "body" and code >= 307:
            assert cell.error is not None, kind
        else:
            assert cell.error is None, kind
            assert len(cell.carried) == (1 if code == 300 else 2), kind


@pytest.mark.parametrize("carrier", [*HEADERS, "auth object", "query key", "jar cookie"])
def test_an_event_names_what_stayed(carrier: str) -> None:
    """What is withheld is told, by name and never by value."""
    location = ELSEWHERE["query repeated" if carrier == "query key" else "subdomain"]
    names = {"auth object": "auth", "query key": "api_key", "jar cookie": "cookie"}
    assert Cell(302, location, carrier).withheld == [names.get(carrier, carrier.lower())]


def test_the_targets_are_what_they_are_called() -> None:
    """Each target of the matrix resolves to an origin of its kind."""
    start = URL.parse(START)
    assert {start.resolve(location).origin for location in AT_HOME.values()} == {start.origin}
    elsewhere = {kind: location for kind, location in ELSEWHERE.items() if kind != "IDN in raw UTF-8"}
    assert start.origin not in {start.resolve(location).origin for location in elsewhere.values()}
