"""Secrets planted in traffic by every carrier, and looked for in all that is written or shown."""

from __future__ import annotations

import base64
import json
import logging
import random
import re
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cassettes import CassetteError, files, use_cassette
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.models import Request
from rest_api_client.script import Script

CARRIERS = (
    "bearer", "basic", "x-api-key", "cookie", "set-cookie", "query", "json", "answer", "form", "jwt", "location",
    "echo", "list", "nested", "form json", "plain text", "html", "link", "graphql", "xml",
)  # fmt: skip
FORMS = (".yaml", ".json", ".jsonl")


def planted_secrets(count: int) -> tuple[int, int]:
    """(secrets that were found, requests that did not play again) in cassettes of each form."""
    chance = random.Random(13)
    planted = [(carrier := CARRIERS[n % len(CARRIERS)], _secret(chance, carrier)) for n in range(count)]
    leaks, misses = 0, 0
    for suffix in FORMS:
        with tempfile.TemporaryDirectory() as folder, _log() as log:
            path, other = Path(folder) / f"secrets{suffix}", Path(folder) / f"other{suffix}"
            other.write_text(files.render([], {}, suffix))
            shown = _session(path, planted, mode="all", inner=ScriptedTransport(_Service(planted).answer))
            shown += _session(other, planted[: count // 10], mode="none")  # all misses, which show what was asked
            played = _session(path, planted, mode="none")
            text = path.read_text()
            everything = re.sub(r"\\\n\s*\\?|\n\s*", "", text) + text + repr(files.load(path)) + shown + "".join(log)
            leaks += sum(any(form in everything for form in _written(secret)) for _, secret in planted)
            misses += played.count("CassetteMiss")
    return leaks, misses


@contextmanager
def _log() -> Iterator[list[str]]:
    """Every line that the client and the recorder log meanwhile."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    loggers = [logging.getLogger(name) for name in ("rest_api_client", "cassettes")]
    levels, handler = [logger.level for logger in loggers], Kept()
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def _secret(chance: random.Random, carrier: str) -> str:
    letters = string.ascii_letters + string.digits
    word = "".join(chance.choice(letters) for _ in range(20)) + "7q"
    if carrier == "jwt":
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","n":1}').decode().rstrip("=")
        return f"{head}.{word}AAAA.{word}BBBB"
    plain = carrier in {"cookie", "set-cookie", "html", "plain text", "xml"}
    return word if plain else word + chance.choice(("", "/", "+", "=", "-x", "_", ".z"))


def _ask(client: APIClient, carrier: str, secret: str, number: int) -> None:
    url, headers = f"/{carrier.replace(' ', '-')}/{number}", {"x-carrier": carrier}
    match carrier:
        case "bearer" | "jwt":
            client.get(url, headers=headers | {"authorization": f"Bearer {secret}"})
        case "basic":
            client.get(url, headers=headers, auth=("ada", secret))
        case "x-api-key":
            client.get(url, headers=headers | {"x-api-key": secret})
        case "cookie":
            client.get(url, headers=headers | {"cookie": f"sid={secret}"})
        case "query":
            client.get(url, headers=headers, params={"access_token": secret})
        case "json":
            client.post(url, headers=headers, json={"user": {"password": secret}, "note": f"again {secret}"})
        case "form":
            client.post(url, headers=headers, data={"client_secret": secret})
        case "form json":
            client.post(url, headers=headers, data={"payload": json.dumps({"token": secret})})
        case "graphql":
            client.post(url, headers=headers, json={"query": f'mutation {{ login(password: "{secret}") {{ id }} }}'})
        case _:
            client.get(url, headers=headers)


class _Service:
    """Answers, each with its secret."""

    def __init__(self, planted: list[tuple[str, str]]) -> None:
        self._planted = planted

    def answer(self, request: Request, index: int) -> Script:
        """The answer to the request of that number."""
        carrier, secret = self._planted[index]
        match carrier:
            case "set-cookie":
                return respond(headers={"set-cookie": f"sid={secret}; Path=/none; HttpOnly"})
            case "answer":
                return respond(json={"data": [{"refresh_token": secret}]})
            case "location":
                return respond(201, headers={"location": f"https://api.test/x?token={quote(secret, safe='')}"})
            case "echo" | "xml":
                text = f"<r><Password>{secret}</Password></r>" if carrier == "echo" else f'<r password="{secret}"/>'
                return respond(content=text, headers={"content-type": "text/xml"})
            case "list":
                return respond(json={"tokens": [secret, "x"]})
            case "nested":
                return respond(json={"body": json.dumps({"event": json.dumps({"token": secret})})})
            case "plain text":
                return respond(content=f"user = ada\npassword = {secret}\n", headers={"content-type": "text/plain"})
            case "html":
                return respond(content=f'<input name="csrf_token" value="{secret}">')
            case "link":
                return respond(json={"url": f"https://files.test/x?a=1&signature={quote(secret, safe='')}"})
            case _:
                return respond(json={"echo": secret})


def _session(path: Path, planted: list[tuple[str, str]], **options: Any) -> str:
    shown: list[str] = []
    with (
        use_cassette(path, **options) as cassette,
        APIClient(base_url="https://api.test", engine=cassette, circuit_breaker=None) as client,
    ):
        for number, (carrier, secret) in enumerate(planted):
            try:
                _ask(client, carrier, secret, number)
            except CassetteError as error:
                shown.append(f"{type(error).__name__} {error}")
        shown.append(repr(cassette) + repr(cassette.cassette.recorded))
    return "\n".join(shown)


def _written(secret: str) -> set[str]:
    """The ways in which a secret can stand in a file."""
    encoded = base64.b64encode(f"ada:{secret}".encode()).decode()
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], encoded}
