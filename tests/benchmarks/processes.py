"""Processes that serve: bound to one core, waited for, stopped while others are measured, and ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, SERVER_CORE = CORES[0], CORES[-1]


def free_port() -> int:
    """One that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def spawn(
    command: list[str],
    core: int,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start it on this core, in a group of its own. It keeps the bytecode it makes, as installed packages do."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True, env=environment
        )
    finally:
        os.sched_setaffinity(0, set(CORES))


class Server:
    """A process that serves on a port of 127.0.0.1.

    Args:
        title: of the server.
        command: starts it.
        port: where it will listen.
        log: takes what it prints.
    """

    def __init__(self, title: str, command: list[str], port: int, log: Path) -> None:
        self.title = title
        self.port = port
        self._log = log
        with log.open("wb") as out:
            self._process = spawn(command, SERVER_CORE, stdout=out, stderr=subprocess.STDOUT)

    def wait(self, path: str, seconds: float = 60.0, look: float = 0.02) -> float:
        """Return when it answers a GET of this path with 200: the moment, on time.perf_counter.

        Raises:
            RuntimeError: it ended, or has not answered in so many seconds; with what it printed.
        """
        give_up = time.perf_counter() + seconds
        while time.perf_counter() < give_up and self._process.poll() is None:
            if answers(self.port, path):
                return time.perf_counter()
            time.sleep(look)
        raise RuntimeError(f"{self.title} does not answer:\n{self._log.read_text(errors='replace')[-2000:]}")

    @property
    def busy(self) -> float:
        """CPU seconds it has used, in all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """It runs only meanwhile, if it was put to sleep before."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.sleep()

    def sleep(self) -> None:
        """Halt it, so that it takes nothing from others on its core."""
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        """Kill it, and whatever it started."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered 200 on this port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        return connection.recv(65536).startswith(b"HTTP/1.1 200")
    return False
