"""What a process weighs, as the kernel counts it (Linux): resident megabytes, now and at most."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def memory() -> float:
    """Megabytes resident now."""
    return _figure("VmRSS")


def reset_memory() -> float:
    """Begin to watch for the greatest size; megabytes resident now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return memory()


def most_memory() -> float:
    """The greatest size since then."""
    return _figure("VmHWM")


def _figure(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
