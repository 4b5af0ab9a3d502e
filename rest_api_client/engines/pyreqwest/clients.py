"""What pyreqwest is told once per client, and what it cannot be told at all.

pyreqwest knows three limits: a total per request, and a connect and a read timeout per client; proxies, trust and
identity belong to a client too. So there is one client per combination that occurs, each with its own idle
connections; the combinations are few, and of those not used for long only the newest are kept.

What an option means here and not elsewhere: certificates given by `verify` are trusted beside the system's, not in
their place, and SSL_CERT_FILE and SSL_CERT_DIR count for the system's store. Every other option is honoured as written
or refused with a `CapabilityError`.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines.proxies import Proxies, Proxy
from rest_api_client.engines.tls import Trust
from rest_api_client.exceptions import CapabilityError, ConfigurationError
from rest_api_client.http.bodies import EMPTY
from rest_api_client.models import Request
from rest_api_client.transport import Timeouts

MAX_CLIENTS = 16
"""Combinations kept; each is a pool of connections."""
SMALL_BODY = 65536
"""Bytes that a socket's buffers take at once: sending them counts as no time."""

_INSTEAD = "choose engine='httpx' for it"


class Key(NamedTuple):
    """What a client is made for."""

    scheme: str
    shows_cert: bool
    proxy: Proxy | None
    connect: float | None
    idle: float | None


class Clients:
    """Makes and keeps the clients of one engine.

    Args:
        builder: `ClientBuilder` or `SyncClientBuilder`.
        options: how to connect.
        environ: where proxies and SSL_CERT_FILE are looked up.

    Raises:
        CapabilityError: an option that pyreqwest cannot honour.
        ConfigurationError: an option that cannot work.
    """

    def __init__(self, builder: Any, options: ConnectionOptions, environ: Mapping[str, str] = os.environ) -> None:
        _refuse(options)
        Trust(options, environ)  # its checks: files that are not there, options that exclude each other
        self._builder = builder
        self._options = options
        self._environ = environ
        self._proxies = Proxies(options, environ)
        self._roots = _bundle(options)
        self._identity = _identity(options)
        self._clients: OrderedDict[Key, Any] = OrderedDict()
        self._usual: tuple[Timeouts, str, Any] | None = None
        self._lock = threading.Lock()

    def get(self, request: Request, timeouts: Timeouts) -> Any:
        """The client for this request.

        Raises:
            CapabilityError: it would go through a SOCKS proxy, or trust what it was told not to.
        """
        usual = self._usual  # the only client there is, for requests without a body that nothing sets apart
        if usual is not None and usual[0] is timeouts and usual[1] == request.url.scheme and request.body is EMPTY:
            return usual[2]
        key = self._key(request, timeouts)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._build(key)
                if len(self._clients) > MAX_CLIENTS:
                    # Not closed: exchanges under way go on, and the last of them ends it.
                    self._clients.popitem(last=False)
            self._clients.move_to_end(key)
            client = self._clients[key]
            # While there is one client, nobody needs to know which was used last.
            if len(self._clients) > 1:
                self._usual = None
            elif request.body is EMPTY and self._proxies.none and self._identity is None:
                self._usual = timeouts, key.scheme, client
            return client

    def take(self) -> list[Any]:
        """All clients, to be closed; new ones are made if need be."""
        with self._lock:
            clients, self._clients, self._usual = list(self._clients.values()), OrderedDict(), None
        return clients

    def _key(self, request: Request, timeouts: Timeouts) -> Key:
        shows_cert = self._identity is not None and request.at_home and request.url.scheme == "https"
        proxy = self._proxies.find(request.url)
        return Key(request.url.scheme, shows_cert, proxy, timeouts.connect, idle_limit(request, timeouts))

    def _build(self, key: Key) -> Any:
        builder = self._builder().follow_redirects(False).default_cookie_store(False).referer(False).no_proxy()
        builder = builder.gzip(False).brotli(False).deflate(False).zstd(False).http2(self._options.http2)
        builder = builder.pool_idle_timeout(timedelta(seconds=self._options.keepalive_expiry))
        if self._options.keepalive_expiry == 0:
            builder = builder.pool_max_idle_per_host(0)
        if key.connect is not None:
            builder = builder.connect_timeout(timedelta(seconds=key.connect))
        if key.idle is not None:
            builder = builder.read_timeout(timedelta(seconds=key.idle))
        if key.proxy is not None:
            builder = builder.proxy(_proxy(key.proxy))
        return (self._trusting(builder, key) if key.scheme == "https" else builder).build()

    def _trusting(self, builder: Any, key: Key) -> Any:
        if self._options.verify is False:
            builder = builder.danger_accept_invalid_certs(True)
        named = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if self._environ.get(name)]
        if named and not self._options.trust_env and self._options.verify is not False:
            raise CapabilityError(f"pyreqwest obeys {named[0]} whatever trust_env says: unset it, or {_INSTEAD}")
        roots = _certifi() if self._options.verify is True and not named else self._roots
        if roots is not None:
            builder = builder.add_root_certificate_pem(roots)
        return builder.identity_pem(self._identity) if key.shows_cert else builder


def idle_limit(request: Request, timeouts: Timeouts) -> float | None:
    """Seconds without a byte of the answer. pyreqwest counts them from the start of the request, upload included."""
    length = request.body.length
    if length is not None and length <= SMALL_BODY:
        return timeouts.read
    limits = (timeouts.read, timeouts.connect, timeouts.write)
    return sum(limit for limit in limits if limit is not None) if None not in limits else None


def _refuse(options: ConnectionOptions) -> None:
    verify = options.verify
    if options.uds is not None:
        raise CapabilityError(f"pyreqwest cannot connect to uds={options.uds!r}: {_INSTEAD}")
    if options.resolver is not None:
        raise CapabilityError(f"pyreqwest takes no resolver of ours: {_INSTEAD}")
    if isinstance(verify, ssl.SSLContext) or (isinstance(verify, str | Path) and Path(verify).is_dir()):
        raise CapabilityError(f"pyreqwest takes verify as a bool, 'system' or a PEM file, not {verify!r}: {_INSTEAD}")
    if isinstance(options.cert, tuple) and len(options.cert) == 3:
        raise CapabilityError(f"pyreqwest takes no key with a password: give one without, or {_INSTEAD}")
    given = [options.proxy] if isinstance(options.proxy, str) else (options.proxy or {}).values()
    for proxy in given:
        if proxy is not None and proxy.lower().startswith("socks"):
            raise CapabilityError(f"pyreqwest speaks to no SOCKS proxy: {_INSTEAD}")


def _bundle(options: ConnectionOptions) -> bytes | None:
    verify = options.verify
    if isinstance(verify, bool | ssl.SSLContext) or verify == "system":
        return None
    try:
        ssl.create_default_context(
            cafile=str(verify)
        )  # pyreqwest takes a file without any certificate for an empty one
        return Path(verify).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"verify={str(verify)!r} cannot be loaded: {error}") from error


def _identity(options: ConnectionOptions) -> bytes | None:
    if options.cert is None:
        return None
    paths = list(options.cert) if isinstance(options.cert, tuple) else [options.cert]
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Always with a password: without one OpenSSL would ask for it on the terminal.
        context.load_cert_chain(paths[0], paths[-1] if len(paths) > 1 else None, password=lambda: "")
        return b"\n".join(Path(path).read_bytes() for path in paths)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cert={str(paths[0])!r} cannot be loaded: {error}; give (certificate, key)"
        ) from error


def _certifi() -> bytes:
    import certifi

    return Path(certifi.where()).read_bytes()


def _proxy(proxy: Proxy) -> Any:
    from pyreqwest.proxy import ProxyBuilder

    if proxy.scheme.startswith("socks"):
        raise CapabilityError(f"pyreqwest speaks to no SOCKS proxy, and the environment names one: {_INSTEAD}")
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    builder = ProxyBuilder.all(f"{proxy.scheme}://{host}:{proxy.port}")
    if proxy.auth is None:
        return builder
    return builder.basic_auth(*(part.decode("utf-8") for part in proxy.auth))
