"""How connections are made, for every engine: limits, TLS, proxies, addresses."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TypeAlias

from rest_api_client.checks import check_at_least, check_flag, check_whole
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

Verify: TypeAlias = bool | str | Path | ssl.SSLContext
"""True: certifi's CAs, or SSL_CERT_FILE / SSL_CERT_DIR; "system": the operating system's trust store; a path: a CA
bundle (file or folder); an SSLContext: as it is; False: no verification."""

Cert: TypeAlias = str | Path | tuple[str | Path, str | Path] | tuple[str | Path, str | Path, str]
"""A client certificate: one PEM file, (certificate, key) or (certificate, key, password)."""

Address: TypeAlias = tuple[str, int]
Resolver: TypeAlias = Callable[[str, int], Sequence[Address]]
"""Host and port to addresses (numeric IP, port), tried in order. May block: it runs in a thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOptions:
    """How an engine connects.

    Attributes:
        max_connections: connections open at once, all hosts together; a request beyond waits its turn, first come
            first served, at most `Timeouts.pool`. None: no limit.
        max_connections_per_host: the same per origin.
        keepalive_expiry: seconds an idle connection is kept. Keep it below the server's own.
        http2: offer HTTP/2 by ALPN (needs the extra `http2`).
        verify: how the server's certificate is checked.
        cert: a client certificate, shown only to the origins that credentials belong to.
        proxy: one URL for all requests, or {"http://": url, "https://": url, "all://host": url or None}.
        trust_env: whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR count.
        uds: path of a unix socket to connect to, whatever the URL's host.
        resolver: replaces the system's name resolution.
    """

    max_connections: int | None = 100
    max_connections_per_host: int | None = None
    keepalive_expiry: float = 15.0
    http2: bool = False
    verify: Verify = True
    cert: Cert | None = field(default=None, repr=False)
    proxy: str | Mapping[str, str | None] | None = field(default=None, repr=False)
    trust_env: bool = True
    uds: str | None = None
    resolver: Resolver | None = None

    def __post_init__(self) -> None:
        check_whole(
            "ConnectionOptions",
            1,
            off="no limit",
            max_connections=self.max_connections,
            max_connections_per_host=self.max_connections_per_host,
        )
        check_at_least("ConnectionOptions", 0, keepalive_expiry=self.keepalive_expiry)
        self._check_kinds()
        if self.uds is not None and self.proxy is not None:
            raise ConfigurationError("uds and proxy exclude each other: give one")

    def _check_kinds(self) -> None:
        check_flag("ConnectionOptions", http2=self.http2, trust_env=self.trust_env)
        _check_kind("verify", self.verify, (bool, str, Path, ssl.SSLContext))
        for name, kinds in (("uds", (str,)), ("cert", (str, Path, tuple)), ("proxy", (str, Mapping))):
            value = getattr(self, name)
            if value is not None:
                _check_kind(name, value, kinds)
        if self.resolver is not None and not callable(self.resolver):
            raise ConfigurationError(f"resolver={self.resolver!r} cannot be called: give a function of host and port")


def _check_kind(name: str, value: object, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds):  # it may hold a password: not shown
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ConfigurationError(f"{name} is of type {type(value).__name__}: give {wanted}")
