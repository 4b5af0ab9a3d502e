"""A server that closes in a test says what the client did wrong, unasked."""

from __future__ import annotations

import httpx
import pytest

from mockserver import MockServer
from mockserver.limits import SlidingWindow
from mockserver.rules import BadBehaviour, Rules, Violation


@pytest.fixture(autouse=True)
def _checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOCKSERVER_CHECK")


def hammer(url: str) -> None:
    """What nobody should do: ask again at once when told to wait."""
    with httpx.Client(base_url=url) as client:
        assert [client.get("/users/7").status_code for _ in range(3)] == [200, 429, 429]


def limited(**options: object) -> MockServer:
    return MockServer(limit=SlidingWindow(calls=1, period=60), **options)  # type: ignore[arg-type]


def test_bad_behaviour_fails_the_test_that_closes_the_server() -> None:
    """With the requests, the rule and what to change; the server is stopped all the same."""
    with pytest.raises(BadBehaviour, match="Retry-After"), limited() as server:
        hammer(server.url)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_a_space_is_checked_too() -> None:
    """Each by its own journal and its own limits."""
    with pytest.raises(BadBehaviour), limited() as server:
        hammer(server.space("gw0").url)


def test_good_behaviour_and_an_error_of_the_test_itself_pass() -> None:
    """What the test says itself is not covered up by what a half finished client left behind."""
    with limited() as server:
        assert httpx.get(f"{server.url}/users/7").is_success
    with pytest.raises(ZeroDivisionError), limited() as server:  # noqa: PT012  the block is what is tested
        hammer(server.url)
        raise ZeroDivisionError


@pytest.mark.parametrize("how", ["rules", "environment"])
def test_the_check_can_be_left_out(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one server, or for all; `check()` still says what was wrong."""
    monkeypatch.setenv("MOCKSERVER_CHECK", "off" if how == "environment" else "on")
    with limited(**{"rules": None} if how == "rules" else {}) as server:
        hammer(server.url)
    assert "retry_after" in {violation.rule for violation in server.check()}


def test_a_rule_of_ones_own_and_a_name_for_calls() -> None:
    """`rules=` adds one, `identify=` says which requests are one call."""

    def named(entries: object) -> list[Violation]:
        calls = {entry.call_id for entry in entries}  # type: ignore[attr-defined]
        return [Violation(rule="named", text=f"{calls}", mend="call it something else", entries=())]

    with (
        pytest.raises(BadBehaviour, match="call it something else") as caught,
        MockServer(rules=Rules(own=(named,)), identify=lambda seen: seen.header("x-order")) as server,
    ):
        httpx.get(f"{server.url}/users/7", headers={"x-order": "7"})
    assert "{'7'}" in str(caught.value)
