"""Hooks: of the right kind, called at their place, and errors that say what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.hooks import HOOKS, attempt_hooks, checked, overridden, settle
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.runtime import run_sync
from tests.rest_api_client.chain import a_request


def plain(self: Any, value: Any) -> Any:
    return value


async def awaited(self: Any, value: Any) -> Any:
    return value


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_of_the_other_kind_is_refused_with_the_class(name: str) -> None:
    """When the class statement runs, whether the hook stands in it or in a mixin."""
    mixins = {kind: type("Mixin", (), {name: kind}) for kind in (plain, awaited)}
    for face, wrong, right, wanted in (
        (APIClient, awaited, plain, "`def`"),
        (AsyncAPIClient, plain, awaited, "`async def`"),
    ):
        with pytest.raises(ConfigurationError, match=f"Mine.{name} must be {wanted}"):
            type("Mine", (face,), {name: wrong})
        with pytest.raises(ConfigurationError, match=f"Mine.{name} must be {wanted}"):
            type("Mine", (mixins[wrong], face), {})
        assert getattr(type("Mine", (face,), {name: right}), name) is right
        assert getattr(type("Mine", (mixins[right], face), {}), name) is right


def test_only_what_is_overridden_is_in_the_chain() -> None:
    """A plain client has no hook stages; each override adds its own."""

    class Mine(APIClient):
        def check_rate_limit(self, request: Request) -> None:
            """Always fine."""

    class More(Mine):
        def send_request(self, request: Request) -> Response:
            return super().send_request(request)

    stages: list[list[Stage]] = []
    for kind in (APIClient, Mine, More):
        with kind("https://api.test", engine=ScriptedTransport(respond(200))) as client:
            stages.append([policy.stage for policy in attempt_hooks(client, APIClient)])
            assert overridden(client, APIClient, "prepare_request") is None
    assert stages == [[], [Stage.RATE_LIMIT], [Stage.RATE_LIMIT, Stage.ATTEMPT_MIDDLEWARE]]


def test_hooks_run_once_per_attempt() -> None:
    """The check before the limiter, `send_request` round the rest; a call made inside a hook has its own rest."""
    trace: list[str] = []

    class Mine(APIClient):
        def check_rate_limit(self, request: Request) -> None:
            trace.append(f"check {request.url.path}")

        def send_request(self, request: Request) -> Response:
            if request.url.path == "/data":
                self.get("/token")
            response = super().send_request(request.with_headers(x_seen="yes"))
            trace.append(f"sent {request.url.path} {response.status_code}")
            return response

    server = ScriptedTransport(lambda request, index: respond(503 if index == 1 else 200))
    with Mine("https://api.test", engine=server, random=1) as client:
        assert client.get("/data").status_code == 200
    assert trace[:4] == ["check /data", "check /token", "sent /token 200", "sent /data 503"]
    assert trace[4] == "check /data"
    assert all(arrival.request.headers["x-seen"] == "yes" for arrival in server.requests)


def test_a_hook_that_forgets_to_return_is_told() -> None:
    """The message names the hook and what it must give."""

    class Mine(APIClient):
        def send_request(self, request: Request) -> Response:
            super().send_request(request)
            return None  # type: ignore[return-value]

    with (
        Mine("https://api.test", engine=ScriptedTransport(respond(200))) as client,
        pytest.raises(HookError, match=r"send_request must return a Response, got NoneType: is a `return` missing"),
    ):
        client.get("/")
    with pytest.raises(HookError, match="process_response"):
        checked(5, Response, "process_response")


def test_send_request_belongs_inside_an_attempt() -> None:
    """Called from outside it says what to call instead."""
    outside = pytest.raises(HookError, match=r"request\(\), get\(\) or post\(\)")
    with APIClient("https://api.test", engine=ScriptedTransport(respond(200))) as client, outside:
        client.send_request(a_request())


def test_what_a_hook_gives_is_awaited_where_it_must_be() -> None:
    """Plain values pass."""
    assert run_sync(settle(5)) == 5
    assert run_sync(settle(awaited(None, 6))) == 6
