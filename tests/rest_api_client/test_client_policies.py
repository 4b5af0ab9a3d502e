"""The policies as options of a client: each takes its place, shares what it should, and is refused where it cannot."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rest_api_client import (
    APIClient,
    Bulkhead,
    CapabilityError,
    Coalesce,
    ConfigurationError,
    DeadlineHeader,
    Fallback,
    Hedging,
    PermissionDeniedError,
    RetryConfig,
    VirtualClock,
)
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.script import Script
from rest_api_client.transport import Capability


def client_of(*scripts: Script, **options: Any) -> tuple[APIClient, ScriptedTransport]:
    """A client on virtual time, and its server."""
    server = ScriptedTransport(list(scripts) or (lambda request, context: respond(200)))
    return APIClient("https://api.test", engine=server, clock=VirtualClock(), random=1, **options), server


def names(client: APIClient) -> list[str]:
    """The policies of the chain, outermost first."""
    return [line.name for line in client.describe()]


def test_what_is_off_is_not_in_the_chain() -> None:
    """By default no bulkhead, hedging, coalescing, fallback or header; the learned times are on."""
    client, _ = client_of()
    with client:
        assert not {"Bulkhead", "Hedging", "Coalesce", "Fallback", "DeadlineHeader"} & set(names(client))
        assert "AttemptTimes" in names(client)
    client, _ = client_of(attempt_times=None)
    with client:
        assert "AttemptTimes" not in names(client)


def test_each_takes_its_place() -> None:
    """In the order of the chain, whatever the order of the keywords."""
    client, _ = client_of(
        bulkhead=Bulkhead(), hedging=Hedging(), coalesce=Coalesce(), fallback=Fallback(json={}),
        deadline_header=DeadlineHeader(name="x-left"),
    )  # fmt: skip
    with client:
        chain = names(client)
    order = ["Deadline", "Fallback", "Redirects", "Coalesce", "RetryConfig", "Hedging", "AttemptTimes", "Bulkhead"]
    assert [name for name in chain if name in order] == order
    assert chain.index("Bulkhead") < chain.index("DeadlineHeader") < chain.index("Authentication")


def test_a_failed_call_falls_back_and_says_so() -> None:
    """The answer is the fallback's, the attempts are the call's."""
    client, _ = client_of(respond(503), fallback=Fallback(json={"stale": True}), max_retries=0)
    with client:
        response = client.get("/")
    assert response.data == {"stale": True}
    assert [note.policy for note in response.attempts[-1].notes] == ["Fallback"]


def test_hedges_and_retries_draw_on_one_budget() -> None:
    """What a retry took is not there for a hedge; a copy of the client goes on sharing it."""
    budget = RetryBudget(ratio=0, min_per_second=0, burst=1)
    client, _ = client_of(retry=RetryConfig(budget=budget), hedging=Hedging())
    with client:
        for one in (client, client.with_options(max_retries=1), client.with_options(hedging=Hedging(percentile=0.9))):
            policies = {type(policy): policy for policy in one._core.pipeline.policies}
            assert policies[Hedging].state is policies[RetryConfig].state is not None  # type: ignore[attr-defined]
    client, _ = client_of(retry=None, hedging=Hedging())
    with client:
        assert next(p for p in client._core.pipeline.policies if isinstance(p, Hedging)).state is None


class Unabortable(ScriptedTransport):
    """An engine that cannot abort."""

    capabilities = ScriptedTransport.capabilities - {Capability.ABORT}


def test_hedging_is_refused_where_no_loser_can_be_aborted() -> None:
    """When the client is made, before anything is sent."""
    with pytest.raises(CapabilityError, match="hedge_unabortable"):
        APIClient("https://api.test", engine=Unabortable(respond(200)), clock=VirtualClock(), hedging=Hedging())
    with APIClient(
        "https://api.test",
        engine=Unabortable(respond(200)),
        clock=VirtualClock(),
        hedging=Hedging(hedge_unabortable=True),
    ) as client:
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("option", ["bulkhead", "hedging", "coalesce", "fallback", "attempt_times", "deadline_header"])
def test_a_policy_of_the_wrong_kind_is_refused(option: str) -> None:
    """The message says which kind belongs there, and that None turns it off."""
    with pytest.raises(ConfigurationError, match=rf"{option}=RetryConfig.*: give a .*, or None to turn it off"):
        client_of(**{option: RetryConfig()})


@pytest.mark.parametrize("priority", [-1, 5, True, "4", None])
def test_a_priority_is_a_number_from_0_to_4(priority: Any) -> None:
    """Anything else is refused before anything is sent."""
    client, server = client_of(bulkhead=Bulkhead())
    with client, pytest.raises(ConfigurationError, match="priority"):
        client.get("/", priority=priority)
    assert server.requests == []


def test_a_state_that_is_shared_is_shared_by_copies() -> None:
    """`with_options` keeps the permits of a bulkhead that stays as it was."""
    client, _ = client_of(bulkhead=Bulkhead(limit=3))
    with client:
        copy = client.with_options(max_retries=0)
        mine, theirs = (
            next(p for p in one._core.pipeline.policies if isinstance(p, Bulkhead)) for one in (client, copy)
        )
        assert mine.state is theirs.state


@pytest.mark.parametrize(
    ("fields", "body", "seconds"),
    [
        ({"retry-after-ms": "61500"}, "", 61.5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}, "", 90.0),
        ({}, "You have exceeded a secondary rate limit", 60.0),
    ],
)
def test_what_is_obeyed_is_told(fields: dict[str, str], body: str, seconds: float) -> None:
    """T5: the error of a 403 that is a rate limit says when to come back, in whatever words the server said it."""
    client, _ = client_of(respond(403, content=body, headers={"x-github-request-id": "1", **fields}), max_retries=0)
    with client, pytest.raises(PermissionDeniedError) as caught:
        client.get("/things")
    assert caught.value.retry_after == seconds
    assert pickle.loads(pickle.dumps(caught.value)).response.retry_after == seconds
