"""The state machine for clients: ours goes through it, planted bugs do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from pytest_plugin.rehearsal import RULES, Backstage, ClientMachine, Promises, RehearsalFailed, Step
from rest_api_client import APIClient, AsyncAPIClient
from tests.pytest_plugin.rehearsal import clients

few = settings(
    max_examples=40, stateful_step_count=15, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.generate,), report_multiple_bugs=False,
)  # fmt: skip
many = settings(few, max_examples=500)


class OurMachine(ClientMachine):
    """Our async client."""

    def make_client(self, stage: Backstage) -> AsyncAPIClient:
        return AsyncAPIClient(**stage.options())


class OurSyncMachine(ClientMachine):
    """Our client in threads."""

    def make_client(self, stage: Backstage) -> APIClient:
        return APIClient(**stage.options())


class Sdk:
    """An SDK without a `request`, whose calls are its own."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def order(self, item: int) -> Any:
        response = await self.http.post("/orders", json={"item": item})
        return response.json()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.aclose()


class SdkMachine(ClientMachine):
    """Rules of its own alone."""

    methods = ()
    stage_rules = replace(RULES, retry_after=None)
    ordered = 0

    def make_client(self, stage: Backstage) -> Sdk:
        return Sdk(httpx.AsyncClient(base_url=stage.url, transport=stage.async_httpx_transport(), timeout=2.0))

    @rule(item=st.integers(1, 3))
    def order(self, item: int) -> None:
        type(self).ordered += 1
        self.begin("order", lambda sdk: sdk.order(item))


def planted(client: Any) -> type[ClientMachine]:
    class Machine(ClientMachine):
        promises = Promises(deadline=clients.DEADLINE, held=lambda client: client.held)

        def make_client(self, stage: Backstage) -> Any:
            return client(stage)

    return Machine


@pytest.mark.parametrize("machine", [OurMachine, OurSyncMachine, planted(clients.Careful)])
def test_a_client_that_behaves_goes_through(machine: type[ClientMachine]) -> None:
    """Whatever happens in whatever order, nothing is broken."""
    run_state_machine_as_test(machine, settings=few)


def test_an_sdk_has_rules_of_its_own() -> None:
    """Calls are what its rules begin; what the stage is to judge can be chosen."""
    run_state_machine_as_test(SdkMachine, settings=few)
    assert SdkMachine.ordered > 40


@pytest.mark.parametrize(
    ("client", "broken"),
    [(clients.RepeatsPosts, "repeats"), (clients.LeaksOnCancel, "held"), (clients.IgnoresDeadline, "deadline")],
)
def test_planted_bugs_are_found(client: Any, broken: str) -> None:
    """By the rule that they break; the message shows the timeline."""
    with pytest.raises(RehearsalFailed) as failed:
        run_state_machine_as_test(planted(client), settings=many)
    assert {each.rule for each in failed.value.report.broken} == {broken}
    assert "virtual seconds" in str(failed.value)


def test_a_machine_is_driven_by_hand_too() -> None:
    """Step by step, as Hypothesis prints it: a fault waits for the next request, time passes when it is told to."""
    machine = OurMachine()
    machine.fault(Step("error(503)"))
    machine.call(0)
    assert machine.run.calls[0].ended is None
    machine.fault(Step("reset_before"))
    machine.time_passes(5.0)
    machine.clock_jumps(3600.0)
    assert machine.run.calls[0].status == 200
    assert [entry.status for entry in machine.stage.scene.journal] == [503, None, 200]
    machine.behaves()
    machine.teardown()


def test_a_machine_without_a_client_says_what_is_missing() -> None:
    """`make_client` is for the user to write."""
    with pytest.raises(NotImplementedError, match="needs make_client"):
        ClientMachine()
