"""Saving a body to a file, whole or not at all; one that breaks off goes on where it can (`resume`)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from copy import copy
from itertools import count
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rest_api_client.attempts import close
from rest_api_client.exceptions import ClosedError, ConfigurationError, TransportError
from rest_api_client.http.bodies import finish
from rest_api_client.models import Response
from rest_api_client.options import RequestOptions
from rest_api_client.pipeline import Stage
from rest_api_client.resume import ResumableBody, Resuming, whole_length
from rest_api_client.typing import Progress

if TYPE_CHECKING:
    from rest_api_client.client_core import ClientCore

_SERIAL = count(1)
_LONGEST_NAME = 40
"""Characters of the target's name in that of the file beside it: a name may have 255 bytes in all."""


async def download(
    core: ClientCore, url: str, path: str | PathLike[str], progress: Progress | None, options: RequestOptions
) -> Response:
    """Save the body of a GET to a file: what the clients' `download` does, whichever their face."""
    check_target(path)
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"on_progress={progress!r} cannot be called: give a function of (saved, total)")
    # Who is told of progress is told of each piece as it comes.
    response = await _resuming(core).call("GET", url, options, stream=True, bulk=progress is None)
    try:
        await save(response, path, progress)
    finally:
        await close(response)
    return response


def _resuming(core: ClientCore) -> ClientCore:
    """The same client, whose streamed bodies can go on; itself where nothing is tried again."""
    retry = next((policy for policy in core.pipeline.policies if policy.stage is Stage.RETRY), None)
    if retry is None:
        return core
    other = copy(core)
    other.pipeline = core.pipeline.replacing(retry, Resuming(retry))
    return other


def check_target(path: str | PathLike[str]) -> Path:
    """The path, if a body can be saved there: asked before the request is sent.

    Raises:
        ConfigurationError: the folder is not there, or something stands at the path that is no ordinary file.
    """
    try:
        target = Path(path)
    except TypeError as error:
        raise ConfigurationError(f"path={path!r}: give a str or a Path") from error
    try:
        there = _mode(target)
        folder = _mode(target.parent)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot save to {str(target)!r}: {error}") from error
    if there is not None and not stat.S_ISREG(there):
        raise ConfigurationError(f"{str(target)!r} is a folder or a device: give the path of a file, or use stream()")
    if folder is None or not stat.S_ISDIR(folder):
        raise ConfigurationError(f"cannot save to {str(target)!r}: there is no folder {str(target.parent)!r}")
    return target


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


async def save(response: Response, path: str | PathLike[str], progress: Progress | None) -> None:
    """Write the unread body to a file beside `path`, then put it in its place.

    Whatever interrupts it, `path` holds what it held before or the whole body, never a part.

    Raises:
        ConfigurationError: the folder is not there or cannot be written to.
        ClosedError: the body was read already.
    """
    target = check_target(path)
    part = _Part(target)
    try:
        await _pour(response, part.file, progress)
        part.put_in_place(target)
    except BaseException:
        part.discard()
        raise


class _Part:
    """The file that grows beside its target. It is made as any new file is, so that the umask gives its mode."""

    def __init__(self, target: Path) -> None:
        while True:
            name = f".{target.name[:_LONGEST_NAME]}.{os.getpid()}-{next(_SERIAL)}.part"
            self._path = target.with_name(name)
            try:
                self.file: IO[bytes] = self._path.open("xb")
            except FileExistsError:  # left by a process of the same number that was killed
                continue
            except OSError as error:
                reason = error.strerror or error
                raise ConfigurationError(f"cannot write into {str(target.parent)!r}: {reason}") from error
            return

    def put_in_place(self, target: Path) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._path.replace(target)

    def discard(self) -> None:
        with suppress(OSError):  # a full disk fails again on close
            self.file.close()
        with suppress(OSError):
            self._path.unlink()


async def _pour(response: Response, file: IO[bytes], progress: Progress | None) -> None:
    body = response.stream
    if body is None:
        raise ClosedError("the body was read already: it cannot be saved")
    saved, total = 0, whole_length(response.headers)
    chunks = aiter(body)
    try:
        while True:
            try:
                piece = await anext(chunks, None)
            except TransportError as error:
                if not isinstance(body, ResumableBody):
                    raise
                before, saved = saved, await body.resume(error)
                total = body.total
                if saved < before:
                    _empty(file, total, progress)
                continue
            if piece is None:
                return
            file.write(piece)
            saved += len(piece)
            if progress is not None:
                progress(saved, total)
    finally:
        await finish(chunks)
        await close(response)


def _empty(file: IO[bytes], total: int | None, progress: Progress | None) -> None:
    """Nothing of what was saved is kept, and that is said."""
    file.seek(0)
    file.truncate()
    if progress is not None:
        progress(0, total)
