"""What the stage decides, in which order, on a clock that the test moves."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mockserver import Errors, EvenLatency, Outage, SlidingWindow, TokenBucket
from mockserver.limits import by_header
from tests.mockserver.conftest import Stage


def test_the_limiter_refuses_and_tells_the_earliest_time() -> None:
    """Two in ten seconds: the third is told when the first will be ten seconds old, and passes then."""
    stage = Stage(limit=SlidingWindow(2, 10.0))
    assert stage.get("/users/1").headers["ratelimit"] == '"default";r=1;t=10'
    stage.now = 3.5
    stage.get("/users/1")
    stage.now = 4.25
    refused = stage.get("/users/1")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "6")
    assert refused.headers["content-type"] == "application/problem+json"
    stage.now += 6
    assert stage.get("/users/1").status_code == 200
    stage.now += 1
    assert stage.get("/users/1").headers["retry-after"] == "3"


def test_a_limit_may_be_kept_per_client() -> None:
    """The key divides clients; each has the whole quota."""
    stage = Stage(limit=TokenBucket(1.0, 1), key=by_header("x-api-key"))
    statuses = [stage.get("/echo", headers={"x-api-key": key}).status_code for key in "abab"]
    assert statuses == [200, 200, 429, 429]


def test_one_limit_object_given_to_two_servers_is_not_shared() -> None:
    """It is taken as settings."""
    limit = SlidingWindow(1, 60.0)
    assert [Stage(limit=limit).get("/echo").status_code for _ in range(2)] == [200, 200]


def test_what_is_refused_is_not_processed() -> None:
    """A POST that got 429 has made nothing, and the journal says so."""
    stage = Stage(limit=SlidingWindow(1, 1.0))
    assert [stage.ask("POST", "/users", json={}).status_code for _ in range(2)] == [201, 429]
    stage.now = 1.0
    assert stage.get("/users").headers["x-total-count"] == "11"
    made, refused, _ = stage.journal.entries
    assert (made.accepted, made.processed) == (True, True)
    assert (refused.accepted, refused.processed, refused.fault_id) == (False, False, None)
    assert refused.retry_after == 1
    assert stage.journal.requests_in_any_window(1.0) == 1


def test_an_injected_error_has_cost_quota_but_done_nothing() -> None:
    """The limiter stands before it: the headers are there, the record is not."""
    stage = Stage(limit=SlidingWindow(5, 1.0), errors=Errors(probability=1, status=502, retry_after=3))
    answer = stage.ask("POST", "/users", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (502, "3")
    assert answer.headers["x-ratelimit-remaining"] == "4"
    (entry,) = stage.journal.entries
    assert (entry.accepted, entry.processed, entry.status) == (True, False, 502)
    assert answer.headers["x-fault-id"] == entry.fault_id


def test_a_refused_request_meets_no_error_and_no_latency() -> None:
    """429 comes at once, without a fault id."""
    stage = Stage(limit=SlidingWindow(1, 1.0), errors=Errors(probability=1), latency=EvenLatency(low=0.001, high=0.001))
    statuses = [stage.get("/echo").status_code for _ in range(2)]
    assert statuses == [503, 429]
    failed, refused = stage.journal.entries
    assert (failed.delay, refused.delay, refused.fault_id) == (0.001, 0.0, None)


@pytest.mark.parametrize(("probability", "status"), [(0, 200), (1, 503)])
def test_never_is_never_and_always_is_always(probability: float, status: int) -> None:
    """Two hundred requests, no exception."""
    stage = Stage(errors=Errors(probability=probability))
    answers = stage.ask_all(*(("GET", "/echo", {}) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {status}
    assert all(("x-fault-id" in answer.headers) is (status == 503) for answer in answers)


def calls(count: int, attempts: int) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        ("GET", f"/users/{number % 5 + 1}", {"headers": {"x-call-id": f"c{number}", "x-attempt": str(attempt)}})
        for number in range(count)
        for attempt in range(1, attempts + 1)
    ]


def verdicts(answers: list[httpx.Response]) -> dict[tuple[str, str], tuple[int, str | None]]:
    return {
        (a.request.headers["x-call-id"], a.request.headers["x-attempt"]): (a.status_code, a.headers.get("x-fault-id"))
        for a in answers
    }


def test_verdicts_do_not_depend_on_concurrency_or_on_other_requests() -> None:
    """One by one, all at once, with others between: every attempt of every call fares the same."""
    requests = calls(20, 3)
    alone = Stage(seed=3, errors=Errors(probability=0.4))
    one_by_one = verdicts([alone.ask(*request[:2], **request[2]) for request in requests])
    together = verdicts(Stage(seed=3, errors=Errors(probability=0.4)).ask_all(*requests))
    crowded = Stage(seed=3, errors=Errors(probability=0.4))
    mixed = []
    for request in requests:
        crowded.get("/orders/1")
        mixed.append(crowded.ask(*request[:2], **request[2]))
    assert one_by_one == together == verdicts(mixed)
    assert {status for status, _ in one_by_one.values()} == {200, 503}


def test_attempts_of_one_call_fare_differently_and_other_seeds_too() -> None:
    """Otherwise no retry would ever help."""
    first = verdicts(Stage(seed=1, errors=Errors(probability=0.5)).ask_all(*calls(10, 4)))
    other = verdicts(Stage(seed=2, errors=Errors(probability=0.5)).ask_all(*calls(10, 4)))
    assert first != other
    assert any(len({first[f"c{number}", str(attempt)] for attempt in range(1, 5)}) > 1 for number in range(10))


def test_requests_without_names_are_told_apart_by_their_number() -> None:
    """The n-th request to a target fares the same in every run, and a fault's name is never used twice."""
    runs = []
    for _ in range(2):
        stage = Stage(errors=Errors(probability=0.5))
        runs.append([stage.get("/users/1").headers.get("x-fault-id") for _ in range(30)])
    assert runs[0] == runs[1]
    faults = [fault for fault in runs[0] if fault]
    assert 5 < len(faults) == len(set(faults)) < 25


def test_a_status_without_a_registered_name_is_a_problem_too() -> None:
    """Its title is its number."""
    answer = Stage(errors=Errors(probability=1, status=599)).get("/echo")
    assert (answer.status_code, answer.json()["title"]) == (599, "Status 599")


def test_the_share_of_errors_is_the_probability() -> None:
    """Ten per cent of five hundred, give or take."""
    stage = Stage(errors=Errors(probability=0.1))
    answers = stage.ask_all(*(("GET", "/status/200", {}) for _ in range(500)))
    assert 30 < sum(answer.status_code == 503 for answer in answers) < 70


def test_a_dead_period_is_counted_from_the_first_request() -> None:
    """Dead from second 3 to second 5 after it, without Retry-After and without counting against the limit."""
    stage = Stage(limit=SlidingWindow(1, 100.0), outages=(Outage(start=3, duration=2),))
    stage.now = 50.0
    statuses = {}
    for now in (50.0, 52.9, 53.0, 54.9, 55.0):
        stage.now = now
        statuses[now] = stage.get("/echo")
    assert [answer.status_code for answer in statuses.values()] == [200, 429, 503, 503, 429]
    dead = statuses[53.0]
    assert "retry-after" not in dead.headers
    assert "ratelimit" not in dead.headers
    assert dead.headers["x-fault-id"] != statuses[54.9].headers["x-fault-id"]
    assert [each.accepted for each in stage.journal.entries] == [True, False, False, False, False]


def test_health_and_journal_are_clear_of_everything() -> None:
    """Not limited, not faulted, not journalled, and no first request."""
    stage = Stage(limit=SlidingWindow(1, 60.0), errors=Errors(probability=1), outages=(Outage(start=0, duration=1),))
    for _ in range(3):
        assert stage.get("/health").json() == {"status": "ok"}
        assert stage.get("/__journal").json()["entries"] == []
    stage.now = 5.0
    assert stage.get("/echo").json()["detail"] == "a dead period of the mock server"


def test_the_journal_is_served_whole() -> None:
    """Counts, statuses, settings and every field of every entry."""
    stage = Stage(seed=5, limit=SlidingWindow(50, 1.0))
    stage.now = 1.5
    headers = {"x-call-id": "abc", "x-attempt": "2", "idempotency-key": "k"}
    answer = stage.ask("POST", "/users?x=1", json={"name": "Ada"}, headers=headers)
    shown = stage.get("/__journal").json()
    assert {name: shown[name] for name in ("version", "seed", "limit", "counts", "statuses")} == {
        "version": 1,
        "seed": 5,
        "limit": {"kind": "window", "calls": 50, "period": 1.0},
        "counts": {"requests": 1, "in_flight": 0, "accepted": 1, "processed": 1, "faults": 0},
        "statuses": {"201": 1},
    }
    (entry,) = shown["entries"]
    expected = {
        "index": 0, "arrived": 1.5, "answered": 1.5, "finished": 1.5,
        "method": "POST", "path": "/users", "query": "x=1",
        "call_id": "abc", "attempt": 2, "idempotency_key": "k", "call": 0, "accepted": True, "processed": True,
        "delay": 0.0, "fault_id": None, "status": 201, "retry_after": None,
        "bytes_in": len(answer.request.content), "bytes_out": len(answer.content),
    }  # fmt: skip
    assert {name: entry[name] for name in expected} == expected
    assert entry == stage.journal.entries[0].to_json()


@pytest.mark.parametrize("attempt", ["", "x", "-1", "1.5", "9" * 5000])
def test_a_senseless_attempt_is_as_good_as_none(attempt: str) -> None:
    """It may not fail the request."""
    stage = Stage(errors=Errors(probability=0))
    assert stage.get("/echo", headers={"x-attempt": attempt}).status_code == 200
    assert stage.journal.entries[0].attempt is None


def test_the_journal_is_read_only() -> None:
    """And a wrong method there is a problem like any other."""
    answer = Stage().ask("DELETE", "/__journal")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


def test_the_journal_can_be_read_while_it_is_written() -> None:
    """From four threads, while a fifth adds a thousand entries."""
    stage = Stage()
    with ThreadPoolExecutor(5) as pool:
        writing = pool.submit(stage.ask_all, *(("GET", "/status/200", {}) for _ in range(1000)))
        reading = [pool.submit(lambda: [stage.journal.count(status=200) for _ in range(50)]) for _ in range(4)]
        writing.result()
        assert all(counts == sorted(counts) for counts in (each.result() for each in reading))
    assert stage.journal.count(status=200) == 1000
