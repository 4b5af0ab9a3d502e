"""Rate limits as pure objects which are told the time, what they tell their clients, and how to tell it wrongly."""

from mockserver.limits.bucket import TokenBucket
from mockserver.limits.concurrency import Concurrency
from mockserver.limits.dialects import DIALECTS, Dialect, Fields, dated, limit_headers
from mockserver.limits.perkey import PerKey, by_client, by_header
from mockserver.limits.rules import LimitRule, Limits, Refusal, Ruling, forbidden, too_many
from mockserver.limits.together import Together, admit_all
from mockserver.limits.verdict import Limit, Verdict, whole_seconds
from mockserver.limits.windows import FixedWindow, SlidingWindow
from mockserver.limits.wrong import WRONG

__all__ = [
    "DIALECTS",
    "WRONG",
    "Concurrency",
    "Dialect",
    "Fields",
    "FixedWindow",
    "Limit",
    "LimitRule",
    "Limits",
    "PerKey",
    "Refusal",
    "Ruling",
    "SlidingWindow",
    "Together",
    "TokenBucket",
    "Verdict",
    "admit_all",
    "by_client",
    "by_header",
    "dated",
    "forbidden",
    "limit_headers",
    "too_many",
    "whole_seconds",
]
