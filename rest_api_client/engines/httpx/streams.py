"""Streams: a connection as httpcore sees it, for its async half and for its sync half.

Errors leave as ours, and httpcore lets them pass. The one exception is a failed write, which it wants to see as its
own: it then reads the answer that the server may have sent before it hung up.
"""

from __future__ import annotations

import ssl
from typing import Any, TypeVar

from rest_api_client.engines.errors import aborted
from rest_api_client.engines.httpx.waits import Ended
from rest_api_client.engines.httpx.wire import TLS, Layer, Wire
from rest_api_client.engines.passage import current_passage
from rest_api_client.exceptions import APIError, ConnectError, ReadError, ReadTimeout, TLSError, WriteTimeout
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Exchange

ErrorT = TypeVar("ErrorT", bound=APIError)

_PROXY_WORDS = (b"CONNECT ", b"\x05", b"\x01")
"""How everything begins that is said to a proxy and is not the request: an HTTP method never starts like that."""

MUCH = 256 * 1024
"""Bytes asked for where many come. From 512 KiB on the C library gives memory back and fetches it for every read."""

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"


class Stream:
    """A connection as httpcore's async half wants it; `SyncStream` is the other half's."""

    def __init__(self, wire: Wire, layer: Layer, write_error: type[Exception], *, negotiating: bool) -> None:
        self.wire = wire
        self._layer = layer
        self._write_error = write_error
        self._negotiating = negotiating
        self._heard = False
        self._wanted = 0
        self._unwritten: OSError | ValueError | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, or b"" at the end. `timeout` is ignored: the exchange knows better.

        Where the last read got all that it asked for, the next one asks for more than `max_bytes`: every piece passes
        through a dozen frames.
        """
        passage = current_passage.get()
        exchange = passage.exchange
        if self._negotiating:
            patience = passage.connecting()
        else:
            patience = passage.patience(exchange.timeouts.read, ReadTimeout)
            if exchange.phase == "write":
                exchange.phase = "wait"
        try:
            data = await self._layer.receive(max(max_bytes, self._wanted), patience)
        except APIError as error:  # before the OSErrors, which our timeouts are as well
            raise self._over(error) from error.__cause__
        except ssl.SSLError as error:
            raise self._broken(error) from error
        except (OSError, ValueError) as error:
            broken = ReadError(f"the connection broke while the answer was read: {reason(error)}")
            raise _unless_aborted(exchange, broken) from error
        unwritten, self._unwritten = self._unwritten, None
        if unwritten is not None and not data:
            # The kernel tells a reset once: the write has heard of it, and the read sees an end like any other.
            broken = ReadError(f"the connection broke before an answer came: {reason(unwritten)}")
            raise _unless_aborted(exchange, caused(broken, unwritten)) from unwritten
        self._heard = self._heard or not self._negotiating
        self._wanted = MUCH if len(data) >= max_bytes else 0
        return data

    def _broken(self, error: ssl.SSLError) -> Exception:
        # In TLS 1.3 the server's verdict on our certificate comes after the handshake, in place of the answer.
        if not self._heard and "ALERT" in (error.reason or ""):
            return TLSError(f"the server ended the TLS session: {reason(error)}; does it ask for a client certificate?")
        return ReadError(f"the TLS session broke: {reason(error)}")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of the bytes, counted for the exchange as soon as the kernel took one of them."""
        if not buffer:
            return
        passage = current_passage.get()
        exchange = passage.exchange
        if self._negotiating and not buffer.startswith(_PROXY_WORDS):
            self._negotiating = False
        if self._negotiating:
            patience = passage.connecting()
        else:
            patience = passage.patience(exchange.timeouts.write, WriteTimeout)
            exchange.phase = "write" if exchange.phase in {"queued", "connect", "tls"} else exchange.phase
        before = self.wire.sent
        try:
            await self._layer.send(buffer, patience)
            self._tell(http2=buffer.startswith(_HTTP2_PREFACE))
        except APIError as error:
            raise self._over(error) from error.__cause__
        except (OSError, ValueError) as error:
            self._unwritten = error
            broken = self._write_error(f"the connection broke while the request was written: {reason(error)}")
            raise _unless_aborted(exchange, broken) from error
        finally:
            if not self._negotiating and not buffer.startswith(_HTTP2_PREFACE):
                exchange.bytes_sent += self._taken(self.wire.sent - before, len(buffer))

    def _over(self, error: APIError) -> BaseException:
        return Ended(error) if self.wire.shared else error

    def _tell(self, *, http2: bool) -> None:
        if self.wire.begun is not None and not self._negotiating:
            begun, self.wire.begun = self.wire.begun, None
            begun(self.wire, http2)

    def _taken(self, moved: int, size: int) -> int:
        if isinstance(self._layer, Wire):
            return moved
        return size if moved else 0

    async def aclose(self) -> None:
        """Close the socket."""
        self.wire.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        """The same connection with TLS over it.

        Raises:
            TLSError: no agreement, or a certificate that is not accepted.
        """
        passage = current_passage.get()
        passage.exchange.phase = "tls"
        try:
            tls = TLS(self._layer, ssl_context, server_hostname)
            await tls.handshake(passage.connecting())
        except ssl.SSLError as error:
            raise TLSError(_tls_message(error, server_hostname)) from error
        except APIError:
            raise
        except (OSError, ValueError) as error:
            broken = ConnectError(f"the connection broke during the TLS handshake: {reason(error)}")
            raise _unless_aborted(passage.exchange, broken) from error
        return type(self)(self.wire, tls, self._write_error, negotiating=False)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: the TLS object, and whether an idle connection was hung up."""
        if info == "ssl_object" and isinstance(self._layer, TLS):
            return self._layer.object
        if info == "is_readable":
            return self.wire.readable() or (isinstance(self._layer, TLS) and self._layer.unread)
        return None


def _unless_aborted(exchange: Exchange, error: Exception) -> Exception:
    """An abort tears connections in many ways; they are all the abort."""
    return aborted(exchange) if exchange.aborted else error


def _tls_message(error: ssl.SSLError, host: str | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} was not accepted: {error.verify_message}. "
            "Give its CA with verify='ca.pem', or the system's store with verify='system'"
        )
    if error.reason == "WRONG_VERSION_NUMBER":
        return f"{host} does not speak TLS on this port: is the URL's scheme http?"
    if isinstance(error, ssl.SSLEOFError):
        return f"{host} hung up during the TLS handshake"
    return f"the TLS handshake with {host} failed: {reason(error)}"


def caused(error: ErrorT, cause: BaseException) -> ErrorT:
    """The error with its cause as its context too: httpcore raises it again `from None`, and only that is left."""
    error.__context__ = cause
    return error


def reason(error: BaseException) -> str:
    """What went wrong, in the words of the system or of OpenSSL."""
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(text or type(error).__name__)


class SyncStream:
    """A connection as httpcore's sync half wants it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.get_extra_info = stream.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `Stream.read`."""
        return run_sync(self._stream.read(max_bytes))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `Stream.write`."""
        run_sync(self._stream.write(buffer))

    def close(self) -> None:
        """Close the socket."""
        self._stream.wire.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncStream:
        """See `Stream.start_tls`."""
        return SyncStream(run_sync(self._stream.start_tls(ssl_context, server_hostname)))
