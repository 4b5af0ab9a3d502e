"""Which proxy a request goes through: the one given, else the environment's.

A mapping's patterns are tried from the most particular to the most general: "https://api.test:8443", then
"https://api.test", "all://api.test", "https://", "all://". "*.api.test" means the subdomains of api.test; None means no
proxy. What no pattern fits is left to the environment, which is read once, when the engine is made: HTTP_PROXY,
HTTPS_PROXY, ALL_PROXY, and NO_PROXY with hosts (their subdomains included), `host:port`, addresses, networks and "*".
HTTP_PROXY in capitals is ignored in a CGI process, where a client may set it through a header ("httpoxy").

User name and password of a proxy's URL go to the proxy alone.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import redact_url
from rest_api_client.http.urls import URL
from rest_api_client.lazy_dataclasses import dataclass

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. The password is in no repr."""

    scheme: str
    host: str
    port: int
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read a proxy's URL; without a scheme it is an http proxy.

        Raises:
            ConfigurationError: not the URL of a proxy, or of a kind that is not supported or not installed.
        """
        shown = redact_url(text)
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"proxy={shown!r} is no URL: {error}") from error
        if parts.scheme not in _PORTS or not host:
            raise ConfigurationError(f"proxy={shown!r}: give http://, https:// or socks5:// with a host")
        if parts.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
            raise ConfigurationError("a SOCKS proxy needs an extra: pip install 'rest-api-client-kit[socks]'")
        auth = None
        if parts.username is not None:
            auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], auth)


class _Pattern(NamedTuple):
    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> _Pattern:
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in {"http", "https", "all"}:
            raise ConfigurationError(
                f"proxy={{{text!r}: ...}}: patterns look like 'https://', 'all://host' or 'http://host:80'"
            )
        try:
            parts = urlsplit(f"//{rest}")
            return cls(scheme, parts.hostname or "", parts.port)
        except ValueError as error:
            raise ConfigurationError(f"proxy={{{text!r}: ...}}: {error}") from error

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """Smaller is more particular."""
        return self.port is None, -len(self.host.lstrip("*.")), self.scheme == "all"

    def fits(self, url: URL) -> bool:
        return self.scheme in {"all", url.scheme} and self.port in {None, url.port} and self._fits_host(url.host)

    def _fits_host(self, host: str) -> bool:
        if self.host in {"", "*"}:
            return True
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host


class Proxies:
    """Finds the proxy for a URL.

    Raises:
        ConfigurationError: a proxy or a pattern that cannot work.
    """

    def __init__(self, options: ConnectionOptions, environ: Mapping[str, str] = os.environ) -> None:
        given = {"all://": options.proxy} if isinstance(options.proxy, str) else dict(options.proxy or {})
        rules = [(_Pattern.parse(text), Proxy.parse(url) if url else None) for text, url in given.items()]
        self._rules = sorted(rules, key=lambda rule: rule[0].rank)
        ambient = options.trust_env and options.uds is None
        self._ambient = _from_environment(environ) if ambient else {}
        self._except = _Exceptions(_variable(environ, "no_proxy")) if self._ambient else None

    @property
    def none(self) -> bool:
        """Whether there is none for any URL."""
        return not self._rules and not self._ambient

    def find(self, url: URL) -> Proxy | None:
        """The proxy for this URL, or None to connect directly."""
        for pattern, proxy in self._rules:
            if pattern.fits(url):
                return proxy
        if self._except is None or self._except.covers(url):
            return None
        return self._ambient.get(url.scheme) or self._ambient.get("all")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Proxy]:
    found = {}
    for scheme in ("http", "https", "all"):
        value = _variable(environ, f"{scheme}_proxy")
        if value:
            found[scheme] = Proxy.parse(value)
    return found


def _variable(environ: Mapping[str, str], name: str) -> str:
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return environ.get(name, "").strip()
    return (environ.get(name) or environ.get(name.upper(), "")).strip()


class _Exceptions:
    """NO_PROXY, parsed."""

    def __init__(self, text: str) -> None:
        entries = [entry.strip().lower() for entry in text.replace(",", " ").split()]
        self._all = "*" in entries
        self._networks = [network for entry in entries if (network := _network(entry)) is not None]
        self._hosts = [_host_and_port(entry) for entry in entries if _network(entry) is None]

    def covers(self, url: URL) -> bool:
        if self._all:
            return True
        network = _network(url.host)
        if network is not None and any(_within(network, other) for other in self._networks):
            return True
        return any(self._names(url, host, port) for host, port in self._hosts)

    @staticmethod
    def _names(url: URL, host: str, port: int | None) -> bool:
        if port is not None and port != url.port:
            return False
        return url.host == host or url.host.endswith(f".{host}")


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _within(inner: _Network, outer: _Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _host_and_port(entry: str) -> tuple[str, int | None]:
    entry = entry.partition("://")[2] or entry
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        return host.strip("[]").removeprefix("*").removeprefix("."), int(port)
    return entry.strip("[]").removeprefix("*").removeprefix("."), None
