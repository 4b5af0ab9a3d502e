"""What limits count with: moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.policies.quotas import until


@given(moment=st.floats(0, 1e6), now=st.floats(0, 1e6))
def test_a_wait_never_ends_before_its_moment(moment: float, now: float) -> None:
    """Now plus the wait is not before the moment, whatever rounding does."""
    wait = until(moment, now)
    assert now + wait >= moment
    assert wait == 0 or moment > now
