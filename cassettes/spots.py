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
_MEMBER = re.compile(
    r'"((?:[^"\\]|\\.){1,64}+)"\s*+:\s*+(?:"((?:[^"\\]|\\.)*+)"|(-?[0-9][0-9.eE+-]*+)|([\[{]))', re.DOTALL
)
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_INNER = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\Z)(\s*+:)?', re.DOTALL)
_FORM_PAIR = re.compile(r"(?:^|&)([^&=\s]{1,256})=([^&\s]*)")
_FORM = re.compile(r"[^&=\s<>{}\[\]\"]{1,256}=[^&=\s<>\"]*(?:&[^&=\s<>\"]{1,256}=[^&\s<>\"]*)*")
_JSON = ("{", "[")
_WORD = r"[A-Za-z_][\w.-]{0,63}"
_PART = r'name="?([^"\r\n;]{1,256})"?[^\r\n]{0,999}\r\n(?:[^\r\n]{1,999}\r\n){0,20}\r\n([^\r\n]+)\r\n--'
_ELEMENT = (
    r"<([A-Za-z][\w:.-]{0,63})(?:\s[^<>]{0,200})?>"
    r"(?:<!\[CDATA\[)?([^<>\[\]]{1,8192})(?:\]\]>)?</\1\s*>"
)  # <password>...</password>
_FIELD = (
    r"""<(?:input|meta)\s[^<>]{0,99}?name=["']([^"'<>]{1,64})["']"""
    r"""[^<>]{0,99}?(?:value|content)=["']([^"'<>]{1,8192})["']"""
)  # <input name="csrf_token" value="...">
_NAMED_VALUE = r'"(?:name|key|field)"\s*+:\s*+"([^"\\]{1,64})"\s*+,\s*+"value"\s*+:\s*+"((?:[^"\\]|\\.)++)"'
_ASSIGNED = (
    rf"""(?<![\w.-])(?:(\\{{0,16}}+['"])({_WORD})\1|({_WORD}))\s*+[:=]\s*+"""
    r"""(\\{0,16}+['"])([^'"\\<>\r\n]{1,8192})\4"""
)  # password: "...", 'password': '...', \"password\": \"...\", password="..."
_LINE = (
    rf"^[ \t]*+(?:export[ \t]++|-[ \t]++)?({_WORD})[ \t]*+[:=][ \t]*+"
    r"([^\s\"'{}\[\]<>&,;:=][^\s\"'{}\[\]<>&,;]{0,8191})[ \t]*+$"
)  # PASSWORD=..., password: ...
_IN_URL = r"(?:[?&#]|\\u0026|&amp;)([\w.%\[\]-]{1,64})=([^&#\s\"'<>\\]{1,8192})"
_LOGIN = r"://([^/?#@\s\"'<>:]{0,256}):([^/?#@\s\"'<>]{1,256})@"
_ELSEWHERE: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    ("part", ("name=",), re.compile(_PART)),
    ("element", ("</",), re.compile(_ELEMENT)),
    ("field", ("<input", "<meta"), re.compile(_FIELD)),
    ("pair", ('"value"',), re.compile(_NAMED_VALUE)),
    ("assigned", ("'", '\\"', '="', ': "'), re.compile(_ASSIGNED)),
    ("line", ("\n", "="), re.compile(_LINE, re.MULTILINE)),
    ("query", ("?", "&"), re.compile(_IN_URL)),
    ("userinfo", ("@",), re.compile(_LOGIN)),
)
"""What is looked for in any text: where, signs of which one must be there, the pattern of a name and, last, a value."""
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
    if plain.startswith(_JSON) and (edits := body_edits("json", plain, change)):
        yield found.start(group), found.end(group), quote(apply(plain, edits), safe="")
    elif plain and is_secret(name, plain) and (new := change(f"{where} {name}", name, plain)) is not None:
        yield found.start(group), found.end(group), quote(new, safe="")


def body_edits(kind: str, text: str, change: Change) -> list[Edit]:
    """What to change in a body of this content type (latin-1). The order is that of the text."""
    if "x-www-form-urlencoded" in kind or (not kind and _FORM.fullmatch(text)):
        return [e for f in _FORM_PAIR.finditer(text) for e in _pair(f, f[1], f[2], 2, "form", change)]
    edits = list(_member_edits(text, change))
    for where, signs, pattern in _ELSEWHERE:
        if any(map(text.__contains__, signs)):
            edits += [edit for found in pattern.finditer(text) for edit in _simple(found, where, change)]
    return ordered(edits)


def ordered(edits: list[Edit]) -> list[Edit]:
    """Edits in the order of the text, without those that overlap an earlier one."""
    kept: list[Edit] = []
    for edit in sorted(edits):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept


def _simple(found: re.Match[str], where: str, change: Change) -> Iterator[Edit]:
    """What the last group holds, under the name in the last group before it that took part."""
    last = found.re.groups
    name, value = next(found[n] for n in _NAMES[where] if found[n] is not None), found[last]
    if where == "query":
        yield from _pair(found, name, value, last, where, change)
        return
    name = "password" if where == "userinfo" else name.rpartition(":")[2]
    if is_secret(name, value) and (new := change(f"{where} {name}", name, value)) is not None:
        yield found.start(last), found.end(last), new


_NAMES = {"assigned": (2, 3)} | dict.fromkeys(("part", "element", "field", "pair", "line", "query", "userinfo"), (1,))


def _member_edits(text: str, change: Change) -> Iterator[Edit]:
    if '"' not in text:
        return
    done = 0  # what is inside of a container with a secret name was looked through with it
    for found in _MEMBER.finditer(text):
        name = unescaped(found[1])
        if found[4] and found.start() >= done and named(name.removesuffix("s"))[0]:
            done = _closing(text, found.start(4))
            yield from _contained(name, text, found.start(4), done, change)
        elif not found[4] and named(name)[0]:
            yield from _member(found, name, change)


def _member(found: re.Match[str], name: str, change: Change) -> Iterator[Edit]:
    digits = found[3] is not None
    value = found[3] if digits else unescaped(found[2])
    if not value or not is_secret(name, value) or (digits and len(value) < 4):
        return
    if (new := change(f"json {name}", name, value)) is not None:
        group = 3 if digits else 2
        yield found.start(group), found.end(group), f'"{new}"' if digits else new


def _contained(name: str, text: str, begin: int, end: int, change: Change) -> Iterator[Edit]:
    """Random values in a list or an object that has a secret name."""
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
