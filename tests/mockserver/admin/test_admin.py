"""The admin API as its users see it."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import MockServer
from mockserver.admin import AdminSettings
from mockserver.faults import FaultRule, Plan
from mockserver.stubs import stub
from rest_api_client.script import End, Head, Script
from tests.patience import HANGS

STUB = {"when": {"method": "GET", "path": "/x"}, "answer": {"json": {"a": 1}}}


class Both:
    """A server, and a client of its admin API."""

    def __init__(self, server: MockServer) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.admin.url, headers=server.admin.headers)

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.server.url}{path}")


@pytest.fixture
def both() -> Iterator[Both]:
    with MockServer(resources={"users": 5}, admin=True) as server:
        found = Both(server)
        with found.client:
            yield found


def test_health_tells_where_the_server_is(both: Both) -> None:
    """And what its door is like."""
    found = both.ask("GET", "/health")
    assert (found["status"], found["url"], found["door"]) == ("ok", both.server.url, "open")


def test_stubs_are_added_shown_replaced_and_removed(both: Both) -> None:
    """One by one or in a bundle; what is shown can be sent again."""
    assert both.ask("POST", "/stubs", 201, json=STUB) == {"ids": ["stub-1"]}
    assert both.get("/x").json() == {"a": 1}
    shown = both.ask("GET", "/stubs/stub-1")
    assert shown["count"] == {"met": 1, "answered": 1}
    del shown["count"]
    both.ask("PUT", "/stubs/stub-1", json={**shown, "answer": {"status": 418}})
    assert both.get("/x").status_code == 418
    bundle = {"version": 1, "stubs": [STUB | {"id": "a"}, STUB | {"id": "b"}]}
    assert both.ask("POST", "/stubs", 201, json=bundle) == {"ids": ["a", "b"]}
    both.ask("DELETE", "/stubs/a", 204)
    assert [each["id"] for each in both.ask("GET", "/stubs")["stubs"]] == ["stub-1", "b"]
    both.ask("DELETE", "/stubs", 204)
    assert both.ask("GET", "/stubs") == {"stubs": []}
    assert both.get("/x").status_code == 404


def test_a_new_stub_has_a_location(both: Both) -> None:
    """Where it can be read; several have none."""
    answer = both.client.post("/stubs", json=STUB)
    assert both.ask("GET", answer.headers["location"])["id"] == "stub-1"
    answer = both.client.post("/stubs", json={"stubs": [STUB, STUB]})
    assert "location" not in answer.headers


@pytest.mark.parametrize("name", ["a/b", "ä €", "a%2Fb", "?#", "a\r\nset-cookie: b", ".."])
def test_a_stub_is_found_at_its_location_whatever_its_id(name: str, both: Both) -> None:
    """It is percent-encoded, and in no other header field."""
    answer = both.client.post("/stubs", json={**STUB, "id": name})
    assert "set-cookie" not in answer.headers
    location = answer.headers["location"]
    if name.isprintable() and name != "..":  # which clients take for the folder above, encoded or not
        assert both.ask("GET", location)["id"] == name
        both.ask("DELETE", location, 204)
        assert both.ask("GET", "/stubs") == {"stubs": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/stubs", {"when": {"path": "/x"}}, 400, "answer is missing"),
        ("POST", "/stubs", {**STUB, "prority": 1}, 400, "priority"),
        ("POST", "/stubs", {**STUB, "answer": {"body_file": "x"}}, 400, "files"),
        ("PUT", "/stubs/kept", {"stubs": [STUB, STUB]}, 400, "one stub"),
        ("PUT", "/stubs/nobody", STUB, 404, "nobody"),
        ("GET", "/stubs/nobody", None, 404, "nobody"),
        ("PUT", "/faults", {"text": "rule=erorr(503)"}, 400, "erorr"),
        ("PUT", "/faults", {"text": "", "seed": 1}, 400, "not both"),
        ("PUT", "/faults", {"rules": ["reset seed=9"]}, 400, "one value"),
        ("PUT", "/faults", {"rules": "reset"}, 400, "list"),
        ("PUT", "/faults", {"rules": [1]}, 400, "text"),
        ("PUT", "/faults", {"seed": "1"}, 400, "seed='1': give a whole number"),
        ("PUT", "/faults", {"seed": True}, 400, "seed=True: give a whole number"),
        ("PUT", "/faults", {"caller_faults": 1}, 400, "caller_faults=1: give true or false"),
        ("PUT", "/faults", {"scenario": ""}, 400, "scenario='': give a text, or leave it out"),
        ("PUT", "/faults", {"rules": [" "]}, 400, "rule=' ': give a text"),
        ("PUT", "/faults", None, 400, "PUT needs a body here: a JSON object, {} for an empty one"),
        ("PUT", "/phases", None, 400, "PUT needs a body"),
        ("PUT", "/phases", {"scenario": None}, 400, "leave it out"),
        ("POST", "/stubs", None, 400, "POST needs a body"),
        ("PUT", "/faults", {"sede": 1}, 400, "seed"),
        ("PUT", "/phases", {"rules": []}, 400, "scenario"),
        ("PUT", "/phases", {"scenario": "brownuot"}, 400, "brownuot"),
        ("GET", "/journal?stauts=200", None, 400, "status"),
        ("GET", "/journal?status=x", None, 400, "whole number"),
        ("GET", "/journal?since=-1", None, 400, "whole number"),
        ("GET", "/journal?path=/a&path=/b", None, 400, "twice"),
        ("POST", "/reset", {"all": True}, 400, "all"),
        ("POST", "/spaces", {"name": "../x"}, 400, "1 to 64"),
        ("POST", "/spaces", {}, 400, "name"),
        ("DELETE", "/spaces/nobody", None, 404, "nobody"),
        ("GET", "/spaces/nobody/journal", None, 404, "POST /spaces"),
        ("PATCH", "/stubs", {}, 405, "PATCH"),
        ("GET", "/nothing", None, 404, "/nothing"),
    ],
)
def test_what_makes_no_sense_is_a_problem_that_says_so(
    method: str, path: str, body: Any, status: int, said: str, both: Both
) -> None:
    """RFC 9457, with the way it would be right."""
    both.server.stub("GET", "/kept", id="kept")
    found = both.ask(method, path, status, **({} if body is None else {"json": body}))
    assert found["status"] == status
    assert said in found["detail"]


def test_a_stub_made_in_python_is_shown_as_far_as_it_can_be(both: Both) -> None:
    """A function cannot be written down; that is said, and its text shown."""
    made = stub("GET", "/x")
    both.server.stubs.add(type(made)(when=made.when, answer=lambda seen, captures: Script(Head(204), End()), id="f"))
    (shown,) = both.ask("GET", "/stubs")["stubs"]
    assert shown["id"] == "f"
    assert "/x" in shown["text"]
    assert shown["unwritten"]


def test_faults_as_text_and_in_parts(both: Both) -> None:
    """What is shown, in either form, can be sent again and means the same."""
    text = 'seed=7 latency=constant(0.0) scenario=brownout(duration=30) rule=rule(reset, path="/r*") rule=error(500)'
    shown = both.ask("PUT", "/faults", json={"text": text})
    assert both.server.faults is not None
    plan = both.server.faults.plan
    assert plan == Plan.parse(text)
    for again in ({"text": shown["text"]}, {name: value for name, value in shown.items() if name != "text"}):
        assert both.ask("PUT", "/faults", json=again) == shown
        assert both.server.faults.plan == plan
    both.ask("PUT", "/faults", json={})
    assert both.ask("GET", "/faults") == {
        "text": "seed=0",
        "seed": 0,
        "zero": "first",
        "caller_faults": False,
        "rules": [],
    }


def test_faults_made_in_python_are_shown_as_far_as_they_can_be(both: Both) -> None:
    """A function has no text."""
    both.server.faults = Plan(rules=(FaultRule(lambda script: script),))
    shown = both.ask("GET", "/faults")
    assert shown["text"] is None
    assert "cannot be written" in shown["unwritten"]


def test_a_scenario_leaves_the_rules(both: Both) -> None:
    """And tells which phases are going on."""
    both.ask("PUT", "/faults", json={"rules": ["error(500)"]})
    found = both.ask("PUT", "/phases", json={"scenario": "outage(start=0s, duration=30s, how='error')"})
    assert both.server.faults is not None
    assert len(both.server.faults.plan.rules) == 1
    (phase,) = found["phases"]
    assert (phase["name"], phase["start"], phase["end"], phase["now"]) == ("dead", 0, 30, True)
    assert both.get("/users/1").status_code == 503
    both.ask("PUT", "/phases", json={})
    assert both.ask("GET", "/phases") == {"scenario": None, "since": pytest.approx(0, abs=5), "phases": []}
    assert both.get("/users/1").status_code == 500


def test_the_journal_is_read_in_part(both: Both) -> None:
    """By what entries have, and from a mark on."""
    for path in ("/users/1", "/users/99", "/users/1"):
        both.get(path)
    whole = both.ask("GET", "/journal")
    assert (whole["counts"]["requests"], whole["next"], whole["statuses"]) == (3, 3, {"200": 2, "404": 1})
    assert [each["index"] for each in both.ask("GET", "/journal?path=/users/1")["entries"]] == [0, 2]
    assert [each["index"] for each in both.ask("GET", "/journal?status=404")["entries"]] == [1]
    assert [each["index"] for each in both.ask("GET", "/journal?since=1&limit=1")["entries"]] == [1]
    assert both.ask("GET", "/journal?since=3")["entries"] == []
    both.ask("DELETE", "/journal", 204)
    assert len(both.server.journal) == 0


def test_figures_and_rules(both: Both) -> None:
    """What the server's user would get in Python, as JSON."""
    secret = {"authorization": "Bearer abc"}
    httpx.get(f"{both.server.url}/users/1", headers=secret)
    assert both.ask("GET", "/check") == {"ok": True, "violations": []}
    httpx.get(f"{both.server.other_origin.url}/users/1", headers=secret)
    found = both.ask("GET", "/check")
    assert (found["ok"], found["violations"][0]["rule"]) == (False, "credentials")
    assert both.ask("GET", "/metrics")["phases"][0]["requests"] == 1
    both.server.reset()  # or the rule would fail this test at its end


def test_reset_begins_again(both: Both) -> None:
    """As `MockServer.reset`."""
    both.server.stub("GET", "/x", json=1)
    both.ask("POST", "/reset", 204)
    both.ask("POST", "/reset", 204, json={})
    assert both.get("/x").status_code == 404


def test_spaces_have_an_admin_api_each(both: Both) -> None:
    """Under /spaces/NAME; the server's own is left alone."""
    made = both.ask("POST", "/spaces", 201, json={"name": "gw0"})
    assert made == {"name": "gw0", "url": both.server.space("gw0").url}
    assert both.ask("GET", "/spaces") == {"spaces": [made]}
    both.ask("POST", "/spaces/gw0/stubs", 201, json=STUB)
    assert httpx.get(f"{made['url']}/x").status_code == 200
    assert both.get("/x").status_code == 404
    assert both.ask("GET", "/spaces/gw0/journal")["counts"]["requests"] == 1
    both.ask("DELETE", "/spaces/gw0", 204)
    assert both.ask("GET", "/spaces") == {"spaces": []}


def test_there_are_only_so_many_spaces() -> None:
    """507 says what to do."""
    with MockServer(admin=True, most_spaces=1) as server:
        both = Both(server)
        with both.client:
            both.ask("POST", "/spaces", 201, json={"name": "a"})
            assert "remove" in both.ask("POST", "/spaces", 507, json={"name": "b"})["detail"]


def test_there_are_only_so_many_stubs(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client in a loop does not fill the memory."""
    monkeypatch.setattr("mockserver.admin.routes.MOST_STUBS", 1)
    both.ask("POST", "/stubs", 201, json=STUB)
    both.ask("POST", "/stubs", 507, json=STUB)


def test_nothing_on_the_servers_port_blocks_it(both: Both) -> None:
    """Not a closed door, not a handler that keeps the server's loop busy."""
    released = threading.Event()
    taken = threading.Event()

    def hang(seen: object, captures: object) -> Script:
        taken.set()
        released.wait(HANGS)
        return Script(Head(204), End())

    made = stub("GET", "/hang")
    both.server.stubs.add(type(made)(when=made.when, answer=hang))
    asking = threading.Thread(target=both.get, args=("/hang",))
    asking.start()
    try:
        assert taken.wait(HANGS)
        assert both.ask("GET", "/health")["status"] == "ok"
        assert both.ask("GET", "/journal")["counts"]["in_flight"] == 1
    finally:
        released.set()
        asking.join()
    both.ask("PUT", "/phases", json={"scenario": "outage(duration=3600s)"})
    assert both.ask("GET", "/health")["status"] == "ok"


def test_it_is_off_unless_asked_for() -> None:
    """And says how to ask."""
    with MockServer() as server, pytest.raises(RuntimeError, match="admin=True"):
        _ = server.admin
    with pytest.raises(ValueError, match="AdminSettings"):
        MockServer(admin=8001)  # type: ignore[arg-type]
    for host in ("0.0.0.0", "::", ""):
        with pytest.raises(ValueError, match="name one address"):
            AdminSettings(host=host)


def test_the_token_is_another_one_each_time_and_can_be_had_from_a_file(tmp_path: Path) -> None:
    """Readable for its owner only, whatever was there before; gone when the server is."""
    file, victim = tmp_path / "token", tmp_path / "victim"
    victim.write_text("mine")
    file.symlink_to(victim)
    tokens = []
    for _ in range(2):
        with MockServer(admin=AdminSettings(token_file=file)) as server:
            tokens.append(file.read_text().strip())
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert tokens[-1] == server.admin.token
            assert repr(server.admin) == f"<Admin {server.admin.url}>"
        assert not file.exists()
    assert len(set(tokens)) == 2
    assert min(map(len, tokens)) >= 43
    assert victim.read_text() == "mine"


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """No server is left behind."""
    server = MockServer(admin=AdminSettings(token_file=tmp_path / "no" / "folder"))
    with pytest.raises(OSError, match="folder"):
        server.start()
    assert not [each for each in threading.enumerate() if each.name.startswith("mockserver")]


def test_a_file_that_holds_something_else_is_kept(tmp_path: Path) -> None:
    """It could be anything: the token would overwrite it, and its removal at the end take it away."""
    file = tmp_path / "notes"
    file.write_text("mine")
    with pytest.raises(OSError, match=r"notes, which is there and holds no token"):
        MockServer(admin=AdminSettings(token_file=file)).start()
    assert file.read_text() == "mine"


@pytest.mark.parametrize("left", ["", "A" * 43 + "\n"])
def test_the_token_of_a_server_that_was_killed_is_replaced(tmp_path: Path, left: str) -> None:
    """As is the empty file that mktemp makes."""
    file = tmp_path / "token"
    file.write_text(left)
    with MockServer(admin=AdminSettings(token_file=file)) as server:
        assert file.read_text().strip() == server.admin.token


def test_a_pipe_in_the_place_of_the_file_is_neither_opened_nor_removed(tmp_path: Path) -> None:
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="holds no token"):
        MockServer(admin=AdminSettings(token_file=tmp_path / "pipe")).start()
    assert (tmp_path / "pipe").exists()


def test_a_file_that_another_server_took_over_is_left_to_it(tmp_path: Path) -> None:
    """Each removes its own token only."""
    file = tmp_path / "token"
    with MockServer(admin=AdminSettings(token_file=file)):
        second = MockServer(admin=AdminSettings(token_file=file)).start()
    assert file.read_text().strip() == second.admin.token
    second.stop()
    assert not file.exists()


@pytest.mark.parametrize(
    "settings", [{"port": -1}, {"port": 65536}, {"port": "1"}, {"host": 5}, {"token_file": "a\0b"}, {"token_file": ""}]
)
def test_settings_that_make_no_sense_are_refused_when_they_are_made(settings: dict[str, Any]) -> None:
    """With the name of the setting, and what to give."""
    (name,) = settings
    with pytest.raises(ValueError, match=rf"AdminSettings\({name}=.*give"):
        AdminSettings(**settings)


def test_it_listens_where_it_is_told() -> None:
    """On IPv6 too, where Host has brackets."""
    with MockServer(admin=AdminSettings(host="::1")) as server:
        assert server.admin.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.admin.url}/health", headers=server.admin.headers).status_code == 200
