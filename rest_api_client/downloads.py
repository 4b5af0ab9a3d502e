"""Saving a body to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from os import PathLike
from pathlib import Path

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
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise ConfigurationError(f"cannot write into {str(target.parent)!r}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            await _pour(response, file.write, progress)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


async def _pour(response: Response, write: object, progress: Progress | None) -> None:
    assert callable(write)
    if response.stream is None:
        raise ClosedError("the body was read already: it cannot be saved")
    declared = response.headers.get("content-length", "")
    total = int(declared) if declared.isdecimal() and "content-encoding" not in response.headers else None
    saved = 0
    async for piece in response.stream:
        write(piece)
        saved += len(piece)
        if progress is not None:
            progress(saved, total)
    await close(response)


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
