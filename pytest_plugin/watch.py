"""What one test saw: the events of its clients, the journals of its servers, its cassettes, its clock.

A `Watch` is made for each test that uses a fixture or a mark of this plugin, and for no other. It keeps what the
timeline and the summary are made of, holds the network shut, and knows whether the test has failed already, so that
nobody reports a second error. Under Hypothesis each example begins with a factory: what the example before it left is
forgotten then, so that a failing test shows the example it failed with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_plugin.options import fault_seed
from rest_api_client.clock import SYSTEM

if TYPE_CHECKING:
    from random import Random

    from mockserver import Faults, MockServer, Rules, Violation
    from mockserver.scene import Scene
    from pytest_plugin.timeline import Timeline
    from rest_api_client.clock import Clock
    from rest_api_client.events import Event
    from rest_api_client.virtual.clock import VirtualClock

MOST_EVENTS = 20_000
"""Events that are kept of one test; the oldest fall out."""

_HELD = frozenset({"mock_server", "mock_server_session", "api_client", "async_api_client"})
"""Fixtures that a test holds from its beginning to its end, examples of Hypothesis notwithstanding."""

_PATIENCE = 1.0
"""Real seconds that what is still in flight on a socket has, before the rules are checked."""


class Seen:
    """A server, and how far it was when the test began.

    Args:
        server: the server.
        clock: by which the clients go.
    """

    def __init__(self, server: MockServer, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self._marks = {scene: (scene.journal, scene.journal.mark) for scene in self.scenes()}

    def scenes(self) -> list[Scene]:
        """The server itself and its spaces."""
        return [self.server, *self.server.spaces]

    def mark(self, scene: Scene) -> int:
        """The index of the scene's first request of this test."""
        journal, mark = self._marks.get(scene, (None, 0))
        return mark if journal is scene.journal else 0  # it was reset meanwhile

    def began(self) -> float:
        """The moment at which the server's own time began, on the clients' clock."""
        try:
            return max(
                self.clock.monotonic() - self.server.now() for _ in range(3)
            )  # a pause in between only lessens it
        except RuntimeError:  # no client yet, so nothing arrived
            return 0.0

    def violations(self, rules: Rules | None) -> list[Violation]:
        """What the rules say of what arrived; on a socket, when nothing is in flight any more."""
        found: list[Violation] = []
        for scene in self.scenes():
            if self.clock is SYSTEM:
                with suppress(TimeoutError):  # what stays in flight is for a rule to say
                    scene.journal.wait_until_quiet(_PATIENCE)
            found += scene.check(rules, since=self.mark(scene))
        return found


class Watch:
    """What one test saw.

    Args:
        request: of the test's own fixture.

    Attributes:
        events: of the clients.
        clock: a virtual one, while there is one.
        failed: the test has failed already, as expected or not, or was skipped on its way.
        cassettes: what became of each cassette, as plain data for the summary.
        notes: lines that replay what happened.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.request = request
        self.config = request.config
        self.nodeid = request.node.nodeid
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.servers: list[Seen] = []
        self.clock: VirtualClock | None = None
        self.failed = False
        self.cassettes: list[dict[str, Any]] = []
        self.ports: set[tuple[str, int]] = set()
        self.function = getattr(request, "function", None)
        self._blocks = 0
        self._clients = 0
        self._was_virtual = False
        self._shut: AbstractContextManager[object] = nullcontext()

    # The network ---------------------------------------------------------------------------------------------------

    def shut_network(self) -> None:
        """Let nothing out but to the ports of this test's servers, and to what the test's mark allows."""
        if self.config.getini("api_network") == "allow":
            return
        for mark in self.request.node.iter_markers("api_allow_network"):
            if not mark.args:
                return
            self.ports |= {_address(each) for each in mark.args}
        from pytest_plugin.guards import no_network

        self._shut = no_network(allow=self.ports)
        self._shut.__enter__()

    def open_network(self) -> None:
        """Let everything out again. Does nothing the second time."""
        shut, self._shut = self._shut, nullcontext()
        shut.__exit__(None, None, None)

    # What happens --------------------------------------------------------------------------------------------------

    def saw(self, server: MockServer) -> Seen:
        """A server is part of this test from now on."""
        seen = Seen(server, self.clock or SYSTEM)
        self.servers.append(seen)
        return seen

    def random(self) -> Random:
        """A source of chance for one more client: the same in every run, and another for each client."""
        from random import Random

        self._clients += 1
        return Random(f"{fault_seed(self.config)} {self._clients}")

    @contextmanager
    def block(self) -> Iterator[None]:
        """A block of a factory. Where none is open, and no fixture of the test's is, another example begins with it."""
        if not self._blocks and not _HELD & set(self.request.fixturenames):
            self.events.clear()
            self.servers.clear()
            self._clients = 0
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1

    def asked(self, fixture: str) -> Any:
        """What a fixture gives that the test may have overridden."""
        return self.request.getfixturevalue(fixture)

    def let_out(self, server: MockServer) -> None:
        """Requests to this server pass."""
        self.ports.add((server.host, server.port))

    def be_virtual(self, clock: VirtualClock | None) -> None:
        """The test goes by this clock from now on; None: by the real one."""
        self.clock = clock
        self._was_virtual = self._was_virtual or clock is not None

    def judge(self, seen: Seen, rules: Rules | None) -> None:
        """Fail the test where rules were broken, unless it has failed already."""
        if rules is None or self.failed:
            return
        from mockserver.rules import format_violations

        found = seen.violations(rules)
        if any(not each.warning for each in found):
            pytest.fail(format_violations(found), pytrace=False)

    # What it shows -------------------------------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        """What happened until now."""
        from pytest_plugin.timeline import Timeline, arrived, calls_of

        requests = [
            arrived(entry, began, scene.faults.explain if scene.faults is not None else None)
            for seen in self.servers
            for began in (seen.began(),)
            for scene in seen.scenes()
            for entry in scene.journal.since(seen.mark(scene))
        ]
        unit = "virtual seconds" if self._was_virtual else "seconds"
        return Timeline.joined(calls_of(list(self.events)), requests, title=self.nodeid, unit=unit)

    def replay(self) -> list[str]:
        """The lines by which the faults of the servers can be had again."""
        plans = [seen.server.faults for seen in self.servers]
        return [line for faults in plans if faults is not None and (line := _described(faults))]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise pytest.UsageError(f"api_allow_network({text!r}): give 'host:port', or nothing to allow everything")
    return host.strip("[]"), int(port)


def _described(faults: Faults) -> str:
    try:
        return faults.describe()
    except ValueError:  # a fault without a name
        return ""


def keep(item: pytest.Item, watch: Watch) -> None:
    """This is what the test saw."""
    item.stash[_KEPT] = watch


def kept(item: pytest.Item) -> Watch | None:
    """What a test saw, where it is watched."""
    return item.stash.get(_KEPT, None)


def current(config: pytest.Config) -> Watch | None:
    """That of the test that is running, where it has one."""
    return config.stash.get(_CURRENT, None)


def enter(config: pytest.Config, watch: Watch | None) -> None:
    """From now on this is the one."""
    config.stash[_CURRENT] = watch


_KEPT: pytest.StashKey[Watch] = pytest.StashKey()
_CURRENT: pytest.StashKey[Watch | None] = pytest.StashKey()
