"""TLS contexts, made when the first https connection is, and what they are made of checked long before.

Building a context reads a few hundred certificates, which a client that only speaks http to localhost need not pay for.
A path that is not there is a `ConfigurationError` when the client is made all the same.

The client certificate is a credential: there is one context with it, for the origins that credentials belong to, and
one without it for all others.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from rest_api_client.connection import Cert, ConnectionOptions
from rest_api_client.exceptions import ConfigurationError


class Trust:
    """Makes and keeps the contexts for `ConnectionOptions`.

    Raises:
        ConfigurationError: a certificate file that is not there, or options that exclude each other.
    """

    def __init__(self, options: ConnectionOptions, environ: Mapping[str, str] = os.environ) -> None:
        self._verify = _from_environment(environ) if options.verify is True and options.trust_env else options.verify
        self._cert = options.cert
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._check()

    def _check(self) -> None:
        if isinstance(self._verify, str | Path) and self._verify != "system" and not Path(self._verify).exists():
            raise ConfigurationError(f"verify={str(self._verify)!r}: no such file or folder")
        if self._verify == "system" and sys.platform == "darwin" and not _has_truststore():
            raise ConfigurationError("verify='system' needs truststore: pip install truststore")
        if self._cert is None:
            return
        if isinstance(self._verify, ssl.SSLContext):
            raise ConfigurationError(
                "cert and verify=SSLContext exclude each other: load the certificate into the context"
            )
        for path in _paths(self._cert):
            if not path.is_file():
                raise ConfigurationError(f"cert={str(path)!r}: no such file")

    def context(self, *, at_home: bool) -> ssl.SSLContext:
        """The context for an origin that credentials belong to, or for another one.

        Raises:
            ConfigurationError: a file that is no certificate, or a key that does not fit.
        """
        shown = at_home and self._cert is not None
        with self._lock:
            if shown not in self._contexts:
                self._contexts[shown] = self._build(self._cert if shown else None)
            return self._contexts[shown]

    def shows_cert(self, *, at_home: bool) -> bool:
        """Whether connections to such an origin show the client certificate: they are then no one else's."""
        return at_home and self._cert is not None

    def renew_lock(self) -> None:
        """Replace a lock that another thread may have held while the process forked."""
        self._lock = threading.Lock()

    def _build(self, cert: Cert | None) -> ssl.SSLContext:
        try:
            context = _verifying(self._verify)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"verify={str(self._verify)!r} cannot be loaded: {error}") from error
        if cert is not None:
            _load(context, cert)
        return context


def _from_environment(environ: Mapping[str, str]) -> bool | str:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = environ.get(name)
        if path:
            if not Path(path).exists():
                raise ConfigurationError(f"{name}={path!r}: no such file or folder; correct it, or set trust_env=False")
            return path
    return True


def _verifying(verify: bool | str | Path | ssl.SSLContext) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify == "system":
        return _system()
    if verify is True:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    if Path(verify).is_dir():
        return ssl.create_default_context(capath=str(verify))
    return ssl.create_default_context(cafile=str(verify))


def _system() -> ssl.SSLContext:
    """The system's store: through truststore where it is installed, else OpenSSL's, which on Linux is the same."""
    if not _has_truststore():
        return ssl.create_default_context()
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _has_truststore() -> bool:
    return importlib.util.find_spec("truststore") is not None


def _paths(cert: Cert) -> list[Path]:
    return [Path(cert)] if isinstance(cert, str | Path) else [Path(part) for part in cert[:2]]


def _load(context: ssl.SSLContext, cert: Cert) -> None:
    certificate, *key = _paths(cert)
    password = cert[2] if isinstance(cert, tuple) and len(cert) == 3 else ""
    try:
        # Always with a password: without one OpenSSL would ask for it on the terminal.
        context.load_cert_chain(certificate, key[0] if key else None, password=lambda: password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cert={str(certificate)!r} cannot be loaded: {error}; give (certificate, key[, password])"
        ) from error
