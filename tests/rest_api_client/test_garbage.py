"""What a user's own pieces may give back or be told wrongly: each mistake ends in an error that names the piece."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rest_api_client import APIClient, ApiKeyAuth, Auth, RetryConfig, RetryStrategy, Stage
from rest_api_client.exceptions import ConfigurationError, DecodeError, HookError, ServerError


def client(*statuses: int, content: bytes = b"{}", **options: Any) -> APIClient:
    """A client of a server that answers so, the last for ever."""
    left = list(statuses)

    def answer(request: httpx.Request) -> httpx.Response:
        status = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(status, content=content, headers={"content-type": "application/json"})

    return APIClient("https://api.test", engine=httpx.MockTransport(answer), **options)


class Plain(RetryStrategy):
    """Decides whatever it was given."""

    def __init__(self, step: object = None, delay: Any = 0) -> None:
        self.step, self.delay = step, delay

    def should_retry(self, response: object, attempt: int) -> bool:
        """Always."""
        return True

    def get_delay(self, attempt: int) -> Any:
        """What it was given."""
        return self.delay


class Deciding(Plain):
    """The same, by `decide`."""

    def decide(self, context: object) -> Any:
        """What it was given."""
        return self.step


@pytest.mark.parametrize(
    "strategy", [*(Plain(delay=d) for d in (None, "1", 1e300, float("nan"), -1)), Deciding(), Deciding(5)]
)
def test_a_strategy_that_decides_nonsense_is_named(strategy: RetryStrategy) -> None:
    """A delay that is no time, or no decision at all."""
    with client(503, retry=RetryConfig(strategy=strategy)) as api, pytest.raises(HookError, match=r"Plain|Deciding"):
        api.get("/")


class Forgetful:
    """A policy that returns nothing."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def __call__(self, *passed: object) -> Any:
        """Nothing."""


class Waitless(Forgetful):
    """A policy that is no coroutine."""

    def __call__(self, *passed: object) -> Any:
        """Nothing, at once."""


@pytest.mark.parametrize("kind", [Forgetful, Waitless])
@pytest.mark.parametrize("stage", [Stage.FALLBACK, Stage.BULKHEAD])
def test_a_policy_that_returns_nothing_is_named(kind: type[Forgetful], stage: Stage) -> None:
    """On either level, before a stage of ours looks at what came."""
    with client(200, policies=[kind(stage)]) as api, pytest.raises(HookError, match=f"policy {kind.__name__}"):
        api.get("/")


def test_what_is_no_policy_is_refused_before_anything_is_looked_up_in_it() -> None:
    """A number in the list of policies."""
    with pytest.raises(ConfigurationError, match="is no policy"):
        client(200, policies=[5])


def test_a_classify_that_returns_nothing_is_named() -> None:
    """The error says what it must return."""
    with client(503, classify=lambda request, result: None) as api, pytest.raises(HookError, match="classify"):
        api.get("/")


class Wordy:
    """A serializer that writes text."""

    content_type = "application/json"

    def dumps(self, value: object) -> Any:
        """Text."""
        return "{}"

    def loads(self, data: bytes) -> Any:
        """Nothing."""


def test_a_serializer_must_write_bytes() -> None:
    """Text is refused before anything is sent."""
    with client(200, serializer=Wordy()) as api, pytest.raises(ConfigurationError, match=r"Wordy\.dumps"):
        api.post("/", json={})


@pytest.mark.parametrize("files", [5, object(), [5]])
def test_files_of_no_known_form_are_refused(files: Any) -> None:
    """A number where a dict belongs."""
    with client(200) as api, pytest.raises(ConfigurationError, match="files="):
        api.post("/", files=files)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": "5"},
        {"max_retries": -1},
        {"max_retries": True},
        {"retry_unsafe": "false"},
        {"follow_redirects": 0},
        {"raise_for_status": "no"},
        {"attempt_headers": None},
        {"progress": 5},
        {"cookies": [("a", "b")]},
        {"path_params": [("a", "b")]},
    ],
)
def test_a_call_refuses_values_of_a_wrong_kind(options: Any) -> None:
    """They would count as something nobody said, or fail in the middle of the call."""
    with client(503, 200) as api, pytest.raises(ConfigurationError, match=next(iter(options))):
        api.post("/", content=b"x", **options)


def test_a_config_is_a_config() -> None:
    """What stands in its place is named by its type."""
    wrong: Any = {"base_url": "https://api.test"}
    with pytest.raises(ConfigurationError, match="config of type dict"):
        APIClient(wrong)


def test_a_query_that_no_engine_would_take_is_refused() -> None:
    """As a mistake of the caller's, not as a failure of the server."""
    with client(200) as api, pytest.raises(ConfigurationError, match="longer than"):
        api.get("/", params={"q": "x" * 70_000})


@pytest.mark.parametrize("auth", [ApiKeyAuth("hunter2", query="mandator"), ApiKeyAuth("hunter2", header="X-Mandator")])
def test_a_key_is_masked_under_whatever_name_it_travels(auth: Auth) -> None:
    """The name is innocent, but authentication uses it."""
    with client(503, max_retries=0, auth=auth) as api, pytest.raises(ServerError) as failed:
        api.get("/")
    error = failed.value
    sent = error.response.request if error.response is not None else None
    assert sent is not None
    assert "hunter2" not in f"{error}{error!r}{sent!r}{sent.headers!r}{error.attempts!r}"


@pytest.mark.parametrize("content", [b'{"access_token": "hunter2"', b'  ["hunter2"', b'"hunter2'])
def test_broken_json_is_not_quoted(content: bytes) -> None:
    """A body that was to be JSON may be a token on its way; what is no JSON at all is shown."""
    with client(200, content=content) as api, pytest.raises(DecodeError) as broken:
        _ = api.get("/").data
    assert "hunter2" not in str(broken.value)
    with client(200, content=b"<html>Bad gateway") as api, pytest.raises(DecodeError, match="Bad gateway"):
        _ = api.get("/").data
