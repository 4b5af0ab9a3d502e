"""What one call can be told: the keywords of `get`, `post`, `request`, `stream` and the rest."""

from __future__ import annotations

from typing import TypedDict

from rest_api_client.auth.schemes import AuthTypes
from rest_api_client.idempotency import IdempotencyKey
from rest_api_client.transport import Timeouts
from rest_api_client.typing import (
    ContentTypes,
    CookieTypes,
    DataTypes,
    FilesTypes,
    HeaderTypes,
    JSONValue,
    ParamTypes,
    Progress,
    Scalar,
)


class RequestOptions(TypedDict, total=False):
    """The keywords of one call. What is left out, the client's own settings decide.

    At most one of `content`, `json`, and `data` with or without `files` gives the body.
    """

    path_params: dict[str, Scalar]
    """Values for the `{names}` of the URL, each encoded as one path segment; metrics count by the template."""
    params: ParamTypes
    """Query parameters, behind those of the URL and of the client."""
    json: JSONValue
    """A body, serialised."""
    data: DataTypes
    """Form fields."""
    files: FilesTypes
    """Parts of a multipart form."""
    content: ContentTypes
    """A raw body."""
    headers: HeaderTypes
    """Fields that replace the client's of the same name."""
    cookies: CookieTypes
    """Cookies for this call alone."""
    auth: AuthTypes | str | None
    """Authentication instead of the client's; None for none."""
    timeout: float | Timeouts | None
    """Seconds for each phase of an attempt."""
    deadline: float | None
    """Seconds for the whole call."""
    max_retries: int
    """Attempts after the first."""
    retry_unsafe: bool
    """Whether a request that is not idempotent may be sent again although the server may have acted on it."""
    follow_redirects: bool
    """Whether redirects are followed."""
    idempotency_key: bool | str | IdempotencyKey
    """True makes a key, the same for all attempts of this call; a str is one; an `IdempotencyKey` also says how."""
    priority: int
    """How important the call is, 0 (shed first) to 4 (shed last); 2 unless given. A bulkhead goes by it."""
    raise_for_status: bool
    """Whether 4xx and 5xx raise."""
    attempt_headers: bool
    """Whether `x-call-id` and `x-attempt` are sent."""
    progress: Progress
    """Called with (bytes of the body sent, bytes in all or None) as the upload goes on."""


OPTION_NAMES = frozenset(RequestOptions.__annotations__)
