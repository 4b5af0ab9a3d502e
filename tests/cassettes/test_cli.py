"""rest-api-client cassette convert | show | diff | scrub | check."""

from __future__ import annotations

from pathlib import Path

import pytest

from cassettes.cli import main
from cassettes.files import load, render
from cassettes.interaction import Asked, Failure, Interaction
from rest_api_client.cli import main as rest_api_client
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script

SECRET = "s3cr3t-5f2b9c0d1e"
JSON = (("content-type", "application/json"),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cassette with an answer and a failure."""
    answer = Script(Delay(0.5), Head(200, JSON, "OK"), Chunk(b'{"name": "Ada"}'), End())
    given = [
        Interaction(Asked("GET", "https://api.test/users/7", (("accept", "*/*"),)), answer),
        Interaction(
            Asked("POST", "https://api.test/users"), Script(Reset()), failure=Failure("ReadError"), started=1.5
        ),
    ]
    path = tmp_path / "users.yaml"
    path.write_text(render(given, {"recorded": "2026-11-01T00:00:00Z"}, ".yaml"))
    return path


def test_a_cassette_is_converted_and_back(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost on the way; without timing, vcrpy's plain form is left."""
    native, back, plain = tmp_path / "users.jsonl", tmp_path / "back.yaml", tmp_path / "plain.json"
    assert main(["convert", str(path), str(native)]) == 0
    assert main(["convert", str(native), str(back)]) == 0
    assert back.read_text() == path.read_text()
    assert main(["convert", str(path), str(plain), "--no-timing"]) == 0
    assert "pieces" not in plain.read_text()
    assert "2 interactions" in capsys.readouterr().out


def test_show_lists_and_shows_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each attempt on a line; one of them whole."""
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "2 interactions, recorded 2026-11-01" in out
    assert "1.500s  POST https://api.test/users -> ReadError" in out
    assert main(["show", str(path), "-n", "1"]) == 0
    out = capsys.readouterr().out
    assert '< {"name": "Ada"}' in out
    assert "> accept: */*" in out
    assert main(["show", str(path), "-n", "3"]) == 2
    assert "has 2 interactions" in capsys.readouterr().err


def test_show_does_not_hand_on_what_a_terminal_would_obey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a body are shown, not sent."""
    path = tmp_path / "esc.yaml"
    script = Script(Head(200), Chunk(b"\x1b[31mred\x07"), End())
    path.write_text(render([Interaction(Asked("GET", "https://api.test/"), script)], {}, ".yaml"))
    assert main(["show", str(path), "-n", "1"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_diff_tells_by_its_status(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 where nothing differs, 1 where something does, 2 where a file cannot be read."""
    other = tmp_path / "other.yaml"
    other.write_text(path.read_text().replace("Ada", "Bob").replace("code: 200", "code: 206"))
    assert main(["diff", str(path), str(path)]) == 0
    assert main(["diff", str(path), str(other)]) == 1
    out = capsys.readouterr().out
    assert 'body $.name: recorded "Ada", asked "Bob"' in out
    assert "outcome: 200 -> 206" in out
    assert main(["diff", str(path), str(tmp_path / "none.yaml")]) == 2


def test_check_finds_secrets_and_scrub_takes_them_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In place; afterwards there is nothing to find."""
    path = tmp_path / "leaky.yaml"
    asked = Asked(
        "GET", f"https://api.test/?api_key={SECRET}", (("authorization", f"Bearer {SECRET}"), ("x-me", "acme"))
    )
    script = Script(Head(200, JSON), Chunk(f'{{"echo": "{SECRET}", "password": "pw"}}'.encode()), End())
    path.write_text(render([Interaction(asked, script)], {}, ".yaml"))
    assert main(["check", str(path)]) == 1
    assert SECRET not in capsys.readouterr().out
    assert main(["scrub", str(path), "--name", "x-me"]) == 0
    assert "1 of 1 interactions changed" in capsys.readouterr().out
    text = path.read_text()
    assert SECRET not in text
    assert "acme" not in text
    assert '"password": "<password-1>"' in text
    assert main(["check", str(path)]) == 0
    assert main(["scrub", str(path)]) == 0
    assert path.read_text() == text


def test_check_finds_a_short_secret_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that could be an ordinary word anywhere else."""
    path = tmp_path / "short.yaml"
    asked = Asked("POST", "https://api.test/", JSON, b'{"password": "hunter"}')
    path.write_text(render([Interaction(asked, Script(Head(204), End()))], {}, ".yaml"))
    assert main(["check", str(path)]) == 1
    assert "cassette scrub" in capsys.readouterr().out


def test_check_finds_what_is_broken_or_old(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All files are looked at."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("interactions: [")
    assert main(["check", str(broken), str(path), "--max-age", "1"]) == 1
    out = capsys.readouterr().out
    assert "broken.yaml: " in out
    assert "recorded " in out
    path.write_text(path.read_text().replace("2026-11-01", "2999-11-01"))
    assert main(["check", str(path), "--max-age", "1"]) == 0


def test_it_is_a_subcommand(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the one command line of this project."""
    assert rest_api_client(["cassette", "check", str(path)]) == 0
    assert len(load(path)[0]) == 2
