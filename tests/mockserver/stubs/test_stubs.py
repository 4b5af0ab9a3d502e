"""Stubs answer in their order, count, move states, and say why none answered."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.matching import Anything, Header, JsonPartial, Matcher, Method, Mismatch, Path, PathRegex, Query, Regex
from mockserver.seen import Seen
from mockserver.stubs import Count, Reply, State, Stub, Stubs, stub
from mockserver.stubs.stub import Answer
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script


def seen(target: str = "/", method: str = "GET", **rest: Any) -> Seen:
    path, _, query = target.partition("?")
    return Seen(method=method, path=path, query=query, **rest)


def status(script: Script | None) -> int | None:
    heads = [] if script is None else [step.status for step in script.steps if isinstance(step, Head)]
    return heads[0] if heads else None


def body(script: Script | None) -> bytes:
    assert script is not None
    return b"".join(step.data for step in script.steps if isinstance(step, Chunk))


def fields(script: Script | None) -> dict[str, str]:
    assert script is not None
    return dict(next(step for step in script.steps if isinstance(step, Head)).headers)


def test_the_stub_that_matches_answers() -> None:
    """And a request that none is for gets nothing."""
    stubs = Stubs([stub("GET", "/users/{id}", json={"id": 1}), stub(["PUT", "PATCH"], "/users/{id}", status=204)])
    assert body(stubs.answer(seen("/users/7"))) == b'{"id":1}'
    assert status(stubs.answer(seen("/users/7", "PATCH"))) == 204
    assert stubs.answer(seen("/users")) is None
    assert stubs.answer(seen("/users/7", "DELETE")) is None


def test_priority_decides_and_then_the_stub_added_last() -> None:
    """The highest number first; of equals the youngest."""
    stubs = Stubs(
        [stub(None, None, status=201, priority=1), stub("GET", "/a", status=202), stub("GET", "/{x}", status=203)]
    )
    assert status(stubs.answer(seen("/a"))) == 201
    stubs.remove("stub-1")
    assert status(stubs.answer(seen("/a"))) == 203
    stubs.remove("stub-3")
    assert status(stubs.answer(seen("/a"))) == 202


def test_answers_are_played_in_turn() -> None:
    """The last stays, or with cycle the first comes again."""
    answers: list[Answer] = [Reply(status=500), Script(Reset()), Reply(status=200)]
    stubs = Stubs([Stub(when=Path("/stay"), answer=answers), Stub(when=Path("/cycle"), answer=answers, cycle=True)])
    assert [status(stubs.answer(seen("/stay"))) for _ in range(5)] == [500, None, 200, 200, 200]
    assert [status(stubs.answer(seen("/cycle"))) for _ in range(5)] == [500, None, 200, 500, None]


def test_times_limits_how_often_a_stub_answers() -> None:
    """Then the next stub has its turn."""
    stubs = Stubs([stub("GET", "/", status=200), stub("GET", "/", status=503, times=2)])
    assert [status(stubs.answer(seen())) for _ in range(4)] == [503, 503, 200, 200]
    assert stubs.count("stub-2") == Count(met=4, answered=2)
    assert stubs.count("stub-1") == Count(met=2, answered=2)


@pytest.mark.parametrize(("nth", "expected"), [(2, [200, 503, 200, 200, 200]), ([1, 4], [503, 200, 200, 503, 200])])
def test_nth_picks_requests(nth: Any, expected: list[int]) -> None:
    """Counted from 1, of those that match the stub itself."""
    stubs = Stubs([stub("GET", "/{x}", status=200), stub("GET", "/a", status=503, nth=nth)])
    stubs.answer(seen("/b"))
    assert [status(stubs.answer(seen("/a"))) for _ in range(5)] == expected


def test_a_scenario_moves_from_state_to_state() -> None:
    """A stub answers only in its state, and may move on; states can be read and set."""
    stubs = Stubs(
        [
            stub("GET", "/cart", json=[], state=("cart", "Started", None)),
            stub("POST", "/cart", status=201, state=("cart", None, "full")),
            stub("GET", "/cart", json=["book"], state=State("cart", required="full")),
        ]
    )
    assert stubs.states == {"cart": "Started"}
    assert body(stubs.answer(seen("/cart"))) == b"[]"
    assert status(stubs.answer(seen("/cart", "POST"))) == 201
    assert stubs.states == {"cart": "full"}
    assert body(stubs.answer(seen("/cart"))) == b'["book"]'
    stubs.set_state("cart")
    assert body(stubs.answer(seen("/cart"))) == b"[]"
    with pytest.raises(ConfigurationError, match="did you mean 'cart'"):
        stubs.set_state("card", "full")
    with pytest.raises(ConfigurationError, match="give a text"):
        stubs.set_state("cart", "")


def test_a_reset_begins_again() -> None:
    """Counts and states are as at the start, the stubs and their order stay."""
    stubs = Stubs([stub("GET", "/", status=200, state=("s", None, "b")), stub("GET", "/", status=503, times=1)])
    before = [status(stubs.answer(seen())) for _ in range(3)]
    listed = stubs.list()
    stubs.reset()
    assert stubs.states == {"s": "Started"}
    assert stubs.list() == listed
    assert [status(stubs.answer(seen())) for _ in range(3)] == before == [503, 200, 200]
    stubs.clear()
    assert (stubs.answer(seen()), stubs.list(), stubs.states) == (None, (), {})


def test_stubs_are_added_listed_replaced_and_removed_by_id() -> None:
    """Ids are given where there are none; a replacement keeps the place, not the counts."""
    stubs = Stubs()
    assert stubs.add(stub("GET", "/", id="stub-2"), stub("GET", "/", status=201), stub("GET", "/")) == (
        "stub-2",
        "stub-3",
        "stub-4",
    )
    stubs.remove("stub-4")
    stubs.answer(seen())
    stubs.replace("stub-3", stub("GET", "/", status=202))
    assert [each.id for each in stubs.list()] == ["stub-2", "stub-3"]
    assert stubs.count("stub-3") == Count(met=0, answered=0)
    assert status(stubs.answer(seen())) == 202
    stubs.replace("stub-2", stub("GET", "/", status=203))
    assert status(stubs.answer(seen())) == 202, "replaced where it stood, below the other"
    with pytest.raises(ConfigurationError, match="there already"):
        stubs.add(stub("GET", "/x"), stub("GET", "/", id="stub-3"))
    assert len(stubs.list()) == 2, "all of them or none"
    for act in (lambda: stubs.remove("stub-9"), lambda: stubs.replace("x", stub("GET", "/")), lambda: stubs.count("x")):
        with pytest.raises(ConfigurationError, match="unknown stub"):
            act()
    stubs.remove("stub-3")
    assert status(stubs.answer(seen())) == 203


def test_a_function_answers_with_what_the_path_captured() -> None:
    """It gets the request and the captures, and must give a script."""

    def answer(request: Seen, captures: Mapping[str, str]) -> Script:
        return Script(Head(200), Chunk(f"{request.method} {captures['id']}".encode()), End())

    def nothing(request: Seen, captures: Mapping[str, str]) -> Any:
        return None

    stubs = Stubs([Stub(when=Path("/u/{id}"), answer=answer), Stub(when=Path("/bad"), answer=nothing, name="bad")])
    assert body(stubs.answer(seen("/u/7"))) == b"GET 7"
    with pytest.raises(TypeError, match="bad: /bad: its answer gave NoneType"):
        stubs.answer(seen("/bad"))


def test_of_many_threads_each_gets_its_own_answer() -> None:
    """Twenty answers, each once, and no more, whoever asks; stubs may come and go meanwhile."""
    stubs = Stubs([Stub(when=Anything(), answer=[Reply(status=200 + n) for n in range(20)], times=20)])
    barrier = threading.Barrier(8)

    def ask(worker: int) -> list[int | None]:
        barrier.wait()
        given = []
        for _ in range(10):
            added = stubs.add(stub("GET", f"/{worker}"))
            given.append(status(stubs.answer(seen("/all"))))
            stubs.remove(added[0])
        return given

    with ThreadPoolExecutor(8) as pool:
        given = [each for answers in pool.map(ask, range(8)) for each in answers]
    assert sorted(each for each in given if each is not None) == list(range(200, 220))
    assert len(stubs.list()) == 1


PATHS = ["/", "/a", "/a/b", "/a/{x}", "/{y}/b", "/{y}", "/a/p{x}s", "//"]
WHENS = st.one_of(
    st.sampled_from([Path(path) for path in PATHS]),
    st.sampled_from([Anything(), Method("GET"), Method("GET", "PUT", "GET"), PathRegex("/a.*"), Query("q")]),
)
JOINED = st.recursive(
    WHENS,
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1])
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1])
        | inner.map(lambda part: ~part)
    ),
    max_leaves=4,
)


@given(st.lists(st.tuples(JOINED, st.integers(0, 2)), max_size=6))
def test_the_index_never_hides_a_stub(made: list[tuple[Any, int]]) -> None:
    """The stub that answers is the one that a walk through all of them would find."""
    stubs = Stubs(
        [Stub(when=when, answer=Reply(status=200 + n), priority=priority) for n, (when, priority) in enumerate(made)]
    )
    for method in ("GET", "PUT", "POST"):
        for target in ("/", "/a", "/a/b", "/a/pxs", "/c/b", "//", "", "*", "a", "/a?q=1", "/a", "/a/b"):
            request = seen(target, method)
            fitting = [(priority, n) for n, (when, priority) in enumerate(made) if when(request)]
            assert status(stubs.answer(request)) == (200 + max(fitting)[1] if fitting else None)


def test_more_paths_than_are_remembered_get_their_own_answers() -> None:
    """Each gets what its path captured, the first as well when it comes again, and so does a very long one."""
    stubs = Stubs([stub("GET", "/things/{id}", text="{path.id}")])
    for number in (*range(3000), 0, "x" * 1000):
        assert body(stubs.answer(seen(f"/things/{number}"))) == str(number).encode()
    assert stubs.answer(seen("/others/1")) is None


def test_a_miss_is_explained_against_the_nearest_stubs() -> None:
    """The nearest first, each with the lines that did not fit; nothing is counted by asking."""
    stubs = Stubs(
        [
            stub("DELETE", "/orders", id="orders"),
            stub("POST", "/users", when=Header("x-key", "1") & JsonPartial({"name": "Ada"}), name="new user", id="new"),
            stub("GET", "/users/{id}", id="user"),
            stub("GET", "/teapot", status=418, id="teapot"),
        ]
    )
    request = seen("/users", "POST", body=b'{"name":"Bob"}', fields=(("x-key", "1"),))
    near = stubs.near(request)
    assert near[0].id == "new"
    assert (near[0].matched, near[0].parts) == (3, 4)
    assert [tuple(line) for line in near[0].mismatches] == [("json $.name", "'Ada'", "'Bob'")]
    assert near[0].to_dict() == {
        "id": "new",
        "stub": 'new user: POST and /users and header x-key \'1\' and JSON holding {"name": "Ada"}',
        "matched": 3,
        "parts": 4,
        "mismatches": [{"field": "json $.name", "wanted": "'Ada'", "got": "'Bob'"}],
    }
    text = stubs.explain(request)
    assert text.startswith("no stub answers POST /users; the nearest 3 of 4:\nnew user: ")
    assert "  json $.name: wanted 'Ada', got 'Bob'\n" in text
    assert stubs.near(seen("/usres/7"))[0].id == "user"
    assert stubs.count("new") == Count(0, 0)


def test_a_miss_of_a_stub_that_matches_says_what_kept_it() -> None:
    """Its state, its times, its turn; and an empty house is said to be one."""
    stubs = Stubs()
    assert stubs.explain(seen("/a\nb?c=1")) == r"no stub answers GET /a\nb?c=1: there are no stubs"
    stubs.add(
        stub("GET", "/s", state=("cart", "full", None)), stub("GET", "/t", times=1), stub("GET", "/n", nth=[2, 3])
    )
    assert status(stubs.answer(seen("/t"))) == 200
    for target, line in (
        ("/s", "state cart: wanted 'full', got 'Started'"),
        ("/t", "times: wanted at most 1 answered, got 1 answered already"),
        ("/n", "nth: wanted request 2, 3, got 1 so far"),
    ):
        assert stubs.answer(seen(target)) is None
        assert stubs.explain(seen(target)).splitlines()[2] == f"  {line}"
    assert stubs.near(seen("/t"))[0].matched == 2


def test_an_evil_pattern_in_many_stubs_costs_one_request_little() -> None:
    """Their time is shared, and plain stubs answer all the same."""
    stubs = Stubs(
        [stub("GET", "/", status=200), *(stub("GET", "/", when=Query("q", Regex("(a|aa)+$"))) for _ in range(50))]
    )
    assert status(stubs.answer(seen("/?q=" + "a" * 50 + "!"))) == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"when": "GET"}, "give a matcher"),
        ({"answer": []}, "one answer or more"),
        ({"answer": "x"}, "give a Script"),
        ({"answer": [Reply(), 200]}, "give a Script"),
        ({"cycle": 1}, "True or False"),
        ({"priority": "high"}, "whole number"),
        ({"times": 0}, "times=0"),
        ({"nth": 0}, "nth=0"),
        ({"nth": [1, -1]}, "nth=-1"),
        ({"nth": "2"}, "nth='2'"),
        ({"state": ("cart",)}, "scenario"),
        ({"state": ("cart", None, None)}, "scenario"),
        ({"state": ("", "a", None)}, "scenario"),
        ({"state": ("cart", 1, None)}, "scenario"),
        ({"state": "cart"}, "scenario"),
        ({"nth": ()}, "Stub(nth=()): give one number or more"),
        ({"name": 3}, "Stub(name=3): give a text"),
    ],
)
def test_a_stub_that_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    """The message shows the option."""
    with pytest.raises(ConfigurationError) as refused:
        Stub(**{"when": Anything(), "answer": Reply(), **options})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("when", "text", "said"),
    [
        (
            Path("/users/{id}"),
            "{path.idd}",
            "{path.idd} is nothing that `when` takes a path by: unknown name 'idd'; did",
        ),
        (Path("/users/{id}", exact=True), "{path.id}", "unknown name 'id'; known: none"),
        (Method("GET") & (Path("/a/{one}") | Path("/b/{other}")), "{path.two}", "known: one, other"),
        (~Path("/users/{id}"), "{path.id}", "known: none"),
        (Anything(), "{path.id}", "known: none"),
    ],
)
def test_a_place_that_no_path_fills_is_refused(when: Matcher, text: str, said: str) -> None:
    """It would be empty in every answer; as text, in JSON and in header fields."""
    answers: list[dict[str, Any]] = [{"text": text}, {"json": {"a": [text]}}, {"headers": {"location": f"/{text}"}}]
    for answer in answers:
        with pytest.raises(ConfigurationError) as refused:
            Stub(when=when, answer=[Reply(), Reply(**answer)])
        assert said in str(refused.value)
        Stub(when=when, answer=Reply(**answer, template=False))


def test_a_place_that_may_be_filled_is_taken() -> None:
    """By one of several paths, or by a matcher of one's own, of which nobody knows what it captures."""

    class Mine(Matcher):
        def __call__(self, seen: Seen) -> bool:
            return True

        def mismatches(self, seen: Seen) -> list[Mismatch]:
            return []

        def captures(self, seen: Seen) -> dict[str, str]:
            return {"id": "7"}

    made = stub("GET", None, when=Mine(), text="{path.id}")
    script = Stubs([made]).answer(Seen(method="GET", path="/"))
    assert script is not None
    assert Chunk(b"7") in script.steps
    stub("GET", None, when=Path("/a/{one}") | Path("/b/{other}"), text="{path.one}{path.other}")


def test_an_answer_waits_streams_and_goes_wrong() -> None:
    """Delay, chunks with pauses between, and a fault at the end of all."""

    def cut(script: Script) -> Script:
        return Script(*script.steps[:-1], Reset())

    reply = Reply(chunks=("a", b"b"), every=0.5, delay=1, fault=cut)
    assert reply(seen(), {}).steps == (
        Delay(1),
        Head(200, (("content-type", "text/plain; charset=utf-8"),)),
        Chunk(b"a"),
        Delay(0.5),
        Chunk(b"b"),
        Reset(),
    )


@pytest.mark.parametrize(
    ("reply", "kind", "sent"),
    [
        (Reply(), None, b""),
        (Reply(json=None), "application/json", b"null"),
        (Reply(json={"é": [1]}), "application/json", '{"é":[1]}'.encode()),
        (Reply(text="é"), "text/plain; charset=utf-8", "é".encode()),
        (Reply(body=b"\xff"), "application/octet-stream", b"\xff"),
        (Reply(chunks=(b"a",)), None, b"a"),
        (Reply(text="<a>", headers={"Content-Type": "text/html"}), None, b"<a>"),
    ],
)
def test_a_body_brings_its_content_type(reply: Reply, kind: str | None, sent: bytes) -> None:
    """Unless the answer says its own, or has none."""
    script = reply(seen(), {})
    assert fields(script).get("content-type") == kind
    assert body(script) == sent


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"json": 1, "text": "a"}, "give one body"),
        ({"json": {1: 2}}, "names are text"),
        ({"text": b"a"}, "give a text"),
        ({"body": "a"}, "give bytes"),
        ({"chunks": "abc"}, "list of texts"),
        ({"chunks": [""]}, "none of them empty"),
        ({"chunks": []}, "one text or more"),
        ({"every": 1}, "give chunks="),
        ({"delay": -1}, "delay=-1"),
        ({"status": 99}, "three digits"),
        ({"headers": {"a": "b\r\nc: d"}}, "one line"),
        ({"fault": "reset"}, "function from script to script"),
        ({"text": "{qury.a}"}, "did you mean 'query'"),
        ({"json": [{"a": "{pth.a}"}]}, "did you mean 'path'"),
        ({"text": "{n.__class__}"}, "unknown source 'n'"),
        ({"headers": {"a": "{os.environ}"}}, "unknown source 'os'"),
        ({"template": "no"}, "True or False"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused(options: dict[str, Any], said: str) -> None:
    """When it is made, not when a request comes."""
    with pytest.raises(ConfigurationError) as refused:
        Reply(**options)
    assert said in str(refused.value)
