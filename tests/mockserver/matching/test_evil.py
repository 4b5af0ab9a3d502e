"""Patterns and inputs made to take for ever: each is refused, or ends in time as no match, and none raises."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.matching import Body, Header, JsonPartial, JsonPath, Matcher, Or, PathRegex, Query, Regex
from mockserver.matching.patterns import Patience, compile_pattern
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError

MOST = 10.0
"""Seconds: what is not bounded takes hours. How long it does take is a matter of `make prove`."""

SLOW = [
    r"(a+)+$", r"(a|aa)+$", r"(a|a?)+$", r"(.*a){20}", r"(.*a){1,100}x", r"(a{1,900}){1,900}$", r"(?:a?){500}a{500}",
    r"(x+x+)+y", r"(a*)*\1*b", r"(?=(a+))\1*b", r"(?<=a*a*a*a*b)c", r"(?<=(a|aa)+b)c", r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(\w+\s?)*!$", r"(?:\b\w*\b)*!", r"(?>a+)+b", r"a++b|(a+)+b", r"(?|(a)|(a))+b", r"(?:a|b|ab)*c{2}",
    r".*.*.*.*.*=x",
    r"(?:(?=.*x).)*y", r"(?<!a.*)b", r"(?=(?=(?=(.*)*)*)*)*x", r"(?i)(ß|ss)+$", r"\p{L}+\p{Lu}+\p{Ll}+1", r"\X+\X+\X+b",
    r"(?:.{0,900}.{0,900}.{0,900})x", r"([^a]|a|ab)*c", r"((((a*)*)*)*)*b", r"(a|b|c|d|e|[a-e])*f", r"(?m)(^.*$\n?)*x",
    r"(?s)(.*.*)*\d{5}", r"(\d|\w|\S|.)*#", r"(?:a*?)*?b", r"(a?b?c?d?)*e", "(?:" * 45 + "a" + ")*" * 45 + "b",
    "|".join("a" * length for length in range(1, 40)) + "$", r"(a(b(c(d)*)*)*)*x", r"(?:(?:a|b)?){400}c",
    r"^(a?){400}$",
]  # fmt: skip
REFUSED = [
    "|".join(map(str, range(100_000))), "(" * 400 + "a" + ")" * 400, "a" * 1_001, "(?:" * 12 + "a" + "){2}" * 12,
    "(?:" * 40 + "a" + ")+" * 40, "(?:" * 20 + "a" + "){1,100}" * 20, r"(?:a{0,9999999}){9999999}", "a{1000000}",
    "(?:a{100}){100}", "(?:(?:ab){60}){60}", "a{999999999999}", "(?R)?a(?R)?", "(?:(a)|(?R))*b", "(?P<x>a)(?&x)+b",
    "(?1)(a)",
    "(?e)(?:abcdefgh){e}", "(?b)(?:abc){e<=5}", "(?:abc){e}", "(?:abc){i<=3,d<=3}", "(?(1)a|b)(a)", "(?(DEFINE)(a))",
    "(?x)( a # )", "(?#(()a", "(?V1)[[a-z]--[b]]+", "[[a]b]", "(?r)(a+)+b", "(?p)a|ab", r"\L<x>", "(*PRUNE)", "(*FAIL)",
    "(", ")", "[", "a\\", "a**", "*", "{", "a{,", "{2}{3}{4}", "(?<=", "(?P<1>a)", "(?P=x)", r"\g<x>", r"\N{NO SUCH}",
    r"\p{NoSuch}", "(?P<a>x)(?P<a", "[z-a]", "(?i", "((?:a){70}){70}", "(?:(?:(?:(?:a+){9}){9}){9}){9}",
]  # fmt: skip
SUBJECTS = ["a" * 50 + "!", "a" * 65_536, "x" * 40_000, "abcde" * 2_000 + "\n", "ß0" * 9_000]
PATHS = [
    "$..[?@..[?@..*]]", "$" + "[0,0,0,0,0,0,0,0,0,0]" * 20, "$" + "[*,*]" * 60, "$" + "..*" * 60, "$" + ".a" * 240,
    "$[?" + "(" * 200 + "@.a" + ")" * 200 + "]", "$[?" + "!" * 300 + "@.a]", "$[?" + "&&".join(["@.a"] * 80) + "]",
    "$[?match(@.a,'(a+)+b')]", "$..[?search(@,'(a|aa)+$')]", "$..x", "$[?$==$]", "$..[?@==$]",
    "$[0:9007199254740991:1]",
    "$[?count($..*)>count($..*)]", "$..[?count(@..*)>count($..*)]", "$[?$.big==$.big2]",
    "$" + "[?@" * 50 + ".a" + "]" * 50,
]  # fmt: skip
BAD_PATHS = [
    "$[?match(@.a,@.b)]", "$[?match(@.a,'(?:(?:(?:(?:(?:a){9}){9}){9}){9}){9}')]", "$[?search(@,'(?R)')]",
    "$" + "." * 499,
    "$" + "[" * 400, "$[?@.a==1e999999]", "$[99999999999999999999]", "$..[?$..*==$..*]", "$[?length(@)]",
    "$" + ".a" * 5_000,
]  # fmt: skip
DOCUMENTS = [
    json.dumps([0] * 100_000).encode(),
    json.dumps([[[[[0] * 9] * 9] * 9] * 9] * 3).encode(),
    json.dumps([{"a": "a" * 60 + "!", "b": "(a+)+$"}] * 3_000).encode(),
    json.dumps(["a" * 50 + "!"] * 5_000).encode(),
    json.dumps({"big": "x" * 400_000, "big2": "x" * 400_000, **{str(n): 0 for n in range(10_000)}}).encode(),
    b"[" * 100_000, b'{"a":' * 5_000, b"[" * 900 + b"]" * 900, b"1" * 500_000, b"\xff\xfe\xff",
]  # fmt: skip


def seconds(act: Callable[[], object]) -> float:
    """The time this thread computed, whatever else the machine does."""
    started = time.thread_time()
    act()
    return time.thread_time() - started


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """What is measured is not the collection of other tests' garbage."""
    gc.disable()
    yield
    gc.enable()


def ends(matcher: Matcher, request: Seen) -> None:
    """Both questions are answered in time, and alike."""
    assert seconds(partial(matcher, request)) < MOST
    assert seconds(partial(matcher.mismatches, request)) < MOST


def test_there_are_a_hundred_of_them() -> None:
    """The promise is about a hundred evil patterns."""
    assert len({*SLOW, *REFUSED, *PATHS, *BAD_PATHS}) >= 110


@pytest.mark.parametrize("pattern", SLOW, ids=lambda pattern: pattern[:30])
def test_a_slow_pattern_is_given_up(pattern: str) -> None:
    """Whatever is searched, the search ends."""
    assert seconds(partial(compile_pattern, pattern)) < MOST
    matcher = Body(Regex(pattern))
    ends(matcher, Seen(method="POST", path="/", body=SUBJECTS[0].encode()))
    for subject in SUBJECTS[1:]:
        assert seconds(partial(matcher, Seen(method="POST", path="/", body=subject.encode()))) < MOST


@pytest.mark.parametrize("pattern", REFUSED, ids=lambda pattern: pattern[:30])
@pytest.mark.parametrize("make", [Regex, PathRegex])
def test_a_pattern_without_bounds_is_refused_when_made(make: Callable[[str], object], pattern: str) -> None:
    """At once, and with a message that shows its beginning."""

    def refused() -> None:
        with pytest.raises(ConfigurationError, match="pattern"):
            make(pattern)

    assert seconds(refused) < MOST


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30])
def test_a_slow_path_is_given_up(path: str) -> None:
    """Whatever the document, looking into it ends."""
    matcher = JsonPath(path)
    for document in DOCUMENTS:
        ends(matcher, Seen(method="POST", path="/", body=document))


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: path[:30])
def test_a_path_without_bounds_is_refused_when_made(path: str) -> None:
    """At once."""

    def refused() -> None:
        with pytest.raises(ConfigurationError, match="JsonPath"):
            JsonPath(path)

    assert seconds(refused) < MOST


def test_a_deep_document_is_no_match() -> None:
    """A path that goes to all depths refuses a document deeper than 64; a plain path goes where it says."""
    body = b'{"a":' * 70 + b"1" + b"}" * 70
    request = Seen(method="POST", path="/", body=body)
    assert not JsonPath("$..a")(request)
    assert "given up" in JsonPath("$..a").mismatches(request)[0].got
    assert JsonPath("$.a.a.a")(request)
    assert JsonPartial({"a": {"a": {}}})(request)


def test_a_comparison_in_any_order_takes_so_many_steps_and_no_more() -> None:
    """Each wanted element fits many: what takes too long is no match, and said."""
    wanted = [[{"a": number % 3} for number in range(90)] for _ in range(90)]
    got = [[{"a": number % 2, "b": 1} for number in range(200)] for _ in range(60)] + wanted[:40]
    request = Seen(method="POST", path="/", body=json.dumps(got).encode())
    matcher = JsonPartial(wanted, any_order=True)
    ends(matcher, request)
    assert "too much to compare" in matcher.mismatches(request)[0].got


def test_a_thousand_slow_patterns_take_no_longer_than_one(caplog: pytest.LogCaptureFixture) -> None:
    """All patterns of one request share its time; the log names the first that had too little."""
    matcher = Or(*[Header("x", Regex("(a+)+$"))] * 1_000)
    request = Seen(method="GET", path="/", fields=(("x", "a" * 50 + "!"),))
    ends(matcher, request)
    caplog.clear()
    assert not matcher(request)
    assert caplog.messages == ["'(a+)+$' had no time left of the request's 0.05 s: counted as no match"]
    assert "given up" in matcher.mismatches(request)[0].got


def test_time_that_ran_out_between_two_patterns_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """What came to its end and left nothing is not named; the one that finds nothing left is, once."""
    short = Patience(0.001)

    def all_of_it(left: float) -> str:
        until = time.thread_time() + left
        while time.thread_time() <= until:
            pass
        return "found"

    with short:
        assert short.spend("first", all_of_it) == "found"
        for what in ("second", "third"):
            with pytest.raises(TimeoutError):
                short.spend(what, all_of_it)
    assert caplog.messages == ["'second' had no time left of the request's 0.001 s: counted as no match"]


def test_a_pattern_that_was_slow_once_has_its_time_again() -> None:
    """The time is that of one request: the next begins anew."""
    matcher = Query("q", Regex("(a+)+$")) | Query("q", Regex("^b"))
    assert not matcher(Seen(method="GET", path="/", query="q=" + "a" * 50 + "!"))
    assert matcher(Seen(method="GET", path="/", query="q=b"))


def test_a_text_too_long_to_search_is_said_to_be() -> None:
    """65,536 characters are searched, one more is not."""
    matcher = Body(Regex("b$"))
    assert matcher(Seen(method="POST", path="/", body=b"a" * 65_535 + b"b"))
    long = Seen(method="POST", path="/", body=b"a" * 65_536 + b"b")
    assert not matcher(long)
    assert "longer than" in matcher.mismatches(long)[0].got


ATOMS = [
    *"ab.^$()))*+?|", r"\w", "[ab]", "[^a]", r"\p{L}", r"\b", "(?:", "(?=", "(?!", "(?<=", "(?>", "(?|", "{2}", "{2,}",
    "{1,9}", "{0,900}", "{900}", "*?", "++", r"\1", "(?i)",
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(ATOMS), max_size=40).map("".join), st.sampled_from(SUBJECTS))
def test_any_pattern_is_refused_or_ends(pattern: str, subject: str) -> None:
    """Put together from what makes patterns slow."""
    closed = pattern + ")" * max(0, pattern.count("(") - pattern.count(")"))
    try:
        matcher = Body(Regex(closed))
    except ConfigurationError:
        return
    ends(matcher, Seen(method="POST", path="/", body=subject.encode()))
