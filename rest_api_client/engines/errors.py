"""Every engine's failures, told in the words of our tree.

An engine raises its own classes; `translate` finds the one of ours that says the same, and a block
`with Translated(exchange)` raises it, with the original as its cause.
httpx and httpx2 name theirs alike but share no class, so the name decides, looked up along the class's ancestors: a
subclass that a user's transport made up still finds its place. What nobody knows is a plain `TransportError`.

A phase limit that was cut to the time left (`Exchange.limit`) ends as the engine's timeout although it was the deadline
that passed. So a timeout at a moment when no time is left is a `DeadlineExceeded`.
"""

from __future__ import annotations

import ssl

from rest_api_client.exceptions import (
    APIError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    NameResolutionError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    RequestTimeout,
    TLSError,
    TransportError,
    WriteError,
    WriteTimeout,
)
from rest_api_client.runtime import Aborted, current_abort
from rest_api_client.transport import Exchange

_BY_NAME: dict[str, type[APIError]] = {
    "ConnectTimeout": ConnectTimeout,
    "ReadTimeout": ReadTimeout,
    "WriteTimeout": WriteTimeout,
    "PoolTimeout": PoolTimeout,
    "TimeoutException": RequestTimeout,
    "ConnectError": ConnectError,
    "ReadError": ReadError,
    "WriteError": WriteError,
    "CloseError": ReadError,
    "ProxyError": ProxyError,
    "RemoteProtocolError": RemoteProtocolError,
    "LocalProtocolError": ConfigurationError,
    "UnsupportedProtocol": ConfigurationError,
    "TimeoutError": RequestTimeout,
    "ConnectionRefusedError": ConnectError,
    "ConnectionResetError": ReadError,
    "BrokenPipeError": WriteError,
    "StreamError": ClosedError,
}

TIMER_GRAIN = 0.002
"""Seconds by which an engine's timer may end before ours says so."""


def translate(error: Exception, exchange: Exchange) -> APIError:
    """The error of our tree that stands for an engine's own, to be raised `from` it.

    An aborted exchange gives whatever the torn connection looked like as a `ReadError` that says "aborted", and a
    timeout with no time left gives `DeadlineExceeded`.
    """
    kind = _kind(error)
    text = str(error) or type(error).__name__
    if issubclass(kind, RequestTimeout) and out_of_time(exchange):
        return DeadlineExceeded(f"the deadline passed in phase {exchange.phase!r}")
    if exchange.aborted and issubclass(kind, TransportError):
        return aborted(exchange)
    if issubclass(kind, ConnectError):
        kind = _of_connecting(error, kind)
    return kind(text)


class Translated:
    """A block in which an engine works: its errors leave as ours, with the original as cause; ours pass untouched."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, APIError):
            raise translate(error, self._exchange) from error


def aborted(exchange: Exchange) -> APIError:
    """What an exchange ends with after `abort()`.

    Raises:
        Aborted: a sync client's thread is to end its work (it lost a race, it was cancelled): no failure of a server,
            and nobody is to count it as one.
    """
    wish = current_abort.get()
    if wish is not None and wish.aborted:
        raise Aborted
    if out_of_time(exchange):
        return DeadlineExceeded(f"the deadline passed in phase {exchange.phase!r}")
    return ReadError(f"the exchange was aborted in phase {exchange.phase!r}")


def out_of_time(exchange: Exchange) -> bool:
    """Whether the deadline passed, or will before anybody could look again."""
    left = exchange.remaining
    return left is not None and left <= TIMER_GRAIN


def _kind(error: Exception) -> type[APIError]:
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _BY_NAME:
            return _BY_NAME[ancestor.__name__]
    return TransportError


def _of_connecting(error: BaseException, kind: type[APIError]) -> type[APIError]:
    """A connect error's true kind is known only from what caused it."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return TLSError
        if type(cause).__name__ == "gaierror":
            return NameResolutionError
        cause = cause.__cause__ or cause.__context__
    return kind
