"""From a name and a mode to a cassette in memory, and back to a file when the block ends.

What plays and records in between is another's affair: an engine of this library (`use_cassette`), or vcrpy beneath
another library (`vcr`). So both have the same modes, ages, redaction and reviews.

    none      play; a request that was not recorded is an error. The default where the variable CI is set
    once      record where there is no file yet, else as none. The default elsewhere
    new       play what is recorded, record the rest behind it
    all       record everything, in the place of what was there
    refresh   as all; but what has changed is shown before the file is replaced
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cassettes import files, lines, scan
from cassettes.cassette import Cassette, Strictness
from cassettes.compare import compared
from cassettes.errors import CassetteError, CassetteExpired
from cassettes.interaction import Interaction
from cassettes.limits import Limits
from cassettes.matching import Matching
from cassettes.names import SUFFIXES, cassette_path
from cassettes.redaction import Redaction, Vault
from rest_api_client.clock import SYSTEM
from rest_api_client.lazy_dataclasses import dataclass

Mode: TypeAlias = Literal["none", "once", "new", "all", "refresh"]
OnExpiry: TypeAlias = Literal["warn", "fail"]
Review: TypeAlias = Callable[[str], bool]
MODES = ("none", "once", "new", "all", "refresh")


def default_mode() -> Mode:
    """ "none" where the environment variable CI is set, else "once"."""
    return "none" if os.environ.get("CI", "").lower() not in {"", "0", "false"} else "once"


def show_and_replace(difference: str) -> bool:
    """Write what a refresh changes to standard error, and agree."""
    sys.stderr.write(difference)
    return True


@dataclass(frozen=True, kw_only=True)
class Session:
    """One block with one cassette; what the options mean is told by `use_cassette`."""

    path: Path
    mode: Mode
    matching: Matching
    strictness: Strictness
    redaction: Redaction
    limits: Limits
    expires_after: timedelta | None
    on_expiry: OnExpiry
    timing: bool
    record_on_error: bool
    review: Review
    answers_only: bool = False
    """Leave out what is no answer; it stays in the file."""

    def __post_init__(self) -> None:
        if self.on_expiry not in ("warn", "fail"):
            raise CassetteError(f"on_expiry={self.on_expiry!r}: give 'warn' or 'fail'")

    @contextmanager
    def opened(self) -> Iterator[Cassette]:
        """The cassette; what was recorded on it is written when the block ends."""
        old, about = files.load(self.path, self.limits) if self.path.exists() else ([], {})
        self._check_age(about)
        playable = [each for each in old if not self.answers_only or _is_answer(each)] if self._plays else []
        cassette = Cassette(playable, matching=self.matching, strictness=self.strictness, about=about)
        try:
            yield cassette
        except BaseException:
            if self.record_on_error:
                self._save(cassette, old)
            raise
        self._save(cassette, old)
        if self.strictness == "strict" and (left := cassette.unplayed):
            raise CassetteError(
                f"{self.path}: {len(left)} of {len(cassette.interactions)} recordings were never played "
                f"(strictness='strict'): {'; '.join(each.label for each in left[:5])}"
            )

    @property
    def _plays(self) -> bool:
        return self.mode in {"none", "new"}

    def _check_age(self, about: dict[str, Any]) -> None:
        age = recorded_age(about)
        if not self._plays or self.expires_after is None or age is None or age <= self.expires_after:
            return
        words = (
            f"{self.path} was recorded {age.days} days ago, and may be {self.expires_after.days} days old: "
            "mode='refresh' records it anew"
        )
        if self.on_expiry == "fail":
            raise CassetteExpired(words)
        warnings.warn(CassetteExpired(words), stacklevel=_FRAMES)

    def _save(self, cassette: Cassette, old: list[Interaction]) -> None:
        recorded = cassette.recorded
        if self.mode == "none" or not recorded:
            return
        kept = old if self.mode == "new" else []
        clean = clean_interactions([*kept, *recorded], self.redaction, self.path, cassette.bindings.known())
        if self.mode == "refresh" and old:
            clean = self._reviewed(old, clean)
        if not clean:
            return
        if kept and self.path.suffix == ".jsonl":
            added = lines.write_lines(clean[len(kept) :], {}, first=len(kept), timing=self.timing)
            files.append(self.path, added, self.limits)
            return
        text = files.render(
            clean, self._about(cassette, new=not kept), self.path.suffix, timing=self.timing, limits=self.limits
        )
        files.replace(self.path, text, self.limits)

    def _reviewed(self, old: list[Interaction], clean: list[Interaction]) -> list[Interaction]:
        """What to write: the old recordings, with a new date, where nothing differs; nothing where it is declined."""
        was = Vault(self.redaction).scrubbed(old)
        difference = compared(was, clean, str(self.path))
        if not difference:
            return was
        return clean if self.review(difference) else []

    def _about(self, cassette: Cassette, *, new: bool) -> dict[str, Any]:
        about = {key: value for key, value in cassette.about.items() if not (new and key == "recorded")}
        if self.timing:
            about.setdefault("recorded", datetime.fromtimestamp(SYSTEM.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return about


def _is_answer(each: Interaction) -> bool:
    return each.plain or (each.abandoned and each.head is not None)


_FRAMES = 6
"""From a warning up to the user's `with`: the check, `opened`, contextlib, the generator around it, contextlib."""


def path_of(name: str | Path, folder: str | Path) -> Path:
    """The file: of a name, in the folder; a Path is taken as it is."""
    if isinstance(name, Path):
        files.check_suffix(name)
        return name
    suffix = next((each for each in SUFFIXES if str(name).lower().endswith(each)), "")
    return cassette_path(folder, name[: len(name) - len(suffix)] if suffix else name, suffix or ".yaml")


def resolved(mode: Mode | None, path: Path) -> Mode:
    """The mode in which this file is used: "once" is one of the others, whether there is a file or not."""
    mode = default_mode() if mode is None else mode
    if mode not in MODES:
        raise CassetteError(f"mode={mode!r}: give one of {', '.join(MODES)}")
    if mode == "none" and not path.exists():
        raise CassetteError(f"{path} is not there, and mode='none' records nothing: record it with mode='once'")
    if mode == "once":
        return "none" if path.exists() else "all"
    return mode


def recorded_age(about: dict[str, Any]) -> timedelta | None:
    """How long ago a cassette says it was recorded; None where it does not tell."""
    try:
        then = datetime.fromisoformat(str(about["recorded"]))
    except (KeyError, ValueError):
        return None
    now = datetime.fromtimestamp(SYSTEM.time(), UTC)
    return now - (then if then.tzinfo else then.replace(tzinfo=UTC))


def clean_interactions(
    interactions: list[Interaction], redaction: Redaction, path: object, bound: dict[str, str] | None = None
) -> list[Interaction]:
    """The interactions without their secrets, looked through once more.

    Raises:
        SecretFound: one is left.
    """
    vault = Vault(redaction, bound)
    clean = vault.scrubbed(interactions)
    scan.check(clean, vault.secrets() or redaction.known(), path)
    return clean
