"""pyreqwest's failures in our words.

Its classes say little: a request that was read whole by the server can fail as `ConnectError` or `ConnectTimeoutError`.
What happened stands in the list of causes, which are hyper's and reqwest's own sentences. One of them is a proof: with
"client error (Connect)" the request was never sent. Anything not known here is still a `TransportError` of some kind,
and its fate is unknown.
"""

from __future__ import annotations

from pyreqwest import exceptions as theirs

from rest_api_client.engines.errors import aborted
from rest_api_client.exceptions import (
    APIError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    NameResolutionError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TLSError,
    TransportError,
    WriteError,
)
from rest_api_client.transport import Exchange

_UNSENT = "client error (Connect)"

_CONNECTING: tuple[tuple[tuple[str, ...], type[APIError]], ...] = (
    (("tunnel error", "proxy"), ProxyError),
    (("dns error",), NameResolutionError),
    (("certificate", "corrupt message", "handshake", "tls", "alert"), TLSError),
)
_UNDER_WAY: tuple[tuple[tuple[str, ...], type[APIError]], ...] = (
    (("os error 104", "reset by peer"), ReadError),
    (("os error 32", "broken pipe"), WriteError),
    (("user body write aborted",), ConfigurationError),
    (("closed before", "end of file", "invalid", "error reading a body", "too large"), RemoteProtocolError),
)


def told(error: theirs.PyreqwestError, exchange: Exchange, *, late: bool) -> APIError:
    """Our error for one of pyreqwest's; what it proves is written into the exchange.

    `late` says that the deadline has passed: a timeout is then the deadline's.
    """
    causes = _causes(error)
    if _UNSENT in causes:
        exchange.proof, exchange.bytes_sent = True, 0
    if isinstance(error, theirs.RequestTimeoutError):
        return _timeout(exchange, late=late, connecting=_UNSENT in causes)
    if exchange.aborted:
        return aborted(exchange)
    return _kind(error, causes)(f"{error.message}: {causes[-1]}" if causes else error.message)


def _timeout(exchange: Exchange, *, late: bool, connecting: bool) -> APIError:
    if late:
        return DeadlineExceeded(f"the deadline passed in phase {exchange.phase!r}")
    if connecting:
        return ConnectTimeout(f"no connection within {exchange.timeouts.connect} s")
    return ReadTimeout(f"no byte of the answer for {exchange.timeouts.read} s")


def _causes(error: theirs.PyreqwestError) -> list[str]:
    """The sentences, without the first, which repeats the URL with all that is secret in it."""
    details = getattr(error, "details", None) or {}
    found = [cause["message"] for cause in details.get("causes") or ()]
    return [message for message in found if " for url (" not in message]


def _kind(error: theirs.PyreqwestError, causes: list[str]) -> type[APIError]:
    if isinstance(error, theirs.ClientClosedError):
        return ClosedError
    if isinstance(error, theirs.BuilderError):
        return ConfigurationError
    if _UNSENT in causes:
        return _find(_CONNECTING, causes) or ConnectError
    known = _find(_UNDER_WAY, causes)
    if known is not None:
        return known
    if isinstance(error, theirs.DecodeError):
        return RemoteProtocolError
    return ReadError if isinstance(error, theirs.NetworkError) else TransportError


def _find(table: tuple[tuple[tuple[str, ...], type[APIError]], ...], causes: list[str]) -> type[APIError] | None:
    text = " ".join(causes).lower()
    return next((kind for words, kind in table if any(word in text for word in words)), None)
