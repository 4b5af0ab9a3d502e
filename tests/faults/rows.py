"""The rows of the table: every fault of the catalogue and of the gate, and how each is called up.

A fault of the catalogue is asked for by an `x-fault` field; one of the gate is set before each attempt, and the gate is
opened again behind it. `silent` says what never comes, a connection or bytes: only that timeout of a client is short.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, get_args

import trustme

from mockserver import MockServer
from mockserver.faults.catalogue import CATALOGUE
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.gate import ConnectionFault
from mockserver.seen import Seen
from rest_api_client.script import Chunk, End, Head, Script

_PAST = datetime(2020, 1, 1, tzinfo=UTC)
BODY: Final = b"0123456789"
UPLOAD: Final = b"u" * 2000
ANSWER = Script(Head(200, (("content-type", "text/plain"),)), Chunk(BODY), End())
GROUPS: Final = ("gate", "head", "body", "keep-alive", "TLS")

_BRISK = {"drip": "drip(bytes_per_second=20000)", "slow_upload": "slow_upload(bytes_per_second=100000)"}
_SILENT = {"stall_before_head", "stall_after_head", "stall_mid_body", "unread_upload"}
_NEVER: Final[dict[str, Literal["connect", "read"]]] = {"silence": "read", "hello_silence": "connect"}
_BY_CHANCE = {"reset": (("ConnectError", "ReadError"), ("ClientConnectorError", "ClientOSError"))}
_UPLOADS = {"slow_upload", "unread_upload"}
_KEPT_ALIVE = {"extra_bytes", "half_close", "stale"}
_BODIES = {
    "reset_mid_body", "truncate", "truncate_chunked", "malformed_chunk", "corrupt_gzip", "drip", "stall_after_head",
    "stall_mid_body", "slow_upload", "unread_upload", "length_and_chunked", "two_content_lengths",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        name: as written in a rule, or the call on the gate.
        group: one of `GROUPS`.
        says: what it does, in one sentence.
        fault: the text of the `x-fault` field; "" for none.
        prepare: sets the gate for the next connection.
        method: POST sends `UPLOAD`.
        asks: how many requests one client makes, one after the other; the later ones without the fault.
        silent: the timeout that ends it where nothing comes; None for all that ends by itself.
        either: groups of outcomes between which chance decides, by whether the end comes before the request is written.
    """

    name: str
    group: str
    says: str
    fault: str = ""
    prepare: Callable[[MockServer], object] | None = None
    method: str = "GET"
    asks: int = 1
    silent: Literal["connect", "read"] | None = None
    either: tuple[tuple[str, ...], ...] = ()


class Text:
    """Stubs: the same text on every path."""

    def answer(self, seen: Seen) -> Script:
        return ANSWER


class Certificates:
    """An authority that clients trust, and certificates that they should not."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.good = _served(self.authority.issue_cert("127.0.0.1"))
        self.bad = {
            "expired": _served(
                self.authority.issue_cert("127.0.0.1", not_before=_PAST, not_after=_PAST + timedelta(days=9))
            ),
            "of another host": _served(self.authority.issue_cert("elsewhere.test")),
            "of an unknown authority": _served(trustme.CA().issue_cert("127.0.0.1")),
        }

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


def _served(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def servers(certificates: Certificates) -> Iterator[dict[bool, MockServer]]:
    """Two, by whether they speak TLS; both obey `x-fault`."""

    def one(tls: ssl.SSLContext | None) -> MockServer:
        return MockServer(stubs=Text(), faults=Faults(Plan(caller_faults=True)), tls=tls, rules=None)

    with one(None) as plain, one(certificates.good) as secret:
        yield {False: plain, True: secret}


def rows(certificates: Certificates) -> list[Row]:
    """All of them, in the page's order."""
    every = [*_doors(), *_of_the_catalogue(), *_handshakes(certificates)]
    return sorted(every, key=lambda row: GROUPS.index(row.group))


def _group(name: str) -> str:
    return "keep-alive" if name in _KEPT_ALIVE else "body" if name in _BODIES else "head"


def _of_the_catalogue() -> Iterator[Row]:
    for name, make in CATALOGUE.items():
        yield Row(
            name=name,
            group=_group(name),
            says=(make.__doc__ or "").strip().partition("\n")[0],
            fault=_BRISK.get(name, name),
            method="POST" if name in _UPLOADS else "GET",
            asks=2 if name in _KEPT_ALIVE else 1,
            silent="read" if name in _SILENT else None,
        )


def _doors() -> Iterator[Row]:
    yield Row(name="refuse()", group="gate", says="Connections are refused.", prepare=lambda s: s.gate.refuse())
    yield Row(
        name="swallow()", group="gate", says="No SYN is answered.", prepare=lambda s: s.gate.swallow(), silent="connect"
    )
    for name in ("reset", "close", "silence"):
        yield _failing(name, "gate", f"Accepted, then {name}.")


def _handshakes(certificates: Certificates) -> Iterator[Row]:
    for name in get_args(ConnectionFault):
        if name not in {"reset", "close", "silence"}:
            yield _failing(name, "TLS", "In place of the ServerHello.")
    for name, context in certificates.bad.items():
        yield Row(
            name=f"present(...), {name}", group="TLS", says=f"A certificate {name}.", prepare=_presenting(context)
        )


def _failing(name: str, group: str, says: str) -> Row:
    return Row(
        name=f'fail("{name}")',
        group=group,
        says=says,
        prepare=partial(_fail, name),
        silent=_NEVER.get(name),
        either=_BY_CHANCE.get(name, ()),
    )


def _fail(name: str, server: MockServer) -> None:
    server.gate.fail(name)  # type: ignore[arg-type]


def _presenting(context: ssl.SSLContext) -> Callable[[MockServer], object]:
    return lambda server: server.gate.present(context, connections=None)
