"""Cassettes on disk: three forms, told by the end of the name, and written so that a kill leaves the old or the new
one.

    .yaml, .yml    vcrpy's YAML, version 1
    .json          vcrpy's JSON, version 1; text bodies only
    .jsonl         this library's own: JSON Lines, for large recordings; lines are only added

Whatever is written was scanned for secrets before, and is within the limits that hold for reading it.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cassettes import lines, vcr_form
from cassettes.errors import CassetteError
from cassettes.interaction import Interaction
from cassettes.limits import DEFAULT_LIMITS, Limits
from cassettes.names import SUFFIXES


def load(path: Path, limits: Limits = DEFAULT_LIMITS) -> tuple[list[Interaction], dict[str, Any]]:
    """The interactions of a file, and what else it says of itself (`recorded`, `metadata`).

    No code is ever run, whatever the file says.

    Raises:
        CassetteError: not there, no cassette, or beyond the limits.
    """
    check_suffix(path)
    try:
        limits.check_size(path.stat().st_size, path)
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise CassetteError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise CassetteError(f"cannot read {path}: {error.strerror}") from error
    try:
        with _uncollected():
            return parse(text, path.suffix.lower(), limits)
    except CassetteError as error:
        raise CassetteError(f"{path}: {error}") from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector, which would take half of the time of a long load to find that nothing is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse(text: str, suffix: str, limits: Limits = DEFAULT_LIMITS) -> tuple[list[Interaction], dict[str, Any]]:
    """The same, from a text in the form of that suffix."""
    if suffix == ".jsonl":
        return lines.read_lines(text)
    if suffix == ".json":
        return vcr_form.read_tree(_from_json(text))
    return vcr_form.read_tree(_yaml().load(text, limits))


def _from_json(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise CassetteError(f"no JSON: {error}") from error


def render(
    interactions: Sequence[Interaction],
    about: Mapping[str, Any],
    suffix: str,
    *,
    timing: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """The text of a cassette in the form of that suffix.

    Raises:
        CassetteError: a text that the form cannot hold, or more than could be read again.
    """
    if suffix == ".jsonl":
        return lines.write_lines(interactions, about, timing=timing)
    tree = vcr_form.write_tree(interactions, about, timing=timing)
    try:
        return _to_json(tree) if suffix == ".json" else str(_yaml().dump(tree, limits))
    except UnicodeEncodeError as error:
        raise CassetteError(f"a text has half of a character in it, {error.object[error.start]!a}") from error


def _to_json(tree: Mapping[str, Any]) -> str:
    ordered = {key: tree[key] for key in ("version", *(key for key in tree if key != "version"))}
    try:
        return json.dumps(ordered, indent=4) + "\n"
    except TypeError as error:
        raise CassetteError(
            "a body is no text, and vcrpy's JSON holds text alone: name the file .yaml or .jsonl"
        ) from error


def _yaml() -> Any:
    try:
        from cassettes import yaml_form
    except ModuleNotFoundError as error:
        raise CassetteError(
            "YAML needs an extra: pip install 'rest-api-client-kit[cassettes]', or use .jsonl"
        ) from error
    return yaml_form


def check_suffix(path: Path) -> None:
    """Raises CassetteError for a name whose end is none of the three forms'."""
    if path.suffix.lower() not in SUFFIXES:
        raise CassetteError(f"{path}: a cassette's name ends in {', '.join(SUFFIXES)}")


def replace(path: Path, text: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Put a file in the place of what was there, at once: a reader, or a kill, meets the old one or the new one.

    Raises:
        CassetteError: too large, or it cannot be written; the old file is still there.
    """
    _put(path, text.encode("utf-8", "surrogatepass"), limits)


def _put(path: Path, data: bytes, limits: Limits) -> None:
    limits.check_size(len(data), path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise CassetteError(f"cannot write {path}: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def append(path: Path, text: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Write behind what is there; a line that was never finished goes first. What is there stays as it is to the byte,
    and a reader, or a kill, meets the old file or the new one, as with `replace`.

    Raises:
        CassetteError: the file would be too large, or cannot be written; the old file is still there.
    """
    try:
        there = path.read_bytes()
    except OSError as error:
        raise CassetteError(f"cannot read {path}: {error.strerror}") from error
    _put(path, there[: there.rfind(b"\n") + 1] + text.encode("utf-8", "surrogatepass"), limits)
