"""What the routes of one application share: chance, the clocks, and who asks for the how manyth time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import field

from starlette.requests import Request

from mockserver.chance import Chance
from rest_api_client.lazy_dataclasses import dataclass

_REMEMBERED = 10_000


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Given to every family of routes.

    Attributes:
        chance: keyed by the server's seed.
        now: seconds, never going back.
        wall: seconds since 1970.
    """

    chance: Chance
    now: Callable[[], float]
    wall: Callable[[], float]
    _asked: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def place(self, request: Request) -> tuple[object, ...]:
        """What chance is asked about: method, target, and that it is the n-th request for it.

        Of the 10,000 targets asked for last; one that was forgotten starts anew.
        """
        target = (request.method, f"{request.scope['path']}?{request.url.query}")
        count = self._asked[target] = self._asked.pop(target, 0) + 1
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return (*target, count)
