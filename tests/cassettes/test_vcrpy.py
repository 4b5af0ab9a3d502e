"""vcrpy plays what is written here, and what vcrpy wrote is played here."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from vcr.request import Request as VcrRequest
from vcr.serialize import deserialize, serialize
from vcr.serializers import jsonserializer, yamlserializer

from cassettes import CassetteError, use_cassette
from cassettes.files import load, parse, render
from cassettes.interaction import Interaction
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script
from rest_api_client.virtual.clock import VirtualClock
from tests.cassettes.generated import interaction

SERIALIZERS: dict[str, Any] = {".yaml": yamlserializer, ".json": jsonserializer}
COUNT = 150


def made(count: int, suffix: str, *, timed: bool = False) -> list[Interaction]:
    """Interactions; for JSON only those that it can hold."""
    chance = random.Random(7)
    found = [interaction(chance, number, timed=timed) for number in range(count)]
    return [each for each in found if suffix != ".json" or _is_text(each)]


def _is_text(each: Interaction) -> bool:
    try:
        return bool((each.body + each.asked.body).decode() or True)
    except UnicodeDecodeError:
        return False


def of_vcrpy(each: Interaction) -> tuple[VcrRequest, dict[str, Any]]:
    """The same interaction in vcrpy's own values."""
    headers: dict[str, list[str]] = {}
    assert each.head is not None
    for name, value in each.head.headers:
        headers.setdefault(name, []).append(value)
    asked = each.asked
    return VcrRequest(asked.method, asked.uri, asked.body, dict(asked.headers)), {
        "status": {"code": each.head.status, "message": each.head.reason},
        "headers": headers,
        "body": {"string": each.body},
    }


def plain(request: VcrRequest) -> tuple[Any, ...]:
    """What makes a request of vcrpy."""
    return request.method, request.uri, request.body, dict(request.headers)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("timed", [False, True], ids=["plain", "timed"])
def test_vcrpy_reads_what_is_written_here(suffix: str, timed: bool) -> None:
    """Every request and every answer, exactly; timing stands where vcrpy does not look."""
    given = made(COUNT, suffix, timed=timed)
    requests, responses = deserialize(render(given, {"recorded": "2026-11-23"}, suffix), SERIALIZERS[suffix])[:2]
    for response in responses:
        response.pop("x_rest_api_client", None)
    expected = [of_vcrpy(each) for each in given]
    assert [plain(request) for request in requests] == [plain(request) for request, _ in expected]
    assert responses == [response for _, response in expected]


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_what_vcrpy_wrote_is_read_here_and_written_again_byte_for_byte(suffix: str) -> None:
    """Reading and writing a file of vcrpy changes no byte; neither does writing the same interactions anew."""
    given = made(COUNT, suffix)
    pairs = [of_vcrpy(each) for each in given]
    text = serialize({"requests": [p[0] for p in pairs], "responses": [p[1] for p in pairs]}, SERIALIZERS[suffix])
    found, about = parse(text, suffix)
    for was, now in zip(given, found, strict=True):
        assert (now.body, now.asked.body, now.asked.uri) == (was.body, was.asked.body, was.asked.uri)
        assert now.head is not None
        assert was.head is not None
        assert sorted(now.head.headers) == sorted(was.head.headers)  # PyYAML sorts the names
    assert render(found, about, suffix) == text
    assert render(given, {}, suffix, timing=False) == text


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".jsonl"])
def test_writing_and_reading_here_keeps_everything(suffix: str) -> None:
    """Bodies, statuses, pieces and their moments survive in each of the three forms."""
    given = made(COUNT, suffix, timed=True)
    found, about = parse(render(given, {"recorded": "2026-11-23"}, suffix), suffix)
    assert about == {"recorded": "2026-11-23"}
    for was, now in zip(given, found, strict=True):
        assert (now.asked.method, now.asked.uri, now.asked.body, now.started) == (
            was.asked.method,
            was.asked.uri,
            was.asked.body,
            was.started,
        )
        assert now.script.steps[0] == was.script.steps[0]
        assert now.script.steps[2:] == was.script.steps[2:]


def test_vcrpy_plays_a_recording_to_httpx(tmp_path: Path) -> None:
    """The answers come without the failures between them."""
    path = tmp_path / "ours.yaml"
    scripts = [Script(Reset()), respond(503), respond(200, json={"id": 7}), respond(200, content=b"\xff\x00")]
    with (
        use_cassette(path, mode="all", inner=ScriptedTransport(scripts)) as cassette,
        APIClient(base_url="https://api.test", engine=cassette, max_retries=0) as client,
    ):
        for n in range(4):
            try:
                client.get("/things", raise_for_status=False)
            except Exception:
                assert n == 0
    with vcr.VCR(record_mode=vcr.mode.NONE).use_cassette(str(path)), httpx.Client() as client:
        answers = [client.get("https://api.test/things") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert answers[1].json() == {"id": 7}
    assert answers[2].content == b"\xff\x00"


def test_what_vcrpy_saves_again_keeps_the_pieces_and_loses_the_failures(tmp_path: Path) -> None:
    """Timing stands in the answer; failures stand where vcrpy knows no key."""
    path = tmp_path / "again.yaml"
    scripts = [Script(Reset()), Script(Head(200), Chunk(b"one"), Delay(2), Chunk(b"two"), End())]
    with (
        use_cassette(path, mode="all", inner=ScriptedTransport(scripts)) as cassette,
        APIClient(base_url="https://api.test", engine=cassette, clock=VirtualClock()) as client,
    ):
        client.get("/things")
    assert [each.outcome for each in load(path)[0]] == ["ReadError", "200"]
    transport = httpx.MockTransport(lambda request: httpx.Response(204))
    with vcr.use_cassette(str(path), record_mode="new_episodes"), httpx.Client(transport=transport) as theirs:
        assert theirs.get("https://api.test/things").text == "onetwo"
        theirs.get("https://api.test/more")
    again = load(path)[0]
    assert [each.outcome for each in again] == ["200", "204"]
    assert [step for step in again[0].script.steps if isinstance(step, Chunk | Delay)] == [
        Chunk(b"one"),
        Delay(2),
        Chunk(b"two"),
    ]


def test_a_recording_of_vcrpy_is_played_here(tmp_path: Path) -> None:
    """Redirects, repeats, cookies and compressed bodies that vcrpy recorded from httpx."""
    path = tmp_path / "theirs.yaml"
    body = b'{"name": "\xc3\xbc"}' * 20

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/old":
            return httpx.Response(302, headers=[("location", "/new"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(body)))

    with (
        vcr.VCR().use_cassette(str(path)),
        httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as theirs,
    ):
        assert theirs.get("https://api.test/old").content == body
    with use_cassette(path, mode="none") as cassette, APIClient(base_url="https://api.test", engine=cassette) as client:
        response = client.get("/old")
    assert response.content == body
    assert response.history[0].headers.get_list("set-cookie") == ["a=1", "b=2"]


OLD = """\
interactions:
- request:
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple
      - !!binary |
        AP9hYmM=
      - 0
      - null
    headers:
      Accept: [text/plain]
    method: !!python/unicode 'POST'
    uri: !!python/str 'https://api.test/old'
  response:
    content: "{\\"a\\": 1}"
    headers:
      content-encoding:
      - gzip
      content-type:
      - application/json
    http_version: HTTP/1.1
    status_code: 200
- request:
    body: !!python/object/apply:builtins.iter
      args:
      - !!python/tuple
        - !!binary |
          YWI=
        - c
    headers: {}
    method: PUT
    uri: https://api.test/old
  response:
    body: {string: null}
    headers: {}
    status: {code: 204, message: null}
version: 1
"""


def test_old_dialects_and_old_tags_are_read() -> None:
    """Buffers, iterators and the httpx dialect of old releases, as the plain values they hold."""
    (first, second), _ = parse(OLD, ".yaml")
    assert (first.asked.method, first.asked.uri, first.asked.body) == ("POST", "https://api.test/old", b"\x00\xffabc")
    assert first.body == b'{"a": 1}'
    assert first.head is not None
    assert first.head.headers == (("content-type", "application/json"),)
    assert second.asked.body == b"abc"
    assert second.outcome == "204"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http_interactions: []", "Ruby"),
        ("- request: {}", "older than vcrpy 1.0"),
        ("a: 1", "list of `interactions`"),
        ("interactions: [{request: {method: GET}}]", "interaction 0"),
        ("interactions: []\n---\nb: 1", "one YAML document"),
        ("interactions: [", "no YAML"),
        ("interactions: []\nx_rest_api_client: {version: 2}", "version 2"),
        ("interactions: !!python/object/apply:os.system [id]", "could run code"),
    ],
)
def test_what_is_no_cassette_is_refused_with_words(text: str, words: str, tmp_path: Path) -> None:
    """A foreign, broken or newer file says what it is."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(CassetteError, match=words):
        load(path)


def test_an_empty_file_is_an_empty_cassette() -> None:
    """As it is for vcrpy."""
    assert parse("", ".yaml") == ([], {})
    assert parse(" ", ".json") == ([], {})


def test_what_we_did_not_write_is_kept(tmp_path: Path) -> None:
    """New recordings go behind old ones, whose null bodies, spelling of fields and metadata stay as they were."""
    path = tmp_path / "theirs.yaml"
    response = {"status": {"code": 200, "message": "OK"}, "headers": {"X-Case": ["1"]}, "body": {"string": b"x"}}
    request = VcrRequest("GET", "https://api.test/a", None, {"User-Agent": "requests"})
    text = serialize(
        {"requests": [request], "responses": [response], "metadata": {"frozen": "2026-11-22"}}, yamlserializer
    )
    path.write_text(text)
    with (
        use_cassette(path, mode="new", inner=ScriptedTransport(respond(200, content="new"))) as cassette,
        APIClient(base_url="https://api.test", engine=cassette) as client,
    ):
        assert [client.get(path).text for path in ("/a", "/b")] == ["x", "new"]
    written = path.read_text()
    assert written.startswith(text.partition("metadata:")[0].rstrip())
    assert "frozen: '2026-11-22'" in written
