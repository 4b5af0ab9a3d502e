"""Proofs of time and memory: deadlines, bombs, back-offs, overhead, long runs, parsers."""

from __future__ import annotations

import asyncio
import gc
import gzip
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from rest_api_client import (
    APIClient,
    APIError,
    AsyncAPIClient,
    Bulkhead,
    DeadlineExceeded,
    RateLimit,
    Response,
    ResponseTooLarge,
    Timeouts,
)
from rest_api_client.auth.digest import parse_challenges
from rest_api_client.context import Call, Context
from rest_api_client.http import streaming
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.decoding import content_encodings
from rest_api_client.runtime import iterate_sync, run_sync
from rest_api_client.transport import Capability, Exchange
from rest_api_client.utils import parse_http_date, parse_link_header, parse_retry_after, redact_url
from tests.prove.figures import Figure, proof

ENGINES = ("httpx", "httpx2", "pyreqwest")


Timed = tuple[float, APIError | None]


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A raw server on a port of its own: `answer` has each connection for itself, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                answer(connection)
            except OSError:
                pass

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip(connection: socket.socket) -> None:
    """A head, then one byte each 50 ms: no read timeout ever ends it."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


async def in_async(engine: str, urls: list[str], **options: Any) -> list[Timed]:
    """GETs by one async client, one after the other."""
    timed: list[Timed] = []
    async with AsyncAPIClient(engine=engine, max_retries=0, **options) as client:
        for url in urls:
            started = time.perf_counter()
            try:
                await client.get(url)
                timed.append((time.perf_counter() - started, None))
            except APIError as error:
                timed.append((time.perf_counter() - started, error))
    return timed


def in_sync(engine: str, urls: list[str], **options: Any) -> list[Timed]:
    """GETs by one sync client, one after the other."""
    timed: list[Timed] = []
    with APIClient(engine=engine, max_retries=0, **options) as client:
        for url in urls:
            started = time.perf_counter()
            try:
                client.get(url)
                timed.append((time.perf_counter() - started, None))
            except APIError as error:
                timed.append((time.perf_counter() - started, error))
    return timed


def both(engine: str) -> list[tuple[str, Callable[..., list[Timed]]]]:
    """The engine in both faces."""
    return [
        (f"{engine}, sync", lambda urls, **options: in_sync(engine, urls, **options)),
        (f"{engine}, async", lambda urls, **options: asyncio.run(in_async(engine, urls, **options))),
    ]


@proof
def a_drip_ends_at_the_deadline() -> list[Figure]:
    """A server that sends a byte now and then: milliseconds beyond a deadline of 0.5 s, the worst of five."""
    figures = []
    with serving(drip) as url:
        for engine in ENGINES:
            for name, get in both(engine):
                figures.append(Figure(f"{name}, beyond the deadline", _overrun(get, [url] * 6, 0.5) * 1000, "ms", 50))
    return figures


def _overrun(get: Callable[..., list[Timed]], urls: list[str], seconds: float, **options: Any) -> float:
    """The worst, but for the first, which pays for imports and for a new client."""
    timed = get(urls, deadline=seconds, circuit_breaker=None, **options)[1:]
    assert all(isinstance(error, DeadlineExceeded) for _, error in timed), timed
    return max(took for took, _ in timed) - seconds


@proof
def four_dead_addresses_end_at_the_deadline() -> list[Figure]:
    """A name with four addresses that never answer a SYN: milliseconds beyond a deadline of 0.5 s."""
    figures = []
    with _swallowing(4) as (addresses, port):
        for engine in ("httpx", "httpx2"):
            for name, get in both(engine):
                resolver = lambda host, port: [(a, port) for a in addresses]  # noqa: E731
                over = _overrun(get, [f"http://dead.test:{port}/"] * 4, 0.5, resolver=resolver)
                figures.append(Figure(f"{name}, beyond the deadline", over * 1000, "ms", 50))
    return figures


@contextmanager
def _swallowing(count: int) -> Iterator[tuple[list[str], int]]:
    """Loopback addresses whose queue is full, so that the kernel drops every SYN."""
    first = socket.socket()
    first.bind(("127.0.0.1", 0))
    port = first.getsockname()[1]
    held = [first]
    addresses = [f"127.0.0.{n}" for n in range(1, count + 1)]
    for address in addresses[1:]:
        held.append(socket.socket())
        held[-1].bind((address, port))
    for listener in held[:count]:
        listener.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            held.append(filler)
    try:
        yield addresses, port
    finally:
        for one in held:
            one.close()


@proof
def a_bomb_stays_small() -> list[Figure]:
    """256 KB of gzip that would be 256 MB: MB added to the peak of the process, each in a process of its own."""
    figures = []
    for engine in ENGINES:
        for face in ("sync", "async"):
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                f"import tests.prove.time_and_memory as p; p.bomb({engine!r}, {face!r})",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures.append(Figure(f"{engine}, {face}, peak added", float(done.stdout), "MB", 40))
    return figures


def bomb(engine: str, face: str) -> None:
    """Fetch a small body, then the bomb; print by how many MB the peak grew."""
    body = gzip.compress(bytes(256 << 20), 9)
    small = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    answers = iter([small, head + body])
    get = dict(both(engine))[f"{engine}, {face}"]
    peaks: list[float] = []

    def answer(connection: socket.socket) -> None:
        peaks.append(_peak_reset())
        connection.sendall(next(answers))

    with serving(answer) as url:
        _, (_, error) = get([url, url])
        assert isinstance(error, ResponseTooLarge), error
        print(_peak() - peaks[-1])


def _peak_reset() -> float:
    """Forget the peak so far (Linux), and give the present size in MB."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _peak()


def _peak() -> float:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Nothing:
    """A transport that answers at once."""

    name = "nothing"
    capabilities = frozenset(Capability)

    async def send(self, request: Any, exchange: Exchange) -> Response:
        """An empty 200."""
        return Response(200, content=b"")

    async def aclose(self) -> None:
        """Nothing to close."""


FULL = {"rate_limit": RateLimit(calls=1_000_000, period=1), "bulkhead": Bulkhead()}
ROUNDS, SHORT = 120, 500
"""Rounds, and calls in each: the quickest round is what the code costs, the others are the machine's other work."""


@proof
def the_default_chain_costs_little() -> list[Figure]:
    """The default chain with limiter and bulkhead over a transport that does nothing: CPU microseconds a call.

    Building the request is not counted, nor is the transport itself.
    """
    return [
        Figure("sync", _chain_sync() * 1e6, "us", 10),
        Figure("asyncio", asyncio.run(_chain_async()) * 1e6, "us"),
    ]


def _chain_sync() -> float:
    with APIClient(base_url="https://api.test", engine=Nothing(), **FULL) as client:
        core = client._core
        request, bare = _request(core), Exchange(core.runtime.clock, Timeouts())

        def full() -> None:
            for _ in range(SHORT):
                run_sync(core.pipeline(request, Context(Call(core.runtime, core.random))))

        def nothing() -> None:
            for _ in range(SHORT):
                run_sync(core.transport.send(request, bare))

        return _quickest(full) - _quickest(nothing)


async def _chain_async() -> float:
    async with AsyncAPIClient(base_url="https://api.test", engine=Nothing(), **FULL) as client:
        core = client._core
        request, bare = _request(core), Exchange(core.runtime.clock, Timeouts())
        best, least = [], []
        for _ in range(ROUNDS):
            started = time.process_time()
            for _ in range(SHORT):
                await core.pipeline(request, Context(Call(core.runtime, core.random)))
            best.append(time.process_time() - started)
            started = time.process_time()
            for _ in range(SHORT):
                await core.transport.send(request, bare)
            least.append(time.process_time() - started)
        return (min(best) - min(least)) / SHORT


def _request(core: Any) -> Any:
    return core.builder.build("GET", "/users/7", {}, core.settings.headers, None).request


def _quickest(run: Callable[[], object]) -> float:
    figures = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        figures.append(time.process_time() - started)
    return min(figures) / SHORT


@proof
def importing_is_not_dear() -> list[Figure]:
    """`import rest_api_client` beside `import httpx`, in fresh processes: the ratio of medians of CPU time."""

    def cpu(module: str) -> float:
        code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
        runs = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(9)
        ]
        return statistics.median(float(run.stdout) for run in runs)

    ours, theirs = cpu("rest_api_client"), cpu("httpx")
    return [Figure("import rest_api_client", ours * 1000, "ms"), Figure("ratio to httpx", ours / theirs, "times")]


QUICK_SERVER = """
import asyncio
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 160\\r\\n\\r\\n"
ANSWER = HEAD + b'{"name": "' + b"x" * 148 + b'"}'
class Quick(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Quick, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def quick_server() -> Iterator[str]:
    """A server of its own process that answers 160 bytes of JSON at once, and does nothing else."""
    server = subprocess.Popen([sys.executable, "-c", QUICK_SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@proof
def a_request_beside_its_engine_bare() -> list[Figure]:
    """CPU of this process per sync GET of 160 bytes of JSON, keep-alive, all default policies on: ratio of medians."""

    def cost(get: Callable[[str], Any], url: str) -> float:
        for _ in range(50):
            get(url)
        started = time.process_time()
        for _ in range(500):
            get(url)
        return (time.process_time() - started) / 500

    with quick_server() as url, httpx.Client() as bare:
        clients = {engine: APIClient(engine=engine) for engine in ENGINES}
        gets: dict[str, Callable[[str], Any]] = {"httpx.Client": lambda url: bare.get(url).json()}
        gets |= {name: lambda url, client=client: client.get(url).data for name, client in clients.items()}
        rounds = [{name: cost(get, url) for name, get in gets.items()} for _ in range(7)]
        for client in clients.values():
            client.close()
    medians = {name: statistics.median(one[name] for one in rounds) for name in gets}
    figures = [Figure(f"{name}, CPU", seconds * 1e6, "us") for name, seconds in medians.items()]
    ratios = [
        Figure(f"{name}, ratio to httpx.Client", medians[name] / medians["httpx.Client"], "times") for name in ENGINES
    ]
    return figures + ratios


@proof
def memory_is_flat_over_a_long_run() -> list[Figure]:
    """20,000 GETs on one client after 2,000 to warm up: MB added to the resident size, per engine and face."""
    figures = []
    with quick_server() as url:
        for engine in ENGINES:
            for face in ("sync", "async"):
                command = [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-c",
                    f"import tests.prove.time_and_memory as p; p.long_run({engine!r}, {face!r}, {url!r})",
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures.append(Figure(f"{engine}, {face}, added", float(done.stdout), "MB", 5))
    return figures


def long_run(engine: str, face: str, url: str) -> None:
    """Send the requests; print by how many MB the process grew."""

    def sync() -> float:
        with APIClient(engine=engine) as client:
            for _ in range(2_000):
                client.get(url)
            before = _resident()
            for _ in range(20_000):
                client.get(url)
            return _resident() - before

    async def asynchronous() -> float:
        async with AsyncAPIClient(engine=engine) as client:
            for _ in range(200):
                await asyncio.gather(*(client.get(url) for _ in range(10)))
            before = _resident()
            for _ in range(2_000):
                await asyncio.gather(*(client.get(url) for _ in range(10)))
            return _resident() - before

    print(sync() if face == "sync" else asyncio.run(asynchronous()))


def _resident() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)


@proof
def parsers_are_linear() -> list[Figure]:
    """The worst of each parser's hard inputs: how much longer 10^6 characters take than 10^5, 10 being linear."""
    figures = []
    for name, parse, make in PARSERS:
        small, large = (min(_once(parse, make(size)) for _ in range(3)) for size in (10**5, 10**6))
        figures.append(Figure(name, large / small, "times", 25))
    return figures


def _once(parse: Callable[[Any], object], text: Any) -> float:
    started = time.perf_counter()
    parse(text)
    return time.perf_counter() - started


def _events(data: bytes) -> object:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    return list(iterate_sync(streaming.events(chunks())))


def _lines(data: bytes) -> object:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    return list(iterate_sync(streaming.lines(chunks())))


PARSERS: list[tuple[str, Callable[[Any], object], Callable[[int], Any]]] = [
    ("Link", parse_link_header, lambda n: "<a>;" * (n // 4)),
    ("Link, open quotes", parse_link_header, lambda n: '<a>;x="' * (n // 7)),
    ("Retry-After", lambda text: parse_retry_after(text, 0.0), lambda n: "1," * (n // 2)),
    ("Retry-After, digits", lambda text: parse_retry_after(text, 0.0), lambda n: "9" * n),
    ("HTTP date", parse_http_date, lambda n: "Sun, " * (n // 5)),
    ("Set-Cookie", lambda text: CookieJar().store("https", "a.test", "/", [text], 0.0), lambda n: "a=b;" * (n // 4)),
    ("server-sent events, one line", _events, lambda n: b"data: " + b"x" * n),
    ("server-sent events, fields", _events, lambda n: b"data: x\n" * (n // 8)),
    ("lines, no end", _lines, lambda n: b"x" * n),
    ("lines, carriage returns", _lines, lambda n: b"\r" * n),
    ("masking a URL", redact_url, lambda n: "https://a.test/?" + "token=x&" * (n // 8)),
    ("WWW-Authenticate", parse_challenges, lambda n: "Digest " + 'a="b",' * (n // 6)),
    ("WWW-Authenticate, open quotes", parse_challenges, lambda n: "Digest " + 'a="' * (n // 3)),
    ("content encodings", lambda text: content_encodings([text]), lambda n: "gzip," * (n // 5)),
]
