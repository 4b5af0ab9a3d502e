"""Domains that no one owner has."""

from __future__ import annotations

import pytest

from rest_api_client.http.public_suffixes import is_public_suffix


@pytest.mark.parametrize(
    "domain",
    ["com", "localhost", "co.uk", "com.au", "ac.jp", "github.io", "eu-west-1.amazonaws.com", "amazonaws.com", ""],
)
def test_public(domain: str) -> None:
    """Single labels, the customary second level of a country, platforms."""
    assert is_public_suffix(domain)


@pytest.mark.parametrize(
    "domain", ["example.com", "example.co.uk", "me.github.io", "co.example", "com.com", "bbc.uk", "notamazonaws.com"]
)
def test_owned(domain: str) -> None:
    """What somebody registered is theirs."""
    assert not is_public_suffix(domain)
