"""`rest-api-client demo`: the main job, on a server that does what servers do on a bad day.

A mock server runs as a process of its own, behind a rate limit, with 503s, latency and dead periods. The same work is
done by `APIClient` on threads and then by `AsyncAPIClient` on tasks: users are fetched and orders are made. At the end
the server's journal is held against what the clients noted (see `judge`), and the exit status says whether every claim
holds.

The rate limit is a quarter of the users a second, and the workers outnumber it by a third: so the first burst of each
client runs into the limit before it can know of it, and a run takes the same time however many users there are.
"""

from __future__ import annotations

import argparse
import inspect
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from mockserver.demo import run
from mockserver.demo.judge import Case, check_all
from mockserver.demo.progress import Progress, progress, silent
from mockserver.demo.records import Record
from mockserver.demo.show import Screen, to_json, verdict
from mockserver.demo.stage import NotStartedError, Stage, read_journal, serve
from rest_api_client.exceptions import ConfigurationError

MOST_SECONDS = 20.0
DEAD = ("2.5:1.3", "10:1.3:reset")
"""One period for each client: the sync one meets a gateway that answers 503, and is done after seven or eight seconds;
the async one then meets a machine that resets connections."""

EXAMPLES = """\
examples:
  rest-api-client demo
      300 users and 12 orders, by the sync client and then by the async one
  rest-api-client demo --engine pyreqwest
      the same over another engine
  rest-api-client demo --json | python -m json.tool
      the figures and the checks as JSON, nothing else on standard output
  rest-api-client demo --seed 7
      other users, and other requests that fail

exit status: 0 when every check holds, 1 when one does not, 2 when it cannot
begin, 130 or 143 when interrupted or terminated
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. Returns 0 when every check holds."""
    parser = _parser()
    options = parser.parse_args(argv)
    quota = options.users // 4
    workers = options.workers or quota + quota // 3
    if workers <= quota:
        parser.error(f"--workers {workers}: take more than {quota}, or no burst ever meets the limit of {quota}/s")
    stage = Stage(users=options.users, quota=quota, errors=0.08, latency=(0.12, 0.18), dead=DEAD, seed=options.seed)
    try:
        with _terminable():
            return _demo(stage, workers, options)
    except (KeyboardInterrupt, Terminated) as error:
        sys.stderr.write("interrupted; the mock server is stopped\n")
        return 143 if isinstance(error, Terminated) else 130
    except (NotStartedError, ConfigurationError) as error:
        sys.stderr.write(f"rest-api-client demo: {error}\n")
        return 2


class Terminated(BaseException):
    """SIGTERM came. Nobody but `main` should stop it on its way, as with KeyboardInterrupt."""


@contextmanager
def _terminable() -> Iterator[None]:
    # SIGTERM would end this process at once, and leave the mock server behind.
    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rest-api-client demo",
        description="Fetches a few hundred users, sync and async, from a mock server that fails as real ones do, and\n"
        "proves from the server's own journal that nothing was lost and nothing was sent twice.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--users", type=_whole(40, 400), default=300, metavar="N",
        help="users each client fetches, 40 to 400; the server allows a quarter a second (default: 300)")  # fmt: skip
    add("--seed", type=int, default=0, help="decides data, errors and latency (default: 0)")
    add("--workers", type=_whole(2, 200), metavar="N",
        help="threads, then tasks, at most 200 (default: a third more than the server allows a second)")  # fmt: skip
    add("--engine", choices=("httpx", "httpx2", "pyreqwest"), default="httpx", help="what sends (default: httpx)")
    add("--plain", action="store_true", help="no colours and no moving bars (as when the output is no terminal)")
    add("--json", action="store_true", help="print the figures as JSON and nothing else")
    return parser


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return read


def _demo(stage: Stage, workers: int, options: argparse.Namespace) -> int:
    screen = Screen(sys.stdout, plain=options.plain)
    if not options.json:
        _introduce(screen, stage, workers, options.engine)
    began = time.monotonic()
    shown: AbstractContextManager[Progress] = (
        nullcontext(silent) if options.json else progress(sys.stdout, plain=options.plain)
    )
    with serve(stage.options()) as url:
        if not options.json:
            screen.write(f"it is ready: while it runs, see {url}/__journal\n")
        with shown as tell:
            records = _run(url, stage.users, workers, options.engine, tell)
        seen = read_journal(url)
    case = Case(seen=seen, records=records, seconds=time.monotonic() - began, most_seconds=MOST_SECONDS)
    checks = check_all(case)
    if options.json:
        sys.stdout.write(json.dumps(to_json(case, checks)) + "\n")
    else:
        screen.table(case)
        screen.checks(checks)
        screen.write(f"\n{verdict(checks)}")
    return 0 if all(check.ok for check in checks) else 1


def _introduce(screen: Screen, stage: Stage, workers: int, engine: str) -> None:
    screen.write(f"the server:  python -m mockserver {' '.join(stage.options())}\n")
    screen.write(
        f"the client:  APIClient(settings(url, {engine!r}, {workers})) in {workers} threads, then AsyncAPIClient"
    )
    screen.write(f"             with the same in {workers} tasks\n")
    screen.code(inspect.getsource(run.settings))


def _run(url: str, users: int, workers: int, engine: str, tell: Progress) -> tuple[Record, ...]:
    work = run.plan(users)
    config = run.settings(url, engine, workers)

    def trial(client: str) -> run.Trial:
        def on_change(done: int, retries: Counter[str]) -> None:
            tell(client, done, len(work), retries)

        return run.Trial(client, work, on_change)

    return (
        run.run_sync(trial("sync"), workers, config),
        run.run_async(trial("async"), workers, config),
    )
