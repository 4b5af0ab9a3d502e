"""The admin API's listener."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver.arguments import check_address
from mockserver.asgi import Later
from mockserver.gate import Gate
from mockserver.serving import Serving, listen
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mockserver.players.connection import Connection
    from mockserver.server import MockServer

_TOKEN = re.compile(r"([\w-]{43})?", re.ASCII)
"""What a server that was killed, or mktemp, left in a token's file."""


@dataclass(frozen=True, kw_only=True)
class AdminSettings:
    """Where the admin API listens.

    Args:
        host: an address of this machine. Whoever can reach it and knows the token may do everything.
        port: 0 takes a free one.
        token_file: the token is written to this file, which nobody but its owner may read; None for no file.

    Raises:
        ValueError: `host` stands for all addresses, or a setting can be none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token_file: Path | str | None = None

    def __post_init__(self) -> None:
        if self.host in ("", "0.0.0.0", "::"):  # noqa: S104
            raise ValueError(f"AdminSettings.host={self.host!r}: name one address, requests must name it in Host")
        check_address(self.host, self.port, "AdminSettings")
        if self.token_file is not None and not _is_name(self.token_file):
            raise ValueError(f"AdminSettings(token_file={self.token_file!r}): give the path of a file to be made")


class Admin:
    """The admin API of a server.

    Attributes:
        token: drawn at random at each start; `headers` has it as requests bring it.
    """

    def __init__(self, server: MockServer, settings: AdminSettings) -> None:
        self.settings = settings
        self.token = secrets.token_urlsafe(32)
        self._server = server
        self._serving: Serving | None = None
        self._port = settings.port

    @property
    def url(self) -> str:
        """`http://host:port`, with nothing behind."""
        host = self.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def headers(self) -> dict[str, str]:
        """What every request brings."""
        return {"authorization": f"Bearer {self.token}"}

    def start(self) -> None:
        """Listen, and write the token's file.

        Raises:
            OSError: the port is taken, or the file cannot be written.
        """
        listener = listen(self.settings.host, self.settings.port)
        self._port = listener.getsockname()[1]
        if self.settings.token_file is not None:
            try:
                _write_token(Path(self.settings.token_file), self.token)
            except OSError:
                listener.close()
                raise
        self._serving = Serving(
            Later(self._application), Gate(tls=None), protocol=_strict, loop="auto", name="mockserver admin"
        )
        self._serving.start(listener)

    def _application(self) -> ASGIApp:
        from mockserver.admin.guard import Guard
        from mockserver.admin.routes import admin_application

        named = {"127.0.0.1", "localhost", "[::1]", self.url.removeprefix("http://").rpartition(":")[0]}
        return Guard(admin_application(self._server), self.token, {f"{name}:{self._port}" for name in named})

    def stop(self) -> None:
        """Stop listening, and remove the token's file. Does nothing when it was not started."""
        if self._serving is not None:
            self._serving.stop()
            if self.settings.token_file is not None:
                _remove_token(Path(self.settings.token_file), self.token)

    def __repr__(self) -> str:
        return f"<Admin {self.url}>"


def _strict(**given: Any) -> Connection:
    """On h11, the stricter parser of the two: here nobody is in a hurry. Imported with the first connection."""
    from mockserver.players.on_h11 import H11Wire

    return H11Wire(**given)


def _is_name(path: object) -> bool:
    return isinstance(path, str | Path) and "\0" not in str(path) and bool(Path(path).name)


def _write_token(path: Path, token: str) -> None:
    """Make a new file, never one that somebody may have open; what lies there goes only if nobody can miss it."""
    try:
        if path.is_symlink() or _holds(path, _TOKEN):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(f"{token}\n")
    except FileExistsError as error:
        why = "which is there and holds no token: it would be lost, so name another"
        raise FileExistsError(error.errno, f"cannot write the token to {path}, {why}") from error
    except OSError as error:
        raise OSError(error.errno, f"cannot write the token to {path} ({error.strerror}): name another file") from error


def _remove_token(path: Path, token: str) -> None:
    if _holds(path, re.compile(re.escape(token))):  # not if it was replaced, by the next server perhaps
        path.unlink(missing_ok=True)


def _holds(path: Path, text: re.Pattern[str]) -> bool:
    """Whether it is an ordinary file with nothing else in it."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return text.fullmatch(file.read(100).decode("latin-1").strip()) is not None
