"""Spaces: one port, many tests or workers, none of which sees what the others do.

    space = server.space("gw0")
    APIClient(base_url=space.url)                     http://127.0.0.1:8000/__space/gw0
    APIClient(base_url=server.url, headers=space.headers)        or x-mock-space: gw0

Each has a scene of its own: journal, records, stubs, limits, faults. A space is made when it is first used, by name,
by whoever uses it; at most so many, then requests for another one are answered 503 and say why.

Behind the path prefix a server does not know that it stands there, as behind a reverse proxy. So `Location`,
`Content-Location` and `Link` get the prefix on the way out, where they lead to this server. What stands in bodies is
left alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from mockserver.faults.answers import problem_script
from mockserver.scene import Scene, Settings
from mockserver.seen import Seen
from mockserver.stage import Performance
from rest_api_client.script import Head, Script

HEADER: Final = "x-mock-space"
PREFIX: Final = "/__space/"
MOST_SPACES: Final = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEADING: Final = frozenset({"location", "content-location"})
_LINK = re.compile(r"<([^<>]*)>")


class TooManySpacesError(RuntimeError):
    """The server has as many spaces as it may have."""


class Space(Scene):
    """A part of a server, by itself. Made by `MockServer.space`.

    Attributes:
        name: what it is called.
    """

    def __init__(self, name: str, settings: Settings, spaces: Spaces) -> None:
        super().__init__(settings)
        self.name = name
        self._spaces = spaces

    @property
    def url(self) -> str:
        """The base URL under which all requests come here."""
        return f"{self._spaces.url()}{PREFIX}{self.name}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request to the server's own URL brings to come here."""
        return {HEADER: self.name}

    @property
    def other_origin(self) -> Scene:
        """The same space at the server's other origin."""
        self._elsewhere = self._spaces.elsewhere(self.name)
        return self._elsewhere

    def remove(self) -> None:
        """Forget it. A request that names it afterwards makes a new one."""
        self._spaces.remove(self.name)

    def __repr__(self) -> str:
        return f"<Space {self.name!r}>"


class Spaces:
    """The spaces of a server, by name.

    Args:
        root: answers what is for no space.
        settings: what each space begins with.
        url: the server's own.
        elsewhere: the space of a name at the other origin.
        most: how many there may be at once.
    """

    def __init__(
        self,
        root: Scene,
        settings: Settings,
        *,
        url: Callable[[], str],
        elsewhere: Callable[[str], Scene],
        most: int = MOST_SPACES,
    ) -> None:
        self.url = url
        self.elsewhere = elsewhere
        self._root = root
        self._settings = settings
        self._most = most
        self._lock = threading.Lock()
        self._spaces: dict[str, Space] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that there are, the oldest first."""
        return tuple(self._spaces)

    def __iter__(self) -> Iterator[Space]:
        """All that there are at this moment, the oldest first."""
        return iter(tuple(self._spaces.values()))

    def space(self, name: str) -> Space:
        """The space of this name, made where there is none.

        Raises:
            ValueError: names are 1 to 64 ASCII letters, digits, ".", "_" and "-", the first a letter or a digit.
            TooManySpacesError: there are as many as there may be.
        """
        found = self._spaces.get(name)
        return self._make(name) if found is None else found

    def _make(self, name: str) -> Space:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:80]!r} is no name of a space: give 1 to 64 letters, digits, '.', '_' or '-', "
                "the first a letter or a digit"
            )
        with self._lock:
            if name not in self._spaces:
                if len(self._spaces) >= self._most:
                    raise TooManySpacesError(f"there are {self._most} spaces already: remove() those that are done")
                self._spaces[name] = Space(name, self._settings, self)
            return self._spaces[name]

    def find(self, name: str) -> Space | None:
        """The space of this name if it has been made."""
        return self._spaces.get(name)

    def remove(self, name: str) -> None:
        """Forget a space. Does nothing where there is none."""
        with self._lock:
            self._spaces.pop(name, None)

    def begin(self, head: Seen) -> Performance:
        """The head of a request has been received: give it to the scene that it is for."""
        naming = [value for name, value in head.fields if name == HEADER]
        named = naming[0] if naming else None
        if not head.path.startswith(PREFIX):
            return self._root.begin(head) if named is None else self._begin(head, named, head.path, "")
        name, slash, rest = head.path.removeprefix(PREFIX).partition("/")
        if named not in (None, name):
            return self._root.stage.turn_away(head, problem_script(400, f"{HEADER} and the path name different spaces"))
        return self._begin(head, name, slash + rest or "/", PREFIX + name)

    def _begin(self, head: Seen, name: str, path: str, prefix: str) -> Performance:
        try:
            space = self.space(name)
        except ValueError as error:
            return self._root.stage.turn_away(head, problem_script(400, str(error)))
        except TooManySpacesError as error:
            return self._root.stage.turn_away(head, problem_script(503, str(error)))
        performance = space.begin(replace(head, path=path) if prefix else head)
        if prefix:
            origin = f"{head.scheme}://{head.header('host') or ''}"
            performance.readdress = lambda script: readdressed(script, prefix, origin)
        return performance


def readdressed(script: Script, prefix: str, origin: str) -> Script:
    """The same answer, with the prefix in all header fields that lead back to this server."""
    return Script(*(_with_prefix(each, prefix, origin) if isinstance(each, Head) else each for each in script.steps))


def _with_prefix(head: Head, prefix: str, origin: str) -> Head:
    def lead(url: str) -> str:
        start = origin if url.startswith(f"{origin}/") else ""
        path = url.removeprefix(start)
        return f"{start}{prefix}{path}" if path.startswith("/") and not path.startswith("//") else url

    def field(name: str, value: str) -> str:
        if name.lower() in _LEADING:
            return lead(value)
        return _LINK.sub(lambda link: f"<{lead(link[1])}>", value) if name.lower() == "link" else value

    return replace(head, headers=tuple((name, field(name, value)) for name, value in head.headers))
