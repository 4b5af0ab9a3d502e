"""Names of cassettes as paths: whatever a test is called, its file stays in the folder and is its own.

A name of letters, digits and `._-[],=` is the file's name as it stands. In any other, what is odd becomes `-`, and a
hash of the whole name follows, so that two names never share a file. A slash makes a folder. No plain name can look
like a hashed one: such a name is hashed itself.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cassettes.errors import CassetteError

SUFFIXES = (".yaml", ".yml", ".json", ".jsonl")
"""The ends of names by which the form of a cassette is known."""

_PLAIN = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.,=\[\]-]{0,119}(?<!\.)")
_ODD = re.compile(r"[^A-Za-z0-9_.,=\[\]-]+")
_HASHED = re.compile(r".*-[0-9a-f]{20}")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_SHOWN = 60


def cassette_path(folder: Path | str, name: str, suffix: str = ".yaml") -> Path:
    """The file of a cassette of that name.

    Raises:
        CassetteError: no name, a suffix that no cassette has, or a link in the folder that leads out of it.
    """
    if not name or not isinstance(name, str):
        raise CassetteError(f"name={name!r}: give a cassette a name, for example 'login'")
    if suffix not in SUFFIXES:
        raise CassetteError(f"suffix={suffix!r}: give one of {', '.join(SUFFIXES)}")
    *folders, last = name.split("/")
    root = Path(folder)
    path = root.joinpath(*(_segment(each, is_folder=True) for each in folders), _segment(last) + suffix)
    if not path.resolve().is_relative_to(root.resolve()):
        raise CassetteError(f"{path} leads out of {root} by a link: remove it")
    return path


def _segment(text: str, *, is_folder: bool = False) -> str:
    clash = is_folder and text.lower().endswith(SUFFIXES)
    if _PLAIN.fullmatch(text) and not clash and not _HASHED.fullmatch(text) and not _DEVICES.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    slug = _ODD.sub("-", text)[:_SHOWN].strip("-.")
    return f"{slug or 'name'}-{digest}"
