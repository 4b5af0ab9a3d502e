"""Spaces, and what can be asked of a server and of each of them."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from mockserver import MockServer, SlidingWindow
from mockserver.faults import FaultRule, Plan, fault
from mockserver.limits import Limits
from mockserver.seen import Seen
from mockserver.spaces import MOST_SPACES, Space, TooManySpacesError, readdressed
from mockserver.stubs import Stubs, stub
from rest_api_client import APIClient, VirtualClock
from rest_api_client.script import Chunk, End, Head, Script
from rest_api_client.utils import parse_http_date
from tests.patience import HANGS, wait_until


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(resources={"users": 50}, limit=SlidingWindow(3, 60.0)) as running:
        yield running


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_space_is_reached_by_prefix_and_by_header(server: MockServer) -> None:
    """Both lead to one journal, which has the path without the prefix; the server's own sees none of it."""
    space = server.space("gw0")
    assert space.url == f"{server.url}/__space/gw0"
    assert get(f"{space.url}/users/1").json()["id"] == 1
    assert get(f"{server.url}/users/2?a=b", **space.headers).json()["id"] == 2
    assert [entry.target for entry in space.journal] == ["/users/1", "/users/2?a=b"]
    assert len(server.journal) == 0
    assert server.space("gw0") is space


def test_the_root_of_a_space_is_its_url(server: MockServer) -> None:
    """With and without a slash."""
    for url in (server.space("a").url, server.space("a").url + "/"):
        get(url)
    assert [entry.path for entry in server.space("a").journal] == ["/", "/"]


def test_spaces_share_nothing(server: MockServer) -> None:
    """Not the limit, the records, the stubs, the faults; health and journal answer for the space."""
    one, other = server.space("one"), server.space("other")
    one.stub("GET", "/x", json=1)
    one.faults = Plan(rules=(FaultRule(fault("error(502)"), path="/users/5"),))
    assert [get(f"{one.url}{path}").status_code for path in ("/x", "/users/5", "/users/1", "/users/1")] == [
        200,
        502,
        200,
        429,
    ]
    assert get(f"{other.url}/x").status_code == 404
    assert get(f"{other.url}/users/5").status_code == 200
    assert httpx.delete(f"{other.url}/users/5").status_code == 204
    assert get(f"{server.url}/users/5").status_code == 200
    assert get(f"{one.url}/health").status_code == 200
    assert get(f"{one.url}/__journal").json()["counts"]["requests"] == 4


def test_a_space_begins_as_the_server_was_made() -> None:
    """With its seed, its stubs, its faults, none of which has counted yet."""
    with MockServer(
        stubs=[stub("GET", "/once", json=1, times=1)], faults=Plan(rules=(FaultRule(fault("error(500)"), nth=(2,)),))
    ) as server:
        for base in (server.url, server.space("a").url, server.space("b").url):
            statuses = [get(f"{base}/once").status_code, get(f"{base}/once").status_code]
            assert statuses == [200, 500]


def test_links_lead_back_into_the_space(server: MockServer) -> None:
    """As behind a reverse proxy: Location and Link get the prefix where they lead to this server."""
    space = server.space("gw1")
    with APIClient(base_url=space.url) as client:
        assert client.post("/users", json={"name": "Ada"}).headers["location"].startswith("/__space/gw1/users/")
    link = get(f"{space.url}/users?per_page=5").headers["link"]
    assert f'<{space.url}/users?page=2&per_page=5>; rel="next"' in link
    assert "/__space" not in get(f"{server.url}/users?per_page=5", x_mock_space="gw2").headers["link"]


def test_what_leads_elsewhere_is_left_alone() -> None:
    """Other origins, relative references, protocol-relative ones, and bodies."""
    fields = (
        ("Location", "//elsewhere/a"),
        ("content-location", "a/b"),
        ("link", '<https://elsewhere/a>; rel="next", <http://here:1/b>; rel="x", <?page=2>; rel="y"'),
        ("x-location", "/a"),
    )
    script = Script(Head(201, fields), Chunk(b"/a"), End())
    head = readdressed(script, "/__space/s", "http://here:1").steps[0]
    assert isinstance(head, Head)
    expected = (*fields[:2], ("link", fields[2][1].replace("here:1/", "here:1/__space/s/")), fields[3])
    assert head.headers == expected


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "\u00e4", "a" * 65, "a\n", "%2e", "_x"])
def test_a_name_that_is_none_is_refused(name: str, server: MockServer) -> None:
    """In Python with an error, on the wire with a 400; no space comes of it."""
    with pytest.raises(ValueError, match="1 to 64"):
        server.space(name)
    performance = server.spaces.begin(Seen(method="GET", path="/users/1", fields=(("x-mock-space", name),)))
    head = performance.answer(b"").steps[0]
    assert isinstance(head, Head)
    assert head.status == 400
    assert (server.spaces.names, len(server.journal)) == ((), 0)


def test_no_path_leads_out_of_a_space(server: MockServer) -> None:
    """Dots are part of a path, not steps in it, and a space in a space is a path that is not there."""
    for path in ("/__space/../users/1", "/__space/%2e%2e/users/1", "/__space//users/1"):
        assert raw(server, path) == 400
    assert raw(server, "/__space/a/../../users/1") == 404
    assert raw(server, "/__space/a/__space/b/users/1") == 404
    assert server.spaces.names == ("a",)
    assert len(server.journal) == 0


def raw(server: MockServer, path: str) -> int:
    with socket.create_connection((server.host, server.port), timeout=HANGS) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: stage\r\nconnection: close\r\n\r\n".encode())
        return int(b"".join(iter(lambda: sock.recv(65536), b"")).split()[1])


def test_two_names_in_one_request_are_refused(server: MockServer) -> None:
    """By prefix and by header, and not the same."""
    assert get(f"{server.space('a').url}/users/1", x_mock_space="b").status_code == 400
    assert get(f"{server.space('a').url}/users/1", x_mock_space="a").status_code == 200


def test_there_are_only_so_many() -> None:
    """Then a request for another is answered 503, and `space` raises; a removed one makes room, and is forgotten."""
    with MockServer(most_spaces=2) as server:
        first = server.space("a")
        get(f"{first.url}/users/1")
        assert get(f"{server.url}/users/1", x_mock_space="b").status_code == 200
        assert server.spaces.names == ("a", "b")
        assert get(f"{server.url}/users/1", x_mock_space="c").status_code == 503
        with pytest.raises(TooManySpacesError, match="remove"):
            server.space("c")
        first.remove()
        first.remove()
        assert server.spaces.find("a") is None
        assert len(server.space("a").journal) == 0
    assert MOST_SPACES >= 64


def test_threads_that_ask_at_once_get_one_space(server: MockServer) -> None:
    """Made once, whoever comes first."""
    found: list[Space] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(server.space("same"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each in found}) == 1


def test_reset_begins_again(server: MockServer) -> None:
    """Journal, limit, records, stubs and faults; spaces are left alone, and so is the server when a space is reset."""
    space = server.space("a")
    for scene, url in ((server, server.url), (space, space.url)):
        scene.stub("GET", "/x", json=1)
        scene.faults = "rule=rule(error(500), path='/users/2')"
        assert httpx.delete(f"{url}/users/1").status_code == 204
    server.reset()
    assert (len(server.journal), server.journal.counts["requests"], server.faults) == (0, 0, None)
    assert get(f"{server.url}/users/1").status_code == 200
    assert get(f"{server.url}/x").status_code == 404
    assert [get(f"{server.url}/users/2").status_code for _ in range(2)] == [200, 429]
    assert get(f"{space.url}/x").status_code == 200
    space.reset()
    assert get(f"{space.url}/x").status_code == 404


def test_a_request_in_flight_ends_in_the_journal_it_began_in(server: MockServer) -> None:
    """A reset does not lose it, and the new journal does not see it."""
    before = server.journal
    with httpx.stream("GET", f"{server.url}/sse?count=2&interval=60"):
        server.reset()
        assert before.counts["in_flight"] == 1
    before.wait_until_quiet(HANGS)
    assert (before.counts["requests"], server.journal.counts["requests"]) == (1, 0)


def test_faults_can_be_set_while_the_server_runs(server: MockServer) -> None:
    """As a plan, as text, and none; their text replays them."""
    server.faults = "seed=4 rule=error(503)"
    assert server.faults is not None
    assert server.faults.describe() == "seed=4 rule=rule(fault=error(503))"
    assert get(f"{server.url}/users/1").status_code == 503
    server.faults = None
    assert get(f"{server.url}/users/1").status_code == 200
    with pytest.raises(ValueError, match="erorr"):
        server.faults = "rule=erorr(503)"
    with pytest.raises(ValueError, match="give a Plan"):
        server.faults = 503  # type: ignore[assignment]


def test_a_door_that_is_set_while_the_server_runs_closes() -> None:
    """Connections are refused from then on, until other faults are set."""
    with MockServer() as server:
        server.faults = "zero=start scenario=outage(start=0, duration=3600)"
        until(server, "refused")
        with pytest.raises(httpx.ConnectError):
            get(f"{server.url}/users/1")
        server.faults = None
        until(server, "open")
        assert get(f"{server.url}/users/1").status_code == 200


def until(server: MockServer, door: str) -> None:
    wait_until(lambda: server.gate.door == door)


def test_a_closed_door_of_a_space_cuts_its_requests_only(server: MockServer) -> None:
    """A port cannot be closed for one space: its requests are reset."""
    space = server.space("a")
    space.faults = "zero=start scenario=outage(start=0, duration=3600)"
    with pytest.raises(httpx.ReadError):
        get(f"{space.url}/users/1")
    assert get(f"{server.url}/users/1").status_code == 200


def test_limits_can_be_set_while_the_server_runs(server: MockServer) -> None:
    """A limit, several, none; what is set is unused, and the journal's JSON tells of it."""
    server.limits = SlidingWindow(1, 60.0)
    assert [get(f"{server.url}/users/1").status_code for _ in range(2)] == [200, 429]
    assert get(f"{server.url}/__journal").json()["limit"]["calls"] == 1
    assert isinstance(server.limits, Limits)
    server.limits = server.limits
    assert get(f"{server.url}/users/1").status_code == 200
    server.limits = None
    assert get(f"{server.url}/users/1").status_code == 200
    with pytest.raises(ValueError, match="SlidingWindow"):
        server.limits = 5  # type: ignore[assignment]


def test_a_stub_is_added_in_one_call(server: MockServer) -> None:
    """`stub` gives its id, `stubs` has it."""
    number = server.stub("GET", "/x/{id}", json={"id": "{path.id}"}, id="mine")
    assert number == "mine"
    assert get(f"{server.url}/x/7").json() == {"id": "7"}
    assert server.stubs.count("mine").answered == 1


def test_a_request_that_nobody_answers_is_told_which_stub_was_near(server: MockServer) -> None:
    """As the detail of a 404; without any stub the 404 is the usual one."""
    assert "no stub" not in get(f"{server.url}/thing").json()["detail"]
    server.stub("POST", "/thing", status=201)
    detail = get(f"{server.url}/thing").json()["detail"]
    assert "no stub answers GET /thing" in detail
    assert "POST" in detail


def test_stubs_of_another_kind_answer_and_take_no_more() -> None:
    """Whatever has `answer` will do; `stubs` says what to give instead."""

    class Teapot:
        def answer(self, seen: Seen) -> Script:
            return Script(Head(418), End())

    with MockServer(stubs=Teapot()) as server:
        assert get(f"{server.url}/").status_code == 418
        with pytest.raises(TypeError, match="Stubs"):
            _ = server.stubs


def test_check_knows_the_limit_and_the_other_origin(server: MockServer) -> None:
    """What broke a rule is told; a client that behaves broke none; a space is judged by itself."""
    assert server.check() == []
    secret = {"authorization": "Bearer abc"}
    httpx.get(f"{server.url}/users/1", headers=secret)
    httpx.get(f"{server.other_origin.url}/users/1", headers=secret)
    assert [each.rule for each in server.check() if not each.warning] == ["credentials"]
    space = server.space("a")
    assert space.check() == []
    httpx.get(f"{space.url}/users/1", headers=secret)
    httpx.get(f"{space.other_origin.url}/users/1", headers=secret)
    assert [each.rule for each in space.check() if not each.warning] == ["credentials"]
    space.remove()  # or the rule would fail this test at its end
    server.reset()


def test_the_other_origin_is_another_port_on_the_same_clock(server: MockServer) -> None:
    """One, whose journal is its own, and which stops with the server; nothing goes wrong there."""
    other = server.other_origin
    assert other is server.other_origin
    assert other.port != server.port
    assert [get(f"{other.url}/users/1").status_code for _ in range(5)] == [200] * 5
    assert (len(other.journal), len(server.journal)) == (5, 0)
    assert abs(other.now() - server.now()) < 0.1
    assert space_of(server).other_origin is other.space("a")
    server.stop()
    with pytest.raises(httpx.ConnectError):
        get(f"{other.url}/users/1")


def space_of(server: MockServer) -> Space:
    return server.space("a")


def test_there_is_no_other_origin_before_the_start() -> None:
    """It would have no clock."""
    with pytest.raises(RuntimeError, match="start"):
        _ = MockServer().other_origin


def test_a_space_can_be_played_in_process() -> None:
    """Without a socket, after a reset too."""
    server = MockServer(resources={"users": 3}, stubs=Stubs())
    space = server.space("a")
    with APIClient(base_url="http://stage", engine=space.transport()) as client:
        assert client.get("/users/1").data["id"] == 1
        space.reset()
        assert client.get("/users/2").data["id"] == 2
    assert [entry.path for entry in space.journal] == ["/users/2"]
    assert repr(space) == "<Space 'a'>"
    with pytest.raises(RuntimeError, match="no clock"):
        MockServer().now()


def test_what_the_server_serves_goes_by_its_clock_too() -> None:
    """A record made in virtual time was last modified then."""
    server = MockServer(resources={"users": 1})
    clock = VirtualClock()
    with APIClient(base_url="http://stage", engine=server.transport(), clock=clock) as client:
        made = client.post("/users", json={"name": "Ada"})
    assert parse_http_date(made.headers["last-modified"]) == int(clock.time())
