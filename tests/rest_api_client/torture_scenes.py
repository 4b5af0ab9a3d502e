"""The scenes: what can happen to a call, each with every policy on."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rest_api_client.auth.digest import DigestAuth
from rest_api_client.context import Context
from rest_api_client.engines.scripted import Answer, respond
from rest_api_client.exceptions import APIError
from rest_api_client.models import Request, Response
from rest_api_client.policies.adaptive_retry import AdaptiveRetry
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.backoff import LinearBackoff
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.concurrency import AdaptiveConcurrency
from rest_api_client.policies.dimensions import Window
from rest_api_client.policies.fallback import Fallback
from rest_api_client.policies.hedging import Hedging
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.script import Chunk, Close, Delay, End, Head, Refuse, Reset, Script, Stall
from rest_api_client.streamed import StreamedResponse
from tests.rest_api_client.cells import stream as streaming
from tests.rest_api_client.torture import Call, Scene, Set
from tests.rest_api_client.torture_checks import BURST, BYTES, TRUE_BYTES

# ---------------------------------------------------------------------- the chain with everything


@dataclass(frozen=True, repr=False)
class CountedDigest(DigestAuth):
    """Digest, whose flows are counted while they are open."""

    stage: Any = None

    def begin(self, request: Request, context: Context) -> Generator[Request, Response, None]:
        """The flow, counted from its first step on."""
        flow: Any = super().begin(request, context)

        def counted() -> Generator[Request, Response, None]:
            self.stage.auth_open += 1
            try:
                yield from flow
            finally:
                self.stage.auth_open -= 1

        kept = counted()
        self.stage.memory.setdefault("flows", []).append(kept)  # or the collector would end it
        return kept


def everything(stage: Set, **changes: Any) -> dict[str, Any]:
    """Options with which no policy is off; limits are wide unless changed."""
    state = RetryBudget(ratio=0, min_per_second=0, burst=BURST).memory(stage.world.clock.monotonic)
    budget = RetryBudget(ratio=0, min_per_second=0, burst=BURST)
    strategy = LinearBackoff(base=0.5, jitter="none")
    retry = changes.pop("retry", RetryConfig)(strategy=strategy, budget=budget, state=state)
    return {
        "retry": retry,
        "hedging": Hedging(delay=1.0, state=state),
        "coalesce": Coalesce(identity=lambda request: "one user"),
        "fallback": Fallback(json="instead", when=lambda request, result: request.url.path == "/falls"),
        "attempt_times": AttemptTimes(),
        "circuit_breaker": CircuitBreaker(min_calls=1_000_000, window=1e9),
        "pacing": ServerPacing(),
        "rate_limit": limit(),
        "bulkhead": Bulkhead(limit=10),
        "auth": CountedDigest("ada", "secret", stage=stage),
        "deadline": 60.0,
    } | changes


def limit(calls: int = 100, period: float = 600.0, **options: Any) -> RateLimit:
    """So many requests, and bytes as a second dimension."""
    window = Window(amount=100_000, period=period)
    return RateLimit(
        calls=calls,
        period=period,
        limits={"bytes": window},
        cost={"requests": 1, "bytes": BYTES},
        true_cost=lambda request, response: {"requests": 1, "bytes": TRUE_BYTES},
        **options,
    )


def with_everything(**changes: Callable[[Set], Any]) -> Callable[[Set], dict[str, Any]]:
    """Options made anew for each run."""
    return lambda stage: everything(stage, **{name: make(stage) for name, make in changes.items()})


def by_path(scripts: Mapping[str, list[Script]]) -> Callable[[], Answer]:
    """A server that plays each path's scripts in turn, the last one again and again; else says what was asked for."""

    def fresh() -> Answer:
        seen: Counter[str] = Counter()

        def answer(request: Request, index: int) -> Script:
            path = request.url.path
            place, seen[path] = seen[path], seen[path] + 1
            played = scripts.get(path, [respond(content=path[1:])])
            return played[min(place, len(played) - 1)]

        return answer

    return fresh


def get(path: str, *, after: float = 0.0, **options: Any) -> Call:
    """A GET, perhaps a little later than the others."""

    async def act(client: Any, stage: Set) -> Response:
        response: Response = await client.get(path, **(options | stage.options))
        return response

    return Call(act, after)


def body(*chunks: bytes, status: int = 200, gap: float = 0.1, **headers: str) -> Script:
    """An answer whose body comes in pieces."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields.setdefault("content-length", str(sum(map(len, chunks))))
    steps = [step for chunk in chunks for step in (Delay(gap), Chunk(chunk))]
    return Script(Head(status, tuple(fields.items())), *steps, End())


BAD = body(b"out of", b" order", status=503)
SLOW = Script(Delay(5), *body(b"slow").steps)
PLAIN = with_everything()

# ---------------------------------------------------------------------- one call


def digest() -> Answer:
    """A server that lets in whoever has a digest."""

    def answer(request: Request, index: int) -> Script:
        if request.url.path == "/plain" or "authorization" in request.headers:
            return body(b"pl", b"ain") if request.url.path == "/plain" else body(b"let", b" in")
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
        return body(b"who", b" are you", status=401, www_authenticate=challenge)

    return answer


BROKEN = Script(Head(200, (("content-length", "9"),)), Delay(0.1), Chunk(b"half"), Delay(0.1), Reset())


async def upload(client: Any, stage: Set) -> Response:
    """A PUT whose body is a generator that can be made anew."""

    def pieces() -> Generator[bytes, None, None]:
        yield b"one"
        yield b"two"

    response: Response = await client.put("/upload", content=pieces, **stage.options)
    return response


async def streamed_half(client: Any, stage: Set) -> bytes:
    """A stream that is left in its middle."""
    async with streaming(client, "GET", "/stream", **stage.options) as streamed:
        response = streamed.response
        if isinstance(response, StreamedResponse):
            pieces = stage.memory["kept"] = response.iter_bytes()  # or the collector would tidy up
            return next(pieces)
        return await anext(response.aiter_bytes())


async def streamed_whole(client: Any, stage: Set) -> bytes:
    """A stream that is read to its end."""
    async with streaming(client, "GET", "/stream", **stage.options) as response:
        return await response.read()


WHOLE = bytes(range(250)) * 4


def file_server() -> Answer:
    """A file that breaks off twice, and goes on from there."""
    breaks = iter([300, 400])

    def answer(request: Request, index: int) -> Script:
        if request.url.path == "/plain":
            return respond(content="plain")
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(found[1]) if found is not None else 0
        fields = {"etag": '"v1"', "content-length": str(len(WHOLE) - start)}
        if start:
            fields["content-range"] = f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}"
        head = Head(206 if start else 200, tuple(fields.items()))
        size = next(breaks, None)
        if size is None:
            return Script(head, Chunk(WHOLE[start:]), End())
        return Script(
            head,
            Chunk(WHOLE[start : start + size // 2]),
            Delay(0.2),
            Chunk(WHOLE[start + size // 2 : start + size]),
            Reset(),
        )

    return answer


async def old_file(client: Any, stage: Set) -> None:
    """What stands where the download goes."""
    stage.memory["whole"] = WHOLE
    (stage.folder / "data").write_bytes(b"old")


async def download(client: Any, stage: Set) -> Response:
    """A file over an old one."""
    response: Response = await client.download("/file", stage.folder / "data", **stage.options)
    return response


async def trip(client: Any, stage: Set) -> None:
    """Open the circuit, and let it rest."""
    try:
        await client.get("/down", max_retries=0)
    except APIError:
        await stage.runtime.sleep(6)


ONE = [
    Scene("retry", by_path({"/a": [BAD, BAD, body(b"fi", b"ne")]}), [get("/a")], PLAIN),
    Scene("retry in vain", by_path({"/a": [BAD]}), [get("/a")], PLAIN),
    Scene(
        "throttled", by_path({"/a": [body(b"slow", b"er", status=429, retry_after="2"), respond()]}), [get("/a")], PLAIN
    ),
    Scene(
        "redirect",
        by_path({"/a": [body(b"see", b" there", status=302, location="/b", set_cookie="a=b")]}),
        [get("/a")],
        PLAIN,
    ),
    Scene("digest", digest, [get("/a")], PLAIN),
    Scene("broken body", by_path({"/a": [BROKEN, body(b"fi", b"ne")]}), [get("/a")], PLAIN),
    Scene(
        "stall",
        by_path({"/a": [Script(Head(200), Chunk(b"a"), Stall()), respond(content="fine")]}),
        [get("/a", timeout=0.8)],
        PLAIN,
    ),
    Scene(
        "closed early", by_path({"/a": [Script(Close()), Script(Reset()), respond(content="fine")]}), [get("/a")], PLAIN
    ),
    Scene("hedge wins", by_path({"/a": [SLOW, body(b"qu", b"ick")]}), [get("/a")], PLAIN),
    Scene("hedge loses", by_path({"/a": [Script(Delay(1.5), *body(b"fir", b"st").steps), SLOW]}), [get("/a")], PLAIN),
    Scene("both copies fail", by_path({"/a": [Script(Delay(2), *BAD.steps), BAD, respond()]}), [get("/a")], PLAIN),
    Scene("fallback", by_path({"/falls": [BAD]}), [get("/falls")], PLAIN),
    Scene(
        "replica",
        by_path({"/a": [BAD, BAD, BAD, respond(content="copy")]}),
        [get("/a")],
        with_everything(fallback=lambda stage: Fallback(replica="https://replica.test")),
    ),
    Scene("upload", by_path({"/upload": [BAD, body(b"ta", b"ken")]}), [Call(upload)], PLAIN),
    Scene("stream left", by_path({"/stream": [BAD, body(b"ab", b"cd", b"ef")]}), [Call(streamed_half)], PLAIN),
    Scene("stream read", by_path({"/stream": [body(b"ab", b"cd", b"ef")]}), [Call(streamed_whole)], PLAIN),
    Scene("download", file_server, [Call(download)], PLAIN, before=old_file),
    Scene(
        "probe",
        by_path({"/down": [BAD], "/a": [body(b"up", b" again")]}),
        [get("/a")],
        with_everything(
            circuit_breaker=lambda stage: CircuitBreaker(consecutive_failures=1, min_calls=10**6, window=1e9)
        ),
        before=trip,
    ),
    Scene(
        "failing probe",
        by_path({"/down": [BAD], "/a": [BAD]}),
        [get("/a"), get("/other", after=0.05)],
        with_everything(
            circuit_breaker=lambda stage: CircuitBreaker(consecutive_failures=1, min_calls=10**6, window=1e9)
        ),
        before=trip,
        independent=False,
    ),
    Scene(
        "adaptive retry",
        by_path({"/a": [body(b"slow", b"er", status=429, retry_after="2"), BAD, respond()]}),
        [get("/a")],
        with_everything(retry=lambda stage: AdaptiveRetry),
    ),
]

# ---------------------------------------------------------------------- several calls

MIXED = {
    "/a": [body(b"there", status=302, location="/b")],
    "/b": [BAD, body(b"fi", b"ne")],
    "/c": [SLOW, BROKEN, body(b"good")],
}
SEVERAL = [
    Scene("twins", by_path({"/a": [BAD, body(b"fi", b"ne")]}), [get("/a"), get("/a"), get("/a", after=0.05)], PLAIN),
    Scene(
        "full limiter",
        by_path({path: [body(b"a", b"b")] for path in ("/a", "/b", "/c", "/d")}),
        [get("/a"), get("/b"), get("/c"), get("/d")],
        with_everything(rate_limit=lambda stage: limit(1, 3.0)),
    ),
    Scene(
        "full bulkhead",
        by_path({path: [body(b"a", b"b")] for path in ("/a", "/b", "/c", "/d")}),
        [get("/a"), get("/b"), get("/c", priority=4), get("/d", priority=0)],
        with_everything(bulkhead=lambda stage: Bulkhead(limit=1)),
    ),
    Scene(
        "shedding",
        by_path({path: [body(b"a", b"b")] for path in ("/a", "/b", "/c", "/d")}),
        [get("/a"), get("/b", priority=0), get("/c", priority=1), get("/d", priority=4)],
        with_everything(bulkhead=lambda stage: Bulkhead(limit=1, queue=1)),
        independent=False,
    ),
    Scene(
        "learned limit",
        by_path({path: [BAD, body(b"a", b"b")] for path in ("/a", "/b", "/c", "/d")}),
        [get("/a"), get("/b"), get("/c", priority=4), get("/d", priority=0)],
        with_everything(bulkhead=lambda stage: AdaptiveConcurrency(initial=2, min_samples=1, window=0.1)),
    ),
    Scene(
        "paced",
        by_path({"/a": [body(b"later", status=429, retry_after="2"), respond()]}),
        [get("/a"), get("/b", after=0.5), get("/c", after=0.5)],
        PLAIN,
    ),
    Scene(
        "mixed",
        by_path(MIXED),
        [get("/a"), get("/c"), get("/a", after=0.3)],
        with_everything(bulkhead=lambda stage: Bulkhead(limit=2)),
    ),
]


def direct(scene: Scene) -> Scene:
    """The same without coalescing and hedging, so that calls run in their callers' own tasks and threads."""
    options = scene.options
    return replace(
        scene, name=f"{scene.name}, direct", options=lambda stage: options(stage) | {"coalesce": None, "hedging": None}
    )


SCENES = [*ONE, *SEVERAL, *map(direct, [*ONE, *SEVERAL])]

# ---------------------------------------------------------------------- any scene


_PATHS = ("/a", "/b", "/c", "/falls")
_BULKHEADS: tuple[Callable[[], Any], ...] = (
    lambda: Bulkhead(limit=1, queue=1),
    lambda: Bulkhead(limit=2, max_wait=1.0),
    lambda: AdaptiveConcurrency(initial=2, min_samples=1, window=0.1),
)
_BREAKERS: tuple[Callable[[], Any], ...] = (
    lambda: CircuitBreaker(min_calls=10**6, window=1e9),
    lambda: CircuitBreaker(consecutive_failures=2, min_calls=10**6, window=1e9, open_for=1.0),
)
_LIMITS: tuple[Callable[[], Any], ...] = (limit, lambda: limit(1, 1.0), lambda: limit(2, 5.0, max_wait=3.0))


def random_scene(seed: int) -> tuple[Scene, random.Random]:
    """Some scene, the same for the same seed, and the source of chance it was drawn from."""
    chance = random.Random(seed)
    scripts = {path: [_script(chance) for _ in range(chance.randint(1, 4))] for path in _PATHS}
    calls = [_call(chance) for _ in range(chance.randint(1, 4))]
    bulkhead, breaker, rate = chance.choice(_BULKHEADS), chance.choice(_BREAKERS), chance.choice(_LIMITS)
    changes: dict[str, Callable[[Set], Any]] = {
        "bulkhead": lambda stage: bulkhead(),
        "circuit_breaker": lambda stage: breaker(),
        "rate_limit": lambda stage: rate(),
    }
    if chance.random() < 0.5:
        changes["retry"] = lambda stage: AdaptiveRetry
    scene = Scene(f"random {seed}", by_path(scripts), calls, with_everything(**changes), independent=False)
    return (direct(scene) if chance.random() < 0.5 else scene), chance


def _call(chance: random.Random) -> Call:
    path, after = chance.choice(_PATHS), chance.choice([0.0, 0.0, 0.1, 0.5])
    options: dict[str, Any] = {"priority": chance.randrange(5), "timeout": chance.choice([0.5, 3.0])}
    return Call(streamed_half if chance.random() < 0.1 else get(path, **options).act, after)


def _script(chance: random.Random) -> Script:
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
    script = chance.choice(
        [
            BAD,
            BROKEN,
            body(b"fi", b"ne", gap=chance.choice([0.0, 0.1, 0.6])),
            body(b"fi", b"ne"),
            respond(content="at once"),
            body(b"gone", status=404),
            body(b"slow", b"er", status=429, retry_after=str(chance.randint(1, 3))),
            body(b"there", status=302, location=chance.choice(_PATHS)),
            body(b"who", status=401, www_authenticate=challenge),
            Script(Head(200), Chunk(b"a"), Stall()),
            Script(Stall()),
            Script(Reset()),
            Script(Close()),
            Script(Refuse()),
        ]
    )
    late = chance.choice([0.0, 0.0, 0.3, 1.5, 4.0])
    return script if isinstance(script.steps[0], Refuse) or not late else Script(Delay(late), *script.steps)
