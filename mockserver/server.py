"""A real server on a real socket, in a thread of its own.

The thread is `serving`'s, connections come in by the `gate`, what happens to requests is the `stage`'s business; this
class puts them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from mockserver.arguments import (
    check_address,
    check_choice,
    check_functions,
    check_kinds,
    check_numbers,
    check_outages,
    check_stubs,
)
from mockserver.faults import Errors, Outage, Slowness
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.gate import Gate
from mockserver.journal import Entry, Scribe
from mockserver.limits import Limit, Limits
from mockserver.players.wire import PROTOCOLS, Player
from mockserver.rules import Rules, Violation, enforce
from mockserver.scene import Scene, Settings, as_faults, as_limits
from mockserver.seen import Seen
from mockserver.serving import Serving, listen
from mockserver.spaces import MOST_SPACES, Space, Spaces
from mockserver.stage import Stubs as Answering
from mockserver.stubs import Stub, Stubs

if TYPE_CHECKING:
    from mockserver.admin import Admin, AdminSettings
    from mockserver.players.in_process import StageTransport

DEFAULT_RESOURCES: Mapping[str, int] = {"users": 500, "orders": 1000}
Tls: TypeAlias = ssl.SSLContext | str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""A context for servers, a PEM file with certificate and key, or the files of both."""

CHECK = "MOCKSERVER_CHECK"
"""The environment variable that switches the check at the end of a test off."""

_PATIENCE = 1.0
"""Seconds that what is still in flight has, before the rules are checked."""

_LOOK = 0.05
"""Seconds between two looks at the plan's phases."""

_LOOPS = ("auto", "asyncio", "uvloop")


class MockServer(Scene):
    """A server to test against, that misbehaves as told.

        with MockServer(limit=SlidingWindow(calls=50, period=1.0), errors=Errors(probability=0.1)) as server:
            httpx.get(f"{server.url}/users/7")
            print(server.journal.statuses)

    Args:
        resources: how many records each collection has; 500 users and 1,000 orders when None.
        seed: decides everything that looks like chance: data, errors, latency.
        limit: `SlidingWindow(calls, period)` or `TokenBucket(rate, burst)`, or several rules as `Limits`; None for no
            rate limit.
        key: tells clients apart (`by_header("x-api-key")`), each with a limit of its own; all share one when None.
        errors: `Errors(probability=...)`, 5xx before anything is done.
        latency: `Latency(p50=..., p95=...)` or `EvenLatency(low=..., high=...)`.
        outages: dead periods, `Outage(start=..., duration=...)`.
        faults: rules, phases and what else goes wrong: a `Plan`, or the `Faults` of one.
        stubs: answers made to order, before the resources are asked: `[stub("GET", "/x", json=1)]`, or `Stubs`.
        admin: whether the admin API listens as well, on a port of its own, and where; see `admin`.
        tls: an `ssl.SSLContext` for servers, the path of a PEM file that holds certificate and key, or both paths;
            None for plain HTTP.
        host: the address to listen on.
        port: 0 takes a free one; read it back from `port`.
        http: which of uvicorn's two parsers reads requests.
        loop: the event loop; "auto" is uvloop where it is installed.
        journal_size: how many requests the journal keeps; its counters count on.
        most_spaces: how many spaces there may be at once.
        on_entry: called in the server's thread with each journal entry when its answer is complete.
        rules: what a client is held to. Where pytest runs a test, they are checked when `with` ends without an error,
            spaces included, and a broken one is a `BadBehaviour` error; the environment variable `MOCKSERVER_CHECK=off`
            leaves that to `check()`. None: nothing is checked there.
        identify: names the logical call of a request that brings no `x-call-id`; None where it cannot tell.
        caller: tells clients apart for the rules; by address and user agent when None.

    Raises:
        BadBehaviour: from `with`, see `rules`.
        ValueError: for settings that make no sense, before anything is started.
        OSError: from `start`, when the port is taken.
    """

    def __init__(
        self,
        *,
        resources: Mapping[str, int] | None = None,
        seed: int = 0,
        limit: Limit | Limits | None = None,
        key: Callable[[Seen], str] | None = None,
        errors: Errors | None = None,
        latency: Slowness | None = None,
        outages: Iterable[Outage] = (),
        faults: Faults | Plan | None = None,
        stubs: Stubs | Sequence[Stub] | Answering | None = None,
        admin: bool | AdminSettings = False,
        tls: Tls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        http: Literal["httptools", "h11"] = "httptools",
        loop: Literal["auto", "asyncio", "uvloop"] = "auto",
        journal_size: int = 10_000,
        most_spaces: int = MOST_SPACES,
        on_entry: Callable[[Entry], None] | None = None,
        rules: Rules | None = Rules(),  # noqa: B008  a value
        identify: Callable[[Seen], str | None] | None = None,
        caller: Callable[[Seen], str] | None = None,
    ) -> None:
        check_kinds(resources=resources, limit=limit, errors=errors, latency=latency, faults=faults, rules=rules)
        check_functions(key=key, on_entry=on_entry, identify=identify, caller=caller)
        check_address(host, port)
        check_numbers(seed=seed, journal_size=journal_size, most_spaces=most_spaces)
        check_choice("http", http, PROTOCOLS)
        check_choice("loop", loop, _LOOPS)
        self._another: Callable[[], MockServer] = lambda: MockServer(
            seed=seed, tls=tls, host=host, http=http, loop=loop
        )
        settings = Settings(
            resources=DEFAULT_RESOURCES if resources is None else dict(resources),
            seed=seed,
            limits=as_limits(limit, key),
            errors=errors,
            latency=latency,
            outages=check_outages(outages),
            faults=as_faults(faults),
            stubs=stubs if stubs is None or isinstance(stubs, Answering) else Stubs(check_stubs(stubs)),
            journal_size=journal_size,
            scribe=Scribe(identify=identify, caller=caller),
            on_entry=on_entry,
        )
        super().__init__(settings)
        self.host = host
        self._rules = rules
        self.spaces = Spaces(
            self, settings, url=lambda: self.url, elsewhere=lambda name: self.other_origin.space(name), most=most_spaces
        )
        self._wanted_port = port
        self._admin = _admin_of(self, admin)
        self._other: MockServer | None = None
        self._tls = _secure(tls)
        self.gate = Gate(tls=self._tls)
        self._app = Player(self.spaces)
        self._serving = Serving(
            self._app,
            self.gate,
            protocol=PROTOCOLS[http](),
            loop=loop,
            name="mockserver",
            beside=self._watch,
        )
        self._replanned: asyncio.Event
        self._port: int | None = None

    def space(self, name: str) -> Space:
        """A part of the server by itself, for one test or one worker; made when it is first asked for (see `spaces`).

        Raises:
            ValueError: names are 1 to 64 ASCII letters, digits, ".", "_" and "-", the first a letter or a digit.
            TooManySpacesError: there are as many as there may be.
        """
        return self.spaces.space(name)

    @property
    def admin(self) -> Admin:
        """The admin API's address and token.

        Raises:
            RuntimeError: it was not asked for.
        """
        if self._admin is None:
            raise RuntimeError("this server has no admin API: make it with MockServer(admin=True)")
        return self._admin

    @property
    def other_origin(self) -> MockServer:
        """A second server on a port of its own, where nothing goes wrong, with a journal of its own on the same clock.

        To see what a client takes along when it is sent elsewhere. Made and started when it is first asked for, and
        stopped with this one.

        Raises:
            RuntimeError: this server is not started.
        """
        if self._other is None:
            _ = self.port  # started?
            self._elsewhere = self._other = self._another()
            self._other.go_by(self.now, self._settings.time.wall)
            self._other.start()
        return self._other

    def transport(self) -> StageTransport:
        """The server as an engine, without a socket: `APIClient(base_url="http://stage", engine=server.transport())`.

        In the time of the client, virtual or not; for a server that is not started. One for each client.

        Raises:
            RuntimeError: the server was started.
        """
        if self._serving.started:
            raise RuntimeError("this MockServer has a socket: make another one to play in process")
        from mockserver.players.in_process import StageTransport  # the client's side: not for who serves a socket

        return StageTransport(self)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._port is None:
            raise RuntimeError("the server has no port before it is started: call start() or use `with`")
        return self._port

    @property
    def url(self) -> str:
        """`http://host:port`, or https, with nothing behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    def start(self) -> Self:
        """Listen, and return when requests are answered. A server starts once."""
        if self._serving.started:
            raise RuntimeError("a MockServer starts only once: make another")
        listener = listen(self.host, self._wanted_port)
        self._port = listener.getsockname()[1]
        began = time.monotonic()
        self.go_by(lambda: time.monotonic() - began, time.time)
        self._serving.start(listener)
        if self._admin is not None:
            try:
                self._admin.start()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection, in mid-answer too. Does nothing the second time."""
        if self._other is not None:
            self._other.stop()
        if self._admin is not None:
            self._admin.stop()
        self._serving.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None and self._rules is not None and _in_a_test():
                self._enforce(self._rules)
        finally:
            self.stop()

    def _enforce(self, rules: Rules) -> None:
        found: list[Violation] = []
        for scene in (self, *map(self.spaces.space, self.spaces.names)):
            with contextlib.suppress(TimeoutError):  # what stays in flight is for a rule to say
                scene.journal.wait_until_quiet(_PATIENCE)
            found += scene.check(rules)
        enforce(found)

    def __repr__(self) -> str:
        return f"<MockServer {'not started' if self._port is None else self.url}>"

    async def _watch(self) -> None:
        """Open and close the gate as the phases of the plan have it."""
        self._replanned = asyncio.Event()
        known = "open"
        while True:
            self._replanned.clear()
            faults, now = self.stage.faults, self.now()
            door = "open" if faults is None else faults.connection(now)
            if door != known:
                known = door
                self.gate.become(door)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._replanned.wait(), _until_look(faults, now))

    def _changed(self) -> None:
        self._serving.soon(lambda: self._replanned.set())


def _admin_of(server: MockServer, asked: bool | AdminSettings) -> Admin | None:
    if not asked:
        return None
    from mockserver.admin import Admin, AdminSettings  # what reads stub files is not needed otherwise

    if asked is not True and not isinstance(asked, AdminSettings):
        raise ValueError(f"admin={asked!r}: give True, or AdminSettings(port=...)")
    return Admin(server, AdminSettings() if asked is True else asked)


def _in_a_test() -> bool:
    return "PYTEST_CURRENT_TEST" in os.environ and os.environ.get(CHECK, "").lower() != "off"


def _until_look(faults: Faults | None, now: float) -> float | None:
    """Seconds until the door may change; None where it does not."""
    if faults is None or all(phase.connection == "open" for phase in faults.plan.schedule.phases):
        return None
    change = faults.next_change(now)
    return _LOOK if change is None else min(_LOOK, max(0.0, change - now))


def _secure(tls: Tls | None) -> ssl.SSLContext | None:
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        certificate, key = tls if isinstance(tls, tuple) else (tls, None)
        # With a password, even if it is wrong: or OpenSSL would ask whoever sits at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"tls={tls!r}: {error}; give an ssl.SSLContext, the path of a PEM file that holds certificate and key, "
            "not encrypted, or both paths as (certificate, key)"
        ) from error
    return context
