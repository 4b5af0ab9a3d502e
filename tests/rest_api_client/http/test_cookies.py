"""The cookie jar: what it keeps, what it sends where, and what it never sends."""

from __future__ import annotations

import copy
import pickle
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.cookies import MAX_AGE, MAX_COOKIES, MAX_PER_DOMAIN, Cookie, CookieJar
from rest_api_client.http.dates import format_http_date

NOW = 1_800_000_000.0


def jar_with(
    *set_cookie: str, url: str = "http://www.example.com/a/b", now: float = NOW, port: int | None = None
) -> CookieJar:
    jar = CookieJar()
    scheme, host, path = parts(url)
    jar.store(scheme, host, path, set_cookie, now, port=port)
    return jar


def parts(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return scheme, host, slash + path


def sent(jar: CookieJar, url: str, now: float = NOW, port: int | None = None) -> str | None:
    return jar.header(*parts(url), now, port=port)


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("a=1", "a=1"),
        (" a\t=  1 2 ; Path=/", "a=1 2"),
        ('a="1,2"; HttpOnly; SameSite=Lax; Partitioned; Foo=bar', 'a="1,2"'),
        ("a=b=c", "a=b=c"),
        ("a=", "a="),
        ("a=é", "a=é"),
        ("a", None),
        ("=1", None),
        ("", None),
        ("a=1\r\nX: y", None),
        ("a=1; Path=/\0", None),
        ("a=\x7f", None),
        ("a=" + "x" * 4095, "a=" + "x" * 4095),
        ("a=" + "x" * 4096, None),
        ("a=1; Path=/" + "p" * 1100, "a=1"),
    ],
)
def test_parsing(line: str, header: str | None) -> None:
    """Set-Cookie as RFC 6265 section 5.2 reads it; what has no name, control characters or is too large is ignored."""
    assert sent(jar_with(line), "http://www.example.com/a/b") == header


@pytest.mark.parametrize(
    ("domain", "there", "goes"),
    [
        ("", "www.example.com", True),
        ("", "WWW.EXAMPLE.COM", True),
        ("", "example.com", False),
        ("", "x.www.example.com", False),
        ("example.com", "www.example.com", True),
        (".EXAMPLE.com", "example.com", True),
        ("example.com", "a.b.example.com", True),
        ("example.com", "badexample.com", False),
        ("example.com", "example.com.evil.org", False),
        ("www.example.com", "example.com", False),
        ("www.example.com", "x.www.example.com", True),
        ("evil.org", "evil.org", False),
        ("x.www.example.com", "x.www.example.com", False),
        ("com", "www.example.com", False),
        ("ample.com", "www.example.com", False),
    ],
)
def test_domains(domain: str, there: str, goes: bool) -> None:
    """Without Domain a cookie goes to its host alone; with it to that domain and below, if its host lies in it."""
    jar = jar_with(f"a=1; Domain={domain}")
    assert sent(jar, f"https://{there}/a/b") == ("a=1" if goes else None)


@pytest.mark.parametrize(
    ("host", "domain", "kept"),
    [
        ("localhost", "localhost", True),
        ("shop.co.uk", "co.uk", False),
        ("me.github.io", "github.io", False),
        ("github.io", "github.io", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.1", False),
        ("[::1]", "[::1]", True),
        ("[::1]", "", True),
        ("127.0.0.1", "", True),
    ],
)
def test_shared_domains(host: str, domain: str, kept: bool) -> None:
    """No cookie for a public suffix or half an address; a host that is one keeps it for itself alone."""
    jar = jar_with(f"a=1; Domain={domain}", url=f"http://{host}/")
    assert sent(jar, f"http://{host}/") == ("a=1" if kept else None)
    assert sent(jar, f"http://other.{host}/") is None


def test_list_of_choice() -> None:
    """Whoever has the whole list can give it."""
    jar = CookieJar(public_suffix=lambda domain: domain == "example.com")
    jar.store("http", "www.example.com", "/", ["a=1; Domain=example.com", "b=1; Domain=www.example.com"], NOW)
    assert [cookie.name for cookie in jar] == ["b"]


@pytest.mark.parametrize(
    ("attribute", "there", "goes"),
    [
        ("", "/a/b", True),
        ("", "/a", True),
        ("", "/a/", True),
        ("", "/ab", False),
        ("", "/", False),
        ("; Path=", "/a/x", True),
        ("; Path=x", "/a/x", True),
        ("; Path=/", "", True),
        ("; Path=/x", "/x", True),
        ("; Path=/x", "/x/y", True),
        ("; Path=/x", "/xy", False),
        ("; Path=/x/", "/x", False),
        ("; Path=/x/", "/x/y", True),
        ("; Path=/x; Path=/", "/", True),
    ],
)
def test_paths(attribute: str, there: str, goes: bool) -> None:
    """A cookie goes to its path and below; without Path that is the folder of the request."""
    assert sent(jar_with("a=1" + attribute), "http://www.example.com" + there) == ("a=1" if goes else None)


@pytest.mark.parametrize("path", ["", "/", "/x", "nonsense"])
def test_default_path_at_the_root(path: str) -> None:
    """A request at the root, or without a path, sets cookies for the whole host."""
    jar = CookieJar()
    jar.store("http", "h.example", path, ["a=1"], NOW)
    assert sent(jar, "http://h.example/any/where") == "a=1"


@pytest.mark.parametrize(
    ("attributes", "lives"),
    [
        ("", None),
        ("; Max-Age=60", 60),
        ("; Max-Age=0", 0),
        ("; Max-Age=-1", 0),
        ("; Max-Age=" + "9" * 5000, None),
        ("; Max-Age=" + "9" * 1000, MAX_AGE),
        ("; Max-Age=1e9", None),
        ("; Max-Age=", None),
        (f"; Expires={format_http_date(NOW + 60)}", 60),
        (f"; Expires={format_http_date(NOW - 60)}", 0),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("; Expires=Fri, 31 Dec 9999 23:59:59 GMT", MAX_AGE),
        ("; Expires=0", None),
        (f"; Expires={format_http_date(NOW - 60)}; Max-Age=60", 60),
        (f"; Max-Age=60; Expires={format_http_date(NOW + 600)}", 60),
        ("; Max-Age=5; Max-Age=60; Max-Age=x", 60),
    ],
)
def test_expiry(attributes: str, lives: float | None) -> None:
    """Max-Age wins over Expires, the last valid one counts, and nothing lives longer than 400 days."""
    jar = jar_with("a=1" + attributes)
    url = "http://www.example.com/a/b"
    if lives is None:
        assert sent(jar, url, NOW + 10 * MAX_AGE) == "a=1"
    else:
        assert sent(jar, url, NOW + lives - 1) == ("a=1" if lives else None)
        assert sent(jar, url, NOW + lives) is None
        assert len(jar) == 0


def test_expired_cookie_removes() -> None:
    """A server deletes a cookie by setting it again with a time that has passed."""
    jar = jar_with("a=1; Path=/", "b=2; Path=/")
    jar.store("http", "www.example.com", "/", ["a=; Max-Age=0; Path=/", "c=; Max-Age=0"], NOW)
    assert sent(jar, "http://www.example.com/") == "b=2"


@pytest.mark.parametrize(
    ("line", "scheme", "kept"),
    [
        ("a=1; Secure", "https", True),
        ("a=1; secure", "wss", True),
        ("a=1; Secure", "http", False),
        ("__Secure-a=1; Secure", "https", True),
        ("__Secure-a=1", "https", False),
        ("__secure-a=1; Secure", "http", False),
        ("__Host-a=1; Secure; Path=/", "https", True),
        ("__Host-a=1; Secure", "https", False),
        ("__Host-a=1; Secure; Path=/a", "https", False),
        ("__HOST-a=1; Secure; Path=/; Domain=www.example.com", "https", False),
        ("__Host-a=1; Path=/", "https", False),
    ],
)
def test_secure_and_prefixes(line: str, scheme: str, kept: bool) -> None:
    """Secure cookies come from https or wss alone, and the prefixes promise what they say."""
    assert len(jar_with(line, url=f"{scheme}://www.example.com/")) == kept


def test_https_cookies_stay_on_https() -> None:
    """What came over https never goes out over plain http, Secure or not; what came over http goes to both."""
    jar = jar_with("a=1", url="https://h.example/")
    jar.store("http", "h.example", "/", ["b=2"], NOW)
    assert sent(jar, "http://h.example/") == "b=2"
    assert sent(jar, "https://h.example/") == sent(jar, "wss://h.example/") == "a=1; b=2"


@pytest.mark.parametrize(
    ("host", "line", "kept"),
    [
        ("www.example.com", "a=other; Path=/", True),
        ("www.example.com", "a=evil; Path=/login/x", False),
        ("www.example.com", "a=evil; Domain=example.com; Path=/login", False),
        ("x.www.example.com", "a=evil; Path=/login", False),
        ("www.example.com", "a=; Max-Age=0; Path=/login", False),
        ("www.example.com", "b=fine; Path=/login", True),
        ("other.example.com", "a=fine; Path=/login", True),
    ],
)
def test_plain_http_cannot_replace_secure(host: str, line: str, kept: bool) -> None:
    """A cookie from plain http neither replaces nor shadows a Secure one (unless it stands above its path)."""
    jar = jar_with("a=good; Domain=www.example.com; Path=/login; Secure", url="https://www.example.com/")
    jar.store("http", host, "/", [line], NOW)
    assert len(jar) == 1 + kept
    assert (sent(jar, "https://www.example.com/login") or "").startswith("a=good")


def test_protection_outlives_a_neighbour() -> None:
    """Forgetting one Secure cookie leaves others of its name protected; forgetting the last opens the name again."""
    jar = jar_with("a=good", url="https://one.example/")
    jar.store("https", "two.example", "/", ["a=good"], NOW)
    jar.clear(domain="one.example")
    jar.store("http", "two.example", "/", ["a=evil"], NOW)
    assert sent(jar, "https://two.example/") == "a=good"
    jar.clear(domain="two.example")
    jar.store("http", "two.example", "/", ["a=fine"], NOW)
    assert sent(jar, "https://two.example/") == "a=fine"


def test_ports() -> None:
    """With a port, a host's cookie goes back to that port alone; one for a domain, or stored without, to all."""
    jar = jar_with("a=1", "b=2; Domain=h.example", url="http://h.example/", port=8000)
    jar.store("http", "h.example", "/", ["a=3"], NOW, port=9000)
    jar.store("http", "h.example", "/", ["c=4"], NOW)
    assert sent(jar, "http://h.example/", port=8000) == "a=1; b=2; c=4"
    assert sent(jar, "http://h.example/", port=9000) == "b=2; a=3; c=4"
    assert sent(jar, "http://h.example/") == "b=2; c=4"


def test_order_and_replacement() -> None:
    """Longer paths come first, then older cookies; a new value keeps the old one's place."""
    jar = jar_with("a=1; Path=/", "b=2; Path=/", "c=3; Path=/a/b")
    jar.store("http", "www.example.com", "/", ["a=9; Path=/"], NOW)
    assert sent(jar, "http://www.example.com/a/b") == "c=3; a=9; b=2"
    assert [cookie.name for cookie in jar] == ["a", "b", "c"]


def test_limit_per_domain() -> None:
    """Of one domain 50 cookies are kept: expired ones go first, then the least recently used."""
    jar = jar_with("old=1; Max-Age=5", *(f"c{i}={i}; Path=/{i}" for i in range(MAX_PER_DOMAIN)))
    assert len(jar) == MAX_PER_DOMAIN
    assert jar.get("old") is None
    jar = jar_with(*(f"c{i}={i}; Path=/{i}" for i in range(MAX_PER_DOMAIN - 1)), "mid=1; Max-Age=5")
    assert sent(jar, "http://www.example.com/0") == "c0=0"
    jar.store("http", "www.example.com", "/", ["new=1"], NOW + 6)
    jar.store("http", "www.example.com", "/", ["new2=1"], NOW + 6)
    assert {cookie.name for cookie in jar} >= {"c0", "new", "new2"}
    assert jar.get("mid") is None
    assert jar.get("c1") is None


def test_limit_in_all() -> None:
    """Of all domains 3,000 cookies are kept, the least recently used go."""
    jar = CookieJar()
    for i in range(MAX_COOKIES):
        jar.store("http", f"h{i}.example", "/", ["a=1"], NOW)
    assert sent(jar, "http://h0.example/") == "a=1"
    jar.store("http", "new.example", "/", ["a=1"], NOW)
    assert len(jar) == MAX_COOKIES
    assert sent(jar, "http://h0.example/") == "a=1"
    assert sent(jar, "http://h1.example/") is None


def test_own_cookies() -> None:
    """A cookie of the caller's goes to exactly its host, scheme and port as said."""
    jar = CookieJar()
    jar.set("a", "1", domain="API.example.com", secure=True, port=443, path="/v1")
    jar.set("b", "2", domain="example.com", subdomains=True, expires=NOW + 10)
    assert sent(jar, "https://api.example.com/v1/x", port=443) == "a=1; b=2"
    assert sent(jar, "https://api.example.com/v1/x", port=444) == "b=2"
    assert sent(jar, "http://api.example.com/v1/x", port=443) == "b=2"
    assert sent(jar, "https://x.api.example.com/v1/x", NOW + 11, port=443) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a b"}, "name='a b' cannot be sent"),
        ({"name": ""}, "name='' cannot be sent"),
        ({"name": "a\r\nX"}, "cannot be sent"),
        ({"value": "1; b=2"}, "value cannot be sent"),
        ({"value": "s3cr3t\n"}, "value cannot be sent"),
        ({"value": " 1"}, "value cannot be sent"),
        ({"value": "é"}, "value cannot be sent"),
        ({"value": "x" * 4096}, "more than 4096 bytes"),
        ({"path": "x"}, "path='x' cannot be sent"),
        ({"path": "/;"}, "cannot be sent"),
        ({"domain": ""}, "domain='' is no host name"),
        ({"domain": "x" * 254}, "is no host name"),
        ({"domain": "co.uk", "subdomains": True}, "no subdomains of one owner"),
        ({"domain": "127.0.0.1", "subdomains": True}, "no subdomains of one owner"),
    ],
)
def test_own_cookies_are_checked(wrong: dict[str, object], message: str) -> None:
    """What cannot be sent is refused when it is set, and the message never shows the value."""
    good: dict[str, object] = {"name": "a", "value": "1", "domain": "h.example"}
    with pytest.raises(ConfigurationError, match=message) as caught:
        CookieJar().set(**good | wrong)  # type: ignore[arg-type]
    assert "s3cr3t" not in str(caught.value)


def test_get_and_clear() -> None:
    """Cookies are found by name and domain, and forgotten by either."""
    jar = CookieJar()
    for domain in ("one.example", "two.example"):
        for name in ("a", "b"):
            jar.set(name, f"{name} of {domain}", domain=domain)
    assert jar.get("a") == "a of two.example"
    assert jar.get("a", domain="ONE.example") == "a of one.example"
    assert jar.get("z") is None
    assert jar.get("z", "none") == "none"
    jar.clear(domain="one.example", name="a")
    assert len(jar) == 3
    jar.clear(name="b")
    assert [cookie.domain for cookie in jar] == ["two.example"]
    jar.clear(domain="two.example")
    jar.set("a", "1", domain="h.example")
    jar.clear()
    assert list(jar) == []


def test_no_values_in_reprs() -> None:
    """Neither the jar nor a cookie shows a value."""
    jar = jar_with("a=s3cr3t")
    assert repr(jar) == "<CookieJar of 1>"
    assert "s3cr3t" not in repr(list(jar))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda jar: pickle.loads(pickle.dumps(jar))])
def test_copies(again: object) -> None:
    """A copied or pickled jar sends the same in the same order, and goes its own way."""
    jar = jar_with("a=1; Path=/", "b=2; Path=/a; Max-Age=60", "c=3; Domain=example.com; Path=/")
    other = again(jar)  # type: ignore[operator]
    assert list(other) == list(jar)
    assert sent(other, "http://www.example.com/a") == sent(jar, "http://www.example.com/a") == "b=2; a=1; c=3"
    other.clear()
    assert len(jar) == 3


def test_cookies_are_values() -> None:
    """Two cookies that say the same are equal."""
    assert list(jar_with("a=1")) == [Cookie(name="a", value="1", domain="www.example.com", path="/a")]


def test_long_host() -> None:
    """A host longer than any name has no cookies, and costs nothing to look at."""
    jar = CookieJar()
    host = "a." * 500_000
    jar.store("http", host, "/", ["a=1", "b=1; Domain=a"], NOW)
    assert sent(jar, f"http://{host}/") is None
    assert len(jar) == 0


@pytest.mark.parametrize("unit", [";", "a=", "; Domain=", "; Path=/", ";Expires=1:1:1 ", "=", " ", "\t;"])
def test_long_field(unit: str) -> None:
    """A megabyte of the worst characters is done at once (a quadratic search would take minutes)."""
    assert len(jar_with("a=1" + unit * (1_000_000 // len(unit)))) <= 1


HOSTS = [
    "example.com",
    "www.example.com",
    "x.www.example.com",
    "other.com",
    "127.0.0.1",
    "localhost",
    "co.uk",
    "shop.co.uk",
]
attribute = st.sampled_from(
    [
        "Secure",
        "Path=/",
        "Path=/a",
        "Max-Age=5",
        "Max-Age=0",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Domain",
        "HttpOnly",
    ]
) | st.sampled_from(HOSTS).map("Domain={}".format)
fields = st.tuples(st.sampled_from(["a", "b", "__Host-c", "__Secure-d"]), st.lists(attribute, max_size=4))
answers = st.tuples(
    st.sampled_from(["http", "https"]), st.sampled_from(HOSTS), st.lists(fields, max_size=3), st.integers(0, 20)
)


@given(
    history=st.lists(answers, max_size=12),
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(HOSTS),
    at=st.integers(0, 30),
)
def test_only_the_rightful_receive(
    history: list[tuple[str, str, list[tuple[str, list[str]]], int]], scheme: str, host: str, at: int
) -> None:
    """Whatever was set before: a cookie reaches only its own host, or hosts under a domain that its host lies in."""
    jar = CookieJar()
    for number, (from_scheme, from_host, given_fields, now) in enumerate(history):
        for name, attributes in given_fields:
            line = "; ".join([f"{name}={number}", *attributes])
            jar.store(from_scheme, from_host, "/", [line], now)
    for pair in (jar.header(scheme, host, "/a", at) or "").split("; "):
        name, _, number = pair.partition("=")
        if not name:
            continue
        from_scheme, from_host, given_fields, now = history[int(number)]
        assert scheme == "https" or from_scheme == "http"
        assert "__" not in name or from_scheme == "https"
        if from_host != host:
            shared = [
                a[7:] for n, attributes in given_fields for a in attributes if n == name and a.startswith("Domain=")
            ]
            assert any(f".{from_host}".endswith(f".{d}") and f".{host}".endswith(f".{d}") for d in shared)
            assert not name.startswith("__Host-")
            assert "co.uk" not in {from_host, host} or from_host == host
    assert all(cookie.domain in HOSTS for cookie in jar)


@given(
    lines=st.lists(st.text(alphabet="a=;, \t\r\n\0-DomainPth/.xcugek") | st.text(), max_size=10),
    host=st.text(max_size=20),
)
def test_any_text(lines: list[str], host: str) -> None:
    """No field and no host makes the jar raise, and nothing that breaks a header field comes out."""
    jar = CookieJar()
    jar.store("https", host, "/", lines, NOW)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", jar.header("https", host, "/", NOW) or "")


def test_many_threads() -> None:
    """Threads that store and send at once neither fail nor lose count."""
    jar = CookieJar()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(300):
                jar.store("http", f"h{i % 7}.example", "/", [f"c{(number * i) % 90}=1; Max-Age={i % 3}"], NOW + i)
                jar.header("http", f"h{i % 5}.example", "/", NOW + i)
                list(jar)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list(jar)) == len(jar) <= 7 * MAX_PER_DOMAIN
