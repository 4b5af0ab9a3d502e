"""Charsets that a stranger names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError, DecodeError
from rest_api_client.http.charsets import TextDecoder, is_charset


@pytest.mark.parametrize(
    "name", ["utf-8", "UTF_8", "latin-1", "windows-1252", "shift_jis", "gb18030", "utf-16", "cp437"]
)
def test_charsets(name: str) -> None:
    """Names of charsets are known in any spelling Python takes."""
    assert is_charset(name)


@pytest.mark.parametrize(
    "name",
    [
        "zip",
        "hex",
        "rot13",
        "idna",
        "punycode",
        "utf-7",
        "unicode_escape",
        "undefined",
        "",
        "no-such",
        "a\0b",
        "\ud800",
    ],
)
def test_no_charsets(name: str) -> None:
    """Codecs that are no charsets, or whose work grows with the square of the input, are not."""
    assert not is_charset(name)
    with pytest.raises(ConfigurationError, match="no charset that Python knows"):
        TextDecoder(name)


@given(name=st.text(max_size=20))
def test_any_name(name: str) -> None:
    """No name makes the look-up raise."""
    assert is_charset(name) in {True, False}


@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_pieces(data: bytes, cut: int) -> None:
    """Text decoded in two pieces is the text decoded whole."""
    decoder = TextDecoder("utf-8")
    assert decoder.decode(data[:cut]) + decoder.decode(data[cut:], final=True) == data.decode(errors="replace")


@pytest.mark.parametrize(("charset", "data"), [("utf-16", b"ab"), ("utf-32", b"abcd")])
def test_undecodable(charset: str, data: bytes) -> None:
    """Bytes that a codec will not even replace are a DecodeError that names the charset."""
    with pytest.raises(DecodeError, match=f"not {charset}"):
        TextDecoder(charset).decode(data)
