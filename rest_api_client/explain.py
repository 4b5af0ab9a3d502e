"""What would happen to a request now, and why: `client.explain("GET", "/users/7")`. Nothing is sent or changed.

Each policy that decides something is asked for its `Forecast`. Put together in the chain's order they say whether the
request would go out, after how long a wait, or which policy would keep it back. It is a statement about this moment: a
breaker may open and a token be taken before the request is really made.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request
from rest_api_client.reasons import NO_TIME, OK

Fate: TypeAlias = Literal["send", "refuse", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen to a request.

    Attributes:
        request: method and masked URL.
        fate: "send": it would go out after `wait` seconds; "refuse": it would be refused, nothing sent; "answer": a
            policy would answer in the server's place.
        by: the policy that would refuse or answer; None where it would go out. A fallback answers for what another
            policy refuses; `reason` is that policy's.
        reason: why, in the fixed words of events, logs and `response.attempts`; "ok" where it would go out.
        wait: seconds it would be held back in all; where it would be refused, after which another try can succeed.
        takes: seconds an attempt is expected to last, where that was learned.
        forecasts: what each policy said, outermost first.
    """

    request: str
    fate: Fate
    by: str | None
    reason: str
    wait: float
    takes: float | None
    forecasts: tuple[Forecast, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data that JSON can hold."""
        own = ("request", "fate", "by", "reason", "wait", "takes")
        parts = ("policy", "verdict", "reason", "text", "wait", "takes")
        told = [{name: getattr(f, name) for name in parts} | {"facts": dict(f.facts)} for f in self.forecasts]
        return {name: getattr(self, name) for name in own} | {"forecasts": told}

    def __str__(self) -> str:
        lines = [self.request, f"  {self._outcome()}"]
        width = max((len(forecast.policy) for forecast in self.forecasts), default=0)
        lines += [f"  {forecast.policy:{width}}  {_line(forecast)}" for forecast in self.forecasts]
        return "\n".join(lines)

    def _outcome(self) -> str:
        wait = f"{self.wait:.3g} s"
        if self.fate == "send":
            return f"would be sent after {wait}" if self.wait else "would be sent at once"
        done = "refused" if self.fate == "refuse" else "answered"
        return f"would be {done} by {self.by} ({self.reason}{f', for {wait}' if self.wait else ''})"


def _line(forecast: Forecast) -> str:
    wait = f" {forecast.wait:.3g} s" if forecast.wait else ""
    return f"{forecast.verdict}{wait}: {forecast.text or forecast.reason}"


def explained(request: Request, forecasts: list[Forecast]) -> Explanation:
    """What the forecasts of a chain, outermost first, amount to."""
    wait, left = 0.0, None
    takes = next((forecast.takes for forecast in forecasts if forecast.takes is not None), None)
    fate: Fate = "send"
    by, reason = None, OK
    for forecast in forecasts:
        left = forecast.facts.get("left", left) if forecast.policy == "Deadline" else left
        if forecast.verdict == "refuse" or forecast.verdict == "answer":
            fate, by, reason, wait = forecast.verdict, forecast.policy, forecast.reason, forecast.wait
            rescued = fate == "refuse" and any(one.policy == "Fallback" and one.facts["ready"] for one in forecasts)
            fate, by = ("answer", "Fallback") if rescued else (fate, by)
            break
        wait += forecast.wait
        if left is not None and wait + (takes or 0) >= left:
            fate, by, reason = "refuse", "Deadline", NO_TIME
            break
    return Explanation(
        request=request.label,
        fate=fate,
        by=by,
        reason=reason,
        wait=wait,
        takes=takes,
        forecasts=tuple(forecasts),
    )
