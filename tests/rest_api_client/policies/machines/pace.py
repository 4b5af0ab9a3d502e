"""`Pace` against a server that keeps a fixed window and says so: it is never exceeded once known, and never blocks."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rest_api_client.http.rate_limit_fields import Reading
from rest_api_client.policies.pace import Lesson, Pace
from rest_api_client.policies.quotas import Peek, Return, Take
from rest_api_client.policies.server_limits import MARGIN


class Machine(RuleBasedStateMachine):
    """The server counts arrivals between multiples of its window. Each request arrives as it is sent.

    Its answer may come back much later, and in any order; it states the server's figures as they were at arrival.
    """

    @initialize(
        quota=st.integers(1, 6),
        window=st.sampled_from([5.0, 10.0, 60.0]),
        said=st.booleans(),
        spread=st.sampled_from([None, 60.0]),
        start=st.integers(0, 50),
    )
    def begin(self, quota: int, window: float, said: bool, spread: float | None, start: int) -> None:
        """A server with a limit, which names its window or only what is left."""
        self.now = start / 4
        self.pace = Pace(spread)
        self.quota, self.window, self.said = quota, window, said
        self.arrived: dict[int, int] = {}
        self.answers: dict[int, Lesson] = {}
        self.paused_until = 0.0
        self.learned = False

    def _arrive(self, token: int) -> None:
        turn = int(self.now // self.window)
        counted = self.arrived[turn] = self.arrived.get(turn, 0) + 1
        assert counted <= self.quota or not self.learned, "the server had to refuse it"
        reading = Reading(
            limit=self.quota,
            remaining=max(0, self.quota - counted),
            reset=(turn + 1) * self.window - self.now,
            window=self.window if self.said else None,
        )
        self.answers[token] = Lesson(token, (reading,), fine=True)

    @rule(quarters=st.integers(1, 60))
    def time_passes(self, quarters: int) -> None:
        """The clock goes on."""
        self.now += quarters / 4

    @rule()
    def a_request_wants_to_go(self) -> None:
        """What a question foretells is what happens, and never before a pause ends."""
        told = self.pace.apply(Peek(), self.now)
        decision = self.pace.apply(Take(), self.now)
        assert (decision.verdict, decision.wait) == (told.verdict, told.wait)
        if decision.token:
            assert self.now >= self.paused_until
            self._arrive(decision.token)
        else:
            assert decision.wait > 0

    @precondition(lambda self: self.answers)
    @rule(place=st.integers(0, 5))
    def an_answer_comes(self, place: int) -> None:
        """Any of those that are out."""
        tokens = list(self.answers)
        self._hear(tokens[place % len(tokens)])

    def _hear(self, token: int) -> None:
        self.pace.apply(self.answers.pop(token), self.now)
        self.learned = True

    @rule()
    def a_request_never_left(self) -> None:
        """It was let through, and gives its place back."""
        if token := self.pace.take(self.now):
            self.pace.apply(Return(token), self.now)

    @rule(seconds=st.sampled_from([0.25, 3.0, 40.0]))
    def a_pause_is_asked_for(self, seconds: float) -> None:
        """A 503 from elsewhere with Retry-After."""
        self.pace.apply(Lesson(0, pause=seconds), self.now)
        self.paused_until = max(self.paused_until, self.now + seconds)

    @rule()
    def all_is_quiet_again(self) -> None:
        """When every answer is back, whoever waits as long as told is let through, in a few steps at most."""
        begun = max(self.paused_until, self.now)
        for token in list(self.answers):
            self._hear(token)
        for _ in range(4):
            self.now += self.pace.apply(Peek(), self.now).wait
        assert self.pace.apply(Peek(), self.now).verdict == "allow"
        assert self.now <= begun + self.window + 2 * MARGIN
