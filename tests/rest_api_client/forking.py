"""Forks under a client that is in use, in a process of its own: `python -m tests.rest_api_client.forking ENGINE FACE`.

Prints one JSON object: what the child got, what the parent got afterwards, and for each lock that can be reached from
the client, whether a child that was forked while another thread held it could still make a call.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from rest_api_client import APIClient, AsyncAPIClient, MetricsCollector
from tests.wire import Connection, Received, Server, each

HANGING = 3
"""Seconds a child may take; it needs a few milliseconds."""
LOCKS = (type(threading.Lock()), type(threading.RLock()))
OURS = ("rest_api_client", "collections", "weakref")
FOLLOWED = (dict, list, tuple, set, frozenset, types.MethodType, types.CellType)


def answer(connection: Connection, request: Received) -> None:
    """200, with a cookie for the jar."""
    connection.answer(200, b"ok", set_cookie="a=b; Path=/")


def make(engine: str, face: str, url: str) -> tuple[Any, Callable[[], str]]:
    """A client with state of every kind, and a call that tells how it ended."""
    kind: Any = APIClient if face == "sync" else AsyncAPIClient
    client = kind(
        base_url=url, engine=engine, trust_env=False, rate_limit_calls=1000, rate_limit_period=1.0,
        cookies={"session": "s"}, events=[MetricsCollector()], max_retries=0,
    )  # fmt: skip

    async def get() -> Any:
        return await client.get("/")

    def call() -> str:
        try:
            response = client.get("/") if face == "sync" else asyncio.run(get())
        except Exception as error:
            return type(error).__name__
        return str(response.text)

    return client, call


def in_child(call: Callable[[], str]) -> str:
    """What a call gives in a forked child; "hangs" where it does not end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(HANGING)
        os.write(write, call().encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 1000).decode()
    os.close(read)
    os.waitpid(child, 0)
    return said or "hangs"


def locks(root: object) -> Iterator[tuple[str, Any]]:
    """Every lock that hangs on an object, with the path to it."""
    seen: set[int] = set()
    places: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while places:
        path, place = places.pop()
        if id(place) in seen:
            continue
        seen.add(id(place))
        if isinstance(place, LOCKS):
            yield path, place
        elif isinstance(place, FOLLOWED) or type(place).__module__.startswith(OURS):
            referents = [found for found in gc.get_referents(place) if not isinstance(found, type)]
            places += [(f"{path} > {type(found).__name__}", found) for found in referents]
        elif isinstance(place, types.FunctionType):
            places += [(path, cell) for cell in place.__closure__ or ()]


def while_held(lock: Any, call: Callable[[], str]) -> str:
    """What a child can do that was forked while another thread held the lock."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        return in_child(call)
    finally:
        over.set()
        thread.join()


def main(engine: str, face: str) -> None:
    """Fork, and tell."""
    with Server(each(answer)) as server:
        client, call = make(engine, face, server.url)
        before = call()
        accepted = server.accepted
        child = in_child(call)
        found = {
            "before": before,
            "child": child,
            "connections of the child": server.accepted - accepted,
            "parent": call(),
            "connections of the parent": server.accepted - accepted,
            "locks": [(path, while_held(lock, call)) for path, lock in locks(client)],
        }
        if face == "sync":
            client.close()
        else:
            asyncio.run(client.aclose())
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
