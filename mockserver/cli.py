"""The command line: `python -m mockserver`, and `rest-api-client serve`.

Everything is read and checked before anything listens. Exit status: 0 after SIGTERM, SIGINT or SIGHUP, 1 when the port
cannot be had or `--check` found broken rules, 2 for a bad option or a bad stub file.
"""

from __future__ import annotations

import argparse
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mockserver.access_log import LOGS
from mockserver.certificates import OwnAuthority, given_certificate, own_authority
from mockserver.faults import SCENARIOS, Errors, Plan, Schedule
from mockserver.limits import DIALECTS, WRONG, FixedWindow, Limit, LimitRule, Limits, SlidingWindow, TokenBucket
from mockserver.option_values import (
    admin_port,
    error_status,
    fault_rule,
    host,
    latency,
    outage,
    port,
    probability,
    rate,
    replay,
    resource,
    scenario,
    seed,
    workers,
)
from mockserver.rules import Violation, format_violations
from mockserver.server import MockServer
from mockserver.stubs import Stub
from mockserver.stubs.files import load
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.utils import unknown

if TYPE_CHECKING:
    from mockserver.admin import AdminSettings

EXAMPLES = """\
examples:
  python -m mockserver
      500 users and 1,000 orders on http://127.0.0.1:8000, nothing goes wrong: try /users?page=2, /users/7, /echo

  python -m mockserver stubs/ --resource products:20
      answers from all .yaml and .json files of a folder, and twenty products where none of them matches

  python -m mockserver --rate-limit 50/1s --errors 0.1 --latency 0.02/0.1 --dead 3:2
      429 beyond 50 calls in any second, 10 % of 503, 20 ms of latency (5 % over 100 ms),
      and from the third second after the first request nothing works for two seconds

  python -m mockserver --scenario 'brownout(start=5s, duration=30s, errors=0.3)'
      five quiet seconds after the first request, then half a minute of an overloaded service

  python -m mockserver --fault 'rule(reset, method="POST", nth=(2,), effect="done")' --fault 'truncate(after=10)'
      the second POST is done and its answer never comes; all other answers break off after ten bytes

  python -m mockserver --caller-faults --check
      clients say what goes wrong (x-fault: stall_mid_body), and at the end which rules of good behaviour they broke

  python -m mockserver --port 0 --log off
      a free port; read it from the first line of standard output: "mockserver ready on http://127.0.0.1:PORT"

GET /__journal shows what arrived and what came of it; GET /health answers whatever goes wrong. The second line of
standard output has the address of the admin API, and its token.
"""

_KINDS: dict[str, Callable[[int, float], Limit]] = {
    "window": SlidingWindow,
    "bucket": lambda calls, period: TokenBucket(calls / period, calls),
    "fixed": FixedWindow,
}


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; the exit status."""
    parser = _parser()
    options = _parsed(parser, argv)
    try:
        stubs = load(*options.stubs) if options.stubs else []
    except ConfigurationError as error:
        return _fail(2, error)
    try:
        tls = _tls(options)
        server = _server(options, stubs, tls)
    except ValueError as error:
        parser.error(str(error))
    stopping = threading.Event()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):  # Windows has no SIGHUP; who starts us by nohup has it ignored
        number = getattr(signal, name, None)
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, lambda *_: stopping.set())
    try:
        with _serving(server, tls):
            sys.stdout.write(_ready(server, options))
            sys.stdout.flush()
            stopping.wait()
    except OSError as error:
        return _fail(1, error.strerror)
    return _judge(server.check()) if options.check else 0


def _parsed(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    options, others = parser.parse_known_intermixed_args(argv)
    if others:
        names = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001  nothing else says
        parser.error(unknown("option", others[0].partition("=")[0], names))
    return options


@contextmanager
def _serving(server: MockServer, tls: OwnAuthority | ssl.SSLContext | None) -> Iterator[None]:
    """Start and stop, with the file by which clients trust it where there is one."""
    try:
        server.start()
        if isinstance(tls, OwnAuthority):
            tls.publish()
        yield
    finally:
        server.stop()
        if isinstance(tls, OwnAuthority):
            tls.withdraw()


def _fail(status: int, why: object) -> int:
    sys.stderr.write(f"mockserver: {why}\n")
    return status


def _ready(server: MockServer, options: argparse.Namespace) -> str:
    lines = [f"mockserver ready on {server.url}"]
    if options.admin_port is not None:
        token = f"token {server.admin.token}" if options.token_file is None else f"token in {options.token_file}"
        lines.append(f"mockserver admin on {server.admin.url} {token}")
    return "".join(f"{line}\n" for line in lines)


def _judge(violations: list[Violation]) -> int:
    try:
        sys.stdout.write(format_violations(violations) + "\n")
        sys.stdout.flush()
    except OSError as error:  # whoever read it has gone
        return _fail(1, f"cannot tell what --check found: {error.strerror}")
    return 1 if any(not each.warning for each in violations) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockserver",
        usage="%(prog)s [STUBS ...] [options]",  # all thirty of them would hide what an error says
        description="A server to test against, which misbehaves as told.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_service(parser)
    _add_limits(parser)
    _add_faults(parser)
    _add_listening(parser)
    _add_watching(parser)
    return parser


def _add_service(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is served").add_argument
    add("stubs", nargs="*", type=Path, metavar="STUBS",
        help="files of stubs (.yaml, .json) or folders of them; a mistake in one ends the start")  # fmt: skip
    add("--resource", type=resource, action="append", metavar="NAME:COUNT",
        help="a collection and how many records it has; repeatable (default: users:500 and orders:1000)")  # fmt: skip
    add("--seed", type=seed, help="decides data, errors and latency (default: 0)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("rate limit").add_argument
    add("--rate-limit", type=rate, metavar="CALLS/PERIOD", help="such as 50/1s, 100/m, 5/250ms (default: none)")
    add("--limit-kind", choices=tuple(_KINDS),
        help="window: at most CALLS in any PERIOD; bucket: CALLS tokens, refilled evenly over PERIOD, so that up to "
        "twice as many pass in the first one; fixed: CALLS in each PERIOD by the clock "
        "(default: window)")  # fmt: skip
    add("--limit-dialect", choices=tuple(DIALECTS), metavar="DIALECT",
        help=f"whose header fields tell of it: {', '.join(DIALECTS)} (default: standard)")  # fmt: skip
    add("--limit-lies", choices=tuple(WRONG), metavar="LIE",
        help=f"what is wrong with them, as with real services: {', '.join(WRONG)} (default: nothing)")  # fmt: skip


def _add_faults(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what goes wrong").add_argument
    add("--errors", type=probability, metavar="P", help="probability of a 5xx, 0 to 1 (default: 0)")
    add("--error-status", type=error_status, metavar="CODE", help="which 5xx (default: 503)")
    add("--latency", type=latency, metavar="P50[/P95[/P99]] | MIN-MAX | DISTRIBUTION",
        help="seconds: 0.02 is the median of a log-normal spread, 0.02/0.1 gives its 95th percentile too "
        "(default: three times the median), 0.02/0.1/0.5 the 99th; 0.01-0.05 is spread evenly; or such as "
        "'pareto(low=0.01, alpha=1.5)' (default: none)")  # fmt: skip
    add("--dead", type=outage, action="append", default=[], metavar="START:SECONDS[:reset]",
        help="from START seconds after the first request, for SECONDS, every request is answered 503, or cut by a "
        "TCP reset; repeatable")  # fmt: skip
    add("--scenario", type=scenario, metavar="SCENARIO",
        help=f"phases in time, from the first request on: {', '.join(SCENARIOS)}, each alone or with what "
        "is to differ, as in 'flapping(up=5s)'")  # fmt: skip
    add("--fault", type=fault_rule, action="append", default=[], metavar="RULE",
        help="a fault, for all requests, or a rule, as in 'rule(error(500), path=\"/a*\", probability=0.1)'; "
        "repeatable, the first that strikes wins")  # fmt: skip
    add("--caller-faults", action="store_true", help="requests may ask for faults by x-fault header fields")
    add("--replay", type=replay, metavar="LINE",
        help="the line in which a server told its faults; instead of --scenario, --fault, --caller-faults and "
        "--seed")  # fmt: skip


def _add_listening(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where it listens").add_argument
    add("--host", type=host, default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=port, default=8000, help="0 takes a free one (default: %(default)s)")
    add("--tls", metavar="CA_FILE", type=Path,
        help="https with a certificate made for this run; that of its authority is written to CA_FILE before the ready "
        "line, for clients to trust, and removed at the end (needs trustme)")  # fmt: skip
    add("--cert", type=Path, metavar="FILE", help="https with this certificate (PEM), which may hold the key as well")
    add("--key", type=Path, metavar="FILE", help="the key of --cert")
    add("--http", choices=("httptools", "h11"), default="httptools", help="the parser (default: %(default)s)")
    add("--loop", choices=("auto", "asyncio", "uvloop"), default="auto", help="the event loop (default: %(default)s)")
    add("--workers", type=workers, default=1, metavar="1", help="processes: one, and why not more it says if asked")
    add("--admin-port", type=admin_port, default=0, metavar="PORT|off",
        help="where the admin API listens, on 127.0.0.1 (default: a free port)")  # fmt: skip
    add("--token-file", type=Path, metavar="FILE",
        help="write the admin API's token there, readable for its owner only, and not to standard output; removed at "
        "the end")  # fmt: skip


def _add_watching(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what it tells").add_argument
    add("--log", choices=tuple(LOGS), default="pretty",
        help="one line per request on standard error (default: %(default)s)")  # fmt: skip
    add("--check", action="store_true",
        help="tell at the end which rules of good behaviour the clients broke; exit status 1 if any")  # fmt: skip


def _admin(options: argparse.Namespace) -> AdminSettings | bool:
    if options.admin_port is None:
        _check_belongs(options, ("token_file",), "an admin API: leave out --admin-port off")
        return False
    from mockserver.admin import AdminSettings  # a third of what starting costs otherwise

    with _about("--token-file"):
        return AdminSettings(port=options.admin_port, token_file=options.token_file)


def _server(
    options: argparse.Namespace, stubs: list[Stub], tls: OwnAuthority | ssl.SSLContext | None = None
) -> MockServer:
    plan = _plan(options)
    return MockServer(
        host=options.host,
        port=options.port,
        seed=plan.seed,
        resources=_resources(options),
        limit=_limits(options),
        errors=_errors(options),
        latency=options.latency,
        outages=options.dead,
        faults=None if plan == Plan(seed=plan.seed) else plan,
        stubs=stubs,
        admin=_admin(options),
        tls=tls.context if isinstance(tls, OwnAuthority) else tls,
        http=options.http,
        loop=options.loop,
        on_entry=LOGS[options.log],
    )


def _check_belongs(options: argparse.Namespace, names: Sequence[str], owner: str) -> None:
    """Refuse options that would do nothing without another one."""
    for name in names:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} belongs to {owner}")


@contextmanager
def _about(flag: str) -> Iterator[None]:
    """Say of a mistake by which option it was made."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"argument {flag}: {error}") from error


def _resources(options: argparse.Namespace) -> dict[str, int] | None:
    if options.resource is None:
        return None
    resources: dict[str, int] = {}
    for name, count in options.resource:
        if name in resources:
            raise ValueError(f"argument --resource: {name} is given twice")
        resources[name] = count
    return resources


def _errors(options: argparse.Namespace) -> Errors | None:
    if options.errors is None:
        _check_belongs(options, ("error_status",), "--errors, the probability of it: give --errors 0.1, say")
        return None
    return Errors(probability=options.errors, status=options.error_status or 503)


def _plan(options: argparse.Namespace) -> Plan:
    said = options.scenario is not None or options.fault or options.caller_faults or options.seed is not None
    if options.replay is not None and said:
        raise ValueError("--replay says it all: leave out --seed, --scenario, --fault and --caller-faults")
    plan: Plan = options.replay or Plan(
        seed=options.seed or 0,
        rules=tuple(options.fault),
        schedule=options.scenario or Schedule(),
        caller_faults=options.caller_faults,
    )
    stricter = [phase.name for phase in plan.schedule.phases if phase.limit_share < 1]
    if stricter and options.rate_limit is None:
        raise ValueError(
            f"the phase {stricter[0]!r} makes the limits stricter: give a --rate-limit, 50/1s for instance"
        )
    return plan


def _limits(options: argparse.Namespace) -> Limits | None:
    if options.rate_limit is None:
        _check_belongs(options, ("limit_kind", "limit_dialect", "limit_lies"), "a --rate-limit, 50/1s for instance")
        return None
    dialect = DIALECTS[options.limit_dialect or "standard"]
    if options.limit_lies is not None:
        dialect = WRONG[options.limit_lies](dialect)
    with _about("--rate-limit"):
        return Limits([LimitRule(limit=_KINDS[options.limit_kind or "window"](*options.rate_limit))], dialect=dialect)


def _tls(options: argparse.Namespace) -> OwnAuthority | ssl.SSLContext | None:
    if options.tls is not None:
        if options.cert is not None or options.key is not None:
            raise ValueError("give --tls, or --cert and --key, not both")
        return own_authority(options.tls, options.host)
    if options.cert is None:
        _check_belongs(options, ("key",), "a --cert")
        return None
    return given_certificate(options.cert, options.key)
