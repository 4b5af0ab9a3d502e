"""On the wire, over TLS: no credential crosses an origin, and at home every one of them arrives.

Twelve carriers ride on the requests of three clients (two of them want the Authorization field for themselves):
Authorization header, auth object, Cookie header, jar cookie, Proxy-Authorization, X-API-Key, Api-Key, X-Auth-Token, a
header that an auth plugin sets, query key (of the client, and of `ApiKeyAuth`), client certificate, body. Each value
contains one word, so that a leak of any of them, anywhere in a request, is found by looking for that word. The servers'
redirects and links repeat the query that they were called with, as many do.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from rest_api_client import APIError, BearerAuth, ConfigurationError, RedirectError, Request
from rest_api_client.auth.schemes import ApiKeyAuth
from rest_api_client.transport import Capability
from tests.rest_api_client.cells import Cell, every_cell, with_options
from tests.wire import Connection, Handler, Received, Server, each

WORD = "planted"
NAMES = {"home": "api.test", "other": "elsewhere.test", "idn": "bücher.test", "idn in ASCII": "xn--bcher-kva.test"}
LOOPBACK = {"home": "127.0.0.1", "other": "localhost"}
"""For an engine that takes no resolver of ours."""


def guide(connection: Connection, request: Received) -> None:
    """Redirect, or link, to where the request's own path says; answer everything else."""
    parts = urlsplit(request.target)
    kind, _, target = parts.path.strip("/").partition("/")
    if kind == "landing":
        return connection.answer(set_cookie="served=1; Path=/")
    where = bytes.fromhex(target).decode() + (f"?{parts.query}" if parts.query else "")
    if kind == "link":
        return connection.answer(link=f'<{where}>; rel="next"')
    location = f"HTTP/1.1 {kind} There\r\ncontent-length: 0\r\nlocation: {where}\r\n\r\n"
    return connection.send(location.encode())


def leading_to(kind: str, target: str) -> str:
    """The path at which `guide` leads to a target."""
    return f"/{kind}/{target.encode().hex()}"


@dataclass
class Stage:
    """The servers of this page, and what it takes to trust them."""

    home: Server
    other: Server
    plain: Server
    six: Server
    ca: str
    certificate: tuple[str, str]

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return [self.home, self.other, self.plain, self.six]

    def forget(self) -> None:
        """Begin to count anew."""
        for server in self.servers:
            server.requests.clear()

    def landed(self) -> list[Received]:
        """What came where the redirects, links and URLs of these tests point."""
        return [r for server in self.servers for r in server.requests if "/landing" in r.target]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Four origins: home, another TLS server, one without TLS, one on IPv6."""
    ca, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    mine = ca.issue_cert("client@example.org")
    mine.private_key_pem.write_to_path(folder / "key.pem")
    mine.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    context = _server_context(ca, folder)
    handle: Handler = each(guide)
    with (
        Server(handle, tls=context) as home,
        Server(handle, tls=context) as other,
        Server(handle) as plain,
        Server(handle, host="::1", tls=context) as six,
    ):
        yield Stage(
            home, other, plain, six, str(folder / "ca.pem"), (str(folder / "cert.pem"), str(folder / "key.pem"))
        )


def _server_context(ca: trustme.CA, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*NAMES.values(), *LOOPBACK.values(), "::1").configure_cert(context)
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def plugin(request: Request) -> Request:
    """An auth plugin whose header nobody could know for a credential."""
    return request.with_headers(X_Corp_Stamp=f"{WORD}-plugin")


CARRIERS: dict[str, dict[str, Any]] = {
    "fields": {
        "headers": {
            "Authorization": f"Bearer {WORD}-header",
            "Cookie": f"mine={WORD}-cookie-header",
            "Proxy-Authorization": f"Basic {WORD}-proxy",
            "X-API-Key": f"{WORD}-x-api-key",
            "Api-Key": f"{WORD}-api-key",
            "X-Auth-Token": f"{WORD}-x-auth-token",
        },
        "params": {"api_key": f"{WORD}-query"},
        "auth": plugin,
    },
    "bearer": {"auth": BearerAuth(f"{WORD}-auth-object")},
    "query": {"auth": ApiKeyAuth(f"{WORD}-auth-query", query="access_token")},
}
ARRIVES = {
    "fields": ["header", "cookie-header", "proxy", "x-api-key", "api-key", "x-auth-token", "query", "plugin", "jar"],
    "bearer": ["auth-object", "jar"],
    "query": ["auth-query", "jar"],
}


@pytest.fixture(autouse=True)
def _no_certificates_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


class Scene:
    """One cell, its names for the stage's servers, and its clients."""

    def __init__(self, cell: Cell, stage: Stage) -> None:
        self.cell = cell
        self.stage = stage
        self.resolves = cell.can(Capability.RESOLVER)
        names = NAMES if self.resolves else NAMES | LOOPBACK
        self.home = stage.home.at(names["home"])
        self.targets: dict[str, str] = {
            "the same origin": f"{self.home}/landing",
            "the same origin, relative": "/landing",
            "another port": f"{stage.other.at(names['home'])}/landing",
            "another host": f"{stage.home.at(names['other'])}/landing",
            "https to http": f"{stage.plain.at(names['home'])}/landing",
            "userinfo": f"{stage.other.at('ada:secret@' + names['other'])}/landing",
            "userinfo like home": f"{stage.other.at(names['home'] + '%40x@' + names['other'])}/landing",
            "IPv6": f"{stage.six.url}/landing",
            "IDN": f"{self._idn}/landing",
        }

    @property
    def _idn(self) -> str:
        # pyreqwest has no resolver of ours, so the name goes through a proxy, which takes http; and it cannot give a
        # field with characters beyond ASCII.
        return self.stage.other.at(NAMES["idn"]) if self.resolves else f"http://{NAMES['idn in ASCII']}:80"

    @property
    def options(self) -> dict[str, Any]:
        """How the stage is reached and trusted, with a jar cookie and a client certificate on the way."""
        options: dict[str, Any] = {
            "base_url": self.home,
            "verify": self.stage.ca,
            "cert": self.stage.certificate,
            "cookies": {"session": f"{WORD}-jar"},
        }
        if self.resolves:
            options["resolver"] = lambda host, port: [("127.0.0.1", port)]
        else:
            options["proxy"] = {f"all://{NAMES['idn in ASCII']}": self.stage.plain.url}
        return options

    def run(self, visit: Callable[[Any, str], Any]) -> None:
        """Have each of the three clients, which share their connections, make a visit."""

        async def body() -> None:
            async with self.cell.client(**self.options) as client:
                for name, carriers in CARRIERS.items():
                    await visit(with_options(client, **carriers), name)

        self.stage.forget()
        self.cell.run(body)


FOREIGN = (
    "another port", "another host", "https to http", "userinfo", "userinfo like home", "IPv6", "IDN",
)  # fmt: skip
FOLLOWED = (301, 302, 303, 307, 308)
HOME = ("the same origin", "the same origin, relative")


def leaks(request: Received) -> list[str]:
    """Whatever of the carriers stands in a request."""
    said = [request.method, request.target, request.body.decode("latin-1"), *map(": ".join, request.fields)]
    found = [text for text in said if WORD in text or "secret" in text or "authorization" in text.lower()]
    return found + ["client certificate"] * (request.certificate is not None)


@every_cell
@pytest.mark.parametrize("where", FOREIGN)
def test_no_credential_crosses_an_origin(cell: Cell, stage: Stage, where: str) -> None:
    """T4, T22: by five redirects without and with a body, by a URL the caller writes, by a page's next-link."""
    scene = Scene(cell, stage)
    target = scene.targets[where]

    async def visit(client: Any, _: str) -> None:
        for code in FOLLOWED:
            await follow(client, code, target)
        assert (await client.get(leading_to("300", target))).status_code == 300
        page = await client.get(leading_to("link", target))
        for url in (target, page.links["next"].url):
            if "@" in url:
                with pytest.raises(ConfigurationError, match="allow_origins"):
                    await client.get(url)
            else:
                await client.get(url)

    scene.run(visit)
    by_url = 1 if "@" in target else 2  # a link leaves the userinfo out by itself
    assert len(stage.landed()) == len(CARRIERS) * (GETS + BODILESS_POSTS + by_url)
    assert [found for request in stage.landed() for found in leaks(request)] == []
    assert {request.method for request in stage.landed()} == {"GET"}


GETS, BODILESS_POSTS = len(FOLLOWED), 3
"""What `follow` may have arrive: 301, 302 and 303 turn a POST into a GET without a body."""


async def follow(client: Any, code: int, target: str) -> None:
    """A GET and a POST that are redirected; where the body would go along, the client refuses."""
    response = await client.get(leading_to(str(code), target))
    assert [hop.status_code for hop in response.history] == [code]
    posted = {"json": {"password": f"{WORD}-body"}, "idempotency_key": True}
    if code in {307, 308}:
        with pytest.raises(RedirectError, match="body"):
            await client.post(leading_to(str(code), target), **posted)
    else:
        await client.post(leading_to(str(code), target), **posted)


@every_cell
@pytest.mark.parametrize("where", HOME)
def test_at_home_every_credential_arrives(cell: Cell, stage: Stage, where: str) -> None:
    """The same requests to their own origin carry everything, the body where the code keeps it."""
    scene = Scene(cell, stage)
    target = scene.targets[where]
    arrived: dict[str, list[Received]] = {}

    async def visit(client: Any, carriers: str) -> None:
        stage.forget()
        for code in FOLLOWED:
            await client.get(leading_to(str(code), target))
            await client.post(leading_to(str(code), target), json={"password": f"{WORD}-body"})
        page = await client.get(leading_to("link", target))
        await client.get(page.links["next"].url)
        await client.get(target)
        arrived[carriers] = stage.landed()

    scene.run(visit)
    for carriers, requests in arrived.items():
        assert len(requests) == 2 * len(FOLLOWED) + 2
        for request in requests:
            said = " ".join([request.target, *map(": ".join, request.fields)])
            assert [name for name in ARRIVES[carriers] if f"{WORD}-{name}" not in said] == []
            assert request.certificate is not None
        bodies = [request.body for request in requests if request.method == "POST"]
        assert bodies == [b'{"password":"%s-body"}' % WORD.encode()] * 2


@every_cell
def test_a_location_beyond_ascii_is_followed_clean_or_refused(cell: Cell, stage: Stage) -> None:
    """An engine that cannot give such a field says so; nobody guesses a target."""
    scene = Scene(cell, stage)
    target = f"{stage.other.at(NAMES['idn'])}/landing"

    async def visit(client: Any, _: str) -> None:
        if scene.resolves:
            await client.get(leading_to("302", target))
        else:
            with pytest.raises(APIError):
                await client.get(leading_to("302", target))

    scene.run(visit)
    assert len(stage.landed()) == len(CARRIERS) * scene.resolves
    assert [found for request in stage.landed() for found in leaks(request)] == []


@every_cell
def test_a_foreign_cookie_stays_foreign(cell: Cell, stage: Stage) -> None:
    """What another origin sets is sent back there, and not at home."""
    scene = Scene(cell, stage)
    target = scene.targets["another port"]

    async def body() -> None:
        async with cell.client(**scene.options) as client:
            await client.get(target)
            await client.get(target)
            await client.get("/landing/home")

    stage.forget()
    cell.run(body)
    there = [request.headers.get("cookie") for request in stage.other.requests]
    assert there == [None, "served=1"]
    assert not any("served=1" in request.headers.get("cookie", "") for request in stage.home.requests)


@every_cell
def test_origins_that_are_allowed_get_everything(cell: Cell, stage: Stage) -> None:
    """`allow_origins` is how a credential may go further, and then it does, certificate and body included."""
    scene = Scene(cell, stage)
    target = scene.targets["another port"]

    async def body() -> None:
        async with cell.client(allow_origins=[target], **scene.options, **CARRIERS["bearer"]) as client:
            await client.post(leading_to("307", target), content=f"{WORD}-body")

    stage.forget()
    cell.run(body)
    [request] = stage.landed()
    assert request.headers["authorization"] == f"Bearer {WORD}-auth-object"
    assert request.body == f"{WORD}-body".encode()
    assert request.certificate is not None
