"""A client's chain as a transport of httpx, to be mounted under any SDK that takes an httpx client.

    httpx.Client(transport=client.as_httpx_transport())

The SDK's httpx client keeps its ways: redirects, cookies, decoding, what a status means. Below it run our telemetry,
retry, and all that stands at the attempt level: breaker, limiter, authentication at home, the engine. Statuses are
never raised, and the body is passed on as it came, with its content-encoding; so a body that breaks off behind the head
is the SDK's affair and not tried again.

Timeouts are the SDK's, where its httpx client names them. There is no deadline for the whole call, since httpx knows
none. A body that httpx holds in memory is sent again where retry says so, any other only once.

Our errors leave as httpx's (`TRANSLATION`), with ours as the cause, so that what the SDK does about a lost connection
it does here too. A call that our own breaker or limit refused is a `httpx.ConnectError`: nothing was sent, as with a
connection that did not come about. Mistakes in the set-up (`ConfigurationError` and the like) stay ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from random import Random  # noqa: TID251  the type only: the generator itself is handed in
from typing import Any, Literal, cast

import httpx

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.exceptions import (
    APIError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    DecodeError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RefusedError,
    RemoteProtocolError,
    RequestTimeout,
    TransportError,
    WriteError,
    WriteTimeout,
)
from rest_api_client.http.bodies import Body, BytesBody, OneShotBody
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import DEFAULT_PORTS, URL, Origin
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Classify, classify_http
from rest_api_client.pipeline import Pipeline, Policy, Stage
from rest_api_client.runtime import Runtime, iterate_sync, run_sync
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import ByteStream, Transport

TRANSLATION: tuple[tuple[type[APIError], type[httpx.RequestError]], ...] = (
    (ConnectTimeout, httpx.ConnectTimeout),
    (ReadTimeout, httpx.ReadTimeout),
    (WriteTimeout, httpx.WriteTimeout),
    (PoolTimeout, httpx.PoolTimeout),
    (RequestTimeout, httpx.TimeoutException),
    (DeadlineExceeded, httpx.TimeoutException),
    (ProxyError, httpx.ProxyError),
    (ConnectError, httpx.ConnectError),
    (ReadError, httpx.ReadError),
    (WriteError, httpx.WriteError),
    (RemoteProtocolError, httpx.RemoteProtocolError),
    (TransportError, httpx.TransportError),
    (RefusedError, httpx.ConnectError),
    (DecodeError, httpx.DecodingError),
)
"""Our error, and httpx's that is raised from it; the first that fits."""

_KEPT = frozenset({Stage.CALL_TELEMETRY, Stage.RETRY})
_LEFT_OUT = frozenset({Stage.READ, Stage.DECODE})


def as_httpx_transport(
    policies: Iterable[Policy],
    transport: Transport,
    runtime: Runtime,
    *,
    face: Literal["sync", "async"],
    random: Random,
    options: CallOptions | None = None,
    home: frozenset[Origin] = frozenset(),
    classify: Classify = classify_http,
) -> httpx.BaseTransport | httpx.AsyncBaseTransport:
    """A transport of httpx that sends through these policies.

    Closing it closes nothing: policies, engine and runtime stay their owner's.

    Args:
        policies: a client's chain; what httpx does itself is left out.
        transport: the engine.
        runtime: what policies and engine wait on.
        face: for an `httpx.Client` or an `httpx.AsyncClient`.
        random: the client's source of chance.
        options: what every call is asked with; the timeouts count where httpx names none.
        home: the origins that the client's credentials belong to.
        classify: what an attempt's end means.
    """
    kept = [p for p in policies if p.stage in _KEPT or (p.stage.per_attempt and p.stage not in _LEFT_OUT)]
    mount = _Mount(Pipeline(kept, transport, runtime), runtime, random, options or CallOptions(), home, classify)
    return MountedTransport(mount) if face == "sync" else AsyncMountedTransport(mount)


class _Mount:
    """The chain, and the way from httpx's request to its response."""

    def __init__(
        self,
        pipeline: Pipeline,
        runtime: Runtime,
        random: Random,
        options: CallOptions,
        home: frozenset[Origin],
        classify: Classify,
    ) -> None:
        self.pipeline = pipeline
        self.runtime = runtime
        self._random = random
        self._options = options
        self._home = home
        self._classify = classify

    async def send(self, asked: httpx.Request) -> Response:
        """Send httpx's request through the chain."""
        request = self._request(asked)
        options = _with_timeouts(self._options, asked.extensions.get("timeout"))
        call = Call(self.runtime, self._random, options=options, classify=self._classify)
        with _Told(asked):
            try:
                response = await self.pipeline(request, Context(call))
            except APIError as error:
                error.attempts = tuple(call.attempts)
                raise
        response.attempts = tuple(call.attempts)
        return response

    def _request(self, asked: httpx.Request) -> Request:
        url = asked.url
        target, host = url.raw_path.decode("ascii"), url.raw_host.decode("ascii")
        return Request(
            method=asked.method,
            url=URL(url.scheme, host, url.port or DEFAULT_PORTS.get(url.scheme, 0), target),
            headers=Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in asked.headers.raw),
            body=_body(asked),
            home=self._home,
        )


class MountedTransport(httpx.BaseTransport):
    """The chain under an `httpx.Client`."""

    def __init__(self, mount: _Mount) -> None:
        self._mount = mount

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; every status is an answer.

        Raises:
            httpx.TransportError: as `TRANSLATION` says.
        """
        runtime = self._mount.runtime
        run = runtime.run if isinstance(runtime, SyncRuntime) else run_sync
        return _answer(run(self._mount.send(request)), lambda stream: _SyncStream(stream, request))


class AsyncMountedTransport(httpx.AsyncBaseTransport):
    """The chain under an `httpx.AsyncClient`."""

    def __init__(self, mount: _Mount) -> None:
        self._mount = mount

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; every status is an answer.

        Raises:
            httpx.TransportError: as `TRANSLATION` says.
        """
        return _answer(await self._mount.send(request), lambda stream: _AsyncStream(stream, request))


def _body(asked: httpx.Request) -> Body:
    try:
        return BytesBody(asked.content)
    except httpx.RequestNotRead:
        length = asked.headers.get("content-length", "")
        return OneShotBody(cast("Any", asked.stream), int(length) if length.isdigit() else None)


def _with_timeouts(options: CallOptions, asked: dict[str, float | None] | None) -> CallOptions:
    """The options of one call: httpx's limits, phase by phase, and the body left unread."""
    limits = options.timeouts
    return replace(
        options,
        stream=True,
        timeouts=limits if not asked else replace(limits, **{p: asked[p] for p in _PHASES if p in asked}),
    )


_PHASES = ("connect", "read", "write", "pool")


def _answer(response: Response, wrap: Callable[[ByteStream], Any]) -> httpx.Response:
    extensions = {"reason_phrase": response.reason.encode("latin-1", "replace")}
    if response.http_version is not None:
        extensions["http_version"] = response.http_version.encode("ascii")
    return httpx.Response(
        response.status_code,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.multi_items()],
        stream=httpx.ByteStream(response.content) if response.stream is None else wrap(response.stream),
        extensions=extensions,
    )


class _Told:
    """A block out of which our errors come as httpx's."""

    __slots__ = ("_request",)

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for ours, theirs in TRANSLATION:
            if isinstance(error, ours):
                raise theirs(str(error), request=self._request) from error


class _SyncStream(httpx.SyncByteStream):
    def __init__(self, stream: ByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _Told(self._request):
            yield from iterate_sync(aiter(self._stream))

    def close(self) -> None:
        run_sync(cast("Any", self._stream.aclose()))


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: ByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _Told(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
