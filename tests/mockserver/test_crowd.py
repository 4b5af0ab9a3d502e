"""Slow connections keep nobody waiting; a thousand of them, and how long that takes, are a matter of `make prove`."""

import httpx

from tests.mockserver.crowd import answer_time, crowd


def test_fifty_slow_connections_keep_nobody_waiting() -> None:
    """A normal request, and the admin API, answer before any of them has ended, and so does stopping."""
    with crowd(50) as server:
        for _ in range(5):
            answer_time(server)
        health = httpx.get(f"{server.admin.url}/health", headers=server.admin.headers)
        assert health.json()["status"] == "ok"
        assert server.journal.counts["in_flight"] == 50
        server.stop()
        assert server.journal.counts["in_flight"] == 0
