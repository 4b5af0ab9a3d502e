"""No network: what would leave for an address that a test did not ask for fails, loudly and at once.

Theory of operation. Python itself reports every connection, datagram and look-up of a name to audit hooks
(`sys.addaudithook`, PEP 578), whoever makes it: sockets in threads, asyncio, trio, requests, aiohttp, a name that was
imported before. So nothing is patched and nothing has to be put back. One hook is added when the first guard is
entered; hooks cannot be removed, and without a guard it only looks an event's name up.

Two things make no such report. uvloop connects in C: its loop's own methods are wrapped, once. pyreqwest connects in
Rust: this project's engine reports the address itself, as event `rest_api_client.connect`; pyreqwest used directly is
not seen. Nor are other processes.

A connection must be allowed by every guard that is active; the one entered last is asked first. Unix sockets and socket
pairs are free.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from _pytest.outcomes import Failed  # pytest.fail.Exception, in a form that types allow for a base

from pytest_plugin.guards.callers import Sight, place

Address = tuple[str, int]


class RealWorld(Failed):
    """A test in virtual time, or without network, was about to touch the real world.

    It ends the test as `pytest.fail` does and is no `Exception`: a client that answers every error with another
    attempt, or with an error of its own, lets it pass.
    """


class NetworkBlocked(RealWorld):
    """A test without network was about to connect, to send, or to look a name up."""


@contextmanager
def no_network(allow: Collection[Address] = ()) -> Iterator[None]:
    """Let nothing out of this process but to addresses in `allow`, in all its threads.

    Args:
        allow: pairs of host and port that may be reached; an address, a name, or `localhost` for every loopback
            address. It is asked at each connection, so it may change while the guard is active. Names in it may be
            looked up, and loopback names always.

    Raises:
        NetworkBlocked: inside, where something was to be reached that is not allowed.
    """
    with watching(_Door(allow)):
        yield


class Watcher:
    """Somebody who is asked about every connection. An error he raises is raised where the connection is made."""

    def connect(self, host: str, port: int, verb: str) -> None:
        """A connection is to be made, or a datagram sent."""

    def bind(self, host: str, port: int) -> None:
        """A socket is to get an address."""

    def look_up(self, name: str) -> None:
        """A name that is neither an address nor this machine is to be looked up."""


class _Door(Watcher):
    def __init__(self, allow: Collection[Address]) -> None:
        for each in allow:
            if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[1], int)):
                raise ValueError(f"allow holds {each!r}: give pairs of host and port, ('127.0.0.1', 8080)")
        self._allow = allow
        self._found: dict[Address, frozenset[str]] = {}

    def connect(self, host: str, port: int, verb: str) -> None:
        if not any(port == allowed and self._same(name, port, host) for name, allowed in list(self._allow)):
            raise NetworkBlocked(_BLOCKED.format(f"{verb} {shown(host, port)}", by(_SIGHT), self._allowed()))

    def look_up(self, name: str) -> None:
        if not any(name.lower() == allowed.lower() for allowed, _ in list(self._allow)):
            raise NetworkBlocked(_BLOCKED.format(f"look up {name!r}", by(_SIGHT), self._allowed()))

    def _same(self, allowed: str, port: int, host: str) -> bool:
        if allowed.lower() == host.lower() or (allowed == "localhost" and is_local(host)):
            return True
        if (host == "localhost" and is_local(allowed)) or (is_address(host) and is_address(allowed)):
            return _plain(allowed) == _plain(host)
        return (
            is_address(host) and not is_local(allowed) and not is_address(allowed) and host in self._of(allowed, port)
        )

    def _of(self, name: str, port: int) -> frozenset[str]:
        if (name, port) not in self._found:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            self._found[name, port] = frozenset(str(each[4][0]) for each in found)
        return self._found[name, port]

    def _allowed(self) -> str:
        return ", ".join(sorted(shown(*each) for each in self._allow)) or "nothing"


_SIGHT = Sight()

_BLOCKED = """the network is shut in this test, which was about to {0}
  by {1}; allowed: {2}
Answer it with a mock server (fixture mock_server, mockserver.MockServer), a cassette (mark api_cassette) or a script
(ScriptedTransport); or allow it: no_network(allow=[(host, port)]), @pytest.mark.api_allow_network("host:port")."""


def shown(host: str, port: int) -> str:
    """Write an address as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def by(sight: Sight) -> str:
    """Say where the program stands that is calling."""
    frame = sight.nearest(sys._getframe(1))  # noqa: SLF001  the documented way to a caller
    return "a thread of a library" if frame is None else place(frame)


def is_address(host: str) -> bool:
    """Say whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Say whether a host is this machine by a loopback address or name; an empty one is."""
    if is_address(host):
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    return host.lower().rstrip(".") in _LOCAL or host.lower().endswith(".localhost")


_LOCAL = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def _plain(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else str(ipaddress.ip_address(host.split("%")[0]))


# Who watches ----------------------------------------------------------------------------------------------------------

_watchers: list[Watcher] = []
_lock = threading.Lock()
_listening = False


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Have somebody asked about what leaves this process. Blocks may overlap in any order, and in any thread."""
    global _listening, _watchers
    with _lock:
        if not _listening:
            sys.addaudithook(_listen)
            _listening = True
        _watchers = [*_watchers, watcher]
    _reach_uvloop()
    try:
        yield
    finally:
        with _lock:
            _watchers = [each for each in _watchers if each is not watcher]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    heard = _HEARD.get(event)
    if heard is not None and _watchers:
        heard(*arguments)


def _connect(sock: socket.socket, address: Any) -> None:
    if sock.family in _INTERNET:
        with _closed_if_refused(sock):
            _ask_connect(address, "connect to")


def _send(sock: socket.socket, address: Any) -> None:
    if sock.family in _INTERNET and address is not None:
        _ask_connect(address, "send a datagram to")


def _ask_connect(address: Any, verb: str) -> None:
    host, port = _text(address[0]), address[1]
    for watcher in reversed(_watchers):
        watcher.connect(host, port, verb)


def _bind(sock: socket.socket, address: Any) -> None:
    if sock.family in _INTERNET:
        with _closed_if_refused(sock):
            for watcher in reversed(_watchers):
                watcher.bind(_text(address[0]), address[1])


@contextmanager
def _closed_if_refused(sock: socket.socket) -> Iterator[None]:
    """Close it, for socket.create_connection and create_server do so after an OSError only."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


def _look_up(name: Any, *_: Any, **options: Any) -> None:
    host = _text(name)
    if is_address(host) or is_local(host) or host == socket.gethostname():
        return
    for watcher in reversed(_watchers):
        watcher.look_up(host)


def _engine(host: str, port: int) -> None:
    _ask_connect((host, port), "connect to")


def _text(host: Any) -> str:
    return "" if host is None else host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)


def _made(*_: Any) -> None:
    if not _reached:
        _reach_uvloop()


_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})

_HEARD: dict[str, Callable[..., None]] = {
    "socket.connect": _connect,
    "socket.sendto": _send,
    "socket.sendmsg": _send,
    "socket.bind": _bind,
    "socket.getaddrinfo": _look_up,
    "socket.gethostbyname": _look_up,
    "socket.__new__": _made,
    "rest_api_client.connect": _engine,
}


# uvloop ---------------------------------------------------------------------------------------------------------------

_reached: list[Any] = []


def _reach_uvloop() -> None:
    """Have uvloop's loops ask as well. A loop of its own makes a socket pair first, so one import later is in time."""
    kind: Any = getattr(sys.modules.get("uvloop"), "Loop", None)
    if kind is None or _reached:
        return
    _reached.append(kind)
    for name in ("create_connection", "create_datagram_endpoint", "getaddrinfo"):
        setattr(kind, name, _asking(name, getattr(kind, name)))


def _asking(name: str, method: Any) -> Any:
    async def asking(loop: Any, *arguments: Any, **options: Any) -> Any:
        if _watchers:
            _ASKED[name](*arguments, **options)
        return await method(loop, *arguments, **options)

    return asking


def _asked_connection(_: Any, host: Any = None, port: Any = None, **options: Any) -> None:
    if host is not None:
        _look_up(host)
        _ask_connect((host, port), "connect to")


def _asked_datagrams(_: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any) -> None:
    if isinstance(remote_addr, tuple):
        _look_up(remote_addr[0])
        _ask_connect(remote_addr, "send datagrams to")


_ASKED: dict[str, Callable[..., None]] = {
    "create_connection": _asked_connection,
    "create_datagram_endpoint": _asked_datagrams,
    "getaddrinfo": _look_up,
}
