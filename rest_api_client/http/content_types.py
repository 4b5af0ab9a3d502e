"""The Content-Type field: media type and charset, whatever a server puts there."""

from __future__ import annotations

import re

from rest_api_client.http.charsets import is_charset


def media_type(content_type: str | None) -> str:
    """Type and subtype in lower case, without parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9._:+-]{1,40})", re.IGNORECASE)


def charset(content_type: str | None) -> str:
    """The charset a content type names, if Python knows it, else UTF-8."""
    found = _CHARSET.search(content_type or "")
    return found[1].lower() if found is not None and is_charset(found[1]) else "utf-8"
