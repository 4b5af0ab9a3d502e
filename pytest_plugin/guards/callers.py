"""Who called: a program under test, a library, or the machinery that runs tests.

A guard stops a program and its tests. It must let be what Python, pytest, Hypothesis, anyio, trio and this project
itself need, and they call the same functions. So the frame that called decides, by the file its code stands in:

PROGRAM    any file outside of Python, of `site-packages` and of this project's packages
LIBRARY    `site-packages`, apart from
MACHINERY  what runs tests and loops, and this project's own packages
PYTHON     the standard library

`watch` names modules that count as the program, for one that is installed; `spare` names modules that count as
machinery.
"""

from __future__ import annotations

import os
import site
import sysconfig
from collections.abc import Collection
from enum import Enum
from types import FrameType
from typing import Any

_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_OURS = tuple(f"{_PROJECT}{name}{os.sep}" for name in ("rest_api_client", "mockserver", "cassettes", "pytest_plugin"))
_PATHS = sysconfig.get_paths()
_PYTHON = tuple({f"{_PATHS[name]}{os.sep}" for name in ("stdlib", "platstdlib")})
_SITES = (_PATHS["purelib"], _PATHS["platlib"], *site.getsitepackages(), site.USER_SITE)
_INSTALLED = tuple({f"{path}{os.sep}" for path in _SITES if path})
_MACHINES = {
    *("_hypothesis_pytestplugin", "_pytest", "coverage", "debugpy", "execnet", "hypothesis", "pluggy", "pydevd"),
    *("pytest", "pytest_asyncio", "pytest_randomly", "pytest_rerunfailures", "pytest_timeout", "pytest_trio", "xdist"),
    *("anyio", "trio", "uvicorn", "uvloop"),
}


class Caller(Enum):
    """Whose code a frame runs."""

    PROGRAM = "program"
    LIBRARY = "library"
    MACHINERY = "machinery"
    PYTHON = "python"


_known: dict[str, Caller] = {}


def caller_of(file: str) -> Caller:
    """Say whose code stands in a file."""
    caller = _known.get(file)
    if caller is None:
        caller = _known[file] = _look(file)
    return caller


def _look(file: str) -> Caller:
    if file.startswith("<frozen "):
        return Caller.PYTHON
    if file.startswith(_OURS):
        return Caller.MACHINERY
    for root in _INSTALLED:
        if file.startswith(root):
            name = file[len(root) :].split(os.sep)[0].removesuffix(".py")
            return Caller.MACHINERY if name in _MACHINES else Caller.LIBRARY
    return Caller.PYTHON if file.startswith(_PYTHON) else Caller.PROGRAM


class Sight:
    """How one guard looks at callers.

    Args:
        watch: modules, by name, that are taken for the program; their submodules as well.
        spare: modules that are let be.
    """

    def __init__(self, watch: Collection[str] = (), spare: Collection[str] = ()) -> None:
        for option, names in (("watch", watch), ("spare", spare)):
            if isinstance(names, str):
                raise ValueError(f"{option}={names!r}: give a collection of module names: {option}=({names!r},)")
        self.watch = tuple(watch)
        self.spare = tuple(spare)

    def see(self, frame: FrameType) -> Caller:
        """Say whose code this frame runs."""
        if self.watch or self.spare:
            name = str(frame.f_globals.get("__name__", ""))
            if _within(name, self.watch):
                return Caller.PROGRAM
            if _within(name, self.spare):
                return Caller.MACHINERY
        return caller_of(frame.f_code.co_filename)

    def program(self, frame: FrameType | None, *, through: bool) -> FrameType | None:
        """The frame of the program that called, or None if it was not the program.

        Args:
            frame: the frame that called.
            through: whether the program is also to answer for what a library does for it.
        """
        if frame is None:
            return None
        caller = self.see(frame)
        while frame is not None and through and caller is Caller.LIBRARY:
            frame = frame.f_back
            caller = Caller.MACHINERY if frame is None else _passing(self.see(frame))
        return frame if caller is Caller.PROGRAM else None

    def nearest(self, frame: FrameType | None) -> FrameType | None:
        """The innermost frame of the program, whoever stands between it and `frame`."""
        while frame is not None and self.see(frame) is not Caller.PROGRAM:
            frame = frame.f_back
        return frame

    def watches(self, module: Any) -> bool:
        """Say whether a module is the program's."""
        name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
        if isinstance(name, str) and _within(name, self.watch):
            return True
        return isinstance(file, str) and caller_of(file) is Caller.PROGRAM


def _passing(caller: Caller) -> Caller:
    """On the way out through a library, Python's own frames (a context manager, a partial) are passed over."""
    return Caller.LIBRARY if caller is Caller.PYTHON else caller


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def place(frame: FrameType) -> str:
    """Name a frame's function, file and line."""
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
