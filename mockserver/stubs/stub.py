"""A stub: when it answers, and what. A value; how often it has answered is known to the `Stubs` it is added to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from mockserver.matching.fields import Method, Path
from mockserver.matching.matcher import And, Anything, Matcher
from mockserver.seen import Seen
from mockserver.stubs.reply import Fault, Fields, Reply
from rest_api_client.checks import check_flag, check_whole
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Script
from rest_api_client.typing import UNSET
from rest_api_client.utils import unknown

STARTED = "Started"
"""The state that every scenario begins in."""

Answer: TypeAlias = Script | Callable[[Seen, Mapping[str, str]], Script]
"""A script, or a function of the request and of what its path has in the places of the template; `Reply` is one."""


class State(NamedTuple):
    """A stub's part in a scenario, several of which go on beside each other.

    Attributes:
        name: of the scenario.
        required: the state it must be in for the stub to answer; None: any.
        next: the state it is in once the stub has answered; None: the same as before.
    """

    name: str
    required: str | None = None
    next: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stub:
    """Answers requests that match.

    Args:
        when: which requests.
        answer: what they get; several are played in turn.
        cycle: after the last of several answers comes the first again; otherwise the last stays.
        priority: of several stubs that match, the one with the highest number answers, of equals the last added.
        times: it answers so often, and then no more.
        nth: it answers only the n-th of the requests that reach it, counted from 1; several: each of these.
        state: its part in a scenario.
        name: for people to read.
        id: for programs; given when it is added, where there is none.

    Raises:
        ConfigurationError: an option makes no sense; the message names it.
    """

    when: Matcher
    answer: Answer | Sequence[Answer]
    cycle: bool = False
    priority: int = 0
    times: int | None = None
    nth: int | Sequence[int] | None = None
    state: State | tuple[str, str | None, str | None] | None = None
    name: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.when, Matcher):
            raise ConfigurationError(
                f"Stub(when={self.when!r}): give a matcher, such as Method('GET') & Path('/users')"
            )
        answers = tuple(cast("Sequence[Answer]", self.answer)) if isinstance(self.answer, list | tuple) else self.answer
        object.__setattr__(self, "answer", answers)
        for answer in self.answers:
            if not isinstance(answer, Script) and not callable(answer):
                raise ConfigurationError(
                    f"Stub(answer={answer!r}): give a Script, a Reply, or a function that gives one"
                )
        if not self.answers:
            raise ConfigurationError("Stub(answer=[]): give one answer or more")
        self._check_places()
        self._check_options()

    def _check_places(self) -> None:
        known = self.when.places()
        if known is None:
            return
        for answer in self.answers:
            for name in answer.path_names - known if isinstance(answer, Reply) else ():
                why = f"{{path.{name}}} is nothing that `when` takes a path by: {unknown('name', name, known)}"
                raise ConfigurationError(f"Stub(answer=...): {why}")

    def _check_options(self) -> None:
        check_flag("Stub", cycle=self.cycle)
        check_whole("Stub", -1_000_000, priority=self.priority)
        check_whole("Stub", 1, off="no limit", times=self.times)
        several = isinstance(self.nth, list | tuple | set | frozenset | range)
        if several and not self.nth:
            raise ConfigurationError(f"Stub(nth={self.nth!r}): give one number or more")
        for number in cast("Iterable[object]", self.nth) if several else (self.nth,):
            check_whole("Stub", 1, off="" if several else "all", nth=number)
        if several:
            object.__setattr__(self, "nth", tuple(sorted(cast("Iterable[int]", self.nth))))
        if self.state is not None:
            object.__setattr__(self, "state", _state(self.state))
        for option, text in (("name", self.name), ("id", self.id)):
            if not isinstance(text, str):
                raise ConfigurationError(f"Stub({option}={text!r}): give a text")

    @property
    def answers(self) -> Sequence[Answer]:
        """Its answers, in turn."""
        return self.answer if isinstance(self.answer, tuple) else (cast("Answer", self.answer),)

    @property
    def numbers(self) -> Sequence[int] | None:
        """The requests that it answers; None for all."""
        return (self.nth,) if isinstance(self.nth, int) else self.nth

    def __str__(self) -> str:
        return f"{self.name or self.id or 'a stub'}: {self.when}"


def stub(
    method: str | Sequence[str] | None,
    path: str | None,
    *,
    when: Matcher | None = None,
    status: int = 200,
    headers: Mapping[str, str] | Fields = (),
    json: Any = UNSET,
    text: str | None = None,
    body: bytes | None = None,
    chunks: Sequence[str | bytes] | None = None,
    every: float = 0.0,
    delay: float = 0.0,
    fault: Fault | None = None,
    template: bool = True,
    cycle: bool = False,
    priority: int = 0,
    times: int | None = None,
    nth: int | Sequence[int] | None = None,
    state: State | tuple[str, str | None, str | None] | None = None,
    name: str = "",
    id: str = "",  # noqa: A002 (the stub's own word)
) -> Stub:
    """A stub with one answer. `stub("GET", "/users/{id}", json={"id": "{path.id}"})`.

    Args:
        method: one or several; None for any.
        path: a template; None for any.
        when: what else the request must be like.
        status: this and what follows, up to `template`: see `Reply`; the rest: see `Stub`.
        headers: of the answer.
        json: the body as JSON.
        text: the body as text.
        body: the body as bytes.
        chunks: the body in pieces.
        every: seconds between two chunks.
        delay: seconds before the answer.
        fault: what goes wrong with it.
        template: fill places such as `{path.id}`.
        cycle: see `Stub`, as for what follows.
        priority: the highest answers.
        times: how often at most.
        nth: only the n-th request, or these.
        state: (scenario, required state, next state).
        name: for people to read.
        id: for programs.
    """
    reply = Reply(
        status=status,
        headers=cast("Fields", headers),
        json=json,
        text=text,
        body=body,
        chunks=cast("tuple[str | bytes, ...] | None", chunks),
        every=every,
        delay=delay,
        fault=fault,
        template=template,
    )
    return Stub(
        when=_conditions(method, path, when),
        answer=reply,
        cycle=cycle,
        priority=priority,
        times=times,
        nth=nth,
        state=state,
        name=name,
        id=id,
    )


def _conditions(method: str | Sequence[str] | None, path: str | None, when: Matcher | None) -> Matcher:
    parts: list[Matcher] = []
    if method is not None:
        parts.append(Method(method) if isinstance(method, str) else Method(*method))
    if path is not None:
        parts.append(Path(path))
    if when is not None:
        parts.append(when)
    if len(parts) > 1:
        return And(*parts)
    return parts[0] if parts else Anything()


def _state(given: object) -> State:
    if isinstance(given, list | tuple) and 2 <= len(cast("Sequence[object]", given)) <= 3:
        name, *states = cast("Sequence[object]", given)
        if _named(name) and all(state is None or _named(state) for state in states) and any(states):
            return State(*cast("tuple[str, str | None, str | None]", (name, *states)))
    raise ConfigurationError(
        f"Stub(state={given!r}): give (scenario, required state, next state), None for one of the two"
    )


def _named(text: object) -> bool:
    return isinstance(text, str) and bool(text)
