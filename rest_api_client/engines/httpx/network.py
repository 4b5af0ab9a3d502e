"""The network backend: how httpcore's connections are made.

Our own loop over a name's addresses, because the libraries' gives each of them the whole limit: here each may take its
share of the time left, the last one all of it. Names are resolved in a daemon thread, which is abandoned when the time
is up: `getaddrinfo` cannot be interrupted.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from rest_api_client.connection import Resolver
from rest_api_client.engines.errors import aborted
from rest_api_client.engines.httpx.streams import Stream, SyncStream, caused, reason
from rest_api_client.engines.httpx.waits import Waits
from rest_api_client.engines.httpx.wire import Wire
from rest_api_client.engines.passage import Passage, Patience, current_passage
from rest_api_client.exceptions import APIError, ConnectError, ConnectTimeout, NameResolutionError
from rest_api_client.runtime import run_sync

Found: TypeAlias = tuple[int, Any]
"""An address family and an address of that family."""


_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


class Backend:
    """Makes connections for httpcore's async half.

    Attributes:
        wire: the connection made last, or None.
        begun: see `Wire.begun`.
    """

    def __init__(
        self, waits: Waits, resolver: Resolver | None, write_error: type[Exception], *, proxied: bool = False
    ) -> None:
        self._waits = waits
        self._resolver = resolver
        self._write_error = write_error
        self._proxied = proxied
        self.wire: Wire | None = None
        self.begun: Callable[[Wire, bool], object] | None = None

    async def connect_tcp(self, host: str, port: int, **_: object) -> Stream:
        """Connect to a name or an address.

        Raises:
            NameResolutionError: the name has no address.
            ConnectError: no address of it accepts the connection.
            ConnectTimeout: that took too long altogether.
        """
        passage = self._begin()
        patience = passage.connecting()
        addresses = await resolve(host, port, passage, patience, self._resolver)
        sock = await self._first(addresses, passage, patience, f"{host}:{port}")
        return self._stream(sock, passage)

    async def connect_unix_socket(self, path: str, **_: object) -> Stream:
        """Connect to a unix socket."""
        passage = self._begin()
        sock = await self._first([(socket.AF_UNIX, path)], passage, passage.connecting(), path)
        return self._stream(sock, passage)

    @staticmethod
    def _begin() -> Passage:
        passage = current_passage.get()
        passage.exchange.phase = "connect"
        return passage

    def _stream(self, sock: socket.socket, passage: Passage) -> Stream:
        self.wire = wire = Wire(sock, self._waits)
        wire.begun = self.begun
        passage.exchange.peer = wire.peer
        passage.hold(wire.shut_down)
        return Stream(wire, wire, self._write_error, negotiating=self._proxied)

    async def _first(self, addresses: list[Found], passage: Passage, patience: Patience, target: str) -> socket.socket:
        """The first address that answers; each may take its share of the time left, the last one all of it."""
        failure: OSError | None = None
        for number, (family, address) in enumerate(addresses):
            left = patience.left()
            share = None if left is None else left / (len(addresses) - number)
            try:
                return await self._attempt(family, address, passage, share)
            except APIError:
                raise  # out of time, or aborted: our timeouts are OSErrors too
            except OSError as error:
                failure = error if failure is None or not isinstance(error, _Silence) else failure
        assert failure is not None
        kind = ConnectTimeout if isinstance(failure, _Silence) else ConnectError
        patience.left()  # raises what it was that passed
        raise caused(kind(f"cannot connect to {target}: {reason(failure)}"), failure) from failure

    async def _attempt(self, family: int, address: Any, passage: Passage, seconds: float | None) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code in _IN_PROGRESS and family != socket.AF_UNIX:
                passage.hold(lambda: sock.shutdown(socket.SHUT_RDWR))
                if not await self._waits.writable(sock, seconds):
                    raise _Silence(errno.ETIMEDOUT, "no answer")
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                passage.hold(None)
            if passage.exchange.aborted:
                raise aborted(passage.exchange)
            if code:
                raise OSError(code, os.strerror(code))
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            passage.hold(None)
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


async def resolve(host: str, port: int, passage: Passage, patience: Patience, resolver: Resolver | None) -> list[Found]:
    """The addresses of a name, in the order in which they are tried.

    Raises:
        NameResolutionError: it has none, or the resolver failed.
    """
    with suppress(OSError, UnicodeError):
        return _numeric(host, port)
    outcome: list[list[Found] | BaseException] = []
    event = passage.runtime.event()

    def work() -> None:
        try:
            outcome.append(_look_up(host, port, resolver))
        except BaseException as error:  # whatever ends this thread, somebody waits for it
            outcome.append(error)
        event.set()

    passage.runtime.clock.start(work, name=f"resolve {host}")
    passage.hold(event.set)
    while not outcome:
        await passage.runtime.wait(event, patience.left())
    passage.hold(None)
    found = outcome[0]
    if isinstance(found, BaseException):
        raise caused(NameResolutionError(f"the name {host!r} cannot be resolved: {reason(found)}"), found) from found
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
