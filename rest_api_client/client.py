"""The sync client.

    with APIClient(base_url="https://api.example.com", max_retries=5) as client:
        response = client.get("/users", params={"active": True})
        response.data

Every method runs the same coroutine the async client awaits, with a runner that refuses to suspend; threads may share
one client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from rest_api_client.client_core import ClientCore
from rest_api_client.config import APIConfig, ClientOptions
from rest_api_client.exceptions import ClosedError
from rest_api_client.hooks import check_hooks, rest_of_attempt, send
from rest_api_client.models import Request, Response
from rest_api_client.options import RequestOptions
from rest_api_client.runtime import run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.streamed import StreamedResponse
from rest_api_client.surface import Surface
from rest_api_client.typing import Progress

if TYPE_CHECKING:
    import httpx

    from rest_api_client.explain import Explanation


class APIClient(Surface):
    """A REST client for threads.

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
        self._runtime = SyncRuntime(settings.clock)
        self._core = ClientCore(self, APIClient, settings, self._runtime, "sync")

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        check_hooks(cls, asynchronous=False)

    # Calls -------------------------------------------------------------------------------------------------------

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """The answer to one call, body read.

        Raises:
            StatusError: the final answer is 4xx or 5xx.
            TransportError: no answer came.
            DeadlineExceeded: the call's time is used up.
            RefusedError: breaker or limiter did not let it through.
            ConfigurationError: an option that cannot work; nothing was sent.
        """
        return self._runtime.run(self._core.call(method, url, options))

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """GET; see `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """POST; see `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """PUT; see `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """PATCH; see `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """DELETE; see `request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """HEAD; see `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """OPTIONS; see `request`."""
        return self.request("OPTIONS", url, **options)

    @contextmanager
    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Iterator[StreamedResponse]:
        """The answer with its body unread, inside a `with` block that gives the connection back.

        There is no deadline unless one is given; each wait for the next bytes is limited by `Timeouts.read`.
        """
        response = self._runtime.run(self._core.call(method, url, options, stream=True))
        streamed = StreamedResponse(response, self._runtime)
        try:
            yield streamed
        finally:
            streamed.close()

    def download(
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

        Args:
            url: what to get.
            path: the file; one that stands there is replaced once the body is complete.
            on_progress: called with (bytes saved, bytes in all or None), and with 0 saved where it has to start anew.
            options: as for `request`.
        """
        from rest_api_client.downloads import download  # few save files

        return self._runtime.run(download(self._core, url, path, on_progress, options))

    def explain(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Explanation:
        """What would happen to a request now, and why: `str()` of it reads well, `as_dict()` is plain data.

        Nothing is sent, and no limit, breaker or queue is changed. `prepare_request` is called.

        Args:
            method: the request's method.
            url: as for `request`.
            options: as for `request`.

        Raises:
            ConfigurationError: an option that cannot work.
        """
        return self._runtime.run(self._core.explain(method, url, options))

    def as_httpx_transport(self) -> httpx.BaseTransport:
        """This client's breaker, limiter, retries, credentials and engine, to mount under any `httpx.Client`.

        What httpx does itself stays httpx's: redirects, cookies, decoding, what a status means. Our errors leave as
        httpx's, with ours as their cause. This client's credentials go only to the origin of its `base_url` and to
        `allow_origins`; without those, nowhere. Closing it leaves this client open.
        """
        mounted: httpx.BaseTransport = self._core.mounted()
        return mounted

    # Hooks -------------------------------------------------------------------------------------------------------

    def prepare_request(self, request: Request) -> Request:
        """Hook, once per call: the request to send instead. Override it; the default changes nothing."""
        return request

    def process_response(self, response: Response) -> Response:
        """Hook, once per call: the response to hand out instead. Override it; the default changes nothing."""
        return response

    def handle_error(self, response: Response) -> None:
        """Hook, for the final 4xx or 5xx: raises what it stands for. Return to hand the response out instead."""
        raise response.error()

    def check_rate_limit(self, request: Request) -> None:
        """Hook, once per attempt, before the client's own limiter: wait or raise here. The default does neither."""

    def send_request(self, request: Request) -> Response:
        """Hook, once per attempt: `super().send_request(request)` sends it."""
        proceed, context = rest_of_attempt()
        return run_sync(send(proceed, request, context))

    # End ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close all connections. Idempotent; a call afterwards raises `ClosedError`."""
        self._runtime.run(self._core.aclose())

    def __enter__(self) -> Self:
        if self.closed:
            raise ClosedError("this client is closed: make a new one")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
