"""Let each client meet each scene, print who breaks which rule, and write docs/behaviour.md.

    python -m tests.behaviour [--dry]

With `--dry`, nothing is written. Real sockets and real time: it takes about a minute.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mockserver.rules import Violation, format_violations
from tests.behaviour.clients import CLIENTS, Client
from tests.behaviour.page import Found, page, table
from tests.behaviour.scenes import SCENES, Scene, judge

PAGE = Path(__file__).parents[2] / "docs" / "behaviour.md"


def main(arguments: list[str]) -> int:
    """Run; the exit status is 1 where this library breaks a rule."""
    found: Found = {}
    for name, scene in SCENES.items():
        for client in CLIENTS:
            violations = meet(client, scene)
            found[name, client.title] = violations
            print(f"\n== {client.title}, {name}\n{format_violations(violations)}", flush=True)
    print(f"\n{table(found)}")
    if "--dry" not in arguments:
        packages = sorted({package for client in CLIENTS for package in client.packages})
        versions = ", ".join(f"{package} {version(package)}" for package in packages)
        PAGE.write_text(page(found, f"{datetime.now(UTC).date()}, Python {sys.version.split()[0]}, {versions}"))
    return int(any(not each.warning for name in SCENES for each in found[name, CLIENTS[0].title]))


def meet(client: Client, scene: Scene) -> list[Violation]:
    """One client in one scene, on a server of its own."""
    with scene.server() as server:
        asyncio.run(client.run(server.url, scene.asks))
        return judge(scene, server)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
