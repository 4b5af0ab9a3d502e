"""Multipart forms: what is on the wire, what it says of itself, and names made to break out of their field."""

from __future__ import annotations

import io
import random
import tempfile
from email import message_from_bytes, policy
from pathlib import Path
from typing import IO, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.http.bodies import Body
from rest_api_client.http.encoding import encode_body
from rest_api_client.http.serializers import JSON_SERIALIZER


def encode(**given_: Any) -> tuple[Body, str]:
    body, headers = encode_body(**given_, serializer=JSON_SERIALIZER, random=random.Random(7))
    return body, headers["Content-Type"]


def wire(**given_: Any) -> bytes:
    body, _ = encode(**given_)
    data = b"".join(cast("Any", body.open()))
    assert body.length in {None, len(data)}
    return data


def parts(**given_: Any) -> list[tuple[dict[str, Any], str | None, bytes]]:
    """(disposition parameters, content type, content) as an independent parser reads them."""
    body, content_type = encode(**given_)
    raw = b"".join(cast("Any", body.open()))
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw, policy=policy.HTTP)
    found = []
    for part in message.iter_parts():  # type: ignore[attr-defined]
        params = dict(part["content-disposition"].params)
        found.append((params, part["content-type"], part.get_payload(decode=True)))
    return found


def test_fields_come_before_files() -> None:
    """A form as it is on the wire: fields by the rules of params, then files, each with its own head."""
    body, content_type = encode(data={"a": [1, True], "none": None, "t": "x"}, files={"f": ("r.txt", b"hello")})
    boundary = content_type.removeprefix("multipart/form-data; boundary=")
    assert b"".join(cast("Any", body.open())).decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\ntrue\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="t"\r\n\r\nx\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="r.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\nhello\r\n--{boundary}--\r\n"
    )


def test_the_boundary_comes_from_the_given_chance() -> None:
    """The same seed gives the same boundary."""
    assert encode(files={"f": b"x"})[1] == encode(files={"f": b"x"})[1]
    assert repr(encode(files={"f": b"x"})[0]) == "<MultipartBody 1 parts>"


@pytest.mark.parametrize(
    ("given_", "filename", "kind"),
    [
        (b"x", "f", "application/octet-stream"),
        ("text", "f", "application/octet-stream"),
        (("a.json", b"{}"), "a.json", "application/json"),
        (("a.tar.gz", b"x"), "a.tar.gz", "application/octet-stream"),
        (("a.json", b"{}", "text/x-own"), "a.json", "text/x-own"),
        ((None, b"x"), None, None),
        ((None, "{}", "application/json"), None, "application/json"),
        (("data:text/html,x", b"x"), "data:text/html,x", "application/octet-stream"),
    ],
)
def test_names_and_content_types(given_: Any, filename: str | None, kind: str | None) -> None:
    """The content type is the caller's, or goes by the name's last suffix; without a name there is none."""
    ((params, content_type, _),) = parts(files=[("f", given_)])
    assert (params["name"], params.get("filename"), content_type) == ("f", filename, kind)


def test_files_are_named_by_their_path(tmp_path: Path) -> None:
    """A Path and an open file give their last component; a file without a path takes the field's name."""
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG")
    with path.open("rb") as file, tempfile.TemporaryFile() as unnamed:
        unnamed.write(b"tmp")
        unnamed.seek(0)
        found = parts(files=[("a", path), ("b", file), ("c", unnamed), ("d", io.BytesIO(b"mem"))])
    assert [(params["filename"], content) for params, _, content in found] == [
        ("photo.png", b"\x89PNG"),
        ("photo.png", b"\x89PNG"),
        ("c", b"tmp"),
        ("d", b"mem"),
    ]


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def test_a_form_is_as_replayable_as_its_parts() -> None:
    """Bytes and files that seek can be sent twice; one pipe makes the whole form one-shot and its length unknown."""
    body, _ = encode(files={"a": b"x", "b": io.BytesIO(b"y")})
    assert body.replayable
    assert b"".join(cast("Any", body.open())) == b"".join(cast("Any", body.open()))
    piped, _ = encode(files={"a": b"x", "b": cast("IO[bytes]", Pipe(b"piped"))})
    assert (piped.replayable, piped.length) == (False, None)
    assert b"piped" in b"".join(cast("Any", piped.open()))
    with pytest.raises(ClosedError, match="cannot seek back"):
        piped.open()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"f": io.StringIO("text")}, "mode 'rb'"),
        ({"f": 7}, "int cannot be sent"),
        ({"f": ("a", iter([b"x"]))}, "cannot be sent"),
        ({"f": ("a", b"x", "y", "z")}, "content type"),
        ({"f": (7, b"x")}, "file name must be"),
        ({7: b"x"}, "field name 7"),
        ([b"xy"], "list of"),
        ({"f": Path("/nowhere/at/all")}, "cannot read"),
        ({"f": ("a", b"x", "text/plain\r\nX: y")}, "control character"),
    ],
)
def test_what_cannot_be_a_file_is_refused(files: Any, told: str) -> None:
    """The error comes before anything is sent and names the field."""
    with pytest.raises(ConfigurationError, match=told):
        encode(files=files)


NASTY = st.text(alphabet=st.sampled_from('ab"\\;=\r\n\0\x7f\x1b%:-\u00e9\u4e2d\ud800'), max_size=30)


@given(name=NASTY, filename=NASTY, value=st.binary(max_size=20))
def test_no_name_breaks_out_of_its_field(name: str, filename: str, value: bytes) -> None:
    """CR, LF, NUL and quotes in names stay inside: a head of two lines, two quoted strings, no control character."""
    body, content_type = encode(files=[(name, (filename, value, "text/plain"))])
    boundary = b"--" + content_type.removeprefix("multipart/form-data; boundary=").encode()
    raw = b"".join(cast("Any", body.open()))
    assert body.length == len(raw)
    begin, end = boundary + b"\r\nContent-Disposition: form-data; name=", b"\r\nContent-Type: text/plain\r\n\r\n"
    assert raw.startswith(begin)
    quoted, _, rest = raw.removeprefix(begin).partition(end)
    assert rest == value + b"\r\n" + boundary + b"--\r\n"
    assert quoted.count(b'"') == 4
    assert not any(byte < 0x20 or byte == 0x7F for byte in quoted)


@given(suffix=NASTY)
def test_no_file_name_chooses_a_content_type_that_breaks_out(suffix: str) -> None:
    """A guessed content type comes from the table, whatever the name."""
    raw = wire(files=[("f", (f"data:x.{suffix}", b""))])
    assert raw.count(b"\r\n") == 6
