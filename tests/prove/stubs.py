"""Proofs of stubs: a thousand of them cost a request what one does."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mockserver.seen import Seen
from mockserver.stubs import Stubs, stub
from tests.prove.figures import Figure, proof

REQUESTS = 5_000
ROUNDS = 9


def microseconds(stubs: Stubs, requests: Sequence[Seen]) -> float:
    """What one answer costs."""
    started = time.thread_time()
    for request in requests:
        stubs.answer(request)
    return (time.thread_time() - started) / len(requests) * 1e6


def served(count: int) -> Stubs:
    """So many stubs, each for a path of its own."""
    return Stubs(stub("GET", f"/things{number}/{{id}}/parts", json={"number": number}) for number in range(count))


@proof
def a_thousand_stubs() -> list[Figure]:
    """The same requests for a stub that stands alone, and for one of a thousand; the least of rounds taken in turn."""
    one, many = served(1), served(1_000)
    for_one = [Seen(method="GET", path=f"/things0/{number}/parts") for number in range(REQUESTS)]
    for_many = [Seen(method="GET", path=f"/things{number % 1_000}/{number}/parts") for number in range(REQUESTS)]
    rounds = [(microseconds(one, for_one), microseconds(many, for_many)) for _ in range(ROUNDS)]
    alone, among = (min(times) for times in zip(*rounds, strict=True))
    miss = Seen(method="GET", path="/thing/1/parts")
    started = time.thread_time()
    many.explain(miss)
    explained = (time.thread_time() - started) * 1e3
    return [
        Figure("one stub", alone, "us"),
        Figure("one of a thousand, as a share of that", among / alone, "", 1.3),
        Figure("a miss among a thousand explained", explained, "ms", 100),
    ]
