"""Each dialect as the client reads it: no sooner than the limit admits, and hardly later."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.limits import DIALECTS, WRONG, Concurrency, Dialect, Limit, SlidingWindow, Together, TokenBucket, dated
from mockserver.limits.dialects import (
    anthropic,
    azure,
    draft_03,
    github,
    openai,
    shopify,
    standard,
    structured,
    twitter,
    x_delta,
    x_epoch,
)
from mockserver.limits.verdict import Verdict
from mockserver.limits.wrong import huge, milliseconds, missing, negative, non_numeric, past, skewed
from rest_api_client.http.dates import format_http_date
from rest_api_client.http.headers import Headers
from rest_api_client.http.rate_limit_fields import Advice, Reading, asked_wait, read_fields
from rest_api_client.http.resets import LONGEST, server_now

WALL = 1_655_120_933.25
"""Mon, 13 Jun 2022 11:48:53 GMT and a quarter."""


def client_reads(dialect: Dialect, verdict: Verdict, wall: float = WALL, skew: float = 0.0) -> Advice:
    """What the client understands, whose own clock is `skew` seconds off."""
    fields = Headers([*dialect(verdict, wall), ("date", format_http_date(wall))])
    return read_fields(fields, 200 if verdict.allowed else 429, server_now(fields["date"], wall + skew))


def used_up(limit: Limit, now: float = 0.0) -> Verdict:
    """The verdict on the call that was refused."""
    while (verdict := limit.admit(now)).allowed:
        pass
    return verdict


def only(advice: Advice) -> Reading:
    (reading,) = advice.readings
    return reading


TELLS_A_WAIT = [name for name in DIALECTS if name not in ("twitter", "twitch", "github", "silent")]
TELLS_ITS_STATE = [name for name in DIALECTS if name not in ("azure", "silent")]
waits = st.floats(0.001, 80_000)


def refusal(wait: float) -> Verdict:
    return Verdict(allowed=False, remaining=0, retry_after=wait, reset=wait, quota=40, window=60.0)


@pytest.mark.parametrize("name", TELLS_A_WAIT)
@given(wait=waits, wall=st.floats(1.6e9, 1.9e9), skew=st.sampled_from([0.0, -3600.0, 5400.0]))
def test_the_client_waits_long_enough_and_no_second_longer(name: str, wait: float, wall: float, skew: float) -> None:
    """Refused: it never comes too early, whatever its own clock says."""
    for dialect in (DIALECTS[name], dated(DIALECTS[name])):
        told = client_reads(dialect, refusal(wait), wall, skew).wait
        assert told is not None
        assert wait <= told < wait + 2


@pytest.mark.parametrize("name", TELLS_ITS_STATE)
@given(wait=waits, wall=st.floats(1.6e9, 1.9e9), skew=st.sampled_from([0.0, -3600.0, 5400.0]))
def test_the_client_knows_how_much_is_left_and_when_more_is(name: str, wait: float, wall: float, skew: float) -> None:
    """Allowed: quota, remaining and reset arrive as they are, rounded up; Shopify's bucket tells no reset."""
    verdict = Verdict(allowed=True, remaining=3, retry_after=0.0, reset=wait, quota=40, window=60.0)
    reading = only(client_reads(DIALECTS[name], verdict, wall, skew))
    assert (reading.dimension, reading.limit, reading.remaining) == ("requests", 40, 3)
    if name == "shopify":
        assert reading.refill == 2
    else:
        assert reading.reset is not None
        assert wait <= reading.reset + 1e-6
        assert reading.reset < wait + 2


@pytest.mark.parametrize("name", ["twitter", "twitch", "github"])
def test_services_without_retry_after_tell_their_reset(name: str) -> None:
    """Nothing left, and a moment: that is all they say."""
    advice = client_reads(DIALECTS[name], refusal(31.0))
    assert advice.wait is None
    assert only(advice).remaining == 0
    assert only(advice).reset == pytest.approx(31.0, abs=1.5)


def test_silence_says_nothing() -> None:
    """The client is left to its own back-off."""
    assert client_reads(DIALECTS["silent"], refusal(31.0)) == Advice()


def test_the_draft_tells_every_limit_of_several() -> None:
    """A policy and a state each; another unit is named."""
    limit = Together(SlidingWindow(5, 1.0, name="burst"), SlidingWindow(9, 60.0, name="bytes", unit="content-bytes"))
    advice = client_reads(structured, limit.admit(0.0))
    assert [(each.name, each.dimension, each.limit, each.window) for each in advice.readings] == [
        ("burst", "requests", 5, 1.0),
        ("bytes", "content-bytes", 9, 60.0),
    ]


def test_the_older_draft_lists_its_policies_behind_the_limit() -> None:
    """The tightest limit speaks; the client finds its window among the policies."""
    limit = Together(SlidingWindow(2, 1.0), SlidingWindow(9, 60.0))
    fields = dict(draft_03(limit.admit(0.0), WALL))
    assert fields["ratelimit-limit"] == "2, 2;w=1, 9;w=60"
    assert only(client_reads(draft_03, limit.admit(0.0))).window == 1.0


def test_a_limit_without_a_window_has_none_on_the_wire() -> None:
    """Concurrency: no w, no reset, no Retry-After."""
    verdict = used_up(Concurrency(3))
    assert structured(verdict, WALL) == [("ratelimit-policy", '"default";q=3'), ("ratelimit", '"default";r=0')]
    assert draft_03(verdict, WALL) == [("ratelimit-limit", "3"), ("ratelimit-remaining", "0")]
    assert azure(verdict, WALL) == [("x-ratelimit-remaining-requests", "0")]
    assert openai(verdict, WALL)[2:] == []


def two_units() -> Verdict:
    limit = Together(SlidingWindow(60, 60.0), TokenBucket(1000.0, 150_000, unit="tokens"), SlidingWindow(90, 3600.0))
    return limit.admit(0.0, 50)


def test_openai_counts_requests_and_tokens_with_durations() -> None:
    """Of two limits on one thing the tighter is told."""
    fields = dict(openai(two_units(), WALL))
    assert fields["x-ratelimit-remaining-requests"] == "10"
    assert fields["x-ratelimit-remaining-tokens"] == "149950"
    readings = client_reads(openai, two_units()).readings
    assert [(each.dimension, each.limit) for each in readings] == [("requests", 60), ("tokens", 150_000)]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.12, "120ms"), (8.64, "8.64s"), (60, "1m"), (63, "1m3s"), (3600, "1h0m"), (7265.5, "2h1m5.5s"), (0, "0ms")],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, written: str) -> None:
    """Milliseconds, seconds, minutes, hours."""
    verdict = Verdict(allowed=True, remaining=1, retry_after=0.0, reset=seconds, quota=1)
    assert dict(openai(verdict, WALL))["x-ratelimit-reset-requests"] == written


def test_anthropic_tells_moments() -> None:
    """RFC 3339, whole seconds, rounded up."""
    fields = dict(anthropic(refusal(30.0), WALL))
    assert fields["anthropic-ratelimit-requests-reset"] == "2022-06-13T11:49:24Z"
    assert fields["retry-after"] == "30"


def test_azure_tells_milliseconds_which_the_client_prefers() -> None:
    """1.5 seconds, although Retry-After says two."""
    fields = dict(azure(refusal(1.5), WALL))
    assert (fields["retry-after-ms"], fields["x-ms-retry-after-ms"], fields["retry-after"]) == ("1500", "1500", "2")
    assert client_reads(azure, refusal(1.5)).wait == 1.5


def test_github_keeps_a_secondary_limit_to_itself() -> None:
    """The fields tell of the primary one; Retry-After comes only from the secondary one."""
    limit = Together(SlidingWindow(5, 3600.0), SlidingWindow(1, 60.0, name="secondary"))
    allowed = dict(github(limit.admit(0.0), WALL))
    assert (allowed["x-ratelimit-remaining"], allowed["x-ratelimit-used"], allowed["x-ratelimit-resource"]) == (
        "4",
        "1",
        "core",
    )
    refused = dict(github(limit.admit(0.0), WALL))
    assert (refused["x-ratelimit-remaining"], refused["retry-after"]) == ("4", "60")
    alone = used_up(SlidingWindow(1, 60.0, name="secondary"))
    assert github(alone, WALL) == [("retry-after", "60")]


def test_shopify_shows_what_is_used() -> None:
    """Of forty, forty; and a decimal point."""
    assert shopify(refusal(2.0), WALL) == [("x-shopify-shop-api-call-limit", "40/40"), ("retry-after", "2.0")]


# --- wrong on purpose ---


def test_missing_says_nothing_of_time() -> None:
    """What is left is still told."""
    assert missing(x_epoch)(refusal(5.0), WALL) == [("x-ratelimit-limit", "40"), ("x-ratelimit-remaining", "0")]
    together = used_up(Together(SlidingWindow(1, 9.0), SlidingWindow(2, 60.0, name="b")))
    assert dict(missing(structured)(together, WALL))["ratelimit"] == '"default";r=0, "b";r=1'


@pytest.mark.parametrize("name", TELLS_A_WAIT)
def test_the_past_is_a_date_an_hour_ago(name: str) -> None:
    """The client takes it for no wait at all, and backs off as usual."""
    advice = client_reads(past(DIALECTS[name]), refusal(5.0))
    fields = Headers(past(DIALECTS[name])(refusal(5.0), WALL))
    assert fields["retry-after"] == format_http_date(math.ceil(WALL - 3600))
    assert asked_wait(Headers([("retry-after", fields["retry-after"])]), WALL) is None
    assert name == "azure" or advice.wait is None


def test_negative_is_minus_five() -> None:
    """No client may take it for a wait."""
    assert dict(negative(x_delta)(refusal(5.0), WALL))["retry-after"] == "-5"
    assert client_reads(negative(x_delta), refusal(5.0)).wait is None


def test_huge_is_ten_years() -> None:
    """The client sees that it is no wait."""
    assert dict(huge(standard)(refusal(5.0), WALL))["retry-after"] == "315360000"
    wait = client_reads(huge(standard), refusal(5.0)).wait
    assert wait is not None
    assert wait > LONGEST


def test_milliseconds_stand_for_seconds() -> None:
    """Two seconds become two thousand."""
    fields = dict(milliseconds(x_delta)(refusal(2.0), WALL))
    assert (fields["retry-after"], fields["x-ratelimit-reset"]) == ("2000", "2000")


def test_a_skewed_clock_shifts_moments_but_not_spans() -> None:
    """The reset is an hour off, Retry-After is right."""
    right, wrong = dict(x_epoch(refusal(2.0), WALL)), dict(skewed(x_epoch)(refusal(2.0), WALL))
    assert int(wrong["x-ratelimit-reset"]) - int(right["x-ratelimit-reset"]) == 3600
    assert wrong["retry-after"] == right["retry-after"]
    assert skewed(x_delta)(refusal(2.0), WALL) == x_delta(refusal(2.0), WALL)


def test_a_word_where_a_number_is_due() -> None:
    """Retry-After: soon."""
    assert dict(non_numeric(twitter)(refusal(2.0), WALL))["x-rate-limit-reset"] == "soon"
    fields = dict(non_numeric(structured)(refusal(2.0), WALL))
    assert (fields["retry-after"], fields["ratelimit"]) == ("soon", '"default";r=0;t=soon')
    assert client_reads(non_numeric(x_delta), refusal(2.0)).wait is None


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_every_wrong_dialect_can_be_sent_and_read(dialect: Dialect, wrong: Callable[[Dialect], Dialect]) -> None:
    """Header fields stay one line of ASCII, and the client survives them; calls that pass get no Retry-After."""
    allowed = replace(refusal(5.0), allowed=True, remaining=3, retry_after=0.0)
    for verdict in (refusal(5.0), allowed):
        fields = wrong(dialect)(verdict, WALL)
        assert all(value.isascii() and value.isprintable() for _, value in fields)
        assert isinstance(client_reads(wrong(dialect), verdict), Advice)
    assert "retry-after" not in dict(wrong(dialect)(allowed, WALL))
