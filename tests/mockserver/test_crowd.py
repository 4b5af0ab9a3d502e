"""Slow connections keep nobody waiting; a thousand of them are a matter of `make prove`."""

import time

import httpx

from tests.mockserver.crowd import answer_time, crowd


def test_fifty_slow_connections_keep_nobody_waiting() -> None:
    """A normal request, and the admin API, answer as if they were alone; stopping takes no time either."""
    with crowd(50) as server:
        assert min(answer_time(server) for _ in range(5)) < 0.1
        health = httpx.get(f"{server.admin.url}/health", headers=server.admin.headers)
        assert health.json()["status"] == "ok"
        began = time.perf_counter()
        server.stop()
        assert time.perf_counter() - began < 1.0
