"""Where in a message secrets stand: one walk, for taking them out, for finding what they are, for putting them back.

Texts are walked as latin-1, one character a byte, so that nothing that is no text is damaged and every offset in the
text is one in the body. A walk gives edits (from, to, what instead); applied from the end, they leave the rest as it
was, byte for byte: a JSON body keeps its spaces, its `1e2` and its doubled members.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias
from urllib.parse import quote, unquote_plus

from cassettes.interaction import Fields
from cassettes.secrets import is_secret, looks_random, named

Change: TypeAlias = Callable[[str, str, str], str | None]
"""(where, name, value) -> what stands there instead, or None to leave it."""

Edit: TypeAlias = tuple[int, int, str]

_PAIR = re.compile(r"([?&;#])([^=&;#?\s]{1,256})=([^&#\s]*)")
_USERINFO = re.compile(r"//([^/?#@\s]+)@")
_STRING = r'"((?:[^"\\]|\\.)*+)"'
_MEMBER = re.compile(
    r'"((?:[^"\\]|\\.){1,64}+)"\s*+:\s*+(?:"((?:[^"\\]|\\.)*+)"|(-?[0-9][0-9.eE+-]*+)|([\[{]))', re.DOTALL
)
_ESCAPED_MEMBER = re.compile(r'\\"([^"\\]{1,64})\\"\s*+:\s*+\\"([^"\\]*+)\\"')
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_INNER = re.compile(rf"{_STRING}(\s*+:)?", re.DOTALL)
_ELEMENT = re.compile(r"<([A-Za-z][\w:.-]{0,63})(?:\s[^<>]{0,200})?>([^<>]{1,8192})</\1\s*>")
_FORM_PAIR = re.compile(r"(?:^|&)([^&=\s]{1,256})=([^&\s]*)")
_PART = re.compile(r'name="([^"\r\n]{1,256})"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n--')
_URL_FIELDS = frozenset({"location", "content-location", "referer", "origin", "link", "refresh"})
_AUTH = frozenset({"authorization", "proxy-authorization"})
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits, which are in order and do not overlap."""
    kept: list[str] = []
    done = 0
    for begin, end, new in edits:
        kept += text[done:begin], new
        done = end
    return "".join(kept) + text[done:]


def moved(offset: int, edits: Iterable[Edit]) -> int:
    """Where an offset of the text is behind the edits; inside of one, at its end."""
    shift = 0
    for begin, end, new in edits:
        if begin >= offset:
            break
        shift += len(new) - (end - begin)
        if end > offset:
            return end + shift
    return offset + shift


def in_fields(fields: Fields, change: Change) -> Fields:
    """Header fields, changed; the very same object where nothing was."""
    changed = tuple((name, _field(name, value, change)) for name, value in fields)
    return fields if changed == fields else changed


def _field(name: str, value: str, change: Change) -> str:
    if name in _AUTH:
        scheme, space, rest = value.partition(" ")
        new = change(f"header {name}", name, rest.strip() if space else value)
        return value if new is None else f"{scheme} {new}" if space else new
    if name == "cookie":
        return "; ".join(_cookie(pair, change) for pair in re.split(r";\s*", value))
    if name == "set-cookie":
        pair, semicolon, rest = value.partition(";")
        return _cookie(pair, change) + semicolon + rest
    if name in _URL_FIELDS:
        return in_uri(value, change)
    if value and named(name)[0]:
        new = change(f"header {name}", name, value)
        return value if new is None else new
    return value


def _cookie(pair: str, change: Change) -> str:
    name, equals, value = pair.partition("=")
    quotes = '"' if len(value) > 1 and value[0] == value[-1] == '"' else ""
    bare = value.strip('"') if quotes else value
    new = change(f"cookie {name.strip()}", name.strip(), bare) if bare else None
    return pair if new is None else f"{name}{equals}{quotes}{new}{quotes}"


def in_uri(uri: str, change: Change) -> str:
    """A URL, or a field with URLs in it, changed."""
    if "=" not in uri and "@" not in uri:
        return uri
    return apply(uri, _uri_edits(uri, change))


def _uri_edits(uri: str, change: Change) -> Iterator[Edit]:
    for found in _USERINFO.finditer(uri):
        if (new := change("userinfo", "password", found[1])) is not None:
            yield found.start(1), found.end(1), quote(new, safe="")
            break
    for found in _PAIR.finditer(uri):
        yield from _pair(found, found[2], found[3], 3, "query", change)


def _pair(found: re.Match[str], raw: str, value: str, group: int, where: str, change: Change) -> Iterator[Edit]:
    name, plain = unquote_plus(raw), unquote_plus(value)
    if plain and is_secret(name, plain) and (new := change(f"{where} {name}", name, plain)) is not None:
        yield found.start(group), found.end(group), quote(new, safe="")


def body_edits(kind: str, text: str, change: Change) -> list[Edit]:
    """What to change in a body of this content type (latin-1). The order is that of the text."""
    if "x-www-form-urlencoded" in kind:
        return [e for f in _FORM_PAIR.finditer(text) for e in _pair(f, f[1], f[2], 2, "form", change)]
    edits = list(_member_edits(text, change))
    if "multipart/" in kind:
        for found in _PART.finditer(text):
            edits += _simple(found, 2, "part", change)
    if "</" in text:
        for found in _ELEMENT.finditer(text):
            edits += _simple(found, 2, "element", change)
    if '\\"' in text:
        for found in _ESCAPED_MEMBER.finditer(text):
            edits += _simple(found, 2, "json", change)
    return ordered(edits)


def ordered(edits: list[Edit]) -> list[Edit]:
    """Edits in the order of the text, without those that overlap an earlier one."""
    kept: list[Edit] = []
    for edit in sorted(edits):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept


def _simple(found: re.Match[str], group: int, where: str, change: Change) -> Iterator[Edit]:
    name, value = found[1].rpartition(":")[2], found[group]
    if value and is_secret(name, value) and (new := change(f"{where} {name}", name, value)) is not None:
        yield found.start(group), found.end(group), new


def _member_edits(text: str, change: Change) -> Iterator[Edit]:
    if '"' not in text:
        return
    for found in _MEMBER.finditer(text):
        name = found[1]
        if not named(name)[0]:
            continue
        if found[4]:
            yield from _contained(name, text, found.start(4), change)
            continue
        value = unescaped(found[2]) if found[2] is not None else found[3]
        digits = found[3] is not None
        if not value or not is_secret(name, value) or (digits and len(value) < 4):
            continue
        if (new := change(f"json {name}", name, value)) is not None:
            group = 3 if digits else 2
            yield found.start(group), found.end(group), f'"{new}"' if digits else new


def _contained(name: str, text: str, begin: int, change: Change) -> Iterator[Edit]:
    """Random values in a list or an object that has a secret name."""
    end = _closing(text, begin)
    for found in _INNER.finditer(text, begin, end):
        value = unescaped(found[1])
        if found[2] or not looks_random(value):
            continue
        if (new := change(f"json {name}", name, value)) is not None:
            yield found.start(1), found.end(1), new


def _closing(text: str, begin: int) -> int:
    depth = 0
    for found in _BRACKET.finditer(text, begin):
        depth += 1 if found[0] in "[{" else -1 if found[0] in "]}" else 0
        if depth == 0:
            return found.end()
    return len(text)


def unescaped(text: str) -> str:
    """A JSON string's value. Broken escapes stay as they are."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else _ESCAPED.get(e[2], e[2]), text)
