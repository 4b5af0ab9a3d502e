"""How large an answer may be, and the meter that holds one body to it.

The ratio counts as well as the size: a stream has no size of its own, and a bomb shows itself by its ratio long before
it is large.
"""

from __future__ import annotations

from dataclasses import replace

from rest_api_client.checks import check_above_zero, check_whole
from rest_api_client.exceptions import ResponseTooLarge
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How large an answer may be: what its body may become, and its head. None switches a limit off.

    Attributes:
        max_decoded_bytes: size of a buffered body once decoded; streams have none (`for_stream`).
        max_ratio: decoded bytes per received byte, looked at beyond `ratio_after` decoded bytes. Text seldom reaches
            20, deflate cannot exceed 1032.
        ratio_after: decoded bytes below which any ratio is fine.
        max_encodings: length of the chain in Content-Encoding (5, as in urllib3 and httpx2).
        max_headers: header fields of one answer (100, as in Python's http.client and hyper). An engine may stop
            earlier, with a `RemoteProtocolError`.
        max_header_bytes: size of their names and values together.
    """

    max_decoded_bytes: int | None = 64 * 1024 * 1024
    max_ratio: float | None = 200.0
    ratio_after: int = 8 * 1024 * 1024
    max_encodings: int | None = 5
    max_headers: int | None = 100
    max_header_bytes: int | None = 64 * 1024

    def __post_init__(self) -> None:
        check_whole(
            "BodyLimits",
            1,
            off="no limit",
            max_decoded_bytes=self.max_decoded_bytes,
            max_encodings=self.max_encodings,
            max_headers=self.max_headers,
            max_header_bytes=self.max_header_bytes,
        )
        check_above_zero("BodyLimits", unit="a number", off="no limit", max_ratio=self.max_ratio)
        check_whole("BodyLimits", 1, ratio_after=self.ratio_after)

    def for_stream(self) -> BodyLimits:
        """The same without a limit on size: the reader of a stream decides how much is enough."""
        return replace(self, max_decoded_bytes=None)


class BodyMeter:
    """Counts one body, raw and decoded, and stops it at its limits.

    Raises:
        ResponseTooLarge: from `produced` and `passed`, with the figures and the option to raise.
    """

    __slots__ = ("_passes", "decoded", "limits", "raw")

    def __init__(self, limits: BodyLimits) -> None:
        self.limits = limits
        self._passes = limits.max_decoded_bytes is None and (limits.max_ratio is None or limits.max_ratio >= 1)
        self.raw = 0
        self.decoded = 0

    def received(self, size: int) -> None:
        """More bytes came from the wire."""
        self.raw += size

    def passed(self, size: int) -> None:
        """More bytes came and are given on as they are. For a body of which all are."""
        self.raw += size
        if self._passes:
            self.decoded += size
        else:
            self.produced(size)

    def produced(self, size: int) -> None:
        """More bytes were decoded. Called before anybody else sees them."""
        self.decoded += size
        limits = self.limits
        if limits.max_decoded_bytes is not None and self.decoded > limits.max_decoded_bytes:
            raise ResponseTooLarge(
                f"the body is larger than {limits.max_decoded_bytes} bytes ({self.raw} received so far): "
                "raise BodyLimits(max_decoded_bytes=...), or read it with stream()"
            )
        if limits.max_ratio is None or self.decoded <= limits.ratio_after:
            return
        if self.decoded > limits.max_ratio * self.raw:
            raise ResponseTooLarge(
                f"{self.raw} bytes received became more than {self.decoded}, over {limits.max_ratio:g} to 1: "
                "this looks like a decompression bomb; if it is not, raise BodyLimits(max_ratio=...)"
            )
