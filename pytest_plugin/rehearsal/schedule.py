"""A fault schedule: all that goes wrong in one rehearsal, as one value, one line of text and one short token.

    FaultSchedule(steps=("ok", "error(503, retry_after=2)", Step("reset_before", effect="done")))

Steps are for requests in the order in which they arrive: the first meets the first step, and who comes after the last
step is served. Phases are for moments, counted from the first request. Besides there may be a limit, a latency, calls
that their callers give up, and jumps of the wall clock (as when a machine corrects its time).

What a step or a phase can do is what the stage can (`mockserver.faults`), written in the same words. The line that
`describe` writes is read by `parse`; a token is that line, compressed, with its version and a checksum.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from mockserver.faults import (
    ConstantLatency,
    Effect,
    FaultRule,
    Latency,
    LogNormalLatency,
    NormalLatency,
    ParetoLatency,
    Phase,
    Plan,
    Schedule,
    Slowness,
    fault,
)
from mockserver.faults.fault import Named
from mockserver.faults.latency import EvenLatency
from mockserver.faults.plan import vocabulary
from mockserver.faults.text import build, read, read_line, write
from mockserver.limits import Limit, SlidingWindow, TokenBucket
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

VERSION: Final = "r1"
_LONGEST_LINE = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """What one request meets.

    Args:
        fault: by its name and arguments, `truncate(after=10)`; "" for none.
        late: seconds by which the answer begins later.
        effect: whether the service acts on the request ("done") or never sees it ("none"); None for what is usual for
            the fault.

    Raises:
        ValueError: no such fault, or a number that makes no sense.
    """

    fault: str = ""
    late: float = 0.0
    effect: Effect | None = None

    def __post_init__(self) -> None:
        if self.fault:
            _fault(self.fault)
        if not 0 <= self.late < math.inf:
            raise ValueError(f"Step.late must be at least 0 seconds, not {self.late!r}")
        if self.effect not in (None, "done", "none") or (self.effect and not self.fault):
            raise ValueError(f"Step.effect={self.effect!r}: give 'done' or 'none' to a step with a fault")

    @property
    def ok(self) -> bool:
        """Whether nothing goes wrong."""
        return not self.fault and not self.late

    @property
    def text(self) -> str:
        """As it is written: `ok`, `step(error(503), late=2.0)`."""
        if self.ok:
            return "ok"
        told = [self.fault] if self.fault else []
        told += [f"late={write(self.late)}"] if self.late else []
        told += [f"effect={self.effect}"] if self.effect else []
        return f"step({', '.join(told)})"

    def rule(self, numbers: tuple[int, ...]) -> FaultRule:
        """The rule that has it happen to the requests with these numbers."""
        delay = ConstantLatency(self.late) if self.late else None
        spoils = _fault(self.fault) if self.fault else None
        return FaultRule(spoils, delay=delay, nth=numbers, effect=self.effect, name=self.text)


@lru_cache(1024)
def _fault(text: str) -> Named:
    return fault(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A caller gives up: call number `call` (from 1) is cancelled `after` seconds. Callers in threads cannot."""

    call: int
    after: float = 0.0

    def __post_init__(self) -> None:
        if type(self.call) is not int or self.call < 1:
            raise ValueError(f"Cancel.call={self.call!r}: calls are counted from 1")
        if not 0 <= self.after < math.inf:
            raise ValueError(f"Cancel.after must be at least 0 seconds, not {self.after!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump:
    """The wall clock is set: `seconds` forward, or back where negative, `at` so many seconds of the rehearsal."""

    at: float
    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.at < math.inf or not math.isfinite(self.seconds):
            raise ValueError(f"{self!r}: `at` is 0 seconds or later, and neither is infinite")


@dataclass(frozen=True, kw_only=True)
class FaultSchedule:
    """All that goes wrong in one rehearsal.

    Args:
        steps: what the first requests meet, in order of arrival: a `Step`, the text of a fault, or "ok".
        phases: what goes wrong when.
        limit: the server's rate limit, for all clients together: `window(calls, period)` or `bucket(rate, burst)`.
        latency: of every answer.
        cancels: calls that are given up.
        jumps: of the wall clock.
        seed: decides everything that looks like chance, on both sides.

    Raises:
        ValueError: a part makes no sense; the message names it.
    """

    steps: Sequence[Step | str] = ()
    phases: tuple[Phase, ...] = ()
    limit: str | None = None
    latency: Slowness | None = None
    cancels: tuple[Cancel, ...] = ()
    jumps: tuple[ClockJump, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        steps = [_step(each) for each in self.steps]
        while steps and steps[-1].ok:
            steps.pop()
        object.__setattr__(self, "steps", tuple(steps))
        for name, kind in (("phases", Phase), ("cancels", Cancel), ("jumps", ClockJump)):
            given = tuple(getattr(self, name))
            odd = [each for each in given if not isinstance(each, kind)]
            if odd:
                raise ValueError(f"FaultSchedule.{name}: {odd[0]!r} is no {kind.__name__}")
            object.__setattr__(self, name, given)
        if self.limit is not None:
            object.__setattr__(self, "limit", _limit_text(self.limit))
        if type(self.seed) is not int:
            raise ValueError(f"FaultSchedule.seed must be a whole number, not {self.seed!r}")

    @classmethod
    def of(cls, scenario: FaultSchedule | Schedule | Path | str | Sequence[Step | str]) -> FaultSchedule:
        """A schedule of whatever says what goes wrong: a token, a line, steps, a scenario, a saved rehearsal's path.

        Raises:
            ValueError: it says nothing of the kind; the message says what would.
        """
        if isinstance(scenario, FaultSchedule):
            return scenario
        if isinstance(scenario, Schedule):
            return cls(phases=scenario.phases)
        if isinstance(scenario, Path):
            from pytest_plugin.rehearsal.saved import saved_schedule  # reads YAML

            return saved_schedule(scenario)
        if isinstance(scenario, str):
            return cls.from_token(scenario) if scenario.startswith(f"{VERSION}.") else cls.parse(scenario)
        if isinstance(cast("object", scenario), Sequence):
            return cls(steps=scenario)
        raise ValueError(f"{scenario!r} is no schedule: give a FaultSchedule, steps, outage() or a token")

    @property
    def moves(self) -> tuple[Step, ...]:
        """The steps, each as a `Step`."""
        return cast("tuple[Step, ...]", self.steps)

    def __len__(self) -> int:
        """How many things go wrong."""
        single = (self.limit is not None) + (self.latency is not None)
        listed = len(self.phases) + len(self.cancels) + len(self.jumps)
        return sum(not step.ok for step in self.moves) + listed + single

    @property
    def end(self) -> float:
        """Seconds after the first request at which the last phase, and the last jump, are over."""
        return max([0.0, *(phase.end for phase in self.phases), *(jump.at for jump in self.jumps)])

    def plan(self) -> Plan:
        """The same, as the stage takes it. Limit, cancels and jumps are no part of a plan."""
        numbers: dict[Step, tuple[int, ...]] = {}
        for number, step in enumerate(self.moves, 1):
            if not step.ok:
                numbers[step] = (*numbers.get(step, ()), number)
        rules = tuple(step.rule(at) for step, at in numbers.items())
        return Plan(seed=self.seed, rules=rules, schedule=Schedule(self.phases), latency=self.latency)

    def server_limit(self) -> Limit | None:
        """The limit, with nothing used of it."""
        return None if self.limit is None else cast("Limit", _limit(self.limit))

    def scaled(self, factor: float) -> FaultSchedule:
        """The same in so much less time: phases, lateness, limits, cancels; a Retry-After stays in whole seconds.

        Raises:
            ValueError: the latency is a distribution that cannot be scaled.
        """
        steps = tuple(replace(step, late=step.late * factor) for step in self.moves)
        phases = tuple(
            replace(each, start=each.start * factor, duration=each.duration * factor) for each in self.phases
        )
        cancels = tuple(replace(each, after=each.after * factor) for each in self.cancels)
        jumps = tuple(replace(each, at=each.at * factor) for each in self.jumps)
        return replace(
            self,
            steps=steps,
            phases=phases,
            limit=_scaled_limit(self.limit, factor),
            latency=None if self.latency is None else _scaled_latency(self.latency, factor),
            cancels=cancels,
            jumps=jumps,
        )

    def describe(self) -> str:
        """One line that `parse` reads: `step=ok step=step(error(503)) seed=7`.

        Raises:
            ValueError: a part has no name, a rule with a function for instance.
        """
        told = [f"step={step.text}" for step in self.moves]
        told += [f"phase={write(phase, _WORDS)}" for phase in self.phases]
        for name in ("limit", "latency"):
            if (part := getattr(self, name)) is not None:
                told.append(f"{name}={part if name == 'limit' else write(part, _WORDS)}")
        told += [f"cancel={write(each, _WORDS)}" for each in self.cancels]
        told += [f"jump={write(each, _WORDS)}" for each in self.jumps]
        return " ".join([*told, *([f"seed={self.seed}"] if self.seed else [])])

    @classmethod
    def parse(cls, line: str) -> FaultSchedule:
        """The schedule that a line describes.

        Raises:
            ValueError: the line is malformed; the message says what is known.
        """
        found: dict[str, list[Any]] = {}
        for key, term in read_line(line):
            if key not in _PLURALS and key not in ("limit", "latency", "seed"):
                raise ValueError(unknown("part of a schedule", key, [*_PLURALS, "limit", "latency", "seed"]))
            found.setdefault(_PLURALS.get(key, key), []).append(build(term, _vocabulary(), key))
        twice = [key for key in ("limit", "latency", "seed") if len(found.get(key, ())) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is given twice")
        listed = {name: tuple(values) for name, values in found.items() if name in _PLURALS.values()}
        parts: dict[str, Any] = {**listed, **{name: values[0] for name, values in found.items() if name not in listed}}
        return cls(**parts)

    @property
    def token(self) -> str:
        """The schedule in one word, to be pasted into a test or a terminal."""
        line = self.describe().encode()
        packed = zlib.compress(line, 9, -15)
        return f"{VERSION}.{_base64(zlib.crc32(line).to_bytes(4, 'big') + packed)}"

    @classmethod
    def from_token(cls, token: str) -> FaultSchedule:
        """The schedule of a token.

        Raises:
            ValueError: it is none, was cut or mistyped, or another release wrote it.
        """
        version, _, text = token.strip().partition(".")
        if version != VERSION:
            raise ValueError(f"token {token[:12]!r}: this release reads those that begin with {VERSION!r} and a dot")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            unpacker = zlib.decompressobj(-15)
            line = unpacker.decompress(data[4:], _LONGEST_LINE)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise ValueError(f"token {token[:12]!r}... was cut or mistyped: {error}") from error
        if not unpacker.eof or zlib.crc32(line).to_bytes(4, "big") != data[:4]:
            raise ValueError(f"token {token[:12]!r}... was cut or mistyped: its checksum is another")
        return cls.parse(line.decode())

    def __str__(self) -> str:
        lines = [f"request {number}: {step.text}" for number, step in enumerate(self.moves, 1)]
        lines += [part.replace("=", " ", 1) for part in _parts(self)]
        return "\n".join([*(lines or ["nothing goes wrong"]), *([f"seed {self.seed}"] if self.seed else [])])


_PLURALS = {"step": "steps", "phase": "phases", "cancel": "cancels", "jump": "jumps"}
_WORDS: Final[Mapping[type, str]] = {
    FaultRule: "rule", Phase: "phase", Cancel: "cancel", ClockJump: "jump", ConstantLatency: "constant",
    EvenLatency: "uniform", Latency: "latency", LogNormalLatency: "lognormal", NormalLatency: "normal",
    ParetoLatency: "pareto",
}  # fmt: skip


def _parts(schedule: FaultSchedule) -> list[str]:
    """What goes wrong besides the steps, as it is written, part by part."""
    alone = [FaultSchedule(phases=(phase,)) for phase in schedule.phases]
    alone += [FaultSchedule(limit=schedule.limit), FaultSchedule(latency=schedule.latency)]
    alone += [FaultSchedule(cancels=(each,)) for each in schedule.cancels]
    alone += [FaultSchedule(jumps=(each,)) for each in schedule.jumps]
    return [line for each in alone if (line := each.describe())]


def _step(given: Step | str) -> Step:
    built: object = build(read(given), _vocabulary(), "step") if isinstance(given, str) else given
    if isinstance(built, Named):
        return Step(built.text)
    if not isinstance(built, Step):
        raise ValueError(f"step {given!r}: give a Step, 'ok', a fault such as 'error(503)', or 'step(..., late=2)'")
    return built


def _made_step(fault: Named | None = None, late: float = 0.0, effect: Effect | None = None) -> Step:
    return Step("" if fault is None else fault.text, late, effect)


@lru_cache(1)
def _vocabulary() -> dict[str, Any]:
    own = {"ok": Step, "step": _made_step, "cancel": Cancel, "jump": ClockJump}
    return {**vocabulary(), **own, "window": _window, "bucket": _bucket}


def _window(calls: int, period: float) -> SlidingWindow:
    return SlidingWindow(calls, period)


def _bucket(rate: float, burst: int) -> TokenBucket:
    return TokenBucket(rate, burst)


def _limit_text(limit: object) -> str:
    """How a limit is written: the same for equal ones."""
    made = _limit(limit) if isinstance(limit, str) else limit
    match made:
        case SlidingWindow():
            return f"window({made.calls}, {write(made.period)})"
        case TokenBucket():
            return f"bucket({write(made.rate)}, {made.burst})"
        case _:
            raise ValueError(f"FaultSchedule.limit={limit!r}: give 'window(calls, period)' or 'bucket(rate, burst)'")


def _limit(text: str) -> object:
    return build(read(text), _vocabulary(), "limit")


def _scaled_limit(text: str | None, factor: float) -> str | None:
    if text is None:
        return None
    limit = cast("SlidingWindow | TokenBucket", _limit(text))
    if isinstance(limit, SlidingWindow):
        return f"window({limit.calls}, {write(limit.period * factor)})"
    return f"bucket({write(limit.rate / factor)}, {limit.burst})"


def _scaled_latency(latency: Slowness, factor: float) -> Slowness:
    match latency:
        case ConstantLatency():
            return ConstantLatency(latency.wait * factor)
        case EvenLatency():
            return EvenLatency(low=latency.low * factor, high=latency.high * factor)
        case _:
            raise ValueError(f"{latency!r} cannot be scaled: give ConstantLatency or EvenLatency")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
