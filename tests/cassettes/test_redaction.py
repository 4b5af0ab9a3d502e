"""No secret gets into a file, and what was recorded still plays."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cassettes import CassetteError, CassetteMiss, Matching, Redaction, SecretFound, load, use_cassette
from cassettes.interaction import Asked, Interaction
from cassettes.redaction import Vault
from cassettes.scan import scan
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.models import Request
from rest_api_client.script import Chunk, End, Head, Script
from rest_api_client.virtual.clock import VirtualClock
from tests.cassettes.planted import CARRIERS, planted_secrets
from tests.conftest import World
from tests.rest_api_client.faces import any_client

SECRET = "s3cr3t-5f2b9c0d1e"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


def scrub(
    asked: Asked | None = None, answer: bytes = b"", kind: str = "application/json", **options: Any
) -> Interaction:
    """One interaction without its secrets."""
    fields = (("content-type", kind), ("content-length", str(len(answer))))
    script = Script(Head(200, fields), *([Chunk(answer)] if answer else []), End())
    given = Interaction(asked or Asked("GET", "https://api.test/"), script)
    return Vault(Redaction(environment=False, **options)).scrubbed([given])[0]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked("GET", f"https://api.test/?a=1&token={SECRET}"), "https://api.test/?a=1&token=%3Ctoken-1%3E"),
        (Asked("GET", f"https://u:{SECRET}@api.test/"), "https://%3Cpassword-1%3E@api.test/"),
        (Asked("GET", f"https://api.test/bot123456789:AA{'x' * 33}/send"), "https://api.test/%3Ctoken-1%3E/send"),
        (Asked("GET", "https://api.test/?code=not_found&key=name"), "https://api.test/?code=not_found&key=name"),
    ],
)
def test_secrets_in_a_url_become_placeholders(asked: Asked, expected: str) -> None:
    """In the query by name, in the path by form; what only has an ambiguous name stays."""
    assert scrub(asked).asked.uri == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("authorization", f"Bearer {SECRET}", "Bearer <token-1>"),
        ("authorization", f"Basic {base64.b64encode(b'ada:hunter2').decode()}", "Basic <credentials-1>"),
        ("x-api-key", SECRET, "<key-1>"),
        ("cookie", f"sid={SECRET}; theme=dark", "sid=<cookie-1>; theme=<cookie-2>"),
        ("set-cookie", f'sid="{SECRET}"; Path=/; HttpOnly', 'sid="<cookie-1>"; Path=/; HttpOnly'),
        ("referer", f"https://x.test/?access_token={SECRET}", "https://x.test/?access_token=%3Ctoken-1%3E"),
        ("x-debug", f"jwt {JWT}", "jwt <jwt-1>"),
        ("x-plain", "nothing", "nothing"),
    ],
)
def test_secrets_in_fields_become_placeholders(name: str, value: str, expected: str) -> None:
    """The shape stays: the scheme, a cookie's name and attributes, the rest of a URL."""
    assert scrub(Asked("GET", "https://api.test/", ((name, value),))).asked.headers == ((name, expected),)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (f'{{"n": 1e2, "access_token" : "{SECRET}"}}', "application/json", '{"n": 1e2, "access_token" : "<token-1>"}'),
        ('{"password": "a\\"b\\u0041"}', "application/json", '{"password": "<password-1>"}'),
        ('{"otp": 123456, "total": 123456}', "application/json", '{"otp": "<code-1>", "total": 123456}'),
        (f'{{"secrets": ["{SECRET}", "no"]}}', "application/json", '{"secrets": ["<secret-1>", "no"]}'),
        ('{"code": "E12", "key": "name", "next_page_token": "p2"}', "application/json", None),
        (
            f"grant=x&client_secret={SECRET}",
            "application/x-www-form-urlencoded",
            "grant=x&client_secret=%3Csecret-1%3E",
        ),
        (f"<a><SecretAccessKey>{SECRET}</SecretAccessKey></a>", "text/xml", None),
        (f'data: {{"token": "{SECRET}"}}\n\n', "text/event-stream", 'data: {"token": "<token-1>"}\n\n'),
        (
            '{"deep": "{\\"token\\": \\"abc-123-def\\"}"}',
            "application/json",
            '{"deep": "{\\"token\\": \\"<token-1>\\"}"}',
        ),
        (
            f'--b\r\ncontent-disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--b--',
            "multipart/form-data",
            None,
        ),
    ],
)
def test_secrets_in_bodies_become_placeholders(body: str, kind: str, expected: str | None) -> None:
    """The rest of the body stays as it is, to the byte; its length is told anew."""
    clean = scrub(answer=body.encode(), kind=kind)
    assert expected is None or clean.body.decode() == expected
    assert SECRET not in clean.body.decode()
    assert clean.head is not None
    assert dict(clean.head.headers)["content-length"] == str(len(clean.body))
    sent = scrub(Asked("POST", "https://api.test/", (("content-type", kind),), body.encode()))
    assert sent.asked.body == clean.body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", f'{{"tokens": ["{SECRET}", "no"], "n": 1}}'),
        ("application/json", f'{{"pass\\u0077ord": "{SECRET}"}}'),
        ("application/json", f'{{"sessionKey": "{SECRET}"}}'),
        ("application/json", f'{{"name": "password", "value": "{SECRET}"}}'),
        ("application/json", json.dumps({"a": json.dumps({"b": json.dumps({"password": SECRET})})})),
        ("application/json", json.dumps({"query": f'mutation {{ login(password: "{SECRET}") {{ id }} }}'})),
        ("application/json", json.dumps({"next": f"https://x.test/?page=2&X-Amz-Signature={SECRET}"})),
        ("application/json", json.dumps({"dsn": f"postgres://ada:{SECRET}@db/x"})),
        ("application/x-www-form-urlencoded", f"payload=%7B%22token%22%3A%22{SECRET}%22%7D"),
        ("application/x-www-form-urlencoded", f"user%5Bpassword%5D={SECRET}"),
        ("", f"user=ada&password={SECRET}"),
        ("multipart/form-data", f"--b\r\ncontent-disposition: form-data; name=api_key\r\n\r\n{SECRET}\r\n--b--"),
        ("text/xml", f"<Password><![CDATA[{SECRET}]]></Password>"),
        ("text/xml", f'<user name="ada" password="{SECRET}"/>'),
        ("text/html", f'<form><input type="hidden" name="csrf_token" value="{SECRET}"></form>'),
        ("text/plain", f"user: ada\npassword: {SECRET}\n"),
        ("text/plain", f"export API_KEY={SECRET}\n"),
        ("text/plain", f"{{'password': '{SECRET}'}}"),
    ],
)
def test_secrets_are_found_in_whatever_a_body_is_written_in(kind: str, body: str) -> None:
    """By the name before them; what is around them stays, and an answer is treated as a request is."""
    clean = scrub(answer=body.encode(), kind=kind)
    assert SECRET not in clean.body.decode()
    before, after = body.split(SECRET)
    assert clean.body.decode().startswith(before[:9])
    assert clean.body.decode().endswith(after[-1:])
    sent = scrub(Asked("POST", "https://api.test/", (("content-type", kind),) if kind else (), body.encode()))
    assert SECRET not in sent.asked.body.decode()


@pytest.mark.parametrize(
    "body",
    [
        '{"max_tokens": 4096, "usage": {"total_tokens": 12345, "prompt_tokens_details": {"cached_tokens": 1024}}}',
        '{"code": "E_NOT_FOUND", "key": "customer", "message": "use key: \'name\'"}',
        '{"name": "colour", "value": "a1b2c3d4e5f6"}',
        "<p>Enter your code below.</p><input name='city' value='Paris75001'>",
        "see https://docs.test/?page=2&sort=name or mail ada@api.test",
        "key: value\ncode: 42\n",
    ],
)
def test_what_is_no_secret_stays(body: str) -> None:
    """Numbers of tokens, error codes, plain words under an ambiguous name."""
    assert scrub(answer=body.encode(), kind="text/plain").body.decode() == body


def test_a_compressed_upload_is_looked_into(tmp_path: Path) -> None:
    """It is kept decoded, its bindings found, and a body that is compressed again matches it."""
    path = tmp_path / "upload.yaml"
    matching = Matching(on=("method", "path", "body"))

    def send(secret: str, **options: Any) -> str:
        body = gzip.compress(json.dumps({"password": secret, "n": 1}).encode())
        with (
            use_cassette(path, matching=matching, **options) as cassette,
            APIClient(base_url="https://api.test", engine=cassette) as client,
        ):
            fields = {"content-encoding": "gzip", "content-type": "application/json"}
            return client.post("/", content=body, headers=fields).text

    send(SECRET, mode="all", inner=ScriptedTransport(respond(200, content=f"hello {SECRET}")))
    assert load(path)[0][0].asked.body == b'{"password": "<password-1>", "n": 1}'
    assert send("another-one-99", mode="none") == "hello another-one-99"


def test_equal_secrets_share_a_placeholder_wherever_they_stand() -> None:
    """A secret that is known from one place is found in all others, encoded ones too."""
    secret = "p/w+d 5f2b9c0d1e".replace(" ", "-")
    asked = Asked("GET", f"https://api.test/x/{secret}", (("authorization", f"Bearer {secret}"),))
    escaped = secret.replace("/", "\\/")
    body = f'{{"echo": "it is {secret}", "again": "{escaped}"}} p%2Fw%2Bd-5f2b9c0d1e'
    clean = scrub(asked, body.encode())
    assert clean.asked.uri == "https://api.test/x/%3Ctoken-1%3E"
    assert clean.body.decode() == '{"echo": "it is <token-1>", "again": "<token-1>"} %3Ctoken-1%3E'


def test_numbers_follow_the_order_of_first_sight_and_say_nothing_of_the_secret() -> None:
    """The same traffic with other secrets gives the same file."""

    def clean(first: str, second: str) -> list[Interaction]:
        asked = [Asked("GET", f"https://api.test/?token={value}") for value in (first, second, first)]
        return Vault().scrubbed([Interaction(each, Script(Head(200), End())) for each in asked])

    one, other = clean("aaaa-1111-bbbb", "cat"), clean("dog", "eeeeeeeeeeeeeeeee-55555555")
    assert [each.asked for each in one] == [each.asked for each in other]
    assert [each.asked.uri[-10:-3] for each in one] == ["token-1", "token-2", "token-1"]


def test_a_compressed_body_is_looked_into() -> None:
    """With a secret in it it is kept decoded, without one as it came."""
    for text, kept in ((json.dumps({"token": SECRET}), False), ('{"a": 1}', True)):
        packed = gzip.compress(text.encode())
        fields = (("content-encoding", "gzip"), ("content-length", str(len(packed))), ("content-md5", "x"))
        given = Interaction(Asked("GET", "https://api.test/"), Script(Head(200, fields), Chunk(packed), End()))
        clean = Vault().scrubbed([given])[0]
        assert clean.head is not None
        assert (clean.body == packed) is kept
        assert ("content-encoding" in dict(clean.head.headers)) is kept
        assert ("content-md5" in dict(clean.head.headers)) is kept  # a digest is a function of the secret


def test_the_pieces_of_a_body_keep_their_places() -> None:
    """A secret that is longer than its placeholder moves what is behind it, and nothing else."""
    events = [f'data: {{"token": "{SECRET}"}}\n\n'.encode(), b"data: 2\n\n", f'{{"token": "{SECRET}"}}'.encode()]
    script = Script(Head(200), *(Chunk(event) for event in events), End())
    clean = Vault().scrubbed([Interaction(Asked("GET", "https://api.test/"), script)])[0]
    pieces = [step.data for step in clean.script.steps if isinstance(step, Chunk)]
    assert pieces == [b'data: {"token": "<token-1>"}\n\n', b"data: 2\n\n", b'{"token": "<token-1>"}']


def login(request: Request, index: int) -> Script:
    """A service that gives out a session and a token, and wants both."""
    if request.url.path == "/login":
        return respond(200, json={"token": SECRET, "user": "ada"}, headers={"set-cookie": f"sid=x{SECRET}; Path=/"})
    authorized = request.headers.get("authorization") == f"Bearer {SECRET}" or "<token" in str(request.headers.raw())
    return respond(200 if authorized else 401, json={"seen": request.headers.get("authorization", "")})


def test_a_login_flow_plays_again(world: World[VirtualClock], tmp_path: Path) -> None:
    """The client takes the placeholder for its token; a password that it knows itself may be another one."""
    path = tmp_path / "login.yaml"

    async def flow(password: str, **options: Any) -> tuple[Any, Any]:
        with use_cassette(path, **options) as cassette:
            async with any_client(world, engine=cassette) as client:
                first = await client.post("/login", json={"user": "ada", "password": password})
                headers = {"authorization": f"Bearer {first.data['token']}"}
                second = await client.get("/me", headers=headers)
                return second.status_code, second.request.headers.get("cookie")

    async def body() -> None:
        assert await flow("hunter2hunter2", mode="all", inner=ScriptedTransport(login)) == (200, f"sid=x{SECRET}")
        assert await flow("another", mode="none") == (200, "sid=<cookie-1>")

    world.run(body)
    text = path.read_text()
    assert SECRET not in text
    assert "hunter2" not in text


def test_an_answer_gives_back_the_secret_of_the_client_that_asks(tmp_path: Path) -> None:
    """A placeholder of the request, wherever it stands in the answer, is what this client sent."""
    path = tmp_path / "echo.yaml"

    def echo(request: Request, index: int) -> Script:
        return respond(200, json={"you": request.headers["x-api-key"]}, headers={"x-you": request.headers["x-api-key"]})

    def ask(key: str, **options: Any) -> Any:
        with (
            use_cassette(path, **options) as cassette,
            APIClient(base_url="https://api.test", engine=cassette) as client,
        ):
            response = client.get("/me", headers={"x-api-key": key})
            return (
                response.data["you"],
                response.headers["x-you"],
                len(response.content) == int(response.headers["content-length"]),
            )

    ask("key-one-1234567", mode="all", inner=ScriptedTransport(echo))
    assert ask('an "odd" one', mode="none") == ('an "odd" one', 'an "odd" one', True)


def test_each_client_gets_the_answer_to_its_own_secret(tmp_path: Path) -> None:
    """Two keys on one URL are told apart once they have been seen."""
    path = tmp_path / "two.jsonl"

    def echo(request: Request, index: int) -> Script:
        return respond(200, content=f"{index}")

    def ask(keys: list[str], **options: Any) -> list[str]:
        with (
            use_cassette(path, **options) as cassette,
            APIClient(base_url="https://api.test", engine=cassette) as client,
        ):
            return [client.get("/me", params={"api_key": key}).text for key in keys]

    a, b = "key-a-1234567", "key-b-1234567"
    assert ask([a, b, a, b], mode="all", inner=ScriptedTransport(echo)) == ["0", "1", "2", "3"]
    assert ask([a, b, b, a], mode="none") == ["0", "1", "3", "2"]


def test_a_secret_that_is_left_stops_the_writing(tmp_path: Path) -> None:
    """Redaction switched off, the file is still looked through; the message names the place and not the secret."""
    path = tmp_path / "off.yaml"
    path.write_text("interactions: []\nversion: 1\n")
    with (
        pytest.raises(SecretFound, match="request header x-trace: what looks like a jwt") as caught,
        use_cassette(path, mode="all", inner=ScriptedTransport(respond(200)), redaction=Redaction(enabled=False)) as c,
        APIClient(base_url="https://api.test", engine=c) as client,
    ):
        client.get("/", headers={"x-trace": JWT})
    assert JWT not in str(caught.value)
    assert path.read_text() == "interactions: []\nversion: 1\n"


def test_the_scan_finds_what_is_hidden() -> None:
    """In base64, in a compressed body, under any name."""
    hidden = gzip.compress(f"a {SECRET} b".encode())
    script = Script(Head(200, (("content-encoding", "gzip"),)), Chunk(hidden), End())
    asked = Asked("POST", "https://api.test/", (), base64.b64encode(SECRET.encode() + b"tail"))
    assert scan([Interaction(asked, script)], [SECRET]) == [
        "interaction 1, request body: a known secret",
        "interaction 1, response body: a known secret",
    ]


def test_values_and_names_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that only the user, or the environment, knows of; names that are innocent in this service."""
    monkeypatch.setenv("SERVICE_API_KEY", "environment-1234567")
    asked = Asked("GET", "https://api.test/?token=visible1234&q=my-own", (("x-tenant", "acme"),))
    redaction = Redaction(values=("my-own",), names=("x-tenant",), keep=("token",))
    script = Script(Head(200), Chunk(b"environment-1234567"), End())
    clean = Vault(redaction).scrubbed([Interaction(asked, script)])[0]
    assert clean.asked.uri == "https://api.test/?token=visible1234&q=%3Csecret-1%3E"
    assert clean.asked.headers == (("x-tenant", "<secret-3>"),)
    assert clean.body == b"<secret-2>"
    assert "my-own" not in repr(redaction)


def test_a_miss_shows_no_secret(tmp_path: Path) -> None:
    """Neither the asked one nor a recorded one."""
    path = tmp_path / "miss.yaml"
    with (
        use_cassette(path, mode="all", inner=ScriptedTransport(respond(200))) as c,
        APIClient(base_url="https://api.test", engine=c) as client,
    ):
        client.get("/a", params={"token": SECRET})
    with (
        pytest.raises(CassetteMiss) as caught,
        use_cassette(path, mode="none") as c,
        APIClient(base_url="https://api.test", engine=c) as client,
    ):
        client.get("/b", params={"token": SECRET})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(load(path))


def test_no_planted_secret_is_written_or_shown() -> None:
    """Twenty carriers, three forms: nothing in files, errors, logs and reprs, and everything plays again."""
    assert planted_secrets(3 * len(CARRIERS)) == (0, 0)  # more than are looked for one by one


def test_a_secret_by_which_another_begins_is_taken_out_whole() -> None:
    """The longest goes first."""
    clean = scrub(answer=b"abcd-1234-tail and abcd-1234", kind="text/csv", values=("abcd-1234", "abcd-1234-tail"))
    assert clean.body == b"<secret-2> and <secret-1>"


def test_a_value_that_is_too_short_is_refused() -> None:
    """It would be found everywhere."""
    with pytest.raises(CassetteError, match="under 4 characters"):
        Redaction(values=("abc",))
