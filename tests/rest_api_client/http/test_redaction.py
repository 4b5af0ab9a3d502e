"""Secrets in URLs and header fields are masked, and nothing else is."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http.redaction import is_secret_name, redact_headers, redact_url


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "refreshToken",
        "X-Auth-Token",
        "api_key",
        "apiKey",
        "APIKEY",
        "X-API-Key",
        "key",
        "sig",
        "Signature",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "X-Goog-Signature",
        "password",
        "code",
        "client_secret",
        "Cookie",
        "Set-Cookie",
        "Authorization",
        "Proxy-Authorization",
        "X-Amz-Credential",
        "db.password",
    ],
)
def test_secret_names(name: str) -> None:
    """Names are known in any case and with any punctuation."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["page_token", "nextPageToken", "q", "Idempotency-Key", "Content-Type", "keyword", "status_code", "tokens", ""],
)
def test_innocent_names(name: str) -> None:
    """Names that look like a secret's, but steer or count, stay readable."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:pw@api.example.com/users?page=2", "https://***@api.example.com/users?page=2"),
        ("//ada:pw@api.example.com", "//***@api.example.com"),
        (" HTTPS://a@b@c/", " HTTPS://***@c/"),
        (r"http:\\ada:pw@c", r"http:\\***@c"),
        ("https://ada:p/w?@c/", "https://***@c/"),
        ("https://c:8080/@ada", "https://c:8080/@ada"),
        ("https://c/@ada:x", "https://c/@ada:x"),
        ("https://[::1]:80/@ada", "https://[::1]:80/@ada"),
        ("/a?token=s&b=1", "/a?token=***&b=1"),
        ("/a?b=1&ToKen=s#access_token=s&state=1", "/a?b=1&ToKen=***#access_token=***&state=1"),
        ("/a?b=1;token=s;t&c=2", "/a?b=1;token=***&c=2"),
        ("/a?%74oken=s=s?s", "/a?%74oken=***"),
        ("/a?token=s?x=1;y=2&z=3", "/a?token=***&z=3"),
        ("/a?token=&token", "/a?token=***&token"),
        ("/token=1", "/token=1"),
        ("", ""),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """User names, passwords and secret parameters go; the rest stays as it is, in broken URLs too."""
    assert redact_url(url) == shown


@given(
    secret=st.text(min_size=8).map(lambda text: "S3cr3t" + quote(text, safe="/?@:!$()*,+'[]")),
    name=st.sampled_from(["token", "api_key", "X-Amz-Signature"]),
    where=st.sampled_from(
        ["https://h/?{n}={s}", "https://h/?a=1&{n}={s}&b=2", "https://{s}@h/", "https://h/#{n}={s}", "?{n}={s}"]
    ),
)
def test_no_secret_survives(secret: str, name: str, where: str) -> None:
    """A secret in any of these places is gone, whatever characters it has."""
    assert "S3cr3t" not in redact_url(
        where.format(n=name, s=secret if "{n}" in where else secret.replace("/", "").replace("?", ""))
    )


@given(text=st.text() | st.text(alphabet="/:@?&;#=a1[]\\ "))
def test_any_text(text: str) -> None:
    """Any text passes, and masking twice changes nothing more."""
    once = redact_url(text)
    assert redact_url(once) == once


@pytest.mark.parametrize("unit", ["//", ":", "@", "?", "&", ";a", "?token=", "=", "//a:"])
def test_long_text(unit: str) -> None:
    """A megabyte of the worst characters is done at once (a quadratic search would take minutes)."""
    assert len(redact_url("//" + unit * (1_000_000 // len(unit)))) <= 3_000_000


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer s3cr3t", "Bearer ***"),
        ("authorization", "Digest username=ada, response=s", "Digest ***"),
        ("Authorization", "s3cr3t", "***"),
        ("Authorization", "s3cr3t and more", "***"),
        ("Proxy-Authorization", "Basic s3cr3t", "Basic ***"),
        ("Cookie", "sid=1; a=2", "***"),
        ("Set-Cookie", "sid=1; Path=/", "***"),
        ("X-API-Key", "s", "***"),
        ("Location", "https://a:b@h/?code=s&state=1", "https://***@h/?code=***&state=1"),
        (
            "Link",
            '<https://h/?token=s>; rel="next", <https://h/?token=t',
            '<https://h/?token=***>; rel="next", <https://h/?token=***',
        ),
        ("Accept", "text/html", "text/html"),
    ],
)
def test_headers(name: str, value: str, shown: str) -> None:
    """Fields with secrets are masked, well-known schemes stay readable, URLs are masked inside."""
    assert redact_headers([("X-First", "1"), (name, value)]) == [("X-First", "1"), (name, shown)]
