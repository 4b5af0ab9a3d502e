"""The demo: each claim can be refuted, and the whole command holds them on real sockets."""

import dataclasses
import io
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from mockserver import MockServer, SlidingWindow, TokenBucket
from mockserver.demo import judge, main
from mockserver.demo.judge import Case, Check, Side, check_all
from mockserver.demo.progress import Lines, progress, said
from mockserver.demo.records import Attempt, Record, Result, Witness
from mockserver.demo.run import Work, plan
from mockserver.demo.show import align, arrivals, bar, offenders, percentile, rows, scale, to_json, verdict
from mockserver.demo.stage import NotStartedError, Seen, Stage, read_journal, serve
from mockserver.journal import Entry
from rest_api_client.events import AttemptEnded, CallEnded, CallStarted, RetryDecided
from rest_api_client.models import Attempt as Attempted
from tests.patience import HANGS

DEMO = [sys.executable, "-c", "import sys; from mockserver.demo import main; sys.exit(main())"]

CHECKS = {
    "lost": judge.nothing_lost,
    "twice": judge.nothing_twice,
    "story": judge.same_story,
    "retry-after": judge.retry_after_kept,
    "limit": judge.limit_kept,
    "windows": judge.windows_kept,
    "stage": judge.stage_was_set,
    "time": judge.in_time,
}


class Invented:
    """A journal and a client's notes which tell of a run where all is well, for tests to break.

    The client's clock stands 100 s ahead of the server's. Quota 3 a second. Calls:

        a  GET /users/1   429 at 0.00 with Retry-After 1, then 200 at 1.10
        b  GET /users/2   503 at 0.01, 200 at 1.20
        c  POST /orders   dead at 1.5, 201 at 2.3
    """

    def __init__(self) -> None:
        self.entries = [
            entry(0, "a", 1, 0.00, 429, accepted=False, retry_after=1),
            entry(1, "b", 1, 0.01, 503),
            entry(2, "a", 2, 1.10, 200, processed=True),
            entry(3, "b", 2, 1.20, 200, processed=True),
            entry(4, "c", 1, 1.50, 503, accepted=False, method="POST", idempotency_key="k", delay=0.0),
            entry(5, "c", 2, 2.30, 201, processed=True, method="POST", idempotency_key="k"),
        ]
        self.work = ["user 1", "user 2", "order 1"]
        self.results = [Result(work=work, call=call) for work, call in zip(self.work, "abc", strict=True)]
        self.attempts = [
            attempt(each.call_id or "", each.attempt or 0, each.arrived, each.status) for each in self.entries
        ]
        self.seconds = 3.0

    def case(self) -> Case:
        record = Record(
            client="sync",
            work=tuple(self.work),
            results=tuple(self.results),
            attempts=tuple(self.attempts),
            durations=(1.1, 1.2, 0.8),
            retries={"status 429": 1, "status 503": 2},
            waited=2.5,
            seconds=2.4,
        )
        seen = Seen(quota=3, window=1.0, entries=tuple(self.entries))
        return Case(seen=seen, records=(record,), seconds=self.seconds, most_seconds=20.0)

    def change_entry(self, index: int, **changes: Any) -> None:
        self.entries[index] = dataclasses.replace(self.entries[index], **changes)

    def change_attempt(self, index: int, **changes: Any) -> None:
        self.attempts[index] = dataclasses.replace(self.attempts[index], **changes)

    def failed(self) -> list[str]:
        """The short names of the checks that do not hold."""
        return [short for short, check in CHECKS.items() if not check(self.case()).ok]


def entry(index: int, call: str, number: int, arrived: float, status: int, **more: Any) -> Entry:
    path = "/orders" if more.get("method") == "POST" else "/users/1"
    settings = {"method": "GET", "delay": 0.03, "answered": arrived + 0.05, **more}
    return Entry(index=index, arrived=arrived, path=path, call_id=call, attempt=number, status=status, **settings)


def attempt(call: str, number: int, arrived: float, status: int | None) -> Attempt:
    reason = "ok" if status and status < 400 else f"status {status}"
    return Attempt(
        call=call, number=number, begun=arrived + 99.99, ended=arrived + 100.06, status=status, reason=reason
    )


@pytest.fixture
def invented() -> Invented:
    return Invented()


def test_a_run_in_which_all_is_well_passes_every_check(invented: Invented) -> None:
    """No check fails, and each says what it rests on."""
    checks = check_all(invented.case())
    assert [check.against for check in checks] == [()] * len(CHECKS)
    assert all(check.figures for check in checks)
    assert verdict(checks) == "all 8 checks hold"


def lose_a_result(run: Invented) -> None:
    run.results.pop(0)


def end_a_call_badly(run: Invented) -> None:
    run.results[0] = dataclasses.replace(run.results[0], error="ServerError: 503")


def claim_what_the_server_never_did(run: Invented) -> None:
    run.change_entry(2, processed=False)


def process_a_call_twice(run: Invented) -> None:
    run.change_entry(4, processed=True)


def send_two_calls_under_one_key(run: Invented) -> None:
    run.change_entry(3, processed=True, idempotency_key="k")


def receive_a_request_twice(run: Invented) -> None:
    run.entries.append(entry(6, "b", 2, 2.9, 200))


def post_without_a_key(run: Invented) -> None:
    run.change_entry(5, idempotency_key=None)


def answer_a_piece_of_work_twice(run: Invented) -> None:
    run.results.append(run.results[0])


def send_what_no_client_noted(run: Invented) -> None:
    run.entries.append(entry(6, "z", 1, 2.9, 404))


def note_what_never_arrived(run: Invented) -> None:
    run.attempts.append(attempt("a", 3, 2.8, None))


def read_another_status(run: Invented) -> None:
    run.change_attempt(3, status=204)


def come_back_too_early(run: Invented) -> None:
    run.change_entry(2, arrived=1.049)


def be_refused_with_knowledge(run: Invented) -> None:
    run.change_entry(3, status=429, accepted=False, processed=False)
    run.change_attempt(3, status=429)
    run.entries.append(entry(6, "b", 3, 2.31, 200, processed=True))
    run.attempts.append(attempt("b", 3, 2.31, 200))


def never_learn_the_limit(run: Invented) -> None:
    for index in range(6):
        run.change_attempt(index, call=f"{index}")


def crowd_a_window(run: Invented) -> None:
    for index, number in enumerate((1, 2), start=6):
        run.entries.append(entry(index, "d", number, 2.4, 503))
        run.attempts.append(attempt("d", number, 2.4, 503))


def meet_no_429(run: Invented) -> None:
    run.change_entry(0, status=503, accepted=True, retry_after=None)
    run.change_attempt(0, status=503)


def meet_no_503(run: Invented) -> None:
    run.change_entry(1, status=500)
    run.change_attempt(1, status=500)


def meet_no_dead_period(run: Invented) -> None:
    run.change_entry(4, accepted=True)


def meet_no_latency(run: Invented) -> None:
    for index in range(6):
        run.change_entry(index, delay=0.0)


def take_too_long(run: Invented) -> None:
    run.seconds = 20.0


@pytest.mark.parametrize(
    ("spoil", "failing"),
    [
        (lose_a_result, ["lost"]),
        (end_a_call_badly, ["lost"]),
        (claim_what_the_server_never_did, ["lost"]),
        (process_a_call_twice, ["twice"]),
        (send_two_calls_under_one_key, ["twice"]),
        (receive_a_request_twice, ["twice"]),
        (post_without_a_key, ["twice"]),
        (answer_a_piece_of_work_twice, ["twice"]),
        (send_what_no_client_noted, ["story"]),
        (note_what_never_arrived, ["story"]),
        (read_another_status, ["story"]),
        (come_back_too_early, ["retry-after"]),
        (be_refused_with_knowledge, ["limit"]),
        (never_learn_the_limit, ["story", "limit"]),
        (crowd_a_window, ["windows"]),
        (meet_no_429, ["stage"]),
        (meet_no_503, ["stage"]),
        (meet_no_dead_period, ["stage"]),
        (meet_no_latency, ["stage"]),
        (take_too_long, ["time"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_claim_is_refuted_by_what_contradicts_it(
    invented: Invented, spoil: Callable[[Invented], None], failing: list[str]
) -> None:
    """The check that is broken fails, and no other."""
    spoil(invented)
    assert invented.failed() == failing


def test_a_refusal_of_what_was_begun_in_ignorance_is_excused(invented: Invented) -> None:
    """The limit was learned at 100.06 on the client's clock: only what it began from then on must not be refused."""
    invented.change_entry(1, status=429, accepted=False)
    invented.change_attempt(1, status=429, begun=100.0599, ended=101.0)
    assert "limit" not in invented.failed()
    invented.change_attempt(1, begun=100.0601)
    assert "limit" in invented.failed()


def test_a_dead_answer_teaches_no_limit(invented: Invented) -> None:
    """It carries no RateLimit fields, so the limit counts as learned with the first answer behind it."""
    invented.change_entry(0, accepted=False, status=503, retry_after=None)
    side = Side(invented.case().records[0], invented.case().seen)
    assert side.learned == pytest.approx(100.07)


def test_an_attempt_that_was_held_back_need_not_arrive(invented: Invented) -> None:
    """An open circuit sends nothing; that is no contradiction."""
    held = attempt("a", 3, 2.8, None)
    invented.attempts.append(dataclasses.replace(held, reason="circuit open"))
    assert invented.failed() == []


def test_a_failed_check_names_the_offending_entries(invented: Invented) -> None:
    """Index, time, request, status, call and attempt; the margin too."""
    come_back_too_early(invented)
    (line,) = judge.retry_after_kept(invented.case()).against
    assert line == "#2 at 1.049 s GET /users/1 200 (call a attempt 2): 0.001 s too early"


def test_offending_entries_are_cut_after_ten() -> None:
    """What is left out is counted."""
    many = Check(name="x", figures="", against=tuple(map(str, range(13))))
    assert offenders(many) == [*map(str, range(10)), "and 3 more"]
    assert verdict([many]) == "1 of 1 checks FAILED"


def test_the_table_has_a_column_per_client(invented: Invented) -> None:
    """Requests, retries by reason, waiting, percentiles, the fullest window."""
    table = {line[0]: line[1] for line in rows(invented.case())}
    assert table["requests, as the server counted them"] == "6"
    assert table["  after status 503"] == "2"
    assert table["time spent waiting, all calls together"] == "2.5 s"
    assert table["a call took, p50"] == "1.10 s"
    assert table["most requests in any 1 s"] == "3 of 3"


def test_arrivals_are_drawn_over_time(invented: Invented) -> None:
    """A line per kind, a character per quarter of a second, the seconds below."""
    assert arrivals(invented.case(), " .o") == [
        "let through  .   o    .",
        "        429  .         ",
        "       dead        .   ",
        "             0 s     2 s",
    ]


def test_a_table_is_aligned_without_rich() -> None:
    """Names to the left, figures to the right."""
    assert align([("", "sync"), ("calls", "1")]) == "       sync\ncalls     1"


def test_percentiles_are_values_that_occurred() -> None:
    """By nearest rank; nothing at all gives 0."""
    assert [percentile([3, 1, 2, 4], share) for share in (0, 0.5, 0.95)] == [1, 2, 4]
    assert percentile([], 0.5) == 0


def test_only_nothing_looks_like_nothing() -> None:
    """One request among a thousand is still seen."""
    assert [bar(share, " .o") for share in (0, 0.001, 0.5, 0.51, 1)] == [" ", ".", ".", "o", "o"]
    assert scale(9) == "0 s     2 s"


def test_the_figures_are_json_too(invented: Invented) -> None:
    """With the checks, and what speaks against them."""
    take_too_long(invented)
    case = invented.case()
    figures = json.loads(json.dumps(to_json(case, check_all(case))))
    assert figures["clients"]["sync"]["statuses"] == {"200": 2, "201": 1, "429": 1, "503": 2}
    assert figures["clients"]["sync"]["dead"] == 1
    assert [check["name"] for check in figures["checks"] if not check["ok"]] == ["done in under 20 seconds"]


def test_progress_is_a_line_a_second_without_a_terminal() -> None:
    """And one when the work is done."""
    out = io.StringIO()
    with progress(out, plain=False) as tell:
        tell("sync", 1, 2, Counter())
        tell("sync", 2, 2, Counter({"status 503": 3}))
    assert out.getvalue().endswith("sync     2 of 2  retries after 3 x 503\n")
    assert out.getvalue().count("\n") == 1
    Lines(out, every=0)("async", 1, 2, Counter())
    assert out.getvalue().endswith("async    1 of 2  no retries\n")
    assert said(Counter({"status 429": 1, "read error": 2})) == "2 x read error, 1 x 429"


def test_the_witness_takes_the_earliest_start_an_attempt_can_have_had() -> None:
    """Either way to compute it may be late, by what passed until the event was told."""
    told: list[tuple[int, int]] = []
    witness = Witness(lambda done, retries: told.append((done, retries.total())))
    common: dict[str, Any] = {"call_id": "a", "method": "GET", "endpoint": "/"}
    ended = Attempted(number=1, started=0.5, elapsed=2.0, url="", status_code=503, reason="status 503")
    witness(CallStarted(at=10.0, url="", **common))
    witness(AttemptEnded(at=13.0, attempt=ended, **common))
    witness(RetryDecided(at=13.0, attempt=1, decision="retry", delay=1.0, reason="status 503", **common))
    witness(RetryDecided(at=13.0, attempt=1, decision="budget", delay=None, reason="status 503", **common))
    witness(
        CallEnded(at=14.0, url="", duration=4.0, status_code=503, error=None, reason="", attempts=1, **common),
    )
    assert witness.attempts == [Attempt(call="a", number=1, begun=10.5, ended=13.0, status=503, reason="status 503")]
    assert (witness.durations, told[-1]) == ([4.0], (1, 1))


def test_the_work_is_every_user_and_some_orders() -> None:
    """An answer with another id is found out."""
    work = plan(50)
    assert Counter(each.method for each in work) == {"GET": 50, "POST": 2}
    assert len({str(each) for each in work}) == 52
    third = work[2]
    assert str(third) == "GET /users/3"
    assert third.fault({"id": 3, "name": "Ada"}) is None
    assert third.fault({"id": 4}) == "the answer is {'id': 4}"
    assert Work(method="GET", url="/", options={}, wanted={}).fault(None) == "the answer is None"


def test_a_journal_that_cannot_be_judged_is_refused() -> None:
    """Without a sliding window, or with entries lost, nothing can be claimed."""
    with MockServer(limit=TokenBucket(10, 10)) as server, pytest.raises(ValueError, match=r"limit is .*bucket"):
        read_journal(server.url)
    with MockServer() as server, pytest.raises(ValueError, match="limit is off"):
        read_journal(server.url)
    lost = {"limit": {"kind": "window", "calls": 1, "period": 1.0}, "counts": {"requests": 1}, "entries": []}
    with pytest.raises(ValueError, match="kept 0 of 1 requests"):
        Seen.read(lost)


def test_the_journal_is_read_back_as_entries() -> None:
    """With the limit it was kept under."""
    with MockServer(limit=SlidingWindow(5, 2.0)) as server:
        assert read_journal(server.url) == Seen(quota=5, window=2.0, entries=())


def test_the_server_is_a_process_that_ends_with_the_block() -> None:
    """Also when the block ends badly."""
    stage = Stage(users=7, quota=5, errors=0.1, latency=(0.0, 0.1), dead=("1:2",), seed=3)
    with pytest.raises(ZeroDivisionError), serve(stage.options()) as url:  # noqa: PT012  the URL is needed after it
        assert read_journal(url).quota == 5
        raise ZeroDivisionError
    with pytest.raises(OSError, match="refused"):
        read_journal(url)


def test_a_server_that_does_not_start_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """With the command to run for oneself; its own words are on standard error."""
    with (
        pytest.raises(NotStartedError, match=r"did not start .* 2\): run .*--seed x"),
        serve(["--seed", "x"]),
    ):
        pass
    assert "is not a seed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--users=39", "from 40 to 400"),
        ("--users=1e2", "'1e2' is no whole number"),
        ("--workers=75", "take more than 75, or no burst ever meets the limit"),
        ("--engine=curl", "invalid choice"),
    ],
)
def test_a_bad_option_is_refused_before_anything_starts(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2, and what would be right."""
    with pytest.raises(SystemExit) as exit_:
        main([argument])
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option, examples, and what the exit status says."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for word in ("--users", "--seed", "--workers", "--engine", "--plain", "--json", "examples:", "exit status"):
        assert word in shown


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_server_does_not_outlive_an_interrupted_demo(number: signal.Signals, status: int) -> None:
    """Whichever signal ends the demo, the port is closed when it has gone."""
    with subprocess.Popen(
        [*DEMO, "--users", "40"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        ready = next(line for line in running.stdout if line.startswith("it is ready: "))
        url = ready.split()[-1].removesuffix("/__journal")
        next(line for line in running.stdout if " of 41 " in line)
        running.send_signal(number)
        _, errors = running.communicate(timeout=4 * HANGS)
    assert (running.returncode, errors.splitlines()[-1:]) == (status, ["interrupted; the mock server is stopped"])
    with pytest.raises(OSError, match="refused"):
        read_journal(url)


def test_the_demo_holds_what_it_claims() -> None:
    """As a process, on real sockets, through 429s, 503s, latency and dead periods, with fewer users than usual."""
    run = subprocess.run(
        [*DEMO, "--users", "80", "--json"], capture_output=True, text=True, timeout=20 * HANGS, check=False
    )
    figures = json.loads(run.stdout)
    failed = [check["name"] for check in figures["checks"] if not check["ok"]]
    assert run.returncode == int(bool(failed)), run.stdout + run.stderr
    assert [check for check in failed if not check.startswith("done in under")] == []  # that is the machine's affair
    assert figures["clients"]["async"]["calls"] == 83
