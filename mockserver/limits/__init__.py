"""Rate limits, as pure objects which are told the time, and what they tell their clients."""

from mockserver.limits.windows import Limit, SlidingWindow, TokenBucket, Verdict, limit_headers, whole_seconds

__all__ = ["Limit", "SlidingWindow", "TokenBucket", "Verdict", "limit_headers", "whole_seconds"]
