"""What an answer says of the server's rate limit, in whichever dialect, as one form: `Advice` with its `Reading`s.

Two dialects are standards to be: the structured fields of draft-ietf-httpapi-ratelimit-headers,

    RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000;w=86400
    RateLimit: "burst";r=50;t=30

and the wire forms of its older versions. Nearly all others are fields that come in threes, named after one pattern: a
vendor's prefix, `ratelimit` or `rate-limit`, then `limit`, `remaining` or `reset`, and before or behind that what is
counted, where it is not requests: `X-RateLimit-Remaining`, `x-rate-limit-reset`, `x-ratelimit-remaining-tokens`,
`anthropic-ratelimit-input-tokens-reset`. Those of one prefix and one thing counted belong together. When a limit is
back is read by `resets`.

How long to wait is said by Retry-After, or by its cousins in milliseconds; it wins over a reset. Fields of an answer
that was kept in a cache speak of another moment and are not read. What is malformed or unknown is as good as not sent.

Nothing here raises, and nothing is looked at beyond bounded lengths and numbers of fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

from rest_api_client.http.headers import Headers
from rest_api_client.http.resets import LONGEST, read_reset, server_now
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import parse_retry_after

REQUESTS: Final = "requests"
"""The dimension that a client can count by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One limit, as one answer states it.

    Attributes:
        dimension: what is counted: "requests", "tokens", "input-tokens", "content-bytes" ...
        limit: units there are in all, where said.
        remaining: units left.
        reset: seconds from the answer until they are back.
        window: seconds of the window in which `limit` holds.
        refill: units that come back each second, where they do so one by one.
        name: tells two limits of one dimension apart.
    """

    dimension: str = REQUESTS
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    window: float | None = None
    refill: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """All that one answer says of limits.

    Attributes:
        readings: its limits.
        wait: seconds it asks to wait, or None.
        scope: the part of the server they hold for, where it names one ("core", "search"), else "".
    """

    readings: tuple[Reading, ...] = ()
    wait: float | None = None
    scope: str = ""


Dialect: TypeAlias = Callable[[Headers, int, float], Advice | None]
"""(header fields, status, the server's wall time) -> what they say, or None where they say nothing."""

_SHOPIFY = "x-shopify-shop-api-call-limit"
_SHOPIFY_SECONDS = 20
"""A full bucket of Shopify's is empty after so many seconds, whatever its size: 40 leak 2 a second, 80 leak 4."""
_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")

_MOST_FIELDS = 64
_MOST_READINGS = 16
_LONGEST_FIELD = 2000
_LONGEST_NAME = 60

_dull: set[str] = set()
"""Names of fields that were looked at, and say nothing of limits."""
_MOST_DULL = 2000


def silent(headers: Headers) -> bool:
    """Whether no field can say anything of limits: the usual case, so it is found out fast."""
    names = headers.present
    return _dull.issuperset(names) or True not in [_speaks(name) for name in names]


def _speaks(name: str) -> bool:
    if "ratelimit" in name or "rate-limit" in name or "retry-after" in name or name == _SHOPIFY:
        return True
    if len(_dull) < _MOST_DULL:
        _dull.add(name)
    return False


def asked_wait(headers: Headers, received_at: float) -> float | None:
    """Seconds that an answer asks to wait, counted from its arrival, or None: use your own back-off.

    Milliseconds, where given, are the finer figure; a date is read against the server's own clock.
    """
    for name in _MILLISECONDS:
        asked = headers.get(name)
        if asked is not None and (milliseconds := _number(asked)) is not None:
            return milliseconds / 1000
    asked = headers.get("retry-after")
    return None if asked is None else parse_retry_after(asked, server_now(headers.get("date"), received_at))


def read_fields(headers: Headers, status: int, now: float) -> Advice:
    """What the fields of all known dialects say.

    Args:
        headers: the answer's fields.
        status: its status; a redirect's Retry-After is for the redirect.
        now: the server's wall time (`resets.server_now`).
    """
    wait = None if 300 <= status < 400 else asked_wait(headers, now)
    # "Age: 0" is what some caches write on answers that they have just been given.
    if headers.get("age", "").strip(" \t0"):
        return Advice(wait=wait)
    structured = list(_structured(headers))
    said = [*structured, *_bucket(headers), *_families(headers, now, plain=not structured)][:_MOST_READINGS]
    scope = headers.get("x-ratelimit-resource", "") or next((r.name for r in said if _PARTED in r.name), "")
    readings = tuple(said) if wait is None or wait > LONGEST else tuple(_after(reading, wait) for reading in said)
    return Advice(readings=readings, wait=wait, scope=scope if len(scope) <= _LONGEST_NAME else "")


def _after(reading: Reading, wait: float) -> Reading:
    """A reading whose reset is what Retry-After says, where there is nothing left."""
    return replace(reading, reset=wait) if reading.remaining == 0 else reading


def _number(text: str) -> int | None:
    found = _WHOLE.fullmatch(text) if len(text) <= 40 else None
    return None if found is None else int(found[1])


_WHOLE = re.compile(r"[ \t]*([0-9]{1,15})(?:\.[0-9]{0,9})?[ \t]*")


# --- fields in threes ---


def _families(headers: Headers, now: float, *, plain: bool) -> Iterator[Reading]:
    """A reading per prefix and thing counted; the plain ones only where no structured field said the same."""
    groups: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for name in headers.names[: 4 * _MOST_FIELDS]:
        if len(groups) < _MOST_FIELDS and (parts := _parts(name)) is not None:
            vendor, word, counted = parts
            groups.setdefault((vendor, counted), {}).setdefault(word, (name, headers[name]))
    if not plain or ("", "") in groups:
        groups.pop(("x", ""), None)
    if not plain:
        groups.pop(("", ""), None)
    for (vendor, counted), fields in groups.items():
        reading = _reading(vendor, counted, fields, now)
        if reading.remaining is not None:
            yield reading


def _parts(name: str) -> tuple[str, str, str] | None:
    """Prefix, word and thing counted of a field's name: ("anthropic", "reset", "input-tokens")."""
    if len(name) > _LONGEST_NAME:
        return None
    vendor, mark, rest = name.partition("ratelimit-")
    if not mark:
        vendor, mark, rest = name.partition("rate-limit-")
    for word in _WORDS:
        if rest == word:
            return vendor.rstrip("-"), word, ""
        if rest.startswith(word + "-"):
            return vendor.rstrip("-"), word, rest[len(word) + 1 :]
        if rest.endswith("-" + word):
            return vendor.rstrip("-"), word, rest[: -len(word) - 1]
    return None


_WORDS = ("remaining", "reset", "limit")


def _reading(vendor: str, counted: str, fields: dict[str, tuple[str, str]], now: float) -> Reading:
    name, reset = fields.get("reset", ("", ""))
    # Where X counts seconds since 1970, others write X-Rate-Limit-Reset in milliseconds to go (Prisjakt).
    milliseconds = not counted and "rate-limit" in name
    limit, window = _limit(fields.get("limit", ("", ""))[1])
    return Reading(
        dimension=counted if counted not in ("", "req") else REQUESTS,
        limit=limit,
        remaining=_number(fields.get("remaining", ("", ""))[1]),
        reset=read_reset(reset, now, milliseconds=milliseconds),
        window=window,
        name=vendor,
    )


def _limit(text: str) -> tuple[int | None, float | None]:
    """The limit in force, and its window: `100`, or `100, 100;w=60, 1000;w=3600` as older versions of the draft."""
    first, *policies = (part.strip(" \t") for part in text[:_LONGEST_FIELD].split(","))
    limit = _number(first.partition(";")[0])
    for policy in (first, *policies):
        found = _WITH_WINDOW.fullmatch(policy)
        if found and limit is not None and int(found[1]) == limit:
            return limit, float(found[2]) or None
    return limit, None


_WITH_WINDOW = re.compile(r"([0-9]{1,15}) *; *(?:w|window)=([0-9]{1,9})(?:;.*)?")


def _bucket(headers: Headers) -> Iterator[Reading]:
    """`X-Shopify-Shop-Api-Call-Limit: 32/40`: so many of so many are used."""
    used, slash, size = headers.get(_SHOPIFY, "").partition("/")
    taken, limit = _number(used), _number(size)
    if slash and taken is not None and limit:
        refill = limit / _SHOPIFY_SECONDS
        yield Reading(limit=limit, remaining=max(0, limit - taken), refill=refill, name="shopify")


# --- structured fields ---

_Item: TypeAlias = tuple[str | int, Mapping[str, object]]
_PARTED = " pk="


def _structured(headers: Headers) -> Iterator[Reading]:
    """The draft's two fields: a reading per policy, and per state that belongs to none."""
    state, policy = headers.get("ratelimit"), headers.get("ratelimit-policy")
    if state is None and policy is None:
        return
    policies, states = _items(policy or ""), _items(state or "")
    if not states and state and (told := _seventh_draft(state)) is not None:
        yield replace(told, window=_window_of(told.limit, policies))
        return
    now_said = {_name(item): item[1] for item in states}
    for item in policies:
        said = now_said.pop(_name(item), None) or now_said.pop(str(item[0]), {})
        reading = _policy(item, said)
        if reading is not None:
            yield reading
    for name, parameters in now_said.items():
        remaining = _count(parameters, "r")
        if remaining is not None:
            yield Reading(remaining=remaining, reset=_seconds(parameters, "t"), name=name)


def _policy(item: _Item, said: Mapping[str, object]) -> Reading | None:
    """A named policy with its state. One without a name is of an older draft, whose state is in other fields."""
    value, parameters = item
    quota = _count(parameters, "q")
    if isinstance(value, int) or quota is None:
        return None
    unit = parameters.get("qu", REQUESTS)
    return Reading(
        dimension=unit if isinstance(unit, str) and unit != "request" else REQUESTS,
        limit=quota,
        remaining=_count(said, "r"),
        reset=_seconds(said, "t"),
        window=_seconds(parameters, "w") or None,
        name=_name(item),
    )


def _name(item: _Item) -> str:
    """A policy's name; with a partition key, one for each partition."""
    value, parameters = item
    partition = parameters.get("pk")
    return f"{value}{_PARTED}{partition.hex()}" if isinstance(partition, bytes) else str(value)


def _count(parameters: Mapping[str, object], key: str) -> int | None:
    value = parameters.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(parameters: Mapping[str, object], key: str) -> float | None:
    value = _count(parameters, key)
    return float(value) if value is not None and value <= LONGEST else None


def _window_of(limit: int | None, policies: tuple[_Item, ...]) -> float | None:
    return next((_seconds(parameters, "w") for value, parameters in policies if value == limit), None)


def _seventh_draft(text: str) -> Reading | None:
    """`RateLimit: limit=100, remaining=50, reset=30`."""
    pairs = (part.strip(" \t").partition("=") for part in text[:_LONGEST_FIELD].split(","))
    numbers = {name: number for name, _, value in pairs if (number := _number(value)) is not None}
    remaining, reset = numbers.get("remaining"), numbers.get("reset")
    if remaining is None or reset is None or reset > LONGEST:
        return None
    return Reading(limit=numbers.get("limit"), remaining=remaining, reset=float(reset), name="ratelimit")


@lru_cache(maxsize=256)
def _items(text: str) -> tuple[_Item, ...]:
    """The items of a structured list (RFC 9651) with their parameters; none where it is malformed."""
    if not text or len(text) > _LONGEST_FIELD:
        return ()
    from http_sf import StructuredFieldError, parse  # few servers send such a field, so few programs pay for it

    try:
        parsed = parse(text.encode("latin-1", "replace"), tltype="list")
    except StructuredFieldError:
        return ()
    items: Any = parsed  # a list, as asked for, of (value, parameters)
    return tuple(_plain(*item) for item in items if not isinstance(item[0], list))


def _plain(value: object, parameters: dict[str, object]) -> _Item:
    """An item with texts for tokens: two servers may use either for the same."""
    plain = {key: told if isinstance(told, int | bytes) else str(told) for key, told in parameters.items()}
    return (value if isinstance(value, int) else str(value)), plain
