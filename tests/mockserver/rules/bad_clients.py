"""Deliberately bad clients, one for each rule: what each would have done to a server."""

from __future__ import annotations

import random
from collections.abc import Callable

from mockserver.journal import Entry
from tests.mockserver.rules.traffic import Traffic

BadClient = Callable[[Traffic], None]


def comes_too_early(traffic: Traffic) -> None:
    """Told to wait for two seconds, it waits for one."""
    traffic.ask(status=429, retry_after=2.0, call_id="a", attempt=1)
    traffic.wait(1.0)
    traffic.ask(call_id="a", attempt=2)


def hammers_after_429(traffic: Traffic) -> None:
    """Refused at ten requests a second, it goes on with a hundred: on other targets, so that Retry-After is kept."""
    for number in range(40):
        traffic.ask(f"/users/{number}", status=429 if number >= 10 else 200, accepted=number < 10)
        traffic.wait(0.01)


def charges_twice(traffic: Traffic) -> None:
    """The order was made and the answer lost; it orders again, without a key."""
    traffic.ask("/orders", method="POST", status=None, processed=True, body_digest="ab", call_id="a", attempt=1)
    traffic.wait(1.0)
    traffic.ask("/orders", method="POST", status=201, processed=True, body_digest="ab", call_id="a", attempt=2)


def reuses_a_key(traffic: Traffic) -> None:
    """One idempotency key for two orders."""
    for body in ("ab", "cd"):
        traffic.ask("/orders", method="POST", status=201, processed=True, body_digest=body, idempotency_key="k")


def never_gives_up(traffic: Traffic) -> None:
    """Eleven attempts."""
    for attempt in range(1, 12):
        traffic.ask(status=503, call_id="a", attempt=attempt)
        traffic.wait(attempt)


def multiplies_the_load(traffic: Traffic) -> None:
    """Thirty calls, three attempts each, within two seconds, with jitter and growing waits."""
    chance = random.Random(1)
    traffic.calls(30, [[chance.uniform(0.05, 0.6), chance.uniform(0.1, 1.2)] for _ in range(30)])


def comes_back_at_once(traffic: Traffic) -> None:
    """No wait at all."""
    chance = random.Random(1)
    traffic.calls(20, [[chance.uniform(0, 0.003)] for _ in range(20)])


def comes_back_faster_and_faster(traffic: Traffic) -> None:
    """A wait that halves."""
    chance = random.Random(1)
    traffic.calls(20, [[chance.uniform(3, 5), chance.uniform(1, 2)] for _ in range(20)])


def comes_back_in_step(traffic: Traffic) -> None:
    """Exponential waits, without jitter."""
    traffic.calls(20, [[1.0, 2.0, 4.0]])


def leaves_requests_open(traffic: Traffic) -> None:
    """It neither reads the answer nor closes it."""
    traffic.ask().finished = None


def opens_a_connection_each_time(traffic: Traffic) -> None:
    """Thirty requests, one after the other, on thirty connections."""
    for number in range(30):
        traffic.ask(connection=number + 1)
        traffic.wait(0.3)


def carries_its_credential_away(traffic: Traffic) -> list[Entry]:
    """What it sends to the other origin, where a redirect led it, bears the same token."""
    traffic.ask("/login", status=302, credential="authorization:11aa", origin="http://one")
    other = Traffic()
    other.ask("/elsewhere", credential="authorization:11aa", origin="http://other")
    return other.entries


BY_RULE: dict[str, list[BadClient]] = {
    "retry_after": [comes_too_early],
    "limit": [hammers_after_429],
    "repeats": [charges_twice],
    "keys": [reuses_a_key],
    "attempts": [never_gives_up],
    "amplification": [multiplies_the_load],
    "backoff": [comes_back_at_once, comes_back_faster_and_faster],
    "jitter": [comes_back_in_step],
    "in_flight": [leaves_requests_open],
    "connections": [opens_a_connection_each_time],
}
