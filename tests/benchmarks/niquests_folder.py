"""Where niquests is: in a folder beside the other peers, since its urllib3 would replace the one that requests uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERSION = "niquests==3.21.2"
FOLDER = Path(sys.prefix) / "bench-peers" / VERSION.replace("==", "_")


def installed() -> bool:
    """Whether it is there, or can be had."""
    if FOLDER.exists():
        return True
    options = ["--quiet", "--disable-pip-version-check", "--target", str(FOLDER)]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, VERSION], check=False)
    return done.returncode == 0
