"""How services tell where a client stands: a dialect is a function (verdict, wall time) -> header fields.

    standard        RateLimit, RateLimit-Policy and X-RateLimit-* in seconds, all at once; what the server sends unasked
    structured      draft-ietf-httpapi-ratelimit-headers-08 and later: RateLimit and RateLimit-Policy, all limits
    draft_03        the same draft before it had structured fields: RateLimit-Limit, -Remaining, -Reset
    x_delta         X-RateLimit-*, the reset in seconds from now
    x_epoch         X-RateLimit-*, the reset in seconds since 1970
    github          as x_epoch, with Used and Resource; a limit named "secondary" is not shown, only refuses
    twitter         x-rate-limit-*, since 1970, and no Retry-After
    twitch          Ratelimit-*, since 1970
    openai          x-ratelimit-*-requests, x-ratelimit-*-tokens, with durations such as 1m3s
    anthropic       anthropic-ratelimit-requests-*, ...-tokens-*, with RFC 3339 moments
    azure           retry-after-ms, x-ms-retry-after-ms and Retry-After
    shopify         X-Shopify-Shop-Api-Call-Limit: 32/40, and Retry-After: 2.0
    silent          nothing at all

Wall time is seconds since 1970, of the clock that makes the answer's `Date`. All that is whole on the wire is rounded
up: an obedient client must never come too early. What nobody knows (an infinite time) is not said. Where a dialect has
room for one limit only, it tells the tightest; those that count several things show the tightest of each.

Sources: RFC 9110 section 10.2.3, RFC 3339, the drafts, and the pages that each service publishes on its limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from mockserver.limits.verdict import Limit, Verdict, whole_seconds
from rest_api_client.http.dates import format_http_date

Fields: TypeAlias = list[tuple[str, str]]
Dialect: TypeAlias = Callable[[Verdict, float], Fields]

SECONDARY: Final = "secondary"
"""The name of a limit that `github` keeps to itself."""


def standard(verdict: Verdict, wall: float) -> Fields:
    """Drafts and X-RateLimit-* in seconds from now, together."""
    return [*_structured(verdict), *_triple("x-ratelimit-", verdict, _delta), *_retry_after(verdict)]


def structured(verdict: Verdict, wall: float) -> Fields:
    """The structured fields of the draft: a policy and a state for each limit."""
    return [*_structured(verdict), *_retry_after(verdict)]


def draft_03(verdict: Verdict, wall: float) -> Fields:
    """Three fields, the limit followed by its policies: `RateLimit-Limit: 10, 10;w=1, 1000;w=3600`."""
    policies = [f"{each.quota};w={whole_seconds(each.window)}" for each in verdict.each if each.window]
    limit, *rest = _triple("ratelimit-", verdict, _delta)
    return [(limit[0], ", ".join([limit[1], *policies])), *rest, *_retry_after(verdict)]


def x_delta(verdict: Verdict, wall: float) -> Fields:
    """Three fields, the reset in seconds from now."""
    return [*_triple("x-ratelimit-", verdict, _delta), *_retry_after(verdict)]


def x_epoch(verdict: Verdict, wall: float) -> Fields:
    """Three fields, the reset in seconds since 1970."""
    return [*_triple("x-ratelimit-", verdict, _epoch(wall)), *_retry_after(verdict)]


def github(verdict: Verdict, wall: float) -> Fields:
    """The primary limit in five fields; Retry-After only when a secondary limit refuses."""
    primary = [each for each in verdict.each if each.name != SECONDARY]
    secondary = _retry_after(verdict) if not verdict.allowed and verdict.name == SECONDARY else []
    if not primary:
        return secondary
    told = min(primary, key=lambda each: each.remaining)
    resource = "core" if told.name == "default" else told.name
    used = ("x-ratelimit-used", str(told.quota - told.remaining))
    return [*_triple("x-ratelimit-", told, _epoch(wall)), used, ("x-ratelimit-resource", resource), *secondary]


def twitter(verdict: Verdict, wall: float) -> Fields:
    """Three fields and nothing else, not even when refused."""
    return _triple("x-rate-limit-", verdict, _epoch(wall))


def twitch(verdict: Verdict, wall: float) -> Fields:
    """Three fields without a prefix; points, whose reset is a moment."""
    return _triple("ratelimit-", verdict, _epoch(wall))


def openai(verdict: Verdict, wall: float) -> Fields:
    """Three fields for each thing counted, the reset as a duration."""
    fields: Fields = []
    for unit, told in _by_unit(verdict).items():
        fields += [(f"x-ratelimit-limit-{unit}", str(told.quota))]
        fields += [(f"x-ratelimit-remaining-{unit}", str(told.remaining))]
        fields += [(f"x-ratelimit-reset-{unit}", _duration(told.reset))] if math.isfinite(told.reset) else []
    return [*fields, *_retry_after(verdict)]


def anthropic(verdict: Verdict, wall: float) -> Fields:
    """Three fields for each thing counted, the reset as a moment of RFC 3339."""
    fields: Fields = []
    for unit, told in _by_unit(verdict).items():
        fields += _triple(f"anthropic-ratelimit-{unit}-", told, lambda reset: _rfc_3339(wall + reset))
    return [*fields, *_retry_after(verdict)]


def azure(verdict: Verdict, wall: float) -> Fields:
    """What is left of each thing counted; the wait in milliseconds twice, and in seconds."""
    left = [(f"x-ratelimit-remaining-{unit}", str(told.remaining)) for unit, told in _by_unit(verdict).items()]
    if not _asks_to_wait(verdict):
        return left
    milliseconds = str(math.ceil(verdict.retry_after * 1000))
    waits = [("retry-after-ms", milliseconds), ("x-ms-retry-after-ms", milliseconds)]
    return [*left, *waits, *_retry_after(verdict)]


def shopify(verdict: Verdict, wall: float) -> Fields:
    """So many of so many used, and a Retry-After with a decimal point."""
    calls = [("x-shopify-shop-api-call-limit", f"{verdict.quota - verdict.remaining}/{verdict.quota}")]
    wait = [("retry-after", f"{whole_seconds(verdict.retry_after)}.0")] if _asks_to_wait(verdict) else []
    return calls + wait


def silent(verdict: Verdict, wall: float) -> Fields:
    """Nothing: the client finds the limit by running into it."""
    return []


DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.__name__: dialect
    for dialect in (
        standard,
        structured,
        draft_03,
        x_delta,
        x_epoch,
        github,
        twitter,
        twitch,
        openai,
        anthropic,
        azure,
        shopify,
        silent,
    )
}


def dated(dialect: Dialect) -> Dialect:
    """The same dialect with a date in Retry-After instead of seconds (RFC 9110 allows both)."""

    def tell(verdict: Verdict, wall: float) -> Fields:
        # A date has whole seconds: the next one that is not too early.
        moment = format_http_date(math.ceil(wall + verdict.retry_after)) if _asks_to_wait(verdict) else ""
        return [(name, moment if name == "retry-after" else value) for name, value in dialect(verdict, wall)]

    return tell


def limit_headers(limit: Limit, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """The headers of an answer under this limit; `Retry-After` among them only when the call was refused."""
    return [(name.encode(), value.encode()) for name, value in standard(verdict, 0.0)]


# --- parts of dialects ---


def _structured(verdict: Verdict) -> Fields:
    told = _tightest_by(lambda each: each.name, verdict)
    policies = ", ".join(_policy(each) for each in told.values())
    return [("ratelimit-policy", policies), ("ratelimit", ", ".join(_state(each) for each in told.values()))]


def _policy(verdict: Verdict) -> str:
    unit = "" if verdict.unit == "requests" else f';qu="{verdict.unit}"'
    window = f";w={whole_seconds(verdict.window)}" if verdict.window else ""
    return f'"{verdict.name}";q={verdict.quota}{unit}{window}'


def _state(verdict: Verdict) -> str:
    reset = f";t={whole_seconds(verdict.reset)}" if math.isfinite(verdict.reset) else ""
    return f'"{verdict.name}";r={verdict.remaining}{reset}'


def _triple(prefix: str, verdict: Verdict, moment: Callable[[float], str]) -> Fields:
    fields = [(f"{prefix}limit", str(verdict.quota)), (f"{prefix}remaining", str(verdict.remaining))]
    return fields + ([(f"{prefix}reset", moment(verdict.reset))] if math.isfinite(verdict.reset) else [])


def _delta(seconds: float) -> str:
    return str(whole_seconds(seconds))


def _epoch(wall: float) -> Callable[[float], str]:
    return lambda seconds: str(whole_seconds(wall + seconds))


def _rfc_3339(moment: float) -> str:
    return datetime.fromtimestamp(whole_seconds(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    """As Go prints durations, to the millisecond: 1m3s, 8.64s, 120ms."""
    milliseconds = math.ceil(seconds * 1000)
    if abs(milliseconds) < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{told}{rest / 1000:g}s" if rest or not told else told


def _retry_after(verdict: Verdict) -> Fields:
    return [("retry-after", str(whole_seconds(verdict.retry_after)))] if _asks_to_wait(verdict) else []


def _asks_to_wait(verdict: Verdict) -> bool:
    return not verdict.allowed and math.isfinite(verdict.retry_after)


def _by_unit(verdict: Verdict) -> dict[str, Verdict]:
    return _tightest_by(lambda each: each.unit, verdict)


def _tightest_by(key: Callable[[Verdict], str], verdict: Verdict) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for each in verdict.each:
        name = key(each)
        if name not in found or each.remaining < found[name].remaining:
            found[name] = each
    return found
