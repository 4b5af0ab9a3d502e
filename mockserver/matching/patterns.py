"""Regular expressions that end: the pattern is checked when it is made, a search has so much time and no more.

Python's `re` has no time limit; `regex` has one, and keeps it while it searches. What it does not bound is compiling:
it writes nested repeats out, so that `(?:(?:(?:a){2}){2}){2}`, twenty levels deep, takes all the memory there is. So a
pattern is read here first, by a small grammar that is closed: groups of the ordinary kinds, the flags a, i, m, s and u,
classes, escapes and repeats. Its size with all repeats written out is bounded, and what the grammar does not know
(recursion, conditionals, comments, approximate matching, nested sets) is refused.

All searches for one request share one allowance (`patience`), so that a thousand bad patterns cost no more than one. It
is counted in seconds of the processor, not of the wall, so that a busy machine makes no good pattern fail.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from rest_api_client.exceptions import ConfigurationError

if TYPE_CHECKING:
    import regex

LONGEST_PATTERN: Final = 1_000
"""Characters of a pattern."""
LONGEST_SUBJECT: Final = 65_536
"""Characters of what is searched; anything longer is no match."""
MOST_SECONDS: Final = 0.05
"""Processor time that all patterns of one request may take together."""
LARGEST: Final = 5_000
"""Parts of a pattern with its repeats written out."""
DEEPEST: Final = 50
"""Groups within groups."""

_LOG = logging.getLogger("mockserver")
_GROUP = re.compile(r"\((?:\?(?:[:>|=!]|<[=!]|P?<[A-Za-z_]\w*>|-?[aimsu]+(?:-[aimsu]+)?:))?")
_NO_GROUP = re.compile(r"\(\?(?:P=\w+|-?[aimsu]+)\)")
_REPEAT = re.compile(r"[*+?]|\{([0-9]{1,9}),?\}|\{([0-9]{0,9}),([0-9]{0,9})\}")
_ESCAPE = re.compile(r"\\(?:[pP](?:\{[^{}]*\}|.)|[Ng]\{[^{}]*\}|.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\\[])*\]", re.DOTALL)


class Patience:
    """What is left of the time for one request, in this thread. Entered again inside, it goes on counting."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._seconds = seconds
        self._here = threading.local()

    def __enter__(self) -> None:
        here = self._here
        depth: int = getattr(here, "depth", 0)
        if not depth:
            here.left = self._seconds
            here.told = False
        here.depth = depth + 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._here.depth -= 1

    def spend(self, what: str, act: Callable[[float], Any]) -> Any:
        """What `act` gives, told how many seconds it has. The log names the first `what` that had too few.

        Raises:
            TimeoutError: nothing is left, or `act` says so.
        """
        with self:
            here = self._here
            left: float = here.left
            started = time.thread_time()
            try:
                if left <= 0:
                    raise TimeoutError
                return act(left)
            except TimeoutError:
                if not here.told:
                    here.told = True
                    _LOG.warning(
                        "%.100r had no time left of the request's %g s: counted as no match", what, self._seconds
                    )
                raise
            finally:
                here.left = left - (time.thread_time() - started)


patience: Final = Patience()


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> regex.Pattern[str]:
    """The pattern, ready for `find`.

    Raises:
        ConfigurationError: it is malformed, too large, or uses what is not bounded in time and memory.
    """
    import regex  # takes its time, and most servers have no pattern

    check_pattern(pattern)
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, RecursionError, OverflowError, KeyError) as error:
        raise _refused(pattern, str(error)) from error


def find(compiled: regex.Pattern[str], text: str, *, whole: bool = False) -> bool:
    """Whether the pattern occurs in the text; `whole`: is all of it.

    Raises:
        TimeoutError: the time is over.
    """
    if len(text) > LONGEST_SUBJECT:
        return False
    search = compiled.fullmatch if whole else compiled.search
    return patience.spend(compiled.pattern, lambda left: search(text, timeout=left)) is not None


def check_pattern(pattern: object) -> None:
    """Refuse a pattern that could not be compiled in bounded time and memory."""
    if not isinstance(pattern, str):
        raise ConfigurationError(f"a pattern is text, not {type(pattern).__name__}")
    if len(pattern) > LONGEST_PATTERN:
        raise _refused(pattern, f"{len(pattern)} characters; {LONGEST_PATTERN} are the most")
    if _Reading(pattern).size() > LARGEST:
        raise _refused(pattern, f"with its repeats written out it has more than {LARGEST} parts; repeat less")


def _refused(pattern: str, why: str) -> ConfigurationError:
    shown = pattern if len(pattern) <= 80 else f"{pattern[:80]}..."
    return ConfigurationError(f"pattern {shown!r}: {why}")


class _Reading:
    """Adds up what a pattern costs when it is compiled: groups are sums, repeats are products."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._sums = [0]
        self._last = 0

    def size(self) -> int:
        while self._at < len(self._pattern):
            self._read(self._pattern[self._at])
        if len(self._sums) > 1:
            raise _refused(self._pattern, "a group is not closed")
        return self._sums[0]

    def _read(self, char: str) -> None:
        if char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char in "*+?{":
            self._repeat()
        elif char == "\\":
            self._add(self._take(_ESCAPE, "a backslash stands at the end"))
        elif char == "[":
            self._add(self._take(_CLASS, r"a class is not closed, or holds a set; write \[ for the character"))
        else:
            self._add(char)

    def _add(self, part: str) -> None:
        self._at += len(part)
        self._last = len(part) if part[0] == "[" else 1
        self._sums[-1] += self._last

    def _take(self, what: re.Pattern[str], otherwise: str) -> str:
        found = what.match(self._pattern, self._at)
        if found is None:
            raise _refused(self._pattern, f"at {self._at}: {otherwise}")
        return found[0]

    def _open(self) -> None:
        if alone := _NO_GROUP.match(self._pattern, self._at):
            self._add(alone[0])
            return
        opened = self._take(_GROUP, "")
        self._at += len(opened)
        if opened == "(" and self._pattern[self._at : self._at + 1] in {"?", "*"}:
            raise _refused(self._pattern, f"at {self._at}: this kind of group is not known here; use ordinary ones")
        self._sums.append(1)
        if len(self._sums) > DEEPEST:
            raise _refused(self._pattern, f"groups lie more than {DEEPEST} deep")

    def _close(self) -> None:
        if len(self._sums) == 1:
            raise _refused(self._pattern, f"at {self._at}: a parenthesis closes nothing")
        self._last = self._sums.pop()
        self._sums[-1] += self._last
        self._at += 1

    def _repeat(self) -> None:
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            raise _refused(self._pattern, rf"at {self._at}: no repeat; write \{{ for the character")
        # The library writes a part out as often as it must occur, and once more for the rest.
        least = {"*": 0, "?": 0, "+": 1}.get(found[0], int(found[1] or found[2] or 0))
        self._sums[-1] += self._last * least
        self._last *= least + 1
        self._at += len(found[0])
        if self._pattern[self._at : self._at + 1] in {"?", "+"}:  # lazy, possessive
            self._at += 1
