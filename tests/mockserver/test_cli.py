"""The command line, as a process."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from mockserver import EvenLatency, Latency, MockServer
from mockserver.cli import EXAMPLES, _parser, _server, main
from mockserver.faults import fault
from mockserver.option_values import latency, rate
from tests.patience import HANGS


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "mockserver", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            ready = running.stdout.readline()
            assert re.match("mockserver ready on https?://127.0.0.1:", ready)
            yield running, ready.split()[-1]
        finally:
            running.kill()


@contextmanager
def hang_up(handler: signal.Handlers) -> Iterator[None]:
    """What is started in this block inherits what is to be done about SIGHUP, whatever nohup made of it here."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """Ready line, answers, clean end with status 0 and nothing said, a stalled request notwithstanding."""
    with hang_up(signal.SIG_DFL), process("--log", "off") as (running, url):
        assert httpx.get(f"{url}/health").status_code == 200
        with httpx.stream("GET", f"{url}/sse?count=2&interval=60"):
            running.send_signal(number)
            _, errors = running.communicate(timeout=HANGS)
        assert (running.returncode, errors) == (0, "")


def test_nohup_is_obeyed() -> None:
    """Where SIGHUP is ignored by whoever starts it, it goes on being ignored."""
    with hang_up(signal.SIG_IGN), process("--log", "off") as (running, url):
        running.send_signal(signal.SIGHUP)
        assert httpx.get(f"{url}/health").status_code == 200
        running.terminate()
        assert running.wait(HANGS) == 0


def test_the_log_is_one_line_per_request() -> None:
    """Pretty, with control characters of the path made visible."""
    with process("--errors", "1", "--error-status", "502") as (running, url):
        httpx.get(f"{url}/users/1?a=b", headers={"x-call-id": "c1", "x-attempt": "1"})
        httpx.get(f"{url}/%1b%0a")
        running.terminate()
        _, errors = running.communicate(timeout=HANGS)
    first, second = errors.splitlines()
    assert "502" in first
    assert "GET /users/1?a=b" in first
    assert "call c1 attempt 1" in first
    assert "\\x1b\\n" in second


def test_the_log_can_be_json() -> None:
    """One entry of the journal per line."""
    with process("--log", "json", "--dead", "0:60:reset") as (running, url):
        with pytest.raises(httpx.ReadError):
            httpx.get(f"{url}/users/1")
        running.terminate()
        _, errors = running.communicate(timeout=HANGS)
    entry = json.loads(errors)
    assert (entry["path"], entry["status"], entry["accepted"]) == ("/users/1", None, False)


def test_every_option_reaches_the_server() -> None:
    """What the flags say is what the server does."""
    options = ["--rate-limit", "3/1m", "--resource", "users:5", "--resource", "things:2", "--latency", "0-0"]
    with process(*options, "--seed", "9", "--log", "off") as (_, url):
        assert httpx.get(f"{url}/users").headers["x-total-count"] == "5"
        assert httpx.get(f"{url}/things/2").headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert httpx.get(f"{url}/orders").status_code == 404
        assert httpx.get(f"{url}/users").status_code == 429
        journal = httpx.get(f"{url}/__journal").json()
    assert (journal["seed"], journal["limit"]) == (9, {"kind": "window", "calls": 3, "period": 60.0})
    with MockServer(resources={"users": 5, "things": 2}, seed=9) as server:
        assert httpx.get(f"{server.url}/users/1").status_code == 200


def test_a_bucket_of_calls_refills_over_the_period() -> None:
    """50/10s is 5 per second and a burst of 50."""
    server = _server(_parser().parse_args(["--rate-limit", "50/10s", "--limit-kind", "bucket"]), [])
    with server:
        limit = httpx.get(f"http://127.0.0.1:{server.port}/__journal").json()["limit"]
    assert limit == {"kind": "bucket", "rate": 5.0, "burst": 50}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50/1s", (50, 1.0)), ("100/m", (100, 60.0)), ("5/250ms", (5, 0.25)), ("7/1.5h", (7, 5400.0))],
)
def test_rates_are_read(text: str, expected: tuple[int, float]) -> None:
    """A number may be left out of the period."""
    assert rate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.02", Latency(p50=0.02)),
        ("0.02/0.1", Latency(p50=0.02, p95=0.1)),
        ("0.01-0.05", EvenLatency(low=0.01, high=0.05)),
    ],
)
def test_latencies_are_read(text: str, expected: object) -> None:
    """Median, median and 95th percentile, or two ends."""
    assert latency(text) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate-limit", "50"], "50/1s"),
        (["--rate-limit", "0/1s"], "calls"),
        (["--latency", "fast"], "0.02"),
        (["--latency", "0.2/0.1"], "p95"),
        (["--latency", "0"], "p50"),
        (["--rate-limit", "5/0s"], "argument --rate-limit: period must be a number above 0"),
        (["--errors", "2"], "argument --errors: '2' is not a probability: a number from 0 to 1"),
        (["--errors", "10%"], "argument --errors: '10%' is not a probability: a number from 0 to 1"),
        (["--errors", "nan"], "a number from 0 to 1"),
        (["--errors", "1", "--error-status", "404"], "argument --error-status: '404' is not a 5xx status"),
        (["--error-status", "502"], "--error-status belongs to --errors"),
        (["--seed", "1.5"], "argument --seed: '1.5' is not a seed: a whole number"),
        (["--host", ""], "argument --host: host='': give an address of this machine"),
        (["--dead", "3"], "START:SECONDS"),
        (["--dead", "3:0"], "duration"),
        (["--resource", "users"], "users:500"),
        (["--resource", "echo:5"], "echo"),
        (["--resource", "users:5", "--resource", "users:6"], "argument --resource: users is given twice"),
        (["--chek"], "unknown option '--chek'; did you mean '--check'?"),
        (["--rate-limt", "5/s"], "unknown option '--rate-limt'; did you mean '--rate-limit'?"),
        (["--rate-limt=5/s"], "unknown option '--rate-limt'; did you mean '--rate-limit'?"),
        (["--port", "70000"], "65535"),
        (["--port", "http"], "65535"),
    ],
)
def test_a_bad_option_is_explained(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and a message with the way it would be right."""
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 2  # a page of usage would hide it


def test_a_taken_port_is_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    """With a line that says which, and no traceback."""
    with MockServer() as server:
        assert main(["--port", str(server.port)]) == 1
    assert capsys.readouterr().err.startswith("mockserver: cannot listen on 127.0.0.1:")


def test_help_teaches() -> None:
    """Every flag, examples, and the ready line that scripts wait for."""
    answer = subprocess.run(
        [sys.executable, "-m", "mockserver", "--help"], capture_output=True, text=True, check=True, env=os.environ
    )
    for part in ("--rate-limit", "--dead", "--latency", "--log", "examples:", "mockserver ready on", "/__journal"):
        assert part in answer.stdout


def test_the_fault_that_the_help_shows_for_callers_is_one() -> None:
    """Or who copies it is answered 400."""
    shown = re.findall(r"x-fault: (\w+)", EXAMPLES)
    assert shown
    for name in shown:
        fault(name)
