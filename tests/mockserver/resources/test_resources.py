"""Collections, their pages and their problems."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import MockServer
from mockserver.resource_names import RESERVED
from mockserver.resources import application
from tests.mockserver.conftest import Stage


def links(header: str) -> dict[str, str]:
    parts = [part.split("; ") for part in header.split(", ")]
    return {rel.removeprefix('rel="').rstrip('"'): url.strip("<>") for url, rel in parts}


def test_the_same_id_is_the_same_person_in_any_order() -> None:
    """Two servers with one seed agree on every user, though asked in different order; another seed differs."""
    order = list(range(1, 11))
    first, second, other = Stage(seed=7), Stage(seed=7), Stage(seed=8)
    people = {number: first.get(f"/users/{number}").json() for number in order}
    random.Random(1).shuffle(order)
    assert {number: second.get(f"/users/{number}").json() for number in order} == people
    assert second.get("/users").json() == list(people.values())
    assert other.get("/users/1").json() != people[1]


def test_orders_refer_to_users_that_exist(stage: Stage) -> None:
    """Every userId leads to a user."""
    for order in stage.get("/orders").json():
        assert stage.get(f"/users/{order['userId']}").status_code == 200


def test_following_next_visits_every_record_once(stage: Stage) -> None:
    """Ten users, three at a time; X-Total-Count tells the whole."""
    seen, url = [], "/users?per_page=3"
    while url:
        answer = stage.get(url)
        seen += [user["id"] for user in answer.json()]
        assert answer.headers["x-total-count"] == "10"
        url = links(answer.headers["link"]).get("next", "")
    assert seen == list(range(1, 11))


def test_links_of_the_first_middle_and_last_page(stage: Stage) -> None:
    """No prev on the first, no next on the last."""
    rels = [set(links(stage.get(f"/users?per_page=4&page={page}").headers["link"])) for page in (1, 2, 3)]
    assert rels == [{"first", "next", "last"}, {"first", "prev", "next", "last"}, {"first", "prev", "last"}]


def test_a_page_beyond_the_last_is_empty_and_leads_back(stage: Stage) -> None:
    """Its prev is the last page that has anything."""
    answer = stage.get("/users?per_page=5&page=99")
    assert answer.json() == []
    assert links(answer.headers["link"])["prev"] == "http://stage/users?page=2&per_page=5"


def test_an_empty_collection_has_one_page() -> None:
    """And no next."""
    answer = Stage(resources={"users": 0}).get("/users")
    assert (answer.json(), set(links(answer.headers["link"]))) == ([], {"first", "last"})


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=", "page=1.5", "page=%2B1", "page=" + "9" * 5000, "page=%D9%A1",
              "per_page=0", "per_page=101", "per_page=1_0"],
)  # fmt: skip
def test_a_bad_page_is_a_problem(stage: Stage, query: str) -> None:
    """400, with what was wrong and what would be right."""
    answer = stage.get(f"/users?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    body = answer.json()
    assert body["title"] == "Bad Request"
    assert "must be a whole number from 1 to" in body["detail"]


def test_a_record_lives_from_post_to_delete(stage: Stage) -> None:
    """Created, read, replaced, changed, deleted, gone."""
    made = stage.ask("POST", "/users", json={"name": "Ada", "city": "London"})
    assert (made.status_code, made.headers["location"]) == (201, "/users/11")
    assert made.json() == {"name": "Ada", "city": "London", "id": 11}
    assert stage.get("/users/11").json() == made.json()
    assert stage.ask("PUT", "/users/11", json={"name": "Grace"}).json() == {"name": "Grace", "id": 11}
    assert stage.ask("PATCH", "/users/11", json={"city": "New York"}).json()["city"] == "New York"
    assert stage.ask("PATCH", "/users/11", json={"city": None}).json() == {"name": "Grace", "id": 11}
    gone = stage.ask("DELETE", "/users/11")
    assert (gone.status_code, gone.content) == (204, b"")
    assert stage.get("/users/11").status_code == 404
    assert stage.ask("POST", "/users", json={}).json()["id"] == 12


def test_a_made_record_can_be_changed(stage: Stage) -> None:
    """PATCH keeps what it does not name; the list shows the change, and the deletion of another."""
    before = stage.get("/users/3").json()
    after = stage.ask("PATCH", "/users/3", json={"name": "Ada"}).json()
    assert after == {**before, "name": "Ada"}
    stage.ask("DELETE", "/users/4")
    answer = stage.get("/users")
    assert after in answer.json()
    assert [user["id"] for user in answer.json()] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert answer.headers["x-total-count"] == "9"


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/users/0", {}, 404),
        ("GET", "/users/11", {}, 404),
        ("GET", "/users/x", {}, 404),
        ("GET", "/users/" + "9" * 5000, {}, 404),
        ("DELETE", "/users/11", {}, 404),
        ("PUT", "/users/11", {"json": {}}, 404),
        ("POST", "/users", {"content": "{}"}, 415),
        ("POST", "/users", {"data": {"name": "Ada"}}, 415),
        ("POST", "/users", {"content": "{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": b"\xff\xfe", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": '{"a": NaN}', "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": '{"a": 1e999}', "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": r'{"a": "\ud800"}', "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": "[" * 65 + "]" * 65, "headers": {"content-type": "application/json"}}, 400),
        ("GET", "/nothing", {"headers": {"host": "[::1"}}, 404),
        ("POST", "/users", {"content": "[" * 100_000, "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/users", {"content": b" " * (1 << 21), "headers": {"content-type": "application/json"}}, 413),
        ("POST", "/users", {"json": [1]}, 422),
        ("POST", "/users", {"json": {"id": 5}}, 422),
        ("POST", "/users", {"json": {"name": 5}}, 422),
        ("POST", "/users", {"json": {"active": 1}}, 422),
        ("POST", "/orders", {"json": {"userId": 99}}, 422),
        ("PUT", "/users/1", {"json": {"id": 2}}, 422),
        ("PATCH", "/users/1", {"json": {"name": ["Ada"]}}, 422),
    ],
)
def test_what_cannot_be_done_is_a_problem(
    stage: Stage, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    """RFC 9457: the status is in the body too, and the detail says something."""
    answer = stage.ask(method, path, **options)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"], bool(body["detail"])) == ("about:blank", status, True)


@pytest.mark.parametrize(
    ("path", "allowed"), [("/users", {"GET", "HEAD", "POST"}), ("/users/1", {"GET", "HEAD", "PUT", "PATCH", "DELETE"})]
)
def test_a_405_names_every_method_allowed(stage: Stage, path: str, allowed: set[str]) -> None:
    """RFC 9110 section 15.5.6 asks for Allow."""
    answer = stage.ask("OPTIONS", path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.headers["content-type"] == "application/problem+json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.sampled_from(["/users", "/users/1", "/orders", "/orders/2"]),
    json_values | st.dictionaries(st.sampled_from(["id", "userId", "name", "active"]), json_values),
)
def test_no_json_at_all_makes_it_crash(method: str, path: str, body: Any) -> None:
    """Whatever is sent is stored or refused."""
    answer = Stage().ask(method, path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 201, 405, 422)


def test_no_resource_takes_the_path_of_a_route() -> None:
    """The names that are reserved are those of the routes, all of them."""
    segments = {route.path.split("/")[1] for route in application({}).routes}  # type: ignore[attr-defined]
    assert segments - RESERVED == {"openapi.json"}  # which no name can be
    assert RESERVED - segments == {"health"}


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        ({"users": -1}, "users"),
        ({"users": 100_001}, "100000"),
        ({"Users": 1}, "Users"),
        ({"a/b": 1}, "a/b"),
        ({"echo": 1}, "echo"),
        ({"orders": 1}, "orders refer to users"),
        ({"orders": 1, "users": 0}, "orders refer to users"),
    ],
)
def test_senseless_resources_are_refused_at_once(resources: dict[str, int], named: str) -> None:
    """Before anything is started, saying what is wrong."""
    with pytest.raises(ValueError, match=named):
        MockServer(resources=resources)


@pytest.mark.parametrize("host", ["[::1", "a b", "", "x:y", '"', "é"])
def test_a_strange_host_header_is_no_crash(stage: Stage, host: str) -> None:
    """Links are made of it."""
    assert stage.get("/users", headers={"host": host.encode()}).status_code == 200


def test_a_full_collection_takes_no_more() -> None:
    """507, and nothing is stored."""
    stage = Stage(resources={"users": 100_000})
    assert stage.ask("POST", "/users", json={}).status_code == 507
    assert stage.get("/users").headers["x-total-count"] == "100000"


def test_any_other_name_is_a_collection_too() -> None:
    """Filled with things that have a name."""
    thing = Stage(resources={"things": 3}).get("/things/3").json()
    assert set(thing) == {"id", "name", "description", "createdAt"}
