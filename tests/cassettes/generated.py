"""Interactions of every kind, by chance and the same each time: what recorders have to keep."""

from __future__ import annotations

import gzip
import random
from itertools import pairwise
from typing import Any

from cassettes.interaction import Asked, Interaction
from rest_api_client.script import Chunk, Delay, End, Head, Script

WORDS = (
    "plain", "null", "true", "~", "123", "1e3", "0x1F", "2026-11-23", "- dash",
    "key: value", "# hash", " lead", "tail ",
    "", "a" * 300, "word " * 60, "tab\tbed", "quote \" and '", "back\\slash", "yes",
    "<<", "=", "*star", "&anchor", "!bang",
    "%percent", "@at", "`tick", "{brace}", "[list]", "a,b", 'W/"etag"', "'", '"', "?", "no\xa0break",
)  # fmt: skip
TEXTS = (
    "", "{}", '{"a": 1, "a": 2}', '{"big": 123456789012345678901234567890, "e": 1e2}', "line\nline\n",
    "crlf\r\nend\r\n",
    "\u00fcn\u00ef \u20ac \U0001f600", "\x85\u2028\u2029", "  \n  lead", "trail \n", "\t",
    "\ufeffbom", "x" * 5000,
    "event: a\ndata: {}\n\n" * 5, "<a>x</a>", "%41%zz&=", "\x00\x01\x7f", "null", "12", "...", "--- doc", "word " * 100,
)  # fmt: skip
STATUSES = (200, 201, 202, 301, 304, 404, 422, 429, 500, 503)


def interaction(chance: random.Random, number: int, *, timed: bool = False) -> Interaction:
    """The interaction of that number."""
    return Interaction(_asked(chance, number), _script(chance, timed=timed), started=number * 0.25 if timed else 0.0)


def _asked(chance: random.Random, number: int) -> Asked:
    method = chance.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))
    body = _body(chance) if method in {"POST", "PUT", "PATCH"} else b""
    query = f"?q={chance.choice(('a', 'b%20c', '%C3%BC', 'x=y', '1'))}&n={number % 97}" if chance.random() < 0.5 else ""
    fields = {"host": "api.test", "accept": "*/*", f"x-{chance.randrange(9)}": chance.choice(WORDS).strip()}
    return Asked(method, f"https://api.test/things/{number % 211}{query}", tuple(fields.items()), body)


def _body(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.6:
        return chance.choice(TEXTS).encode()
    if kind < 0.8:
        return chance.randbytes(chance.randrange(1, 400))
    return gzip.compress(chance.choice(TEXTS).encode(), mtime=0)


def _script(chance: random.Random, *, timed: bool) -> Script:
    body = _body(chance)
    fields: list[tuple[str, str]] = [("content-length", str(len(body))), ("x-word", chance.choice(WORDS).strip())]
    fields += [("set-cookie", f"c{n}=v") for n in range(chance.randrange(3))]
    if body[:2] == b"\x1f\x8b":
        fields.append(("content-encoding", "gzip"))
    steps: list[Any] = [Head(chance.choice(STATUSES), tuple(fields), chance.choice(("OK", "Not Found", "Made Up")))]
    cuts = sorted({0, len(body), *(chance.randrange(len(body) + 1) for _ in range(3 if timed else 0))})
    for begin, end in pairwise(cuts):
        steps += [Delay(chance.randrange(1, 9) / 8)] if timed else []
        steps.append(Chunk(body[begin:end]))
    return Script(*([Delay(0.125)] if timed else []), *steps, End())
