"""Validators, preconditions and optimistic locking: RFC 9110, section 13."""

import pytest

from rest_api_client.http.dates import format_http_date, parse_http_date
from tests.mockserver.resources.site import Site, dump

EARLY, LATE = format_http_date(0), format_http_date(4_000_000_000)


@pytest.mark.parametrize(
    "path", ["/users/7", "/users", "/users/7/orders", "/bytes/100", "/range/100", "/cache", "/etag/a"]
)
def test_what_is_known_is_not_sent_again(site: Site, path: str) -> None:
    """304 with the validators and without a body; a weak comparison, one of several, or a star."""
    first = site.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = site.get(path, {"if-none-match": known})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    if path != "/cache":
        assert site.get(path, {"if-none-match": '"x"'}).status == 200
    assert site.ask("HEAD", path, {"if-none-match": tag}).status in (304, 405)


@pytest.mark.parametrize("path", ["/users/7", "/users", "/range/100"])
def test_dates_are_compared_by_the_second(site: Site, path: str) -> None:
    """The moment of the change itself counts as known."""
    changed = site.get(path).headers["last-modified"]
    before = format_http_date(parse_http_date(changed) - 1)
    assert site.get(path, {"if-modified-since": changed}).status == 304
    assert site.get(path, {"if-modified-since": before}).status == 200
    assert site.get(path, {"if-unmodified-since": changed}).status == 200
    assert site.get(path, {"if-unmodified-since": before}).status == 412
    assert site.get(path, {"if-modified-since": "nonsense", "if-unmodified-since": "nonsense"}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "TAG"}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x", TAG'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-match": "W/TAG"}, 412),
        ({"if-match": "nonsense"}, 412),
        ({"if-match": "TAG", "if-unmodified-since": EARLY}, 200),
        ({"if-match": '"x"', "if-unmodified-since": LATE}, 412),
        ({"if-unmodified-since": EARLY}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-none-match": "TAG"}, 412),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": '"x"', "if-modified-since": LATE}, 200),
        ({"if-modified-since": LATE}, 200),
        ({"if-match": '"x"', "if-none-match": "TAG"}, 412),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_preconditions_of_a_change_in_their_order(method: str, headers: dict[str, str], status: int) -> None:
    """Section 13.2.2; a date beside a tag is not looked at. What is refused changes nothing."""
    site = Site()
    before = site.get("/users/7")
    sent = {name: value.replace("TAG", before.headers["etag"]) for name, value in headers.items()}
    answer = site.ask(method, "/users/7", sent, json={"name": "Ada"} if method != "DELETE" else None)
    assert answer.status == (204 if (status, method) == (200, "DELETE") else status)
    assert (site.get("/users/7").headers.get("etag") == before.headers["etag"]) == (status == 412)


def test_of_two_who_read_the_same_only_one_may_write() -> None:
    """Optimistic locking: the second gets 412 with the new tag, reads again and succeeds."""
    site = Site()
    tag = site.get("/users/7").headers["etag"]
    one = site.ask("PATCH", "/users/7", {"if-match": tag}, json={"city": "Here"})
    two = site.ask("PATCH", "/users/7", {"if-match": tag}, json={"name": "Ada"})
    assert (one.status, two.status, two.headers["etag"]) == (200, 412, one.headers["etag"])
    assert site.ask("PATCH", "/users/7", {"if-match": two.headers["etag"]}, json={"name": "Ada"}).status == 200
    assert site.get("/users/7").data["city"] == "Here"


def test_a_precondition_is_looked_at_before_the_body_and_after_the_address() -> None:
    """412 for a body that would be a 422; 404 where there is nothing to ask about."""
    site = Site()
    assert site.ask("PUT", "/users/7", {"if-match": '"x"'}, json={"name": 5}).status == 412
    assert site.ask("PUT", "/users/99", {"if-match": '"x"'}, json={}).status == 404


def test_a_put_has_a_tag_only_for_what_was_stored_as_sent() -> None:
    """RFC 9110, section 9.3.4."""
    site = Site()
    exact = site.ask("PUT", "/users/7", {"content-type": "application/json"}, body=dump({"id": 7, "name": "Ada"}))
    assert exact.headers["etag"] == site.get("/users/7").headers["etag"]
    assert "etag" not in site.ask("PUT", "/users/7", json={"name": "Ada"}).headers
    made = site.ask("POST", "/users", json={"name": "Ada"})
    assert made.headers["etag"] == site.get("/users/11").headers["etag"]


def test_a_list_is_another_one_when_any_of_it_changes() -> None:
    """Its tag, and the date; also when only the total did."""
    site = Site()
    first = site.get("/users?per_page=2")
    site.ask("DELETE", "/users/9")
    second = site.get("/users?per_page=2", {"if-none-match": first.headers["etag"]})
    assert (second.status, second.data) == (200, first.data)
    assert parse_http_date(second.headers["last-modified"]) == site.wall


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_the_tag_of_a_compressed_copy_is_another_and_means_the_same(coding: str) -> None:
    """It is strong, so it differs; both for reading and for writing it is understood."""
    site = Site({"posts": 1, "users": 1})
    plain = site.get("/posts/1?fields=id", {"accept-encoding": f"identity;q=0, {coding}"})
    tag = plain.headers["etag"]
    assert tag.endswith(f'-{coding}"')
    assert site.get("/posts/1?fields=id", {"if-none-match": tag}).headers["etag"] == tag
    whole = site.get("/posts/1", {"accept-encoding": f"identity;q=0, {coding}"}).headers["etag"]
    assert site.ask("PATCH", "/posts/1", {"if-match": whole}, json={"title": "new"}).status == 200


def test_a_hostile_list_of_tags_costs_nothing() -> None:
    """Linear: 60 KB of them."""
    site = Site()
    for text in ('"' * 60_000, '"a", ' * 10_000, "W/" * 30_000, ", " * 30_000):
        assert site.get("/users/1", {"if-none-match": text}).status == 200
