"""Who asks: Basic, Bearer, API key, Digest, OAuth 2."""

import re
from typing import Any

import pytest

from mockserver.resources.auth import digest_response
from tests.mockserver.resources.site import Answer, Site


def challenges(answer: Answer) -> list[str]:
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    return answer.headers.get_list("www-authenticate")


@pytest.mark.parametrize("basic", [None, "ada:wrong", "eve:lovelace", "ada", ":", "ada:lovelace:"])
def test_basic_wants_user_and_password(site: Site, basic: str | None) -> None:
    """Another one, or none, is asked for it."""
    assert challenges(site.get("/basic-auth/ada/lovelace", basic=basic)) == [
        'Basic realm="mockserver", charset="UTF-8"'
    ]


def test_basic_takes_utf8(site: Site) -> None:
    """As its charset says."""
    assert site.get("/basic-auth/ada/lüx", basic="ada:lüx").data == {"authenticated": True, "user": "ada"}
    assert site.get("/basic-auth/ada/x", {"authorization": "Basic \xff"}).status == 401


def test_bearer_and_api_key(site: Site) -> None:
    """Any token; any key or that one."""
    assert site.get("/bearer", {"authorization": "bearer t"}).data["token"] == "t"
    assert challenges(site.get("/bearer", {"authorization": "Bearer "})) == ['Bearer realm="mockserver"']
    assert site.get("/api-key", {"x-api-key": "k"}).status == 200
    assert site.get("/api-key/k", {"x-api-key": "k"}).status == 200
    assert challenges(site.get("/api-key/k", {"x-api-key": "other"})) == ['ApiKey realm="mockserver"']
    assert challenges(site.get("/api-key")) == ['ApiKey realm="mockserver"']


def test_a_digest_is_the_one_of_the_rfc() -> None:
    """RFC 7616, section 3.9.1: both examples."""
    given = {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "nc": "00000001",
        "qop": "auth",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    }
    assert digest_response({**given, "algorithm": "MD5"}, "Circle of Life", "GET") == "8ca523f5e9506fed4657c9700eebdbec"
    assert (
        digest_response({**given, "algorithm": "SHA-256"}, "Circle of Life", "GET")
        == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )


def answer_digest(
    site: Site, path: str, challenge: str, method: str = "GET", body: bytes = b"", **change: str
) -> Answer:
    fields = {each[0]: each[1] or each[2] for each in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', challenge)}
    given = {
        "username": "ada", "realm": fields["realm"], "uri": path, "qop": fields["qop"], "nonce": fields["nonce"],
        "nc": "00000001", "cnonce": "abc", "algorithm": fields["algorithm"], **change,
    }  # fmt: skip
    given.setdefault("response", digest_response(given, "lovelace", method, body))
    text = ", ".join(f'{name}="{value}"' for name, value in given.items())
    return site.ask(method, path, {"authorization": f"Digest {text}"}, body=body)


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("algorithm", ["", "/MD5", "/MD5-sess", "/SHA-256", "/SHA-256-sess"])
def test_a_digest_lets_in_who_knows_the_password(site: Site, qop: str, algorithm: str) -> None:
    """With every algorithm offered, the strongest first; with auth-int the body counts too."""
    path = f"/digest-auth/{qop}/ada/lovelace{algorithm}"
    offered = challenges(site.ask("POST", path))
    assert [re.findall(r"algorithm=(.*)", each)[0] for each in offered] == (
        [algorithm[1:]] if algorithm else ["SHA-256", "MD5"]
    )
    for nonce_count, challenge in enumerate(offered, 1):
        count = f"{nonce_count:08x}"
        assert answer_digest(site, path, challenge, "POST", b"hello", nc=count).data == {
            "authenticated": True,
            "user": "ada",
        }


@pytest.mark.parametrize(
    "change",
    [
        {"username": "eve"}, {"realm": "x"}, {"uri": "/other"}, {"qop": "auth-int"}, {"nonce": "1-x"}, {"nonce": "x"},
        {"response": "0" * 64}, {"algorithm": "MD5-sess"}, {"algorithm": "SHA-512"}, {"response": "é"},
    ],
)  # fmt: skip
def test_a_wrong_digest_is_asked_again(site: Site, change: dict[str, str]) -> None:
    """Whatever is wrong in it."""
    path = "/digest-auth/auth/ada/lovelace"
    known = {key: value for key, value in change.items() if value != "SHA-512"}
    answer = answer_digest(site, path, challenges(site.get(path))[0], **{"response": "0"} | known)
    assert all("stale" not in each for each in challenges(answer))


def test_a_digest_is_good_once_and_not_for_ever(site: Site) -> None:
    """A count used before, or a nonce that is too old, is stale: ask again with a new nonce."""
    path = "/digest-auth/auth/ada/lovelace"
    challenge = challenges(site.get(path))[0]
    assert answer_digest(site, path, challenge).status == 200
    assert "stale=true" in challenges(answer_digest(site, path, challenge))[0]
    assert answer_digest(site, path, challenge, nc="00000002").status == 200
    assert "stale=true" in challenges(answer_digest(site, path, challenge, nc="x"))[0]
    site.now += 301
    assert "stale=true" in challenges(answer_digest(site, path, challenge, nc="00000003"))[0]


@pytest.mark.parametrize("path", ["/digest-auth/none/a/b", "/digest-auth/auth/a/b/SHA-1"])
def test_a_digest_of_another_kind_is_a_400(site: Site, path: str) -> None:
    """Not something to authenticate for."""
    assert site.get(path).status == 400


def login(site: Site, **form: str) -> Any:
    wanted = {"grant_type": "password", "username": "ada", "password": "x", "scope": "read write", **form}
    return site.ask("POST", "/oauth/token?expires_in=60", form=wanted, basic="app:secret")


def use(site: Site, token: str) -> Answer:
    return site.get("/oauth/resource", {"authorization": f"Bearer {token}"})


def refresh(site: Site, token: str, basic: str = "app:secret", **form: str) -> Answer:
    return site.ask(
        "POST", "/oauth/token", form={"grant_type": "refresh_token", "refresh_token": token, **form}, basic=basic
    )


def test_a_token_lets_in_until_it_expires(site: Site) -> None:
    """On the server's clock; then the 401 says why."""
    answer = login(site)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert {name: answer.data[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer", "expires_in": 60, "scope": "read write"
    }  # fmt: skip
    token = answer.data["access_token"]
    assert use(site, token).data == {"client_id": "app", "scope": "read write", "expires_in": 60}
    site.now += 60
    assert 'error="invalid_token"' in challenges(use(site, token))[0]
    assert challenges(site.get("/oauth/resource")) == ['Bearer realm="mockserver"']


def test_a_client_may_come_for_itself(site: Site) -> None:
    """Credentials in the form; no refresh token (RFC 6749, section 4.4.3)."""
    form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s"}
    told = site.ask("POST", "/oauth/token", form=form).data
    assert set(told) == {"access_token", "token_type", "expires_in"}
    assert use(site, told["access_token"]).status == 200


def test_refresh_tokens_rotate(site: Site) -> None:
    """Each is good once and gives the next; the scope may shrink and never grow."""
    first = login(site).data
    second = refresh(site, first["refresh_token"], scope="read")
    assert second.data["scope"] == "read"
    assert second.data["refresh_token"] != first["refresh_token"]
    assert refresh(site, second.data["refresh_token"], scope="read write").data["error"] == "invalid_scope"
    third = refresh(site, second.data["refresh_token"]).data
    assert use(site, third["access_token"]).status == use(site, first["access_token"]).status == 200


def test_a_refresh_token_used_twice_ends_its_whole_login(site: Site) -> None:
    """Thief and owner alike; other logins go on."""
    first, other = login(site).data, login(site).data
    second = refresh(site, first["refresh_token"]).data
    assert refresh(site, first["refresh_token"]).data["error"] == "invalid_grant"
    assert use(site, second["access_token"]).status == 401
    assert use(site, first["access_token"]).status == 401
    assert refresh(site, second["refresh_token"]).status == 400
    assert use(site, other["access_token"]).status == 200


def test_a_refresh_token_is_its_client_s_and_grows_old(site: Site) -> None:
    """Thirty days."""
    first = login(site).data
    assert refresh(site, first["refresh_token"], basic="other:x").data["error"] == "invalid_grant"
    assert refresh(site, first["access_token"]).data["error"] == "invalid_grant"
    site.now += 30 * 86400
    assert refresh(site, first["refresh_token"]).data["error"] == "invalid_grant"


def test_tokens_can_be_revoked(site: Site) -> None:
    """RFC 7009: one access token, or with a refresh token the whole login; an unknown one is a 200 as well."""
    first = login(site).data
    more = refresh(site, first["refresh_token"]).data

    def revoke(token: str, basic: str = "app:secret") -> int:
        return site.ask("POST", "/oauth/revoke", form={"token": token}, basic=basic).status

    assert revoke(first["access_token"], "other:x") == 200
    assert use(site, first["access_token"]).status == 200
    assert revoke(first["access_token"]) == revoke("unknown") == 200
    assert (use(site, first["access_token"]).status, use(site, more["access_token"]).status) == (401, 200)
    assert revoke(more["refresh_token"]) == 200
    assert use(site, more["access_token"]).status == 401
    assert site.ask("POST", "/oauth/revoke", form={}, basic="app:secret").data["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("form", "basic", "error"),
    [
        ({}, "app:s", "invalid_request"),
        ({"grant_type": "implicit"}, "app:s", "unsupported_grant_type"),
        ({"grant_type": "password", "username": "ada", "password": "wrong"}, "app:s", "invalid_grant"),
        ({"grant_type": "password"}, "app:s", "invalid_grant"),
        ({"grant_type": "refresh_token"}, "app:s", "invalid_grant"),
        ({"grant_type": "client_credentials"}, None, "invalid_client"),
        ({"grant_type": "client_credentials"}, "app:wrong", "invalid_client"),
        ({"grant_type": "client_credentials"}, "app", "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "s"}, "app:s", "invalid_request"),
        ([("grant_type", "password"), ("grant_type", "password")], "app:s", "invalid_request"),
        ([("grant_type", "é")], "app:s", "unsupported_grant_type"),
        ([("a", str(n)) for n in range(60)], "app:s", "invalid_request"),
    ],
)
def test_the_errors_are_those_of_the_rfc(site: Site, form: Any, basic: str | None, error: str) -> None:
    """RFC 6749, section 5.2: 400, and 401 with a challenge for a client nobody knows."""
    answer = site.ask("POST", "/oauth/token", form=form, basic=basic)
    assert answer.data["error"] == error
    assert answer.status == (401 if error == "invalid_client" else 400)
    assert ("www-authenticate" in answer.headers) == (error == "invalid_client")


def test_a_token_request_is_a_form(site: Site) -> None:
    """JSON is an invalid_request; a senseless lifetime a 400."""
    assert site.ask("POST", "/oauth/token", json={"grant_type": "password"}).data["error"] == "invalid_request"
    assert site.ask("POST", "/oauth/token?expires_in=x", form={}).status == 400


def test_tokens_come_again_in_the_next_run() -> None:
    """The same seed, the same tokens; another seed, others."""
    tokens = [login(Site(seed=seed)).data["access_token"] for seed in (1, 1, 2)]
    assert tokens[0] == tokens[1] != tokens[2]
