"""Everything a client can make grow is bounded."""

import pytest

from mockserver.problems import Problem
from mockserver.resources.collection import Space
from tests.mockserver.resources.site import Site


def test_what_clients_store_is_bounded_in_all() -> None:
    """507 beyond it, with nothing taken; smaller is always possible."""
    space = Space(most=100)
    space.exchange(0, 90)
    with pytest.raises(Problem, match="100 bytes"):
        space.exchange(0, 11)
    space.exchange(0, 10)
    space.exchange(90, 20)
    space.exchange(0, 70)


def test_a_full_space_stores_nothing_and_frees_what_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Across collections."""
    monkeypatch.setattr(Space.__init__, "__defaults__", (1_000,))
    site = Site()
    assert site.ask("POST", "/users", json={"note": "x" * 900}).status == 201
    assert site.ask("POST", "/orders", json={"note": "x" * 900}).status == 507
    assert site.get("/orders").headers["x-total-count"] == "5"
    site.ask("DELETE", "/users/11")
    assert site.ask("POST", "/orders", json={"note": "x" * 900}).status == 201


def test_the_count_of_a_target_long_forgotten_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the targets asked for last."""
    monkeypatch.setattr("mockserver.resources.setting._REMEMBERED", 1)
    site = Site()
    first = site.get("/uuid").data
    site.get("/uuid?other")
    assert site.get("/uuid").data == first


@pytest.mark.parametrize(
    "path", ["/status/0:0", "/status/200:0,300:0", "/status/" + ",".join(["200"] * 21), "/etag/a;b"]
)
def test_nonsense_is_a_400(site: Site, path: str) -> None:
    """Weights that come to nothing, too many of them, a tag that is none."""
    assert site.get(path).status == 400
