"""Filter, sort, select, and three ways to read on."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.resources.values import Order, key_of, merge
from tests.mockserver.resources.site import Site

SHOP = {"users": 30, "orders": 200, "products": 10, "posts": 20, "comments": 60, "todos": 10, "things": 4}


@pytest.fixture(scope="module")
def shop() -> Site:
    """Read only."""
    return Site(SHOP)


def everything(shop: Site, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for offset in range(0, SHOP[name], 100):
        found += shop.get(f"/{name}?offset={offset}&limit=100").data
    return found


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("status=paid", lambda o: o["status"] == "paid"),
        ("status=paid&status=open", lambda o: o["status"] in ("paid", "open")),
        ("status_ne=paid", lambda o: o["status"] != "paid"),
        ("amount_gte=500", lambda o: float(o["amount"]) >= 500),
        ("amount_gte=500&amount_lt=600.5", lambda o: 500 <= float(o["amount"]) < 600.5),
        ("quantity_gt=8", lambda o: o["quantity"] > 8),
        ("quantity_lte=1&status=open", lambda o: o["quantity"] <= 1 and o["status"] == "open"),
        ("quantity=9", lambda o: o["quantity"] == 9),
        ("createdAt_gte=2020-01-01", lambda o: o["createdAt"] >= "2020"),
        ("userId=7", lambda o: o["userId"] == 7),
        ("q=system", lambda o: "system" in o["item"].lower()),
        ("status_gt=3", lambda o: False),
    ],
)
def test_a_filter_finds_exactly_what_it_says(shop: Site, query: str, holds: Any) -> None:
    """Numbers, and texts that are numbers, as numbers; the total counts what was found."""
    answer = shop.get(f"/orders?{query}&limit=100")
    wanted = [order for order in everything(shop, "orders") if holds(order)]
    assert answer.data == wanted[:100]
    assert answer.headers["x-total-count"] == str(len(wanted))


def test_a_boolean_is_filtered_by_its_name(shop: Site) -> None:
    """true and false."""
    users = everything(shop, "users")
    assert shop.get("/users?active=false&limit=100").data == [user for user in users if not user["active"]]


def test_a_list_is_sorted_by_several_fields(shop: Site) -> None:
    """A minus turns one of them; equal ones by id; money as numbers."""
    wanted = sorted(everything(shop, "orders"), key=lambda o: (o["status"], -float(o["amount"]), o["id"]))
    assert shop.get("/orders?sort=status,-amount&limit=100").data == wanted[:100]


def test_only_the_fields_asked_for_are_shown(shop: Site) -> None:
    """In lists and in records."""
    assert set(shop.get("/users?fields=id,name").data[0]) == {"id", "name"}
    assert set(shop.get("/users/3?fields=email").data) == {"email"}


@pytest.mark.parametrize(
    "query",
    ["colour=red", "name_like=a", "sort=colour", "fields=colour", "page=1&offset=0", "cursor=&page=1", "limit=0",
     "limit=101", "offset=-1", "per_page=5&limit=5", "sort=id,name,city,email,company,active",
     "&".join("name=a" for _ in range(51))],
)  # fmt: skip
def test_what_a_list_cannot_follow_it_refuses(shop: Site, query: str) -> None:
    """400, never a list that passes over what was asked."""
    assert shop.get(f"/users?{query}").status == 400


def test_an_unknown_parameter_names_the_known_ones(shop: Site) -> None:
    """So that a slip of the pen is seen at once."""
    assert "known are cursor, fields, limit" in shop.get("/users?nmae=Ada").data["detail"]


def test_a_field_that_a_client_brought_can_be_filtered() -> None:
    """From then on, and made records do not have it."""
    site = Site()
    site.ask("POST", "/users", json={"nick": "ada"})
    assert [user["id"] for user in site.get("/users?nick=ada").data] == [11]
    assert len(site.get("/users?nick_ne=ada").data) == 10


@pytest.mark.parametrize("begin", ["/orders?per_page=7", "/orders?limit=7", "/orders?cursor=&limit=7",
                                   "/orders?cursor=&limit=7&sort=-status,amount&quantity_gt=2"])  # fmt: skip
def test_following_next_visits_every_record_once(shop: Site, begin: str) -> None:
    """By page, by offset and by cursor; in order."""
    seen: list[int] = []
    url = begin
    while url:
        answer = shop.get(url)
        seen += [order["id"] for order in answer.data]
        url = answer.links.get("next", "")
    whole = begin.replace("cursor=&", "").replace("limit=7", "limit=100")
    wanted = (
        [o["id"] for offset in (0, 100) for o in shop.get(f"{whole}&offset={offset}").data]
        if "limit" in begin
        else seen
    )
    assert seen == wanted
    assert len(seen) == len(set(seen)) == int(answer.headers["x-total-count"])


def test_links_of_offsets_lead_back_and_to_the_end(shop: Site) -> None:
    """From the middle, and from far behind the end."""
    links = shop.get("/users?offset=12&limit=5").links
    assert {rel: url.partition("offset=")[2] for rel, url in links.items()} == {
        "first": "0&limit=5", "prev": "7&limit=5", "next": "17&limit=5", "last": "25&limit=5"
    }  # fmt: skip
    far = shop.get("/users?offset=999&limit=5")
    assert (far.data, set(far.links)) == ([], {"first", "prev", "last"})


def test_a_cursor_stands_fast_while_records_come_and_go() -> None:
    """No record that stays is seen twice or missed; the last one read may itself be deleted."""
    site = Site({"users": 10})
    first = site.get("/users?cursor=&limit=4")
    assert [user["id"] for user in first.data] == [1, 2, 3, 4]
    for gone in (2, 4):
        site.ask("DELETE", f"/users/{gone}")
    site.ask("POST", "/users", json={"name": "new"})
    second = site.get(first.links["next"])
    assert [user["id"] for user in second.data] == [5, 6, 7, 8]
    third = site.get(second.links["next"])
    assert [user["id"] for user in third.data] == [9, 10, 11]
    assert "next" not in third.links


def test_a_cursor_can_be_taken_from_a_header_too(shop: Site) -> None:
    """`x-next-cursor`; none on the last page."""
    first = shop.get("/users?cursor=&limit=29")
    last = shop.get(f"/users?cursor={first.headers['x-next-cursor']}&limit=29")
    assert [user["id"] for user in last.data] == [30]
    assert "x-next-cursor" not in last.headers


def test_a_cursor_cannot_be_made_changed_or_borrowed(shop: Site) -> None:
    """Each bit of it counts, and the list it belongs to."""
    cursor = shop.get("/users?cursor=&limit=5").headers["x-next-cursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(raw)):
        bad = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert shop.get(f"/users?cursor={base64.urlsafe_b64encode(bad).decode().rstrip('=')}").status == 400
    for other in (
        f"/orders?cursor={cursor}",
        f"/users?sort=name&cursor={cursor}",
        f"/users?active=true&cursor={cursor}",
    ):
        assert shop.get(other).status == 400
    for nonsense in ("x", "é", "a" * 9000, "AAAA", "%00"):
        assert shop.get(f"/users?cursor={nonsense}").status == 400
    assert Site(SHOP, seed=1).get(f"/users?cursor={cursor}").status == 400


def test_what_refers_to_a_record_is_a_list_of_its_own(shop: Site) -> None:
    """Filtered and paged like any; of nobody: 404."""
    answer = shop.get("/users/7/orders?sort=-amount&limit=100")
    wanted = [order for order in everything(shop, "orders") if order["userId"] == 7]
    assert answer.data == sorted(wanted, key=lambda o: (-float(o["amount"]), o["id"]))
    assert len(wanted) > 1
    assert shop.get("/users/31/orders").status == 404
    assert shop.get("/posts/1/comments").status == 200
    assert shop.get("/products/1/orders").status == 200


def test_an_order_made_under_a_user_belongs_to_him() -> None:
    """It is found there and in the whole; another user's number is refused."""
    site = Site()
    made = site.ask("POST", "/users/7/orders", json={"item": "kettle"})
    assert (made.status, made.headers["location"], made.data["userId"]) == (201, "/orders/6", 7)
    assert 6 in [order["id"] for order in site.get("/users/7/orders").data]
    assert site.ask("POST", "/users/7/orders", json={"userId": 8}).status == 422
    site.ask("PATCH", "/orders/6", json={"userId": 8})
    assert 6 not in [order["id"] for order in site.get("/users/7/orders").data]
    assert 6 in [order["id"] for order in site.get("/users/8/orders").data]
    site.ask("PATCH", "/orders/6", json={"userId": None})
    assert 6 not in [order["id"] for order in site.get("/users/8/orders").data]


def test_everything_refers_to_something_that_is_there(shop: Site) -> None:
    """Orders to users and products, posts and todos to users, comments to posts."""
    for name, field, other in [("orders", "userId", "users"), ("orders", "productId", "products"),
                               ("posts", "userId", "users"), ("todos", "userId", "users"),
                               ("comments", "postId", "posts")]:  # fmt: skip
        assert {record[field] for record in everything(shop, name)} <= set(range(1, SHOP[other] + 1))


def test_deleting_a_record_takes_along_what_refers_to_it() -> None:
    """And what refers to that; nobody else's is touched."""
    site = Site({"users": 3, "posts": 12, "comments": 60})
    posts = {post["id"] for post in site.get("/users/2/posts?limit=100").data}
    comments = {c["id"] for c in site.get("/comments?limit=100").data if c["postId"] in posts}
    assert posts
    assert comments
    assert site.ask("DELETE", "/users/2").status == 204
    assert {post["id"] for post in site.get("/posts?limit=100").data} == set(range(1, 13)) - posts
    assert {c["id"] for c in site.get("/comments?limit=100").data} == set(range(1, 61)) - comments


def test_a_cascade_can_be_declined() -> None:
    """409 and nothing is gone; a record without dependants goes all the same."""
    site = Site({"users": 2, "orders": 1})
    owner = site.get("/orders/1").data["userId"]
    assert site.ask("DELETE", f"/users/{owner}?cascade=false").status == 409
    assert site.get(f"/users/{owner}").status == 200
    assert site.ask("DELETE", f"/users/{3 - owner}?cascade=false").status == 204
    assert site.ask("DELETE", f"/users/{owner}?cascade=maybe").status == 400


def test_too_many_records_to_search_are_refused() -> None:
    """Read by pages they are not too many."""
    site = Site({"things": 20_001})
    assert site.get("/things?sort=name").status == 422
    assert [thing["id"] for thing in site.get("/things?offset=20000").data] == [20_001]


json_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just([])
)


@settings(max_examples=100)
@given(st.lists(json_scalars, max_size=8), st.booleans(), st.booleans())
def test_any_values_have_one_order(values: list[Any], falling: bool, second: bool) -> None:
    """Behind each position stand exactly the records that are sorted behind it."""
    order = Order((("a", falling), ("b", second)))
    records = order.sort([{"id": n, "a": value, "b": n % 2} for n, value in enumerate(values)])
    for place, record in enumerate(records):
        position = order.position(record)
        assert [each for each in records if order.after(each, position)] == records[place + 1 :]


def test_numbers_come_before_texts() -> None:
    """And nothing before both."""
    values = [None, -1, "9.50", "10.00", 1e400, "", "a", True, [1]]
    assert sorted(values, key=key_of) == values


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_is_what_its_rfc_says(old: Any, patch: Any, new: Any) -> None:
    """RFC 7396, appendix A."""
    assert merge(old, patch) == new
