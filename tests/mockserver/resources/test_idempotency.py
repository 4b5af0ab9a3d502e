"""A POST sent twice with one key is done once."""

import pytest
from starlette.responses import Response

from mockserver.resources.idempotency import IdempotencyKeys
from tests.mockserver.resources.site import Answer, Site


def post(site: Site, key: str = "k1", name: str = "Ada", path: str = "/users") -> Answer:
    return site.ask("POST", path, {"idempotency-key": key}, json={"name": name})


def test_the_same_request_is_answered_the_same_and_done_once(site: Site) -> None:
    """The stored answer, marked as such."""
    first, second = post(site), post(site)
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert second.headers["location"] == first.headers["location"]
    assert site.get("/users").headers["x-total-count"] == "11"


def test_another_body_for_the_same_key_is_a_422(site: Site) -> None:
    """And so is another query; nothing is made."""
    post(site)
    assert post(site, name="Eve").status == 422
    assert post(site, path="/users?x=1").status == 422
    assert site.get("/users").headers["x-total-count"] == "11"


def test_a_key_belongs_to_one_path(site: Site) -> None:
    """The same key elsewhere is another."""
    post(site)
    assert site.ask("POST", "/orders", {"idempotency-key": "k1"}, json={}).status == 201
    assert site.ask("POST", "/users/1/orders", {"idempotency-key": "k1"}, json={}).status == 201


def test_a_refusal_leaves_the_key_free(site: Site) -> None:
    """It had no effect: the body can be put right under the same key."""
    assert site.ask("POST", "/users", {"idempotency-key": "k1"}, json={"name": 5}).status == 422
    assert post(site).status == 201


def test_a_key_is_forgotten_after_a_day(site: Site) -> None:
    """Then the request is a new one."""
    post(site)
    site.now += 86_399
    assert post(site).headers["location"] == "/users/11"
    site.now += 1
    assert post(site).headers["location"] == "/users/12"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(site: Site, key: str) -> None:
    """400."""
    assert post(site, key=key).status == 400


def test_while_the_first_is_in_progress_the_second_is_a_409() -> None:
    """With `hold_keys`, until the player says that the answer has left; another body is a 422 all the while."""
    site = Site(hold_keys=True)
    keys: IdempotencyKeys = site.app.state.idempotency
    post(site)
    assert post(site).status == 409
    assert post(site, name="Eve").status == 422
    keys.complete("POST", "/users", "k1")
    assert post(site).status == 201
    keys.complete("POST", "/users", None)
    keys.complete("POST", "/users", "unknown")


def test_a_crash_leaves_the_key_free(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in progress for ever."""
    with monkeypatch.context() as patch:
        patch.setattr("mockserver.resources.collection.Collection.create", lambda *_: 1 / 0)
        assert post(site).status == 500
    assert post(site).status == 201


def test_keys_and_their_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by bytes; the oldest go first."""
    monkeypatch.setattr("mockserver.resources.idempotency.MOST_KEYS", 3)
    monkeypatch.setattr("mockserver.resources.idempotency.MOST_BYTES", 25)
    keys = IdempotencyKeys(lambda: 0.0)
    for number in range(5):
        name = ("POST", "/", str(number))
        assert keys.begin(name, b"") is None
        keys.store(name, Response(b"x" * 10))
    replayed = [keys.begin(("POST", "/", str(number)), b"") is not None for number in (4, 3, 2)]
    assert replayed == [True, True, False]
    keys.store(("POST", "/", "unknown"), Response())


def test_a_refusal_that_is_returned_frees_the_key_too() -> None:
    """Not only one that is raised."""
    keys = IdempotencyKeys(lambda: 0.0)
    name = ("POST", "/", "k")
    keys.begin(name, b"a")
    keys.store(name, Response(status_code=409))
    assert keys.begin(name, b"b") is None
