"""URLs: one reading of each, none that names two hosts, and no secret in any message."""

from __future__ import annotations

import pickle
import time
from contextlib import suppress
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.urls import URL, Origin, Userinfo, encode_params, join, scalar, split_userinfo
from tests.patience import HANGS

UNRESERVED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!$&'()*+,;=%")


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://h:80/", "http://h/"),
        ("https://h:80/", "https://h:80/"),
        ("http://h?x=1", "http://h/?x=1"),
        ("http://h#f", "http://h/#f"),
        ("http://h/a b", "http://h/a%20b"),
        ("http://h/a%2fb/%2e%2e/c", "http://h/a%2fb/%2e%2e/c"),
        ("http://h/a/../b/./c", "http://h/b/c"),
        ("http://h/a\\b|^", "http://h/a%5Cb%7C%5E"),
        ("http://h/{a}`?{b}`[^]", "http://h/%7Ba%7D%60?%7Bb%7D%60[%5E]"),
        ("http://bücher.de/ü?ä=ö", "http://xn--bcher-kva.de/%C3%BC?%C3%A4=%C3%B6"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]/"),
        ("http://h./", "http://h./"),
    ],
)
def test_a_url_is_normalised_once(text: str, written: str) -> None:
    """Scheme, host, port and target are put into one form, in which they stay when parsed again."""
    url = URL.parse(text)
    assert str(url) == written
    assert URL.parse(written) == url
    assert pickle.loads(pickle.dumps(url)) == url
    assert pickle.loads(pickle.dumps(url)).origin_text == url.origin_text
    with pytest.raises(AttributeError, match="'URL' object has no attribute 'origin_txt'"):
        _ = url.origin_txt


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_sendable_url_or_refused(host: str, rest: str) -> None:
    """Nothing outside the characters of RFC 3986 ever stands in host or target, whatever is given."""
    try:
        url = URL.parse(f"http://{host}/{rest}")
    except ConfigurationError:
        return
    assert set(url.host + url.target) <= UNRESERVED
    assert url.target.startswith("/")
    assert 0 < url.port < 65536
    assert not set(url.host) & set("/?#@\\ %") or "%25" in url.host


@pytest.mark.parametrize(
    "text",
    [
        "", "/users", "users", "//h/x", "http:", "http://", "http:///x", "http:/x", "http://:80/", "ftp://h/",
        "mailto:a@b",
        "javascript:alert(1)", "http://h:port/", "http://h:0/", "http://h:65536/", "http://h:99999/", "http://h:-1/",
        "http://h/\x00", "http://h/\r\nx: y", "http://ho st/", "http://h\t/", "http://[::1/", "http://h]/",
        "http://h<>/",
        "http://good.test\\@evil.test/", "http://good.test\\.evil.test/", "http://‥/", "http://\ud800/",
        "http://h/\ud800",
        " http://h/", "http://a%2fb/", "http://[::1%25a/b]/",
        "http://h/" + "x" * 70_000, None, 5, b"http://h/",
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(text: Any) -> None:
    """Relative, foreign, ambiguous and unsendable URLs are refused in few words."""
    with pytest.raises(ConfigurationError) as refused:
        URL.parse(text)
    assert 20 < len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@h:port/", "http://user:hunter2@h:0/", "http://user:hunter2#x@h/",
        "http://user:hunter2/x@h/",
        "http://user:hunter2?x@h/", "http://user:hunter2@h o/", "ftp://user:hunter2@h/", "http://h:x/?token=hunter2",
        "http://user:hunter2@\\h/",
    ],
)  # fmt: skip
def test_no_error_shows_a_secret(text: str) -> None:
    """Neither the message nor the chain of causes quotes a password, even one with raw slashes in it."""
    base = URL.parse("http://base.test/")
    for refuse in (URL.parse, base.resolve, lambda text: URL.parse(join("http://base.test", text))):
        with pytest.raises(ConfigurationError) as refused:
            refuse(text)
        assert "hunter2" not in f"{refused.value!r} {refused.value}"
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_userinfo_is_handed_out_and_never_stays() -> None:
    """User name and password are decoded and given beside a URL that lacks them; their repr shows nothing."""
    url, userinfo = split_userinfo("https://ad%40a:hunter%32%2f@h/x")
    assert str(url) == "https://h/x"
    assert userinfo == Userinfo("ad@a", "hunter2/")
    assert "hunter" not in repr(userinfo)
    assert split_userinfo("https://ada@h/")[1] == ("ada", "")
    assert split_userinfo("https://@h/")[1] is None
    assert URL.parse("https://ada:hunter2@h/x") == url


def test_the_repr_masks_and_str_does_not() -> None:
    """`str()` is for the wire, `repr` for people."""
    url = URL.parse("https://h/x?token=hunter2#access_token=hunter2")
    assert str(url) == "https://h/x?token=hunter2#access_token=hunter2"
    assert "hunter2" not in repr(url)


def test_the_parts_of_a_url() -> None:
    """Path, query, netloc and origin are what goes into request line, Host and comparisons."""
    url = URL.parse("https://[::1]:8443/a/b?x=1&y=2#z")
    assert (url.path, url.query, url.fragment) == ("/a/b", "x=1&y=2", "z")
    assert url.netloc == "[::1]:8443"
    assert url.origin == Origin("https", "::1", 8443)
    assert str(url.origin) == "https://[::1]:8443"
    assert str(URL.parse("http://h/").origin) == "http://h:80"
    assert URL.parse("http://h/").origin == URL.parse("HTTP://H:80/x").origin != URL.parse("https://h/").origin


@pytest.mark.parametrize(
    ("base", "reference", "joined"),
    [
        ("https://h/v1", "/users", "https://h/v1/users"),
        ("https://h/v1/", "users", "https://h/v1/users"),
        ("https://h/v1//", "/users/", "https://h/v1/users/"),
        ("https://h", "users", "https://h/users"),
        ("https://h/v1", "", "https://h/v1"),
        ("https://h/v1?key=1", "", "https://h/v1?key=1"),
        ("https://h/v1?key=1#f", "", "https://h/v1?key=1"),
        ("https://h/v1", "?a=1", "https://h/v1?a=1"),
        ("https://h/v1?key=1", "?a=1", "https://h/v1?a=1&key=1"),
        ("https://h/v1?key=1", "users", "https://h/v1/users?key=1"),
        ("https://h/v1?key=1", "users?a=1", "https://h/v1/users?a=1&key=1"),
        ("https://h/v1?key=1#f", "users?a=1#top", "https://h/v1/users?a=1&key=1"),
        ("https://h/v1?key=1", "users#top", "https://h/v1/users?key=1"),
        ("https://h/v1", "#top", "https://h/v1"),
        ("https://h/v1", "https://other/x", "https://other/x"),
        ("https://h/v1", "HTTP://other/x", "HTTP://other/x"),
        ("https://h/v1", "proxy/https://other/x", "https://h/v1/proxy/https://other/x"),
        ("https://h/v1", "/login?next=https://other/", "https://h/v1/login?next=https://other/"),
        ("https://h/v1", "a//b", "https://h/v1/a//b"),
        ("https://h", "@evil.test/", "https://h/@evil.test/"),
        ("https://h", ".evil.test/", "https://h/.evil.test/"),
        ("https://h", ":80/", "https://h/:80/"),
        ("https://h", "/\\evil.test/", "https://h/\\evil.test/"),
        (None, "http://h/x", "http://h/x"),
    ],
)
def test_joining_keeps_the_base(base: str | None, reference: str, joined: str) -> None:
    """A relative URL stands behind the base, whose prefix and query stay; an absolute one stands alone."""
    assert join(base, reference) == joined


@given(st.text(st.sampled_from("/\\@:.?#%a1 \t-+[]"), max_size=12))
def test_a_relative_url_never_leaves_the_base(reference: str) -> None:
    """Whatever is put behind a base goes to the base's own origin."""
    base = "https://api.test/v1"
    with suppress(ConfigurationError):
        assert URL.parse(join(base, reference)).origin == URL.parse(base).origin


@pytest.mark.parametrize("reference", ["//evil.test/x", "///x", "//"])
def test_a_host_without_a_scheme_is_refused(reference: str) -> None:
    """`//host` would go elsewhere unseen."""
    with pytest.raises(ConfigurationError, match="http:// or https://"):
        join("https://h", reference)


def test_a_relative_url_needs_a_base() -> None:
    """The message says what to give, and shows no secret."""
    with pytest.raises(ConfigurationError, match="base_url") as refused:
        join(None, "/x?token=hunter2")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": True, "b": False, "c": None, "d": 1, "e": 1.5, "f": ""}, "a=true&b=false&d=1&e=1.5&f="),
        ({"a": [1, None, True, "x"]}, "a=1&a=true&a=x"),
        ({"a": (1, 2), "b": []}, "a=1&a=2"),
        ([("a", 1), ("b", 2), ("a", 3)], "a=1&b=2&a=3"),
        ((("a", 1),), "a=1"),
        ({"a b&=": "ü +&=#/?"}, "a%20b%26%3D=%C3%BC%20%2B%26%3D%23%2F%3F"),
        ({"a": Colour.RED, "b": Size.BIG}, "a=red&b=3"),
        ("?a=1&b=%20 ü#", "a=1&b=%20%20%C3%BC%23"),
        ({}, ""),
    ],
)
def test_params_are_written_by_rule(params: Any, query: str) -> None:
    """True becomes `true`, None is dropped, lists repeat, all else is percent-encoded UTF-8."""
    assert encode_params(params) == query


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))))
def test_params_come_back_as_they_went(pairs: list[tuple[str, str]]) -> None:
    """Any text survives the encoding, and the query holds nothing that would end it."""
    query = encode_params(pairs)
    assert parse_qsl(query, keep_blank_values=True) == pairs
    url = URL.parse("http://h/x").with_params(pairs)
    assert URL.parse(str(url)).query == query


@pytest.mark.parametrize(
    "params", [{"a": b"bytes"}, {"a": {"b": 1}}, {"a": {1, 2}}, {"a": object()}, {"a": [[1]]}, {"a": bytearray(b"x")}]
)
def test_a_value_of_no_text_is_refused(params: Any) -> None:
    """What has no agreed form in a query is refused by the parameter's name."""
    with pytest.raises(ConfigurationError, match=r"parameter 'a'"):
        encode_params(params)


@pytest.mark.parametrize("params", [5, ["a"], [("a",)], {1, 2}, [("a", "b", "c")], b"a=1"])
def test_params_of_a_wrong_shape_are_refused(params: Any) -> None:
    """What is neither dict, pairs nor text is refused in words."""
    with pytest.raises(ConfigurationError, match="give a dict"):
        encode_params(params)


@pytest.mark.parametrize("params", [{"a": "\ud800"}, {"\udfff": 1}, "a=\ud800"])
def test_half_a_surrogate_pair_is_refused(params: Any) -> None:
    """Text without UTF-8 is a configuration error, not a codec's."""
    with pytest.raises(ConfigurationError, match="surrogate"):
        encode_params(params)


def test_params_go_behind_those_of_the_url() -> None:
    """One `?`, then `&`; nothing to add leaves the URL itself."""
    url = URL.parse("http://h/x")
    assert str(url.with_params({"a": 1})) == "http://h/x?a=1"
    assert str(url.with_params({"a": 1}).with_params("b=2")) == "http://h/x?a=1&b=2"
    assert str(URL.parse("http://h/x?").with_params({"a": 1})) == "http://h/x?a=1"
    assert url.with_params(None) is url.with_params({}) is url.with_params({"a": None}) is url


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("/x", "https://h:8443/x"),
        ("x?y=1", "https://h:8443/a/x?y=1"),
        ("", "https://h:8443/a/b?q=1"),
        ("?z", "https://h:8443/a/b?z"),
        ("#top", "https://h:8443/a/b?q=1#top"),
        ("../../../x", "https://h:8443/x"),
        ("//other/x", "https://other/x"),
        ("http://u:p@other:80/x", "http://other/x"),
        ("/ü b", "https://h:8443/%C3%BC%20b"),
        ("\\\\evil.test\\x", "https://h:8443/a/%5C%5Cevil.test%5Cx"),
    ],
)
def test_references_resolve_as_the_standard_says(reference: str, target: str) -> None:
    """RFC 3986, section 5; a user name in a Location is dropped."""
    assert str(URL.parse("https://h:8443/a/b?q=1").resolve(reference)) == target


@pytest.mark.parametrize(
    "reference", ["javascript:alert(1)", "mailto:a@b", "data:,x", "http://[", "\x00", "http://h:x/", "x" * 70_000, None]
)
def test_a_reference_that_leads_nowhere_is_refused(reference: Any) -> None:
    """Only http and https targets come out."""
    with pytest.raises(ConfigurationError):
        URL.parse("https://h/").resolve(reference)


def test_parsing_is_linear() -> None:
    """The longest URLs that are accepted are no matter of minutes."""
    began = time.process_time()
    for text in (
        "http://h/" + "../" * 20_000,
        "http://" + "a." * 30_000,
        "http://h/?" + "%" * 60_000,
        "http:" + "/" * 60_000,
    ):
        with suppress(ConfigurationError):
            URL.parse(text)
    assert time.process_time() - began < HANGS


def test_scalars_of_a_form() -> None:
    """The rule for one value, which forms share with queries."""
    assert [scalar("a", value) for value in ("x", True, 2, 1.5, None)] == ["x", "true", "2", "1.5", None]
