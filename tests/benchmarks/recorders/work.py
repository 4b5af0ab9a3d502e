"""One recorder at work: `python -m tests.benchmarks.recorders.work NAME COUNT FOLDER` prints its figures as JSON.

Distinct URLs, about 800 bytes an interaction, no socket: the server is a function. Milliseconds are of the wall and of
one request: the mean of the first, and of the last, hundred (of twenty where one takes long).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

BODY = json.dumps({"id": 1, "text": "x" * 700}).encode()
FIELDS = {"content-type": "application/json", "x-request-id": "0123456789"}
Figures = dict[str, float]


def url(number: int) -> str:
    """Of one interaction."""
    return f"https://api.test/items/{number}"


def served() -> httpx.MockTransport:
    """The server."""
    return httpx.MockTransport(lambda request: httpx.Response(200, headers=FIELDS, content=BODY))


def each(get: Callable[[int], object], count: int) -> tuple[float, float]:
    """Ask for all; milliseconds of the first and of the last hundred."""
    few = min(100, count // 2)
    first = mean(get, range(few))
    for number in range(few, count - few):
        get(number)
    return first, mean(get, range(count - few, count))


def mean(get: Callable[[int], object], numbers: range) -> float:
    """Milliseconds of one."""
    began = time.perf_counter()
    for number in numbers:
        get(number)
    return (time.perf_counter() - began) / len(numbers) * 1000


@contextmanager
def timed(figures: Figures, what: str) -> Iterator[None]:
    """Seconds of the block, under this name."""
    began = time.perf_counter()
    yield
    figures[what] = time.perf_counter() - began


def by_httpx(block: Callable[[], Any], count: int) -> Figures:
    """Record and play through httpx.Client, in two blocks of a recorder that patches it."""
    figures: Figures = {}
    with block(), httpx.Client(transport=served()) as client:
        figures["record, first"], figures["record, last"] = each(lambda n: client.get(url(n)), count)
        began = time.perf_counter()
    figures["save"] = time.perf_counter() - began
    began = time.perf_counter()
    with block(), httpx.Client(transport=served()) as client:
        client.get(url(0))
        figures["load"] = time.perf_counter() - began
        figures["replay, first"], figures["replay, last"] = each(lambda n: client.get(url(n + 1)), count - 1)
    return figures


def nothing(count: int, folder: Path) -> Figures:
    """httpx.Client without a recorder."""
    with httpx.Client(transport=served()) as client:
        first, last = each(lambda n: client.get(url(n)), count)
    return {"record, first": first, "record, last": last}


def dvd_rw(count: int, folder: Path) -> Figures:
    """dvd-rw, whose form is JSON."""
    from dvd_rw.loader import DVDLoader  # type: ignore[import-not-found]

    return by_httpx(lambda: DVDLoader(folder / "a.json"), count)


def cassetter(count: int, folder: Path) -> Figures:
    """cassetter, in TOML: of ten thousand it can write YAML, but not read it again."""
    import cassetter as library  # type: ignore[import-not-found]

    return by_httpx(lambda: library.use_cassette(folder / "a.toml", record_mode="once", intercept=["httpx"]), count)


def vcrpy(count: int, folder: Path) -> Figures:
    """vcrpy, in YAML. It does not come to the end of recording so many, so it is given them; then one more is recorded,
    and the first and the last are played."""
    import vcr  # type: ignore[import-untyped]

    path, few = folder / "a.yaml", 20
    figures: Figures = {}
    with vcr.use_cassette(str(folder / "new.yaml")), httpx.Client(transport=served()) as client:
        figures["record, first"] = mean(lambda n: client.get(url(n)), range(few))
    _write(path, count)
    began = time.perf_counter()
    with vcr.use_cassette(str(path), record_mode="new_episodes"), httpx.Client(transport=served()) as client:
        client.get(url(0))
        figures["load"] = time.perf_counter() - began
        figures["replay, first"] = mean(lambda n: client.get(url(n)), range(1, few + 1))
        figures["replay, last"] = mean(lambda n: client.get(url(n)), range(count - few, count))
        figures["record, last"] = mean(lambda n: client.get(url(n)), range(count, count + few))
        began = time.perf_counter()
    figures["save"] = time.perf_counter() - began
    return figures


def _write(path: Path, count: int) -> None:
    """A file of vcrpy's, byte for byte as vcrpy writes it (a proof of ours says so)."""
    from cassettes import files

    files.replace(path, files.render(_interactions(count), {}, ".yaml", timing=False))


def _interactions(count: int) -> list[Any]:
    from cassettes import Asked, Interaction
    from rest_api_client.script import Chunk, End, Head, Script

    fields = tuple({**FIELDS, "content-length": str(len(BODY))}.items())
    script = Script(Head(200, fields, "OK"), Chunk(BODY), End())
    sent = (("host", "api.test"), ("accept", "*/*"), ("user-agent", "python-httpx/0.28.1"))
    return [Interaction(Asked("GET", url(n), sent), script) for n in range(count)]


def transport(count: int, folder: Path) -> Figures:
    """Ours, by the explicit transports."""
    from cassettes import Cassette, RecordingTransport, Redaction, ReplayTransport, files
    from cassettes.session import clean_interactions
    from rest_api_client.engines.scripted import ScriptedTransport, respond

    figures: Figures = {}
    cassette = Cassette()
    engine = RecordingTransport(ScriptedTransport(respond(200, content=BODY, headers=FIELDS)), cassette)
    figures["record, first"], figures["record, last"] = each(_asking(engine, count), count)
    path = folder / "a.jsonl"
    with timed(figures, "save"):
        clean = clean_interactions(cassette.recorded, Redaction(), path)
        files.replace(path, files.render(clean, {}, path.suffix))
    _write(folder / "a.yaml", count)
    with timed(figures, "load, YAML"):
        files.load(folder / "a.yaml")
    began = time.perf_counter()
    with timed(figures, "load, native"):
        loaded, _ = files.load(path)
    player = ReplayTransport(Cassette(loaded))
    ask = _asking(player, count)
    ask(0)
    figures["load"] = time.perf_counter() - began
    figures["replay, first"], figures["replay, last"] = each(lambda n: ask(n + 1), count - 1)
    return figures


def _asking(engine: Any, count: int) -> Callable[[int], object]:
    from rest_api_client.clock import SYSTEM
    from rest_api_client.http.urls import URL
    from rest_api_client.models import Request
    from rest_api_client.runtime import run_sync
    from rest_api_client.transport import Exchange, Timeouts

    requests = [Request(method="GET", url=URL.parse(url(number))) for number in range(count)]
    timeouts = Timeouts()

    async def one(number: int) -> None:
        response = await engine.send(requests[number], Exchange(SYSTEM, timeouts))
        async for _ in response.stream:
            pass
        await response.stream.aclose()

    return lambda number: run_sync(one(number))


def client(count: int, folder: Path) -> Figures:
    """Ours, by use_cassette and APIClient, in JSON Lines."""
    from cassettes import use_cassette
    from rest_api_client import APIClient
    from rest_api_client.engines.scripted import ScriptedTransport, respond

    figures: Figures = {}
    path, options = folder / "b.jsonl", {"base_url": "https://api.test"}
    server = ScriptedTransport(respond(200, content=BODY, headers=FIELDS))
    with use_cassette(path, mode="all", inner=server) as cassette, APIClient(engine=cassette, **options) as ours:
        figures["record, first"], figures["record, last"] = each(lambda n: ours.get(f"/items/{n}").content, count)
        began = time.perf_counter()
    figures["save"] = time.perf_counter() - began
    began = time.perf_counter()
    with use_cassette(path, mode="none") as cassette, APIClient(engine=cassette, **options) as ours:
        ours.get("/items/0")
        figures["load"] = time.perf_counter() - began
        figures["replay, first"], figures["replay, last"] = each(
            lambda n: ours.get(f"/items/{n + 1}").content, count - 1
        )
    return figures


if __name__ == "__main__":
    name, count, folder = sys.argv[1:]
    print(json.dumps(globals()[name](int(count), Path(folder))))
