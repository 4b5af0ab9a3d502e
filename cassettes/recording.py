"""RecordingTransport: an engine that keeps what passes through another one.

Every attempt is kept, also one that ends in a timeout, a reset or a cut body; redirects, resends and hedges are
attempts of their own, as they are to the engine. An attempt takes its place on the cassette when it begins, so that
concurrent calls come out in the same order whichever is answered first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cassettes.tape import Tape
from rest_api_client.transport import Capability, Exchange, Transport

if TYPE_CHECKING:
    from cassettes.cassette import Cassette
    from rest_api_client.models import Request, Response
    from rest_api_client.runtime import Runtime


class RecordingTransport:
    """Sends requests through `inner`, and keeps them and what came of them on `cassette`.

    Several clients may record on one cassette, each through a transport of its own. Closing the transport closes
    `inner`; saving the cassette is its owner's affair.
    """

    def __init__(self, inner: Transport, cassette: Cassette) -> None:
        self._inner = inner
        self.cassette = cassette

    @property
    def name(self) -> str:
        """The inner engine's name, and that it is recorded."""
        return f"{self._inner.name}, recorded"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the inner engine can do."""
        return self._inner.capabilities

    def bind(self, runtime: Runtime) -> RecordingTransport:
        """Hand a client's runtime on to an inner engine that wants it."""
        bind: Any = getattr(self._inner, "bind", None)
        return self if bind is None else RecordingTransport(bind(runtime), self.cassette)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; the body of the answer passes through as it comes.

        Raises:
            TransportError: what the inner engine raises.
        """
        tape = Tape(request, exchange, self.cassette.elapsed(exchange.clock))
        self.cassette.reserve(tape)
        try:
            response = await self._inner.send(tape.request(), exchange)
        except BaseException as error:
            tape.failed(error)
            raise
        tape.answered(response)
        return response

    async def aclose(self) -> None:
        """Close the inner engine."""
        await self._inner.aclose()

    def __repr__(self) -> str:
        return f"RecordingTransport({self._inner!r}, {self.cassette!r})"
