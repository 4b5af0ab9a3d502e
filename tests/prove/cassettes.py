"""Proofs of the recorder: round trips with vcrpy, secrets, hostile files and names, kills, and its cost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vcr.serialize import deserialize, serialize
from vcr.serializers import yamlserializer

from cassettes import CassetteError, Limits, RecordingTransport, ReplayTransport, cassette_path, files
from cassettes.cassette import Cassette
from cassettes.redaction import Redaction
from cassettes.session import clean_interactions
from rest_api_client.clock import SYSTEM
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Exchange, Timeouts, Transport
from tests.cassettes.generated import interaction
from tests.cassettes.hostile import hostile_names, hostile_yaml
from tests.cassettes.planted import planted_secrets
from tests.cassettes.test_vcrpy import of_vcrpy, plain
from tests.prove.figures import Figure, proof


@proof
def vcrpy_reads_cassettes_and_they_read_vcrpy() -> list[Figure]:
    """2,000 generated interactions of every kind, both ways, YAML."""
    chance = random.Random(11)
    given = [interaction(chance, number) for number in range(2000)]
    expected = [of_vcrpy(each) for each in given]
    requests, responses = deserialize(files.render(given, {}, ".yaml"), yamlserializer)
    wrong = sum(
        plain(got) != plain(was) or answer != told
        for got, answer, (was, told) in zip(requests, responses, expected, strict=True)
    )
    pairs = [of_vcrpy(each) for each in given]
    text = serialize({"requests": [p[0] for p in pairs], "responses": [p[1] for p in pairs]}, yamlserializer)
    found, about = files.parse(text, ".yaml")
    lost = sum(
        (a.body, a.asked.method, a.asked.body, a.asked.uri) != (b.body, b.asked.method, b.asked.body, b.asked.uri)
        or a.outcome != b.outcome
        or (a.head and sorted(a.head.headers)) != (b.head and sorted(b.head.headers))  # PyYAML sorts the names
        for a, b in zip(found, given, strict=True)
    )
    return [
        Figure("of 2,000, vcrpy reads otherwise", wrong, "interactions", 0),
        Figure("of vcrpy's 2,000, read otherwise", lost, "interactions", 0),
        Figure("vcrpy's file, read and written", float(files.render(found, about, ".yaml") != text), "files differ", 0),
    ]


@proof
def no_planted_secret_is_written() -> list[Figure]:
    """1,000 secrets by twenty carriers, in three forms: looked for in the files, and in whatever is shown."""
    leaks, misses = planted_secrets(1000)
    return [
        Figure("of 3,000, found in files, errors, logs and reprs", leaks, "secrets", 0),
        Figure("requests that did not play again", misses, "of 3,000", 0),
    ]


@proof
def a_hostile_file_runs_nothing() -> list[Figure]:
    """1,000 YAML files made to run code, to grow, to nest, or just broken."""
    ran, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        trap, path = Path(folder) / "ran", Path(folder) / "x.yaml"
        for text in hostile_yaml(1000):
            path.write_text(text.replace("TRAP", str(trap)), "utf-8", "replace")
            began = time.perf_counter()
            with suppress(CassetteError):
                [each.script for each in files.load(path, Limits())[0]]
            slowest = max(slowest, time.perf_counter() - began)
            ran += trap.exists()
    return [Figure("files that ran code", ran, "of 1,000", 0), Figure("the slowest", slowest, "s", 2)]


_WRITER = """
import sys
from pathlib import Path
from cassettes import files
path, first, more = Path(sys.argv[1]), "a" * 200_000 + "\\n", "b" * 200_000 + "\\n"
print("ready", flush=True)
while True:
    files.replace(path, first)
    files.append(path, more)
"""


@proof
def a_kill_leaves_the_old_file_or_the_new_one() -> list[Figure]:
    """A process that replaces a file and adds to it, over and over, killed at 200 moments."""
    chance = random.Random(17)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kill.jsonl"
        first, more = "a" * 200_000 + "\n", "b" * 200_000 + "\n"
        for _ in range(200):
            writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE)
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.001 + chance.random() * 0.02)
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
            broken += path.exists() and path.read_text() not in {first, first + more}
    return [Figure("files that were neither", broken, "of 200", 0)]


@proof
def a_hostile_name_stays_in_its_folder() -> list[Figure]:
    """5,000 names of pieces that mean something to some file system."""
    names = hostile_names(5000)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        paths = [cassette_path(root, name) for name in names]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        outside = sum(not path.resolve().is_relative_to(root) for path in paths)
        files_made = sum(1 for path in root.rglob("*") if path.is_file())
    return [
        Figure("outside the folder", outside, "of 5,000", 0),
        Figure("names that share a file", len(names) - files_made, "of 5,000", 0),
    ]


def _per_request(transport: Transport, count: int) -> tuple[float, float]:
    """CPU milliseconds of a request through a transport, body read: (mean, that of the last hundred)."""
    timeouts = Timeouts()
    requests = [Request(method="GET", url=URL.parse(f"https://api.test/items/{n}")) for n in range(count)]

    async def one(request: Request) -> None:
        response = await transport.send(request, Exchange(SYSTEM, timeouts))
        assert response.stream is not None
        async for _ in response.stream:
            pass
        await response.stream.aclose()

    began = time.process_time()
    for request in requests[:-100]:
        run_sync(one(request))
    late = time.process_time()
    for request in requests[-100:]:
        run_sync(one(request))
    ended = time.process_time()
    return (ended - began) / count * 1000, (ended - late) / 100 * 1000


@proof
def ten_thousand_interactions() -> list[Figure]:
    """Recorded, saved, loaded and played by the explicit transports; about 800 bytes each, CPU time."""
    count = 10_000
    script = respond(200, json={"id": 1, "text": "x" * 700}, headers={"x-request-id": "0123456789"})
    cassette = Cassette()
    record, last = _per_request(RecordingTransport(ScriptedTransport(script), cassette), count)
    figures = [
        Figure("record, each", record, "ms", 0.12),
        Figure("record, the last hundred, each", last, "ms", 0.12),
    ]
    with tempfile.TemporaryDirectory() as folder:
        native, yaml = Path(folder) / "a.jsonl", Path(folder) / "a.yaml"
        clean, cleaning = _timed(lambda: clean_interactions(cassette.recorded, Redaction(), native))
        figures.append(Figure("redact and scan, all", cleaning, "s", None))
        for path in (native, yaml):
            text, took = _timed(lambda path=path: files.render(clean, {}, path.suffix, timing=False))
            figures.append(Figure(f"write {path.suffix}, all", took, "s", None))
            files.replace(path, text)
        loaded, took = _timed(lambda: files.load(native))
        figures.append(Figure("load .jsonl", took, "s", 0.1))
        _, ours = _timed(lambda: files.load(yaml))
        _, theirs = _timed(lambda: deserialize(yaml.read_text(), yamlserializer))
        figures.append(Figure("load .yaml, of vcrpy's time", ours / theirs, "parts of 1", 0.5))
    player = Cassette(loaded[0])
    _, index = _timed(lambda: player.play(loaded[0][0].asked))
    figures.append(Figure("index, at the first request", index, "s", None))
    replay, last = _per_request(ReplayTransport(Cassette(loaded[0])), count)
    figures += [Figure("replay, each", replay, "ms", 0.08), Figure("replay, the last hundred, each", last, "ms", 0.08)]
    return figures


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = function()
    return result, time.process_time() - began
