"""What holds of all matchers, whatever they are and whatever comes."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.matching import (
    Absent,
    And,
    Anything,
    Contains,
    Equal,
    Header,
    Json,
    JsonPartial,
    JsonPath,
    Matcher,
    Method,
    Or,
    Path,
    Query,
)
from mockserver.seen import Seen

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.text("ab", max_size=2)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)
LEAVES = st.sampled_from(
    [
        Anything(),
        Method("GET"),
        Path("/a/{x}"),
        Path("/a/b"),
        Query("q", "1"),
        Query("q", Absent()),
        Header("h", Contains("b")),
        Header("h", Equal("B", ignore_case=True)),
        Json({"a": 1}),
        JsonPartial({}),
        JsonPath("$.a"),
    ]
)
MATCHERS = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(lambda part: ~part)
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(*parts))
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(*parts))
    ),
    max_leaves=6,
)
REQUESTS = st.builds(
    Seen,
    method=st.sampled_from(["GET", "PUT"]),
    path=st.sampled_from(["/a/b", "/a/c", "/a", "/"]),
    query=st.sampled_from(["", "q=1", "q=2"]),
    fields=st.sampled_from([(), (("h", "b"),), (("h", "c"), ("h", "B"))]),
    body=st.sampled_from([b"", b"{", b"{}", b'{"a":1}', b'{"a":2}']),
)


@given(MATCHERS, MATCHERS, REQUESTS)
def test_matchers_obey_the_laws_of_logic(one: Matcher, other: Matcher, request: Seen) -> None:
    """Not not m is m; De Morgan; and with the whole, or with the part."""
    assert ~~one == one or (~~one)(request) == one(request)
    assert (~one)(request) != one(request)
    assert (~(one & other))(request) == (~one | ~other)(request)
    assert (~(one | other))(request) == (~one & ~other)(request)
    assert (one & other)(request) == (one(request) and other(request)) == (other & one)(request)
    assert (one | other)(request) == (one(request) or other(request)) == (other | one)(request)


@given(MATCHERS, REQUESTS)
def test_a_matcher_explains_itself_exactly_when_it_does_not_match(matcher: Matcher, request: Seen) -> None:
    """Mismatches, the count of parts and the answer never disagree."""
    met, parts = matcher.matched(request)
    assert matcher(request) == (not matcher.mismatches(request)) == (met == parts)
    assert 0 <= met <= parts
    assert met <= matcher.nearness(request) + 1e-9
    assert str(matcher)


def posted(value: Any) -> Seen:
    return Seen(method="POST", path="/", body=json.dumps(value).encode())


@given(DOCUMENTS)
def test_a_document_equals_and_holds_itself(document: Any) -> None:
    """In order, in any order, and at its root."""
    request = posted(document)
    assert Json(document)(request)
    assert JsonPartial(document)(request)
    assert JsonPartial(document, any_order=True)(request)
    assert JsonPath("$", document)(request)


@given(DOCUMENTS, DOCUMENTS)
def test_equal_implies_partial_implies_any_order(wanted: Any, got: Any) -> None:
    """Each is wider than the one before."""
    request = posted(got)
    assert not Json(wanted)(request) or JsonPartial(wanted)(request)
    assert not JsonPartial(wanted)(request) or JsonPartial(wanted, any_order=True)(request)


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_a_document_with_more_in_it_still_holds_what_it_held(document: Any, random: Any) -> None:
    """Members added anywhere, elements added and shuffled: only their order can be missed."""

    def more(value: Any) -> Any:
        if isinstance(value, dict):
            return {**{name: more(each) for name, each in value.items()}, "more": 1}
        if isinstance(value, list):
            grown = [more(each) for each in value] + [{"more": 2}]
            random.shuffle(grown)
            return grown
        return value

    assert JsonPartial(document, any_order=True)(posted(more(document)))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/{}?#"), min_size=1, max_size=5)


@settings(max_examples=200)
@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=5))
def test_a_template_captures_what_was_put_into_it(parts: list[tuple[str, bool]]) -> None:
    """Every segment that is a place gives back what stands there, whatever it is."""
    template = "".join(f"/{{p{place}}}" if captured else f"/{text}" for place, (text, captured) in enumerate(parts))
    request = Seen(method="GET", path="".join(f"/{text}" for text, _ in parts))
    captured = {f"p{place}": text for place, (text, captured) in enumerate(parts) if captured}
    assert Path(template)(request)
    assert Path(template).captures(request) == captured
    assert not Path(template)(Seen(method="GET", path=request.path + "/more"))
