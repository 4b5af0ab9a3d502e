"""The way from a client to the simulated server, for every library the same: ask, and wait in the loop's time."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from rest_api_client.virtual.clock import VirtualClock
from tests.outage.server import Answer, Server

URL = "https://api.test/things"
TIMEOUT = 5.0
"""Seconds an attempt may wait for its answer, in every library."""


CALL: ContextVar[int] = ContextVar("call")
"""The number of the logical call that the running task makes."""


class Refused(Exception):
    """Nobody listens."""


class TimedOut(Exception):
    """No answer in time; the server works on it all the same."""


class Wire:
    """Carries the requests of `clients` clients; each library wraps it into what it calls a transport."""

    def __init__(self, server: Server, clock: VirtualClock, clients: int, seed: int) -> None:
        self.server = server
        self.clock = clock
        self.clients = clients
        self.seed = seed

    async def ask(self, timeout: float | None) -> Answer:
        """Send one request; its answer, when it has come.

        Raises:
            Refused: the connection was refused.
            TimedOut: `timeout` seconds passed before the answer came.
        """
        arrival, answer = self.server.arrive(CALL.get(), self.clock.monotonic())
        if timeout is not None and answer.after > timeout:
            await asyncio.sleep(timeout)
            raise TimedOut
        await asyncio.sleep(answer.after)
        if answer.status is None:
            raise Refused
        arrival.useful = answer.status == 200
        return answer


def fields(answer: Answer) -> dict[str, str]:
    """The header fields of an answer."""
    return {} if answer.retry_after is None else {"retry-after": str(answer.retry_after)}
