"""One fault and those who meet it: the gate is set before, and opened behind, each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mockserver import MockServer
from tests.faults.clients import ENGINES, PEERS, Meeting, ours_async, ours_sync
from tests.faults.rows import Certificates, Row


def met(row: Row, server: MockServer, ask: Callable[[], str]) -> str:
    """What somebody makes of a fault that is set for them alone."""
    if row.prepare is not None:
        row.prepare(server)
    try:
        return ask()
    finally:
        server.gate.open()


def ours(row: Row, server: MockServer, certificates: Certificates, authority: Path) -> dict[str, str]:
    """This library's outcomes by "engine face"."""
    meeting = Meeting(row, server.url, certificates.trust(), authority)
    outcomes = {}
    for engine in ENGINES:
        outcomes[f"{engine} sync"] = met(row, server, partial(ours_sync, engine, meeting))
        outcomes[f"{engine} async"] = met(row, server, partial(ours_async, engine, meeting))
    return outcomes


def peers(row: Row, server: MockServer, certificates: Certificates, authority: Path) -> dict[str, str]:
    """The others' outcomes by name."""
    meeting = Meeting(row, server.url, certificates.trust(), authority)
    return {name: met(row, server, partial(_or_raised, ask, meeting)) for name, ask in PEERS.items()}


def _or_raised(ask: Callable[[Meeting], str], meeting: Meeting) -> str:
    """A client may raise as it is closed, too."""
    try:
        return ask(meeting)
    except Exception as error:
        return type(error).__name__
