"""Proofs of the mock server: the same seed, a crowd of slow connections, memory over a million requests."""

from __future__ import annotations

import gc
import resource
import socket
import statistics
import time
from pathlib import Path

from mockserver import MockServer, SlidingWindow
from mockserver.faults import Plan
from mockserver.limits import LimitRule, Limits, by_header
from mockserver.scene import Scene
from mockserver.seen import Seen
from mockserver.stubs import stub
from tests.mockserver.crowd import NORMAL, answer_time, crowd
from tests.mockserver.mixed import run
from tests.prove.figures import Figure, proof

RUNS = 20
SLOW = 1_000
REQUESTS = 1_000_000
OVER_A_SOCKET = 20_000


@proof
def the_same_seed_gives_the_same_journal() -> list[Figure]:
    """Twenty runs of one mixed script with 50 calls in flight, compared but for times, order and ports."""
    first = run(7)
    differing = sum(run(7) != first for _ in range(RUNS - 1))
    return [
        Figure("entries in the journal", len(first), "requests"),
        Figure(f"journals of {RUNS} that differ from the first", differing, "runs", 0),
    ]


@proof
def a_thousand_slow_connections_keep_nobody_waiting() -> list[Figure]:
    """What a normal request takes beside them, a connection of its own included, and what stopping takes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with crowd(SLOW) as server:
        times = [answer_time(server) * 1000 for _ in range(50)]
        began = time.perf_counter()
        server.stop()
        stopping = (time.perf_counter() - began) * 1000
    return [
        Figure("a normal request, median of 50", statistics.median(times), "ms", 20),
        Figure("a normal request, slowest of 50", max(times), "ms", 200),
        Figure("stopping with all of them open", stopping, "ms", 2_000),
    ]


@proof
def a_million_requests_do_not_fill_the_memory() -> list[Figure]:
    """Through the stage, each of another caller to another target, with stubs, faults and a limit for each caller."""
    scene = _busy()
    began = time.perf_counter()
    _ask(scene, 0, REQUESTS // 5)
    before = _megabytes()
    _ask(scene, REQUESTS // 5, REQUESTS)
    took = time.perf_counter() - began
    assert scene.journal.counts["requests"] == REQUESTS
    return [
        Figure("growth from 200,000 to 1,000,000 requests", _megabytes() - before, "MB", 8),
        Figure("a request through the stage", took / REQUESTS * 1e6, "us"),
    ]


@proof
def memory_over_a_socket_is_bounded() -> list[Figure]:
    """Twenty thousand requests over connections of a hundred each, the first 5,000 not counted."""
    with MockServer(journal_size=1_000, rules=None) as server:
        _ask_over_socket(server, OVER_A_SOCKET // 4)
        before = _megabytes()
        began = time.perf_counter()
        _ask_over_socket(server, OVER_A_SOCKET * 3 // 4)
        took = time.perf_counter() - began
        return [
            Figure("growth from 5,000 to 20,000 requests", _megabytes() - before, "MB", 4),
            Figure("a request over a socket", took / (OVER_A_SOCKET * 3 / 4) * 1e6, "us"),
        ]


def _busy() -> Scene:
    faults = Plan.parse('seed=1 rule=rule(error(503), probability=0.1) rule=rule(reset, per="route", nth=(2,))')
    limits = Limits([LimitRule(limit=SlidingWindow(5, 60.0), key=by_header("x-api-key"))])
    server = MockServer(faults=faults, limit=limits, stubs=[stub("GET", "/stubbed/{id}", json={"id": "{path.id}"})])
    began = time.monotonic()
    server.go_by(lambda: time.monotonic() - began, time.time)
    return server


def _ask(scene: Scene, start: int, end: int) -> None:
    for number in range(start, end):
        path = f"/stubbed/{number}" if number % 20 else f"/users/{number % 500 + 1}"
        fields = (("host", "stage"), ("x-api-key", f"key-{number}"), ("x-call-id", f"c{number}"), ("x-attempt", "1"))
        performance = scene.begin(Seen(method="GET", path=path, fields=fields))
        performance.answer(b"")
        performance.answered()
        performance.ended()


def _ask_over_socket(server: MockServer, count: int) -> None:
    for _ in range(count // 100):
        with socket.create_connection((server.host, server.port), timeout=10) as sock:
            for _ in range(100):
                sock.sendall(NORMAL)
                received = sock.recv(65536)
                while not received.endswith(b"}"):
                    received += sock.recv(65536)


def _megabytes() -> float:
    """Resident memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
