"""Saving a body to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO

from .attempts import close
from .exceptions import ClosedError, ConfigurationError
from .models import Response
from .typing import Progress


async def save(response: Response, path: str | PathLike[str], progress: Progress | None) -> None:
    """Write the unread body to a file beside `path`, then put it in its place.

    Whatever interrupts it, `path` holds what it held before or the whole body, never a part.

    Raises:
        ConfigurationError: the folder is not there or cannot be written to.
    """
    target = Path(path)
    part = _Part(target)
    try:
        await _pour(response, part.file, progress)
        part.put_in_place(target)
    except BaseException:
        part.discard()
        raise


class _Part:
    """The file that grows beside its target."""

    def __init__(self, target: Path) -> None:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        except OSError as error:
            raise ConfigurationError(f"cannot write into {str(target.parent)!r}: {error.strerror or error}") from error
        self.file = os.fdopen(handle, "wb")
        self._path = Path(name)

    def put_in_place(self, target: Path) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._path.chmod(0o666 & ~_umask())
        self._path.replace(target)

    def discard(self) -> None:
        self.file.close()
        with suppress(OSError):
            self._path.unlink()


async def _pour(response: Response, file: IO[bytes], progress: Progress | None) -> None:
    if response.stream is None:
        raise ClosedError("the body was read already: it cannot be saved")
    declared = response.headers.get("content-length", "")
    total = int(declared) if declared.isdecimal() and "content-encoding" not in response.headers else None
    saved = 0
    async for piece in response.stream:
        file.write(piece)
        saved += len(piece)
        if progress is not None:
            progress(saved, total)
    await close(response)


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
