"""The keywords of a call."""

from __future__ import annotations

from rest_api_client.options import OPTION_NAMES, RequestOptions


def test_every_keyword_is_optional_and_listed() -> None:
    """The names that unknown ones are compared with are those of the type."""
    assert frozenset(RequestOptions.__optional_keys__) == OPTION_NAMES
    assert RequestOptions.__required_keys__ == frozenset()
    assert {"params", "json", "data", "files", "content", "headers", "timeout", "idempotency_key"} < OPTION_NAMES
