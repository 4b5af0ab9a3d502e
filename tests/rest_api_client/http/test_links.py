"""Link fields, as servers write them and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http.links import Link, parse_link_header


@pytest.mark.parametrize(
    ("value", "links"),
    [
        (
            '<https://a/?page=2>; rel="next", <https://a/?page=9>; rel="last"',
            [Link("https://a/?page=2", ("next",)), Link("https://a/?page=9", ("last",))],
        ),
        ("</a,b;c>;rel=next", [Link("/a,b;c", ("next",))]),
        (
            '<a>; title="x, <y>; \\"z\\" \\\\"; rel="NEXT prefetch next"',
            [Link("a", ("next", "prefetch"), {"title": 'x, <y>; "z" \\'})],
        ),
        (
            "<a> ; REL = up ; Type=text/html ;; crossorigin",
            [Link("a", ("up",), {"type": "text/html", "crossorigin": ""})],
        ),
        ("<a>; rel=next; rel=prev; title=1; title=2", [Link("a", ("next",), {"title": "1"})]),
        ("<a>; rel=next; title*=UTF-8''%e2%82%ac", [Link("a", ("next",), {"title*": "UTF-8''%e2%82%ac"})]),
        ('< a >; rel=next; x="open', [Link("a", ("next",), {"x": "open"})]),
        ("<>; rel=self", [Link("", ("self",))]),
        (", ,<a>; rel=next,", [Link("a", ("next",))]),
        ("a; rel=next, <b; rel=next", []),
        ("<a>, <b>; title=x, <c>; rel=", []),
        ("nonsense, <b>; rel=next", [Link("b", ("next",))]),
        ("", []),
    ],
)
def test_links(value: str, links: list[Link]) -> None:
    """The grammar of RFC 8288; what does not fit is left out, the rest kept."""
    assert parse_link_header(value) == links


words = st.text(alphabet="abc-", min_size=1, max_size=5)
links = st.builds(
    Link,
    st.text(alphabet="abc,;=/?\"' ", max_size=10).map(str.strip),
    st.lists(words, min_size=1, max_size=3, unique=True).map(tuple),
    st.dictionaries(words.filter(lambda name: name != "rel"), st.text(alphabet='a,;<>"\\ =', max_size=8), max_size=3),
)


def written(link: Link) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    params = "".join(f"; {name}={quoted(value)}" for name, value in link.params.items())
    return f"<{link.url}>; rel={quoted(' '.join(link.rel))}{params}"


@given(expected=st.lists(links, max_size=4))
def test_round_trip(expected: list[Link]) -> None:
    """What is written by the grammar is read back."""
    assert parse_link_header(", ".join(map(written, expected))) == expected


@given(value=st.text(alphabet='<>;,="\\ a') | st.text())
def test_any_text(value: str) -> None:
    """Any text gives links with a relation, or none."""
    assert all(link.rel for link in parse_link_header(value))


@pytest.mark.parametrize("unit", ["<", '"', '\\"', ";", ",", "<a>;", ';a="', '<a>; rel="', "=", "<a>; rel=n,"])
def test_long_text(unit: str) -> None:
    """A megabyte of the worst characters is done at once (a quadratic search would take minutes)."""
    for start in ("", "<a>", '<a>; x="'):
        assert len(parse_link_header(start + unit * (1_000_000 // len(unit)))) <= 100_000
