"""The mock server beside others: the same stub on one core, its start, and how it bears a thousand stubs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, ratio
from tests.benchmarks.loader import BODY
from tests.benchmarks.peers import MOCKOON, PATH, PRISM, SILENT_PRISM, WIREMOCK, Missing, Peer
from tests.benchmarks.processes import LOAD_CORE, SERVER_CORE, Server, free_port, spawn

CONNECTIONS = 32
OURS, BARE, MANY = "mockserver", "a bare Starlette route, same uvicorn", "mockserver with 1,000 stubs"
CONSTANT = "constant bytes, bare sockets"
AT_LEAST = {WIREMOCK.title: 1.2, PRISM.title: 4.0, SILENT_PRISM.title: None, MOCKOON.title: 4.0, BARE: 0.75}

HOW = f"""
GET {PATH}, 160 bytes of JSON, {CONNECTIONS} keep-alive connections, never two requests at once on one of them. Every
server has core {SERVER_CORE} to itself (others sleep, stopped, while one is measured), the load comes from core
{LOAD_CORE}. Journals are on: ours with 10,000 entries, WireMock's with 100, with which it is fastest, Mockoon's as it
is; Prism's is its log, into a file. CPU time is the server's own, in all its threads; it is the steadier figure where
other work disturbs the machine.
"""


@dataclass
class Measured:
    """Rounds of one server."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def take(self, server: Server, seconds: float) -> None:
        """One round."""
        with server.awake():
            before = server.busy
            found = load(server.port, seconds)
            spent = server.busy - before
        self.rates.append(found["requests"] / found["seconds"])
        self.costs.append(spent / found["requests"] * 1e6)


def load(port: int, seconds: float) -> dict[str, float]:
    """Load from the other core."""
    command = [sys.executable, "-m", "tests.benchmarks.loader", str(port), PATH, str(seconds), str(CONNECTIONS)]
    process = spawn(command, LOAD_CORE, stdout=subprocess.PIPE)
    out, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the load on port {port} failed")
    found: dict[str, float] = json.loads(out)
    return found


@bench
def mock_server(terms: Terms) -> Result:
    """The same stub from everybody, in turns."""
    rounds = int(terms.pick(9, 3))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        servers, skipped = _start(Path(folder), running)
        measured = {server.title: Measured() for server in servers}
        for server in servers:
            warm = terms.pick(30, 4) if server.title == WIREMOCK.title else terms.pick(6, 1)
            Measured().take(server, warm)
        for number in range(rounds):
            for server in servers if number % 2 else reversed(servers):
                measured[server.title].take(server, terms.pick(3, 1))
    return Result(
        title="One stub, beside other mock servers",
        text=HOW + ("" if not terms.quick else "\nQuick: WireMock is warmed for 4 s instead of 30, rounds take 1 s.\n"),
        series=_series(measured),
        claims=_claims(measured),
        skipped=tuple(skipped),
    )


def _start(folder: Path, running: contextlib.ExitStack) -> tuple[list[Server], list[str]]:
    servers: list[Server] = []
    skipped: list[str] = []
    for title, command, port in [*_own(folder), *_others(folder, skipped)]:
        server = Server(title, command, port, folder / f"{port}.log")
        running.callback(server.end)
        server.wait(PATH)
        server.sleep()
        servers.append(server)
    return servers, skipped


def _own(folder: Path) -> Iterator[tuple[str, list[str], int]]:
    module = "tests.benchmarks.servers"
    for title, count in ((OURS, 1), (MANY, 1000)):
        port = free_port()
        yield title, served(folder, count, port), port
    for title, name in ((BARE, "bare_route"), (CONSTANT, "constant")):
        port = free_port()
        yield title, [sys.executable, "-m", f"{module}.{name}", str(port)], port


def served(folder: Path, count: int, port: int) -> list[str]:
    """What starts our server with so many stubs, the one asked for in their midst."""
    stubs = folder / f"stubs{count}.json"
    numbers = [7] if count == 1 else [*range(1000, 1000 + count // 2), 7, *range(2000, 1999 + count - count // 2)]
    answer = {"json": json.loads(BODY)}
    stubs.write_text(
        json.dumps([{"when": {"method": "GET", "path": f"/things/{n}"}, "answer": answer} for n in numbers])
    )
    return [sys.executable, "-m", "mockserver", str(stubs), "--port", str(port), "--log", "off"]


def _others(folder: Path, skipped: list[str]) -> Iterator[tuple[str, list[str], int]]:
    for peer in (WIREMOCK, PRISM, SILENT_PRISM, MOCKOON):
        try:
            yield _other(peer, folder)
        except Missing as why:
            skipped.append(str(why))


def _other(peer: Peer, folder: Path) -> tuple[str, list[str], int]:
    modules, port = peer.install(), free_port()
    own = folder / str(port)
    own.mkdir()
    return peer.title, peer.command(modules, own, port), port


def _series(measured: dict[str, Measured]) -> tuple[Series, ...]:
    by_rate = sorted(measured, key=lambda title: -Series(title, "", tuple(measured[title].rates)).median)
    rates = [Series(title, "requests a second", tuple(measured[title].rates)) for title in by_rate]
    costs = [Series(title, "us of CPU a request", tuple(measured[title].costs)) for title in by_rate]
    return *rates, *costs


def _claims(measured: dict[str, Measured]) -> tuple[Claim, ...]:
    rates = {title: Series(title, "", tuple(each.rates)) for title, each in measured.items()}
    costs = {title: Series(title, "", tuple(each.costs)) for title, each in measured.items()}
    named = [title for title in AT_LEAST if title in rates]
    fastest = max((rates[title] for title in rates if title != CONSTANT), key=lambda each: each.median)
    return (
        *(ratio(f"requests a second, of {t}", rates[OURS], rates[t], at_least=AT_LEAST[t]) for t in named),
        *(ratio(f"the same by CPU time, of {t}", costs[t], costs[OURS]) for t in named),
        ratio("CPU time with 1,000 stubs, of that with one", costs[MANY], costs[OURS], at_most=1.3),
        ratio("what the load gets of constant bytes, of what the fastest gave", rates[CONSTANT], fastest, at_least=2.0),
    )


@bench
def mock_server_start(terms: Terms) -> Result:
    """From nothing to the first answer, as a process and in a thread."""
    rounds = int(terms.pick(15, 5))
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = served(Path(folder), 1, port)
        process = tuple(_process_start(command, port, Path(folder)) for _ in range(rounds))
    thread = [_thread_start() for _ in range(rounds)]
    unit = "ms"
    series = (
        Series("a process: from its start to the first answer", unit, process),
        Series("in a thread: from MockServer() to the first answer", unit, tuple(each["first"] for each in thread)),
        Series("in a thread: import mockserver, before that", unit, tuple(each["imported"] for each in thread)),
        Series("in a thread: another MockServer in the same process", unit, tuple(each["second"] for each in thread)),
    )
    return Result(
        title="The mock server's start",
        text="Each round is a new Python. The process is `python -m mockserver stubs.json`, with one stub.",
        series=series,
        claims=(
            Claim("a process, to the first answer", series[0].median, unit, at_most=200.0),
            Claim("in a thread, to the first answer", series[1].median, unit, at_most=50.0),
        ),
    )


def _process_start(command: list[str], port: int, folder: Path) -> float:
    began = time.perf_counter()
    server = Server(OURS, command, port, folder / "start.log")
    try:
        return (server.wait(PATH, look=0.001) - began) * 1000
    finally:
        server.end()


def _thread_start() -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.servers.threaded"]
    process = spawn(command, SERVER_CORE, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(process.communicate()[0])
    return found
