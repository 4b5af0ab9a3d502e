"""Each matcher: what it takes, what it does not, and what it says of a miss."""

import pickle
from dataclasses import dataclass

import pytest

from mockserver.matching import (
    Absent,
    And,
    Anything,
    Body,
    Contains,
    Cookie,
    Equal,
    Form,
    Header,
    Json,
    JsonPartial,
    JsonPath,
    Matcher,
    Method,
    Mismatch,
    Not,
    OneOf,
    Or,
    Path,
    PathRegex,
    Present,
    Query,
    Regex,
)
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.utils import MASK

_X = "header x: wanted containing 'b' in any case, got nothing"
FORM = (("content-type", "application/x-www-form-urlencoded"),)


def seen(path: str = "/", method: str = "GET", **rest: object) -> Seen:
    return Seen(method=method, path=path, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matcher", "good", "bad"),
    [
        (Anything(), [seen()], []),
        (Method("get", "HEAD"), [seen(), seen(method="HEAD")], [seen(method="POST"), seen(method="get")]),
        (
            Path("/users/{id}"),
            [seen("/users/7"), seen("/users/{id}")],
            [seen("/users/"), seen("/users"), seen("/users/7/x")],
        ),
        (Path("/f/{name}.json"), [seen("/f/a.json"), seen("/f/.json.json")], [seen("/f/.json"), seen("/f/a.txt")]),
        (Path("/a/{b}", exact=True), [seen("/a/{b}")], [seen("/a/b")]),
        (Path("/"), [seen("/")], [seen("//"), seen("*"), seen("")]),
        (PathRegex(r"/users/\d+"), [seen("/users/12")], [seen("/users/12/"), seen("x/users/12")]),
        (Query("q"), [seen(query="q="), seen(query="a=1&q=2")], [seen(), seen(query="Q=1")]),
        (Query("q", "a b"), [seen(query="q=a+b"), seen(query="q=x&q=a%20b")], [seen(query="q=a")]),
        (Query("q", Absent()), [seen()], [seen(query="q=")]),
        (Query("q", Equal("AbC", ignore_case=True)), [seen(query="q=aBc")], [seen(query="q=ab")]),
        (Query("q", Contains("b")), [seen(query="q=abc")], [seen(query="q=ABC")]),
        (Query("q", Contains("b", ignore_case=True)), [seen(query="q=ABC")], [seen(query="q=x")]),
        (Query("q", Regex("^a+$")), [seen(query="q=aa")], [seen(query="q=ab")]),
        (Query("q", Regex("a+", whole=True)), [seen(query="q=aa")], [seen(query="q=aab")]),
        (Query("q", Regex("A", ignore_case=True)), [seen(query="q=a")], [seen(query="q=b")]),
        (Query("q", OneOf("a", Contains("z"))), [seen(query="q=a"), seen(query="q=xzx")], [seen(query="q=b")]),
        (Header("Accept", "json"), [seen(fields=(("accept", "json"),))], [seen(), seen(fields=(("accept", "JSON"),))]),
        (
            Header("a", "1, 2"),
            [seen(fields=(("a", "1, 2"),)), seen(fields=(("a", "1"), ("a", "2")))],
            [seen(fields=(("a", "1"),))],
        ),
        (Cookie("s", "1"), [seen(fields=(("cookie", "t=2; s=1"),))], [seen(fields=(("cookie", "s=2"),)), seen()]),
        (Cookie("s", Absent()), [seen()], [seen(fields=(("cookie", "s=2"),))]),
        (Form("a", "1"), [seen(body=b"a=1&b=2", fields=FORM), seen(body=b"a=1")], [seen(body=b"a=2"), seen()]),
        (Form("a"), [seen(body=b"a=")], [seen(body=b'{"a=": 1}', fields=(("content-type", "application/json"),))]),
        (Form("a"), [], [seen(body=b"a=1&" * 2000), seen(body=b"a=" + b"1" * (1 << 20))]),
        (Body(b"\xff"), [seen(body=b"\xff")], [seen(body=b"\xfe")]),
        (Body("é"), [seen(body="é".encode())], [seen(body=b"e"), seen(body=b"x" * ((1 << 20) + 1))]),
        (Body(""), [seen()], [seen(body=b" ")]),
        (
            Json({"a": 1, "b": [True]}),
            [seen(body=b'{"b":[true],"a":1.0}')],
            [seen(body=b'{"a":1,"b":[1]}'), seen(body=b"{")],
        ),
        (Json(None), [seen(body=b"null")], [seen(body=b"0"), seen()]),
        (Json([1, 2]), [seen(body=b"[1,2]")], [seen(body=b"[2,1]"), seen(body=b"[1,2,3]"), seen(body=b"[1]")]),
        (Json({"a": 1}), [], [seen(body=b'{"a":1,"b":2}'), seen(body=b'{"b":1}'), seen(body=b"{}"), seen(body=b"[]")]),
        (Json(1), [seen(body=b"1")], [seen(body=b"true"), seen(body=b'"1"'), seen(body=b" " * (1 << 20) + b"1")]),
        (JsonPartial({"a": {"b": 1}}), [seen(body=b'{"a":{"b":1,"c":2},"d":3}')], [seen(body=b'{"a":{"c":2}}')]),
        (JsonPartial([1]), [seen(body=b"[1,2]")], [seen(body=b"[2,1]"), seen(body=b"[]")]),
        (JsonPartial([1], any_order=True), [seen(body=b"[2,1]")], [seen(body=b"[2,3]")]),
        (
            JsonPartial([{}, {"a": 1}], any_order=True),
            [seen(body=b'[{"a":1},{}]')],
            [seen(body=b"[{},{}]"), seen(body=b'[{"a":1}]')],
        ),
        (JsonPartial([1, 1], any_order=True), [seen(body=b"[1,2,1]")], [seen(body=b"[1,2]")]),
        (
            JsonPath("$.a.b"),
            [seen(body=b'{"a":{"b":null}}'), seen(body=b'{"a":{"b":[]}}')],
            [seen(body=b'{"a":{}}'), seen()],
        ),
        (JsonPath("$.a", Absent()), [seen(body=b"{}")], [seen(body=b'{"a":null}'), seen()]),
        (JsonPath("$.a", None), [seen(body=b'{"a":null}')], [seen(body=b"{}")]),
        (JsonPath("$..id", 7), [seen(body=b'[{"id":1},{"id":7.0}]')], [seen(body=b'[{"id":"7"}]')]),
        (JsonPath("$.n", Regex("^4")), [seen(body=b'{"n":42}'), seen(body=b'{"n":"4"}')], [seen(body=b'{"n":[4]}')]),
        (JsonPath("$[?@.a>1]"), [seen(body=b'[{"a":2}]')], [seen(body=b'[{"a":1}]')]),
        (
            JsonPath("$[?match(@.a,'b.d')]"),
            [seen(body=b'[{"a":"bcd"}]')],
            [seen(body=b'[{"a":"bcde"}]'), seen(body=b'[{"a":1}]')],
        ),
        (JsonPath("$[?search(@,'a[.]b|$')]"), [seen(body=b'["xa.b"]'), seen(body=b'["$"]')], [seen(body=b'["axb"]')]),
        (JsonPath("$[?@==$[0]]"), [seen(body=b'[{"a":[1]},{"a":[1.0]}]')], [seen(body=b"{}")]),
        (~Method("GET"), [seen(method="PUT")], [seen()]),
        (Method("GET") & Path("/a"), [seen("/a")], [seen("/b"), seen("/a", "PUT")]),
        (Method("GET") | Path("/a"), [seen("/b"), seen("/a", "PUT")], [seen("/b", "PUT")]),
    ],
    ids=str,
)
def test_a_matcher_takes_what_fits_and_says_what_does_not(matcher: Matcher, good: list[Seen], bad: list[Seen]) -> None:
    """It matches exactly when it has nothing to say against a request, and its numbers say the same."""
    for each in good:
        assert matcher(each)
        assert matcher.mismatches(each) == []
        assert matcher.matched(each)[0] == matcher.matched(each)[1]
    for each in bad:
        assert not matcher(each)
        assert matcher.mismatches(each)
        met, parts = matcher.matched(each)
        assert met < parts
        assert 0 <= matcher.nearness(each) < parts
    assert pickle.loads(pickle.dumps(matcher)) == matcher
    assert hash(pickle.loads(pickle.dumps(matcher))) == hash(matcher)


@pytest.mark.parametrize(
    ("matcher", "request_", "lines"),
    [
        (Method("GET", "PUT"), seen(method="POST"), ["method: wanted GET or PUT, got POST"]),
        (Path("/a/{b}"), seen("/c"), ["path: wanted /a/{b}, got '/c'"]),
        (PathRegex("/a"), seen("/c"), ["path: wanted matching '/a', got '/c'"]),
        (Query("q", Absent()), seen(query="q=1&q=2"), ["query q: wanted absent, got '1', '2'"]),
        (Header("X", Contains("b", ignore_case=True)), seen(), [_X]),
        (Header("authorization", "Bearer x"), seen(fields=(("authorization",
        "y"),)), [f"header authorization: wanted {MASK}, got {MASK}"]),
        (Form("a", OneOf("1", "2")), seen(body=b"a=3"), ["form a: wanted one of '1', '2', got '3'"]),
        (Body("x"), seen(body=b"a\nb"), [r"body: wanted 'x', got 'a\nb'"]),
        (Body(b"x"), seen(), ["body: wanted b'x', got nothing"]),
        (
            Json({"a": 1, "b": [1, {"c": 2}]}),
            seen(body=b'{"a":true,"b":[1,{"c":3},4],"d":5}'),
            [
                "json $.a: wanted 1, got True",
                "json $.b[1].c: wanted 2, got 3",
                "json $.b (length): wanted 2, got 3",
                "json $.d: wanted nothing, got 5",
            ],
        ),
        (JsonPartial({"a": {"b": 1}}), seen(body=b'{"a":{}}'), ["json $.a.b: wanted 1, got nothing"]),
        (JsonPartial([1, 2]), seen(body=b"[1]"), ["json $ (length): wanted 2, got 1"]),
        (JsonPartial([1], any_order=True), seen(body=b"[2]"), ["json $: wanted [1], got [2]"]),
        (Json({}), seen(), ["json: wanted {}, got no body"]),
        (Json({}), seen(body=b"{"), ["json: wanted {}, got no JSON: '{'"]),
        (JsonPath("$[*]", 3), seen(body=b"[1,2]"), ["json $[*]: wanted 3, got 1, 2"]),
        (JsonPath("$.a", "x"), seen(body=b"{}"), ["json $.a: wanted 'x', got nothing"]),
        (JsonPath("$.a"), seen(body=b"a"), ["json $.a: wanted present, got no JSON: 'a'"]),
        (~(Method("GET") | Method("PUT")), seen(), ["not: wanted anything but GET or PUT, got just that"]),
        (
            Path("/a") | (Path("/b") & Query("q")),
            seen("/c"),
            [
                "either 1, path: wanted /a, got '/c'",
                "either 2, path: wanted /b, got '/c'",
                "either 2, query q: wanted present, got nothing",
            ],
        ),
    ],
)  # fmt: skip
def test_a_miss_is_explained_field_by_field(matcher: Matcher, request_: Seen, lines: list[str]) -> None:
    """Each line names the field, what was wanted, and what came; secrets are masked."""
    assert [str(line) for line in matcher.mismatches(request_)] == lines


def test_a_path_captures_what_its_template_names() -> None:
    """Captures come through And and Or, and only from a path that fits."""
    path = Path("/users/{id}/files/{name}.txt")
    request = seen("/users/7/files/a.b.txt")
    assert path.captures(request) == {"id": "7", "name": "a.b"}
    assert (Method("GET") & path).captures(request) == {"id": "7", "name": "a.b"}
    assert (Path("/x") | path).captures(request) == {"id": "7", "name": "a.b"}
    assert (Path("/x") | Path("/y")).captures(request) == {}
    assert path.captures(seen("/users/7")) == {}
    assert (~path).captures(request) == {}
    assert Path("/{a}", exact=True).captures(seen("/{a}")) == {}


def test_and_counts_its_parts() -> None:
    """Nested conjunctions are one, and tell how many of all their parts a request meets."""
    matcher = Method("GET") & (Path("/a") & Query("q")) & (Header("x") | Header("y"))
    assert isinstance(matcher, And)
    assert len(matcher.parts) == 4
    assert matcher.matched(seen("/a")) == (2, 4)


def test_a_path_with_a_slip_is_nearer_than_another_path() -> None:
    """The path that begins alike and has more segments in common is the nearer one."""
    request = seen("/usres/7")
    assert Path("/users/{id}").nearness(request) > Path("/orders/{id}").nearness(request)
    assert Path("/orders/{id}").nearness(request) > Path("/orders").nearness(request)
    assert (Path("/users/{id}") | Path("/x")).nearness(request) == Path("/users/{id}").nearness(request)


def test_not_not_is_the_matcher_itself() -> None:
    """Two negations are none."""
    assert ~~Method("GET") == Method("GET")


def test_a_matcher_of_ones_own_joins_the_others() -> None:
    """A frozen dataclass that extends Matcher is joined like any other."""

    @dataclass(frozen=True)
    class Secure(Matcher):
        def __call__(self, seen: Seen) -> bool:
            return seen.scheme == "https"

        def mismatches(self, seen: Seen) -> list[Mismatch]:
            return [] if self(seen) else [Mismatch("scheme", "https", seen.scheme)]

    matcher = Path("/") & Secure()
    assert matcher(seen(scheme="https"))
    assert matcher.matched(seen()) == (1, 2)
    assert matcher.captures(seen(scheme="https")) == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Method(), "one method or more"),
        (lambda: Method("G T"), "one method or more"),
        (lambda: Path("users"), "begins with '/'"),
        (lambda: Path("/users?q=1"), "Query(name, value)"),
        (lambda: Path("/{a}/{a}"), "occurs twice"),
        (lambda: Path("/{a}{b}"), "should hold one"),
        (lambda: Path("/{a"), "exact=True"),
        (lambda: PathRegex("("), "not closed"),
        (lambda: Query(""), "give a name"),
        (lambda: Header("a b"), "no name of a header field"),
        (lambda: Query("q", 3), "give a text"),
        (lambda: Equal(3), "give a text"),
        (lambda: Contains("a", ignore_case="no"), "True or False"),
        (lambda: OneOf(), "one value or more"),
        (lambda: OneOf("a", Absent()), "not Absent"),
        (lambda: Body(3), "give a text"),
        (lambda: Json({1: 2}), "names are text"),
        (lambda: Json(float("nan")), "which JSON does not have"),
        (lambda: Json({"a": {1}}), "$.a is {1}"),
        (lambda: JsonPartial([0] * 201, any_order=True), "200 elements"),
        (lambda: JsonPartial([], any_order=1), "True or False"),
        (lambda: JsonPath("a"), "expected '$'"),
        (lambda: JsonPath(3), "a path is text"),
        (lambda: JsonPath("$" + ".a" * 250), "at most 500"),
        (lambda: JsonPath("$.a", {"b": b""}), "JSON does not have"),
        (lambda: JsonPath("$[?match(@.a, @.b)]"), "in quotes"),
        (lambda: JsonPath("$[?search(@.a, '(a')]"), "not closed"),
        (lambda: And(), "one matcher or more"),
        (lambda: Or(Method("GET"), "x"), "no matcher"),
        (lambda: Not("x"), "no matcher"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_when_it_is_made(make: object, said: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(ConfigurationError) as refused:
        make()  # type: ignore[operator]
    assert said in str(refused.value)


def test_equal_matchers_are_equal_and_others_are_not() -> None:
    """JSON is compared as JSON writes it: true is not 1."""
    assert Json({"a": 1, "b": 2}) == Json({"b": 2, "a": 1})
    assert Json(1) != Json(True)
    assert Json(1) != JsonPartial(1)
    assert JsonPartial([1]) != JsonPartial([1], any_order=True)
    assert JsonPartial(1) != 1
    assert JsonPath("$.a", 1) != JsonPath("$.a", True)
    assert JsonPath("$.a") != JsonPath("$.a", None)
    assert JsonPath("$.a", Present()) == JsonPath("$.a")
