"""Saving a body: whole or nothing, whatever stands there and whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rest_api_client import downloads
from rest_api_client.downloads import check_target, save
from rest_api_client.exceptions import ClosedError, ConfigurationError, ReadError
from rest_api_client.http.headers import Headers
from rest_api_client.models import Response
from rest_api_client.runtime import run_sync


class Body:
    """Chunks, then perhaps an error."""

    def __init__(self, *chunks: bytes, error: BaseException | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed = True


def answer(*chunks: bytes, error: BaseException | None = None, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(200, headers=fields, stream=Body(*chunks, error=error))


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_body_is_saved_whole(tmp_path: Path) -> None:
    """What stood there is replaced, progress is told, nothing else is left in the folder."""
    target = tmp_path / "data"
    target.write_bytes(b"old and longer")
    told: list[tuple[int, int | None]] = []
    response = answer(b"ab", b"c", content_length="3")
    stream: Any = response.stream
    run_sync(save(response, str(target), lambda done, total: told.append((done, total))))
    assert target.read_bytes() == b"abc"
    assert told == [(2, 3), (3, 3)]
    assert entries(tmp_path) == ["data"]
    assert stream.closed
    assert response.stream is None


@pytest.mark.parametrize("error", [ReadError("gone"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), ValueError()])
@pytest.mark.parametrize("before", [b"old", None])
def test_whatever_interrupts_it_nothing_is_lost(tmp_path: Path, error: BaseException, before: bytes | None) -> None:
    """The file holds what it held before, or is still not there; no part is left; the connection is given back."""
    target = tmp_path / "data"
    if before is not None:
        target.write_bytes(before)
    response = answer(b"half", error=error)
    stream: Any = response.stream
    with pytest.raises(type(error)):
        run_sync(save(response, target, None))
    assert entries(tmp_path) == (["data"] if before else [])
    assert not before or target.read_bytes() == before
    assert stream.closed


def test_a_progress_that_raises_interrupts_it(tmp_path: Path) -> None:
    """The user's way to stop a download leaves nothing behind."""

    def stop(done: int, total: int | None) -> None:
        raise StopIteration("enough")

    with pytest.raises((StopIteration, RuntimeError)):
        run_sync(save(answer(b"x"), tmp_path / "data", stop))
    assert entries(tmp_path) == []


class Full:
    """A file on a full disk: it fails when it is closed too."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    def close(self) -> None:
        self.file.close()
        raise OSError(errno.ENOSPC, "no space left")


def test_a_full_disk_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the file fails as well, and it is removed all the same."""
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: Full(real(self, mode)))
    with pytest.raises(OSError, match="no space left"):
        run_sync(save(answer(b"x"), tmp_path / "data", None))
    assert entries(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_is_that_of_any_new_file(tmp_path: Path, mask: int) -> None:
    """The umask decides, not the habits of temporary files."""
    before = os.umask(mask)
    try:
        run_sync(save(answer(b"x"), tmp_path / "data", None))
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("name", ["missing/data", "data/inside", ".", "..", "nul\x00", "x" * 300, "folder", "pipe"])
def test_a_target_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    """Missing folders, folders, pipes and impossible names, before a byte is read."""
    (tmp_path / "data").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = entries(tmp_path)
    for refuse in (check_target, lambda path: run_sync(save(answer(b"x"), path, None))):
        with pytest.raises(ConfigurationError, match=r"cannot save|folder or a device"):
            refuse(tmp_path / name)
    assert entries(tmp_path) == before


def test_a_device_is_never_replaced() -> None:
    """`/dev/null` stays what it is."""
    with pytest.raises(ConfigurationError, match="device"):
        check_target("/dev/null")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the system's."""

    def refuse(self: Path, mode: str) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        run_sync(save(answer(b"x"), tmp_path / "data", None))


def test_the_longest_name_can_be_saved(tmp_path: Path) -> None:
    """255 bytes are allowed, and the part beside it fits too, in any script."""
    for name in ("x" * 255, "ü" * 127):
        run_sync(save(answer(b"x"), tmp_path / name, None))
        assert (tmp_path / name).read_bytes() == b"x"


def test_a_part_left_by_a_killed_process_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container every process has the same number: the next free name is taken, and the stranger's file stays."""
    monkeypatch.setattr(downloads, "_SERIAL", iter([1, 2]))
    left = tmp_path / f".data.{os.getpid()}-1.part"
    left.write_bytes(b"stranger")
    run_sync(save(answer(b"x"), tmp_path / "data", None))
    assert entries(tmp_path) == [left.name, "data"]
    assert left.read_bytes() == b"stranger"


@pytest.mark.parametrize(
    ("headers", "total"),
    [
        ({}, None), ({"content_length": "1"}, 1), ({"content_length": "x"}, None), ({"content_length": "-1"}, None),
        ({"content_length": "9" * 5000}, None), ({"content_length": "²"}, None),
        ({"content_length": "1", "content_encoding": "gzip"}, None),
    ],
)  # fmt: skip
def test_the_total_is_told_where_it_is_known(tmp_path: Path, headers: dict[str, str], total: int | None) -> None:
    """An encoded body's length is not that of the file; nonsense is no length."""
    told: list[int | None] = []
    run_sync(save(answer(b"x", **headers), tmp_path / "data", lambda done, all_of: told.append(all_of)))
    assert told == [total]


def test_a_body_that_was_read_cannot_be_saved(tmp_path: Path) -> None:
    """It is gone, and that is said; no file appears."""
    with pytest.raises(ClosedError, match="read already"):
        run_sync(save(Response(200, content=b"x"), tmp_path / "data", None))
    assert entries(tmp_path) == []


def test_a_relative_name_is_saved_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`download(url, "data")` needs no folder."""
    monkeypatch.chdir(tmp_path)
    run_sync(save(answer(b"x"), "data", None))
    assert entries(tmp_path) == ["data"]
