"""Keys: whose state a request falls under."""

from __future__ import annotations

from typing import Any

import pytest

from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.policies.keys import Key, check_key, key_of
from tests.rest_api_client.chain import a_request


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("client", "client"),
        ("host", "api.test"),
        ("origin", "https://api.test:8443"),
        ("route", "GET https://api.test:8443/users/{id}"),
        (lambda request: request.method.lower(), "get"),
    ],
)
def test_each_key_names_its_state(key: Key, expected: str) -> None:
    """A route is named by its template, whatever the id."""
    check_key("Policy", key)
    assert key_of(key, a_request(url="https://api.test:8443/users/7?page=2", template="/users/{id}")) == expected


def test_a_path_without_a_template_is_a_route_of_its_own() -> None:
    """Without its query."""
    assert key_of("route", a_request(url="https://api.test/users/7?page=2")) == "GET https://api.test:443/users/7"


def test_what_is_no_key_is_refused() -> None:
    """With its owner and its value."""
    with pytest.raises(ConfigurationError, match=r"Policy\(key='colour'\): give 'client'"):
        check_key("Policy", "colour")


@pytest.mark.parametrize("said", [None, 7, b"text"])
def test_a_function_that_gives_no_text_is_named(said: Any) -> None:
    """Before anything is sent under a name that nobody chose."""
    with pytest.raises(HookError, match=r"api.test/.*: key=... gave .*: give text"):
        key_of(lambda request: said, a_request())
