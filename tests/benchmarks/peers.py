"""Mock servers of others, from npm and with Java: how each is had, and told to serve the one stub.

They are installed once into .venv/bench-peers. Each keeps a journal, bounded where it can be, and is otherwise given
what it does best with; Prism's only journal is its log, so that it runs twice, with it and without. What cannot be had
here is a `Missing`, which says why.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.loader import BODY

KEPT = Path(sys.prefix) / "bench-peers"
PATH = "/things/7"


class Missing(Exception):
    """It cannot be had on this machine; says why."""


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes:
        title: for the tables.
        package: on npm, with its version.
        needs: a program without which it does not run.
        command: what starts it, given where it is installed, a folder of its own and the port.
    """

    title: str
    package: str
    needs: str
    command: Callable[[Path, Path, int], list[str]]

    def install(self) -> Path:
        """Where it is; installed if it was not yet.

        Raises:
            Missing: it cannot be had here.
        """
        for program in (self.needs, "npm"):
            if shutil.which(program) is None:
                raise Missing(f"{self.title}: there is no {program} on this machine")
        folder = KEPT / self.package.replace("@", "_").replace("/", "_")
        if not (folder / "node_modules").exists():
            _npm_install(self.package, folder, self.title)
        return folder / "node_modules"


def _npm_install(package: str, folder: Path, title: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-audit", "--no-fund", "--silent", "--no-save"]
    command = ["npm", "install", "--prefix", str(folder), *options, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise Missing(f"{title}: npm cannot install {package}: {done.stderr.strip()[-200:] or 'no registry?'}")


def _wiremock(modules: Path, folder: Path, port: int) -> list[str]:
    # 100 entries: the more its journal may hold, the longer each request takes once it is full.
    fields = {"Content-Type": "application/json"}
    stub = {"request": {"method": "GET", "urlPath": PATH}, "response": {"status": 200, "headers": fields, "body": BODY}}
    (folder / "mappings").mkdir()
    (folder / "mappings" / "thing.json").write_text(json.dumps(stub))
    jar = next((modules / "wiremock" / "build").glob("wiremock-standalone-*.jar"))
    options = ["--max-request-journal-entries", "100", "--disable-banner"]
    return ["java", "-jar", str(jar), "--port", str(port), "--root-dir", str(folder), *options]


def _prism(modules: Path, folder: Path, port: int, level: str = "info") -> list[str]:
    content = {"application/json": {"example": json.loads(BODY)}}
    operation = {"responses": {"200": {"description": "one thing", "content": content}}}
    document = {"openapi": "3.0.3", "info": {"title": "things", "version": "1"}, "paths": {PATH: {"get": operation}}}
    (folder / "openapi.json").write_text(json.dumps(document))
    options = ["--host", "127.0.0.1", "--port", str(port), "--verboseLevel", level, "--multiprocess", "false"]
    return [str(modules / ".bin" / "prism"), "mock", *options, str(folder / "openapi.json")]


def _mockoon(modules: Path, folder: Path, port: int) -> list[str]:
    response = {
        "uuid": "response", "body": BODY, "latency": 0, "statusCode": 200, "label": "", "bodyType": "INLINE",
        "headers": [{"key": "content-type", "value": "application/json"}], "filePath": "", "databucketID": "",
        "sendFileAsBody": False, "rules": [], "rulesOperator": "OR", "disableTemplating": True,
        "fallbackTo404": False, "default": True, "crudKey": "id", "callbacks": [],
    }  # fmt: skip
    route = {
        "uuid": "route", "type": "http", "documentation": "", "method": "get", "endpoint": PATH.lstrip("/"),
        "responses": [response], "responseMode": None, "streamingMode": None, "streamingInterval": 0,
    }  # fmt: skip
    environment = {
        "uuid": "things", "lastMigration": 33, "name": "things", "endpointPrefix": "", "latency": 0, "port": port,
        "hostname": "127.0.0.1", "folders": [], "routes": [route],
        "rootChildren": [{"type": "route", "uuid": "route"}], "proxyMode": False, "proxyHost": "",
        "proxyRemovePrefix": False, "tlsOptions": {"enabled": False, "type": "CERT"}, "cors": False, "headers": [],
        "proxyReqHeaders": [], "proxyResHeaders": [], "data": [], "callbacks": [],
    }  # fmt: skip
    (folder / "things.json").write_text(json.dumps(environment))
    options = ["--port", str(port), "--hostname", "127.0.0.1", "--disable-log-to-file", "--repair"]
    return [str(modules / ".bin" / "mockoon-cli"), "start", "--data", str(folder / "things.json"), *options]


WIREMOCK = Peer("WireMock 3.13.2", "wiremock@3.13.2", "java", _wiremock)
PRISM = Peer("Prism 5.16.0", "@stoplight/prism-cli@5.16.0", "node", _prism)
SILENT_PRISM = Peer("Prism 5.16.0, its log off", PRISM.package, "node", partial(_prism, level="silent"))
MOCKOON = Peer("Mockoon 9.9.0", "@mockoon/cli@9.9.0", "node", _mockoon)
