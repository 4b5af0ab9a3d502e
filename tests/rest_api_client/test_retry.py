"""Retry: what is sent again, when, and what stands at the end."""

from __future__ import annotations

from rest_api_client.engines.scripted import respond
from rest_api_client.retry import ExponentialBackoff, RetryConfig

from .chain import Chain


def test_a_503_is_sent_again_and_the_answer_returned(world) -> None:
    """Two failures and a success make three attempts, with the back-off between them."""
    chain = Chain(
        world.runtime,
        [RetryConfig(strategy=ExponentialBackoff(jitter="none"))],
        [respond(503), respond(503), respond(200)],
    )
    response = world.run(chain.send)
    assert response.status_code == 200
    assert chain.arrivals == [0, 0.5, 1.5]
    assert chain.decisions == ["retry", "retry", "return"]
