"""Why: the fixed words in which this library says what it decided, the same wherever a decision shows.

They stand in `response.attempts` (`reason`, `decision`, `notes`), in events, in log lines and in forecasts. Dashboards,
alerts and tests go by them, so a word is written once, here, with what it means, and never changes its meaning.

Beside these words an attempt's reason may be "status 503" (any status), a transport error's class in words ("connect
error", "read timeout"), or, for a guarded function, the class of its error; a limit of several dimensions says which
("rate limit: tokens"); a circuit that changes says why (`policies.circuit.Change`); and a user's own strategy or policy
has its own words.
"""

from __future__ import annotations

from typing import Final

# --- how an attempt, or a call, ended ---

OK: Final = "ok"
"""answered; in a forecast: nothing is in the way"""
NO_TIME: Final = "deadline"
"""the call's time is up, or would be after the wait"""
CANCELLED: Final = "cancelled"
"""the caller gave it up, or another copy won"""
IN_FLIGHT: Final = "in flight"
"""not over yet"""
SECONDARY_LIMIT: Final = "secondary rate limit"
"""GitHub's second kind of limit, on bursts and on load: 403 or 429, in words, often without a time"""
SERVER_RATE_LIMIT: Final = "server rate limit"
"""a 403 that means a rate limit; a 429 is "status 429", as ever"""
IN_PROGRESS: Final = "in progress"
"""409: the first request of this idempotency key is still at work"""
RATE_LIMITED: Final = "rate limited"
"""a limit of this client refused it; the note says which"""
REFUSED: Final = "refused"
"""another policy of this client refused it"""
OVERSIZED: Final = "too large"
"""the answer is larger than the client accepts"""
UNDECODABLE: Final = "undecodable"
"""the answer is not what it says it is"""
ERROR: Final = "error"
"""anything else: a bug, a hook, an option"""

# --- retry ---

RETURN: Final = "return"
"""the result stands: it is good"""
RETRY: Final = "retry"
"""it is sent again"""
NOT_RETRYABLE: Final = "not retryable"
"""the same request would get the same answer, or this client refused it itself"""
SERVER_SAYS_NO: Final = "server says no"
"""the answer says that another try is of no use"""
EXHAUSTED: Final = "attempts exhausted"
"""it was the last attempt"""
NOT_SAFE: Final = "not safe to resend"
"""the server may have acted on it, or the body is gone"""
NESTED: Final = "nested retry"
"""the call is part of another one's second or later attempt"""
BY_STRATEGY: Final = "strategy"
"""the retry strategy said no"""
TOO_LONG: Final = "retry-after too long"
"""the server asks for more than `max_retry_after`"""
NO_BUDGET: Final = "budget"
"""retries or hedges already add too much load"""
LOW_BUDGET: Final = "budget low"
"""what is left of the budget is kept for retries that are likelier to succeed"""
UNLIKELY: Final = "unlikely to succeed"
"""retries of this route rarely succeeded lately"""
WOULD_NOT_FINISH: Final = "would not finish"
"""an attempt of this route takes longer than the time left"""

# --- circuit breaker ---

PROBE: Final = "probe"
"""let through to find out whether things are better"""
CIRCUIT_OPEN: Final = "circuit open"
"""the server failed too often lately"""
CIRCUIT_HALF_OPEN: Final = "circuit half-open"
"""probes are on their way, nothing else passes"""
CIRCUIT_ISOLATED: Final = "circuit isolated"
"""shut by hand"""

# --- limits ---

QUEUED: Final = "queued"
"""others were served first"""
OWN_LIMIT: Final = "rate limit"
"""the client's own limit"""
COST_TOO_LARGE: Final = "cost too large"
"""it costs more than the limit ever lets through"""
SERVER_LIMIT: Final = "server limit"
"""the limit that the server tells in its answers"""
EVENLY: Final = "spread"
"""what the server's limit still allows is spread over the time until its reset"""
PAUSED: Final = "retry-after"
"""the server asked for a pause"""
CLIENT_RATE: Final = "client rate"
"""the rate that was learned from the server's throttling"""
RATE_CUT: Final = "rate cut"
"""the server throttled, and that rate was lowered"""
BULKHEAD_FULL: Final = "bulkhead full"
"""too many calls at once, and no room or time to wait"""
SHED: Final = "shed"
"""its place in the line went to a more important call"""
CONCURRENCY_CHANGED: Final = "concurrency changed"
"""the learned number of calls at once went up or down"""

# --- hedging ---

HEDGE: Final = "hedge"
"""sent again, since no answer came in time"""
HEDGE_WON: Final = "hedge won"
"""and its answer counts"""
HEDGE_LOST: Final = "hedge lost"
"""and another copy's answer counts"""
OVERTAKEN: Final = "overtaken"
"""the first copy, where a hedge won"""
HEDGE_ENDED: Final = "hedge ended"
"""all copies of a request are over"""
THROTTLED: Final = "throttled"
"""no hedge: a copy of this call was asked to come less often"""
NOT_SAFE_TO_HEDGE: Final = "not safe to hedge"
"""the method or the body is not one to be sent twice at once"""
LATENCY_UNKNOWN: Final = "latency not known yet"
"""no hedge: too few answers of this route were timed"""

# --- answers from elsewhere ---

COALESCED: Final = "coalesced"
"""shares the request of another call"""
ALONE: Final = "not coalesced"
"""is sent by itself, whatever else is under way"""
FELL_BACK: Final = "fell back"
"""the call failed, and the fallback answered"""
FALLBACK_FAILED: Final = "fallback failed"
"""the call failed, and the fallback too"""
REDIRECTED: Final = "redirected"
"""the answer is a redirect, and is followed"""
WITHHELD: Final = "credentials withheld"
"""sent without credentials that do not belong to its origin"""

# --- downloads ---

CONTINUED: Final = "continued"
"""the body goes on where it broke off"""
WAS_COMPLETE: Final = "was complete"
"""nothing was missing any more"""
STARTED_ANEW: Final = "started anew"
"""the body comes again from its first byte"""
MISFIT: Final = "does not fit"
"""the answer is no part of what was begun: the next attempt starts anew"""
