"""The table of what each engine can do, as docs/engines.md shows it: `python -m tests.engine_table` prints it."""

from __future__ import annotations

import httpx

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import open_engine
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Capability, Transport


def table() -> str:
    """One row per capability, one column per engine; both faces of an engine count together."""
    columns: dict[str, frozenset[Capability]] = {}
    for name in ("httpx", "httpx2", "pyreqwest"):
        columns[name] = _both(open_engine(name, face=face, options=ConnectionOptions()) for face in ("sync", "async"))
    columns["any `httpx.BaseTransport`"] = _both(
        open_engine(httpx.MockTransport(lambda request: httpx.Response(200)), face=face, options=ConnectionOptions())
        for face in ("sync", "async")
    )
    columns["scripted"] = ScriptedTransport([]).capabilities
    rows = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for capability in Capability:
        cells = ("yes" if capability in capabilities else "" for capabilities in columns.values())
        rows.append(f"| {capability} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _both(engines: object) -> frozenset[Capability]:
    can: frozenset[Capability] = frozenset()
    for engine in engines:  # type: ignore[attr-defined]
        can |= _closed(engine)
    return can


def _closed(engine: Transport) -> frozenset[Capability]:
    if Capability.SYNC in engine.capabilities:
        run_sync(engine.aclose())  # type: ignore[arg-type]
    return engine.capabilities


if __name__ == "__main__":
    print(table())
