"""The admin API's listener."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mockserver.admin.guard import Guard
from mockserver.admin.routes import admin_application
from mockserver.gate import Gate
from mockserver.players.on_h11 import H11Wire
from mockserver.serving import Serving, listen

if TYPE_CHECKING:
    from mockserver.server import MockServer


@dataclass(frozen=True, kw_only=True)
class AdminSettings:
    """Where the admin API listens.

    Args:
        host: an address of this machine. Whoever can reach it and knows the token may do everything.
        port: 0 takes a free one.
        token_file: the token is written to this file, which nobody but its owner may read; None for no file.

    Raises:
        ValueError: `host` stands for all addresses.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token_file: Path | str | None = None

    def __post_init__(self) -> None:
        if self.host in ("", "0.0.0.0", "::"):  # noqa: S104
            raise ValueError(f"AdminSettings.host={self.host!r}: name one address, requests must name it in Host")


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
                _write_secret(Path(self.settings.token_file), self.token)
            except OSError:
                listener.close()
                raise
        named = {"127.0.0.1", "localhost", "[::1]", self.url.removeprefix("http://").rpartition(":")[0]}
        app = Guard(admin_application(self._server), self.token, {f"{name}:{self._port}" for name in named})
        # h11 is the stricter parser of the two, and here nobody is in a hurry.
        self._serving = Serving(app, Gate(tls=None), protocol=H11Wire, loop="auto", name="mockserver admin")
        self._serving.start(listener)

    def stop(self) -> None:
        """Stop listening, and remove the token's file. Does nothing when it was not started."""
        if self._serving is not None:
            self._serving.stop()
            if self.settings.token_file is not None:
                Path(self.settings.token_file).unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<Admin {self.url}>"


def _write_secret(path: Path, text: str) -> None:
    # A new file, never one that somebody may have open or that is a link to another.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(f"{text}\n")
