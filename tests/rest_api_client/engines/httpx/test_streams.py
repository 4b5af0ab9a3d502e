"""What a stream asks its connection for."""

from __future__ import annotations

from typing import Any, cast

from rest_api_client.engines.httpx.streams import MUCH, Stream
from rest_api_client.engines.passage import Passage, Patience, on_passage
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from tests.rest_api_client.engines.rigs import exchange


class Plenty:
    """A connection on which so many bytes come, one after the other, and remembers how many were asked for."""

    def __init__(self, *coming: int) -> None:
        self.asked: list[int] = []
        self._coming = iter(coming)

    async def receive(self, size: int, patience: Patience) -> bytes:
        """As many as come, if they are wanted."""
        self.asked.append(size)
        return bytes(min(size, next(self._coming)))

    async def send(self, data: bytes, patience: Patience) -> None:
        """Nobody sends here."""
        raise NotImplementedError


def test_more_is_read_at_once_where_much_comes() -> None:
    """A read that gave all it asked for is followed by larger ones, until little comes again."""
    layer = Plenty(MUCH, MUCH, 64, 64)
    stream = Stream(cast("Any", None), layer, OSError, negotiating=False)
    with on_passage(Passage(exchange(), SyncRuntime())):
        sizes = [len(run_sync(stream.read(100))) for _ in range(4)]
    assert layer.asked == [100, MUCH, MUCH, 100]
    assert sizes == [100, MUCH, 64, 64]
