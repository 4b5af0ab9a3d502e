"""Where somebody waits, told so that one can act on it: the program's own line, and what it called there.

Frames of async libraries, of `threading` and of the clock are left out. Of the rest the innermost one is where the wait
is; where that belongs to this library, the innermost frame of the program is named first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType

_MACHINERY = ("anyio", "asyncio", "contextlib", "threading", "trio", "rest_api_client.virtual")
_OURS = ("rest_api_client",)


def where(frames: Iterable[FrameType]) -> str:
    """Say where these frames wait.

    Args:
        frames: from the outermost to the innermost.
    """
    everything = list(frames)
    seen = [frame for frame in everything if not _of(frame, _MACHINERY)] or everything
    program = [frame for frame in seen if not _of(frame, _OURS)] or seen
    if not seen:
        return "a place unknown"
    if program[-1] is seen[-1]:
        return _place(seen[-1])
    return f"{_place(program[-1])}, in {_place(seen[-1])}"


def thread_frames(thread: int) -> list[FrameType]:
    """Return the frames of a thread by its `threading.get_ident()`; none if it has ended."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  the documented way to another thread's frames
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def listed(what: str, tasks: Iterable[tuple[str, Iterable[FrameType]]]) -> str:
    """Describe a loop by its tasks, one in a line, in the order of their names."""
    lines = sorted(f"\n      {name} at {where(frames)}" for name, frames in tasks)
    return f"{what}{''.join(lines)}" if lines else f"{what} without a task"


def _of(frame: FrameType, packages: tuple[str, ...]) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
