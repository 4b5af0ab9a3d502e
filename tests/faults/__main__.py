"""Let each client meet every fault and write docs/wire-faults.md.

    python -m tests.faults [--dry]

With `--dry` the page is printed and not written. Real sockets and real time: it takes under a minute.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from tests.faults.meeting import met, ours, peers
from tests.faults.page import Found, page
from tests.faults.rows import Certificates, rows, servers
from tests.faults.wire import on_the_wire

PAGE = Path(__file__).parents[2] / "docs" / "wire-faults.md"
PACKAGES = ("httpx", "httpx2", "pyreqwest", "requests", "urllib3", "aiohttp")


def main(arguments: list[str]) -> int:
    """Run them all."""
    certificates, found = Certificates(), []
    with tempfile.TemporaryDirectory() as folder, servers(certificates) as running:
        authority = Path(folder) / "authority.pem"
        certificates.authority.cert_pem.write_to_path(str(authority))
        for row in rows(certificates):
            print(row.group, row.name, file=sys.stderr, flush=True)
            server = running[row.group == "TLS"]
            wire = met(row, server, partial(on_the_wire, row, server))
            asked = (row, server, certificates, authority)
            found.append(Found(row, wire, ours(*asked), peers(*asked)))
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    text = page(found, f"{datetime.now(UTC).date()}, Python {sys.version.split()[0]}, {versions}")
    print(text) if "--dry" in arguments else PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
