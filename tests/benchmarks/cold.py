"""From nothing: what an import costs, and a first answer, each in a new Python."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.figures import Result, Series, Terms, bench, paired
from tests.benchmarks.processes import LOAD_CORE, spawn
from tests.benchmarks.wire_server import wire

IMPORTS = (
    "import rest_api_client",
    "from rest_api_client import APIClient",
    "import httpx",
    "import httpx2",
    "import pyreqwest.client",
    "import requests",
    "import aiohttp",
)
FIRST = {
    "ours on httpx": "from rest_api_client import APIClient as C; c = C(); c.get({url!r}).data",
    "ours on httpx2": "from rest_api_client import APIClient as C; c = C(engine='httpx2'); c.get({url!r}).data",
    "ours on pyreqwest": "from rest_api_client import APIClient as C; c = C(engine='pyreqwest'); c.get({url!r}).data",
    "httpx": "import httpx; c = httpx.Client(); c.get({url!r}).json()",
    "httpx2": "import httpx2; c = httpx2.Client(); c.get({url!r}).json()",
    "pyreqwest": "from pyreqwest.client import SyncClientBuilder as B; c = B().build(); "
    "c.get({url!r}).build().send().json()",
    "requests": "import requests; c = requests.Session(); c.get({url!r}).json()",
}
TIMED = "import time; began = time.process_time(); {code}; print((time.process_time() - began) * 1000)"
HOW = """
Each figure is of a new Python, whose bytecode is compiled already: CPU time of the import alone; and of everything up
to the first answer, parsed: import, client, connection, request.
"""


@bench
def cold_start(terms: Terms) -> Result:
    """Imports and first answers, in turns."""
    rounds = int(terms.pick(21, 2))
    with wire() as server:
        first = {title: code.format(url=f"{server.plain}/small") for title, code in FIRST.items()}
        codes = {code: code for code in IMPORTS}
        imports = _timed(codes, rounds, "ms of CPU to import")
        answers = _timed(first, rounds, "ms of CPU to the first answer")
    return Result(
        title="From a cold start",
        text=HOW,
        series=(*imports.values(), *answers.values()),
        claims=(
            paired(
                "import rest_api_client, of import httpx",
                imports["import rest_api_client"],
                imports["import httpx"],
                at_most=1.3,
            ),
            paired(
                "from rest_api_client import APIClient, of import httpx",
                imports["from rest_api_client import APIClient"],
                imports["import httpx"],
            ),
            paired("first answer, ours on httpx, of httpx's", answers["ours on httpx"], answers["httpx"], at_most=1.2),
            paired("first answer, ours on pyreqwest, of httpx's", answers["ours on pyreqwest"], answers["httpx"]),
        ),
    )


def _timed(codes: dict[str, str], rounds: int, unit: str) -> dict[str, Series]:
    found: dict[str, list[float]] = {what: [] for what in codes}
    for _ in range(rounds):
        for what, code in codes.items():
            command = [sys.executable, "-c", TIMED.format(code=code)]
            process = spawn(command, LOAD_CORE, stdout=subprocess.PIPE)
            found[what].append(float(process.communicate()[0]))
    return {what: Series(what, unit, tuple(each)) for what, each in found.items()}
