"""Digest authentication: the RFC's own examples, nonces over time, and fields made to be misread."""

from __future__ import annotations

import hashlib
import pickle
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.auth.digest import Challenge, DigestAuth, parse_challenges
from rest_api_client.auth.schemes import Authentication
from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.urls import Origin
from rest_api_client.models import Request
from rest_api_client.script import Script
from tests.conftest import World
from tests.patience import HANGS
from tests.rest_api_client.chain import Chain, a_request

MUFASA = DigestAuth("Mufasa", "Circle of Life")
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def fields(answer: str) -> dict[str, str]:
    ((scheme, found),) = parse_challenges(answer)
    assert scheme == "digest"
    return found


def challenge(text: str) -> Challenge:
    read = Challenge.read([text])
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, expected: str) -> None:
    """Section 3.9.1: both algorithms give the digests printed there."""
    request = a_request(url="http://www.example.org/dir/index.html")
    sent = fields(MUFASA.answer(challenge(RFC.format(algorithm)), request, CNONCE, 1))
    assert sent["response"] == expected
    assert sent["uri"] == "/dir/index.html"
    assert (sent["nc"], sent["qop"], sent["cnonce"], sent["algorithm"]) == ("00000001", "auth", CNONCE, algorithm)
    assert sent["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def test_the_example_of_rfc_2069() -> None:
    """Without a quality the older form is used: no count, no client nonce (RFC 2617's user, its errata's digest)."""
    text = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc"'
    request = a_request(url="http://www.nowhere.org/dir/index.html")
    sent = fields(DigestAuth("Mufasa", "CircleOfLife").answer(challenge(text), request, "unused", 1))
    assert sent["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert not {"nc", "qop", "cnonce"} & sent.keys()


@pytest.mark.parametrize("algorithm", ["MD5-sess", "SHA-256-sess", "SHA-512-256-sess"])
def test_session_algorithms_hash_the_nonces_in(algorithm: str) -> None:
    """RFC 7616, section 3.4.2: A1 of "-sess" is the hash of the plain A1 with both nonces."""
    name = {"MD5-sess": "md5", "SHA-256-sess": "sha256", "SHA-512-256-sess": "sha512_256"}[algorithm]

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    sent = fields(
        MUFASA.answer(challenge(f'Digest realm="r", nonce="n", qop=auth, algorithm={algorithm}'), a_request(), "c", 2)
    )
    session = digest(digest("Mufasa:r:Circle of Life") + ":n:c")
    assert sent["response"] == digest(f"{session}:n:00000002:c:auth:{digest('GET:/things')}")
    older = fields(MUFASA.answer(challenge(f'Digest realm="r", nonce="n", algorithm={algorithm}'), a_request(), "c", 2))
    assert older["cnonce"] == "c"


def test_a_hashed_user_name() -> None:
    """`userhash=true` sends the hash of user and realm in the name's place."""
    sent = fields(
        MUFASA.answer(challenge('Digest realm="r", nonce="n", qop="auth", userhash=TRUE'), a_request(), "c", 1)
    )
    assert sent["username"] == hashlib.md5(b"Mufasa:r").hexdigest()
    assert sent["userhash"] == "true"


def test_a_name_beyond_ascii_goes_encoded() -> None:
    """RFC 7616, section 3.4: the extended notation for names that no quoted string holds."""
    sent = DigestAuth("J\u00e4s\u00f8n Doe", "x").answer(challenge('Digest realm="r", nonce="n"'), a_request(), "c", 1)
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" in sent


def test_quotes_and_backslashes_are_escaped_both_ways() -> None:
    """A realm with quotes is read unescaped, hashed so, and sent escaped."""
    found = challenge(r'Digest realm="a \"b\" \\c", nonce="n"')
    assert found.realm == r'a "b" \c'
    answer = DigestAuth('q"u', "x").answer(found, a_request(), "c", 1)
    assert fields(answer)["realm"] == r'a "b" \c'
    assert fields(answer)["username"] == 'q"u'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'Basic realm="x", Digest realm="r", nonce="n"',
            [("basic", {"realm": "x"}), ("digest", {"realm": "r", "nonce": "n"})],
        ),
        ("Negotiate abc==, Bearer", [("negotiate", {}), ("bearer", {})]),
        ('Digest realm = "r" ,nonce=n', [("digest", {"realm": "r", "nonce": "n"})]),
        ("Digest realm=one, REALM=two", [("digest", {"realm": "one"})]),
        ('Digest realm="unterminated', [("digest", {})]),
        ("Digest", [("digest", {})]),
        (", ,", []),
        ("", []),
    ],
)
def test_challenges_are_taken_apart(text: str, expected: list[Any]) -> None:
    """Several schemes in one field, tokens, spaces, repeats, and fields that break off."""
    assert parse_challenges(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r", nonce="n", algorithm=SHA-1',
        'Digest nonce="n"',
        'Digest realm="r"',
        'Basic realm="r"',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_passed_over(text: str) -> None:
    """The next challenge is taken, in the same field or another; without any the 401 stands."""
    assert Challenge.read([text]) is None
    found = Challenge.read([f'{text}, Digest realm="r", nonce="second"', 'Digest realm="r", nonce="third"'])
    assert found is not None
    assert found.nonce == "second"


@given(st.text(alphabet='Digest ,="\\abc\t\r\n\x00\xff', max_size=60))
def test_no_field_breaks_the_reader(text: str) -> None:
    """Whatever a server writes is read or passed over, and what is answered can be sent."""
    for scheme, found in parse_challenges(text):
        assert scheme == scheme.lower()
        assert not any(re.search(r"[\x00-\x08\x0a-\x1f]", value) for value in found.values())


@pytest.mark.parametrize("unit", ["a,", "a ", 'a="', "a=b,", ", ", "\\", 'a="b",', "a ="])
def test_reading_takes_linear_time(unit: str) -> None:
    """A hundred thousand repetitions are no matter of minutes (vulnerability class: quadratic WWW-Authenticate)."""
    begin = time.process_time()
    parse_challenges("Digest " + unit * 100_000)
    assert time.process_time() - begin < HANGS


def served(world: World[Any], answers: list[Script], calls: int, auth: DigestAuth) -> list[dict[str, str]]:
    async def body() -> list[dict[str, str]]:
        chain = Chain(world.runtime, [Authentication(auth=auth)], answers)
        for _ in range(calls):
            await chain.send(home())
        return [fields(a.request.headers.get("authorization", "Digest")) for a in chain.server.requests]

    return world.run(body)


def home() -> Request:
    return a_request(home=frozenset({Origin("https", "api.test", 443)}))


def refusal(nonce: str, extra: str = "") -> Script:
    return respond(401, headers={"www-authenticate": f'Digest realm="r", qop="auth", nonce="{nonce}"{extra}'})


def test_a_challenge_is_kept_and_counted(world: World[Any]) -> None:
    """The first request asks for the challenge; later ones use it at once, each with the next count."""
    sent = served(world, [refusal("n1"), respond(200), respond(200)], 2, DigestAuth("u", "p"))
    assert [(each.get("nonce"), each.get("nc")) for each in sent] == [
        (None, None),
        ("n1", "00000001"),
        ("n1", "00000002"),
    ]
    assert sent[1]["cnonce"] != sent[2]["cnonce"]


def test_the_client_nonce_comes_from_the_clients_chance(world: World[Any]) -> None:
    """The same seed gives the same client nonce: a rehearsal can be repeated."""
    script = [refusal("n1"), respond(200)]
    assert served(world, script, 1, DigestAuth("u", "p")) == served(world, script, 1, DigestAuth("u", "p"))


def test_a_stale_nonce_is_replaced(world: World[Any]) -> None:
    """A kept nonce that went stale costs one more round trip, not an error."""
    answers = [refusal("n1"), respond(200), refusal("n2", ", stale=true"), respond(200)]
    sent = served(world, answers, 2, DigestAuth("u", "p"))
    assert [each.get("nonce") for each in sent] == [None, "n1", "n1", "n2"]


def test_a_fresh_nonce_may_go_stale_once(world: World[Any]) -> None:
    """A server that says stale to a fresh nonce gets one more try, and no third."""
    answers = [refusal("n1"), refusal("n2", ", stale=true"), refusal("n3", ", stale=true")]
    sent = served(world, answers, 1, DigestAuth("u", "p"))
    assert [each.get("nonce") for each in sent] == [None, "n1", "n2"]


def test_wrong_credentials_are_not_tried_twice(world: World[Any]) -> None:
    """A 401 to a fresh nonce is the answer (T16)."""
    sent = served(world, [refusal("n1"), refusal("n2")], 1, DigestAuth("u", "wrong"))
    assert [each.get("nonce") for each in sent] == [None, "n1"]


def test_a_401_without_a_challenge_is_the_answer(world: World[Any]) -> None:
    """Nothing is sent again where there is nothing to answer."""
    assert len(served(world, [respond(401)], 1, DigestAuth("u", "p"))) == 1


def test_the_password_stays_hidden() -> None:
    """repr and identity hide it; pickling keeps the credential and leaves the challenges behind."""
    auth = DigestAuth("user-x", "hunter2")
    assert not re.search("hunter2|user-x", f"{auth!r}{auth.identity()}")
    assert pickle.loads(pickle.dumps(auth)) == auth
    with pytest.raises(ConfigurationError, match="control character"):
        DigestAuth("a\r\n", "b")
