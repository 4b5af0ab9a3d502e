"""JSON into types: what fits, what does not and where, and what a hostile server can make of it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
    Union,
)

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError, DecodeError
from rest_api_client.http.headers import Headers
from rest_api_client.http.serializers import (
    JSON_SERIALIZER,
    Serializer,
    convert,
    msgspec_serializer,
    orjson_serializer,
)
from rest_api_client.models import Response

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)
SAFE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)
UserId = NewType("UserId", int)
T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    BIG = 3


class Word(StrEnum):
    YES = "yes"


@dataclass
class Address:
    city: str
    zip: str | None = None


@dataclass(frozen=True, kw_only=True)
class User:
    name: str
    id: UserId = UserId(0)
    address: Address | None = None
    tags: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    colour: Colour = Colour.RED
    count: ClassVar[int] = 7
    slug: str = field(init=False, default="x")


@dataclass
class Strict:
    age: int

    def __post_init__(self) -> None:
        if self.age < 0:
            raise ValueError("age below 0")
        if self.age == 666:
            raise ConfigurationError("not this one")


@dataclass
class Seeded:
    seed: InitVar[int]


@dataclass
class Node:
    value: int
    next: Node | None = None


@dataclass
class Left:
    child: Left | Right | None = None
    left: int = 0


@dataclass
class Right:
    child: Left | Right | None = None
    right: int = 0


@dataclass
class Unresolved:
    other: Missing  # type: ignore[name-defined]  # noqa: F821


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Partial(TypedDict, total=False):
    title: Required[str]
    year: int


class Film(Movie):
    stars: int


class Model(pydantic.BaseModel):
    name: str
    age: int = 0


class Struct(msgspec.Struct):
    name: str
    age: int = 0


@pytest.mark.parametrize(
    ("data", "kind", "value"),
    [
        ("a", str, "a"), (1, int, 1), (1.5, float, 1.5), (2, float, 2.0), (True, bool, True), (None, type(None), None),
        (None, None, None), ({"a": [1]}, Any, {"a": [1]}), ([1], object, [1]),
        ([1, 2], list[int], [1, 2]), ([1, "a"], list, [1, "a"]), ([1], Sequence[int], [1]), ([], list[User], []),
        ([1, 2], tuple[int, ...], (1, 2)), ([1, "a"], tuple[int, str], (1, "a")), ([1], tuple, (1,)),
        ([1, 1], set[int], {1}), ([1], frozenset[int], frozenset({1})),
        ({"a": 1}, dict[str, int], {"a": 1}), ({"a": 1}, Mapping[str, float], {"a": 1.0}), ({"a": 1}, dict, {"a": 1}),
        ({"1": "a", "-2": "b"}, dict[int, str], {1: "a", -2: "b"}), ({"red": 1}, dict[Colour, int], {Colour.RED: 1}),
        ("a", Literal["a", "b"], "a"), (1, Literal[1, "1"], 1), (None, int | None, None), (5, int | str, 5),
        ("a", Union[int, str], "a"),  # noqa: UP007
        (5, float | int, 5), (5.5, int | float, 5.5), (True, int | bool, True),
        ("red", Colour, Colour.RED), (3, Size, Size.BIG), ("yes", Word, Word.YES),
        (5, Annotated[int, ["unhashable"]], 5), (5, UserId, 5), (5, NewType("Deep", UserId), 5),
        ({"city": "Bonn", "unknown": 1}, Address, Address("Bonn")),
        ({"age": 3}, Strict, Strict(3)),
        ({"value": 1, "next": {"value": 2}}, Node, Node(1, Node(2))),
        ({"title": "x"}, Movie, {"title": "x"}), ({"title": "x", "year": 1, "odd": 2}, Movie,
         {"title": "x", "year": 1}),
        ({"title": "x"}, Partial, {"title": "x"}), ({"title": "x", "stars": 1}, Film, {"title": "x", "stars": 1}),
        ({"name": "x"}, Model, Model(name="x")), ([{"name": "x"}], list[Model], [Model(name="x")]),
        ({"name": "x"}, Struct, Struct("x")), ({"a": {"name": "x"}}, dict[str, Struct], {"a": Struct("x")}),
    ],
)  # fmt: skip
def test_data_that_fits(data: Any, kind: Any, value: Any) -> None:
    """Each kind of type takes the JSON it stands for."""
    converted = convert(data, kind)
    assert converted == value
    assert type(converted) is type(value)


def test_a_dataclass_with_everything() -> None:
    """Nested, optional and defaulted members; class variables and init=False members are the class's own affair."""
    data = {
        "name": "Ada", "id": 5, "address": {"city": "Bonn", "zip": None}, "tags": ["a"], "scores": {"x": 1},
        "colour": "blue", "count": "hostile", "slug": 5, "unknown": {},
    }  # fmt: skip
    user = User(name="Ada", id=UserId(5), address=Address("Bonn"), tags=("a",), scores={"x": 1.0}, colour=Colour.BLUE)
    assert convert(data, User) == user
    assert convert({"name": "Ada"}, User) == User(name="Ada")


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (1, str, r"^\$: expected str, got int$"),
        ("1", int, r"^\$: expected int, got str$"),
        (True, int, "expected int, got bool"),
        (True, float, "expected float, got bool"),
        (1, bool, "expected bool, got int"),
        (1.0, int, "expected int, got float"),
        (None, str, "expected str, got NoneType"),
        (0, None, "expected null, got int"),
        (10**400, float, "too large"),
        ({}, list[int], "expected list, got dict"),
        ("ab", list[str], "expected list, got str"),
        ([], dict[str, int], "expected object, got list"),
        ([1, "a", 2], list[int], r"\$\[1\]: expected int"),
        ([[1], [1, None]], list[list[int]], r"\$\[1\]\[1\]: expected int"),
        ([1], tuple[int, str], "expected 2 items, got 1"),
        ([1, 2], tuple[int, str], r"\$\[1\]: expected str"),
        ([[1], [2]], set[list[int]], "set cannot hold it"),
        ({"a": "x"}, dict[str, int], r"\$\.a: expected int"),
        ({"x": 1}, dict[int, int], r"\$\.x: expected int, got str"),
        ({"9" * 200: 1}, dict[int, int], "expected int, got str"),
        ({"x": 1}, dict[Colour, int], r"\$\.x: 'x' is not a valid Colour"),
        ("c", Literal["a", "b"], r"expected one of \('a', 'b'\), got 'c'"),
        (True, Literal[1], "got True"),
        ("green", Colour, "'green' is not a valid Colour"),
        ([], Colour, r"\[\] is not a valid Colour"),
        (5, Size, "5 is not a valid Size"),
        ([1], int | str, r"expected int, got list; \$: expected str"),
        ({"address": {"city": 5}, "name": "x"}, User, r"\$\.address: .*|\$\.address\.city: expected str, got int"),
        ({}, User, r"\$: missing name"),
        ([], User, "expected User, got list"),
        ([{"city": "a"}, {}], list[Address], r"\$\[1\]: missing city"),
        ({"age": -1}, Strict, r"\$: age below 0"),
        ({"seed": 1}, Seeded, "seed"),
        ({"year": 1}, Movie, "missing title"),
        ({}, Partial, "missing title"),
        ({"title": "x"}, Film, "missing stars"),
        ({"title": "x", "year": "y"}, Movie, r"\$\.year: expected int"),
        (5, Movie, "expected Movie, got int"),
        ([{"name": 5}], list[Model], r"(?s)\$\[0\]: .*name"),
        ([{"name": 5}], list[Struct], r"\$\[0\]: .*name"),
    ],
)
def test_data_that_does_not_fit(data: Any, kind: Any, message: str) -> None:
    """A ValueError that gives the path to the member, what was wanted and what came."""
    with pytest.raises(ValueError, match=message) as refused:
        convert(data, kind)
    assert not isinstance(refused.value, ConfigurationError)


class Page(Generic[T]):
    items: list[T]


@pytest.mark.parametrize(
    "kind", [bytes, complex, 5, "User", Page[int], list[bytes], dict[str, complex], T, Address("x")]
)
def test_a_type_of_no_known_kind(kind: Any) -> None:
    """It is the caller's mistake, so that it is a ConfigurationError, whatever the data."""
    data: Any = [1] if kind == list[bytes] else {"a": 1}
    with pytest.raises(ConfigurationError, match="give a dataclass"):
        convert(data, kind)


def test_a_mistake_of_the_type_is_not_the_servers() -> None:
    """An unknown member of a union, a name that cannot be resolved and a class that says so are its own."""
    for data, kind in (("x", int | bytes), ({"other": 1}, Unresolved), ({"age": 666}, Strict)):
        with pytest.raises(ConfigurationError):
            convert(data, kind)
    with pytest.raises(ConfigurationError, match="TYPE_CHECKING"):
        convert({}, Unresolved)


def test_unions_within_unions_come_to_an_end() -> None:
    """Two types that contain each other, tried level by level, would take 2 ** 200 steps on a misfit at the bottom."""
    data: Any = {"child": 5}
    for _ in range(100):
        data = {"child": data}
    with pytest.raises(ValueError, match="expected") as refused:
        convert(data, Left | Right)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 2000


def test_deep_data_is_refused_in_words() -> None:
    """Nesting deeper than Python's stack is a ValueError, not a crash."""
    data: Any = {"value": 1}
    for _ in range(sys.getrecursionlimit()):
        data = {"value": 1, "next": data}
    with pytest.raises(ValueError, match="nested too deeply"):
        convert(data, Node)


def test_messages_do_not_grow_with_the_data() -> None:
    """A server cannot make a message of a megabyte."""
    long = "x" * 1_000_000
    kinds: list[tuple[Any, Any]] = [
        (long, Literal["a"]), (long, Colour), ({long: 1}, dict[str, str]), ({long: {long: [1]}},
         dict[str, dict[str, list[str]]]),
        ({long: long}, dict[str, int | Colour]),
    ]  # fmt: skip
    for data, kind in kinds:
        with pytest.raises(ValueError, match=r"expected|valid") as refused:
            convert(data, kind)
        assert len(str(refused.value)) < 2000


@given(
    JSON,
    st.sampled_from(
        [str, int, list[int], User, Movie, Model, Struct, Node, Left | Right, dict[str, User], Colour, tuple[int, str]]
    ),
)
def test_any_json_fits_or_is_a_value_error(data: Any, kind: Any) -> None:
    """No JSON value makes the conversion fail in another way."""
    try:
        convert(data, kind)
    except ConfigurationError as error:
        pytest.fail(f"the type is fine, the data is not: {error}")
    except ValueError:
        pass


def answer(content: bytes) -> Response:
    return Response(200, headers=Headers({"content-type": "application/json"}), content=content)


def test_an_answer_is_parsed_into_a_type() -> None:
    """`response.parse` gives the value, or a DecodeError that shows the answer and the member."""
    assert answer(b'[{"city": "Bonn"}]').parse(list[Address]) == [Address("Bonn")]
    with pytest.raises(DecodeError, match=r"200: \$\[0\].city: expected str, got int") as refused:
        answer(b'[{"city": 5}]').parse(list[Address])
    assert refused.value.response is not None
    with pytest.raises(DecodeError, match="no JSON"):
        answer(b"{").parse(Address)
    with pytest.raises(ConfigurationError):
        answer(b"{}").parse(bytes)
    with pytest.raises(DecodeError, match=r"\$"):
        answer(b'{"name": 5}').parse(Struct)
    with pytest.raises(DecodeError, match=r"\$"):
        answer(b'{"name": 5}').parse(Model)


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_bomb_of_brackets_is_a_decode_error(depth: int) -> None:
    """Deep JSON ends as a DecodeError, in the parser or in the conversion."""
    with pytest.raises(DecodeError):
        answer(b'{"value":1,"next":' * depth + b"5" + b"}" * depth).parse(Node)


SERIALIZERS = [JSON_SERIALIZER, orjson_serializer(), msgspec_serializer()]


@pytest.mark.parametrize("serializer", SERIALIZERS)
@given(data=SAFE)
def test_every_serializer_reads_what_it_writes(serializer: Serializer, data: Any) -> None:
    """Any JSON value comes back, and the others can read it too."""
    written = serializer.dumps(data)
    assert serializer.loads(written) == data
    assert json.loads(written) == data
    assert serializer.content_type == "application/json"


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nul", b"{'a': 1}", b'{"a":1}x', b"[1,]", b"[" * 100_000])
def test_every_serializer_refuses_broken_json_with_a_value_error(serializer: Serializer, body: bytes) -> None:
    """It is the one error of that seam."""
    with pytest.raises(ValueError, match=r".+"):
        serializer.loads(body)


class Odd:
    pass


def test_the_standard_writer_is_strict() -> None:
    """Compact UTF-8; NaN, half a surrogate pair, loops, bombs and unknown types are refused."""
    assert JSON_SERIALIZER.dumps({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'.encode()
    loop: list[Any] = []
    loop.append(loop)
    bomb: Any = []
    for _ in range(100_000):
        bomb = [bomb]
    for value in (math.nan, math.inf, "\ud800", loop, bomb, Odd(), {1, 2}, b"bytes", {(1,): 2}):
        with pytest.raises((TypeError, ValueError)):
            JSON_SERIALIZER.dumps(value)


def test_the_standard_reader_takes_what_servers_write() -> None:
    """A byte order mark, NaN and Infinity are read; orjson and msgspec are stricter."""
    assert JSON_SERIALIZER.loads(b"\xef\xbb\xbf[1]") == [1]
    assert math.isnan(convert(JSON_SERIALIZER.loads(b"NaN"), float))
    assert convert(JSON_SERIALIZER.loads(b"-Infinity"), float) == -math.inf


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The serializers of other libraries need them."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    with pytest.raises(ConfigurationError, match="pip install orjson"):
        orjson_serializer()


def test_msgspec_types_need_no_msgspec_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where msgspec was never imported, nothing is one of its types."""
    monkeypatch.delitem(sys.modules, "msgspec")
    assert convert({"city": "x"}, Address) == Address("x")
