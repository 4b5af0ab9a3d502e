"""Files that a stub names: only those below the stub file's own folder, and no links."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from rest_api_client.exceptions import ConfigurationError

LARGEST_BODY: Final = 16 << 20
"""Bytes of a file that is a body."""

_PART = re.compile(r"(?!\.\.?$)(?!~)[^/\\:\x00-\x1f\x7f]{1,255}")


def read_inside(folder: Path, name: object) -> bytes:
    """The content of a file below the folder, named with forward slashes.

    Every step on the way is opened without following links, so that what was checked is what is read.

    Raises:
        ConfigurationError: the name leads out of the folder or through a link, or there is no such file.
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or len(parts) > 32 or not all(_PART.fullmatch(part) for part in parts):
        raise ConfigurationError(f"{name!r}: name a file below the stub file's folder, such as bodies/user.json")
    try:
        return _read(folder, parts)
    except OSError as error:
        why = error.strerror or "no such file"
        raise ConfigurationError(
            f"{name!r}: cannot be read below the stub file's folder, without links: {why}"
        ) from error
    except ValueError as error:  # a name that no file system can have
        raise ConfigurationError(f"{name!r}: no name of a file") from error


def _read(folder: Path, parts: list[str]) -> bytes:
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        # Not to wait for a writer, should it be a pipe.
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BODY:
            raise OSError(0, f"it is no ordinary file of at most {LARGEST_BODY} bytes")
        return opened.read(LARGEST_BODY)
