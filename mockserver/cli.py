"""The command line: `python -m mockserver`, and `rest-api-client serve`."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from mockserver.faults import Errors, EvenLatency, Latency, Outage, Slowness
from mockserver.journal import Entry
from mockserver.limits import Limit, SlidingWindow, TokenBucket
from mockserver.server import MockServer

EXAMPLES = """\
examples:
  python -m mockserver
      500 users and 1,000 orders on http://127.0.0.1:8000, nothing goes wrong: try /users?page=2, /users/7, /echo
  python -m mockserver --rate-limit 50/1s --errors 0.1 --latency 0.02/0.1 --dead 3:2
      429 beyond 50 calls in any second, 10 % of 503, 20 ms of latency (5 % over 100 ms),
      and from the third second after the first request nothing works for two seconds
  python -m mockserver --port 0 --log off
      a free port; read it from the first line of standard output: "mockserver ready on http://127.0.0.1:PORT"

GET /__journal shows what arrived and what came of it; GET /health answers whatever goes wrong.
"""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_Parsed = TypeVar("_Parsed")


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 after that, 1 when the port cannot be had, 2 for a bad option."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        server = _server(options)
    except ValueError as error:
        parser.error(str(error))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server.start()
    except OSError as error:
        sys.stderr.write(f"mockserver: {error.strerror}\n")
        return 1
    try:
        sys.stdout.write(f"mockserver ready on {server.url}\n")
        sys.stdout.flush()
        stopping.wait()
    finally:
        server.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockserver",
        description="A server to test against, which misbehaves as told.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    add("--seed", type=int, default=0, help="decides data, errors and latency (default: %(default)s)")
    add("--resource", type=_resource, action="append", metavar="NAME:COUNT",
        help="a collection and how many records it has; repeatable (default: users:500 and orders:1000)")  # fmt: skip
    add("--rate-limit", type=_rate, metavar="CALLS/PERIOD", help="such as 50/1s, 100/m, 5/250ms (default: none)")
    add("--limit-kind", choices=("window", "bucket"), default="window",
        help="window: at most CALLS in any PERIOD; bucket: CALLS tokens, refilled evenly over PERIOD, so that up to "
        "twice as many pass in the first one (default: %(default)s)")  # fmt: skip
    add("--errors", type=float, default=0.0, metavar="P", help="probability of a 5xx, 0 to 1 (default: 0)")
    add("--error-status", type=int, default=503, metavar="CODE", help="which 5xx (default: %(default)s)")
    add("--latency", type=_latency, metavar="P50[/P95] | MIN-MAX",
        help="seconds: 0.02 is the median of a log-normal spread, 0.02/0.1 gives its 95th percentile too "
        "(default: three times the median); 0.01-0.05 is spread evenly (default: none)")  # fmt: skip
    add("--dead", type=_outage, action="append", default=[], metavar="START:SECONDS[:reset]",
        help="from START seconds after the first request, for SECONDS, every request is answered 503, or cut by a "
        "TCP reset; repeatable")  # fmt: skip
    add("--log", choices=("pretty", "json", "off"), default="pretty",
        help="one line per request on standard error (default: %(default)s)")  # fmt: skip
    return parser


def _server(options: argparse.Namespace) -> MockServer:
    return MockServer(
        host=options.host,
        port=options.port,
        seed=options.seed,
        resources=None if options.resource is None else dict(options.resource),
        limit=_limit(options.rate_limit, options.limit_kind),
        errors=Errors(probability=options.errors, status=options.error_status),
        latency=options.latency,
        outages=options.dead,
        on_entry=_LOGS[options.log],
    )


def _limit(rate: tuple[int, float] | None, kind: str) -> Limit | None:
    if rate is None:
        return None
    calls, period = rate
    return SlidingWindow(calls, period) if kind == "window" else TokenBucket(calls / period, calls)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _resource(text: str) -> tuple[str, int]:
    name, count = _match(r"([^:]+):([0-9]{1,9})", text, "NAME:COUNT, such as users:500")
    return name, int(count)


def _rate(text: str) -> tuple[int, float]:
    calls, number, unit = _match(
        rf"([0-9]{{1,9}})/({_NUMBER})?(ms|s|m|h)", text, "CALLS/PERIOD, such as 50/1s, 100/m or 5/250ms"
    )
    return int(calls), float(number or 1) * _UNITS[unit]


def _latency(text: str) -> Slowness:
    first, sign, second = _match(
        rf"({_NUMBER})(?:([-/])({_NUMBER}))?", text, "seconds: 0.02 (p50), 0.02/0.1 (p50/p95) or 0.01-0.05 (evenly)"
    )
    if sign == "-":
        return _valid(lambda: EvenLatency(low=float(first), high=float(second)))
    return _valid(lambda: Latency(p50=float(first), p95=float(second) if second else None))


def _outage(text: str) -> Outage:
    start, duration, reset = _match(
        rf"({_NUMBER}):({_NUMBER})(:reset)?", text, "START:SECONDS or START:SECONDS:reset, such as 3:2"
    )
    return _valid(lambda: Outage(start=float(start), duration=float(duration), reset=bool(reset)))


def _match(pattern: str, text: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return found.groups(default="")


def _valid(make: Callable[[], _Parsed]) -> _Parsed:
    # argparse shows the message of its own error only, not that of a ValueError.
    try:
        return make()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _log_pretty(entry: Entry) -> None:
    target = f"{entry.path}?{entry.query}" if entry.query else entry.path
    notes = [f"fault {entry.fault_id}"] if entry.fault_id else []
    if entry.call_id:
        notes.append(f"call {entry.call_id} attempt {entry.attempt}")
    took = ((entry.finished or entry.arrived) - entry.arrived) * 1000
    status = entry.status or "RST"
    line = f"{entry.arrived:9.3f}s  {status}  {took:7.1f} ms  {entry.method} {target}  {', '.join(notes)}"
    sys.stderr.write(_printable(line.rstrip()) + "\n")


def _printable(line: str) -> str:
    # A path may hold a line feed or terminal codes once it is percent-decoded.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


def _log_json(entry: Entry) -> None:
    sys.stderr.write(json.dumps(entry.to_json()) + "\n")


_LOGS: dict[str, Callable[[Entry], None] | None] = {"pretty": _log_pretty, "json": _log_json, "off": None}
