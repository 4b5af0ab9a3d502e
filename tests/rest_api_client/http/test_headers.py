"""Header fields under hostile names, hostile values and every way of putting them together."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.headers import Headers

NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
FORBIDDEN = set(range(32)) - {9} | {127}


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_gets_in_is_safe_to_send(name: str, value: str) -> None:
    """Whatever is given, either it is refused in words or its bytes hold no control character and no line end."""
    try:
        headers = Headers([(name, value)])
    except ConfigurationError:
        return
    [(sent_name, sent_value)] = headers.raw()
    assert sent_name
    assert all(33 <= byte < 127 and chr(byte) not in ':"(),/;<=>?@[\\]{}' for byte in sent_name)
    assert not set(sent_value) & FORBIDDEN
    assert sent_value == value.strip(" \t").encode("latin-1")


@pytest.mark.parametrize("bad", ["\r", "\n", "\x00", "\x0b", "\x7f", "x\r\nevil: 1"])
@pytest.mark.parametrize("put", ["init", "add", "set", "update", "setdefault", "merged", "mapping"])
def test_no_door_lets_a_control_character_in(put: str, bad: str) -> None:
    """Each way of putting a value in checks it, and leaves the fields as they were when it refuses."""
    headers = Headers({"a": "1"})
    doors = {
        "init": lambda: Headers([("b", f"x{bad}y")]),
        "mapping": lambda: Headers({"b": f"x{bad}y"}),
        "add": lambda: headers.add("b", f"x{bad}y"),
        "set": lambda: headers.__setitem__("a", f"x{bad}y"),
        "update": lambda: headers.update({"b": f"x{bad}y"}),
        "setdefault": lambda: headers.setdefault("b", f"x{bad}y"),
        "merged": lambda: headers.merged({"b": f"x{bad}y"}),
    }
    with pytest.raises(ConfigurationError, match="control character"):
        doors[put]()
    assert headers == {"a": "1"}


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "ä", "a\r", "a\n", "\x00", 5, None, b"bytes", ("a",)])
def test_a_bad_name_is_refused(name: Any) -> None:
    """A name that is no token, of whatever type, is refused with what a name may hold."""
    headers = Headers()
    for put in (headers.add, headers.__setitem__):
        with pytest.raises(ConfigurationError, match="not a token"):
            put(name, "x")
    assert len(headers) == 0


@pytest.mark.parametrize("value", [1, None, True, b"bytes", ["list"]])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:
    """The message names the header and the type."""
    with pytest.raises(ConfigurationError, match=rf"header X-A: .* {type(value).__name__}"):
        Headers({"X-A": value})


@pytest.mark.parametrize("given", ["text", b"bytes", 5, ["name"], [("a",)], [("a", "b", "c")], [None], "ab", ["ab"]])
def test_a_wrong_shape_is_refused(given: Any) -> None:
    """What is neither a mapping nor pairs is refused in words, not with an unpacking error."""
    with pytest.raises(ConfigurationError, match="give a dict"):
        Headers(given)


def test_text_beyond_latin_1_is_refused() -> None:
    """What no byte stands for is refused, with the RFC that encodes it; latin-1 passes."""
    with pytest.raises(ConfigurationError, match="8187"):
        Headers({"x": "€"})
    assert Headers({"x": "é"}).raw() == [(b"x", b"\xe9")]


def test_what_a_server_sent_cannot_be_sent_on_unchecked() -> None:
    """Received fields are kept as they came, but neither copying, merging nor sending lets bad ones through."""
    received = Headers.received([(b"X-Odd", b"a\r\nevil: 1"), (b"Fine", b"yes")])
    assert received["x-odd"] == "a\r\nevil: 1"
    assert received.copy()["x-odd"] == received.without(["fine"])["x-odd"] == "a\r\nevil: 1"
    for leak in (
        lambda: Headers(received),
        lambda: Headers().merged(received),
        received.raw,
        received.copy().raw,
        received.merged({"a": "b"}).raw,
    ):
        with pytest.raises(ConfigurationError, match="control character"):
            leak()
    assert Headers(received.without(["X-ODD"])).raw() == [(b"Fine", b"yes")]


@given(FIELDS)
def test_every_field_is_kept_in_order(fields: list[tuple[str, str]]) -> None:
    """Repeated names and spellings survive; look-ups in any case join the values."""
    headers = Headers(fields)
    kept = [(name, value.strip(" \t")) for name, value in fields]
    assert headers.multi_items() == kept
    assert headers.raw() == [(name.encode(), value.encode("latin-1")) for name, value in kept]
    for name, _ in fields:
        values = [value for other, value in kept if other.lower() == name.lower()]
        assert headers.get_list(name.upper()) == values
        assert headers[name.swapcase()] == ", ".join(values)
        assert name.upper() in headers
    assert list(headers) == list(dict.fromkeys(name.lower() for name, _ in fields))
    assert len(headers) == len(list(headers))


@given(FIELDS, FIELDS)
def test_merging_replaces_by_name(mine: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> None:
    """The other's fields win, mine of other names stay, and neither of the two changes."""
    one, other = Headers(mine), Headers(theirs)
    merged = one.merged(other)
    assert all(merged.get_list(name) == other.get_list(name) for name in other)
    assert all(merged.get_list(name) == one.get_list(name) for name in one if name not in other)
    assert set(merged) == set(one) | set(other)
    assert (one, other) == (Headers(mine), Headers(theirs))
    assert one.merged(None) == one


@given(FIELDS, st.lists(NAMES, max_size=3))
def test_without_takes_names_out(fields: list[tuple[str, str]], names: list[str]) -> None:
    """No field of these names is left, in whatever case, and all others are."""
    gone = {name.lower() for name in names}
    left = Headers(fields).without(iter(names))
    assert left.multi_items() == [(n, v) for n, v in Headers(fields).multi_items() if n.lower() not in gone]


def test_setting_replaces_all_of_a_name_where_the_first_stood() -> None:
    """Three cookies become one, in place, with the new spelling."""
    headers = Headers([("Cookie", "a"), ("X", "1"), ("cookie", "b"), ("COOKIE", "c")])
    headers["cOOkie"] = "new"
    assert headers.multi_items() == [("cOOkie", "new"), ("X", "1")]
    headers["Y"] = "2"
    assert headers.multi_items()[-1] == ("Y", "2")


def test_deleting_takes_all_of_a_name() -> None:
    """`del` removes each field of the name; a name that is not there is a KeyError as in any mapping."""
    headers = Headers([("A", "1"), ("a", "2"), ("b", "3")])
    del headers["a"]
    assert headers == {"b": "3"}
    with pytest.raises(KeyError, match="gone"):
        del headers["gone"]
    with pytest.raises(KeyError, match="gone"):
        headers["gone"]
    assert headers.get("gone") is None


DUPLICATES = [Headers.copy, Headers, copy.copy, copy.deepcopy, lambda headers: pickle.loads(pickle.dumps(headers))]


@pytest.mark.parametrize("duplicate", DUPLICATES)
@given(fields=FIELDS)
def test_copies_are_equal_and_independent(
    duplicate: Callable[[Headers], Headers], fields: list[tuple[str, str]]
) -> None:
    """Copying and pickling in any way keep everything; a change to the copy stays there."""
    headers = Headers(fields)
    twin = duplicate(headers)
    assert twin.multi_items() == headers.multi_items()
    twin.add("x-new", "1")
    assert headers.multi_items() == Headers(fields).multi_items()


def test_equality_ignores_the_case_of_names_only() -> None:
    """Values and the order of fields count; other types are not equal."""
    assert Headers({"A": "x"}) == Headers({"a": "x"}) == {"A": "x"}
    assert Headers({"a": "x"}) != Headers({"a": "X"})
    assert Headers([("a", "1"), ("b", "2")]) != Headers([("b", "2"), ("a", "1")])
    assert Headers() != 5
    assert 5 not in Headers({"a": "b"})
    assert isinstance(Headers(), Mapping)


def test_the_repr_masks_secrets() -> None:
    """Fields stay readable, credentials do not."""
    shown = repr(Headers({"Accept": "*/*", "Authorization": "Bearer hunter2", "X-Api-Key": "hunter2"}))
    assert "*/*" in shown
    assert "hunter2" not in shown
