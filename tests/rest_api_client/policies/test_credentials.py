"""Which parts of a request are credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.policies.credentials import (
    is_credential_header,
    withhold_echo,
    withhold_headers,
    withhold_params,
    without_parameter,
)

CREDENTIALS = [
    "Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "Api-Key", "X-Auth-Token", "X-Auth-Key", "X-Auth",
    "apikey", "X-Amz-Security-Token", "X-Goog-Api-Key", "Private-Token", "PRIVATE_TOKEN", "X-CSRF-Token", "DPoP",
    "X-Session", "X-Session-Id", "X-Secret", "X-Signature", "Ocp-Apim-Subscription-Key", "X-Vault-Token",
   "X-Access-Key",    "X-Forwarded-Access-Token", "X-Password", "X-Username", "X-Key", "X-SID",
]  # fmt: skip
ORDINARY = [
    "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Idempotency-Key", "X-Request-Id", "traceparent",
    "X-Author", "X-Keyboard", "X-Call-Id", "Range", "If-None-Match", "Cache-Control", "X-Tokenizer",
]  # fmt: skip


@pytest.mark.parametrize("name", [*CREDENTIALS, *(name.upper() for name in CREDENTIALS)])
def test_names_of_credentials(name: str) -> None:
    """The rule of logs and a few words more, in any case."""
    assert is_credential_header(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_names_of_ordinary_fields(name: str) -> None:
    """What says nothing of who the client is may go anywhere."""
    assert not is_credential_header(name)


def test_headers_are_divided() -> None:
    """The fields that may go, in order, and the names of those that may not."""
    given_ = Headers([("Accept", "*/*"), ("X-API-Key", "k"), ("cookie", "a=b"), ("Cookie", "c=d"), ("X-Own", "1")])
    kept, names = withhold_headers(given_)
    assert kept.multi_items() == [("Accept", "*/*"), ("X-Own", "1")]
    assert names == ("x-api-key", "cookie")
    assert withhold_headers(kept) == (kept, ())


@pytest.mark.parametrize(
    ("params", "kept", "names"),
    [
        (None, None, ()),
        ({}, {}, ()),
        ({"page": 1}, {"page": 1}, ()),
        ({"page": 1, "api_key": "k", "on": True}, [("page", 1), ("on", True)], ("api_key",)),
        ([("token", "a"), ("q", "x"), ("token", "b")], [("q", "x")], ("token",)),
        ("?page=1&access_token=k&q=a%20b", "page=1&q=a%20b", ("access_token",)),
    ],
)
def test_a_clients_params_are_divided(params: object, kept: object, names: tuple[str, ...]) -> None:
    """Secret ones stay at home, whatever form the parameters have."""
    assert withhold_params(params) == (kept, names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "kept", "names"),
    [
        ("http://b.test/x?api_key=k&q=1", "http://b.test/x?q=1", ("api_key",)),
        ("http://b.test/x?api%5Fkey=%6B", "http://b.test/x", ("api_key",)),
        ("http://b.test/x?api_key=other", "http://b.test/x?api_key=other", ()),
        ("http://b.test/x?Signature=s&page=2", "http://b.test/x?Signature=s&page=2", ()),
        ("http://b.test/x", "http://b.test/x", ()),
    ],
)
def test_an_echo_of_our_own_secret_is_taken_out(target: str, kept: str, names: tuple[str, ...]) -> None:
    """A secret parameter goes only if it is ours, name and value; what the target brings of its own stays."""
    before = URL.parse("http://a.test/x?api_key=k&page=2")
    assert withhold_echo(URL.parse(target), before) == (URL.parse(kept), names)


def test_without_secrets_of_our_own_nothing_is_an_echo() -> None:
    """A target's own secrets stay."""
    url = URL.parse("http://b.test/x?api_key=k")
    assert withhold_echo(url, URL.parse("http://a.test/x?q=k")) == (url, ())


@given(st.lists(st.sampled_from(["a=1", "key=2", "b", "", "key", "k%65y=3"]), max_size=6))
def test_a_parameter_is_taken_out_wherever_it_stands(pairs: list[str]) -> None:
    """All of that name go, however encoded, and nothing else."""
    url = URL("https", "a.test", 443, "/x" + ("?" + "&".join(pairs) if pairs else ""))
    rest = without_parameter(url, "key").query.split("&")
    assert [pair for pair in rest if pair] == [pair for pair in pairs if pair in {"a=1", "b"}]
