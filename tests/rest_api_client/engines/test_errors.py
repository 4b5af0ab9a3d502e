"""Engine errors in our words: one table for httpx, httpx2 and whatever a user's transport raises."""

from __future__ import annotations

import socket
import ssl

import httpx
import httpx2
import pytest

from rest_api_client import exceptions as ours
from rest_api_client.engines.errors import Translated, translate
from rest_api_client.transport import Exchange, Timeouts
from rest_api_client.virtual.clock import VirtualClock


def exchange(deadline: float | None = None) -> Exchange:
    return Exchange(VirtualClock(), Timeouts(), deadline)


class Made(httpx.ReadTimeout):
    """A subclass that a user's transport made up."""


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    "name",
    [
        "ConnectError",
        "ReadError",
        "WriteError",
        "ProxyError",
        "RemoteProtocolError",
        "ConnectTimeout",
        "ReadTimeout",
        "WriteTimeout",
        "PoolTimeout",
    ],
)
def test_same_words(library: object, name: str) -> None:
    """What both libraries call alike is called so here, with its text."""
    error = translate(getattr(library, name)("why"), exchange())
    assert type(error) is getattr(ours, name)
    assert str(error) == "why"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Made("late"), ours.ReadTimeout),
        (httpx.CloseError("x"), ours.ReadError),
        (httpx.LocalProtocolError("x"), ours.ConfigurationError),
        (httpx.UnsupportedProtocol("x"), ours.ConfigurationError),
        (httpx.StreamConsumed(), ours.ClosedError),
        (TimeoutError(), ours.RequestTimeout),
        (ConnectionRefusedError("x"), ours.ConnectError),
        (ConnectionResetError("x"), ours.ReadError),
        (BrokenPipeError("x"), ours.WriteError),
        (OSError("x"), ours.TransportError),
        (AssertionError("x"), ours.TransportError),
    ],
)
def test_other_words(error: Exception, kind: type[ours.APIError]) -> None:
    """Subclasses find their ancestor's place, and what nobody knows is a plain TransportError."""
    assert type(translate(error, exchange())) is kind


def test_an_error_without_text_is_named() -> None:
    """An empty message gives way to the class's name."""
    assert str(translate(TimeoutError(), exchange())) == "TimeoutError"


def test_a_block_translates_what_leaves_it() -> None:
    """Foreign errors leave the block as ours with their cause; ours and cancellations pass untouched."""
    foreign, own = httpx.ReadError("x"), ours.WriteTimeout("y")
    with pytest.raises(ours.ReadError) as caught, Translated(exchange()):
        raise foreign
    assert caught.value.__cause__ is foreign
    for error in (own, KeyboardInterrupt()):
        with pytest.raises(type(error)) as passed, Translated(exchange()):
            raise error
        assert passed.value is error
    assert own.__cause__ is None


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ssl.SSLCertVerificationError("self-signed"), ours.TLSError),
        (socket.gaierror(-2, "Name or service not known"), ours.NameResolutionError),
        (OSError("no route"), ours.ConnectError),
    ],
)
def test_a_connect_error_tells_its_cause(cause: OSError, kind: type[ours.APIError]) -> None:
    """TLS and name failures are found behind a connect error, however deep."""
    middle, outer = httpx.ConnectError("b"), httpx.ConnectError("a")
    middle.__context__ = cause
    outer.__cause__ = middle
    assert type(translate(outer, exchange())) is kind


def test_causes_in_a_ring_end() -> None:
    """A chain of causes that bites its tail is left after a few steps."""
    one, two = httpx.ConnectError("a"), httpx.ConnectError("b")
    one.__cause__, two.__cause__ = two, one
    assert type(translate(one, exchange())) is ours.ConnectError


def test_a_timeout_with_no_time_left_is_the_deadline() -> None:
    """A phase limit that was cut to the time left ends as DeadlineExceeded; with time left it stays a timeout."""
    assert type(translate(httpx.ReadTimeout("x"), exchange(deadline=0.001))) is ours.DeadlineExceeded
    assert type(translate(httpx.ReadTimeout("x"), exchange(deadline=9))) is ours.ReadTimeout
    assert type(translate(httpx.ReadError("x"), exchange(deadline=0))) is ours.ReadError


@pytest.mark.parametrize(("deadline", "kind"), [(None, ours.ReadError), (0, ours.DeadlineExceeded)])
def test_what_an_abort_tore_says_so(deadline: float | None, kind: type[ours.APIError]) -> None:
    """After abort any transport error is told as the abort, or as the deadline that caused it."""
    torn = exchange(deadline)
    torn.abort()
    error = translate(httpx.RemoteProtocolError("x"), torn)
    assert type(error) is kind
    assert type(translate(httpx.StreamConsumed(), torn)) is ours.ClosedError
