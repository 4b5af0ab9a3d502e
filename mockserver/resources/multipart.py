"""Reading multipart/form-data (RFC 7578), whole and within bounds: linear in the size of the body."""

from __future__ import annotations

import re

from mockserver.problems import Problem
from rest_api_client.lazy_dataclasses import dataclass

MOST_PARTS = 1_000
MOST_HEAD = 8_192
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_PARAMETER = re.compile(r';\s*([a-zA-Z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))')


@dataclass(frozen=True)
class Part:
    """One field or file.

    Attributes:
        name: of the field.
        filename: None for a field that is no file.
        content_type: as sent; None without.
        data: its bytes.
    """

    name: str
    filename: str | None
    content_type: str | None
    data: bytes


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a Content-Type names; None for another media type. Raises Problem 400 where it lacks one."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem(400, "multipart/form-data needs a boundary of 1 to 70 characters")
    return boundary.encode("ascii")


def split(body: bytes, boundary: bytes) -> list[Part]:
    """The parts, in order. Raises Problem 400 for a body that is not made of parts, or of more than 1,000."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Problem(400, f"the body has no last boundary, or more than {MOST_PARTS} parts")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    padding, sign, rest = piece.partition(b"\r\n")
    head, blank, data = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not sign or not blank or len(head) > MOST_HEAD:
        raise Problem(400, "a part has no head, or one that is too long")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    }
    disposition = fields.get("content-disposition", "")
    parameters = _parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in parameters:
        raise Problem(400, "a part needs content-disposition: form-data with a name")
    return Part(parameters["name"], parameters.get("filename"), fields.get("content-type"), data)


def _parameters(value: str) -> dict[str, str]:
    return {each[1].lower(): each[3] or each[2] or "" for each in _PARAMETER.finditer(value)}
