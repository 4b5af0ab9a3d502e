"""The access log: a line for each request on standard error, when its answer is complete."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Final

from mockserver.journal import Entry


def log_pretty(entry: Entry) -> None:
    """For people: when, status, how long, what, and what went wrong on purpose."""
    target = f"{entry.path}?{entry.query}" if entry.query else entry.path
    notes = [f"fault {entry.fault_id}"] if entry.fault_id else []
    if entry.call_id:
        notes.append(f"call {entry.call_id} attempt {entry.attempt}")
    took = ((entry.finished or entry.arrived) - entry.arrived) * 1000
    status = entry.status or "RST"
    line = f"{entry.arrived:9.3f}s  {status}  {took:7.1f} ms  {entry.method} {target}  {', '.join(notes)}"
    sys.stderr.write(_printable(line.rstrip()) + "\n")


def log_json(entry: Entry) -> None:
    """For programs: the journal's entry as one line of JSON."""
    sys.stderr.write(json.dumps(entry.to_json()) + "\n")


def _printable(line: str) -> str:
    # A path may hold a line feed or terminal codes once it is percent-decoded.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


LOGS: Final[Mapping[str, Callable[[Entry], None] | None]] = {"pretty": log_pretty, "json": log_json, "off": None}
