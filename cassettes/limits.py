"""How large a cassette may be. The same limits hold when it is loaded and when it is saved, so that whatever was
written can be read again."""

from __future__ import annotations

from cassettes.errors import CassetteError
from rest_api_client.checks import check_whole
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one cassette.

    Attributes:
        size: bytes of the file.
        depth: how deep mappings and lists may be nested; a cassette needs 7.
        nodes: mappings, lists and scalars of the file, each alias counted with all it stands for.
    """

    size: int = 64 << 20
    depth: int = 32
    nodes: int = 5_000_000

    def __post_init__(self) -> None:
        check_whole("Limits", 1, size=self.size, depth=self.depth, nodes=self.nodes)

    def check_size(self, size: int, path: object) -> None:
        """Raises CassetteError where a file of so many bytes is too large."""
        if size > self.size:
            raise CassetteError(
                f"{path}: {size} bytes, and at most {self.size} are allowed: split the cassette, or give "
                "limits=Limits(size=...)"
            )

    def check_tree(self, nodes: int, depth: int) -> None:
        """Raises CassetteError where so many values, or so many levels, are too many."""
        if depth > self.depth:
            raise CassetteError(f"the cassette is nested deeper than {self.depth} levels: no cassette is")
        if nodes > self.nodes:
            raise CassetteError(
                f"the cassette has more than {self.nodes} values, aliases counted with what they stand for: "
                "split it, or give limits=Limits(nodes=...)"
            )


DEFAULT_LIMITS = Limits()
