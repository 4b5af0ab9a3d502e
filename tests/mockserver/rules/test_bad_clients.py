"""Each rule finds the client that breaks it, and no other rule does; none finds anything in an innocent one."""

import dataclasses

import pytest

from mockserver.limits import SlidingWindow
from mockserver.rules import Rules, check, enforce, format_violations
from tests.mockserver.rules.bad_clients import BY_RULE, BadClient, carries_its_credential_away
from tests.mockserver.rules.traffic import Traffic

LIMITS = [SlidingWindow(10, 1.0)]
CASES = [(rule, client) for rule, clients in BY_RULE.items() for client in clients]

ALSO = {"multiplies_the_load": set(), "comes_back_in_step": {"amplification"}, "comes_back_at_once": {"jitter"}}
"""What else a bad client cannot help breaking."""


@pytest.mark.parametrize(("rule", "client"), CASES, ids=lambda each: getattr(each, "__name__", each))
def test_each_rule_finds_the_client_that_breaks_it(rule: str, client: BadClient) -> None:
    """And the message names the rule, the requests and what to change."""
    traffic = Traffic()
    client(traffic)
    violations = check(traffic.entries, limits=LIMITS)
    assert {each.rule for each in violations} - {rule} <= ALSO.get(client.__name__, {"amplification"})
    found = next(each for each in violations if each.rule == rule)
    message = format_violations([found])
    assert rule in message
    assert f"#{found.entries[0].index} {found.entries[0].method}" in message
    assert f"mend: {found.mend}" in message


@pytest.mark.parametrize(("rule", "client"), CASES, ids=lambda each: getattr(each, "__name__", each))
def test_a_rule_that_is_off_says_nothing(rule: str, client: BadClient) -> None:
    """None switches it off."""
    traffic = Traffic()
    client(traffic)
    off = dataclasses.replace(Rules(), **{rule: None})
    assert rule not in {each.rule for each in check(traffic.entries, limits=LIMITS, rules=off)}


def test_a_credential_carried_to_another_origin_is_found() -> None:
    """By its digest in both journals; the other origin's own credentials are its own."""
    traffic = Traffic()
    elsewhere = carries_its_credential_away(traffic)
    (violation,) = check(traffic.entries, other_origin=elsewhere)
    assert violation.rule == "credentials"
    assert "http://one" in violation.text
    assert "http://other" in violation.text
    elsewhere[0].credential = "authorization:22bb"
    assert check(traffic.entries, other_origin=elsewhere) == []


def test_one_plain_request_breaks_nothing() -> None:
    """Whether it went well or not."""
    for status in (200, 404, 503, None):
        traffic = Traffic()
        traffic.ask(status=status)
        assert check(traffic.journal(), limits=LIMITS) == []
    enforce([])
