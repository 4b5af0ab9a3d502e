"""Which proxy is used, and what is said to it and to nobody else."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.proxies import Proxies, Proxy
from rest_api_client.exceptions import ConfigurationError, ConnectTimeout, ProxyError, TLSError
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.urls import URL
from tests.patience import HANGS
from tests.rest_api_client.engines.httpx.test_tls import Authority, authority
from tests.rest_api_client.engines.proxy import http_proxy, refusing_proxy, socks_proxy
from tests.rest_api_client.engines.raw import Peer, RawServer, dead_port
from tests.rest_api_client.engines.rigs import Rig, exchange, fetch, read, request

__all__ = ["authority"]


def found(url: str, environ: dict[str, str] | None = None, **options: Any) -> str | None:
    """The host of the proxy for a URL."""
    proxy = Proxies(ConnectionOptions(**options), environ or {}).find(URL.parse(url))
    return proxy and f"{proxy.host}:{proxy.port}"


ENVIRON = {"HTTP_PROXY": "http://plain:1", "https_proxy": "secure:2", "ALL_PROXY": "socks5://all"}


def test_the_environment_names_proxies_by_scheme() -> None:
    """HTTP_PROXY, HTTPS_PROXY, else ALL_PROXY; lower case first; a bare host is an http proxy."""
    assert found("http://a.test/", ENVIRON) == "plain:1"
    assert found("https://a.test/", ENVIRON) == "secure:2"
    assert found("https://a.test/", {"ALL_PROXY": "socks5://all"}) == "all:1080"
    assert found("http://a.test/", {"http_proxy": "low", "HTTP_PROXY": "high"}) == "low:80"
    assert found("http://a.test/") is None
    assert found("http://a.test/", ENVIRON, trust_env=False) is None
    assert found("http://a.test/", ENVIRON, uds="/s") is None


def test_a_cgi_process_does_not_take_its_proxy_from_a_header() -> None:
    """HTTP_PROXY beside REQUEST_METHOD came from a client's Proxy header; http_proxy did not."""
    assert found("http://a.test/", {"HTTP_PROXY": "evil", "REQUEST_METHOD": "GET"}) is None
    assert found("http://a.test/", {"http_proxy": "good", "REQUEST_METHOD": "GET"}) == "good:80"


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("*", "http://a.test/", True),
        ("a.test", "http://a.test/", True),
        ("a.test", "http://b.a.test/", True),
        (".a.test", "http://b.a.test/", True),
        ("*.a.test", "http://b.a.test/", True),
        ("a.test", "http://ba.test/", False),
        ("A.TEST", "http://a.test/", True),
        ("a.test:8080", "http://a.test:8080/", True),
        ("a.test:8080", "http://a.test/", False),
        ("http://a.test", "http://a.test/", True),
        ("127.0.0.1", "http://127.0.0.1/", True),
        ("127.0.0.0/8", "http://127.3.2.1/", True),
        ("10.0.0.0/8", "http://127.0.0.1/", False),
        ("10.0.0.0/8", "http://[::1]/", False),
        ("::1", "http://[::1]/", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("fe80::/10", "http://[fe80::1]/", True),
        ("localhost, a.test", "http://a.test/", True),
        ("localhost a.test", "http://a.test/", True),
        ("", "http://a.test/", False),
    ],
)
def test_no_proxy(entry: str, url: str, direct: bool) -> None:
    """NO_PROXY takes hosts with their subdomains, ports, addresses, networks and the star."""
    assert (found(url, {**ENVIRON, "NO_PROXY": entry}) is None) is direct


def test_the_most_particular_pattern_wins() -> None:
    """Host and port before host, host before any host, scheme before any scheme; None means directly."""
    proxy = {
        "all://": "any:1",
        "https://": "secure:1",
        "all://a.test": "host:1",
        "http://a.test:8080": "port:1",
        "all://*.b.test": "sub:1",
        "all://free.test": None,
    }
    hosts = {
        "http://c.test/": "any:1",
        "https://c.test/": "secure:1",
        "https://a.test/": "host:1",
        "http://a.test:8080/": "port:1",
        "http://x.b.test/": "sub:1",
        "http://b.test/": "any:1",
        "http://free.test/": None,
    }
    assert {url: found(url, ENVIRON, proxy=proxy) for url in hosts} == hosts


def test_what_is_given_stands_before_the_environment() -> None:
    """One URL serves all; what a mapping leaves open, the environment decides."""
    assert found("https://a.test/", {**ENVIRON, "NO_PROXY": "*"}, proxy="mine:1") == "mine:1"
    assert found("https://a.test/", ENVIRON, proxy={"http://": "mine:1"}) == "secure:2"
    assert found("https://a.test/", ENVIRON, proxy={"all://a.test": None}) is None


@pytest.mark.parametrize(
    ("proxy", "match"),
    [
        ("ftp://user:secret@p.test", "http://, https:// or socks5://"),
        ("http://", "with a host"),
        ("http://p.test:port", "no URL"),
        ({"a.test": "p:1"}, "patterns look like"),
        ({"ftp://a.test": "p:1"}, "patterns look like"),
        ({"http://a.test:x": "p:1"}, "Port"),
    ],
)
def test_what_is_no_proxy_is_refused(proxy: Any, match: str) -> None:
    """A proxy or pattern that cannot work is a ConfigurationError without the password."""
    with pytest.raises(ConfigurationError, match=match) as caught:
        found("http://a.test/", proxy=proxy)
    assert "secret" not in str(caught.value)


def test_a_socks_proxy_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without socksio the message names the extra."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"rest-api-client-kit\[socks\]"):
        found("http://a.test/", proxy="socks5://p.test")


def test_a_proxy_shows_no_password() -> None:
    """User name and password are unquoted for the proxy, and in no repr."""
    proxy = Proxy.parse("http://u%40x:s%3Acret@p.test:3128")
    assert proxy.auth == (b"u@x", b"s:cret")
    assert "cret" not in repr(proxy)


# ---------------------------------------------------------------------- on the wire


def test_http_goes_to_the_proxy_with_the_whole_url(rig: Rig) -> None:
    """The proxy is asked for the absolute URL, and its password goes to it alone."""

    async def body(proxy: RawServer) -> None:
        async with rig.engine(proxy=f"http://u:p@127.0.0.1:{proxy.port}") as engine:
            seen = exchange()
            response = await engine.send(request("http://a.test/%7Ex?y=1"), seen)
            assert await read(response) == b"GET http://a.test/%7Ex?y=1 HTTP/1.1"
            assert seen.bytes_sent == len(proxy.heads[0]) + 4
            await fetch(engine, "http://a.test/again")
            assert proxy.accepted == 1

    with RawServer(http_proxy) as proxy:
        rig.run(body, proxy)
        assert b"Proxy-Authorization: Basic dTpw" in proxy.heads[0]
        assert b"Host: a.test" in proxy.heads[0]


def test_https_goes_through_a_tunnel(rig: Rig, authority: Authority) -> None:
    """CONNECT, then TLS with the origin itself, which never sees the proxy's password."""

    async def body(server: RawServer, proxy: RawServer) -> None:
        async with rig.engine(proxy=f"http://u:p@127.0.0.1:{proxy.port}", verify=authority.ca) as engine:
            seen = exchange()
            response = await engine.send(request(server.url, "POST", body=BytesBody(b"abc")), seen)
            assert await read(response) == b"hello"
            assert seen.bytes_sent == len(server.heads[0]) + 4 + 3

    with RawServer(tls=authority.server) as server, RawServer(http_proxy) as proxy:
        rig.run(body, server, proxy)
        assert b"Proxy-Authorization" in proxy.heads[0]
        assert b"roxy" not in server.heads[0]


def test_a_proxy_may_itself_speak_tls(rig: Rig, authority: Authority) -> None:
    """TLS inside TLS: a tunnel through an https proxy."""

    def handler(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def body(proxy: RawServer) -> None:
        async with rig.engine(proxy=f"https://127.0.0.1:{proxy.port}", verify=authority.ca) as engine:
            assert (await fetch(engine, "http://a.test/"))[1] == b"ok"
        async with rig.engine(proxy=f"https://127.0.0.1:{proxy.port}") as engine:
            with pytest.raises(TLSError):
                await fetch(engine, "http://a.test/")

    with RawServer(handler, tls=authority.server) as proxy:
        rig.run(body, proxy)


def test_tls_runs_inside_a_proxys_tls(rig: Rig, authority: Authority) -> None:
    """An https origin behind an https proxy."""

    async def body(server: RawServer, proxy: RawServer) -> None:
        async with rig.engine(proxy=f"https://127.0.0.1:{proxy.port}", verify=authority.ca) as engine:
            assert (await fetch(engine, server.url, "POST", body=BytesBody(b"x" * 300_000)))[1] == b"hello"

    with RawServer(tls=authority.server) as server, RawServer(http_proxy, tls=authority.server) as proxy:
        rig.run(body, server, proxy)


def test_socks(rig: Rig, authority: Authority) -> None:
    """Names are resolved by the proxy; http and https pass, with and without a password."""

    async def body(server: RawServer, secure: RawServer, proxy: RawServer) -> None:
        for login in ("", "u:p@"):
            async with rig.engine(proxy=f"socks5h://{login}127.0.0.1:{proxy.port}", verify=authority.ca) as engine:
                seen = exchange()
                response = await engine.send(request(f"http://a.test:{server.port}/"), seen)
                assert await read(response) == b"hello"
                assert seen.bytes_sent == len(server.heads[-1]) + 4
                assert (await fetch(engine, secure.url))[1] == b"hello"
        async with rig.engine(proxy=f"socks5://u:wrong@127.0.0.1:{proxy.port}") as engine:
            seen = exchange()
            with pytest.raises(ProxyError, match="password"):
                await engine.send(request("http://a.test/"), seen)
            assert seen.unsent
        async with rig.engine(proxy=f"socks5://127.0.0.1:{proxy.port}") as engine:
            with pytest.raises(ProxyError, match="not allowed"):
                await fetch(engine, "http://blocked.test/")

    with RawServer() as server, RawServer(tls=authority.server) as secure, RawServer(socks_proxy) as proxy:
        rig.run(body, server, secure, proxy)
        assert proxy.heads[0] == b"a.test"


def test_a_proxy_that_lets_nothing_through_is_a_proxy_error(rig: Rig) -> None:
    """Refused, turned away, hung up: ProxyError, proved unsent; silence is a ConnectTimeout."""

    def gone(peer: Peer) -> None:
        peer.sock.recv(10_000)

    async def turned_away(url: str, kind: type[Exception], match: str) -> None:
        async with rig.engine(proxy=url) as engine:
            seen = exchange(connect=0.2 if kind is ConnectTimeout else HANGS)
            with pytest.raises(kind, match=match):
                await engine.send(request("https://a.test/"), seen)
            assert seen.unsent

    rig.run(turned_away, f"http://127.0.0.1:{dead_port()}", ProxyError, "refused")
    with RawServer(refusing_proxy) as proxy:
        rig.run(turned_away, proxy.url, ProxyError, "407")
    with RawServer(gone) as proxy:
        rig.run(turned_away, proxy.url, ProxyError, "disconnected")
        rig.run(turned_away, proxy.url.replace("http", "socks5"), ProxyError, "let nothing through")
    with RawServer(lambda peer: peer.wait_for_end()) as proxy:
        rig.run(turned_away, proxy.url, ConnectTimeout, r"0\.2 s")


def test_a_path_that_cannot_pass_unchanged_is_refused(rig: Rig) -> None:
    """Through a proxy the library would rewrite this target: that is an error, and nothing is sent."""

    async def body(proxy: RawServer) -> None:
        async with rig.engine(proxy=proxy.url) as engine:
            asked = request("http://a.test/").replace(url=URL("http", "a.test", 80, "/a/../b"))
            with pytest.raises(ConfigurationError, match="unchanged"):
                await engine.send(asked, exchange())

    with RawServer(http_proxy) as proxy:
        rig.run(body, proxy)
        assert proxy.heads == []
