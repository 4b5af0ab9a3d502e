"""Virtual time, guarded: a program that waits for real, opens a socket or draws chance without a seed is told so.

Theory of operation. A test in virtual time is only as good as its weakest wait: one `time.sleep` costs real time and no
virtual time, a socket makes every timeout false, and chance without a seed makes a failure that cannot be had again.
While a guard is active the functions in `_CALLS` are replaced by ones that look at their caller (see `callers`): the
program is refused, Python, pytest, Hypothesis, anyio, trio and this project are let through. Names that a module of the
program imported (`from time import sleep`) are replaced as well. Sockets are seen as in `network`.

Replaced is once, by the first guard, and put back by the last; what somebody else has replaced is left alone. Threads
that ran before the guard was entered are not its business, but for the one that entered it.

A sleep is the program's also when a library sleeps on its behalf. Chance is looked at more mildly: what libraries draw
for themselves is let be, and so is the module `random` once somebody seeded it, as Hypothesis does for each example.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import queue
import random
import secrets
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any

import anyio

from pytest_plugin.guards.callers import Sight, place
from pytest_plugin.guards.network import RealWorld, Watcher, by, shown, watching
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.virtual.clock import VirtualClock
from rest_api_client.virtual.loop import VirtualLoop


@contextmanager
def virtual_time(
    clock: VirtualClock | None = None, *, watch: Collection[str] = (), spare: Collection[str] = ()
) -> Iterator[VirtualClock]:
    """Give a virtual clock, and refuse to the program whatever would not go by it.

    Args:
        clock: the clock, if it is not to be a new one.
        watch: names of installed modules that count as the program: your own package, where it is installed.
        spare: names of modules that may go on as they do.

    Raises:
        RealWorld: inside, at a real sleep or timed wait, a socket, or chance without a seed. It names the call, where
            it stands and what to use in its place.
    """
    chosen = VirtualClock() if clock is None else clock
    guard = _Guard(Sight(watch, spare))
    with watching(guard), _replaced(guard):
        yield chosen


class _Guard(Watcher):
    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.seeded = False
        self._thread = threading.current_thread()
        self._before = frozenset(threading.enumerate())

    def concerned(self) -> bool:
        """Whether the calling thread is one of the test's."""
        thread = threading.current_thread()
        return thread is self._thread or thread not in self._before

    def refuse(self, what: str, advice: str, frame: FrameType | None, *, through: bool) -> None:
        """Raise RealWorld if the program called."""
        culprit = self.sight.program(frame, through=through)
        if culprit is None or not self.concerned():
            return
        via = "" if culprit is frame or frame is None else f"\n  through {place(frame)}"
        raise RealWorld(f"{what} in a test in virtual time\n  by {place(culprit)}{via}\n{advice}")

    def connect(self, host: str, port: int, verb: str) -> None:
        """Refuse."""
        self._refuse_socket(f"{verb} {shown(host, port)}")

    def bind(self, host: str, port: int) -> None:
        """Refuse."""
        self._refuse_socket(f"listen at {shown(host, port)}")

    def look_up(self, name: str) -> None:
        """Refuse."""
        self._refuse_socket(f"look up {name!r}")

    def _refuse_socket(self, what: str) -> None:
        if self.concerned():
            raise RealWorld(f"a socket in a test in virtual time, to {what}\n  by {by(self.sight)}\n{_SOCKET}")


_SOCKET = """Virtual time would run ahead of it, and every timeout be false. Let the client talk in process, to the
transport() of a MockServer, a ScriptedTransport or a cassette; or take the test out of virtual time."""
_SLEEP = "Use clock.sleep(seconds), in threads that clock.thread(...) started; it costs no real time."
_ASYNC = (
    "Start the loop with clock.run_asyncio(...), clock.run_trio(...) or anyio.run(..., **clock.backend_options(...))."
)
_WAIT = "Use clock.flag(), whose wait(timeout) goes by the clock, and join() of clock.thread(...)."
_CHANCE = "Use random.Random(seed), or seed it here with random.seed(...): else a failure cannot be had again."
_UNSEEDED = "It can never be had again. Take bytes from random.Random(seed).randbytes(n), or hand the value in."


# What is replaced -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Swap:
    owner: Any
    name: str
    original: Any
    substitute: Any


def _sleep(original: Any) -> Any:
    @functools.wraps(original)
    def sleep(seconds: float) -> None:
        if _guards and seconds > 0:
            _refuse(f"time.sleep({seconds:g})", _SLEEP, through=True)
        original(seconds)

    return sleep


def _async_sleep(name: str) -> Callable[[Any], Any]:
    def replace(original: Any) -> Any:
        @functools.wraps(original)
        def sleep(*arguments: Any, **options: Any) -> Any:
            if _guards and any(value > 0 for value in arguments[:1]) and not _in_virtual_loop():
                _refuse(f"{name}({arguments[0]:g}) on a loop of the real time", _ASYNC, through=True)
            return original(*arguments, **options)

        return _marked(sleep)

    return replace


def _marked(function: Any) -> Any:
    """Have those who ask see an async function, which it is to its callers."""
    mark = getattr(inspect, "markcoroutinefunction", None)  # from Python 3.12 on
    return function if mark is None else mark(function)


def _in_virtual_loop() -> bool:
    """Whether the running loop keeps some virtual clock's time; True where none runs, for nothing waits there."""
    try:
        return isinstance(asyncio.get_running_loop(), VirtualLoop)
    except RuntimeError:
        trio: Any = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return True
    return type(trio.lowlevel.current_clock()).__module__ == "rest_api_client.virtual.trio_run"


def _wait(name: str, position: int) -> Callable[[Any], Any]:
    def replace(original: Any) -> Any:
        @functools.wraps(original)
        def wait(self: Any, *arguments: Any, **options: Any) -> Any:
            if _guards:
                timeout = arguments[position] if len(arguments) > position else options.get("timeout")
                if timeout is not None and timeout > 0 and not _is_over(self):
                    _refuse(f"{name}(timeout={timeout:g})", _WAIT, through=False)
            return original(self, *arguments, **options)

        return wait

    return replace


def _is_over(waited_for: Any) -> bool:
    """Whether the wait would end at once."""
    if isinstance(waited_for, threading.Event):
        return waited_for.is_set()
    return isinstance(waited_for, queue.Queue) and not waited_for.empty()


def _chance(name: str) -> Callable[[Any], Any]:
    def replace(original: Any) -> Any:
        @functools.wraps(original)
        def draw(*arguments: Any, **options: Any) -> Any:
            if _guards and not _is_seeded():
                _refuse(f"random.{name}(...) without a seed", _CHANCE, through=False)
            return original(*arguments, **options)

        return draw

    return replace


def _seed(original: Any) -> Any:
    @functools.wraps(original)
    def seed(a: Any = None, *arguments: Any, **options: Any) -> Any:
        for guard in _guards:
            guard.seeded = a is not None
        return original(a, *arguments, **options)

    return seed


def _is_seeded() -> bool:
    hypothesis: Any = sys.modules.get("hypothesis")
    if hypothesis is not None and hypothesis.currently_in_test_context():
        return True
    return all(guard.seeded for guard in _guards)


def _new_random(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, x: Any = None) -> None:  # noqa: N807  it is one
        if _guards:
            if isinstance(self, random.SystemRandom):
                _refuse("random.SystemRandom()", _UNSEEDED, through=False)
            elif x is None:
                _refuse(f"{type(self).__name__}() without a seed", _CHANCE, through=False)
        original(self, x)

    return __init__


def _secret(name: str) -> Callable[[Any], Any]:
    def replace(original: Any) -> Any:
        @functools.wraps(original)
        def draw(*arguments: Any, **options: Any) -> Any:
            if _guards:
                _refuse(f"{name}(...)", _UNSEEDED, through=False)
            return original(*arguments, **options)

        return draw

    return replace


def _refuse(what: str, advice: str, *, through: bool) -> None:
    frame = sys._getframe(2)  # noqa: SLF001  the documented way to a caller; the one of the substitute
    for guard in _guards:
        guard.refuse(what, advice, frame, through=through)


def _swap(owner: Any, name: str, replace: Callable[[Any], Any]) -> _Swap:
    original = getattr(owner, name)
    return _Swap(owner, name, original, replace(original))


_DRAWN = [
    name for name in random.__all__ if name not in {"Random", "SystemRandom", "seed", "getstate", "setstate"}
]  # fmt: skip
_SECRETS = ("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe")

_CALLS = [
    _swap(time, "sleep", _sleep),
    _swap(asyncio, "sleep", _async_sleep("asyncio.sleep")),
    _swap(anyio, "sleep", _async_sleep("anyio.sleep")),
    _swap(threading.Event, "wait", _wait("threading.Event.wait", 0)),
    _swap(threading.Condition, "wait", _wait("threading.Condition.wait", 0)),
    _swap(queue.Queue, "get", _wait("queue.Queue.get", 1)),
    _swap(random.Random, "__init__", _new_random),
    _swap(random, "seed", _seed),
    _swap(random, "setstate", _seed),
    *(_swap(random, name, _chance(name)) for name in _DRAWN),
    *(_swap(secrets, name, _secret(f"secrets.{name}")) for name in _SECRETS),
    *(_swap(os, name, _secret(f"os.{name}")) for name in ("urandom", "getrandom") if hasattr(os, name)),
    *(_swap(uuid, name, _secret(f"uuid.{name}")) for name in ("uuid1", "uuid4")),
]


# When it is replaced --------------------------------------------------------------------------------------------------

_guards: tuple[_Guard, ...] = ()
_lock = threading.Lock()


@contextmanager
def _replaced(guard: _Guard) -> Iterator[None]:
    global _guards
    with _lock:
        if not _guards:
            _put(_all_calls())
        _put(_imported[guard.sight.watch].find(guard.sight))
        _guards = (*_guards, guard)
    try:
        yield
    finally:
        with _lock:
            _guards = tuple(each for each in _guards if each is not guard)
            if not _guards:
                _put_back()


def _all_calls() -> list[_Swap]:
    """Those of trio as well, once the program has it."""
    if "trio" in sys.modules and not any(swap.owner is sys.modules["trio"] for swap in _CALLS):
        _CALLS.append(_swap(sys.modules["trio"], "sleep", _async_sleep("trio.sleep")))
        _FUNCTIONS[id(_CALLS[-1].original)] = _CALLS[-1]
    return _CALLS


_put_now: list[_Swap] = []


def _put(swaps: Collection[_Swap]) -> None:
    for swap in swaps:
        if getattr(swap.owner, swap.name, None) is swap.original:
            setattr(swap.owner, swap.name, swap.substitute)
            _put_now.append(swap)


def _put_back() -> None:
    for swap in _put_now:
        if getattr(swap.owner, swap.name, None) is swap.substitute:
            setattr(swap.owner, swap.name, swap.original)
    _put_now.clear()


class _Imported:
    """Names in modules of the program that stand for a function that is replaced."""

    def __init__(self) -> None:
        self._count = 0
        self._seen: set[str] = set()
        self._swaps: list[_Swap] = []

    def find(self, sight: Sight) -> list[_Swap]:
        """All of them; only modules that are new are searched."""
        if len(sys.modules) != self._count:
            self._count = len(sys.modules)
            for name in sys.modules.keys() - self._seen:
                self._seen.add(name)
                module = sys.modules.get(name)
                if module is not None and sight.watches(module):
                    self._swaps += _imported_by(module)
        return self._swaps


def _imported_by(module: Any) -> Iterator[_Swap]:
    for name, value in list(vars(module).items()):
        swap = _FUNCTIONS.get(id(value))
        if swap is not None:
            yield _Swap(module, name, swap.original, swap.substitute)


_FUNCTIONS = {id(swap.original): swap for swap in _CALLS if isinstance(swap.owner, ModuleType)}
_imported: defaultdict[tuple[str, ...], _Imported] = defaultdict(_Imported)
"""By what is watched besides the program itself."""
