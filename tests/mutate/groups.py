"""What is mutated, and the tests that have to notice: those of the policy itself, not the whole suite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Modules of `rest_api_client/policies`, and tests below `tests/rest_api_client`."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


def _machine(name: str) -> str:
    return f"policies/test_machines.py::test_it_decides_as_its_model_does[{name}]"


GROUPS = {
    "retry": Group(
        ("retry", "backoff"), ("policies/test_retry.py", "policies/test_backoff.py", "policies/test_budget.py")
    ),
    "limiter": Group(
        ("rate_limiter", "dimensions", "quotas", "quota_state", "token_state", "token_queue", "waiting_line"),
        (
            "policies/test_rate_limiter.py",
            "policies/test_dimensions.py",
            "policies/test_quotas.py",
            "policies/test_token_state.py",
            "policies/test_waiting_line.py",
            "test_limiter.py",
            _machine("limiter"),
        ),
    ),
    "breaker": Group(
        ("circuit", "circuit_breaker", "failure_windows"),
        ("policies/test_circuit_breaker.py", "policies/test_failure_windows.py", _machine("breaker")),
    ),
    "budget": Group(("budget",), ("policies/test_budget.py", _machine("budget"))),
}
