"""The server that clients are measured against: nginx would do as well, but is on few machines; this one is built here.

`servers/wire.c` answers from memory in one thread, some 2 us a request: gcc is needed, and OpenSSL's headers for TLS
and HTTP/2. What cannot be built is a `Missing`, which says why.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.loader import BODY
from tests.benchmarks.peers import KEPT, Missing
from tests.benchmarks.processes import Server, free_port

SOURCES = Path(__file__).parent / "servers"
LARGE = 1_000_000
"""Bytes of the large JSON, about."""


@dataclass(frozen=True)
class Wire:
    """A server that runs.

    Attributes:
        server: its process.
        plain: its origin over TCP.
        secure: its origin over TLS; None if it was built without.
        ca: a file with the certificate to trust.
    """

    server: Server
    plain: str
    secure: str | None
    ca: str | None


def build() -> tuple[Path, bool]:
    """The program, built anew where its source is newer, and whether it knows TLS.

    Raises:
        Missing: there is no compiler.
    """
    if shutil.which("gcc") is None:
        raise Missing("clients: there is no gcc to build the benchmark's server with")
    newest = max(source.stat().st_mtime for source in SOURCES.glob("*.[ch]"))
    for name, options in (("wire-tls", ["-DTLS", "-lssl", "-lcrypto"]), ("wire-plain", [])):
        program = KEPT / name
        KEPT.mkdir(parents=True, exist_ok=True)
        if program.exists() and program.stat().st_mtime > newest:
            return program, bool(options)
        command = ["gcc", "-O2", "-o", str(program), str(SOURCES / "wire.c"), *options]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return program, bool(options)
    raise Missing("clients: gcc cannot build tests/benchmarks/servers/wire.c")


@contextmanager
def wire() -> Iterator[Wire]:
    """A server, for the block.

    Raises:
        Missing: it cannot be built here.
    """
    program, secured = build()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small.json").write_text(BODY)
        (folder / "large.json").write_text(_large())
        ports = free_port(), free_port()
        command = [str(program), *map(str, ports), str(folder / "small.json"), str(folder / "large.json")]
        server = Server("wire", command + (_certificate(folder) if secured else []), ports[0], folder / "log")
        try:
            server.wait("/small")
            ca = str(folder / "ca.pem") if secured else None
            yield Wire(server, f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}" if secured else None, ca)
        finally:
            server.end()


def _large() -> str:
    """Many small records, as a list of things is."""
    record = json.loads(BODY)
    return json.dumps([{**record, "id": number} for number in range(LARGE // (len(BODY) + 20))])


def _certificate(folder: Path) -> list[str]:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    names = [str(folder / "certificate.pem"), str(folder / "key.pem")]
    for part, blob in zip(names, (certificate.cert_chain_pems[0], certificate.private_key_pem), strict=True):
        blob.write_to_path(part)
    return names
