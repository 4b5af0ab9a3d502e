"""The wire: sockets under httpcore that keep our clock, obey our aborts and count what they send.

httpcore asks a network backend for streams. This one is written once, as coroutines over non-blocking sockets. What
differs between the two faces is only how one waits for a socket: `ThreadWaits` polls it and never suspends, so that the
same coroutines serve httpcore's sync half through `run_sync`; `LoopWaits` waits in the running loop.

Whose exchange an operation belongs to stands in a context variable (`on_line`): a stream outlives many exchanges. Every
wait is cut to what that exchange has left (`Patience`): connecting (name, all addresses, proxy, TLS) shares one limit,
a read or a write has its own, and the deadline bounds all of them. Names are resolved in a daemon thread, which is
abandoned when the time is up: `getaddrinfo` cannot be interrupted.

Errors leave as ours. The one exception is a failed write, which httpcore wants to see as its own: it then reads the
answer that the server may have sent before it hung up. Sockets are plain, so closing one needs no loop: a lane can be
dropped from anywhere, also where its loop is gone.
"""

from __future__ import annotations

import asyncio  # noqa: TID251  its running loop is asked for, nothing is waited on
import errno
import math
import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio  # noqa: TID251  the border to the loop: readiness of a socket is not the runtime's business

from rest_api_client.connection import Resolver
from rest_api_client.engines.errors import aborted
from rest_api_client.exceptions import (
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    NameResolutionError,
    PoolTimeout,
    ReadError,
    ReadTimeout,
    RequestTimeout,
    TLSError,
    WriteTimeout,
)
from rest_api_client.runtime import Runtime, run_sync
from rest_api_client.transport import Exchange

T = TypeVar("T")
Found: TypeAlias = tuple[int, Any]
"""An address family and an address of that family."""

RECORD = 65536
"""Bytes of ciphertext read at once."""

_PROXY_WORDS = (b"CONNECT ", b"\x05", b"\x01")
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


# ---------------------------------------------------------------------- an exchange's hold on the wire


class Line:
    """One exchange on its way through the engine: what is left of its time, and how an abort reaches it."""

    __slots__ = ("_lock", "_wake", "connect_until", "deadline", "exchange", "runtime")

    def __init__(self, exchange: Exchange, runtime: Runtime) -> None:
        self.exchange = exchange
        self.runtime = runtime
        limits = [at for at in (exchange.deadline, runtime.deadline()) if at is not None]
        self.deadline = min(limits, default=None)
        self.connect_until: float | None = None
        self._wake: Callable[[], object] | None = None
        self._lock = threading.Lock()
        exchange.on_abort(self._interrupt)

    def hold(self, wake: Callable[[], object] | None) -> None:
        """Say how an abort ends what the exchange waits for from now on; None: it waits for nothing more.

        Raises:
            ReadError: it was aborted already.
        """
        with self._lock:
            self._wake = wake
        if wake is not None and self.exchange.aborted:
            raise aborted(self.exchange)

    def _interrupt(self) -> None:
        with self._lock:
            if self._wake is not None:
                self._wake()

    def patience(self, seconds: float | None, late: type[RequestTimeout]) -> Patience:
        """The limit of one operation that begins now."""
        return Patience(self, None if seconds is None else self.runtime.now() + seconds, late)

    def connecting(self) -> Patience:
        """The limit of everything it takes to connect; it begins with the first call."""
        seconds = self.exchange.timeouts.connect
        if self.connect_until is None:
            self.connect_until = math.inf if seconds is None else self.runtime.now() + seconds
        return Patience(self, self.connect_until, ConnectTimeout)


class Patience:
    """How long one operation may still wait, and what to raise when that is over."""

    __slots__ = ("_late", "_line", "_until")

    def __init__(self, line: Line, until: float | None, late: type[RequestTimeout]) -> None:
        self._line = line
        self._until = until
        self._late = late

    def left(self) -> float | None:
        """Seconds, above 0; None: no limit.

        Raises:
            RequestTimeout: the operation's own limit passed.
            DeadlineExceeded: the whole call's.
            ReadError: the exchange was aborted.
        """
        line, until = self._line, self._until
        if line.exchange.aborted:
            raise aborted(line.exchange)
        if until is None and line.deadline is None:
            return None
        now = line.runtime.now()
        if line.deadline is not None:
            if line.deadline <= now:
                raise DeadlineExceeded(f"the deadline passed in phase {line.exchange.phase!r}")
            until = line.deadline if until is None else min(until, line.deadline)
        assert until is not None
        if until <= now:
            raise self._late(_TOO_LATE[self._late].format(line.exchange.timeouts))
        return None if until == math.inf else until - now


_TOO_LATE: dict[type[RequestTimeout], str] = {
    ConnectTimeout: "no connection within {0.connect} s: the host, or the proxy, does not answer",
    ReadTimeout: "the server sent nothing for {0.read} s",
    WriteTimeout: "the server took nothing more of the request for {0.write} s",
    PoolTimeout: (
        "no free connection within {0.pool} s: all are in use. "
        "Close streamed responses before the next call, or raise max_connections"
    ),
}

_current: ContextVar[Line] = ContextVar("line")


@contextmanager
def on_line(line: Line) -> Iterator[None]:
    """Whatever happens on a stream in this block happens for this exchange."""
    token = _current.set(line)
    try:
        yield
    finally:
        _current.reset(token)


# ---------------------------------------------------------------------- waiting for a socket


class Waits(Protocol):
    """How one waits for a socket."""

    eager: bool
    """Whether to try before waiting; a loop is given its turn first."""

    def home(self) -> object:
        """What connections made here belong to: the running loop, or all threads."""
        ...

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Wait until bytes, or the end, can be read; False when the time is up."""
        ...

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Wait until bytes can be written, or connecting has ended; False when the time is up."""
        ...


class ThreadWaits:
    """Blocks the thread."""

    eager = True

    def home(self) -> object:
        """One home for all threads of an engine."""
        return self

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Poll for reading."""
        return _poll(sock, select.POLLIN, seconds)

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Poll for writing."""
        return _poll(sock, select.POLLOUT, seconds)


def _poll(sock: socket.socket, events: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))


class LoopWaits:
    """Waits in the running asyncio loop or trio run."""

    eager = False

    def home(self) -> object:
        """The running loop."""
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_run():
            token: object = trio.lowlevel.current_trio_token()
            return token
        return asyncio.get_running_loop()

    async def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for reading."""
        return await _watch(anyio.wait_readable, sock, seconds)

    async def writable(self, sock: socket.socket, seconds: float | None) -> bool:
        """Have the loop watch for writing."""
        return await _watch(anyio.wait_writable, sock, seconds)


async def _watch(wait: Callable[[socket.socket], Any], sock: socket.socket, seconds: float | None) -> bool:
    if seconds is None:
        await wait(sock)
        return True
    with anyio.move_on_after(seconds) as scope:
        await wait(sock)
    return not scope.cancelled_caught


# ---------------------------------------------------------------------- layers: the socket, and TLS over it


class Layer(Protocol):
    """Bytes both ways; TLS may lie over TLS."""

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes, or b"" at the end."""
        ...

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        ...


class Wire:
    """A connected, non-blocking socket.

    Attributes:
        sent: bytes the kernel has taken.
        peer: the other end's address, for people.
    """

    __slots__ = ("_lock", "_sock", "_waits", "closed", "peer", "sent")

    def __init__(self, sock: socket.socket, waits: Waits) -> None:
        self._sock = sock
        self._waits = waits
        self._lock = threading.Lock()
        self.closed = False
        self.sent = 0
        self.peer = _peer(sock)

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes, or b"" at the end."""
        ready = self._waits.eager
        while True:
            left = patience.left()
            if ready:
                with suppress(BlockingIOError, InterruptedError):
                    return self._sock.recv(size)
            ready = await self._waits.readable(self._sock, left)

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        view = memoryview(data)
        while view:
            view = view[await self.send_some(view, patience) :]

    async def send_some(self, data: memoryview | bytes | bytearray, patience: Patience) -> int:
        """As many bytes as the kernel takes at once, at least one; say how many."""
        while True:
            left = patience.left()
            try:
                taken = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                await self._waits.writable(self._sock, left)
            else:
                self.sent += taken
                return taken

    def readable(self) -> bool:
        """Whether something, an end most likely, can be read at once."""
        with self._lock:
            return self.closed or _poll(self._sock, select.POLLIN, 0)

    def shut_down(self) -> None:
        """Have whoever waits for this socket woken, from any thread; it stays open for them to close."""
        with self._lock, suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, from any thread, any number of times."""
        with self._lock:
            self.closed = True
            self._sock.close()

    def abandon(self) -> None:
        """Close this process's copy after a fork; a thread that held the lock does not exist here."""
        self.closed = True
        self._sock.close()


def _peer(sock: socket.socket) -> str | None:
    try:
        address = sock.getpeername()
    except OSError:
        return None
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return os.fsdecode(address) or None


class TLS:
    """TLS over another layer, through memory: the same for both faces, and for TLS inside a proxy's TLS.

    What is written goes into the record layer whole and waits there in order. A writer that gives up half way leaves
    the rest to the next one, so that an HTTP/2 connection stays usable for its other streams.
    """

    def __init__(self, below: Layer, context: ssl.SSLContext, hostname: str | None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._pending = bytearray()
        self._flushing = False

    async def handshake(self, patience: Patience) -> None:
        """Agree on keys, and check the certificate."""
        await self._run(self.object.do_handshake, patience)

    async def receive(self, size: int, patience: Patience) -> bytes:
        """Some bytes of plain text, or b"" at the end, said or not."""
        try:
            return await self._run(lambda: self.object.read(size), patience)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send(self, data: bytes, patience: Patience) -> None:
        """All of the bytes."""
        view = memoryview(data)
        while view:
            view = view[self.object.write(view) :]
        await self._flush(patience)

    async def _run(self, step: Callable[[], T], patience: Patience) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush(patience)
                data = await self._below.receive(RECORD, patience)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush(patience)
                return result

    async def _flush(self, patience: Patience) -> None:
        if self._outgoing.pending:
            self._pending += self._outgoing.read()
        if self._flushing:
            return  # whoever is at it sends this as well
        self._flushing = True
        try:
            while self._pending:
                if isinstance(self._below, Wire):
                    del self._pending[: await self._below.send_some(self._pending[:RECORD], patience)]
                else:
                    data = bytes(self._pending)
                    del self._pending[:]
                    await self._below.send(data, patience)
        finally:
            self._flushing = False


# ---------------------------------------------------------------------- what httpcore sees


class Stream:
    """A connection as httpcore's async half wants it; `SyncStream` is the other half's."""

    def __init__(self, wire: Wire, layer: Layer, write_error: type[Exception], *, negotiating: bool) -> None:
        self.wire = wire
        self._layer = layer
        self._write_error = write_error
        self._negotiating = negotiating
        self._heard = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, or b"" at the end. `timeout` is ignored: the exchange knows better."""
        line = _current.get()
        exchange = line.exchange
        if self._negotiating:
            patience = line.connecting()
        else:
            patience = line.patience(exchange.timeouts.read, ReadTimeout)
            if exchange.phase == "write":
                exchange.phase = "wait"
        try:
            data = await self._layer.receive(max_bytes, patience)
        except ssl.SSLError as error:
            raise self._broken(error) from error
        except (OSError, ValueError) as error:
            if exchange.aborted:
                raise aborted(exchange) from error
            raise ReadError(f"the connection broke while the answer was read: {_reason(error)}") from error
        if not data and exchange.aborted:
            raise aborted(exchange)
        self._heard = self._heard or not self._negotiating
        return data

    def _broken(self, error: ssl.SSLError) -> Exception:
        # In TLS 1.3 the server's verdict on our certificate comes after the handshake, in place of the answer.
        if not self._heard and "ALERT" in (error.reason or ""):
            return TLSError(
                f"the server ended the TLS session: {_reason(error)}; does it ask for a client certificate?"
            )
        return ReadError(f"the TLS session broke: {_reason(error)}")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of the bytes, counted for the exchange as soon as the kernel took one of them."""
        if not buffer:
            return
        line = _current.get()
        exchange = line.exchange
        if self._negotiating and not buffer.startswith(_PROXY_WORDS):
            self._negotiating = False
        if self._negotiating:
            patience = line.connecting()
        else:
            patience = line.patience(exchange.timeouts.write, WriteTimeout)
            exchange.phase = "write" if exchange.phase in {"queued", "connect", "tls"} else exchange.phase
        before = self.wire.sent
        try:
            await self._layer.send(buffer, patience)
        except (OSError, ValueError) as error:
            if exchange.aborted:
                raise aborted(exchange) from error
            raise self._write_error(f"the connection broke while the request was written: {_reason(error)}") from error
        finally:
            if not self._negotiating and not buffer.startswith(_HTTP2_PREFACE):
                exchange.bytes_sent += self._taken(self.wire.sent - before, len(buffer))

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
        line = _current.get()
        line.exchange.phase = "tls"
        try:
            tls = TLS(self._layer, ssl_context, server_hostname)
            await tls.handshake(line.connecting())
        except ssl.SSLError as error:
            self.wire.close()
            raise TLSError(_tls_message(error, server_hostname)) from error
        except (OSError, ValueError) as error:
            self.wire.close()
            if line.exchange.aborted:
                raise aborted(line.exchange) from error
            raise ConnectError(f"the connection broke during the TLS handshake: {_reason(error)}") from error
        except BaseException:
            self.wire.close()
            raise
        return type(self)(self.wire, tls, self._write_error, negotiating=False)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: the TLS object, and whether an idle connection was hung up."""
        if info == "ssl_object" and isinstance(self._layer, TLS):
            return self._layer.object
        if info == "is_readable":
            return self.wire.readable()
        return None


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
    return f"the TLS handshake with {host} failed: {_reason(error)}"


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason or type(error).__name__)


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


class Backend:
    """Makes connections for httpcore's async half.

    Attributes:
        wire: the connection made last, or None.
    """

    def __init__(
        self, waits: Waits, resolver: Resolver | None, write_error: type[Exception], *, proxied: bool = False
    ) -> None:
        self._waits = waits
        self._resolver = resolver
        self._write_error = write_error
        self._proxied = proxied
        self.wire: Wire | None = None

    async def connect_tcp(self, host: str, port: int, **_: object) -> Stream:
        """Connect to a name or an address.

        Raises:
            NameResolutionError: the name has no address.
            ConnectError: no address of it accepts the connection.
            ConnectTimeout: that took too long altogether.
        """
        line = self._begin()
        patience = line.connecting()
        addresses = await resolve(host, port, line, patience, self._resolver)
        sock = await self._first(addresses, line, patience, f"{host}:{port}")
        return self._stream(sock, line)

    async def connect_unix_socket(self, path: str, **_: object) -> Stream:
        """Connect to a unix socket."""
        line = self._begin()
        sock = await self._first([(socket.AF_UNIX, path)], line, line.connecting(), path)
        return self._stream(sock, line)

    @staticmethod
    def _begin() -> Line:
        line = _current.get()
        line.exchange.phase = "connect"
        return line

    def _stream(self, sock: socket.socket, line: Line) -> Stream:
        self.wire = wire = Wire(sock, self._waits)
        line.exchange.peer = wire.peer
        try:
            line.hold(wire.shut_down)
        except BaseException:
            wire.close()
            raise
        return Stream(wire, wire, self._write_error, negotiating=self._proxied)

    async def _first(self, addresses: list[Found], line: Line, patience: Patience, target: str) -> socket.socket:
        """The first address that answers; each may take its share of the time left, the last one all of it."""
        failure: OSError | None = None
        for number, (family, address) in enumerate(addresses):
            left = patience.left()
            share = None if left is None else left / (len(addresses) - number)
            try:
                return await self._attempt(family, address, line, share)
            except OSError as error:
                failure = error if failure is None or not isinstance(error, _Silence) else failure
        if isinstance(failure, _Silence):
            patience.left()
            raise ConnectTimeout(f"no connection to {target} in time") from failure
        assert failure is not None
        raise ConnectError(f"cannot connect to {target}: {_reason(failure)}") from failure

    async def _attempt(self, family: int, address: Any, line: Line, seconds: float | None) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code in _IN_PROGRESS and family != socket.AF_UNIX:
                line.hold(lambda: sock.shutdown(socket.SHUT_RDWR))
                if not await self._waits.writable(sock, seconds):
                    raise _Silence(errno.ETIMEDOUT, "no answer")
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                line.hold(None)
            if line.exchange.aborted:
                raise aborted(line.exchange)
            if code:
                raise OSError(code, os.strerror(code))
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            line.hold(None)
            sock.close()
            raise
        return sock

    async def sleep(self, seconds: float) -> None:
        """Never called: httpcore sleeps only between its own retries, which are off."""
        raise NotImplementedError


class _Silence(OSError):
    """An address that did not answer in its share of the time."""


class SyncBackend:
    """Makes connections for httpcore's sync half."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def connect_tcp(self, host: str, port: int, **_: object) -> SyncStream:
        """See `Backend.connect_tcp`."""
        return SyncStream(run_sync(self._backend.connect_tcp(host, port)))

    def connect_unix_socket(self, path: str, **_: object) -> SyncStream:
        """See `Backend.connect_unix_socket`."""
        return SyncStream(run_sync(self._backend.connect_unix_socket(path)))

    def sleep(self, seconds: float) -> None:
        """Never called: httpcore sleeps only between its own retries, which are off."""
        raise NotImplementedError


# ---------------------------------------------------------------------- names


async def resolve(host: str, port: int, line: Line, patience: Patience, resolver: Resolver | None) -> list[Found]:
    """The addresses of a name, in the order in which they are tried.

    Raises:
        NameResolutionError: it has none, or the resolver failed.
    """
    with suppress(OSError, UnicodeError):
        return _numeric(host, port)
    outcome: list[list[Found] | Exception] = []
    event = line.runtime.event()

    def work() -> None:
        try:
            outcome.append(_look_up(host, port, resolver))
        except Exception as error:
            outcome.append(error)
        event.set()

    line.runtime.clock.start(work, name=f"resolve {host}")
    line.hold(event.set)
    while not outcome:
        await line.runtime.wait(event, patience.left())
    line.hold(None)
    found = outcome[0]
    if isinstance(found, Exception):
        raise NameResolutionError(f"the name {host!r} cannot be resolved: {_reason(found)}") from found
    if not found:
        raise NameResolutionError(f"the name {host!r} has no address")
    return found


def _look_up(host: str, port: int, resolver: Resolver | None) -> list[Found]:
    if resolver is None:
        return _unique(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return [found for address, number in resolver(host, port) for found in _numeric(address, number)]


def _numeric(address: str, port: int) -> list[Found]:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return _unique(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags))


def _unique(infos: list[Any]) -> list[Found]:
    return list(dict.fromkeys((info[0], info[4]) for info in infos))
