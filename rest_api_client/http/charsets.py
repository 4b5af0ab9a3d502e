"""Bytes to text, for charsets that a stranger names.

Python's registry of codecs holds more than charsets: compressors ("zip" is a decompression bomb), ciphers, and text
codecs whose work is quadratic in their input ("idna", "punycode", and "utf-7" when it comes in small pieces) or that
warn and fail whatever the error handler says. A server picks the charset of its answer, so only the others are taken.
"""

from __future__ import annotations

import codecs

from rest_api_client.exceptions import ConfigurationError, DecodeError

_UNFIT = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


def is_charset(name: str) -> bool:
    """Whether text in a charset of this name can be decoded here. Never raises."""
    try:
        codec = codecs.lookup(name)
        # The public way to tell a text codec from the others; an empty input would not be looked at.
        b" ".decode(name, "replace")
    except (LookupError, ValueError):
        return False
    return codec.name not in _UNFIT


class TextDecoder:
    """Bytes in, text out, in pieces of any size; what does not fit the charset becomes U+FFFD.

    Raises:
        ConfigurationError: no such charset (`is_charset`).
    """

    def __init__(self, charset: str) -> None:
        if not is_charset(charset):
            raise ConfigurationError(f"encoding={charset!r} is no charset that Python knows: give one like 'utf-8'")
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(charset)(errors="replace")

    def decode(self, data: bytes, final: bool = False) -> str:
        """The text that is complete by now; with `final` all of it.

        Raises:
            DecodeError: bytes this charset cannot even replace: UTF-16 or UTF-32 of unknown byte order, or an ISO-2022
                sequence too long to be one.
        """
        try:
            return self._decoder.decode(data, final)
        except UnicodeError as error:
            raise DecodeError(f"the text is not {self._charset}: {error}") from error
