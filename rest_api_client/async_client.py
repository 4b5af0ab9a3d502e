"""The async client, for asyncio and trio.

    async with AsyncAPIClient(base_url="https://api.example.com", max_retries=5) as client:
        response = await client.get("/users", params={"active": True})
        response.data

One client may serve several event loops, one after the other or at once: each has connections of its own, while limits,
breaker and budget are shared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from rest_api_client.client_core import ClientCore
from rest_api_client.config import APIConfig, ClientOptions
from rest_api_client.exceptions import ClosedError
from rest_api_client.hooks import check_hooks, rest_of_attempt
from rest_api_client.models import Request, Response
from rest_api_client.options import RequestOptions
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.streamed import AsyncStreamedResponse
from rest_api_client.surface import Surface
from rest_api_client.typing import Progress

if TYPE_CHECKING:
    import httpx

    from rest_api_client.explain import Explanation


class AsyncAPIClient(Surface):
    """A REST client for asyncio and trio.

    Args:
        config: settings as one value, or the base URL.
        options: nested and flat options on top of it (`ClientOptions` lists them, `APIConfig` says what they mean).

    Raises:
        ConfigurationError: an unknown option, a bad value, or two that contradict; nothing was opened.
    """

    def __init__(self, config: APIConfig | str | None = None, **options: Unpack[ClientOptions]) -> None:
        if isinstance(config, str):
            options.setdefault("base_url", config)
            config = None
        settings = APIConfig.build(config, **options)
        self._core = ClientCore(self, AsyncAPIClient, settings, AsyncRuntime(settings.clock), "async")

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        check_hooks(cls, asynchronous=True)

    # Calls -------------------------------------------------------------------------------------------------------

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """The answer to one call, body read.

        Raises:
            StatusError: the final answer is 4xx or 5xx.
            TransportError: no answer came.
            DeadlineExceeded: the call's time is used up.
            RefusedError: breaker or limiter did not let it through.
            ConfigurationError: an option that cannot work; nothing was sent.
        """
        return await self._core.call(method, url, options)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """GET; see `request`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """POST; see `request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """PUT; see `request`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """PATCH; see `request`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """DELETE; see `request`."""
        return await self.request("DELETE", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """HEAD; see `request`."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """OPTIONS; see `request`."""
        return await self.request("OPTIONS", url, **options)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[AsyncStreamedResponse]:
        """The answer with its body unread, inside an `async with` block that gives the connection back.

        There is no deadline unless one is given; each wait for the next bytes is limited by `Timeouts.read`.
        """
        response = await self._core.call(method, url, options, stream=True)
        streamed = AsyncStreamedResponse(response)
        try:
            yield streamed
        finally:
            await streamed.aclose()

    async def download(
        self,
        url: str,
        path: str | PathLike[str],
        *,
        on_progress: Progress | None = None,
        **options: Unpack[RequestOptions],
    ) -> Response:
        """Save the body of a GET to a file: whole or not at all, whatever happens meanwhile.

        A body that breaks off goes on from there (Range, If-Range) if the server can and the retry policy lets it, and
        else starts anew; parts of different versions are never joined.

        The file is written in pieces of at most 256 KiB, in the event loop's own thread.

        Args:
            url: what to get.
            path: the file; one that stands there is replaced once the body is complete.
            on_progress: called with (bytes saved, bytes in all or None), and with 0 saved where it has to start anew.
            options: as for `request`.
        """
        from rest_api_client.downloads import download  # few save files

        return await download(self._core, url, path, on_progress, options)

    async def explain(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Explanation:
        """What would happen to a request now, and why: `str()` of it reads well, `as_dict()` is plain data.

        Nothing is sent, and no limit, breaker or queue is changed. `prepare_request` is called.

        Args:
            method: the request's method.
            url: as for `request`.
            options: as for `request`.

        Raises:
            ConfigurationError: an option that cannot work.
        """
        return await self._core.explain(method, url, options)

    def as_httpx_transport(self) -> httpx.AsyncBaseTransport:
        """This client's breaker, limiter, retries, credentials and engine, to mount under any `httpx.AsyncClient`.

        What httpx does itself stays httpx's: redirects, cookies, decoding, what a status means. Our errors leave as
        httpx's, with ours as their cause. This client's credentials go only to the origin of its `base_url` and to
        `allow_origins`; without those, nowhere. Closing it leaves this client open.
        """
        mounted: httpx.AsyncBaseTransport = self._core.mounted()
        return mounted

    # Hooks -------------------------------------------------------------------------------------------------------

    async def prepare_request(self, request: Request) -> Request:
        """Hook, once per call: the request to send instead. Override it; the default changes nothing."""
        return request

    async def process_response(self, response: Response) -> Response:
        """Hook, once per call: the response to hand out instead. Override it; the default changes nothing."""
        return response

    async def handle_error(self, response: Response) -> None:
        """Hook, for the final 4xx or 5xx: raises what it stands for. Return to hand the response out instead."""
        raise response.error()

    async def check_rate_limit(self, request: Request) -> None:
        """Hook, once per attempt, before the client's own limiter: wait or raise here. The default does neither."""

    async def send_request(self, request: Request) -> Response:
        """Hook, once per attempt: `await super().send_request(request)` sends it."""
        proceed, context = rest_of_attempt()
        return await proceed(request, context)

    # End ---------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close all connections. Idempotent; a call afterwards raises `ClosedError`."""
        await self._core.aclose()

    async def __aenter__(self) -> Self:
        if self.closed:
            raise ClosedError("this client is closed: make a new one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
