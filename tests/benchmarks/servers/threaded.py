"""Measures itself: how long a MockServer takes in a fresh Python, until it has answered once. One line of JSON."""

import json
import time

from tests.benchmarks.processes import answers

began = time.perf_counter()

import mockserver  # noqa: E402
from mockserver.stubs import stub  # noqa: E402

imported = time.perf_counter()


def first_answer() -> float:
    """Milliseconds from nothing to the first answer."""
    started = time.perf_counter()
    with mockserver.MockServer(stubs=[stub("GET", "/things/7", json={"id": 7})]) as server:
        assert answers(server.port, "/things/7")
        return (time.perf_counter() - started) * 1000


print(json.dumps({"imported": (imported - began) * 1000, "first": first_answer(), "second": first_answer()}))
