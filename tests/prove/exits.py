"""Proof that a process ends when it is told to, whatever a client is doing then: no abort, no hang, on any engine.

Fifty processes each: a process brings a client into a state, and falls off the end of its program with nothing closed.
It must exit with status 0 within seconds. They are forked off a Python that has imported everything and done nothing
yet, which saves fifty imports; how an interpreter ends is the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from tests.prove.figures import Figure, proof
from tests.wire import Connection, Received, Server, each

ENGINES = ("httpx", "httpx2", "pyreqwest")
TIMES = 50
HANG = 30
"""Seconds after which the kernel ends a process that hangs; it takes a few hundredths."""

FORKED = """
import asyncio, json, os, signal, sys, threading, urllib.request
from rest_api_client import APIClient, AsyncAPIClient

engine, url, times, hang = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for kind in (APIClient, AsyncAPIClient):
    kind(url, engine=engine)  # imports what it needs
statuses = []
for _ in range(times):
    child = os.fork()
    if not child:
        break
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if child:
    print(json.dumps(statuses))
    sys.exit()
signal.alarm(hang)
me, threads = os.getpid(), []

def held(count):
    while int(urllib.request.urlopen(f"{url}/held/{me}").read()) < count:
        pass

def started(work):
    threads.append(threading.Thread(target=work, daemon=True))
    threads[-1].start()

client = APIClient(url, engine=engine, max_retries=0)
"""
ENDINGS = {
    "open": "other = AsyncAPIClient(url, engine=engine)",
    "idle": """
client.get("/")
async def main():
    global other
    other = AsyncAPIClient(url, engine=engine)
    await other.get("/")
asyncio.run(main())
""",
    "a body half read": """
streaming = client.stream("GET", "/body")
pieces = streaming.__enter__().iter_bytes()
next(pieces)
""",
    "in flight, the loop left as it stands": """
async def main():
    global other, task
    other = AsyncAPIClient(url, engine=engine, max_retries=0)
    task = asyncio.ensure_future(other.get(f"/hold/{me}"))
    await asyncio.sleep(0.01)
    await asyncio.to_thread(held, 1)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "in flight, in eight daemon threads": """
for _ in range(8):
    started(lambda: client.get(f"/hold/{me}"))
held(8)
""",
    "a generator's upload in flight": """
asked = threading.Event()
def body():
    for number in range(1000000):
        if number > 20:
            asked.set()
        yield b"x" * 1000
    threading.Event().wait()
started(lambda: client.post("/", content=body()))
asked.wait()
""",
    "out of asyncio.run with eight busy tasks": """
async def busy(other):
    while True:
        await other.get("/")
async def main():
    global tasks
    other = AsyncAPIClient(url, engine=engine)
    tasks = [asyncio.ensure_future(busy(other)) for _ in range(8)]
    for _ in range(5):
        await other.get("/")
asyncio.run(main())
""",
}


class Counting:
    """A server's handler that holds some requests, and knows how many of each process."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, connection: Connection, request: Received) -> None:
        """Answer, hold, or begin."""
        _, what, *process = request.target.split("/")
        if what == "held":
            connection.answer(200, str(self._held[process[0]]).encode())
        elif what == "hold":
            with self._lock:
                self._held[process[0]] += 1
            connection.silence()
        elif what == "body":
            connection.send(b"HTTP/1.1 200 Fine\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000)
            connection.silence()
        else:
            connection.answer(200, b"ok")


@proof
def processes_end() -> list[Figure]:
    """How many of fifty did not, for each ending and engine."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_figure, product(ENDINGS, ENGINES)))


def _figure(asked: tuple[str, str]) -> Figure:
    ending, engine = asked
    with Server(each(Counting())) as server:
        command = [sys.executable, "-c", FORKED + ENDINGS[ending], engine, server.url, str(TIMES), str(HANG)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    statuses = json.loads(done.stdout) if done.returncode == 0 else [done.returncode]
    bad = [status for status in statuses if status != 0]
    said = f" (status {bad[0]}: {' '.join(done.stderr.split())[:160]})" if bad else ""
    return Figure(f"{engine}, {ending}: did not end well, of {len(statuses)}{said}", len(bad), "", 0)
